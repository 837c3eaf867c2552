//! What the parent puts into the submit ring: a slot, and whether its request comes or goes.

/// An entry of the submit ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// The slot has a request.
    Submit(u32),
    /// Nobody wants the answer to the slot's request any more, if there is one.
    Withdraw(u32),
}

impl Entry {
    pub(crate) fn of(word: u32) -> Entry {
        if word & 1 == 0 { Entry::Submit(word >> 1) } else { Entry::Withdraw(word >> 1) }
    }

    pub(crate) fn word(self) -> u32 {
        match self {
            Entry::Submit(slot) => slot << 1,
            Entry::Withdraw(slot) => slot << 1 | 1,
        }
    }

    pub(crate) fn slot(self) -> u32 {
        match self {
            Entry::Submit(slot) | Entry::Withdraw(slot) => slot,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Layout;

    #[test]
    fn entries_are_read_back() {
        for slot in [0, 1, 77, Layout::MAX_SLOTS] {
            for entry in [Entry::Submit(slot), Entry::Withdraw(slot)] {
                assert_eq!((Entry::of(entry.word()), entry.slot()), (entry, slot));
            }
        }
    }
}
