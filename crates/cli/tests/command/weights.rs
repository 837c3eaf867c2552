//! Files of weights.

use serde_json::Value;

/// A safetensors file of f32 tensors, each filled with one number.
pub fn safetensors(tensors: &[(&str, &[usize], f32)]) -> Vec<u8> {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for &(name, shape, value) in tensors {
        let start = data.len();
        let elements: usize = shape.iter().product();
        data.extend(std::iter::repeat_n(value.to_le_bytes(), elements).flatten());
        let entry =
            serde_json::json!({ "dtype": "F32", "shape": shape, "data_offsets": [start, data.len()] });
        header.insert(name.into(), entry);
    }
    let header = Value::Object(header).to_string();
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &data].concat()
}

pub const WEIGHT: (&str, &[usize], f32) = ("weight", &[128, 256], 0.5);
pub const BIAS: (&str, &[usize], f32) = ("bias", &[128], 0.25);
