//! Functions of one element, or of several with broadcasting.

use paceline_graph::{
    Binary, BinaryOp, Cast, Classify, Compare, CompareOp, DType, Op, Unary, UnaryOp, Where,
};

use crate::import::lowering::{Lowered, Lowering};
use crate::import::trouble::Trouble;
use crate::import::value::Item;
use crate::proto::data_type;
use crate::tensor::dtype;

/// Functions of two elements of one type.
pub(crate) fn binary(l: &mut Lowering<'_>) -> Lowered {
    let op = match l.node.op_type.as_str() {
        "Add" => BinaryOp::Add,
        "Sub" => BinaryOp::Sub,
        "Mul" => BinaryOp::Mul,
        "Div" => BinaryOp::Div,
        "PRelu" => BinaryOp::PRelu,
        "And" | "BitwiseAnd" => BinaryOp::And,
        "Or" | "BitwiseOr" => BinaryOp::Or,
        "Xor" | "BitwiseXor" => BinaryOp::Xor,
        "Mod" if l.flag("fmod", false)? => BinaryOp::Fmod,
        "Mod" => BinaryOp::Mod,
        _ => match l.string("direction", "")?.as_str() {
            "LEFT" => BinaryOp::ShiftLeft,
            "RIGHT" => BinaryOp::ShiftRight,
            other => return Err(Trouble::refused("direction LEFT or RIGHT", format!("'{other}'"))),
        },
    };
    let (a, b) = (l.input(0)?, l.input(1)?);
    Ok(vec![l.binary(op, &a, &b)?])
}

/// Functions of any number of elements.
pub(crate) fn variadic(l: &mut Lowering<'_>) -> Lowered {
    let op = match l.node.op_type.as_str() {
        "Min" => BinaryOp::Min,
        "Max" => BinaryOp::Max,
        _ => BinaryOp::Add,
    };
    let items = l.all()?;
    let [first, rest @ ..] = &items[..] else { return Err(Trouble::refused("at least one input", "none")) };
    let all = rest.iter().try_fold(first.clone(), |all, item| l.binary(op, &all, item))?;
    if l.node.op_type != "Mean" {
        return Ok(vec![all]);
    }
    let count = l.scalar(l.dtype(&all), items.len() as f64);
    Ok(vec![l.binary(BinaryOp::Div, &all, &count)?])
}

/// `a` to the power of `b`, which may be of another type; the result is of `a`'s.
pub(crate) fn pow(l: &mut Lowering<'_>) -> Lowered {
    let (a, b) = (l.input(0)?, l.input(1)?);
    let (base, exponent) = (l.dtype(&a), l.dtype(&b));
    if base == exponent {
        return Ok(vec![l.binary(BinaryOp::Pow, &a, &b)?]);
    }
    let within = match (base.is_float(), exponent.is_float()) {
        (true, _) => base,
        (false, true) => DType::F64,
        (false, false) => DType::I64,
    };
    let (a, b) = (convert(l, &a, within)?, convert(l, &b, within)?);
    let y = l.binary(BinaryOp::Pow, &a, &b)?;
    Ok(vec![convert(l, &y, base)?])
}

/// The same elements as another type; themselves where they are of that type.
pub(crate) fn convert(l: &mut Lowering<'_>, x: &Item, to: DType) -> Result<Item, Trouble> {
    if l.dtype(x) == to {
        return Ok(x.clone());
    }
    l.add(Op::Cast(Cast { to }), &[x])
}

pub(crate) fn cast(l: &mut Lowering<'_>) -> Lowered {
    let x = l.input(0)?;
    let to = match l.node.op_type.as_str() {
        "CastLike" => l.dtype(&l.input(1)?),
        _ => {
            let to = i32::try_from(l.int("to", 0)?).unwrap_or(0);
            dtype(to).ok_or_else(|| Trouble::unsupported(format!("conversion to {}", data_type::name(to))))?
        }
    };
    Ok(vec![convert(l, &x, to)?])
}

