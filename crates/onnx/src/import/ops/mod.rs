//! Translations of ONNX's operators, one file a family. Source: the operator reference of ONNX, onnx.ai/onnx/operators.

pub(in crate::import) mod attention;
pub(in crate::import) mod conv;
pub(in crate::import) mod elementwise;
pub(in crate::import) mod image;
pub(in crate::import) mod index;
pub(in crate::import) mod layout;
pub(in crate::import) mod linear;
pub(in crate::import) mod norm;
pub(in crate::import) mod pool;
pub(in crate::import) mod quantize;
pub(in crate::import) mod recurrent;
pub(in crate::import) mod reduce;
pub(in crate::import) mod shape;
