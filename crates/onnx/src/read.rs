//! Reads models and tensors.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use paceline_graph::Tensor;
use prost::Message;

use crate::file::{Content, ExternalFiles, map_model};
use crate::import::{FreeAxis, Imported, free_axes, import};
use crate::proto::{ModelProto, TensorProto, data_type};
use crate::tensor::TensorReader;
use crate::{ImportOptions, OnnxError, wire};

/// An ONNX model that may be read several times, with different choices: for other lengths of axes that have names, say. Graphs that are
/// read from one source share their tensors.
///
/// The files are mapped into memory, and large tensors stay in them as long as the source or a graph of it exists: they must not be
/// shortened or written to meanwhile (to put another file in the place of one is no harm). What was compiled from a graph does not
/// need them.
pub struct Source {
    model: ModelProto,
    reader: Mutex<TensorReader>,
}

impl Source {
    /// A model file, and the files beside it that its tensors lie in. The model may take 2 GiB, which is what protobuf allows, and its
    /// tensors eight times what its files take (64 MiB in any case).
    ///
    /// # Errors
    /// Where the file is no ONNX model.
    pub fn open(path: impl AsRef<Path>) -> Result<Source, OnnxError> {
        let path = path.as_ref();
        let folder =
            path.parent().map(|folder| if folder.as_os_str().is_empty() { Path::new(".") } else { folder });
        Source::decode(map_model(path)?, ExternalFiles::new(folder.map(Path::to_path_buf)))
    }

    /// A model from memory; all its tensors must be in it. As [`open`](Source::open) otherwise.
    pub fn of_bytes(model: impl Into<Bytes>) -> Result<Source, OnnxError> {
        Source::decode(Content::from(model.into()), ExternalFiles::new(None))
    }

    fn decode(content: Content, files: ExternalFiles) -> Result<Source, OnnxError> {
        wire::check_model(&content.bytes)?;
        let model = ModelProto::decode(content.bytes.clone())
            .map_err(|error| OnnxError::NotOnnx { problem: error.to_string() })?;
        Ok(Source { model, reader: Mutex::new(TensorReader::new(files, content)) })
    }

    /// Reads the model as a graph.
    ///
    /// # Errors
    /// Where it uses what is not supported (all of that is listed), where axes with names need a length ([`ImportOptions::dim`]), or
    /// where it is not well formed.
    pub fn read(&self, options: &ImportOptions) -> Result<Imported, OnnxError> {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        import(&self.model, &mut reader, options)
    }

    /// The axes of the inputs that have a name instead of a length, and that the choices bind to none: each request may choose. The batch
    /// is not among them.
    pub fn free_axes(&self, options: &ImportOptions) -> Result<Vec<FreeAxis>, OnnxError> {
        free_axes(&self.model, options)
    }
}

/// Reads a model file once: [`Source::open`] and [`Source::read`].
pub fn read(path: impl AsRef<Path>, options: &ImportOptions) -> Result<Imported, OnnxError> {
    Source::open(path)?.read(options)
}

/// Reads a model from memory once; all its tensors must be in it. As [`read`] otherwise.
pub fn read_bytes(model: impl Into<Bytes>, options: &ImportOptions) -> Result<Imported, OnnxError> {
    Source::of_bytes(model)?.read(options)
}

/// Reads one tensor, as a file of ONNX's test data holds it, with its name.
pub fn read_tensor(content: impl Into<Bytes>) -> Result<(String, Tensor), OnnxError> {
    let content: Bytes = content.into();
    wire::check_tensor(&content)?;
    let proto = TensorProto::decode(content.clone())
        .map_err(|error| OnnxError::NotOnnx { problem: error.to_string() })?;
    let tensor = TensorReader::new(ExternalFiles::new(None), content.into()).read(&proto)?;
    let tensor = tensor.ok_or_else(|| OnnxError::Tensor {
        name: proto.name.clone(),
        expected: "elements of a type that is supported".into(),
        got: data_type::name(proto.data_type),
    })?;
    Ok((proto.name, Arc::unwrap_or_clone(tensor)))
}
