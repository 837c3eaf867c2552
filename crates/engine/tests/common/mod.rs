//! Shared by the tests of the engine.
#![allow(dead_code, reason = "each of them uses a part")]

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use paceline_device::fake::FakeProgram;
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
