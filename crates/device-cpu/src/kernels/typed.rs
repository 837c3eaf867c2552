//! Loops over elements of any type, one after the other: comparisons, choices, conversions, and arithmetic that is not f32.
//!
//! Such elements are masks and indices, of which models have few. What is the same for all elements, such as which function it
//! is, is decided before a loop, so that the compiler can make vectors of most.

use paceline_graph::{BinaryOp, Classify, CompareOp, Element, UnaryOp};

/// A run of elements in memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Elements<T> {
    /// The first one.
    pub start: *const T,
    /// From one to the next.
    pub stride: usize,
}

impl<T: Copy> Elements<T> {
    /// Element `i`.
    ///
    /// # Safety
    /// It is readable.
    #[inline(always)]
    unsafe fn at(&self, i: usize) -> T {
        // SAFETY: the caller's promise.
        unsafe { *self.start.add(i * self.stride) }
    }
}

/// `dst[i * dst_stride] = f(a[i], b[i])`.
///
/// # Safety
/// `len` elements are readable at both operands and writable at `dst`, which overlaps neither but where it is the same element.
#[inline(always)]
pub(crate) unsafe fn zip<A: Copy, B: Copy, R>(
    a: Elements<A>,
    b: Elements<B>,
    (dst, dst_stride): (*mut R, usize),
    len: usize,
    f: impl Fn(A, B) -> R,
) {
    // SAFETY: the caller's promise.
    unsafe {
        if (a.stride, b.stride, dst_stride) == (1, 1, 1) {
            for i in 0..len {
                *dst.add(i) = f(*a.start.add(i), *b.start.add(i));
            }
        } else {
            for i in 0..len {
                *dst.add(i * dst_stride) = f(a.at(i), b.at(i));
            }
        }
    }
}

/// `dst[i * dst_stride] = if condition[i] { a[i] } else { b[i] }`.
///
/// # Safety
/// As for [`zip`].
pub(crate) unsafe fn choose<T: Copy>(
    condition: Elements<bool>,
    a: Elements<T>,
    b: Elements<T>,
    (dst, dst_stride): (*mut T, usize),
    len: usize,
) {
    // SAFETY: the caller's promise.
    unsafe {
        for i in 0..len {
            *dst.add(i * dst_stride) = if condition.at(i) { a.at(i) } else { b.at(i) };
        }
    }
}

/// A function of two elements as the reference has it, integers wrapping.
///
/// # Safety
/// As for [`zip`].
pub(crate) unsafe fn binary<T: Element>(
    op: BinaryOp,
    a: Elements<T>,
    b: Elements<T>,
    dst: (*mut T, usize),
    len: usize,
) {
    let bits = 8 * size_of::<T>() as u32;
    macro_rules! run {
        ($op:expr) => {
            // SAFETY: the caller's promise.
            unsafe {
                if T::DTYPE.is_float() {
                    zip(a, b, dst, len, |a, b| T::from_f64($op.of(a.to_f64(), b.to_f64())))
                } else {
                    zip(a, b, dst, len, |a, b| {
                        T::from_integer($op.of_integers(a.to_integer(), b.to_integer(), bits))
                    })
                }
            }
        };
    }
    match op {
        BinaryOp::Add => run!(BinaryOp::Add),
        BinaryOp::Sub => run!(BinaryOp::Sub),
        BinaryOp::Mul => run!(BinaryOp::Mul),
        other => run!(other),
    }
}

/// A function of one element as the reference has it; `dst` may be `src`.
///
/// # Safety
/// `len` elements are readable at `src` and writable at `dst`; the two are the same or do not overlap.
pub(crate) unsafe fn unary<T: Element>(op: UnaryOp, src: *const T, dst: *mut T, len: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        for i in 0..len {
            let x = *src.add(i);
            *dst.add(i) = if T::DTYPE.is_float() {
                T::from_f64(op.of(x.to_f64()))
            } else {
                T::from_integer(op.of_integer(x.to_integer(), T::DTYPE))
            };
        }
    }
}

