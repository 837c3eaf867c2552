//! Sums of products over named axes.

use super::Operator;
use super::index::{elements, offsets, strides};
use super::operands::{integer_result, integers, real_result, reals, sum};
use crate::{DType, Dim, Problem, Tensor, ValueType};

/// Sums of products over named axes: the axes of the output, and the sum over all others.
///
/// Inputs: as many as the equation has terms, of one type of numbers; an axis of length 1 is broadcast. An axis that is the batch must be
/// one of the output's. Source: ONNX Einsum-12, numpy.einsum, torch.einsum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Einsum {
    /// `bhid,bhjd->bhij`; `...` stands for any axes, and without `->` the output has those that occur once, in alphabetical order.
    pub equation: String,
}

/// The most products that one element of the output is the sum of.
const MOST_TERMS: usize = 1 << 24;

/// An equation, every axis with a label, `...` replaced by labels of its own.
struct Equation {
    terms: Vec<Vec<Label>>,
    output: Vec<Label>,
}

/// A letter, or an axis of `...`, counted from its last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Label {
    Ellipsis(usize),
    Letter(char),
}

impl Equation {
    /// The equation for inputs of these ranks; `None` where it makes no sense for them.
    fn new(text: &str, ranks: &[usize]) -> Option<Self> {
        let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let (inputs, output) = match text.split_once("->") {
            Some((inputs, output)) => (inputs, Some(output)),
            None => (&text[..], None),
        };
        let terms: Vec<&str> = inputs.split(',').collect();
        if terms.len() != ranks.len() {
            return None;
        }
        let mut widest = 0;
        let mut labelled = Vec::new();
        for (term, &rank) in terms.iter().zip(ranks) {
            let dots = rank.checked_sub(term.replace("...", "").chars().count());
            widest = widest.max(dots.filter(|_| term.contains("...")).unwrap_or(0));
            let term = labels(term, dots?)?;
            if term.len() != rank {
                return None;
            }
            labelled.push(term);
        }
        let output = match output {
            Some(output) => labels(output, widest)?,
            None => {
                let mut all: Vec<Label> = labelled.concat();
                all.sort_unstable();
                let once = |label: &&Label| {
                    matches!(label, Label::Letter(_)) && all.iter().filter(|l| l == label).count() == 1
                };
                (0..widest).rev().map(Label::Ellipsis).chain(all.iter().filter(once).copied()).collect()
            }
        };
        let known = output.iter().enumerate().all(|(i, label)| {
            labelled.iter().any(|term| term.contains(label)) && !output[..i].contains(label)
        });
        known.then_some(Equation { terms: labelled, output })
    }

    /// The length of the axis of each label.
    fn lengths(&self, labels: &[Label], shapes: &[Vec<usize>]) -> Vec<usize> {
        let length = |label: &Label| {
            let lengths = self.terms.iter().zip(shapes).flat_map(|(term, shape)| term.iter().zip(shape));
            let mut own = lengths.filter(|(l, _)| *l == label).map(|(_, &length)| length);
            own.find(|&length| length != 1).unwrap_or(1)
        };
        labels.iter().map(length).collect()
    }

    /// All labels, those of the output first.
    fn labels(&self) -> Vec<Label> {
        let mut labels = self.output.clone();
        for &label in self.terms.iter().flatten() {
            if !labels.contains(&label) {
                labels.push(label);
            }
        }
        labels
    }
}

/// The labels of one term, in which `...` stands for `dots` axes.
fn labels(term: &str, dots: usize) -> Option<Vec<Label>> {
    let letters = |part: &str| -> Option<Vec<Label>> {
        part.chars().map(|c| c.is_ascii_alphabetic().then_some(Label::Letter(c))).collect()
    };
    match term.split_once("...") {
        Some((before, after)) => {
            let mut all = letters(before)?;
            all.extend((0..dots).rev().map(Label::Ellipsis));
            all.extend(letters(after)?);
            Some(all)
        }
        None => letters(term),
    }
}

impl Einsum {
    /// The lengths of all named axes, for inputs of these shapes, which the shape rule accepts.
    pub(crate) fn lengths(&self, shapes: &[Vec<usize>]) -> Vec<usize> {
        let ranks: Vec<usize> = shapes.iter().map(Vec::len).collect();
        let equation = Equation::new(&self.equation, &ranks).expect("as in infer");
        equation.lengths(&equation.labels(), shapes)
    }
}

