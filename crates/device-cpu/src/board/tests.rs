//! The board with real threads, and every interleaving of small scenes:
//! `RUSTFLAGS="--cfg loom" cargo test -p paceline-device-cpu --release --lib board`.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::null_mut;

use super::*;

fn units(count: usize) -> Units {
    Units { count, most: 5 }
}

#[test]
fn every_unit_is_in_one_piece_and_pieces_become_small() {
    let mut progress = Progress::new(units(30));
    let mut pieces = Vec::new();
    while let Some(piece) = progress.next() {
        progress = Progress(progress.0 + piece.len() as u64 * Progress::UNIT + 1);
        pieces.push(piece);
    }
    assert_eq!(pieces[..3], [0..5, 5..10, 10..15]);
    assert!(pieces.is_sorted_by_key(|piece| std::cmp::Reverse(piece.len())));
    assert!(pieces.iter().zip(&pieces[1..]).all(|(a, b)| a.end == b.start));
    assert_eq!(pieces.last(), Some(&(29..30)));
    assert_eq!(progress.helpers(), pieces.len() as u64);
    assert_eq!(Progress::new(units(0)).next(), None);
    assert_eq!(Progress::new(Units { count: Units::LIMIT, most: usize::MAX }).next(), Some(0..0xfff));
}

#[cfg(not(loom))]
mod real {
    use std::sync::atomic::{AtomicBool, AtomicUsize};
    use std::thread;
    use std::time::{Duration, Instant};

    use super::*;

    const NEVER: &dyn Fn() -> bool = &|| false;
    /// When a wait has failed: no test here takes a hundredth of it.
    const PATIENCE: Duration = Duration::from_secs(20);

    /// Ends the helpers of a scope with it, also when it panics: a scope waits for its threads.
    struct StopAtEnd<'a>(&'a AtomicBool);

    impl Drop for StopAtEnd<'_> {
        fn drop(&mut self) {
            self.0.store(true, Relaxed);
        }
    }

    #[test]
    fn a_helper_without_an_execution_returns() {
        let board = Board::new();
        assert!(!board.help(null_mut(), NEVER));
        let asked = AtomicUsize::new(0);
        assert!(!board.help(null_mut(), &|| asked.fetch_add(1, Relaxed) == 2));
        assert_eq!(asked.into_inner(), 3);
        drop(board.lead());
        assert!(!board.help(null_mut(), NEVER));
    }

    #[test]
    fn a_second_execution_does_not_get_the_board() {
        let board = Board::new();
        let first = board.lead();
        assert!(first.is_some() && board.lead().is_none());
        drop(first);
        assert!(board.lead().is_some());
    }

    /// Helps until `stop`, leaving after every few pieces.
    fn help_in_visits(board: &Board, stop: &AtomicBool, pieces: usize) {
        while !stop.load(Relaxed) {
            let asked = AtomicUsize::new(0);
            let leave = || stop.load(Relaxed) || asked.fetch_add(1, Relaxed) >= pieces;
            board.help(null_mut(), &leave);
        }
    }

    #[test]
    fn every_piece_runs_once_whoever_comes_and_goes() {
        let board = Board::new();
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let _stop_at_end = StopAtEnd(&stop);
            for pieces in [1, 7, usize::MAX] {
                let (board, stop) = (&board, &stop);
                scope.spawn(move || help_in_visits(board, stop, pieces));
            }
            // Two leaders: the one that does not get the board works alone.
            let leaders = [0, 1].map(|leader| {
                let board = &board;
                scope.spawn(move || {
                    for execution in 0..200 {
                        let mut lead = board.lead();
                        for pieces in [0, 1, 2, 5, 64, leader + execution % 9] {
                            let runs: Vec<AtomicUsize> = (0..pieces).map(|_| AtomicUsize::new(0)).collect();
                            let work = |piece: Range<usize>, _| {
                                for unit in piece {
                                    runs[unit].fetch_add(1, Relaxed);
                                }
                                std::hint::black_box((0..200).sum::<usize>());
                            };
                            match &mut lead {
                                Some(lead) => lead.share(units(pieces), null_mut(), &work),
                                None => work(0..pieces, null_mut()),
                            }
                            assert!(runs.iter().all(|runs| runs.load(Relaxed) == 1));
                        }
                    }
                })
            });
            leaders.into_iter().for_each(|leader| leader.join().unwrap());
        });
    }

    /// Runs a task of two pieces that cannot end before both threads have one, and in one of them panics.
    fn panic_in(helper_panics: bool) {
        let board = Board::new();
        let (at_work, stop, begin) = (AtomicUsize::new(0), AtomicBool::new(false), Instant::now());
        thread::scope(|scope| {
            let _stop_at_end = StopAtEnd(&stop);
            let leader = thread::current().id();
            let mut lead = board.lead().unwrap();
            let helper = scope.spawn(|| {
                let leave = || stop.load(Relaxed);
                while !board.help(null_mut(), &leave) && !leave() {}
            });
            let work = |_, _| {
                at_work.fetch_add(1, Relaxed);
                while at_work.load(Relaxed) < 2 {
                    assert!(begin.elapsed() < PATIENCE, "nobody took the other piece");
                    thread::yield_now();
                }
                if (thread::current().id() != leader) == helper_panics {
                    resume_unwind(Box::new("a piece"));
                }
            };
            let panic =
                catch_unwind(AssertUnwindSafe(|| lead.share(units(2), null_mut(), &work))).unwrap_err();
            assert_eq!(panic.downcast_ref::<&str>(), Some(&"a piece"));
            // The board is as good as new, for this execution and the next.
            let sum = AtomicUsize::new(0);
            let add = |piece: Range<usize>, _| {
                sum.fetch_add(piece.sum(), Relaxed);
            };
            lead.share(units(4), null_mut(), &add);
            drop(lead);
            board.lead().unwrap().share(units(4), null_mut(), &add);
            assert_eq!(sum.into_inner(), 12);
            helper.join().unwrap();
        });
    }

    #[test]
    fn a_panic_reaches_the_leader_and_nobody_else() {
        panic_in(true);
        panic_in(false);
    }

    #[test]
    fn a_helper_leaves_between_pieces_while_the_execution_goes_on() {
        let board = Board::new();
        let lead = board.lead();
        let begin = Instant::now();
        assert!(!board.help(null_mut(), &|| begin.elapsed() > Duration::from_millis(5)));
        assert!((5..1000).contains(&begin.elapsed().as_millis()));
        drop(lead);
    }
}

