//! Models from ONNX files.
//!
//! ```no_run
//! use paceline::{Engine, onnx::Model};
//! let engine = Engine::on("cpu")?;
//! let mlp = engine.load("mlp", Model::from_onnx("mlp.onnx")?)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod elastic;
mod free;

use std::borrow::Borrow;
use std::path::Path;

use paceline_graph::Graph;

pub use paceline_onnx::{
    BatchAxis, ExportError, FreeAxis, ImportOptions, Imported, OnnxError, Source, UnsupportedOperator, read,
    read_bytes, read_tensor, to_bytes, write,
};

pub use elastic::ElasticModel;

use free::free_batch;

/// A model from an ONNX file, to be [loaded](crate::Engine::load).
#[derive(Clone, Debug)]
pub struct Model {
    graph: Graph,
    notes: Vec<String>,
    opset: i64,
    producer: String,
}

impl Model {
    /// Reads a model.
    ///
    /// Axis 0 of the inputs becomes the batch where it has a name instead of a length; and where it has the same length for all
    /// inputs and outputs, if the model proves to compute each sample for itself: it is compiled both ways for the CPU, and what
    /// both compute for random samples is compared. Where neither is so, one request is one execution, and
    /// [`notes`](Model::notes) says why.
    ///
    /// Axes with names, other than the batch, need a length ([`ImportOptions::dim`]); a model of which each request chooses the lengths
    /// is an [`ElasticModel`]. The file must not be shortened or written to before the model is loaded, which copies what it needs.
    ///
    /// # Errors
    /// As [`read`] has them.
    pub fn from_onnx(path: impl AsRef<Path>) -> Result<Model, OnnxError> {
        Model::from_onnx_with(path, &ImportOptions::default())
    }

    /// [`from_onnx`](Model::from_onnx) with choices: the batch axis, and lengths of axes that have names.
    pub fn from_onnx_with(path: impl AsRef<Path>, options: &ImportOptions) -> Result<Model, OnnxError> {
        let source = Source::open(path)?;
        let mut imported = source.read(options)?;
        if let (Some(batch), BatchAxis::Auto) = (imported.fixed_batch, &options.batch) {
            let freed = source.read(&options.clone().batch(BatchAxis::Freed(batch)));
            let freed = freed.map_err(|error| error.to_string()).and_then(|freed| {
                free_batch(&imported.graph, &freed.graph, batch)?;
                Ok(freed)
            });
            match freed {
                Ok(freed) => {
                    imported = freed;
                    imported.notes.push(format!(
                        "exported for batches of {batch}; any size is accepted, as each sample proved to be computed for itself"
                    ));
                }
                Err(why) => imported.notes.push(format!(
                    "no batch axis, so that one request is one execution of the {batch} samples it was exported for: {why}"
                )),
            }
        }
        let Imported { graph, notes, opset, producer, .. } = imported;
        Ok(Model { graph, notes, opset, producer })
    }

    /// The model as a graph.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The model as a graph.
    pub fn into_graph(self) -> Graph {
        self.graph
    }

    /// What a user may want to know: why there is no batch axis, what is computed in another type than the model says.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Version of ONNX's operator set that the model uses.
    pub fn opset(&self) -> i64 {
        self.opset
    }

    /// Who wrote the file, such as `pytorch 2.4.0`; may be empty.
    pub fn producer(&self) -> &str {
        &self.producer
    }
}

impl Borrow<Graph> for Model {
    fn borrow(&self) -> &Graph {
        &self.graph
    }
}
