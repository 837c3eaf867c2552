//! What cannot be carried out: a message, exit code 2, and nothing made.

use crate::support::{Scratch, paceline, stdout};
use crate::weights::{BIAS, WEIGHT, safetensors};

#[test]
fn bad_input_is_exit_code_2_and_a_message() {
    let scratch = Scratch::new("bad");
    let good = safetensors(&[WEIGHT, BIAS]);
    let truncated = scratch.file("truncated.safetensors", &good[..good.len() - 7]);
    let hostile = scratch.file("hostile.safetensors", &[&u64::MAX.to_le_bytes()[..], b"{}"].concat());
    let empty = scratch.file("empty.safetensors", b"");
    let missing = scratch.file("missing.safetensors", &safetensors(&[WEIGHT, ("extra", &[3], 0.0)]));
    let misshapen =
        scratch.file("misshapen.safetensors", &safetensors(&[("weight", &[256, 128], 0.0), BIAS]));
    let nan = scratch.file("nan.safetensors", &safetensors(&[("weight", &[128, 256], f32::NAN), BIAS]));
    let good = scratch.file("good.safetensors", &good);
    let in_a_file = format!("{good}/out");
    let foreign_isa = if cfg!(target_arch = "aarch64") { "avx2" } else { "neon" };

    let foreign = [foreign_isa];

    fn with(file: &str) -> Vec<&str> {
        vec!["bench", "--model", "linear", "--weights", file]
    }
    let cases: Vec<(Vec<&str>, &[&str])> = vec![
        (vec![], &["Usage"]),
        (vec!["race"], &["unrecognized subcommand 'race'"]),
        (vec!["bench", "--model", "mlq"], &["there is no model 'mlq'", "linear", "mlp"]),
        (vec!["verify", "--model", "mlq"], &["there is no model 'mlq'"]),
        (vec!["bench", "--suite", "speed"], &["there is no suite 'speed'", "threads"]),
        (vec!["bench", "--isa", "sse9"], &["expected an instruction set", "sse9"]),
        (vec!["bench", "--isa", foreign_isa], &foreign),
        (vec!["verify", "--isa", foreign_isa], &foreign),
        (vec!["bench", "--callers", "0"], &["--callers", "from 1 to 1024, got '0'"]),
        (vec!["bench", "--callers", "1,,2"], &["from 1 to 1024, got ''"]),
        (vec!["bench", "--callers", "two"], &["got 'two'"]),
        (vec!["bench", "--callers", "-3,-1"], &["--callers", "got '-3'"]),
        (vec!["bench", "--lanes", "-1"], &["--lanes", "a whole number from 1 to 1024, got '-1'"]),
        (vec!["bench", "--seconds", "-1"], &["expected seconds", "got '-1'"]),
        (vec!["bench", "--seconds", "--quick"], &["expected seconds", "got '--quick'"]),
        (vec!["bench", "--seed", "-1"], &["--seed", "from 0 to 18446744073709551615, got '-1'"]),
        (vec!["bench", "--callers", "1", "--suite", "compare"], &["compare needs --callers above 1"]),
        (vec!["bench", "--batches", "8,99999999999999999999"], &["--batches", "from 1 to 4096"]),
        (vec!["bench", "--lanes", "0"], &["--lanes", "got '0'"]),
        (vec!["bench", "--seconds", "0"], &["expected seconds", "got '0'"]),
        (vec!["bench", "--seconds", "nan"], &["expected seconds", "got 'nan'"]),
        (vec!["bench", "--seconds", "inf"], &["expected seconds", "got 'inf'"]),
        (vec!["bench", "--workers", "0"], &["--workers", "from 1 to 64, got '0'"]),
        (vec!["bench", "--rounds", "0"], &["--rounds", "from 1 to 1000, got '0'"]),
        (vec!["bench", "--timeout", "0"], &["--timeout", "expected seconds from 0.1"]),
        (vec!["bench", "--minutes", "-1"], &["--minutes", "expected minutes from 0.01"]),
        (vec!["bench", "--minutes", "2"], &["--minutes is for the suite soak"]),
        (vec!["bench", "--arrivals", "late"], &["there are no arrivals 'late'", "poisson"]),
        (vec!["verify", "--callers", "0"], &["--callers", "got '0'"]),
        (vec!["tune"], &["MODEL"]),
        (vec!["tune", "mlq"], &["there is no model 'mlq'"]),
        (
            vec!["tune", "linear", "--objective", "speed"],
            &["expected throughput, streams or latency, got 'speed'"],
        ),
        (vec!["tune", "linear", "--p99-ms", "0"], &["expected milliseconds", "got '0'"]),
        (vec!["tune", "linear", "--p99-ms", "-1"], &["expected milliseconds", "got '-1'"]),
        (vec!["tune", "linear", "--lanes", "1,0"], &["--lanes", "from 1 to 1024, got '0'"]),
        (vec!["tune", "linear", "--threads", "many"], &["--threads", "got 'many'"]),
        (vec!["tune", "linear", "--batches", "0"], &["--batches", "from 1 to 4096"]),
        (vec!["tune", "linear", "--seconds", "0"], &["expected seconds", "got '0'"]),
        (vec!["tune", "linear", "--budget", "inf"], &["expected seconds", "got 'inf'"]),
        (vec!["tune", "linear", "--workers", "-1"], &["--workers", "from 0 to 256, got '-1'"]),
        (vec!["tune", "linear", "--weights", &truncated], &["not a valid safetensors file"]),
        (vec!["tune", "linear", "--out", &in_a_file], &["cannot write to", "--out"]),
        (vec!["tune", "linear", "--isa", foreign_isa], &foreign),
        (vec!["tune", "linear", "--dim", "len=4"], &["--dim", "are for ONNX files, got the model 'linear'"]),
        (vec!["tune", "linear", "--bind", "x=x.npy"], &["are for ONNX files"]),
        (vec!["tune", "linear", "--batch-axis", "none"], &["are for ONNX files"]),
        (
            vec!["tune", "linear", "--weights", &good, "--out", &good],
            &["good.safetensors", "itself; choose another file with --out"],
        ),
        (vec!["verify", "--iterations", "0"], &["--iterations", "got '0'"]),
        (
            vec!["bench", "--suite", "ops", "--model", "mlp"],
            &["--model is for the suites stress, threads, batches, compare, workers, saturation or soak"],
        ),
        (vec!["bench", "--weights", &good], &["--weights needs exactly one --model", "got 0"]),
        (vec!["bench", "--weights", &good, "--model", "linear,mlp"], &["exactly one --model", "got 2"]),
        (with("nowhere.safetensors"), &["nowhere.safetensors", "cannot read"]),
        (with(&empty), &["not a valid safetensors file"]),
        (with(&truncated), &["not a valid safetensors file", "bytes"]),
        (with(&hostile), &["not a valid safetensors file", "header"]),
        (with(&missing), &["missing: 'bias' [128]", "surplus: 'extra' [3]"]),
        (with(&misshapen), &["'weight' (expected [128, 256], got [256, 128])"]),
        (with(&nan), &["NaN", "'weight'"]),
        (vec!["verify", "--model", "linear", "--weights", &nan], &["NaN", "'weight'"]),
        (
            vec!["bench", "--suite", "batches", "--model", "linear", "--out", &in_a_file],
            &["cannot write to", "--out"],
        ),
        (
            vec!["bench", "--model", "linear", "--trace", &in_a_file],
            &["cannot write to", "good.safetensors/out", "--trace"],
        ),
        (
            vec!["bench", "--model", "linear", "--trace", "."],
            &["cannot write to '.'", "directory", "--trace"],
        ),
        (vec!["bench", "--model", "linear", "--trace", ""], &["--trace"]),
        (
            vec!["bench", "--model", "linear", "--trace", "paceline-report/report.md"],
            &["report.md", "itself; choose another file with --trace"],
        ),
        (
            vec!["bench", "--suite", "batches", "--model", "linear", "--trace", "t.json"],
            &["--trace is for measurements through the engine"],
        ),
    ];
    for (arguments, fragments) in cases {
        let output = paceline(&scratch, &arguments);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {message}");
        assert!(output.stdout.is_empty(), "{arguments:?}: {}", stdout(&output));
        for fragment in fragments {
            assert!(message.contains(fragment), "{arguments:?}: expected `{fragment}` in: {message}");
        }
        assert!(!message.contains("panicked"), "{arguments:?}: {message}");
    }
    assert!(
        !scratch.0.join("paceline-report").exists(),
        "nothing is made before the arguments are known to be good"
    );
}
