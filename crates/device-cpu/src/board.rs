//! Where an execution posts pieces of its work for other threads to take: how idle threads help a lone execution.
//!
//! A board serves one execution at a time. Its **leader** is the thread that launched it; it posts one step after the other, each
//! divided into units that may run in any order or at once, and takes pieces of some units itself. A **helper** takes pieces as
//! long as the execution lasts. Everything that the two sides must agree on is one word: the units, how many of them are
//! taken, and how many helpers are at work.
//!
//! **Why this is sound.** A task is borrowed from the leader's stack, and a helper reaches it through an address whose lifetime
//! is erased. It may do so only while it holds a piece. Taking one is a compare-and-exchange that in the same moment
//! counts the helper as at work; it succeeds only while a unit is left; and [`Lead::share`] returns, or unwinds, only
//! when none is left and nobody is at work. So a task outlives every piece of it. That the word may have returned
//! to an old value meanwhile does no harm: the task is read after the exchange, and is that of the piece just taken.
//!
//! **Ordering.** Posting a task is a release store of the word, and taking a piece an acquire exchange: a helper sees the task and all
//! that the leader computed before. Laying a piece down is a release subtraction, and the leader's last look at the word an
//! acquire load: it sees what all helpers wrote. Everything between the two is a read-modify-write of the same word, which
//! keeps the release sequences whole.
//!
//! **Traps.** A helper whose core is taken away holds up the leader. So the leader yields when it has waited long.

use std::any::Any;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::PoisonError;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::division::Units;
use crate::sync::{AtomicU64, AtomicUsize, Mutex, UnsafeCell, spin_loop, yield_now};

/// How often a helper looks for an execution before it gives up: for some milliseconds, because whoever called it may have to make
/// and clear memory for the results first. It is told when the execution is over before it has come here.
const LOOKS: usize = if cfg!(loom) { 1 } else { 200_000 };
/// After how many looks in vain a waiting thread lets others have its core.
const LOOKS_BEFORE_YIELD: usize = if cfg!(loom) { 2 } else { 4000 };

/// Connects the executions of one program with the threads that help them.
#[repr(align(128))]
pub(crate) struct Board {
    /// Odd while an execution has the board; each makes it two larger.
    turn: AtomicUsize,
    /// A [`Progress`].
    progress: AtomicU64,
    task: UnsafeCell<Task>,
    /// Of a piece that panicked in a helper.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

// SAFETY: `task` is written by the leader alone, while no piece is held, and read by holders of a piece; the work that it
// points to is Sync (`Lead::share` asks for it). See the module's header.
unsafe impl Sync for Board {}
// SAFETY: a task is reached only while `Lead` borrows the board, so none is left to reach when the board moves.
unsafe impl Send for Board {}

/// What a piece is a piece of, its type erased: the work and how to call it.
#[derive(Clone, Copy)]
struct Task {
    work: *const (),
    call: unsafe fn(*const (), Range<usize>, *mut u8),
}

impl Task {
    const NONE: Task = Task { work: std::ptr::null(), call: |_, _, _| () };

    fn of<F: Fn(Range<usize>, *mut u8) + Sync>(work: &F) -> Self {
        /// # Safety
        /// `work` is the address of an `F` that is alive.
        unsafe fn call<F: Fn(Range<usize>, *mut u8)>(work: *const (), piece: Range<usize>, scratch: *mut u8) {
            // SAFETY: the caller's promise.
            unsafe { (*work.cast::<F>())(piece, scratch) }
        }
        Task { work: std::ptr::from_ref(work).cast(), call: call::<F> }
    }
}

/// How far a task is: 20 bits for the number of units, 20 for the first that nobody has, 12 for the most that may be taken at
/// once, 12 for the helpers at work.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Progress(u64);

impl Progress {
    const UNIT: u64 = 1 << 24;

    fn new(units: Units) -> Self {
        assert!(units.count <= Units::LIMIT, "{units:?}");
        Progress((units.count as u64) << 44 | (units.most.clamp(1, 0xfff) as u64) << 12)
    }

    /// The next piece: large while much is left, so that a thread mostly goes on where it was; one unit in the end, so that nobody
    /// waits long for the last.
    fn next(self) -> Option<Range<usize>> {
        let (count, first) = (self.0 >> 44, self.0 >> 24 & 0xfffff);
        let left = count - first;
        let most = self.0 >> 12 & 0xfff;
        let end = first + (left / 4).min(most).max(1);
        (left > 0).then_some(first as usize..end as usize)
    }

    fn helpers(self) -> u64 {
        self.0 & 0xfff
    }
}

impl Board {
    /// A board that no execution has.
    pub fn new() -> Self {
        Board {
            turn: AtomicUsize::new(0),
            progress: AtomicU64::new(0),
            task: UnsafeCell::new(Task::NONE),
            panic: Mutex::new(None),
        }
    }