/// Compares two elements as the reference does.
///
/// # Safety
/// As for [`zip`].
pub(crate) unsafe fn compare<T: Element>(
    op: CompareOp,
    a: Elements<T>,
    b: Elements<T>,
    dst: (*mut bool, usize),
    len: usize,
) {
    // SAFETY: the caller's promise.
    unsafe {
        match op {
            CompareOp::Equal => zip(a, b, dst, len, |a, b| CompareOp::Equal.of(a, b)),
            CompareOp::Less => zip(a, b, dst, len, |a, b| CompareOp::Less.of(a, b)),
            CompareOp::LessOrEqual => zip(a, b, dst, len, |a, b| CompareOp::LessOrEqual.of(a, b)),
            CompareOp::Greater => zip(a, b, dst, len, |a, b| CompareOp::Greater.of(a, b)),
            CompareOp::GreaterOrEqual => zip(a, b, dst, len, |a, b| CompareOp::GreaterOrEqual.of(a, b)),
        }
    }
}

/// Says of which class elements are.
///
/// # Safety
/// `len` elements are readable at `src` and writable at `dst`, the two apart.
pub(crate) unsafe fn classify<T: Element>(class: Classify, src: *const T, dst: *mut bool, len: usize) {
    for i in 0..len {
        // SAFETY: the caller's promise.
        unsafe { *dst.add(i) = class.of((*src.add(i)).to_f64()) };
    }
}

/// Converts elements as the reference does.
///
/// # Safety
/// `len` elements are readable at `src` and writable at `dst`, the two apart.
pub(crate) unsafe fn cast<A: Element, R: Element>(src: *const A, dst: *mut R, len: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        for i in 0..len {
            let x = *src.add(i);
            *dst.add(i) =
                if A::DTYPE.is_float() { R::from_f64(x.to_f64()) } else { R::from_integer(x.to_integer()) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of<T>(values: &[T], stride: usize) -> Elements<T> {
        Elements { start: values.as_ptr(), stride }
    }

    #[test]
    fn integers_wrap_and_operands_are_broadcast() {
        let (a, b) = ([i64::MAX, 2, -3, 4], [i64::MAX]);
        for (op, function) in [
            (BinaryOp::Add, i64::wrapping_add as fn(i64, i64) -> i64),
            (BinaryOp::Sub, i64::wrapping_sub),
            (BinaryOp::Mul, i64::wrapping_mul),
        ] {
            let want: Vec<i64> = a.iter().map(|&a| function(a, b[0])).collect();
            let mut got = [0; 4];
            // SAFETY: four elements, and one for all.
            unsafe { binary(op, of(&a, 1), of(&b, 0), (got.as_mut_ptr(), 1), 4) };
            assert_eq!(got.to_vec(), want, "{op:?}");
        }
    }

    #[test]
    fn choices_conversions_and_functions_have_their_strides_and_types() {
        let (condition, a, b) = ([true, false, true], [1u8, 2, 3], [9u8]);
        let mut got = [0; 5];
        // SAFETY: three elements, every second one of `got`.
        unsafe { choose(of(&condition, 1), of(&a, 1), of(&b, 0), (got.as_mut_ptr(), 2), 3) };
        assert_eq!(got, [1, 0, 9, 0, 3]);
        let mut narrow = [0i8; 3];
        // SAFETY: three elements.
        unsafe { cast([300.5f32, -1.9, f32::NAN].as_ptr(), narrow.as_mut_ptr(), 3) };
        assert_eq!(narrow, [127, -1, 0]);
        let mut not = [true, false];
        // SAFETY: two elements, in place.
        unsafe { unary(UnaryOp::Not, not.as_ptr(), not.as_mut_ptr(), 2) };
        assert_eq!(not, [false, true]);
    }
}
