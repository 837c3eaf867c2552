//! How long to look again before sleeping. Waking a thread takes longer than a short request, so looking a little pays where requests
//! follow each other, and is a core's time lost where they do not.

use std::thread;
use std::time::{Duration, Instant};

/// Looking for less finds nothing.
const SHORTEST: Duration = Duration::from_micros(4);
/// Looks between two questions to the clock, and whether somebody else wants the core.
const LOOKS: u32 = 64;

/// As long as looking has paid: halved when it did not, restored when it did or would have.
pub(crate) struct Patience {
    budget: Duration,
    longest: Duration,
}

impl Patience {
    /// At most so long.
    pub(crate) fn new(longest: Duration) -> Self {
        // Who looks on the only core keeps away what it looks for.
        let alone = thread::available_parallelism().map_or(true, |cores| cores.get() == 1);
        let longest = if alone { Duration::ZERO } else { longest };
        Patience { budget: longest, longest }
    }

    /// Looks until it is there or the patience ends; whether it is there.
    pub(crate) fn watch(&mut self, is_there: impl Fn() -> bool) -> bool {
        if self.budget < SHORTEST {
            return false;
        }
        let found = look(self.budget, is_there);
        self.looked(found);
        found
    }

    /// It came after so long, to somebody who slept: would looking have helped?
    pub(crate) fn slept(&mut self, time: Duration) {
        if time < self.longest {
            self.budget = self.longest;
        }
    }

    fn looked(&mut self, found: bool) {
        self.budget = if found { self.longest } else { self.budget / 2 };
    }
}

/// Looks until it is there, but no longer than `time`; whether it is there.
fn look(time: Duration, is_there: impl Fn() -> bool) -> bool {
    let start = Instant::now();
    loop {
        for _ in 0..LOOKS {
            if is_there() {
                return true;
            }
            std::hint::spin_loop();
        }
        if start.elapsed() >= time {
            return false;
        }
        thread::yield_now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_micros(50);

    #[test]
    fn patience_wears_off_and_comes_back() {
        let mut patience = Patience { budget: LONGEST, longest: LONGEST };
        let looks = std::iter::from_fn(|| (patience.budget >= SHORTEST).then(|| patience.looked(false)));
        assert_eq!(looks.count(), 4);
        assert!(!patience.watch(|| true), "it does not even look");
        patience.slept(LONGEST);
        assert!(!patience.watch(|| true), "looking would not have helped");
        patience.slept(LONGEST / 2);
        assert!(patience.watch(|| true));
    }
}
