//! What most shape rules check: which inputs there are, their element types, their axes.

use std::fmt;

use crate::{DType, Dim, Problem, Shape, ValueType, axis_position};

/// The inputs of an operator that takes `R` required ones and then `O` optional ones, with the names its documentation
/// gives them.
pub(super) struct Arguments<'a, const R: usize, const O: usize = 0> {
    /// The required inputs, in order.
    pub required: [&'a ValueType; R],
    /// The optional inputs, in order.
    pub optional: [Option<&'a ValueType>; O],
    names: ([&'static str; R], [&'static str; O]),
}

impl<'a, const R: usize, const O: usize> Arguments<'a, R, O> {
    /// The inputs by name; an error if a required one is missing or there are too many.
    pub fn new(
        types: &[Option<&'a ValueType>],
        required: [&'static str; R],
        optional: [&'static str; O],
    ) -> Result<Self, Problem> {
        let at = |i: usize| types.get(i).copied().flatten();
        if types.len() > R + O || (0..R).any(|i| at(i).is_none()) {
            let names: Vec<String> = required
                .iter()
                .map(ToString::to_string)
                .chain(optional.iter().map(|name| format!("optional {name}")))
                .collect();
            let given: Vec<String> =
                types.iter().map(|ty| ty.map_or("nothing".into(), ToString::to_string)).collect();
            let inputs = if types.len() == 1 { "input" } else { "inputs" };
            return Err(Problem::new(
                format!("inputs {}", names.join(", ")),
                format!("{} {inputs} ({})", types.len(), given.join(", ")),
            ));
        }
        Ok(Arguments {
            required: std::array::from_fn(|i| at(i).expect("just checked")),
            optional: std::array::from_fn(|i| at(R + i)),
            names: (required, optional),
        })
    }

    /// The same, for an operator whose inputs are all f32.
    pub fn f32(
        types: &[Option<&'a ValueType>],
        required: [&'static str; R],
        optional: [&'static str; O],
    ) -> Result<Self, Problem> {
        let arguments = Self::new(types, required, optional)?;
        for (name, ty) in arguments.given() {
            arguments.dtype(name, ty, DType::F32)?;
        }
        Ok(arguments)
    }

    /// The same, for an operator whose inputs are all f32 or all f64.
    pub fn floats(
        types: &[Option<&'a ValueType>],
        required: [&'static str; R],
        optional: [&'static str; O],
    ) -> Result<Self, Problem> {
        Self::alike(types, required, optional, "f32 or f64, one type for all", DType::is_float)
    }

    /// The same, for an operator whose inputs are all of one type of numbers.
    pub fn numbers(
        types: &[Option<&'a ValueType>],
        required: [&'static str; R],
        optional: [&'static str; O],
    ) -> Result<Self, Problem> {
        Self::alike(types, required, optional, "numbers, one type for all", |dtype| dtype != DType::Bool)
    }

    fn alike(
        types: &[Option<&'a ValueType>],
        required: [&'static str; R],
        optional: [&'static str; O],
        expected: &str,
        accepts: impl Fn(DType) -> bool,
    ) -> Result<Self, Problem> {
        let arguments = Self::new(types, required, optional)?;
        let first = arguments.required[0].dtype;
        let alike = accepts(first) && arguments.given().all(|(_, ty)| ty.dtype == first);
        let names: Vec<&str> = arguments.given().map(|(name, _)| name).collect();
        arguments.expect(alike, || format!("{} of {expected}", names.join(", ")))?;
        Ok(arguments)
    }

    /// A problem with these inputs.
    pub fn problem(&self, expected: impl Into<String>) -> Problem {
        Problem::new(expected, self.to_string())
    }

    /// Passes if `condition` holds; otherwise a problem with these inputs.
    pub fn expect(&self, condition: bool, expected: impl FnOnce() -> String) -> Result<(), Problem> {
        if condition { Ok(()) } else { Err(self.problem(expected())) }
    }

    /// Passes if `ty` has the element type `dtype`.
    pub fn dtype(&self, name: &str, ty: &ValueType, dtype: DType) -> Result<(), Problem> {
        self.expect(ty.dtype == dtype, || format!("{name} of {dtype}"))
    }

    /// Passes if `ty` has the element type i64 or i32.
    pub fn indices(&self, name: &str, ty: &ValueType) -> Result<(), Problem> {
        self.expect(matches!(ty.dtype, DType::I64 | DType::I32), || format!("{name} of i64 or i32"))
    }

    /// Passes if at most one of the axes depends on the batch.
    pub fn one_batch(&self, dims: &[Dim]) -> Result<(), Problem> {
        self.expect(dims.iter().filter(|d| d.is_batch()).count() <= 1, || {
            "a result in which at most one axis depends on the batch".into()
        })
    }

    /// Passes if `ty` is left out or has exactly these axes.
    pub fn shape(
        &self,
        name: &str,
        ty: Option<&ValueType>,
        dims: &[Dim],
        to_match: &str,
    ) -> Result<(), Problem> {
        let expected = || format!("{name} {} to match {to_match}", Shape::from(dims.to_vec()));
        self.expect(ty.is_none_or(|ty| ty.shape.dims() == dims), expected)
    }

    /// The position of `axis`, which may be negative, among the axes of the first input.
    pub fn axis(&self, axis: isize) -> Result<usize, Problem> {
        let rank = self.required[0].shape.rank();
        axis_position(axis, rank).ok_or_else(|| {
            let expected = match rank {
                0 => "an input with at least one axis".into(),
                _ => format!("an axis from -{rank} to {}", rank - 1),
            };
            Problem::new(expected, format!("axis {axis} of {self}"))
        })
    }

    /// The position and the length of `axis`, which may be negative but not the batch, among the axes of the first input.
    pub fn axis_of_one_sample(&self, axis: isize) -> Result<(usize, usize), Problem> {
        let position = self.axis(axis)?;
        match self.required[0].shape.dims()[position] {
            Dim::Fixed(length) => Ok((position, length)),
            Dim::Batch(_) => {
                Err(Problem::new("an axis that is not the batch", format!("axis {axis} of {self}")))
            }
        }
    }

    fn given(&self) -> impl Iterator<Item = (&'static str, &'a ValueType)> {
        let required = self.names.0.into_iter().zip(self.required);
        let optional = self.names.1.into_iter().zip(self.optional);
        required.chain(optional.filter_map(|(name, ty)| Some((name, ty?))))
    }
}

impl<const R: usize, const O: usize> fmt::Display for Arguments<'_, R, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (name, ty)) in self.given().enumerate() {
            let comma = if i > 0 { ", " } else { "" };
            write!(f, "{comma}{name} {ty}")?;
        }
        Ok(())
    }
}

/// The lengths, when none depends on the batch.
pub(super) fn fixed(dims: &[Dim]) -> Option<Vec<usize>> {
    dims.iter().map(|d| if let Dim::Fixed(length) = d { Some(*length) } else { None }).collect()
}

/// Passes if `epsilon` can be added to a variance.
pub(super) fn check_epsilon(epsilon: f32) -> Result<(), Problem> {
    if epsilon.is_finite() && epsilon >= 0.0 {
        Ok(())
    } else {
        Err(Problem::new("an epsilon that is finite and not negative", format!("epsilon {epsilon}")))
    }
}
