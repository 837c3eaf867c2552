//! NumPy's files of one array (.npy) and of several (.npz). Source: numpy.lib.format.
//!
//! Own code, because the crates for it bring a number tower, a parser generator and a C compiler along, or an array library.

use std::fs::File;
use std::io::{Cursor, Read, Write};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use paceline::Tensor;
use paceline::graph::{Data, Element, by_type};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

const MAGIC: &[u8] = b"\x93NUMPY";
/// The header of a version 1 file ends on a multiple of this.
const ALIGNMENT: usize = 64;
/// With a longer header, nothing describes an array of numbers.
const LONGEST_HEADER: usize = 1 << 16;

/// The array of a .npy file.
pub fn read_npy(path: &Path) -> Result<Tensor> {
    let what = || format!("cannot use '{}'", path.display());
    let file = File::open(path).with_context(what)?;
    let metadata = file.metadata().with_context(what)?;
    ensure!(metadata.is_file(), "{}: it is not an ordinary file", what());
    read(file, metadata.len()).with_context(what)
}

/// The arrays of a .npz file, with their names.
pub fn read_npz(path: &Path) -> Result<Vec<(String, Tensor)>> {
    let what = || format!("cannot use '{}'", path.display());
    let mut archive = ZipArchive::new(File::open(path).with_context(what)?).with_context(what)?;
    let mut arrays = Vec::new();
    for index in 0..archive.len() {
        let entry = archive.by_index(index).with_context(what)?;
        let name = entry.name().with_context(what)?.trim_end_matches(".npy").to_string();
        let size = entry.size();
        let array = read(entry, size).with_context(|| format!("'{name}' in '{}'", path.display()))?;
        arrays.push((name, array));
    }
    Ok(arrays)
}

/// Arrays as the content of a .npz file.
pub fn npz<'a>(arrays: impl IntoIterator<Item = (&'a str, &'a Tensor)>) -> Result<Vec<u8>> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(true);
    for (name, tensor) in arrays {
        archive.start_file(format!("{name}.npy"), options)?;
        archive.write_all(&npy(tensor))?;
    }
    Ok(archive.finish()?.into_inner())
}

/// The array in `length` bytes of a reader. What does not fit its header is not read further than that.
fn read(mut from: impl Read, length: u64) -> Result<Tensor> {
    let mut bytes = Vec::new();
    from.by_ref().take((LONGEST_HEADER as u64).min(length)).read_to_end(&mut bytes)?;
    let header = Header::parse(&bytes)?;
    if let Some(data) = header.data_bytes() {
        let given = length.saturating_sub(header.length as u64);
        ensure!(given <= data, "expected {data} bytes after the header, got {given}");
    }
    // One byte more than there should be, so that an archive that has more is noticed and not read.
    from.take(length.saturating_add(1).saturating_sub(bytes.len() as u64)).read_to_end(&mut bytes)?;
    ensure!(bytes.len() as u64 == length, "it is not as long as it should be: {length} bytes");
    decode(&bytes)
}

/// What comes before the elements.
struct Header {
    /// NumPy's name of the elements' type.
    kind: String,
    fortran: bool,
    shape: Vec<usize>,
    /// Its own, in bytes.
    length: usize,
}

impl Header {
    fn parse(bytes: &[u8]) -> Result<Header> {
        let rest = bytes.strip_prefix(MAGIC).context("expected a file of NumPy's (.npy), got another")?;
        let (header, data) = match rest {
            [1, _, low, high, rest @ ..] => (usize::from(u16::from_le_bytes([*low, *high])), rest),
            [2 | 3, _, a, b, c, d, rest @ ..] => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, rest),
            _ => bail!("expected version 1, 2 or 3 of NumPy's format, got another"),
        };
        ensure!(header <= data.len(), "the file ends within its header");
        let (header, data) = data.split_at(header);
        let header = std::str::from_utf8(header).context("the header is not text")?;
        let kind = value(header, "descr")?.trim_matches(['\'', '"']).to_string();
        let fortran = match value(header, "fortran_order")? {
            "True" => true,
            "False" => false,
            other => bail!("expected fortran_order True or False, got {other}"),
        };
        let lengths = value(header, "shape")?.trim_matches(['(', ')']).split(',').map(str::trim);
        let lengths =
            lengths.filter(|length| !length.is_empty()).map(|length| length.trim_end_matches('L').parse());
        let shape =
            lengths.collect::<Result<Vec<usize>, _>>().context("a length in the header is no number")?;
        Ok(Header { kind, fortran, shape, length: bytes.len() - data.len() })
    }

    /// Bytes of all elements, of which the name of their type says how many each has; `None` where there is no such number.
    fn data_bytes(&self) -> Option<u64> {
        let width = self.kind.get(2..)?.parse::<u64>().ok()?;
        self.shape.iter().try_fold(width, |bytes, &length| bytes.checked_mul(length as u64))
    }
}

fn decode(bytes: &[u8]) -> Result<Tensor> {
    let Header { kind, fortran, shape, length } = Header::parse(bytes)?;
    let data = elements(&kind, &bytes[length..])?;
    if !fortran || shape.len() < 2 {
        return Ok(Tensor::new(shape, data)?);
    }
    let reversed: Vec<usize> = shape.iter().rev().copied().collect();
    Ok(transposed(&Tensor::new(reversed, data)?))
}

