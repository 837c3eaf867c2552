//! Graphs of a single operator.

use paceline_graph::{
    Binary, BinaryOp, Concat, Dim, Graph, MatMul, Op, Pad, PadMode, Reduce, ReduceOp, Reshape, Shape, Slice,
    Split, Tensor, Transpose, Unary, UnaryOp,
};

use super::arguments::Arguments;
use super::{Call, Problem};
use crate::{Identity, StateDict, build};

pub(super) fn graph(name: &str, mut args: Arguments, call: &Call) -> Result<Graph, Problem> {
    let first = call.inputs.values().next().ok_or_else(|| Problem::new("an input", "none"))?;
    let op = operator(name, &mut args, first)?;
    args.finish()?;
    Ok(build(&Identity, &StateDict::default(), |scope| {
        // Inputs are in alphabetical order, which is the operators': `x`, or `a`, `b`, `c`.
        let inputs = call.inputs.keys().map(|name| call.declare(scope, name).map(Some));
        let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
        let outputs = scope.add_many(name, op, &inputs)?;
        outputs.iter().enumerate().try_for_each(|(i, &output)| scope.output(&i.to_string(), output))
    })?)
}

fn operator(name: &str, a: &mut Arguments, x: &Tensor) -> Result<Op, Problem> {
    Ok(match name {
        "Add" => Op::Binary(Binary(BinaryOp::Add)),
        "Sub" => Op::Binary(Binary(BinaryOp::Sub)),
        "Mul" => Op::Binary(Binary(BinaryOp::Mul)),
        "Div" => Op::Binary(Binary(BinaryOp::Div)),
        "Exp" => Op::Unary(Unary(UnaryOp::Exp)),
        "Sqrt" => Op::Unary(Unary(UnaryOp::Sqrt)),
        "Erf" => Op::Unary(Unary(UnaryOp::Erf)),
        "Neg" => Op::Unary(Unary(UnaryOp::Neg)),
        "Relu" => Op::Unary(Unary(UnaryOp::Relu)),
        "Sigmoid" => Op::Unary(Unary(UnaryOp::Sigmoid)),
        "Tanh" => Op::Unary(Unary(UnaryOp::Tanh)),
        "MatMul" => Op::MatMul(MatMul {}),
        "ReduceMean" => reduce(ReduceOp::Mean, a)?,
        "ReduceSum" => reduce(ReduceOp::Sum, a)?,
        "ReduceMax" => reduce(ReduceOp::Max, a)?,
        "Concat" => Op::Concat(Concat { axis: a.required("axis")? }),
        "Split" => Op::Split(Split { axis: a.required("axis")?, sizes: a.required("sizes")? }),
        "Pad" => Op::Pad(Pad { pads: a.required("pads")?, mode: PadMode::Constant(a.required("value")?) }),
        "Transpose" => Op::Transpose(Transpose { permutation: a.required("perm")? }),
        "Reshape" => Op::Reshape(Reshape { shape: reshaped(a.required("shape")?, x) }),
        "Slice" => {
            let axis: isize = a.required("axis")?;
            let index = axis.rem_euclid(x.shape().len() as isize) as usize;
            let length = x.shape()[index] as isize;
            // Python's: negative counts from the end, and what lies beyond the end is not an error.
            let position = |at: isize| if at < 0 { (at + length).max(0) } else { at.min(length) } as usize;
            let (start, end) = (position(a.required("start")?), position(a.required("end")?));
            Op::Slice(Slice { axis, start, end, step: a.required("step")? })
        }
        unknown => return Err(Problem::new("an operator that is known here", unknown)),
    })
}

fn reduce(op: ReduceOp, a: &mut Arguments) -> Result<Op, Problem> {
    Ok(Op::Reduce(Reduce { op, axes: a.required("axes")?, keep_dims: a.required("keepdims")? }))
}

/// ONNX's: 0 keeps the input's axis (here only ever the batch), -1 is what remains.
fn reshaped(target: Vec<isize>, x: &Tensor) -> Shape {
    let per_sample: usize = x.shape()[1..].iter().product();
    let known: usize = target.iter().filter(|&&d| d > 0).map(|&d| d as usize).product();
    Shape::new(target.into_iter().map(|d| match d {
        0 => Dim::BATCH,
        -1 => Dim::Fixed(per_sample / known),
        length => Dim::Fixed(length as usize),
    }))
}
