//! The models by name, with what they cost and take.

use paceline_graph::ValueType;
use paceline_nn::models;
use serde::{Deserialize, Serialize};

use crate::StudyError;

/// A model of the study.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelEntry {
    /// The short name.
    pub name: String,
    /// What it is, in a line.
    pub description: String,
    /// Floating-point operations of one sample.
    pub flops_per_sample: u64,
    /// Trained parameters.
    pub parameters: usize,
    /// In the model's order.
    pub inputs: Vec<PortEntry>,
    /// In the model's order.
    pub outputs: Vec<PortEntry>,
}

/// An input or output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortEntry {
    /// Its name.
    pub name: String,
    /// The element type.
    pub dtype: String,
    /// The shape; `N` is the batch.
    pub shape: String,
}

/// All models, in the order of the study's tables.
pub fn catalog() -> Result<Vec<ModelEntry>, StudyError> {
    let ports = |ports: Vec<(String, ValueType)>| {
        let port = |(name, ty): (String, ValueType)| PortEntry {
            name,
            dtype: ty.dtype.to_string(),
            shape: ty.shape.to_string(),
        };
        ports.into_iter().map(port).collect()
    };
    let entry = |model: paceline_nn::Model| {
        let summary = model.summary();
        let summary =
            summary.map_err(|error| StudyError::Build { name: model.name().into(), error: error.into() })?;
        Ok(ModelEntry {
            name: model.name().into(),
            description: model.description().into(),
            flops_per_sample: summary.flops,
            parameters: summary.parameters,
            inputs: ports(summary.inputs),
            outputs: ports(summary.outputs),
        })
    };
    models().into_iter().map(entry).collect()
}