#[cfg(loom)]
mod model {
    use std::cell::Cell;

    use loom::cell::UnsafeCell;
    use loom::sync::Arc;
    use loom::thread;

    use super::*;

    fn explore(scene: impl Fn() + Send + Sync + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(scene);
    }

    /// A value that one piece writes and the leader reads; loom sees when two threads do at once.
    struct Place(UnsafeCell<usize>);

    // SAFETY: what is to be shown: the board keeps accesses apart, and loom fails the scene if it does not.
    unsafe impl Sync for Place {}

    impl Place {
        fn add(&self, amount: usize) {
            // SAFETY: loom checks that nobody else is at it.
            self.0.with_mut(|value| unsafe { *value += amount });
        }

        fn get(&self) -> usize {
            // SAFETY: loom checks that nobody writes.
            self.0.with(|value| unsafe { *value })
        }
    }

    fn places<const N: usize>() -> [Place; N] {
        std::array::from_fn(|_| Place(UnsafeCell::new(0)))
    }

    /// An execution of two steps, the second reading what the first has written, in another order.
    fn execute(board: &Board) {
        let (first, second) = (places::<2>(), places::<2>());
        let mut lead = board.lead();
        share(&mut lead, &|piece| first[piece].add(piece + 1));
        share(&mut lead, &|piece| second[piece].add(first[1 - piece].get()));
        assert_eq!(second.each_ref().map(Place::get), [2, 1]);
    }

    /// Calls `work` with 0 and 1, shared by way of the board, if this execution has it.
    fn share(lead: &mut Option<Lead<'_>>, work: &(impl Fn(usize) + Sync)) {
        match lead {
            Some(lead) => lead.share(units(2), null_mut(), &|piece: Range<usize>, _| piece.for_each(work)),
            None => (0..2).for_each(work),
        }
    }

    fn spawn(board: &Arc<Board>, run: impl FnOnce(&Board) + 'static) -> thread::JoinHandle<()> {
        let board = board.clone();
        thread::spawn(move || run(&board))
    }

    fn help(board: &Board) {
        board.help(null_mut(), &|| false);
    }

    #[test]
    fn one_helper() {
        explore(|| {
            let board = Arc::new(Board::new());
            let helper = spawn(&board, help);
            execute(&board);
            helper.join().unwrap();
        });
    }

    #[test]
    fn two_helpers_who_leave() {
        explore(|| {
            let board = Arc::new(Board::new());
            // Two that stay could look at the board in turns for ever.
            let visit = |board: &Board| {
                let asked = Cell::new(0);
                board.help(null_mut(), &|| asked.replace(asked.get() + 1) == 2);
            };
            let helpers = [spawn(&board, visit), spawn(&board, visit)];
            let places = places::<2>();
            share(&mut board.lead(), &|piece| places[piece].add(1));
            assert_eq!(places.each_ref().map(Place::get), [1, 1]);
            helpers.into_iter().for_each(|helper| helper.join().unwrap());
        });
    }

    #[test]
    fn two_leaders_and_a_helper() {
        explore(|| {
            let board = Arc::new(Board::new());
            let others = [spawn(&board, help), spawn(&board, execute)];
            execute(&board);
            others.into_iter().for_each(|other| other.join().unwrap());
        });
    }

    #[test]
    fn a_piece_that_panics() {
        explore(|| {
            let board = Arc::new(Board::new());
            let helper = spawn(&board, help);
            let mut lead = board.lead();
            let place = &places::<1>()[0];
            let work = |piece| match piece {
                0 => place.add(1),
                _ => resume_unwind(Box::new("a piece")),
            };
            let panic = catch_unwind(AssertUnwindSafe(|| share(&mut lead, &work))).unwrap_err();
            assert_eq!(panic.downcast_ref::<&str>(), Some(&"a piece"));
            assert_eq!(place.get(), 1);
            drop(lead);
            execute(&board);
            helper.join().unwrap();
        });
    }
}