/// Functions of one element.
pub(crate) fn unary(l: &mut Lowering<'_>) -> Lowered {
    let alpha = |default: f32| l.float("alpha", default);
    let op = match l.node.op_type.as_str() {
        "Relu" => UnaryOp::Relu,
        "Sigmoid" => UnaryOp::Sigmoid,
        "Tanh" => UnaryOp::Tanh,
        "Exp" => UnaryOp::Exp,
        "Sqrt" => UnaryOp::Sqrt,
        "Erf" => UnaryOp::Erf,
        "Neg" => UnaryOp::Neg,
        "Abs" => UnaryOp::Abs,
        "Sign" => UnaryOp::Sign,
        "Floor" => UnaryOp::Floor,
        "Ceil" => UnaryOp::Ceil,
        "Round" => UnaryOp::Round,
        "Reciprocal" => UnaryOp::Reciprocal,
        "Log" => UnaryOp::Log,
        "Sin" => UnaryOp::Sin,
        "Cos" => UnaryOp::Cos,
        "Tan" => UnaryOp::Tan,
        "Asin" => UnaryOp::Asin,
        "Acos" => UnaryOp::Acos,
        "Atan" => UnaryOp::Atan,
        "Sinh" => UnaryOp::Sinh,
        "Cosh" => UnaryOp::Cosh,
        "Asinh" => UnaryOp::Asinh,
        "Acosh" => UnaryOp::Acosh,
        "Atanh" => UnaryOp::Atanh,
        "Softplus" => UnaryOp::Softplus,
        "Softsign" => UnaryOp::Softsign,
        "HardSwish" => UnaryOp::HardSwish,
        "Mish" => UnaryOp::Mish,
        "Not" | "BitwiseNot" => UnaryOp::Not,
        "LeakyRelu" => UnaryOp::LeakyRelu { alpha: alpha(0.01)? },
        "Elu" => UnaryOp::Elu { alpha: alpha(1.0)? },
        "Selu" => UnaryOp::Selu { alpha: alpha(1.673_263_2)?, gamma: l.float("gamma", 1.050_701)? },
        "Celu" => UnaryOp::Celu { alpha: alpha(1.0)? },
        "ThresholdedRelu" => UnaryOp::ThresholdedRelu { alpha: alpha(1.0)? },
        "HardSigmoid" => UnaryOp::HardSigmoid { alpha: alpha(0.2)?, beta: l.float("beta", 0.5)? },
        "Swish" => UnaryOp::Swish { alpha: alpha(1.0)? },
        "Shrink" => UnaryOp::Shrink { bias: l.float("bias", 0.0)?, threshold: l.float("lambd", 0.5)? },
        "Gelu" => match l.string("approximate", "none")?.as_str() {
            "none" => UnaryOp::Gelu,
            "tanh" => UnaryOp::GeluTanh,
            other => return Err(Trouble::refused("approximate 'none' or 'tanh'", format!("'{other}'"))),
        },
        other => unreachable!("{other} is registered as another kind of operator"),
    };
    let x = l.input(0)?;
    let rounded = matches!(op, UnaryOp::Floor | UnaryOp::Ceil | UnaryOp::Round);
    if rounded && !l.dtype(&x).is_float() {
        return Ok(vec![x]);
    }
    // What is defined for floating-point numbers alone is also used with integers here and there.
    if matches!(op, UnaryOp::Shrink { .. }) && !l.dtype(&x).is_float() {
        let dtype = l.dtype(&x);
        let y = convert(l, &x, DType::F64)?;
        let y = l.add(Op::Unary(Unary(op)), &[&y])?;
        return Ok(vec![convert(l, &y, dtype)?]);
    }
    Ok(vec![l.unary(op, &x)?])
}

/// Elements within bounds, either of which may be left out.
pub(crate) fn clip(l: &mut Lowering<'_>) -> Lowered {
    let x = l.input(0)?;
    let dtype = l.dtype(&x);
    let (least, most) = if l.opset < 11 {
        let bound = |name| l.has(name).then(|| l.float(name, 0.0)).transpose();
        let item = |bound: Option<f32>| bound.map(|bound| l.scalar(dtype, f64::from(bound)));
        (item(bound("min")?), item(bound("max")?))
    } else {
        (l.optional(1), l.optional(2))
    };
    let known = |item: &Option<Item>, default: f32| match item {
        None => Some(default),
        Some(Item::Known(tensor)) => tensor.as_f32().filter(|v| v.len() == 1).map(|v| v[0]),
        Some(_) => None,
    };
    if dtype == DType::F32
        && let (Some(min), Some(max)) = (known(&least, f32::NEG_INFINITY), known(&most, f32::INFINITY))
    {
        return Ok(vec![l.unary(UnaryOp::Clip { min, max }, &x)?]);
    }
    let raised = least.map_or(Ok(x.clone()), |least| l.binary(BinaryOp::Max, &x, &least))?;
    Ok(vec![most.map_or(Ok(raised.clone()), |most| l.binary(BinaryOp::Min, &raised, &most))?])
}

pub(crate) fn compare(l: &mut Lowering<'_>) -> Lowered {
    let op = match l.node.op_type.as_str() {
        "Equal" => CompareOp::Equal,
        "Less" => CompareOp::Less,
        "LessOrEqual" => CompareOp::LessOrEqual,
        "Greater" => CompareOp::Greater,
        _ => CompareOp::GreaterOrEqual,
    };
    let (a, b) = (l.input(0)?, l.input(1)?);
    Ok(vec![l.add(Op::Compare(Compare(op)), &[&a, &b])?])
}

pub(crate) fn classify(l: &mut Lowering<'_>) -> Lowered {
    let x = l.input(0)?;
    let op = match l.node.op_type.as_str() {
        "IsNaN" => Classify::IsNan,
        _ => Classify::IsInf {
            negative: l.flag("detect_negative", true)?,
            positive: l.flag("detect_positive", true)?,
        },
    };
    Ok(vec![l.add(Op::Classify(op), &[&x])?])
}

pub(crate) fn select(l: &mut Lowering<'_>) -> Lowered {
    let (condition, a, b) = (l.input(0)?, l.input(1)?, l.input(2)?);
    Ok(vec![l.add(Op::Where(Where {}), &[&condition, &a, &b])?])
}

pub(crate) fn identity(l: &mut Lowering<'_>) -> Lowered {
    Ok(vec![l.input(0)?])
}

/// Nothing is dropped where nothing is trained; the mask, if it is asked for, is all true.
pub(crate) fn dropout(l: &mut Lowering<'_>) -> Lowered {
    if l.optional(2).is_some() && l.known_ints(2)? != [0] {
        return Err(Trouble::unsupported("training"));
    }
    let x = l.input(0)?;
    let asked = l.node.output.get(1).is_some_and(|name| !name.is_empty());
    let mask = if asked { vec![l.full(&x, DType::Bool, 1.0)?] } else { Vec::new() };
    Ok(std::iter::once(x).chain(mask).collect())
}

/// Two numbers of which one may be left out: what an operator applies to a result.
pub(crate) fn scaled(l: &mut Lowering<'_>, x: Item, factor: f32) -> Result<Item, Trouble> {
    if factor == 1.0 {
        return Ok(x);
    }
    let factor = l.scalar(l.dtype(&x), f64::from(factor));
    l.add(Op::Binary(Binary(BinaryOp::Mul)), &[&x, &factor])
}
