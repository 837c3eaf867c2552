//! ONNX tensors as ours, and ours as ONNX's.
//!
//! Half precision (f16 and bf16) becomes f32, which holds all its values. A tensor's data must be exactly as long as its axes say.

use std::collections::HashMap;
use std::sync::Arc;

use half::{bf16, f16};
use paceline_graph::{DType, Data, Store, Tensor, by_type};

use crate::OnnxError;
use crate::file::{Content, ExternalFiles};
use crate::proto::{TensorProto, data_type};

/// As many axes as a tensor may have; NumPy's arrays have no more.
pub(crate) const MOST_AXES: usize = 64;
/// What all tensors of a model may take together, in multiples of the bytes of the files they come from: one byte in a file becomes
/// at most eight in a list of numbers, or two where f16 becomes f32.
const MOST_GROWTH: usize = 8;
/// What they may take in any case.
const SMALL_BYTES: usize = 64 << 20;

/// Tensors from this size on stay in the file that they lie in, where they can; smaller ones are copied, which costs less than to keep
/// track of their pages.
const WORTH_SHARING_BYTES: usize = 16 << 10;

/// The element type that an ONNX type is computed in; `None` where there is none.
pub(crate) fn dtype(onnx: i32) -> Option<DType> {
    Some(match onnx {
        data_type::FLOAT | data_type::FLOAT16 | data_type::BFLOAT16 => DType::F32,
        data_type::DOUBLE => DType::F64,
        data_type::INT64 => DType::I64,
        data_type::INT32 => DType::I32,
        data_type::INT16 => DType::I16,
        data_type::INT8 => DType::I8,
        data_type::UINT64 => DType::U64,
        data_type::UINT32 => DType::U32,
        data_type::UINT16 => DType::U16,
        data_type::UINT8 => DType::U8,
        data_type::BOOL => DType::Bool,
        _ => return None,
    })
}

/// The ONNX type that an element type is written as.
pub(crate) fn onnx_type(dtype: DType) -> i32 {
    match dtype {
        DType::F32 => data_type::FLOAT,
        DType::F64 => data_type::DOUBLE,
        DType::I64 => data_type::INT64,
        DType::I32 => data_type::INT32,
        DType::I16 => data_type::INT16,
        DType::I8 => data_type::INT8,
        DType::U64 => data_type::UINT64,
        DType::U32 => data_type::UINT32,
        DType::U16 => data_type::UINT16,
        DType::U8 => data_type::UINT8,
        DType::Bool => data_type::BOOL,
    }
}

/// Reads tensors, and keeps count of what they take.
pub(crate) struct TensorReader {
    files: ExternalFiles,
    model: Content,
    taken_bytes: usize,
    /// What was read before, by where it lies. The files stay mapped as long as the reader exists, so a place is its own.
    known: HashMap<Lies, Arc<Tensor>>,
}

/// Where a tensor lies, and as what.
#[derive(PartialEq, Eq, Hash)]
struct Lies {
    address: usize,
    bytes: usize,
    data_type: i32,
    shape: Vec<usize>,
}

impl TensorReader {
    /// Reads those of a model file.
    pub(crate) fn new(files: ExternalFiles, model: Content) -> Self {
        TensorReader { files, model, taken_bytes: 0, known: HashMap::new() }
    }

    /// Begins to count anew: another graph is made of the same tensors.
    pub(crate) fn begin(&mut self) {
        self.taken_bytes = 0;
    }

