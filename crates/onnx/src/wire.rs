//! A look over a file before it is decoded: how deep its messages are nested, and how many there are.
//!
//! Decoding makes something of every message, an empty one too: two bytes in a file can become hundreds in memory, and a message in
//! a message in a message can exhaust the stack. This walk allocates nothing, so that what is too much is refused before
//! anything is made of it. Source: protobuf.dev, "Encoding".

use crate::OnnxError;

/// Messages of a file: a node, an attribute, a tensor, an axis of a type. With what each takes in memory (under 256 bytes), what
/// decoding allocates stays below 512 MiB, and eight times the file for its numbers.
const MOST_MESSAGES: usize = 1 << 21;
/// How deep messages may be nested. A graph within a node's attribute takes three levels.
const DEEPEST: usize = 60;

/// What may be inside a message, by field number.
#[derive(Clone, Copy)]
enum Kind {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    SparseTensor,
    Function,
    Value,
    Type,
    TensorType,
    Shape,
    /// Holds no message that is decoded.
    Leaf,
}

impl Kind {
    fn field(self, number: u64) -> Option<Kind> {
        Some(match (self, number) {
            (Kind::Model, 7) | (Kind::Attribute, 6) => Kind::Graph,
            (Kind::Model, 25) => Kind::Function,
            (Kind::Graph, 1) | (Kind::Function, 7) => Kind::Node,
            (Kind::Graph, 5) | (Kind::Attribute, 5) | (Kind::SparseTensor, 1) => Kind::Tensor,
            (Kind::Graph, 11 | 12) => Kind::Value,
            (Kind::Graph, 15) | (Kind::Attribute, 22) => Kind::SparseTensor,
            (Kind::Node, 5) | (Kind::Function, 11) => Kind::Attribute,
            (Kind::Value, 2) => Kind::Type,
            (Kind::Type, 1) => Kind::TensorType,
            (Kind::TensorType, 2) => Kind::Shape,
            (Kind::Shape, 1) | (Kind::Tensor, 13) | (Kind::Model, 8) | (Kind::Function, 9) => Kind::Leaf,
            _ => return None,
        })
    }

    /// Whether the field is a list of strings, each of which takes memory of its own.
    fn is_strings(self, number: u64) -> bool {
        matches!((self, number), (Kind::Node, 1 | 2) | (Kind::Attribute, 9) | (Kind::Function, 4 | 5))
    }
}

/// Passes if a model can be decoded within the bounds.
pub(crate) fn check_model(file: &[u8]) -> Result<(), OnnxError> {
    check(file, Kind::Model, 0, &mut 0)
}

/// Passes if a tensor can be decoded within the bounds.
pub(crate) fn check_tensor(file: &[u8]) -> Result<(), OnnxError> {
    check(file, Kind::Tensor, 0, &mut 0)
}

fn check(mut message: &[u8], kind: Kind, depth: usize, messages: &mut usize) -> Result<(), OnnxError> {
    if depth > DEEPEST {
        return Err(OnnxError::Bound { what: "messages within messages", most: DEEPEST });
    }
    while !message.is_empty() {
        let key = varint(&mut message)?;
        let number = key >> 3;
        match key & 7 {
            0 => {
                varint(&mut message)?;
            }
            1 => {
                take(&mut message, 8)?;
            }
            2 => {
                let length = varint(&mut message)?;
                let content = take(&mut message, length)?;
                let inner = kind.field(number);
                if inner.is_some() || kind.is_strings(number) {
                    *messages += 1;
                    if *messages > MOST_MESSAGES {
                        return Err(OnnxError::Bound { what: "messages", most: MOST_MESSAGES });
                    }
                }
                if let Some(inner) = inner {
                    check(content, inner, depth + 1, messages)?;
                }
            }
            5 => {
                take(&mut message, 4)?;
            }
            _ => return Err(not_onnx("a field of a kind that ONNX does not use")),
        }
    }
    Ok(())
}

fn varint(message: &mut &[u8]) -> Result<u64, OnnxError> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = message.split_first().ok_or_else(|| not_onnx("it ends within a number"))?;
        *message = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(not_onnx("a number of more than 64 bits"))
}

fn take<'a>(message: &mut &'a [u8], length: u64) -> Result<&'a [u8], OnnxError> {
    let length = usize::try_from(length).ok().filter(|&length| length <= message.len());
    let (taken, rest) = message.split_at(length.ok_or_else(|| not_onnx("it ends within a field"))?);
    *message = rest;
    Ok(taken)
}

fn not_onnx(problem: &str) -> OnnxError {
    OnnxError::NotOnnx { problem: problem.into() }
}
