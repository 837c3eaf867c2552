//! The official tests of ONNX's operators, and the table of them in docs/onnx.md; models of ours in ONNX Runtime.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::shell::{Command, require, root};

/// The version of the package `onnx` whose tests are run.
const ONNX: &str = "1.23.2";
/// The version of ONNX Runtime that runs what is exported.
const ONNX_RUNTIME: &str = "1.31.1";
const BEGIN: &str = "<!-- written by cargo xtask onnx-conformance -->\n";
const END: &str = "<!-- end -->\n";

/// Fetches the tests, runs them, and writes the table; an error where one fails. `venv` has the package already.
pub fn conformance(venv: Option<&str>) -> Result<()> {
    let python = python(venv)?;
    let cases = root().join("target/onnx-cases");
    removed(&cases)?;
    Command::new(&python).args(["xtask/src/onnx_cases.py", "target/onnx-cases"]).run()?;
    let table = "target/onnx-cases.md";
    let example = ["run", "--release", "--package", "paceline", "--example", "onnx_conformance", "--"];
    let arguments = ["target/onnx-cases", "--onnx", ONNX, "--report", table];
    let ran = Command::new("cargo").args(example.into_iter().chain(arguments)).run();
    write(&fs::read_to_string(root().join(table)).context("the tests left no table")?)?;
    ran
}

/// Writes every model of ours and random graphs as ONNX, and checks them with ONNX's checker and ONNX Runtime.
pub fn export_check(venv: Option<&str>) -> Result<()> {
    let python = python(venv)?;
    let models = "target/onnx-exports";
    removed(&root().join(models))?;
    let example = ["run", "--release", "--package", "paceline", "--example", "onnx_export", "--", models];
    Command::new("cargo").args(example).run()?;
    Command::new(&python).args(["xtask/src/onnx_exports.py", models]).run()
}

fn removed(directory: &Path) -> Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory).with_context(|| format!("cannot remove '{}'", directory.display()))?;
    }
    Ok(())
}

/// The interpreter of a virtual environment that has the packages.
fn python(venv: Option<&str>) -> Result<PathBuf> {
    match venv {
        Some(venv) => Ok(Path::new(venv).join("bin/python")),
        None => prepared(),
    }
}

/// The interpreter of a virtual environment with the packages, made where it is missing.
fn prepared() -> Result<PathBuf> {
    require("python3", "apt-get install python3-venv")?;
    let venv = root().join("target/onnx-venv");
    let python = venv.join("bin/python");
    if !python.is_file() {
        Command::new("python3").args(["-m", "venv", "target/onnx-venv"]).run()?;
    }
    let (onnx, runtime) = (format!("onnx=={ONNX}"), format!("onnxruntime=={ONNX_RUNTIME}"));
    Command::new(&python).args(["-m", "pip", "install", "--quiet", &onnx, &runtime]).run()?;
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
