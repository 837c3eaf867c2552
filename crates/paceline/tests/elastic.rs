//! Models of which each request chooses the lengths.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use paceline::onnx::{ElasticModel, ImportOptions, Model};
use paceline::seam::{CompileError, CompileOptions, Device, DeviceInfo, Program};
use paceline::{Engine, Graph, InferError, InputError, SubmitError, Tensor, device};

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../onnx/tests/models/free/external.onnx")
}

fn words(samples: usize, length: usize) -> Tensor {
    Tensor::new([samples, length], (0..samples * length).map(|at| (at * 37 % 128) as i64).collect::<Vec<_>>())
        .unwrap()
}

fn model(most: usize) -> ElasticModel {
    ElasticModel::from_onnx(path()).unwrap().most("sequence", most).unwrap()
}

fn refusal<T: std::fmt::Debug>(result: Result<T, InferError>) -> (InputError, usize) {
    match result.unwrap_err() {
        InferError::Refused(SubmitError::Invalid { problem, inputs, .. }) => (*problem, inputs.len()),
        other => panic!("expected a refusal, got {other}"),
    }
}

/// The CPU, which counts what it compiles.
struct Counting(Arc<dyn Device>, AtomicUsize);

impl Device for Counting {
    fn info(&self) -> DeviceInfo {
        self.0.info()
    }

    fn compile(&self, graph: &Graph, options: &CompileOptions) -> Result<Arc<dyn Program>, CompileError> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.compile(graph, options)
    }
}

#[test]
fn every_length_gives_bit_for_bit_what_the_model_bound_to_it_gives() {
    let engine = Engine::builder().device("cpu").lanes(2).build().unwrap();
    let elastic = engine.load_elastic("encoder", model(40)).unwrap();
    let expected: Vec<Vec<Tensor>> = (1..=12)
        .map(|length| {
            let bound = ImportOptions::default().dim("sequence", length);
            let bound = Model::from_onnx_with(path(), &bound).unwrap();
            let fixed = engine.load(format!("fixed {length}"), bound).unwrap();
            let outputs = fixed.infer([("ids", words(2, length))]).unwrap();
            ["states", "pooled"].map(|name| outputs[name].clone()).into()
        })
        .collect();
    std::thread::scope(|scope| {
        for first in 0..4 {
            let (elastic, expected) = (&elastic, &expected);
            scope.spawn(move || {
                for at in 0..36 {
                    let length = (first * 5 + at) % 12 + 1;
                    let request = [("ids", words(2, length))];
                    let outputs = match at % 2 {
                        0 => elastic.infer(request).unwrap(),
                        _ => elastic.submit(request).unwrap().wait().unwrap(),
                    };
                    let expected = &expected[length - 1];
                    assert_eq!(outputs["states"], expected[0], "{length}");
                    assert_eq!(outputs["pooled"], expected[1], "{length}");
                }
            });
        }
    });
    assert_eq!(elastic.lengths().len(), 13, "twelve, and the greatest");
}

#[test]
fn each_length_is_compiled_once_and_the_least_recently_used_goes() {
    let counting = Arc::new(Counting(device("cpu").unwrap(), AtomicUsize::new(0)));
    let engine = Engine::builder().with_device(counting.clone()).lanes(1).build().unwrap();
    let elastic = engine.load_elastic("encoder", model(40).programs(3)).unwrap();
    let call = |length: usize| elastic.infer([("ids", words(1, length))]).unwrap();
    let compiled = || counting.1.load(Ordering::Relaxed);
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| call(3));
        }
    });
    assert_eq!(compiled(), 2, "the greatest, and one however many ask for it at a time");
    call(4);
    call(3);
    call(5);
    assert_eq!(elastic.lengths(), [[3], [5], [40]], "4 was used longest ago, and the greatest stays");
    call(4);
    assert_eq!((compiled(), elastic.lengths()), (5, vec![vec![4], vec![5], vec![40]]));
    assert_eq!(engine.statistics().models.len(), 3, "others are unloaded");
    drop(elastic);
    assert_eq!(engine.statistics().models.len(), 0);
}

/// The CPU, which has no program for odd lengths.
struct Picky(Counting);

impl Device for Picky {
    fn info(&self) -> DeviceInfo {
        self.0.info()
    }

    fn compile(&self, graph: &Graph, options: &CompileOptions) -> Result<Arc<dyn Program>, CompileError> {
        let shape = graph.value(graph.inputs()[0]).ty.shape.to_string();
        let length = shape.trim_end_matches(']').rsplit(' ').next().unwrap().parse::<usize>().unwrap();
        match length % 2 == 1 {
            true => {
                Err(CompileError::Option { option: "length", expected: "an even number".into(), got: shape })
            }
            false => self.0.compile(graph, options),
        }
    }
}

#[test]
fn lengths_without_a_program_drive_out_none_that_have_one() {
    let picky = Arc::new(Picky(Counting(device("cpu").unwrap(), AtomicUsize::new(0))));
    let engine = Engine::builder().with_device(picky.clone()).lanes(2).build().unwrap();
    let elastic = engine.load_elastic("encoder", model(40).programs(3)).unwrap();
    for length in [2, 4] {
        elastic.infer([("ids", words(1, length))]).unwrap();
    }
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for length in (1..40).step_by(2) {
                    let (problem, inputs) = refusal(elastic.infer([("ids", words(1, length))]));
                    assert!(matches!(problem, InputError::NoProgram { .. }) && inputs == 1, "{problem}");
                }
            });
        }
    });
    assert_eq!(elastic.lengths(), [[2], [4], [40]]);
    elastic.infer([("ids", words(1, 4))]).unwrap();
    assert_eq!(picky.0.1.load(Ordering::Relaxed), 3, "each is compiled once");
}

#[test]
fn what_cannot_be_served_is_refused_and_given_back() {
    let engine = Engine::builder().device("cpu").lanes(1).build().unwrap();
    let elastic = engine.load_elastic("encoder", model(20)).unwrap();
    let too_long = refusal(elastic.infer([("ids", words(1, 21))]));
    let length = |got| InputError::Length { axis: "sequence".into(), most: 20, got };
    assert_eq!(too_long, (length(21), 1));
    assert_eq!(refusal(elastic.infer([("ids", words(1, 0))])), (length(0), 1));
    let (missing, _) = refusal(elastic.infer([("words", words(1, 3))]));
    assert!(matches!(missing, InputError::Unknown { .. }), "{missing}");
    let (shape, _) = refusal(elastic.infer([("ids", Tensor::new([3], vec![1i64; 3]).unwrap())]));
    assert!(matches!(shape, InputError::Shape { .. }), "{shape}");
    assert_eq!(elastic.lengths(), [[20]]);

    let error = ElasticModel::from_onnx(path()).unwrap().most("width", 3).unwrap_err().to_string();
    assert!(error.contains("'sequence'") && error.contains("'width'"), "{error}");
    // The model has positions for 40 words.
    let error = engine.load_elastic("longer", model(41)).unwrap_err().to_string();
    assert!(error.contains("longer"), "{error}");
}
