//! Reads and writes safetensors files.
//!
//! A file is 8 bytes of header length, a JSON header, and the elements. It is read as a stream, a tensor at a time, so
//! that a file whose header promises more than follows costs only what follows.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use half::{bf16, f16};
use paceline_graph::{DType, Data, Element, Tensor, by_type};
use safetensors::tensor::{Dtype, Metadata, View};

use crate::StateDictError;

/// The longest header that is read: room for about 100,000 tensors.
const MAX_HEADER_BYTES: u64 = 16 << 20;

/// What a file holds.
pub(crate) struct Contents {
    /// In the order of their elements in the file.
    pub(crate) tensors: Vec<(String, Tensor)>,
    /// The free-form part of the header.
    #[cfg_attr(not(feature = "testing"), allow(dead_code, reason = "weights need no metadata"))]
    pub(crate) metadata: HashMap<String, String>,
}

/// Reads a file; `failed` makes the error of a reader that fails.
///
/// A 64-bit number beyond the range of f32 becomes NaN, which a state dict refuses by name.
pub(crate) fn read(
    mut reader: impl Read,
    failed: impl Fn(std::io::Error) -> StateDictError,
) -> Result<Contents, StateDictError> {
    let mut take = |length: u64, what: &str| -> Result<Vec<u8>, StateDictError> {
        let mut bytes = Vec::new();
        match reader.by_ref().take(length).read_to_end(&mut bytes) {
            Ok(read) if read as u64 == length => Ok(bytes),
            Ok(read) => Err(malformed(format!("{what} needs {length} bytes, but {read} are left"))),
            Err(error) if error.kind() == ErrorKind::OutOfMemory => {
                Err(malformed(format!("{what} has {length} bytes, more than memory can hold")))
            }
            Err(error) => Err(failed(error)),
        }
    };
    let length = take(8, "the header's length")?;
    let length = u64::from_le_bytes(length.try_into().expect("eight bytes were read"));
    if length > MAX_HEADER_BYTES {
        return Err(malformed(format!(
            "its header says it has {length} bytes; at most {MAX_HEADER_BYTES} are read"
        )));
    }
    let header = take(length, "the header")?;
    let header: Metadata = serde_json::from_slice(&header)
        .map_err(|error| malformed(format!("its header is wrong: {error}")))?;

    let names = header.offset_keys();
    let infos: Vec<_> = names.iter().map(|name| header.info(name).expect("a listed tensor")).collect();
    let unsupported: Vec<(String, String)> = names
        .iter()
        .zip(&infos)
        .filter(|(_, info)| element_type(info.dtype).is_none())
        .map(|(name, info)| (name.clone(), info.dtype.to_string()))
        .collect();
    if !unsupported.is_empty() {
        return Err(StateDictError::UnsupportedDType { tensors: unsupported });
    }
    let mut tensors = Vec::with_capacity(names.len());
    for (name, info) in names.into_iter().zip(infos) {
        let (begin, end) = info.data_offsets;
        let bytes = take((end - begin) as u64, &format!("tensor '{name}'"))?;
        let tensor = Tensor::new(info.shape.clone(), elements(info.dtype, &bytes))
            .map_err(|error| malformed(format!("tensor '{name}': {error}")))?;
        tensors.push((name, tensor));
    }
    match reader.read(&mut [0]) {
        Ok(0) => {}
        Ok(_) => return Err(malformed("there are bytes after the last tensor".into())),
        Err(error) => return Err(failed(error)),
    }
    Ok(Contents { tensors, metadata: header.metadata().clone().unwrap_or_default() })
}

/// Writes a file beside `path`, then gives it its name.
pub(crate) fn write<'a>(
    tensors: impl Iterator<Item = (&'a str, &'a Arc<Tensor>)>,
    path: &Path,
) -> Result<(), std::io::Error> {
    let unfinished = &unfinished(path);
    let result = safetensors::serialize_to_file(
        tensors.map(|(name, tensor)| (name, Written(tensor))),
        None,
        unfinished,
    );
    let result = result
        .map_err(|error| match error {
            safetensors::SafeTensorError::IoError(error) => error,
            error => std::io::Error::other(error),
        })
        .and_then(|()| std::fs::rename(unfinished, path));
    if result.is_err() {
        // What went wrong is reported; that the remains could not be removed either adds nothing.
        let _ = std::fs::remove_file(unfinished);
    }
    result
}