/// The value of a key in the header, which is a literal of a Python dictionary with three known keys.
fn value<'a>(header: &'a str, key: &str) -> Result<&'a str> {
    let missing = || format!("the header has no {key}: {header}");
    let start = [format!("'{key}':"), format!("\"{key}\":")]
        .iter()
        .find_map(|key| header.find(key.as_str()).map(|at| at + key.len()))
        .with_context(missing)?;
    let rest = header[start..].trim_start();
    let end = match rest.starts_with('(') {
        true => rest.find(')').map(|at| at + 1),
        false => rest.find([',', '}']),
    };
    Ok(rest[..end.with_context(missing)?].trim())
}

fn elements(kind: &str, data: &[u8]) -> Result<Data> {
    macro_rules! numbers {
        ($ty:ty) => {
            Data::of(
                whole(data, size_of::<$ty>())?
                    .map(|b| <$ty>::from_le_bytes(b.try_into().expect("a chunk")))
                    .collect::<Vec<$ty>>(),
            )
        };
    }
    Ok(match kind {
        "<f4" => numbers!(f32),
        "<f8" => numbers!(f64),
        "<i8" => numbers!(i64),
        "<i4" => numbers!(i32),
        "<i2" => numbers!(i16),
        "|i1" | "<i1" => numbers!(i8),
        "<u8" => numbers!(u64),
        "<u4" => numbers!(u32),
        "<u2" => numbers!(u16),
        "|u1" | "<u1" => numbers!(u8),
        "|b1" => Data::of(data.iter().map(|&byte| byte != 0).collect::<Vec<bool>>()),
        "<f2" => Data::of(
            whole(data, 2)?.map(|b| half::f16::from_le_bytes([b[0], b[1]]).to_f32()).collect::<Vec<f32>>(),
        ),
        other => bail!("expected little-endian numbers or booleans, got elements of '{other}'"),
    })
}

fn whole(data: &[u8], width: usize) -> Result<std::slice::ChunksExact<'_, u8>> {
    ensure!(data.len().is_multiple_of(width), "the file ends within a number");
    Ok(data.chunks_exact(width))
}

/// All axes in reverse order.
fn transposed(tensor: &Tensor) -> Tensor {
    use paceline::graph::{Op, Transpose};
    let rank = tensor.shape().len();
    let shape: Vec<usize> = tensor.shape().iter().rev().copied().collect();
    let op = Op::Transpose(Transpose { permutation: (0..rank).rev().collect() });
    op.evaluate(&[Some(tensor)], &[shape]).swap_remove(0)
}

/// An array as the content of a .npy file.
pub fn npy(tensor: &Tensor) -> Vec<u8> {
    let kind = match tensor.data() {
        Data::F32(_) => "<f4",
        Data::F64(_) => "<f8",
        Data::I64(_) => "<i8",
        Data::I32(_) => "<i4",
        Data::I16(_) => "<i2",
        Data::I8(_) => "|i1",
        Data::U64(_) => "<u8",
        Data::U32(_) => "<u4",
        Data::U16(_) => "<u2",
        Data::U8(_) => "|u1",
        Data::Bool(_) => "|b1",
    };
    let lengths: String = tensor.shape().iter().map(|length| format!("{length},")).collect();
    let mut header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({lengths}), }}");
    let before = MAGIC.len() + 4;
    let padded = (before + header.len() + 1).next_multiple_of(ALIGNMENT) - before - 1;
    header = format!("{header:<padded$}\n");
    let mut bytes = MAGIC.to_vec();
    bytes.extend([1, 0]);
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    by_type!(Data, tensor.data(), values => values.iter().for_each(|value| append(*value, &mut bytes)));
    bytes
}

fn append<T: Element>(value: T, bytes: &mut Vec<u8>) {
    bytes.extend(&value.bits().to_le_bytes()[..size_of::<T>()]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_come_back_as_they_were() {
        let tensors = [
            Tensor::new([2, 3], vec![1.5f32, -0.0, f32::NAN, f32::INFINITY, 1e-40, 5.0]).unwrap(),
            Tensor::new([], vec![i64::MIN]).unwrap(),
            Tensor::new([0, 4], Vec::<f32>::new()).unwrap(),
            Tensor::new([4], vec![true, false, true, true]).unwrap(),
            Tensor::new([2], Data::of(vec![i8::MIN, 7])).unwrap(),
            Tensor::new([2], Data::of(vec![u64::MAX, 7])).unwrap(),
        ];
        for tensor in tensors {
            let bytes = npy(&tensor);
            assert!((bytes.len() - tensor.len() * tensor.dtype().size_bytes()).is_multiple_of(ALIGNMENT));
            let back = decode(&bytes).unwrap();
            assert_eq!(format!("{back:?}"), format!("{tensor:?}"));
        }
    }

    #[test]
    fn an_array_in_fortrans_order_is_read_in_ours() {
        let mut bytes = npy(&Tensor::new([2, 3], vec![1i64, 4, 2, 5, 3, 6]).unwrap());
        let at = bytes.windows(5).position(|window| window == b"False").unwrap();
        bytes[at..at + 5].copy_from_slice(b"True ");
        assert_eq!(decode(&bytes).unwrap(), Tensor::new([2, 3], vec![1i64, 2, 3, 4, 5, 6]).unwrap());
    }

    #[test]
    fn what_is_no_array_is_an_error() {
        let good = npy(&Tensor::new([2], vec![1.0f32, 2.0]).unwrap());
        for length in 0..good.len() {
            decode(&good[..length]).unwrap_err();
        }
        let text = String::from_utf8_lossy(&good).into_owned();
        for (from, to) in [("<f4", ">f4"), ("(2,)", "(3,)"), ("descr", "desc_"), ("False", "Never")] {
            assert!(text.contains(from));
            let at = good.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
            let mut bad = good.clone();
            bad.splice(at..at + from.len(), to.bytes());
            decode(&bad).unwrap_err();
        }
    }
}
