//! Tests with a worker that writes what no worker writes. It is played by the test, on the other side of real shared memory.

use std::os::unix::net::UnixStream;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::Duration;

use paceline_device::Signature;
use paceline_device::fake::port;
use paceline_engine::remote::{Contract, Pending};
use paceline_engine::{Answer, ExecutionError, Request};
use paceline_graph::{DType, Tensor};

use crate::crashes::Blame;
use crate::entry::Entry;
use crate::job::Job;
use crate::layout::{DONE_TAIL, Layout, SUBMIT_TAIL, slot};
use crate::link::Link;
use crate::region::Region;
use crate::ring::{Consumer, Producer};
use crate::seat::Phase;
use crate::shared::{ModelInfo, Shared, send};
use crate::spec::ModelSpec;
use crate::state::{Limits, State};
use crate::status::Status;
use crate::wire::Wire;
use crate::{Builder, Source};

/// A parent, and the memory that its one worker would have.
struct Scene {
    shared: Arc<Shared>,
    link: Arc<Link>,
    theirs: Wire,
    submitted: Consumer,
    done: Producer,
}

const SLOTS: u32 = 4;

impl Scene {
    fn new() -> Scene {
        let layout = Layout::new(SLOTS, 4096).unwrap();
        let ports = |name| vec![port(name, DType::F32, &[2])];
        let signature = Signature { inputs: ports("x"), outputs: ports("y"), batched: true };
        let contract = Contract::new("m", [(signature, 8)]);
        let mut options = Builder::default().options;
        options.models.push(ModelSpec::new("m", Source::Custom { description: String::new() }));
        let state = State::new(Limits { samples: SLOTS as usize, layout, request_timeout: Duration::MAX }, 1);
        let shared = Arc::new(Shared::new(options, state));
        assert!(shared.agree_on_models(vec![ModelInfo::new(contract, 1000, 1000, None)]));
        let (a, b) = UnixStream::pair().unwrap();
        let ours = Region::create(layout.bytes()).unwrap();
        let theirs = Region::open(ours.file().try_clone_to_owned().unwrap(), layout.bytes()).unwrap();
        let link = Arc::new(Link::new(Wire::of_parent(ours, layout, a).unwrap(), 0));
        send(&shared.lock().up(0, Arc::clone(&link)));
        Scene {
            shared,
            link,
            theirs: Wire::of_worker(theirs, layout, b).unwrap(),
            submitted: Consumer::new(SUBMIT_TAIL, layout.submit, layout.submit_capacity),
            done: Producer::new(DONE_TAIL, layout.done, layout.done_capacity),
        }
    }

    fn submit(&self) -> Arc<Job> {
        let request = Request::new([("x", Tensor::new([1, 2], vec![1.0, 2.0]).unwrap())]);
        let checked = self.shared.models()[0].contract.check(request).unwrap();
        self.shared.submit(0, checked).unwrap()
    }

    /// The slot of the next request that the worker finds.
    fn take(&mut self) -> u32 {
        take(&self.theirs, &mut self.submitted)
    }

    fn write(&self, slot: u32, at: usize, word: u32) {
        self.theirs.region.word(self.theirs.layout.slot(slot) + at).store(word, Ordering::Relaxed);
    }

    fn finish(&mut self, slot: u32, status: u32) {
        self.write(slot, slot::STATUS, status);
        self.done.push(&self.theirs.region, slot);
    }

    /// Whether what the worker wrote made sense.
    fn collect(&self) -> bool {
        self.shared.collect(0, &self.link)
    }
}

/// The slot of the next request, which the worker takes.
fn take(wire: &Wire, submitted: &mut Consumer) -> u32 {
    match submitted.pop(&wire.region).unwrap().map(Entry::of) {
        Some(Entry::Submit(slot)) => {
            let place = wire.layout.slot(slot);
            let request = wire.region.word(place + slot::CALLER).load(Ordering::Relaxed);
            wire.region.word(place + slot::TAKEN).store(request, Ordering::Relaxed);
            slot
        }
        other => panic!("expected a request, got {other:?}"),
    }
}

