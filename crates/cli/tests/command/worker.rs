//! The binary as a worker of a pool.

use crate::support::{Scratch, paceline, stdout};

#[test]
fn a_worker_that_nobody_started_says_so() {
    let scratch = Scratch::new("worker");
    let output = paceline(&scratch, &["worker", "--socket-is-stdin"]);
    assert_eq!(output.status.code(), Some(2));
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("a worker is started by a `WorkerPool`"), "{message}");
    assert!(!stdout(&paceline(&scratch, &["--help"])).contains("worker"));
}

#[test]
fn this_binary_is_a_worker() {
    let pool = paceline::workers::WorkerPool::builder()
        .executable(env!("CARGO_BIN_EXE_paceline"))
        .model(paceline::workers::ModelSpec::study("linear", 1))
        .device("cpu")
        .build()
        .unwrap();
    let model = pool.model("linear").unwrap();
    let x = paceline::Tensor::zeros(paceline::DType::F32, [2, 256]).unwrap();
    assert_eq!(model.infer([("x", x)]).unwrap()["y"].shape(), [2, 128]);
    let unknown = paceline::workers::WorkerPool::builder()
        .executable(env!("CARGO_BIN_EXE_paceline"))
        .model(paceline::workers::ModelSpec::study("linear", 1))
        .device("abacus");
    let error = unknown.build().unwrap_err().to_string();
    assert!(error.contains("there is no device 'abacus'"), "{error}");
}

#[test]
fn a_model_file_that_is_gone_is_told_with_the_reason() {
    let options = r#"{"dims":[],"bound":[],"batch_axis":null}"#;
    let description = format!(r#"{{"path":"./gone.onnx","options":{options}}}"#);
    let source = paceline::workers::Source::Custom { description };
    let pool = paceline::workers::WorkerPool::builder()
        .executable(env!("CARGO_BIN_EXE_paceline"))
        .model(paceline::workers::ModelSpec::new("gone", source))
        .device("cpu");
    let error = pool.build().unwrap_err().to_string();
    assert!(error.contains("cannot use './gone.onnx'") && error.contains("No such file"), "{error}");
}
