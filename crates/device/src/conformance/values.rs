//! How the elements of an input are drawn.

use paceline_graph::{DType, Data, Element, by_type};
use rand::Rng;

/// How the elements of one input are drawn, each sample from a stream of its own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Values {
    /// f32, evenly between two bounds.
    Uniform(f32, f32),
    /// f32, each element one of these.
    OneOf(&'static [f32]),
    /// i64, evenly from the first to the last, both included.
    Integers(i64, i64),
    /// Numbers of any type, whole ones evenly from the first to the last, both included.
    Whole(DType, i32, i32),
    /// bool, true with this probability.
    Chance(f64),
    /// bool, true from a random place of the sample to its end: a key-padding mask, from all keys to none.
    Tail,
}

/// Numbers on which kernels stumble: signed zeros, infinities, NaN, the smallest and largest.
pub const EXTREMES: &[f32] = &[
    0.0,
    -0.0,
    1.0,
    -1.5,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::NAN,
    f32::MIN_POSITIVE,
    -f32::MIN_POSITIVE,
    1e-42,
    -1e-45,
    1e-30,
    1e30,
    -1e30,
    3e38,
    -3e38,
    89.0,
    -89.0,
    -104.5,
    17.25,
];

impl Values {
    /// Whatever suits a type: numbers around zero, small indices, coin tosses.
    pub fn default_of(dtype: DType) -> Self {
        match dtype {
            DType::I64 => Values::Integers(0, 3),
            DType::Bool => Values::Chance(0.5),
            DType::F32 => Values::Uniform(-2.0, 2.0),
            other => Values::Whole(other, if other.is_signed() { -3 } else { 0 }, 3),
        }
    }

    /// The type of the elements.
    pub fn dtype(&self) -> DType {
        match self {
            Values::Uniform(..) | Values::OneOf(_) => DType::F32,
            Values::Integers(..) => DType::I64,
            Values::Whole(dtype, ..) => *dtype,
            Values::Chance(_) | Values::Tail => DType::Bool,
        }
    }

    /// Appends the `len` elements of one sample.
    pub(super) fn draw(&self, rng: &mut impl Rng, len: usize, into: &mut Data) {
        match (self, into) {
            (&Values::Uniform(low, high), Data::F32(v)) => {
                v.extend((0..len).map(|_| rng.random_range(low..high)));
            }
            (Values::OneOf(list), Data::F32(v)) => {
                v.extend((0..len).map(|_| list[rng.random_range(0..list.len())]));
            }
            (&Values::Integers(low, high), Data::I64(v)) => {
                v.extend((0..len).map(|_| rng.random_range(low..=high)));
            }
            (&Values::Whole(dtype, low, high), into) if into.dtype() == dtype => {
                for _ in 0..len {
                    let number = f64::from(rng.random_range(low..=high));
                    by_type!(Data, &mut *into, v => v.extend([Element::from_f64(number)]));
                }
            }
            (&Values::Chance(chance), Data::Bool(v)) => v.extend((0..len).map(|_| rng.random_bool(chance))),
            (Values::Tail, Data::Bool(v)) => {
                let start = rng.random_range(0..=len);
                v.extend((0..len).map(|i| i >= start));
            }
            (values, data) => panic!("{values:?} cannot fill {} elements", data.dtype()),
        }
    }
}
