//! Products of matrices.

use paceline_graph::{BinaryOp, Einsum, MatMul, Op};

use super::elementwise::scaled;
use crate::import::lowering::{Lowered, Lowering};

pub(crate) fn matmul(l: &mut Lowering<'_>) -> Lowered {
    let (a, b) = (l.input(0)?, l.input(1)?);
    Ok(vec![l.add(Op::MatMul(MatMul {}), &[&a, &b])?])
}

/// `alpha * a b + beta * c`, `a` and `b` transposed if so wished.
pub(crate) fn gemm(l: &mut Lowering<'_>) -> Lowered {
    let (mut a, mut b) = (l.input(0)?, l.input(1)?);
    if l.flag("transA", false)? {
        a = l.transpose(&a, vec![1, 0])?;
    }
    if l.flag("transB", false)? {
        b = l.transpose(&b, vec![1, 0])?;
    }
    let product = l.add(Op::MatMul(MatMul {}), &[&a, &b])?;
    let alpha = l.float("alpha", 1.0)?;
    let mut y = scaled(l, product, alpha)?;
    if let Some(c) = l.optional(2) {
        let beta = l.float("beta", 1.0)?;
        let c = scaled(l, c, beta)?;
        y = l.binary(BinaryOp::Add, &y, &c)?;
    }
    Ok(vec![y])
}

pub(crate) fn einsum(l: &mut Lowering<'_>) -> Lowered {
    let items = l.all()?;
    let equation = l.string("equation", "")?;
    Ok(vec![l.add(Op::Einsum(Einsum { equation }), &items.iter().collect::<Vec<_>>())?])
}
