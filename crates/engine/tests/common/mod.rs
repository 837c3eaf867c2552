//! Shared by the tests of the engine.
#![allow(dead_code, reason = "each of them uses a part")]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use paceline_device::fake::{FakeProgram, Gate, Outcome, rows};
use paceline_device::{Batch, BatchSizes, DeviceError, Program, Session, Signature};
use paceline_engine::{Answer, Engine, Model, Outputs, Ticket};
use paceline_graph::Tensor;

/// Elements of a sample.
pub const WIDTH: usize = 3;

/// Samples whose elements count up from `first`.
pub fn input(first: f32, samples: usize) -> Tensor {
    let elements = (0..samples * WIDTH).map(|i| first + i as f32).collect::<Vec<_>>();
    Tensor::new([samples, WIDTH], elements).unwrap()
}

/// Whether these are the outputs for `input(first, samples)`.
#[track_caller]
pub fn check(outputs: &Outputs, first: f32, samples: usize) {
    assert_eq!(outputs["y"].shape(), [samples, WIDTH]);
    let expected: Vec<f32> = (0..samples * WIDTH).map(|i| 2.0 * (first + i as f32) + 1.0).collect();
    assert_eq!(outputs["y"].as_f32().unwrap(), expected);
}

/// An engine with one model, whose costs are not measured: every execution is a request's.
pub fn engine(lanes: usize, program: &Arc<FakeProgram>) -> (Engine, Model) {
    let engine = Engine::builder().lanes(lanes).warm_up(Duration::ZERO).build().unwrap();
    let model = engine.load("fake", program.clone()).unwrap();
    (engine, model)
}

/// Polls a ticket until it is ready.
pub fn block_on(mut ticket: Ticket) -> Answer {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        if let Poll::Ready(answer) =
            Future::poll(std::pin::Pin::new(&mut ticket), &mut Context::from_waker(&waker))
        {
            return answer;
        }
        thread::park();
    }
}

/// Keeps scripted panics off the screen.
pub fn silence_scripted_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let scripted = |text: &str| text.starts_with("scripted");
        if !info.payload().downcast_ref::<String>().is_some_and(|text| scripted(text)) {
            before(info);
        }
    }));
}

/// Runs `body` on a thread of its own, so that a test that would hang fails instead.
#[track_caller]
pub fn in_time<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    let thread = thread::spawn(move || sender.send(body()));
    match receiver.recv_timeout(Duration::from_secs(30)) {
        Ok(value) => value,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("still not done after 30 s"),
        Err(mpsc::RecvTimeoutError::Disconnected) => match thread.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(_) => unreachable!("a thread that ends well has sent its value"),
        },
    }
}

/// Waits until it is so; fails when it takes too long.
#[track_caller]
pub fn eventually(is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(30), "still not so after 30 s");
        thread::sleep(Duration::from_micros(100));
    }
}

/// A program that counts its open sessions, and takes a while to close one.
pub struct Counted {
    program: Arc<FakeProgram>,
    open: Arc<AtomicUsize>,
    closing: Duration,
}

impl Counted {
    /// Around this program.
    pub fn new(program: FakeProgram, closing: Duration) -> Arc<Self> {
        Arc::new(Counted { program: Arc::new(program), open: Arc::default(), closing })
    }

    /// Sessions open now.
    pub fn open_sessions(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Executions begun so far.
    pub fn executed(&self) -> u64 {
        self.program.executed()
    }
}

impl Program for Counted {
    fn signature(&self) -> &Signature {
        self.program.signature()
    }

    fn batch_sizes(&self) -> &BatchSizes {
        Program::batch_sizes(&*self.program)
    }

    fn open(self: Arc<Self>) -> Result<Box<dyn Session>, DeviceError> {
        let session = Arc::clone(&self.program).open()?;
        self.open.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(CountedSession { session, open: Arc::clone(&self.open), closing: self.closing }))
    }
}

struct CountedSession {
    session: Box<dyn Session>,
    open: Arc<AtomicUsize>,
    closing: Duration,
}

impl Session for CountedSession {
    fn launch(&mut self, batch: &mut Batch<'_>) -> Result<(), DeviceError> {
        self.session.launch(batch)
    }

    fn finish(&mut self, batch: &mut Batch<'_>) -> Result<(), DeviceError> {
        self.session.finish(batch)
    }
}

impl Drop for CountedSession {
    fn drop(&mut self) {
        thread::sleep(self.closing);
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A program whose execution hangs at the gate when a request in it begins with a negative number.
pub fn gated(gate: &Gate) -> FakeProgram {
    let gate = gate.clone();
    FakeProgram::new(rows(WIDTH)).recorded().script(move |execution| {
        if execution.firsts.iter().any(|&first| first < 0.0) {
            Outcome::Hang(gate.clone())
        } else {
            Outcome::Compute
        }
    })
}

/// Occupies a lane until the gate of [`gated`] opens.
pub fn occupy(model: &Model, gate: &Gate) -> Ticket {
    let ticket = model.submit([("x", input(-1.0, 1))]).unwrap();
    gate.wait_for(1);
    ticket
}

/// The accepted requests of an idle engine all came to an end.
#[track_caller]
pub fn balance(model: &Model) {
    let got = model.statistics();
    assert_eq!(got.accepted, got.completed + got.failed + got.cancelled + got.expired, "{got:?}");
}

/// A program whose executions can be helped, and that counts who offers to, and who is told to leave before the execution is over.
pub struct Helped {
    program: Arc<FakeProgram>,
    /// Whether the execution is over.
    pub is_over: Arc<AtomicBool>,
    /// Lanes that came to help.
    pub offers: AtomicUsize,
    /// Lanes that were told to leave before the execution was over.
    pub left_early: AtomicUsize,
}

impl Helped {
    /// Around this program, whose script says when an execution is over.
    pub fn new(program: FakeProgram, is_over: Arc<AtomicBool>) -> Arc<Self> {
        let (program, [offers, left_early]) = (Arc::new(program), Default::default());
        Arc::new(Helped { program, is_over, offers, left_early })
    }
}

impl Program for Helped {
    fn signature(&self) -> &Signature {
        Program::signature(&*self.program)
    }

    fn batch_sizes(&self) -> &BatchSizes {
        Program::batch_sizes(&*self.program)
    }

    fn open(self: Arc<Self>) -> Result<Box<dyn Session>, DeviceError> {
        Arc::clone(&self.program).open()
    }

    fn can_be_helped(&self) -> bool {
        true
    }

    fn help(&self, leave: &dyn Fn() -> bool) -> bool {
        self.offers.fetch_add(1, Ordering::Relaxed);
        while !leave() {
            thread::yield_now();
        }
        self.left_early.fetch_add(usize::from(!self.is_over.load(Ordering::Relaxed)), Ordering::Relaxed);
        false
    }
}
