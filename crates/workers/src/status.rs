//! How a request ended, as a word.

/// What a worker says of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Status {
    /// Its outputs are in its block.
    Completed = 1,
    /// The device failed; there is a text.
    Failed,
    /// The device failed and took the session with it; there is a text.
    Lost,
    /// The device panicked; there is a text.
    Panicked,
    /// It was not executed, because its deadline could not be met.
    Expired,
    /// The parent withdrew it.
    Cancelled,
}

impl Status {
    const ALL: [Status; 6] = [
        Status::Completed,
        Status::Failed,
        Status::Lost,
        Status::Panicked,
        Status::Expired,
        Status::Cancelled,
    ];

    /// The status of a word; `None` where no worker writes such a word.
    pub(crate) fn of(word: u32) -> Option<Status> {
        Self::ALL.into_iter().find(|status| *status as u32 == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_back() {
        for status in Status::ALL {
            assert_eq!(Status::of(status as u32), Some(status));
        }
        for word in [0, 7, u32::MAX] {
            assert_eq!(Status::of(word), None);
        }
    }
}
