//! Products of matrices.

use super::Operator;
use super::broadcast::{broadcast, broadcast_strides};
use super::check::Arguments;
use super::index::{elements, offsets};
use super::operands::{
    f32s, integer_result, integers, optional_f32s, real_result, reals, rounded, sum, tensor,
};
use super::unary::activate;
use crate::{Activation, DType, Dim, Problem, Tensor, ValueType};

/// Matrix product of the last two axes, the axes before them broadcast as in NumPy.
///
/// Inputs: `a [..., m, k]`, `b [..., k, n]`. Output: `[..., m, n]`. A one-dimensional operand is treated as NumPy does: a
/// missing row (or column) axis is added and dropped again. Numbers of any type; integers wrap. Source: ONNX MatMul-13.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MatMul {}

/// `activation(x W^T + bias + residual)`.
///
/// Inputs: `x [..., in]`, `weight [out, in]` as PyTorch stores it, or `[in, out]` where it is transposed, optional `bias [out]`,
/// optional `residual` of the output's shape. Output: `[..., out]`. Source: torch.nn.Linear; the residual and the activation are put there by fusion.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Linear {
    /// Applied last.
    pub activation: Option<Activation>,
    /// Whether the weight is `[in, out]`, as the right operand of a product is.
    pub transposed: bool,
}

impl Operator for MatMul {
    fn name(&self) -> &'static str {
        "MatMul"
    }

    fn infer(&self, inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        let arguments = Arguments::<2>::numbers(inputs, ["a", "b"], [])?;
        let dtype = arguments.required[0].dtype;
        let [a, b] = arguments.required.map(|ty| ty.shape.dims());
        arguments.expect(!a.is_empty() && !b.is_empty(), || "a and b with at least one axis".into())?;
        let (a_lead, m, a_k) = match *a {
            [ref lead @ .., m, k] => (lead, Some(m), k),
            _ => (&[][..], None, a[0]),
        };
        let (b_lead, b_k, n) = match *b {
            [ref lead @ .., k, n] => (lead, k, Some(n)),
            _ => (&[][..], b[0], None),
        };
        arguments.expect(!a_k.is_batch() && !b_k.is_batch(), || {
            "a product that does not sum over the batch: k of a [..., m, k] and b [..., k, n] is another axis"
                .into()
        })?;
        arguments.expect(a_k == b_k, || "a [..., m, k] and b [..., k, n] with the same k".into())?;
        let mut dims = broadcast(a_lead, b_lead)
            .ok_or_else(|| arguments.problem("axes before the last two that broadcast together"))?;
        dims.extend(m.into_iter().chain(n));
        arguments.expect(dims.iter().filter(|d| d.is_batch()).count() <= 1, || {
            "a and b whose product has at most one axis that depends on the batch".into()
        })?;
        Ok(vec![ValueType::new(dtype, dims)])
    }

    fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor> {
        let (a, b) = (tensor(inputs, 0).shape(), tensor(inputs, 1).shape());
        let (a_lead, m, k) = match *a {
            [ref lead @ .., m, k] => (lead, m, k),
            _ => (&[][..], 1, a[0]),
        };
        let (b_lead, n) = match *b {
            [ref lead @ .., _, n] => (lead, n),
            _ => (&[][..], 1),
        };
        let own_axes = usize::from(a.len() > 1) + usize::from(b.len() > 1);
        let lead = &outputs[0][..outputs[0].len() - own_axes];
        let walk = |from: &[usize]| offsets(lead, &broadcast_strides(from, lead));
        let pairs: Vec<(usize, usize)> = walk(a_lead).into_iter().zip(walk(b_lead)).collect();
        let places = pairs.iter().flat_map(|&(i, j)| {
            (0..m * n)
                .map(move |at| (0..k).map(move |t| ((i * m + at / n) * k + t, (j * k + t) * n + at % n)))
        });
        let (a, b) = (tensor(inputs, 0), tensor(inputs, 1));
        vec![if a.dtype().is_float() {
            let (dtype, a, b) = (a.dtype(), reals(a), reals(b));
            real_result(dtype, &outputs[0], places.map(|terms| sum(terms.map(|(i, j)| a[i] * b[j]))))
        } else {
            let (dtype, a, b) = (a.dtype(), integers(a), integers(b));
            let add = |sum: i128, (i, j): (usize, usize)| sum.wrapping_add(a[i].wrapping_mul(b[j]));
            integer_result(dtype, &outputs[0], places.map(|terms| terms.fold(0, add)))
        }]
    }
}

impl Operator for Linear {
    fn name(&self) -> &'static str {
        "Linear"
    }

    fn infer(&self, inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        let arguments = Arguments::<2, 2>::f32(inputs, ["x", "weight"], ["bias", "residual"])?;
        let ([x, weight], [bias, residual]) = (arguments.required, arguments.optional);
        let Some((&features, lead)) = x.shape.dims().split_last() else {
            return Err(arguments.problem("x [..., in] with at least one axis"));
        };
        arguments.expect(!features.is_batch(), || "x [..., in] whose last axis is not the batch".into())?;
        let out = match (weight.shape.dims(), self.transposed) {
            (&[out @ Dim::Fixed(_), inner], false) if inner == features => out,
            (&[inner, out @ Dim::Fixed(_)], true) if inner == features => out,
            (_, false) => return Err(arguments.problem(format!("weight [out, {features}] to match x"))),
            (_, true) => return Err(arguments.problem(format!("weight [{features}, out] to match x"))),
        };
        let dims: Vec<Dim> = lead.iter().copied().chain([out]).collect();
        arguments.shape("bias", bias, &[out], "weight")?;
        arguments.shape("residual", residual, &dims, "the output")?;
        Ok(vec![ValueType::new(DType::F32, dims)])
    }

    fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor> {
        let [rows, columns] = *tensor(inputs, 1).shape() else {
            unreachable!("the shape rule checks weight")
        };
        // How far apart the weights of two outputs lie, and those of one output.
        let (out, features, strides) =
            if self.transposed { (columns, rows, (1, columns)) } else { (rows, columns, (columns, 1)) };
        let (x, weight) = (f32s(inputs, 0), f32s(inputs, 1));
        let (bias, residual) = (optional_f32s(inputs, 2), optional_f32s(inputs, 3));
        let values = (0..elements(&outputs[0])).map(|index| {
            let (row, column) = (index / out, index % out);
            let x = &x[row * features..(row + 1) * features];
            let weight = (0..features).map(|i| weight[column * strides.0 + i * strides.1]);
            let product = sum(x.iter().zip(weight).map(|(&x, w)| f64::from(x) * f64::from(w)));
            let bias = bias.map_or(0.0, |bias| f64::from(bias[column]));
            let residual = residual.map_or(0.0, |residual| f64::from(residual[index]));
            activate(self.activation, product + bias + residual)
        });
        vec![rounded(&outputs[0], values)]
    }
}
