//! Right models give what ONNX Runtime gives; wrong ones an error that says what is wrong. `models/make.py` made them.

use std::fs;
use std::path::{Path, PathBuf};

use paceline_graph::{Tensor, reference};
use paceline_onnx::{BatchAxis, FreeAxis, ImportOptions, OnnxError, Source, read, read_bytes, read_tensor};
use proptest::prelude::*;

fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models")
}

fn directories(of: &str) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> =
        fs::read_dir(models().join(of)).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    assert!(all.len() > 5, "there are models in {of}");
    all
}

fn tensors(directory: &Path, kind: &str) -> Vec<(String, Tensor)> {
    let paths =
        (0..).map(|index| directory.join(format!("{kind}_{index}.pb"))).take_while(|path| path.is_file());
    paths.map(|path| read_tensor(fs::read(path).unwrap()).unwrap()).collect()
}

fn assert_near(name: &str, got: &Tensor, expected: &Tensor) {
    assert_eq!((got.dtype(), got.shape()), (expected.dtype(), expected.shape()), "{name}");
    let (got, expected) = (got.as_f32().unwrap(), expected.as_f32().unwrap());
    for (got, expected) in got.iter().zip(expected) {
        assert!((got - expected).abs() <= 1e-5 * (1.0 + expected.abs()), "{name}: {got} is not {expected}");
    }
}

#[test]
fn right_models_compute_what_onnx_runtime_computes() {
    for directory in directories("right") {
        let name = directory.file_name().unwrap().to_str().unwrap();
        let imported = read(directory.join("model.onnx"), &ImportOptions::default()).unwrap();
        let batched = !matches!(name, "mixes" | "fixed");
        assert_eq!(imported.graph.is_batched(), batched, "{name}: {:?}", imported.notes);
        let inputs: Vec<Tensor> =
            tensors(&directory, "input").into_iter().map(|(_, tensor)| tensor).collect();
        let outputs = reference::evaluate(&imported.graph, &inputs).unwrap();
        for (got, (_, expected)) in outputs.iter().zip(tensors(&directory, "output")) {
            assert_near(name, got, &expected);
        }
    }
}

#[test]
fn what_mixes_samples_is_read_without_a_batch_axis_and_says_which_node_it_is() {
    let path = models().join("right/mixes/model.onnx");
    let imported = read(&path, &ImportOptions::default()).unwrap();
    assert!(imported.notes[0].contains("ReduceMean_m"), "{:?}", imported.notes);
    let three = read(&path, &ImportOptions::default().dim("batch", 3)).unwrap().graph;
    assert_eq!(three.value(three.inputs()[0]).ty.shape.resolve(1), [3, 4]);
    let named = read(&path, &ImportOptions::default().batch(BatchAxis::Named("batch".into())));
    assert!(matches!(named, Err(OnnxError::Node { node, .. }) if node == "ReduceMean_m"));
}

#[test]
fn a_fixed_batch_is_noticed_and_can_be_freed() {
    let directory = models().join("right/fixed");
    let path = directory.join("model.onnx");
    let imported = read(&path, &ImportOptions::default()).unwrap();
    assert_eq!(imported.fixed_batch, Some(2));
    let freed = read(&path, &ImportOptions::default().batch(BatchAxis::Freed(2))).unwrap().graph;
    assert!(freed.is_batched());
    let input = &tensors(&directory, "input")[0].1;
    let (_, expected) = &tensors(&directory, "output")[0];
    for sample in 0..2 {
        let row = input.as_f32().unwrap()[sample * 12..][..12].to_vec();
        let outputs = reference::evaluate(&freed, &[Tensor::new([1, 12], row).unwrap()]).unwrap();
        let expected = expected.as_f32().unwrap()[sample * 6..][..6].to_vec();
        assert_near("freed", &outputs[0], &Tensor::new([1, 6], expected).unwrap());
    }
}

#[test]
fn wrong_models_are_errors_that_say_why() {
    for (name, expected) in [
        ("unsupported", "own.Secret (opset 1), in 'mine'\n  Loop (opset 18), in 'Loop_l'"),
        ("unsupported", "NonZero (opset 18): 'x' must be known when the model is read"),
        ("cycle", "uses 'b', which is computed only later"),
        ("dangling", "uses 'nothing', which nothing computes"),
        ("twice", "the name 'a' is given twice"),
        ("unbound", "--dim NAME=LENGTH"),
        ("huge_dims", "a number of elements that fits in memory"),
        ("negative_dims", "axes of a length of at least 0"),
        ("short_data", "16 bytes"),
        ("external_above", "below the model's folder"),
        ("external_absolute", "below the model's folder"),
        ("external_missing", "missing.data"),
        ("external_short", "a file of"),
        ("huge_constant", "a constant of at most"),
        ("huge_expand", "values of at most 16 GiB"),
        ("recursive", "functions within functions"),
        ("expanding", "nodes in a model, got more"),
        ("nested", "messages within messages"),
        ("empty", "it has no graph"),
        ("text", "this is not an ONNX model"),
    ] {
        let error = read(models().join("wrong").join(format!("{name}.onnx")), &ImportOptions::default());
        let message = error.expect_err(name).to_string();
        assert!(message.contains(expected), "{name}: {message}");
    }
}