    /// A tensor, or `None` where its element type is not supported. What lies in a file is made once, however often it is read.
    pub(crate) fn read(&mut self, proto: &TensorProto) -> Result<Option<Arc<Tensor>>, OnnxError> {
        let problem =
            |expected: String, got: String| OnnxError::Tensor { name: proto.name.clone(), expected, got };
        let Some(dtype) = dtype(proto.data_type) else { return Ok(None) };
        if proto.dims.len() > MOST_AXES {
            return Err(problem(format!("at most {MOST_AXES} axes"), format!("{}", proto.dims.len())));
        }
        let shape: Option<Vec<usize>> = proto.dims.iter().map(|&dim| usize::try_from(dim).ok()).collect();
        let shape = shape.ok_or_else(|| {
            problem("axes of a length of at least 0".into(), format!("axes {:?}", proto.dims))
        })?;
        let count = shape.iter().try_fold(1usize, |n, &length| n.checked_mul(length));
        let count =
            count.filter(|count| count.checked_mul(dtype.size_bytes()).is_some()).ok_or_else(|| {
                problem("a number of elements that fits in memory".into(), format!("axes {shape:?}"))
            })?;
        let raw = match proto.data_location {
            0 => (!proto.raw_data.is_empty()).then(|| self.model.part(proto.raw_data.clone())),
            _ => Some(self.external(proto)?),
        };
        let bytes = count * dtype.size_bytes();
        self.taken_bytes = self.taken_bytes.saturating_add(bytes);
        let stored = self.model.bytes.len().saturating_add(self.files.total_bytes());
        if self.taken_bytes > stored.saturating_mul(MOST_GROWTH).saturating_add(SMALL_BYTES) {
            let expected =
                format!("tensors of at most {MOST_GROWTH} times the {stored} bytes of the model's files");
            return Err(problem(expected, format!("{} bytes", self.taken_bytes)));
        }
        let data = match raw {
            Some(raw) => {
                let width = onnx_width(proto.data_type);
                if raw.bytes.len() != count * width {
                    let expected =
                        format!("{} bytes of {}{shape:?}", count * width, data_type::name(proto.data_type));
                    return Err(problem(expected, format!("{} bytes", raw.bytes.len())));
                }
                let lies = Lies {
                    address: raw.bytes.as_ptr().addr(),
                    bytes: raw.bytes.len(),
                    data_type: proto.data_type,
                    shape: shape.clone(),
                };
                if let Some(known) = self.known.get(&lies) {
                    return Ok(Some(Arc::clone(known)));
                }
                let data = elements(proto.data_type, dtype, raw);
                let tensor = Arc::new(Tensor::new(shape, data).expect("the elements were counted"));
                self.known.insert(lies, Arc::clone(&tensor));
                return Ok(Some(tensor));
            }
            None => {
                let data = from_lists(proto);
                if data.len() != count {
                    return Err(problem(
                        format!("{count} elements of axes {shape:?}"),
                        format!("{}", data.len()),
                    ));
                }
                data
            }
        };
        Ok(Some(Arc::new(Tensor::new(shape, data).expect("the elements were counted"))))
    }

    fn external(&mut self, proto: &TensorProto) -> Result<Content, OnnxError> {
        let problem = |expected: &str, got: String| OnnxError::Tensor {
            name: proto.name.clone(),
            expected: expected.into(),
            got,
        };
        let entry = |key: &str| proto.external_data.iter().find(|e| e.key == key).map(|e| e.value.as_str());
        let number = |key: &str| {
            let parse = |text: &str| {
                text.parse::<u64>().map_err(|_| problem("a whole number of bytes", format!("{key} '{text}'")))
            };
            entry(key).map(parse).transpose()
        };
        let location =
            entry("location").ok_or_else(|| problem("a file that its data lies in", "none".into()))?;
        self.files.bytes(&proto.name, location, number("offset")?.unwrap_or(0), number("length")?)
    }
}

/// Bytes that one element takes in a file.
fn onnx_width(onnx: i32) -> usize {
    match onnx {
        data_type::FLOAT16 | data_type::BFLOAT16 => 2,
        _ => dtype(onnx).expect("checked by the caller").size_bytes(),
    }
}

/// Elements where they lie, if that is possible and worth while, or a copy.
fn elements(onnx: i32, dtype: DType, raw: Content) -> Data {
    let as_they_are = cfg!(target_endian = "little") && onnx_type(dtype) == onnx;
    let raw = Arc::new(raw);
    if as_they_are
        && raw.bytes.len() >= WORTH_SHARING_BYTES
        && let Some(data) = Data::stored(dtype, raw.clone())
    {
        return data;
    }
    let data = from_raw(onnx, &raw.bytes);
    if raw.bytes.len() >= WORTH_SHARING_BYTES {
        raw.release();
    }
    data
}

