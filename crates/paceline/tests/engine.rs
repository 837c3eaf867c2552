//! The facade as a program uses it.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use paceline::nn::Model;
use paceline::{Engine, Graph, Tensor, device};

fn linear() -> Graph {
    Model::by_name("linear").unwrap().graph(1).unwrap()
}

fn x(samples: usize) -> Tensor {
    Tensor::new([samples, 256], (0..samples * 256).map(|i| (i as f32).sin()).collect::<Vec<_>>()).unwrap()
}

#[test]
fn many_threads_get_what_one_gets() {
    let engine = Engine::on("cpu").unwrap();
    let model = engine.load("linear", linear()).unwrap();
    let expected = model.infer([("x", x(1))]).unwrap().single();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..20 {
                    assert_eq!(model.infer([("x", x(1))]).unwrap()["y"], expected);
                }
            });
        }
    });
    assert_eq!(engine.statistics().models[0].completed, 161);
}

#[test]
fn a_ticket_is_a_future_and_a_large_request_is_split() {
    let engine = Engine::builder().device("auto").lanes(1).max_batch(4).build().unwrap();
    let model = engine.load("linear", linear()).unwrap();
    let whole = model.submit([("x", x(10))]).unwrap().wait().unwrap().single();
    assert_eq!(whole.shape(), [10, 128]);
    let mut ticket = Box::pin(model.submit([("x", x(10))]).unwrap());
    let mut context = Context::from_waker(Waker::noop());
    let answer = loop {
        match ticket.as_mut().poll(&mut context) {
            Poll::Ready(answer) => break answer.unwrap(),
            Poll::Pending => std::thread::yield_now(),
        }
    };
    assert_eq!(answer["y"], whole);
}

#[test]
fn errors_say_what_there_is() {
    let error = Engine::on("abacus").err().unwrap().to_string();
    assert_eq!(error, "there is no device 'abacus'; the devices are cpu, auto");
    let error = Engine::builder().lanes(0).build().err().unwrap().to_string();
    assert_eq!(error, "lanes: expected 1 to 4096, got 0");

    let engine = Engine::builder().with_device(device("cpu").unwrap()).lanes(1).build().unwrap();
    engine.load("linear", Arc::new(linear())).unwrap();
    let taken = engine.load("linear", linear()).unwrap_err().to_string();
    assert!(taken.contains("already loaded"), "{taken}");
    let engine = Engine::builder().max_batch(0).lanes(1).build().unwrap();
    let error = engine.load("linear", linear()).unwrap_err().to_string();
    assert_eq!(error, "model 'linear': max_batch: expected at least 1, got 0");
}
