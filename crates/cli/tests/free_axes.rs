//! Commands on a model of which each request chooses a length.

use std::path::Path;
use std::process::{Command, Output};

fn paceline(arguments: &[&str]) -> Output {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../onnx/tests/models/free/sequence.onnx");
    let model = model.to_str().unwrap();
    let arguments = arguments.iter().map(|&argument| if argument == "MODEL" { model } else { argument });
    Command::new(env!("CARGO_BIN_EXE_paceline")).args(arguments).output().unwrap()
}

/// A file of zeros of i64, of this shape.
fn zeros(name: &str, shape: [usize; 2]) -> String {
    let mut header =
        format!("{{'descr': '<i8', 'fortran_order': False, 'shape': ({}, {}), }}", shape[0], shape[1]);
    let padding = 64 - (10 + header.len() + 1) % 64;
    header.extend(std::iter::repeat_n(' ', padding).chain(['\n']));
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.bytes());
    file.extend(vec![0; shape[0] * shape[1] * 8]);
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}.npy", std::process::id()));
    std::fs::write(&path, file).unwrap();
    path.to_str().unwrap().into()
}

#[test]
fn inspect_shows_them_and_what_it_is_for_a_length() {
    let open = paceline(&["inspect", "MODEL"]);
    let text = String::from_utf8(open.stdout).unwrap();
    assert!(open.status.success() && text.contains("sequence (axis 1 of 'ids')"), "{text}");
    assert!(text.contains("--dim sequence=LENGTH"), "{text}");
    let bound = paceline(&["inspect", "MODEL", "--dim", "sequence=8"]);
    let text = String::from_utf8(bound.stdout).unwrap();
    assert!(bound.status.success() && text.contains("[N, 8]"), "{text}");
    let json = paceline(&["inspect", "MODEL", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["free_axes"][0]["axis"], "sequence");
}

#[test]
fn run_takes_the_lengths_of_its_inputs() {
    for length in [3, 11] {
        let ids = zeros(&format!("ids{length}"), [2, length]);
        let input = format!("ids={ids}");
        let free = paceline(&["run", "MODEL", "--input", &input]);
        let bound = paceline(&["run", "MODEL", "--input", &input, "--dim", &format!("sequence={length}")]);
        let wrong = paceline(&["run", "MODEL", "--input", &input, "--dim", "sequence=5"]);
        std::fs::remove_file(ids).unwrap();
        assert!(free.status.success(), "{}", String::from_utf8_lossy(&free.stderr));
        assert!(!free.stdout.is_empty());
        assert_eq!(free.stdout, bound.stdout);
        assert!(!wrong.status.success());
    }
}

#[test]
fn what_measures_asks_for_lengths() {
    for arguments in
        [["verify", "--model", "MODEL"], ["bench", "--model", "MODEL"], ["tune", "MODEL", "--quiet"]]
    {
        let output = paceline(&arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && error.contains("--dim NAME=LENGTH"), "{arguments:?}: {error}");
    }
}