fn taken(job: &Job) -> Answer {
    job.try_take().expect("an answer")
}

#[test]
fn nonsense_is_found_and_loses_no_request() {
    type Nonsense = fn(&mut Scene, u32);
    let cases: [(&str, Nonsense); 7] = [
        ("no status", |scene, slot| scene.finish(slot, 0)),
        ("an unknown status", |scene, slot| scene.finish(slot, 77)),
        ("a withdrawal that nobody asked for", |scene, slot| scene.finish(slot, Status::Cancelled as u32)),
        ("a slot that is not there", |scene, _| scene.done.push(&scene.theirs.region, SLOTS)),
        ("a slot far away", |scene, _| scene.done.push(&scene.theirs.region, u32::MAX)),
        ("a slot without a request", |scene, slot| scene.done.push(&scene.theirs.region, (slot + 1) % SLOTS)),
        ("an impossible end of the ring", |scene, _| {
            scene.theirs.region.word(DONE_TAIL).store(u32::MAX, Ordering::Relaxed);
        }),
    ];
    for (what, nonsense) in cases {
        let mut scene = Scene::new();
        let job = scene.submit();
        let slot = scene.take();
        nonsense(&mut scene, slot);
        assert!(!scene.collect(), "{what}");
        assert!(!job.is_answered(), "{what}");
        // The worker is killed then, and the request waits to be executed again.
        let (_, fallen, _) = scene.shared.lock().died(0, false, 1, 0);
        assert!(fallen.is_empty());
        assert_eq!(scene.shared.lock().occupancy(0).suspects, 1, "{what}");
        let (_, left) = scene.shared.lock().give_up(0, "test");
        scene.shared.abandon(left);
        assert!(matches!(taken(&job), Err(ExecutionError::Unavailable { .. })), "{what}");
        assert_eq!(scene.shared.lock().outstanding, 0);
    }
}

#[test]
fn an_answer_twice_is_found() {
    let mut scene = Scene::new();
    let job = scene.submit();
    let slot = scene.take();
    scene.finish(slot, Status::Completed as u32);
    scene.finish(slot, Status::Completed as u32);
    assert!(!scene.collect());
    assert!(taken(&job).is_ok());
}

#[test]
fn a_text_of_any_length_and_bytes_is_read() {
    for length in [0, 3, 384, 385, u32::MAX] {
        let mut scene = Scene::new();
        let job = scene.submit();
        let slot = scene.take();
        let place = scene.theirs.layout.slot(slot);
        scene.theirs.region.write(place + slot::TEXT, &[0xffu8; 384]);
        scene.write(slot, slot::TEXT_LENGTH, length);
        scene.finish(slot, Status::Failed as u32);
        assert!(scene.collect());
        assert!(matches!(taken(&job), Err(ExecutionError::Device { .. })));
    }
}

#[test]
fn where_an_answer_lies_is_not_for_the_worker_to_say() {
    let mut scene = Scene::new();
    let job = scene.submit();
    let slot = scene.take();
    let place = scene.theirs.layout.slot(slot);
    for (at, wide) in [(slot::BLOCK, u64::MAX), (slot::SAMPLES, u64::MAX)] {
        scene.theirs.region.wide(place + at).store(wide, Ordering::Relaxed);
    }
    scene.write(slot, slot::MODEL, u32::MAX);
    scene.write(slot, slot::VARIANT, u32::MAX);
    scene.finish(slot, Status::Completed as u32);
    assert!(scene.collect());
    assert_eq!(taken(&job).unwrap()["y"].shape(), [1, 2]);
}

#[test]
fn a_withdrawn_request_may_end_either_way() {
    for status in [Status::Cancelled, Status::Completed, Status::Failed] {
        let mut scene = Scene::new();
        let job = scene.submit();
        let slot = scene.take();
        job.cancel();
        assert_eq!(
            scene.submitted.pop(&scene.theirs.region).unwrap().map(Entry::of),
            Some(Entry::Withdraw(slot))
        );
        scene.finish(slot, status as u32);
        assert!(scene.collect());
        assert!(!job.is_answered());
        let state = scene.shared.lock();
        assert_eq!((state.outstanding, state.occupancy(0).samples), (0, 0), "{status:?}");
    }
}

