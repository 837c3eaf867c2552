//! Recurrent layers.

use paceline_graph::{Cell, DType, Direction, Op, Recurrent, UnaryOp};

use super::elementwise::convert;
use crate::import::lowering::{Lowered, Lowering};
use crate::import::trouble::Trouble;
use crate::import::value::Item;

/// RNN, GRU, LSTM. With `layout` 1 the batch comes before the steps, in the operator's states before the directions.
pub(crate) fn recurrent(l: &mut Lowering<'_>) -> Lowered {
    let (cell, default): (Cell, &[&str]) = match l.node.op_type.as_str() {
        "RNN" => (Cell::Rnn, &["Tanh"]),
        "GRU" => {
            let linear_before_reset = l.flag("linear_before_reset", false)?;
            (Cell::Gru { linear_before_reset }, &["Sigmoid", "Tanh"])
        }
        _ => (Cell::Lstm { input_forget: l.flag("input_forget", false)? }, &["Sigmoid", "Tanh", "Tanh"]),
    };
    let direction = match l.string("direction", "forward")?.as_str() {
        "forward" => Direction::Forward,
        "reverse" => Direction::Reverse,
        "bidirectional" => Direction::Bidirectional,
        other => {
            return Err(Trouble::refused(
                "direction forward, reverse or bidirectional",
                format!("'{other}'"),
            ));
        }
    };
    let clip = l.has("clip").then(|| l.float("clip", 0.0)).transpose()?;
    let op = Recurrent { cell, direction, activations: activations(l, default, direction)?, clip };
    let batch_first = l.int("layout", 0)? == 1;
    let lstm = matches!(cell, Cell::Lstm { .. });

    let mut x = l.input(0)?;
    let (w, r, bias) = (l.input(1)?, l.input(2)?, l.optional(3));
    let lengths = l.optional(4).map(|lengths| convert(l, &lengths, DType::I32)).transpose()?;
    let mut h = l.optional(5);
    let (mut c, peepholes) = if lstm { (l.optional(6), l.optional(7)) } else { (None, None) };
    if batch_first {
        x = l.transpose(&x, vec![1, 0, 2])?;
        for state in [&mut h, &mut c] {
            *state = state.as_ref().map(|state| l.transpose(state, vec![1, 0, 2])).transpose()?;
        }
    }
    let mut inputs = vec![Some(x), Some(w), Some(r), bias, lengths, h];
    if lstm {
        inputs.extend([c, peepholes]);
    }
    let given = inputs.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
    let inputs: Vec<Option<&Item>> = inputs[..given].iter().map(Option::as_ref).collect();
    let mut outputs = l.building.add(&l.name, Op::Recurrent(op), &inputs)?;
    if batch_first {
        outputs[0] = l.transpose(&outputs[0], vec![2, 0, 1, 3])?;
        for state in &mut outputs[1..] {
            *state = l.transpose(state, vec![1, 0, 2])?;
        }
    }
    Ok(outputs)
}

/// The functions of the gates, in the order of the directions.
fn activations(l: &Lowering<'_>, default: &[&str], direction: Direction) -> Result<Vec<UnaryOp>, Trouble> {
    let all = default.len() * direction.count();
    let names: Vec<String> = match l.strings("activations") {
        Some(names) => names,
        None => default.iter().cycle().take(all).map(ToString::to_string).collect(),
    };
    let (mut alphas, mut betas) = (
        l.floats("activation_alpha")?.unwrap_or_default().into_iter(),
        l.floats("activation_beta")?.unwrap_or_default().into_iter(),
    );
    let function = |name: &String| {
        let mut alpha = |default: f32| alphas.next().unwrap_or(default);
        Ok(match name.to_ascii_lowercase().as_str() {
            "relu" => UnaryOp::Relu,
            "tanh" => UnaryOp::Tanh,
            "sigmoid" => UnaryOp::Sigmoid,
            "softsign" => UnaryOp::Softsign,
            "softplus" => UnaryOp::Softplus,
            "leakyrelu" => UnaryOp::LeakyRelu { alpha: alpha(0.01) },
            "thresholdedrelu" => UnaryOp::ThresholdedRelu { alpha: alpha(1.0) },
            "elu" => UnaryOp::Elu { alpha: alpha(1.0) },
            "hardsigmoid" => UnaryOp::HardSigmoid { alpha: alpha(0.2), beta: betas.next().unwrap_or(0.5) },
            _ => return Err(Trouble::unsupported(format!("the activation {name}"))),
        })
    };
    names.iter().map(function).collect()
}