#[cfg(unix)]
#[test]
fn external_data_is_not_read_through_a_link_that_leads_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(models().join("wrong/external_missing.onnx"), folder.path().join("model.onnx")).unwrap();
    let data = folder.path().join("missing.data");
    fs::write(&data, [0; 16]).unwrap();
    read(folder.path().join("model.onnx"), &ImportOptions::default()).unwrap();
    fs::remove_file(&data).unwrap();
    std::os::unix::fs::symlink("/proc/version", &data).unwrap();
    let error = read(folder.path().join("model.onnx"), &ImportOptions::default()).unwrap_err();
    assert!(error.to_string().contains("a link to elsewhere"), "{error}");
}

#[cfg(unix)]
#[test]
fn what_is_no_ordinary_file_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(models().join("wrong/external_missing.onnx"), folder.path().join("model.onnx")).unwrap();
    let pipe = folder.path().join("missing.data");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for path in [pipe.clone(), folder.path().join("model.onnx"), folder.path().into(), "/dev/zero".into()] {
        let error = read(&path, &ImportOptions::default()).unwrap_err();
        assert!(error.to_string().contains("not an ordinary file"), "{}: {error}", path.display());
    }
    // A link to a file beside the folder.
    let inner = folder.path().join("inner");
    fs::create_dir(&inner).unwrap();
    fs::copy(folder.path().join("model.onnx"), inner.join("model.onnx")).unwrap();
    fs::write(folder.path().join("data"), [0; 16]).unwrap();
    std::os::unix::fs::symlink(folder.path().join("data"), inner.join("missing.data")).unwrap();
    let error = read(inner.join("model.onnx"), &ImportOptions::default()).unwrap_err();
    assert!(error.to_string().contains("a link to elsewhere"), "{error}");
}

#[test]
fn an_input_that_says_how_to_compute_can_be_bound() {
    let path = models().join("right/mixes/model.onnx");
    let unknown = ImportOptions::default().bind("nothing", Tensor::scalar(1.0));
    assert!(matches!(read(&path, &unknown), Err(OnnxError::Choice { .. })));
    let wrong = ImportOptions::default().bind("x", Tensor::scalar(1.0));
    assert!(matches!(read(&path, &wrong), Err(OnnxError::Choice { .. })));
}

/// The bytes of the right and the wrong models.
fn files() -> Vec<Vec<u8>> {
    let right = directories("right").into_iter().map(|directory| directory.join("model.onnx"));
    right.chain(directories("wrong")).map(|path| fs::read(path).unwrap()).collect()
}

#[test]
fn a_file_that_is_cut_off_is_an_error_or_a_smaller_model() {
    for file in files() {
        for length in (0..file.len()).step_by(7) {
            let _ = read_bytes(file[..length].to_vec(), &ImportOptions::default());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_file_is_an_error_or_another_model(
        which in any::<prop::sample::Index>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let files = files();
        let mut file = which.get(&files).clone();
        for (place, byte) in damage {
            if !file.is_empty() {
                let place = place.index(file.len());
                file[place] = byte;
            }
        }
        let _ = read_bytes(file, &ImportOptions::default());
    }
}

#[test]
fn a_source_is_read_for_several_lengths_and_its_graphs_share_their_weights() {
    let source = Source::open(models().join("free/sequence.onnx")).unwrap();
    let free = |options: &ImportOptions| source.free_axes(options).unwrap();
    let axis = FreeAxis { name: "sequence".into(), places: vec![("ids".into(), 1)] };
    assert_eq!(free(&ImportOptions::default()), [axis]);
    let lengths = [5, 9].map(|length| ImportOptions::default().dim("sequence", length));
    assert_eq!(free(&lengths[0]), []);
    let graphs = lengths.map(|options| source.read(&options).unwrap().graph);
    for (graph, length) in graphs.iter().zip([5, 9]) {
        let directory = models().join(format!("free/sequence_{length}"));
        let inputs: Vec<Tensor> =
            tensors(&directory, "input").into_iter().map(|(_, tensor)| tensor).collect();
        let outputs = reference::evaluate(graph, &inputs).unwrap();
        for (got, (_, expected)) in outputs.iter().zip(tensors(&directory, "output")) {
            assert_near("sequence", got, &expected);
        }
    }
    let weight = |graph: &paceline_graph::Graph, name: &str| {
        let found = graph.values().iter().position(|value| value.name == name).unwrap();
        match &graph.values()[found].source {
            paceline_graph::Source::Constant(tensor) => std::sync::Arc::clone(tensor),
            _ => panic!("{name} is a constant"),
        }
    };
    for name in ["words", "wq", "wo"] {
        assert!(std::sync::Arc::ptr_eq(&weight(&graphs[0], name), &weight(&graphs[1], name)), "{name}");
    }
}

#[test]
fn large_tensors_in_other_files_stay_there_and_are_the_same_after_their_pages_were_given_back() {
    let path = models().join("free/external.onnx");
    let imported = read(path, &ImportOptions::default().dim("sequence", 5)).unwrap();
    let constants = imported.graph.values().iter().filter_map(|value| match &value.source {
        paceline_graph::Source::Constant(tensor) => Some(tensor),
        _ => None,
    });
    let stored: Vec<_> = constants.filter(|tensor| tensor.data().is_stored()).collect();
    assert!(stored.len() > 2, "the model has tensors of 16 KiB and more in another file");
    for tensor in stored {
        let before = Tensor::new(tensor.shape(), tensor.as_f32().unwrap().to_vec()).unwrap();
        tensor.release();
        assert_eq!(**tensor, before);
    }
}
