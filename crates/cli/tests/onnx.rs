//! Models from ONNX files, as somebody types them.

mod support;

use std::fs::{self, File};
use std::io::{Read, Write};

use paceline::graph::{Binary, BinaryOp, DType, Dim, Graph, GraphBuilder, Linear, Op, Unary, UnaryOp};
use paceline::{Tensor, onnx};
use serde_json::Value;
use support::{Scratch, json, paceline, stdout};

/// `y = x w^T + z`, with x f32[N, 3] and z f32[N, 2].
fn sum() -> Graph {
    let mut g = GraphBuilder::new();
    let x = g.input("x", DType::F32, [Dim::BATCH, Dim::Fixed(3)]).unwrap();
    let z = g.input("z", DType::F32, [Dim::BATCH, Dim::Fixed(2)]).unwrap();
    let w = g.constant("w", Tensor::new([2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap()).unwrap();
    let product = g.add("product", Op::Linear(Linear::default()), &[Some(x), Some(w)]).unwrap();
    let y = g.add("sum", Op::Binary(Binary(BinaryOp::Add)), &[Some(product), Some(z)]).unwrap();
    g.output("y", y).unwrap();
    g.finish().unwrap()
}

/// `a/y = -k` and `a:y = |k|`, of k i64[N, 2]: names that make one name for a file.
fn twins() -> Graph {
    let mut g = GraphBuilder::new();
    let k = g.input("k", DType::I64, [Dim::BATCH, Dim::Fixed(2)]).unwrap();
    for (name, op) in [("a/y", UnaryOp::Neg), ("a:y", UnaryOp::Abs)] {
        let y = g.add(name, Op::Unary(Unary(op)), &[Some(k)]).unwrap();
        g.output(name, y).unwrap();
    }
    g.finish().unwrap()
}

/// A directory with both models.
fn scratch(name: &str) -> Scratch {
    let scratch = Scratch::new(name);
    onnx::write(&sum(), scratch.path("sum.onnx")).unwrap();
    onnx::write(&twins(), scratch.path("twins.onnx")).unwrap();
    scratch
}

/// A .npy file.
fn npy(kind: &str, order: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{kind}', 'fortran_order': {order}, 'shape': {shape}, }}\n");
    let length = u16::try_from(header.len()).unwrap().to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), data].concat()
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Two samples of x and of z, and y of them.
const X: [f32; 6] = [1.0, 0.0, -1.0, 0.5, 0.5, 0.5];
const Z: [f32; 4] = [10.0, 20.0, 0.0, -1.0];
const Y: [f32; 4] = [8.0, 18.0, 3.0, 6.5];

/// An archive of some hundred kilobytes with 256 MiB in it, of which its header knows nothing.
fn bomb() -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    archive.start_file("x.npy", zip::write::SimpleFileOptions::default()).unwrap();
    archive.write_all(&npy("<f4", "False", "(2, 3)", &bytes(&X))).unwrap();
    std::io::copy(&mut std::io::repeat(0).take(1 << 28), &mut archive).unwrap();
    archive.finish().unwrap().into_inner()
}

