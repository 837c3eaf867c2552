//! Reads models and tensors.

use std::path::Path;

use bytes::Bytes;
use paceline_graph::Tensor;
use prost::Message;

use crate::file::{Content, ExternalFiles, map_model};
use crate::import::{Imported, import};
use crate::proto::{ModelProto, TensorProto, data_type};
use crate::tensor::TensorReader;
use crate::{ImportOptions, OnnxError, wire};

/// Reads a model file, and the files beside it that its tensors lie in.
///
/// The files are mapped into memory, and large tensors stay in them as long as the graph exists: they must not be shortened or written
/// to meanwhile (to put another file in the place of one is no harm). What was compiled from the graph does not need them. The model may take 2 GiB, which is
/// what protobuf allows, and its tensors eight times what its files take (64 MiB in any case).
///
/// # Errors
/// Where the file is no ONNX model, where it uses what is not supported (all of that is listed), where axes with names need a
/// length ([`ImportOptions::dim`]), or where it is not well formed.
pub fn read(path: impl AsRef<Path>, options: &ImportOptions) -> Result<Imported, OnnxError> {
    let path = path.as_ref();
    let folder =
        path.parent().map(|folder| if folder.as_os_str().is_empty() { Path::new(".") } else { folder });
    let content = map_model(path)?;
    decode(content, &|| ExternalFiles::new(folder.map(Path::to_path_buf)), options)
}

/// Reads a model from memory; all its tensors must be in it. As [`read`] otherwise.
pub fn read_bytes(model: impl Into<Bytes>, options: &ImportOptions) -> Result<Imported, OnnxError> {
    decode(Content::from(model.into()), &|| ExternalFiles::new(None), options)
}

fn decode(
    content: Content,
    files: &dyn Fn() -> ExternalFiles,
    options: &ImportOptions,
) -> Result<Imported, OnnxError> {
    wire::check_model(&content.bytes)?;
    let model = ModelProto::decode(content.bytes.clone())
        .map_err(|error| OnnxError::NotOnnx { problem: error.to_string() })?;
    import(&model, &content, files, options)
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
    Ok((proto.name, tensor))
}