/// Little-endian elements of a type that [`dtype`] knows.
fn from_raw(onnx: i32, raw: &[u8]) -> Data {
    macro_rules! numbers {
        ($ty:ty) => {
            raw.chunks_exact(size_of::<$ty>())
                .map(|bytes| <$ty>::from_le_bytes(bytes.try_into().expect("a chunk is as long as it says")))
                .collect::<Vec<$ty>>()
        };
    }
    let bits = || raw.chunks_exact(2).map(|bytes| u16::from_le_bytes([bytes[0], bytes[1]]));
    match onnx {
        data_type::FLOAT => Data::of(numbers!(f32)),
        data_type::DOUBLE => Data::of(numbers!(f64)),
        data_type::INT64 => Data::of(numbers!(i64)),
        data_type::INT32 => Data::of(numbers!(i32)),
        data_type::INT16 => Data::of(numbers!(i16)),
        data_type::INT8 => Data::of(numbers!(i8)),
        data_type::UINT64 => Data::of(numbers!(u64)),
        data_type::UINT32 => Data::of(numbers!(u32)),
        data_type::UINT16 => Data::of(numbers!(u16)),
        data_type::UINT8 => Data::of(raw.to_vec()),
        data_type::BOOL => raw.iter().map(|&byte| byte != 0).collect::<Vec<bool>>().into(),
        data_type::FLOAT16 => bits().map(|bits| f16::from_bits(bits).to_f32()).collect::<Vec<f32>>().into(),
        data_type::BFLOAT16 => bits().map(|bits| bf16::from_bits(bits).to_f32()).collect::<Vec<f32>>().into(),
        _ => unreachable!("checked by the caller"),
    }
}

/// Elements in the lists that ONNX keeps each type in.
fn from_lists(proto: &TensorProto) -> Data {
    macro_rules! narrowed {
        ($list:ident, $ty:ty) => {
            proto.$list.iter().map(|&value| value as $ty).collect::<Vec<$ty>>()
        };
    }
    match proto.data_type {
        data_type::FLOAT => Data::of(proto.float_data.clone()),
        data_type::DOUBLE => Data::of(proto.double_data.clone()),
        data_type::INT64 => Data::of(proto.int64_data.clone()),
        data_type::UINT64 => Data::of(proto.uint64_data.clone()),
        data_type::UINT32 => Data::of(narrowed!(uint64_data, u32)),
        data_type::INT32 => Data::of(proto.int32_data.clone()),
        data_type::INT16 => Data::of(narrowed!(int32_data, i16)),
        data_type::INT8 => Data::of(narrowed!(int32_data, i8)),
        data_type::UINT16 => Data::of(narrowed!(int32_data, u16)),
        data_type::UINT8 => Data::of(narrowed!(int32_data, u8)),
        data_type::BOOL => proto.int32_data.iter().map(|&value| value != 0).collect::<Vec<bool>>().into(),
        data_type::FLOAT16 => proto
            .int32_data
            .iter()
            .map(|&bits| f16::from_bits(bits as u16).to_f32())
            .collect::<Vec<f32>>()
            .into(),
        data_type::BFLOAT16 => proto
            .int32_data
            .iter()
            .map(|&bits| bf16::from_bits(bits as u16).to_f32())
            .collect::<Vec<f32>>()
            .into(),
        _ => unreachable!("checked by the caller"),
    }
}

/// One of our tensors as ONNX writes it.
pub(crate) fn to_proto(name: &str, tensor: &Tensor) -> TensorProto {
    let raw = to_raw(tensor.data());
    TensorProto {
        name: name.into(),
        dims: tensor.shape().iter().map(|&length| length as i64).collect(),
        data_type: onnx_type(tensor.dtype()),
        raw_data: raw.into(),
        ..TensorProto::default()
    }
}

/// Elements as bytes, little-endian.
trait LittleEndian: Copy {
    fn append(self, to: &mut Vec<u8>);
}

macro_rules! little_endian {
    ($($ty:ty),*) => {
        $(impl LittleEndian for $ty {
            fn append(self, to: &mut Vec<u8>) {
                to.extend_from_slice(&self.to_le_bytes());
            }
        })*
    };
}

little_endian!(f32, f64, i64, i32, i16, i8, u64, u32, u16, u8);

impl LittleEndian for bool {
    fn append(self, to: &mut Vec<u8>) {
        to.push(u8::from(self));
    }
}

fn to_raw(data: &Data) -> Vec<u8> {
    let mut raw = Vec::with_capacity(data.len() * data.dtype().size_bytes());
    by_type!(Data, data, values => values.iter().for_each(|value| value.append(&mut raw)));
    raw
}