fn arrays() -> [(&'static str, Vec<u8>); 2] {
    [("x", npy("<f4", "False", "(2, 3)", &bytes(&X))), ("z", npy("<f4", "False", "(2, 2)", &bytes(&Z)))]
}

#[test]
fn inspect_says_what_a_model_is_and_costs() {
    let scratch = scratch("onnx-inspect");
    let output = paceline(&scratch, &["inspect", "sum.onnx"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for fragment in [
        "# sum (ONNX opset 20, written by paceline 0.",
        "| input  | x    | f32  | [N, 3] |",
        "| output | y    | f32  | [N, 2] |",
        "N samples of any number in one execution",
        "6 parameters",
        "12 FLOP a sample",
        "ms for 8 samples together",
        "| operator ",
    ] {
        assert!(stdout(&output).contains(fragment), "expected `{fragment}` in:\n{}", stdout(&output));
    }
    let report = json(&paceline(&scratch, &["inspect", "sum.onnx", "--json"]));
    assert_eq!(report["name"], "sum");
    assert_eq!((&report["batched"], &report["parameters"]), (&true.into(), &6.into()));
    assert_eq!(report["inputs"][1]["shape"], "[N, 2]");
    assert_eq!(report["flops_per_sample"], 12);
    let times: Vec<&Value> = report["cost"].as_array().unwrap().iter().map(|row| &row["samples"]).collect();
    assert_eq!(times, [1, 8]);
    let single = json(&paceline(
        &scratch,
        &["inspect", "sum.onnx", "--batch-axis", "none", "--dim", "batch=4", "--json"],
    ));
    assert_eq!((&single["batched"], &single["inputs"][0]["shape"]), (&false.into(), &"[4, 3]".into()));
}

#[test]
fn run_takes_arrays_archives_and_numbers() {
    let scratch = scratch("onnx-run");
    let mut archive = zip::ZipWriter::new(File::create(scratch.path("in.npz")).unwrap());
    for (name, array) in arrays() {
        scratch.file(&format!("{name}.npy"), &array);
        archive.start_file(format!("{name}.npy"), zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(&array).unwrap();
    }
    archive.finish().unwrap();
    // Columns first, 64 bits that are no f32, and the same numbers as text.
    scratch.file("f.npy", &npy("<f4", "True", "(2, 3)", &bytes(&[1.0, 0.5, 0.0, 0.5, -1.0, 0.5])));
    for inputs in [
        &["--input", "x=x.npy", "--input", "z=z.npy"][..],
        &["--input", "x=f.npy", "--input", "z=z.npy"],
        &["--input", "in.npz"],
        &["--input", "x=1,0,-1, 0.5,.5,5e-1", "--input", "z=z.npy"],
    ] {
        let output = paceline(&scratch, &[&["run", "sum.onnx"], inputs].concat());
        assert!(output.status.success(), "{inputs:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(stdout(&output), "y f32[2, 2]: 8, 18, 3, 6.5\n", "{inputs:?}");
    }
    let run = |to: &str| {
        let output = paceline(&scratch, &["run", "sum.onnx", "--input", "in.npz", "--output", to]);
        assert!(output.status.success() && output.stdout.is_empty());
        assert!(String::from_utf8_lossy(&output.stderr).contains("wrote "));
    };
    run("out/of");
    let written = fs::read(scratch.path("out/of/y.npy")).unwrap();
    assert!(written.ends_with(&bytes(&Y)) && written.starts_with(b"\x93NUMPY"));
    run("out.npz");
    run("new/out.npz");
    let mut archive = zip::ZipArchive::new(File::open(scratch.path("out.npz")).unwrap()).unwrap();
    let mut archived = Vec::new();
    std::io::copy(&mut archive.by_name("y.npy").unwrap(), &mut archived).unwrap();
    assert_eq!(archived, written);
    let output = paceline(&scratch, &["run", "twins.onnx", "--input", "k=-9223372036854775807,4"]);
    assert_eq!(
        stdout(&output),
        "a/y i64[1, 2]: 9223372036854775807, -4\na:y i64[1, 2]: 9223372036854775807, 4\n"
    );
}

#[test]
fn bad_files_and_inputs_are_exit_code_2_and_a_message() {
    let scratch = scratch("onnx-bad");
    let good = npy("<f4", "False", "(2, 3)", &bytes(&X));
    for (name, array) in arrays() {
        scratch.file(&format!("{name}.npy"), &array);
    }
    for length in [0, 5, 9, 40, good.len() - 1] {
        scratch.file(&format!("cut{length}.npy"), &good[..length]);
    }
    let all = bytes(&X);
    for (name, kind, order, shape, data) in [
        ("huge", "<f4", "False", "(4294967296, 4294967296, 3)", &all[..]),
        ("long", "<f4", "False", "(2, 99999999999999999999999)", &all),
        ("other", "<f4", "False", "(2, 4)", &all),
        ("negative", "<f4", "False", "(-2, 3)", &all),
        ("double", "<f8", "False", "(1, 3)", &all),
        ("big-endian", ">f4", "False", "(2, 3)", &all),
        ("pickled", "|O", "False", "(2, 3)", b"\x80\x04c__builtin__\neval\n."),
        ("text", "<U7", "False", "(2, 3)", &all),
        ("neither", "<f4", "Maybe", "(2, 3)", &all),
        ("flat", "<f4", "True", "(6,)", &all),
        ("none", "<f4", "False", "(0, 3)", b""),
        ("three", "<f4", "False", "(3, 2)", &all),
    ] {
        scratch.file(&format!("{name}.npy"), &npy(kind, order, shape, data));
    }
    // Far more than its header says, none of which is read.
    File::options().append(true).open(scratch.file("surplus.npy", &good)).unwrap().set_len(1 << 40).unwrap();
    scratch.file("bomb.npz", &bomb());
    fs::create_dir(scratch.path("other")).unwrap();
    fs::copy(scratch.path("sum.onnx"), scratch.path("other/sum.onnx")).unwrap();
    scratch.file("endless.npy", b"\x93NUMPY\x02\x00\xff\xff\xff\xff{'descr'");
    scratch.file("not.npz", b"PK\x03\x04 and nothing more");
    scratch.file("text.onnx", b"not a model");
    let model = fs::read(scratch.path("sum.onnx")).unwrap();
    scratch.file("cut.onnx", &model[..model.len() / 2]);
    scratch.file("empty.onnx", b"");
    let in_a_file = format!("{}/y", scratch.path("x.npy"));

    let x = |file: &str| {
        vec![
            "run".into(),
            "sum.onnx".into(),
            "--input".into(),
            format!("x={file}"),
            "--input".into(),
            "z=z.npy".into(),
        ]
    };
    let with = |text: &str| text.split(' ').map(String::from).collect::<Vec<String>>();
    let fits = ["input 'x'", "f32[N, 3]"];
    let mut cases: Vec<(Vec<String>, Vec<&str>)> = vec![
        (x("nowhere.npy"), vec!["cannot use 'nowhere.npy'"]),
        (x("cut0.npy"), vec!["cut0.npy", "a file of NumPy's"]),
        (x("cut5.npy"), vec!["a file of NumPy's"]),
        (x("cut9.npy"), vec!["cut9.npy", "version 1, 2 or 3"]),
        (x("cut40.npy"), vec!["the file ends within its header"]),
        (x(&format!("cut{}.npy", good.len() - 1)), vec!["the file ends within a number"]),
        (x("endless.npy"), vec!["the file ends within its header"]),
        (x("huge.npy"), vec!["huge.npy", "elements"]),
        (x("long.npy"), vec!["long.npy", "a length in the header is no number"]),
        (x("other.npy"), vec!["other.npy", "8 elements", "6"]),
        (x("negative.npy"), vec!["a length in the header is no number"]),
        (x("double.npy"), [&fits[..], &["f64[1, 3]"]].concat()),
        (x("big-endian.npy"), vec!["little-endian", "'>f4'"]),
        (x("pickled.npy"), vec!["numbers or booleans", "'|O'"]),
        (x("text.npy"), vec!["'<U7'"]),
        (x("neither.npy"), vec!["fortran_order True or False, got Maybe"]),
        (x("flat.npy"), [&fits[..], &["f32[6]"]].concat()),
        (x("surplus.npy"), vec!["expected 24 bytes after the header"]),
        (x("none.npy"), vec!["expected one sample or more", "axis 0 of 'x'"]),
        (
            with("run sum.onnx --input bomb.npz"),
            vec!["'x' in 'bomb.npz'", "expected 24 bytes after the header"],
        ),
        (with("run twins.onnx --input k=1,2 --input 3,4"), vec!["input 'k' is given twice, once without"]),
        (with("inspect sum.onnx --dim batch=2 --dim batch=3"), vec!["'batch' is given twice with --dim"]),
        (with("inspect sum.onnx --bind x=x.npy --bind x=x.npy"), vec!["'x' is given twice with --bind"]),
        (
            with("verify --model sum.onnx --model other/sum.onnx"),
            vec!["two called 'sum': sum.onnx and other/sum.onnx; rename"],
        ),
        (with("tune sum.onnx --out ./sum.onnx"), vec!["itself; choose another file with --out"]),
        (x("three.npy"), [&fits[..], &["f32[3, 2]"]].concat()),
        (x("1,2"), [&fits[..], &["2 numbers"]].concat()),
        (x("1,two,3"), vec!["expected NAME=FILE.npy", "'x=1,two,3'"]),
        (x("not.npz"), vec!["an .npz file has names of its own"]),
        (with("run sum.onnx --input not.npz"), vec!["cannot use 'not.npz'"]),
        (with("run sum.onnx --input x=x.npy"), vec!["'x', 'z'", "got none for 'z'"]),
        (with("run sum.onnx --input x=x.npy --input x=x.npy"), vec!["input 'x' is given twice"]),
        (with("run sum.onnx --input x=x.npy --input q=z.npy"), vec!["expected the inputs 'x', 'z', got 'q'"]),
        (
            with("run sum.onnx --input x=1,2,3 --input z=z.npy"),
            vec!["as many samples", "1 of 'x' and 2 of 'z'"],
        ),
        (with("run twins.onnx --input k=1,2.5"), vec!["numbers that fit i64"]),
        (with("run twins.onnx --input k=1,9223372036854775808"), vec!["numbers that fit i64"]),
        (
            with("run twins.onnx --input k=1,2 --output both"),
            vec!["two outputs", "a_y.npy", "--output FILE.npz"],
        ),
        (with("run nowhere.onnx"), vec!["cannot read 'nowhere.onnx'"]),
        (with("run text.onnx"), vec!["cannot use 'text.onnx'", "not an ONNX model"]),
        (with("run cut.onnx"), vec!["cannot use 'cut.onnx'"]),
        (with("run empty.onnx"), vec!["it has no graph"]),
        (with("inspect cut.onnx"), vec!["cannot use 'cut.onnx'"]),
        (with("verify --model cut.onnx"), vec!["cannot use 'cut.onnx'"]),
        (with("tune cut.onnx"), vec!["cannot use 'cut.onnx'"]),
        (with("bench --model cut.onnx"), vec!["cannot use 'cut.onnx'"]),
        (with("inspect sum.onnx --dim sequence=3"), vec!["'batch'", "got 'sequence'"]),
        (with("inspect sum.onnx --dim batch"), vec!["NAME=LENGTH"]),
        (with("inspect sum.onnx --bind q=x.npy"), vec!["an input of the model to be bound", "'q'"]),
        (with("inspect sum.onnx --bind x=z.npy"), vec!["a value for input 'x'", "f32[2, 2]"]),
        (with("inspect sum.onnx --batch-axis rows"), vec!["the batch axis 'rows'"]),
        (with("inspect mlp --dim batch=3"), vec!["are for ONNX files"]),
    ];
    let mut unwritable = x("x.npy");
    unwritable.extend(["--output".into(), in_a_file]);
    cases.push((unwritable, vec!["cannot write to", "--output"]));
    for (arguments, fragments) in cases {
        let given: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let output = paceline(&scratch, &given);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {message}");
        assert!(output.stdout.is_empty(), "{arguments:?}: {}", stdout(&output));
        for fragment in fragments {
            assert!(message.contains(fragment), "{arguments:?}: expected `{fragment}` in: {message}");
        }
        assert!(!message.contains("panicked"), "{arguments:?}: {message}");
    }
    assert_eq!(fs::read(scratch.path("sum.onnx")).unwrap(), model);
}

#[test]
fn a_file_stands_wherever_a_model_is_named() {
    let scratch = scratch("onnx-file");
    let arguments =
        ["verify", "--model", "sum.onnx", "--model", "./twins.onnx", "--callers", "4", "--iterations", "5"];
    let findings = json(&paceline(&scratch, &[&arguments[..], &["--json"]].concat()));
    let checks = findings["checks"].as_array().unwrap();
    let got: Vec<_> = checks.iter().map(|check| (&check["name"], &check["right"])).collect();
    assert_eq!(got, [(&"sum".into(), &20.into()), (&"twins".into(), &20.into())]);

    let bench = "bench --suite batches,threads --model sum.onnx --callers 2 --batches 2 --lanes 2 --seconds 0.01 --json";
    let results = json(&paceline(&scratch, &bench.split(' ').collect::<Vec<_>>()));
    let rows = results["rows"].as_array().unwrap();
    assert!(rows.len() > 3 && rows.iter().all(|row| row["model"] == "sum" && row["wrong"] == 0), "{rows:?}");

    let tune = "tune sum.onnx --seconds 1 --batches 4 --lanes 1,2 --out profile.json --json --quiet";
    let profile = json(&paceline(&scratch, &tune.split(' ').collect::<Vec<_>>()));
    assert_eq!(
        (&profile["schema"], &profile["model"]["name"]),
        (&"paceline.profile/1".into(), &"sum".into())
    );
    assert!(scratch.0.join("profile.json").is_file());
}
