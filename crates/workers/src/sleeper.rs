//! Callers that sleep on the slot of their request, so that the worker wakes them itself. Through the supervisor it would be one thread
//! more that is woken, and that takes longer than anything else on the way. Linux only: elsewhere no system call with a promise
//! of staying does this between processes, and the supervisor wakes everybody.
//!
//! The word of a slot is even, and of another value for each request that uses the slot; plus one while the caller sleeps.

use std::sync::atomic::{AtomicU32, Ordering, fence};
use std::time::Duration;

/// Whether callers can sleep on a slot.
pub(crate) const POSSIBLE: bool = cfg!(target_os = "linux");

/// The caller is about to sleep. False when the slot has another request by now. What the worker answered before this may not wake
/// the caller: look for it after this.
pub(crate) fn announce(word: &AtomicU32, request: u32) -> bool {
    let announced = word.compare_exchange(request, request | 1, Ordering::Relaxed, Ordering::Relaxed).is_ok();
    // Pairs with the fence in `wake`: either that sees the announcement, or the caller sees the answer.
    fence(Ordering::SeqCst);
    announced
}

/// Sleeps until it is woken, at most so long; at once if it was woken already.
pub(crate) fn sleep(word: &AtomicU32, request: u32, timeout: Duration) {
    system::wait(word, request | 1, timeout);
}

/// Wakes the caller that sleeps on a slot; whether there was one. After the answer is where it will look.
pub(crate) fn wake(word: &AtomicU32) -> bool {
    // Pairs with the fence in `announce`.
    fence(Ordering::SeqCst);
    let before = word.load(Ordering::Relaxed);
    let sleeps = before & 1 != 0
        && word.compare_exchange(before, before & !1, Ordering::Relaxed, Ordering::Relaxed).is_ok();
    if sleeps {
        system::wake(word);
    }
    sleeps
}

#[cfg(target_os = "linux")]
mod system {
    use std::sync::atomic::AtomicU32;
    use std::time::Duration;

    use rustix::thread::futex;

    pub(super) fn wait(word: &AtomicU32, expected: u32, timeout: Duration) {
        let timeout = futex::Timespec {
            tv_sec: timeout.as_secs().cast_signed(),
            tv_nsec: timeout.subsec_nanos().into(),
        };
        // However it ends, the caller looks again.
        let _ = futex::wait(word, futex::Flags::empty(), expected, Some(&timeout));
    }

    pub(super) fn wake(word: &AtomicU32) {
        let _ = futex::wake(word, futex::Flags::empty(), 1);
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::sync::atomic::AtomicU32;
    use std::time::Duration;

    pub(super) fn wait(_: &AtomicU32, _: u32, _: Duration) {}

    pub(super) fn wake(_: &AtomicU32) {}
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::thread;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn who_announced_is_woken() {
        let word = AtomicU32::new(6);
        assert!(!wake(&word), "nobody sleeps");
        for _ in 0..1000 {
            thread::scope(|scope| {
                assert!(announce(&word, 6));
                scope.spawn(|| sleep(&word, 6, LONG));
                assert!(wake(&word));
            });
            assert_eq!(word.load(Ordering::Relaxed), 6);
        }
    }

    #[test]
    fn nobody_sleeps_on_another_request() {
        let word = AtomicU32::new(8);
        assert!(!announce(&word, 6));
        sleep(&word, 6, LONG);
        assert_eq!(word.load(Ordering::Relaxed), 8);
    }
}
