//! Scaled dot-product attention over several heads.

use super::Operator;
use crate::{Problem, Tensor, ValueType};

/// `softmax(q k^T * scale + mask) v` for each head; the heads lie side by side in the last axis.
///
/// Inputs: `q [N, Tq, heads * d]`, `k [N, Tk, heads * d]`, `v [N, Tk, heads * dv]`, optional `mask` (f32, added to the scores,
/// broadcast to `[N, heads, Tq, Tk]`), optional `key_padding [N, Tk]` (bool, `true` where a key is to be ignored). Output:
/// `[N, Tq, heads * dv]`. A query whose keys are all masked out gives zeros.
/// Source: torch.nn.functional.scaled_dot_product_attention, torch.nn.MultiheadAttention.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attention {
    /// Number of heads.
    pub heads: usize,
    /// Multiplies the scores; `None` for `1 / sqrt(d)`.
    pub scale: Option<f32>,
    /// Query `i` sees keys `0..=i` only.
    pub causal: bool,
}

impl Operator for Attention {
    fn name(&self) -> &'static str {
        "Attention"
    }

    fn infer(&self, _inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        todo!()
    }

    fn evaluate(&self, _inputs: &[Option<&Tensor>], _outputs: &[Vec<usize>]) -> Vec<Tensor> {
        todo!()
    }
}