impl Operator for Einsum {
    fn name(&self) -> &'static str {
        "Einsum"
    }

    fn infer(&self, inputs: &[Option<&ValueType>]) -> Result<Vec<ValueType>, Problem> {
        let types: Vec<&ValueType> = inputs.iter().copied().flatten().collect();
        let list = types.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let problem = |expected: &str| Problem::new(expected, format!("'{}' of {list}", self.equation));
        let alike = types.iter().all(|ty| ty.dtype == types[0].dtype && ty.dtype != DType::Bool);
        if types.is_empty() || types.len() != inputs.len() || !alike {
            return Err(problem("inputs, none left out, of one type of numbers"));
        }
        let ranks: Vec<usize> = types.iter().map(|ty| ty.shape.rank()).collect();
        let equation = Equation::new(&self.equation, &ranks).ok_or_else(|| {
            problem("an equation with a term of letters, and perhaps '...', for each input")
        })?;
        let mut dims: Vec<(Label, Dim)> = Vec::new();
        for (term, ty) in equation.terms.iter().zip(&types) {
            for (&label, &dim) in term.iter().zip(ty.shape.dims()) {
                match dims.iter_mut().find(|(known, _)| *known == label) {
                    None => dims.push((label, dim)),
                    Some((_, known)) if *known == dim || dim == Dim::Fixed(1) => {}
                    Some((_, known)) if *known == Dim::Fixed(1) => *known = dim,
                    Some(_) => return Err(problem("axes of one name that are equally long")),
                }
            }
        }
        if dims.iter().any(|(label, dim)| dim.is_batch() && !equation.output.contains(label)) {
            return Err(problem("a batch that is an axis of the output: sums may not mix samples"));
        }
        let of = |label: &Label| dims.iter().find(|(l, _)| l == label).map_or(Dim::Fixed(1), |&(_, dim)| dim);
        let output: Vec<Dim> = equation.output.iter().map(of).collect();
        if output.iter().filter(|d| d.is_batch()).count() > 1 {
            return Err(problem("an output in which at most one axis depends on the batch"));
        }
        let summed = dims.iter().filter(|(label, _)| !equation.output.contains(label));
        let terms = summed.fold(1usize, |n, (_, dim)| n.saturating_mul(dim.per_sample()));
        if terms > MOST_TERMS {
            return Err(problem("sums of at most 2^24 products"));
        }
        Ok(vec![ValueType::new(types[0].dtype, output)])
    }

    fn evaluate(&self, inputs: &[Option<&Tensor>], outputs: &[Vec<usize>]) -> Vec<Tensor> {
        let inputs: Vec<&Tensor> = inputs.iter().copied().flatten().collect();
        let ranks: Vec<usize> = inputs.iter().map(|t| t.shape().len()).collect();
        let equation = Equation::new(&self.equation, &ranks).expect("as in infer");
        let labels = equation.labels();
        let shapes: Vec<Vec<usize>> = inputs.iter().map(|t| t.shape().to_vec()).collect();
        let lengths = equation.lengths(&labels, &shapes);
        // For each input the distance of a step along each label; a label that occurs twice is a diagonal.
        let steps: Vec<Vec<usize>> = equation
            .terms
            .iter()
            .zip(&inputs)
            .map(|(term, tensor)| {
                let own = strides(tensor.shape());
                let step = |label: &Label| {
                    let places =
                        term.iter().enumerate().filter(|(i, l)| *l == label && tensor.shape()[*i] != 1);
                    places.map(|(i, _)| own[i]).sum()
                };
                labels.iter().map(step).collect()
            })
            .collect();
        let kept = equation.output.len();
        let walk = |range: std::ops::Range<usize>| -> Vec<Vec<usize>> {
            steps.iter().map(|steps| offsets(&lengths[range.clone()], &steps[range.clone()])).collect()
        };
        let (first, inner) = (walk(0..kept), walk(kept..labels.len()));
        let count = elements(&lengths[kept..]);
        let dtype = inputs[0].dtype();
        vec![if dtype.is_float() {
            let values: Vec<Vec<f64>> = inputs.iter().map(|t| reals(t)).collect();
            let product = |o: usize, i: usize| -> f64 {
                (0..values.len()).map(|k| values[k][first[k][o] + inner[k][i]]).product()
            };
            let sums = (0..elements(&outputs[0])).map(|o| sum((0..count).map(|i| product(o, i))));
            real_result(dtype, &outputs[0], sums)
        } else {
            let values: Vec<Vec<i128>> = inputs.iter().map(|t| integers(t)).collect();
            let product = |o: usize, i: usize| {
                (0..values.len()).fold(1i128, |p, k| p.wrapping_mul(values[k][first[k][o] + inner[k][i]]))
            };
            let sums = (0..elements(&outputs[0]))
                .map(|o| (0..count).fold(0i128, |sum, i| sum.wrapping_add(product(o, i))));
            integer_result(dtype, &outputs[0], sums)
        }]
    }
}