/// A random name beside `path`, so that no two calls write to one file, here or in different processes.
fn unfinished(path: &Path) -> PathBuf {
    let random = RandomState::new().build_hasher().finish();
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{random:016x}.unfinished"));
    name.into()
}

fn malformed(problem: String) -> StateDictError {
    StateDictError::Malformed { problem }
}

/// What a type of the file becomes; `None` where nothing here corresponds to it.
fn element_type(dtype: Dtype) -> Option<DType> {
    match dtype {
        Dtype::F32 | Dtype::F16 | Dtype::BF16 | Dtype::F64 => Some(DType::F32),
        Dtype::I64 => Some(DType::I64),
        Dtype::I32 => Some(DType::I32),
        Dtype::I16 => Some(DType::I16),
        Dtype::I8 => Some(DType::I8),
        Dtype::U64 => Some(DType::U64),
        Dtype::U32 => Some(DType::U32),
        Dtype::U16 => Some(DType::U16),
        Dtype::U8 => Some(DType::U8),
        Dtype::BOOL => Some(DType::Bool),
        _ => None,
    }
}

fn elements(dtype: Dtype, bytes: &[u8]) -> Data {
    fn each<const SIZE: usize, T>(bytes: &[u8], element: impl Fn([u8; SIZE]) -> T) -> Vec<T> {
        bytes.as_chunks::<SIZE>().0.iter().map(|&chunk| element(chunk)).collect()
    }
    match dtype {
        Dtype::F16 => each(bytes, |b| f16::from_le_bytes(b).to_f32()).into(),
        Dtype::BF16 => each(bytes, |b| bf16::from_le_bytes(b).to_f32()).into(),
        Dtype::F64 => each(bytes, |b| narrowed(f64::from_le_bytes(b))).into(),
        Dtype::I64 => each(bytes, i64::from_le_bytes).into(),
        Dtype::I32 => Data::of(each(bytes, i32::from_le_bytes)),
        Dtype::I16 => Data::of(each(bytes, i16::from_le_bytes)),
        Dtype::I8 => Data::of(each(bytes, i8::from_le_bytes)),
        Dtype::U64 => Data::of(each(bytes, u64::from_le_bytes)),
        Dtype::U32 => Data::of(each(bytes, u32::from_le_bytes)),
        Dtype::U16 => Data::of(each(bytes, u16::from_le_bytes)),
        Dtype::U8 => Data::of(bytes.to_vec()),
        Dtype::BOOL => each(bytes, |b: [u8; 1]| b[0] != 0).into(),
        _ => each(bytes, f32::from_le_bytes).into(),
    }
}

fn narrowed(x: f64) -> f32 {
    let narrow = x as f32;
    if narrow.is_infinite() && x.is_finite() { f32::NAN } else { narrow }
}

/// A tensor as the safetensors crate wants it.
struct Written<'a>(&'a Tensor);

impl View for Written<'_> {
    fn dtype(&self) -> Dtype {
        match self.0.dtype() {
            DType::F32 => Dtype::F32,
            DType::F64 => Dtype::F64,
            DType::I64 => Dtype::I64,
            DType::I32 => Dtype::I32,
            DType::I16 => Dtype::I16,
            DType::I8 => Dtype::I8,
            DType::U64 => Dtype::U64,
            DType::U32 => Dtype::U32,
            DType::U16 => Dtype::U16,
            DType::U8 => Dtype::U8,
            DType::Bool => Dtype::BOOL,
        }
    }

    fn shape(&self) -> &[usize] {
        self.0.shape()
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let size = self.0.dtype().size_bytes();
        let little_end = |bits: u64| bits.to_le_bytes().into_iter().take(size);
        Cow::Owned(by_type!(Data, self.0.data(), v => v.iter().flat_map(|x| little_end(x.bits())).collect()))
    }

    fn data_len(&self) -> usize {
        self.0.len() * self.0.dtype().size_bytes()
    }
}
