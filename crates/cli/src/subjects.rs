//! Devices and models as the command line names them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use paceline::cpu::{CpuDevice, Isa};
use paceline::nn::{Model, StateDict};
use paceline::seam::Device;
use paceline_study::{Subject, Weights, WorkerSetup};

use crate::args::{FileOptions, What, With};
use crate::output::tell;
use crate::source::{ModelFile, Source};

/// The device with the kernels asked for.
pub fn device(with: &With) -> Result<Arc<dyn Device>> {
    device_of(with.isa)
}

/// The device with these kernels, or the best of the machine.
pub fn device_of(isa: Option<Isa>) -> Result<Arc<dyn Device>> {
    Ok(match isa {
        None => paceline::device("cpu")?,
        Some(isa) => Arc::new(CpuDevice::with_isa(isa)?),
    })
}

/// What a worker calls the device with these kernels.
fn device_name(isa: Option<Isa>) -> String {
    isa.map_or("cpu".into(), |isa| format!("cpu:{isa}"))
}

/// The device of this name: as the library knows it, or `cpu:` and an instruction set.
pub fn device_by_name(name: &str) -> Result<Arc<dyn Device>> {
    match name.strip_prefix("cpu:") {
        Some(isa) => device_of(Some(isa.parse()?)),
        None => Ok(paceline::device(name)?),
    }
}

/// The models asked for, each once.
pub fn sources(what: &What) -> Result<Vec<&Source>> {
    let mut sources: Vec<&Source> = Vec::new();
    for source in &what.models {
        match sources.iter().find(|earlier| earlier.name() == source.name()) {
            None => sources.push(source),
            Some(earlier) if earlier.is_same(source) => {}
            Some(earlier) => bail!(
                "expected models with names of their own, got two called '{}': {} and {}; rename one of the files",
                source.name(),
                earlier.text(),
                source.text()
            ),
        }
    }
    Ok(sources)
}

/// The models asked for, or else these, with their weights. Weights from a file are known to fit when this returns.
pub fn subjects(what: &What, default: &[&str]) -> Result<Vec<Subject>> {
    let sources = sources(what)?;
    if what.with.weights.is_some() && sources.len() != 1 {
        bail!("--weights needs exactly one --model that they are for, got {}", sources.len());
    }
    if !what.with.file.are_default() && !sources.iter().any(|source| source.is_file()) {
        bail!("--dim, --bind and --batch-axis are for ONNX files; name one with --model");
    }
    if sources.is_empty() {
        return default
            .iter()
            .map(|name| subject(&Source::Named(Model::by_name(name)?), &what.with))
            .collect();
    }
    sources.into_iter().map(|source| subject(source, &what.with)).collect()
}

/// A model with its weights, which are known to fit when this returns.
pub fn subject(source: &Source, with: &With) -> Result<Subject> {
    if source.is_file() && with.weights.is_some() {
        bail!("--weights is for models by name; an ONNX file has its weights with it");
    }
    let (model, notes) = source.model(&with.file, with.seed)?;
    for note in notes {
        tell(format_args!("note: {}: {note}", source.name()));
    }
    let Some(path) = &with.weights else { return Ok(Subject { model, weights: Weights::Seed(with.seed) }) };
    let weights = || format!("cannot use '{}' as the weights of '{}'", path.display(), model.name());
    let state = StateDict::from_safetensors(path).with_context(weights)?;
    state.check(model.network()).with_context(weights)?;
    Ok(Subject { model, weights: Weights::State(state) })
}

/// The files that these models are read from.
pub fn what_is_read<'s>(sources: impl IntoIterator<Item = &'s Source>, with: &With) -> Vec<PathBuf> {
    let models = sources.into_iter().filter(|source| source.is_file()).map(|source| source.text().into());
    models.chain(with.weights.clone()).chain(with.file.bound_files()).collect()
}

/// How workers with some of these models are started: this very program, on the same kernels, with the same weights.
pub fn workers<'s>(
    sources: impl IntoIterator<Item = &'s Source>,
    file: &FileOptions,
    weights: Option<&Path>,
    isa: Option<Isa>,
) -> Result<WorkerSetup> {
    let described = sources.into_iter().filter(|source| source.is_file()).map(|source| {
        let file = ModelFile { path: source.text(), options: file.clone() };
        Ok((source.name(), serde_json::to_string(&file)?))
    });
    Ok(WorkerSetup {
        executable: std::env::current_exe().context("cannot find this program's own file")?,
        device: device_name(isa),
        weights: weights.map(Path::to_path_buf),
        custom: described.collect::<Result<_>>()?,
    })
}
