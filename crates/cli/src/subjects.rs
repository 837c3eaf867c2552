//! Devices and models as the command line names them.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use paceline::cpu::{CpuDevice, Isa};
use paceline::nn::{Model, StateDict};
use paceline::seam::Device;
use paceline_study::{Subject, Weights};

use crate::args::{What, With};

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
pub fn device_name(isa: Option<Isa>) -> String {
    isa.map_or("cpu".into(), |isa| format!("cpu:{isa}"))
}

/// The device of this name: as the library knows it, or `cpu:` and an instruction set.
pub fn device_by_name(name: &str) -> Result<Arc<dyn Device>> {
    match name.strip_prefix("cpu:") {
        Some(isa) => device_of(Some(isa.parse()?)),
        None => Ok(paceline::device(name)?),
    }
}

/// The models asked for, or else these, with their weights. Weights from a file are known to fit when this returns.
pub fn subjects(what: &What, default: &[&str]) -> Result<Vec<Subject>> {
    let mut models: Vec<Model> = Vec::new();
    for model in &what.models {
        if !models.iter().any(|earlier| earlier.name() == model.name()) {
            models.push(model.clone());
        }
    }
    if what.with.weights.is_none() {
        if models.is_empty() {
            models = default.iter().map(|name| Model::by_name(name)).collect::<Result<_, _>>()?;
        }
        return models.into_iter().map(|model| subject(model, &what.with)).collect();
    }
    let [model] = &models[..] else {
        bail!("--weights needs exactly one --model that they are for, got {}", models.len());
    };
    Ok(vec![subject(model.clone(), &what.with)?])
}

/// A model with its weights, which are known to fit when this returns.
pub fn subject(model: Model, with: &With) -> Result<Subject> {
    let Some(path) = &with.weights else { return Ok(Subject { model, weights: Weights::Seed(with.seed) }) };
    let weights = || format!("cannot use '{}' as the weights of '{}'", path.display(), model.name());
    let state = StateDict::from_safetensors(path).with_context(weights)?;
    state.check(model.network()).with_context(weights)?;
    Ok(Subject { model, weights: Weights::State(state) })
}
