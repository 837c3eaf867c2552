//! What a name of a model stands for while the model is read: something computed later, or something known already.

use std::sync::Arc;

use paceline_graph::{DType, Data, Dim, Element, Tensor, Value, ValueType, by_type};

use super::sampled::Sampled;
use super::view::View;

/// What a name stands for.
#[derive(Clone, Debug)]
pub(crate) enum Item {
    /// Computed when the graph runs.
    Graph(Value),
    /// Known now.
    Known(Arc<Tensor>),
    /// Known now, as integers that depend on the number of samples.
    Symbolic(Symbolic),
    /// Known now, as integers that depend on the sample they belong to.
    Sampled(Sampled),
    /// Computed when the graph runs, with axes that are in another order in the model, or merged.
    View(View),
}

impl Item {
    /// A tensor known now.
    pub(crate) fn known(tensor: Tensor) -> Self {
        Item::Known(Arc::new(tensor))
    }
}

/// `each * N + fixed` for a batch of N samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Affine {
    pub each: i64,
    pub fixed: i64,
}

impl Affine {
    /// A number that does not depend on the batch.
    pub(crate) fn fixed(fixed: i64) -> Self {
        Affine { each: 0, fixed }
    }

    /// A length of an axis; `None` for one that no tensor has.
    pub(crate) fn of_dim(dim: Dim) -> Option<Self> {
        Some(match dim {
            Dim::Fixed(length) => Affine { each: 0, fixed: i64::try_from(length).ok()? },
            Dim::Batch(each) => Affine { each: i64::try_from(each).ok()?, fixed: 0 },
        })
    }

    /// The number, where it does not depend on the batch.
    pub(crate) fn constant(self) -> Option<i64> {
        (self.each == 0).then_some(self.fixed)
    }

    /// The length of an axis; `None` for what is no length, such as N + 1 or -1.
    pub(crate) fn dim(self) -> Option<Dim> {
        match (self.each, self.fixed) {
            (0, fixed) => usize::try_from(fixed).ok().map(Dim::Fixed),
            (each, 0) => usize::try_from(each).ok().map(Dim::Batch),
            _ => None,
        }
    }

    /// The number for so many samples.
    pub(crate) fn at(self, samples: i64) -> Option<i64> {
        self.each.checked_mul(samples)?.checked_add(self.fixed)
    }

    pub(crate) fn add(self, other: Affine) -> Option<Affine> {
        Some(Affine { each: self.each.checked_add(other.each)?, fixed: self.fixed.checked_add(other.fixed)? })
    }

    pub(crate) fn negate(self) -> Option<Affine> {
        Some(Affine { each: self.each.checked_neg()?, fixed: self.fixed.checked_neg()? })
    }

    /// The product; `None` where both depend on the batch.
    pub(crate) fn multiply(self, other: Affine) -> Option<Affine> {
        let (factor, affine) = match (self.constant(), other.constant()) {
            (Some(factor), _) => (factor, other),
            (_, Some(factor)) => (factor, self),
            _ => return None,
        };
        Some(Affine { each: affine.each.checked_mul(factor)?, fixed: affine.fixed.checked_mul(factor)? })
    }

    /// The quotient, where it is a whole number whatever the batch, or does not depend on it (then rounded to zero).
    pub(crate) fn divide(self, other: Affine) -> Option<Affine> {
        match other.constant() {
            Some(0) => None,
            Some(divisor) if self.each == 0 => Some(Affine::fixed(self.fixed.checked_div(divisor)?)),
            Some(divisor) if self.each % divisor == 0 && self.fixed % divisor == 0 => {
                Some(Affine { each: self.each / divisor, fixed: self.fixed / divisor })
            }
            // k * (each * N + fixed) / (each * N + fixed)
            None if other.each != 0 && self.each % other.each == 0 => {
                let factor = self.each / other.each;
                (other.fixed.checked_mul(factor)? == self.fixed).then_some(Affine::fixed(factor))
            }
            _ => None,
        }
    }

    /// Whether it is at least as large as another for every batch of at least one sample.
    pub(crate) fn is_at_least(self, other: Affine) -> bool {
        let difference = other.negate().and_then(|other| self.add(other));
        difference
            .is_some_and(|d| d.each >= 0 && d.each.checked_add(d.fixed).is_some_and(|at_one| at_one >= 0))
    }

    /// How it compares with another for every batch of at least one sample; `None` where that depends on the batch.
    pub(crate) fn compare(self, other: Affine) -> Option<std::cmp::Ordering> {
        use std::cmp::Ordering::{Greater, Less};
        let difference = self.add(other.negate()?)?;
        let at_one = difference.each.checked_add(difference.fixed)?;
        match difference.each.signum() {
            0 => Some(at_one.cmp(&0)),
            1 if at_one > 0 => Some(Greater),
            -1 if at_one < 0 => Some(Less),
            _ => None,
        }
    }
}

/// A tensor of integers that depend on the number of samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Symbolic {
    pub shape: Vec<usize>,
    pub elements: Vec<Affine>,
}

impl Symbolic {
    /// The lengths of axes, as the operator Shape gives them.
    pub(crate) fn of_dims(dims: &[Dim]) -> Option<Self> {
        let elements: Vec<Affine> = dims.iter().map(|&dim| Affine::of_dim(dim)).collect::<Option<_>>()?;
        Some(Symbolic { shape: vec![elements.len()], elements })
    }

    /// The same, where it does not depend on the batch, as a tensor.
    pub(crate) fn item(self) -> Item {
        let constants: Option<Vec<i64>> = self.elements.iter().map(|element| element.constant()).collect();
        match constants {
            Some(constants) => {
                Item::known(Tensor::new(self.shape, constants).expect("as many elements as the shape has"))
            }
            None => Item::Symbolic(self),
        }
    }

    /// The type that it would have in a graph.
    pub(crate) fn ty(&self) -> ValueType {
        ValueType::new(DType::I64, self.shape.as_slice())
    }
}

/// The integers of a tensor of integers or booleans.
pub(crate) fn integers(tensor: &Tensor) -> Option<Vec<i64>> {
    if tensor.dtype().is_float() {
        return None;
    }
    by_type!(Data, tensor.data(), values => values.iter().map(|value| i64::try_from(value.to_integer()).ok()).collect())
}
