//! The official tests of ONNX's operators, and the table of them in docs/onnx.md.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::shell::{Command, require, root};

/// The version of the package `onnx` whose tests are run.
const ONNX: &str = "1.23.2";
const BEGIN: &str = "<!-- written by cargo xtask onnx-conformance -->\n";
const END: &str = "<!-- end -->\n";

/// Fetches the tests, runs them, and writes the table; an error where one fails. `venv` has the package already.
pub fn conformance(venv: Option<&str>) -> Result<()> {
    let python = match venv {
        Some(venv) => Path::new(venv).join("bin/python"),
        None => prepared()?,
    };
    let python = python.to_str().context("the path of Python is no text")?;
    let cases = root().join("target/onnx-cases");
    if cases.exists() {
        fs::remove_dir_all(&cases).with_context(|| format!("cannot remove '{}'", cases.display()))?;
    }
    Command::new(python).args(["xtask/src/onnx_cases.py", "target/onnx-cases"]).run()?;
    let table = "target/onnx-cases.md";
    let example = ["run", "--release", "--package", "paceline", "--example", "onnx_conformance", "--"];
    let arguments = ["target/onnx-cases", "--onnx", ONNX, "--report", table];
    let ran = Command::new("cargo").args(example.into_iter().chain(arguments)).run();
    write(&fs::read_to_string(root().join(table)).context("the tests left no table")?)?;
    ran
}

/// The interpreter of a virtual environment with the package, made where it is missing.
fn prepared() -> Result<PathBuf> {
    require("python3", "apt-get install python3-venv")?;
    let venv = root().join("target/onnx-venv");
    let python = venv.join("bin/python");
    if !python.is_file() {
        Command::new("python3").args(["-m", "venv", "target/onnx-venv"]).run()?;
    }
    let package = format!("onnx=={ONNX}");
    Command::new(&python).args(["-m", "pip", "install", "--quiet", &package]).run()?;
    Ok(python)
}

/// Puts the table where docs/onnx.md has it.
fn write(table: &str) -> Result<()> {
    let path = root().join("docs/onnx.md");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read '{}'", path.display()))?;
    let places = text.find(BEGIN).zip(text.find(END)).filter(|(begin, end)| begin < end);
    ensure!(places.is_some(), "expected the lines that enclose the table in '{}', got none", path.display());
    let (begin, end) = places.expect("just checked");
    let text = format!("{}{table}{}", &text[..begin + BEGIN.len()], &text[end..]);
    fs::write(&path, text).with_context(|| format!("cannot write '{}'", path.display()))
}