#[test]
fn suspects_have_a_worker_to_themselves() {
    let mut scene = Scene::new();
    let jobs: Vec<_> = (0..3).map(|_| scene.submit()).collect();
    let _: Vec<u32> = (0..3).map(|_| scene.take()).collect();
    let (death, fallen, _) = scene.shared.lock().died(0, true, 1, 0);
    assert!(fallen.is_empty() && death.blame == Blame::Worker);
    let late = scene.submit();
    assert_eq!(scene.shared.lock().waiting(), 1);
    // The next process: each suspect alone, in order, then the others.
    let next = Scene::new();
    let link = Arc::clone(&next.link);
    send(&scene.shared.lock().up(0, Arc::clone(&link)));
    let (mut submitted, mut done) = (next.submitted, next.done);
    for (number, job) in jobs.iter().chain([&late]).enumerate() {
        let slot = take(&next.theirs, &mut submitted);
        assert_eq!(submitted.pop(&next.theirs.region), Ok(None), "request {number} is not alone");
        let place = next.theirs.layout.slot(slot);
        next.theirs.region.word(place + slot::STATUS).store(Status::Completed as u32, Ordering::Relaxed);
        done.push(&next.theirs.region, slot);
        assert!(scene.shared.collect(0, &link));
        assert!(taken(job).is_ok());
    }
    assert_eq!(scene.shared.lock().seats[0].phase, Phase::Up);
    // Had it died on one of them, that one would have been to blame, and it would have been its last time.
    let job = scene.submit();
    take(&next.theirs, &mut submitted);
    scene.shared.lock().died(0, true, 1, 0);
    let mut last = Scene::new();
    send(&scene.shared.lock().up(0, Arc::clone(&last.link)));
    last.take();
    let (death, fallen, _) = scene.shared.lock().died(0, true, 1, 0);
    assert_eq!(death.blame, Blame::SuspectForTheFirstTime);
    assert_eq!(fallen.iter().map(|fallen| fallen.executions).collect::<Vec<_>>(), [2]);
    scene.shared.fail(fallen, "it died");
    assert!(matches!(taken(&job), Err(ExecutionError::Crashed { executions: 2, .. })));
}

#[test]
fn what_a_dead_worker_had_not_taken_is_no_suspect() {
    let mut scene = Scene::new();
    let taken_out = scene.submit();
    scene.take();
    let _left = scene.submit();
    let withdrawn = scene.submit();
    withdrawn.cancel();
    let (_, fallen, _) = scene.shared.lock().died(0, true, 0, 0);
    assert_eq!(fallen.len(), 1);
    assert!(Arc::ptr_eq(&fallen[0].job, &taken_out));
    let state = scene.shared.lock();
    assert_eq!((state.waiting(), state.occupancy(0).suspects, state.outstanding), (1, 0, 1));
}

#[test]
fn a_task_that_is_dropped_may_look_at_its_request() {
    struct Curious(Arc<Job>);
    impl Wake for Curious {
        fn wake(self: Arc<Self>) {}
    }
    impl Drop for Curious {
        fn drop(&mut self) {
            self.0.is_answered();
        }
    }
    let (done, is_done) = mpsc::channel();
    thread::spawn(move || {
        let job = Scene::new().submit();
        for _ in 0..2 {
            let waker = Waker::from(Arc::new(Curious(Arc::clone(&job))));
            assert!(job.poll(&Context::from_waker(&waker)).is_pending());
        }
        assert!(job.wait_timeout(Duration::ZERO).is_none());
        done.send(()).unwrap();
    });
    assert!(is_done.recv_timeout(Duration::from_secs(20)).is_ok(), "a lock was held");
}