    /// Gives the board to the calling thread's execution, unless another has it.
    pub fn lead(&self) -> Option<Lead<'_>> {
        let turn = self.turn.load(Relaxed);
        // Acquire pairs with the release in `Lead::drop`: the former leader is done with the task.
        let free = turn.is_multiple_of(2)
            && self.turn.compare_exchange(turn, turn.wrapping_add(1), Acquire, Relaxed).is_ok();
        free.then(|| Lead(self))
    }

    /// Takes pieces of one execution until it is over or `leave` is true, which is asked between them. Whether there was any. The
    /// work is called with `scratch`.
    pub fn help(&self, scratch: *mut u8, leave: &dyn Fn() -> bool) -> bool {
        let Some(turn) = self.await_execution(leave) else { return false };
        let (mut helped, mut looks) = (false, 0);
        // Relaxed: what a piece needs is ordered by the word of pieces.
        while !leave() && self.turn.load(Relaxed) == turn {
            if self.help_with_piece(scratch) {
                (helped, looks) = (true, 0);
            } else {
                pause(&mut looks);
            }
        }
        helped
    }

    /// Waits some milliseconds for an execution to have the board.
    fn await_execution(&self, leave: &dyn Fn() -> bool) -> Option<usize> {
        let mut looks = 0;
        while looks < LOOKS {
            let turn = self.turn.load(Relaxed);
            if !turn.is_multiple_of(2) {
                return Some(turn);
            }
            if leave() {
                return None;
            }
            pause(&mut looks);
        }
        None
    }

    fn help_with_piece(&self, scratch: *mut u8) -> bool {
        let Some(piece) = self.take(1) else { return false };
        // SAFETY: this thread holds a piece, so the task is posted and nobody writes it.
        let task = self.task.with(|task| unsafe { *task });
        // SAFETY: the work is alive until the piece is laid down. What it leaves behind by a panic is the leader's to judge, which
        // panics in turn.
        let result = catch_unwind(AssertUnwindSafe(|| unsafe { (task.call)(task.work, piece, scratch) }));
        if let Err(payload) = result {
            *self.panic.lock().unwrap_or_else(PoisonError::into_inner) = Some(payload);
        }
        // Release pairs with the leader's acquire in `Posted::drop`.
        self.progress.fetch_sub(1, Release);
        true
    }

    /// Takes the next piece, and in the same moment adds `helpers` to those at work.
    fn take(&self, helpers: u64) -> Option<Range<usize>> {
        let mut word = self.progress.load(Relaxed);
        loop {
            let piece = Progress(word).next()?;
            // Acquire pairs with the release store in `Lead::share`.
            let taken = word + piece.len() as u64 * Progress::UNIT + helpers;
            match self.progress.compare_exchange_weak(word, taken, Acquire, Relaxed) {
                Ok(_) => return Some(piece),
                Err(current) => word = current,
            }
        }
    }
}

/// The right of one execution to post tasks on a board.
pub(crate) struct Lead<'a>(&'a Board);

impl Lead<'_> {
    /// Calls `work` with stretches of units that together are all of them, in this thread and those that help, and returns when
    /// all calls have. This thread's calls are with `scratch`, a helper's with its own.
    ///
    /// # Panics
    /// When `work` panics, here or in a helper, and when there are more units than [`Units::LIMIT`].
    pub fn share<F: Fn(Range<usize>, *mut u8) + Sync>(&mut self, units: Units, scratch: *mut u8, work: &F) {
        let board = self.0;
        let progress = Progress::new(units);
        // SAFETY: the last task has no piece left and nobody at work, or `share` had not returned.
        board.task.with_mut(|task| unsafe { *task = Task::of(work) });
        // Release pairs with the acquire in `take`.
        board.progress.store(progress.0, Release);
        let posted = Posted(board);
        while let Some(piece) = board.take(0) {
            work(piece, scratch);
        }
        drop(posted);
        let panic = board.panic.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(payload) = panic {
            resume_unwind(payload);
        }
    }
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        // A leader that unwinds may leave behind the panic of a helper: its execution fails either way.
        self.0.panic.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Release pairs with the acquire in `Board::lead`.
        self.0.turn.fetch_add(1, Release);
    }
}

/// A task on the board. Dropping it, also by unwinding, takes it down: no piece is left and nobody is at work.
struct Posted<'a>(&'a Board);

impl Drop for Posted<'_> {
    fn drop(&mut self) {
        while self.0.take(0).is_some() {}
        let mut looks = 0;
        // Acquire pairs with the release of every helper that laid a piece down.
        while Progress(self.0.progress.load(Acquire)).helpers() > 0 {
            pause(&mut looks);
        }
    }
}

/// One look in vain.
fn pause(looks: &mut usize) {
    *looks += 1;
    if looks.is_multiple_of(LOOKS_BEFORE_YIELD) { yield_now() } else { spin_loop() }
}

#[cfg(test)]
mod tests;
