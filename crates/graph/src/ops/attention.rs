//! Scaled dot-product attention over several heads.

use super::Operator;
use super::broadcast::{broadcast, broadcast_strides};
use super::check::Arguments;
use super::index::elements;
use super::operands::{f32s, optional, rounded, sum, tensor};
use crate::{DType, Dim, Problem, Shape, Tensor, ValueType};

/// `softmax(q k^T * scale + mask) v` for each head; the heads lie side by side in the last axis.
///
/// Inputs: `q [N, Tq, heads * d]`, `k [N, Tk, heads * d]`, `v [N, Tk, heads * dv]`, optional `mask` (f32, added to the scores,
/// broadcast to `[N, heads, Tq, Tk]`), optional `key_padding [N, Tk]` (bool, `true` where a key is to be ignored). Output:
/// `[N, Tq, heads * dv]`. A key that is masked out (its score is `-inf`) has no part in the result, whatever its `k` and `v`
/// hold, and a query whose keys are all masked out gives zeros.
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

    fn infer(&self, inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        let arguments = Arguments::<3, 2>::new(inputs, ["q", "k", "v"], ["mask", "key_padding"])?;
        let ([q, k, v], [mask, key_padding]) = (arguments.required, arguments.optional);
        for (name, ty) in [("q", Some(q)), ("k", Some(k)), ("v", Some(v)), ("mask", mask)] {
            ty.map_or(Ok(()), |ty| arguments.dtype(name, ty, DType::F32))?;
        }
        key_padding.map_or(Ok(()), |ty| arguments.dtype("key_padding", ty, DType::Bool))?;
        let problem =
            |expected: String| Err(Problem::new(expected, format!("{} heads of {arguments}", self.heads)));
        if self.scale.is_some_and(|scale| !scale.is_finite()) {
            return Err(Problem::new("a finite scale", format!("scale {:?}", self.scale)));
        }
        let &[samples, queries @ Dim::Fixed(_), width @ Dim::Fixed(_)] = q.shape.dims() else {
            return problem("q [N, Tq, heads * d], in which only axis 0 may be the batch".into());
        };
        let &[k_samples, keys @ Dim::Fixed(_), k_width] = k.shape.dims() else {
            return problem("k [N, Tk, heads * d], in which only axis 0 may be the batch".into());
        };
        if k_samples != samples || k_width != width {
            return problem(format!("k [{samples}, Tk, {width}] to match q"));
        }
        let &[v_samples, v_keys, v_width @ Dim::Fixed(_)] = v.shape.dims() else {
            return problem("v [N, Tk, heads * dv], in which only axis 0 may be the batch".into());
        };
        if v_samples != samples || v_keys != keys {
            return problem(format!("v [{samples}, {keys}, heads * dv] to match k"));
        }
        let divided = |width: Dim| self.heads > 0 && width.per_sample().is_multiple_of(self.heads);
        if !divided(width) || !divided(v_width) {
            return problem("a number of heads that divides the last axes of q and v".into());
        }
        let scores = [samples, Dim::Fixed(self.heads), queries, keys];
        if mask.is_some_and(|mask| broadcast(mask.shape.dims(), &scores).as_deref() != Some(&scores)) {
            return problem(format!("a mask that broadcasts to {}", Shape::from(scores)));
        }
        arguments.shape("key_padding", key_padding, &[samples, keys], "k")?;
        Ok(vec![ValueType::new(DType::F32, [samples, queries, v_width])])
    }

    fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor> {
        let shape = &outputs[0];
        let (samples, queries, keys) = (shape[0], shape[1], tensor(inputs, 1).shape()[1]);
        let (width, v_width) = (tensor(inputs, 0).shape()[2], shape[2]);
        let (d, dv) = (width / self.heads, v_width / self.heads);
        let (q, k, v) = (f32s(inputs, 0), f32s(inputs, 1), f32s(inputs, 2));
        let scale = self.scale.map_or(1.0 / (d as f64).sqrt(), f64::from);
        let added = optional(inputs, 3).map(|mask| {
            let scores = [samples, self.heads, queries, keys];
            let elements = f32s(inputs, 3);
            let strides = broadcast_strides(mask.shape(), &scores);
            move |index: [usize; 4]| {
                let offset: usize = index.iter().zip(&strides).map(|(i, stride)| i * stride).sum();
                f64::from(elements[offset])
            }
        });
        let ignored = optional(inputs, 4).and_then(Tensor::as_bool);

        let mut values = vec![0.0; elements(shape)];
        for n in 0..samples {
            for head in 0..self.heads {
                for query in 0..queries {
                    let q = &q[(n * queries + query) * width + head * d..][..d];
                    let score = |key: usize| {
                        if ignored.is_some_and(|ignored| ignored[n * keys + key])
                            || (self.causal && key > query)
                        {
                            return f64::NEG_INFINITY;
                        }
                        let k = &k[(n * keys + key) * width + head * d..][..d];
                        let product =
                            sum(q.iter().zip(k).map(|(&q, &k)| f64::from(q) * f64::from(k) * scale));
                        product + added.as_ref().map_or(0.0, |added| added([n, head, query, key]))
                    };
                    let scores: Vec<f64> = (0..keys).map(score).collect();
                    let mixed = &mut values[(n * queries + query) * v_width + head * dv..][..dv];
                    for (key, weight) in weights(&scores) {
                        let v = &v[(n * keys + key) * v_width + head * dv..][..dv];
                        mixed.iter_mut().zip(v).for_each(|(mixed, &v)| *mixed += weight * f64::from(v));
                    }
                }
            }
        }
        vec![rounded(shape, values)]
    }
}

/// The keys whose score is not `-inf`, each with its part in the softmax over them.
fn weights(scores: &[f64]) -> Vec<(usize, f64)> {
    let max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let seen = || scores.iter().enumerate().filter(|&(_, &score)| score != f64::NEG_INFINITY);
    let total = sum(seen().map(|(_, score)| (score - max).exp()));
    seen().map(|(key, score)| (key, (score - max).exp() / total)).collect()
}
