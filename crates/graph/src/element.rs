//! Rust types as elements of tensors, and their conversions.

use crate::{DType, Data, Elements, element_types};

/// A Rust type whose values are elements of tensors.
pub trait Element: Copy + Default + PartialEq + PartialOrd + std::fmt::Debug + Send + Sync + 'static {
    /// The element type.
    const DTYPE: DType;

    /// The elements of `data`, when they are of this type.
    fn of(data: &Data) -> Option<&[Self]>;

    /// These elements as data.
    fn data(elements: Elements<Self>) -> Data;

    /// Bytes as elements, in this machine's order; `None` where they are no whole number of them, not aligned, or not always
    /// elements, as bytes are not always booleans.
    fn view(bytes: &[u8]) -> Option<&[Self]>;

    /// Elements as bytes, in this machine's order; `None` where [`view`](Element::view) could not read them again.
    fn raw(elements: &[Self]) -> Option<&[u8]>;

    /// What stands for an element that is not there: NaN, or 0 where the type has none.
    fn missing() -> Self {
        if Self::DTYPE.is_float() { Self::from_f64(f64::NAN) } else { Self::default() }
    }

    /// The nearest f64; 1 for `true`.
    fn to_f64(self) -> f64;

    /// The nearest element, towards zero for integers, which saturate (NaN gives 0); whether it is not 0 for booleans.
    fn from_f64(x: f64) -> Self;

    /// The integer, for an element of an integer type; towards zero for others.
    fn to_integer(self) -> i128;

    /// The integer modulo the type's range, as arithmetic wraps; whether it is not 0 for booleans.
    fn from_integer(x: i128) -> Self;

    /// The bits, as the lowest ones of the result.
    fn bits(self) -> u64;
}

macro_rules! elements {
    ($($variant:ident($ty:tt, $name:literal, $doc:literal),)*) => {
        $(
            impl Element for $ty {
                const DTYPE: DType = DType::$variant;

                fn of(data: &Data) -> Option<&[Self]> {
                    match data {
                        Data::$variant(v) => Some(v),
                        _ => None,
                    }
                }

                fn data(elements: Elements<Self>) -> Data {
                    Data::$variant(elements)
                }

                elements! { @conversions $ty }
            }
        )*
    };
    (@conversions bool) => {
        fn view(_: &[u8]) -> Option<&[Self]> {
            None
        }

        fn raw(_: &[Self]) -> Option<&[u8]> {
            None
        }

        fn to_f64(self) -> f64 {
            f64::from(u8::from(self))
        }

        fn from_f64(x: f64) -> Self {
            x != 0.0
        }

        fn to_integer(self) -> i128 {
            i128::from(self)
        }

        fn from_integer(x: i128) -> Self {
            x != 0
        }

        fn bits(self) -> u64 {
            u64::from(self)
        }
    };
    (@conversions $ty:tt) => {
        fn view(bytes: &[u8]) -> Option<&[Self]> {
            bytemuck::try_cast_slice(bytes).ok()
        }

        fn raw(elements: &[Self]) -> Option<&[u8]> {
            Some(bytemuck::cast_slice(elements))
        }

        fn to_f64(self) -> f64 {
            self as f64
        }

        fn from_f64(x: f64) -> Self {
            x as $ty
        }

        fn to_integer(self) -> i128 {
            self as i128
        }

        fn from_integer(x: i128) -> Self {
            x as $ty
        }

        elements! { @bits $ty }
    };
    (@bits f32) => {
        fn bits(self) -> u64 {
            u64::from(self.to_bits())
        }
    };
    (@bits f64) => {
        fn bits(self) -> u64 {
            self.to_bits()
        }
    };
    (@bits $ty:tt) => {
        fn bits(self) -> u64 {
            self as u64
        }
    };
}

element_types!(elements);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversions_saturate_wrap_and_round_towards_zero() {
        assert_eq!((i8::from_f64(200.0), u8::from_f64(-3.0), i32::from_f64(f64::NAN)), (127, 0, 0));
        assert_eq!((i64::from_f64(-2.9), f32::from_f64(0.1), bool::from_f64(0.5)), (-2, 0.1, true));
        assert_eq!(
            (i8::from_integer(200), u8::from_integer(-1), u64::from_integer(-1)),
            (-56, 255, u64::MAX)
        );
        assert_eq!(
            (u64::MAX.to_integer(), true.to_integer(), (-2.5f32).to_integer()),
            (0xffff_ffff_ffff_ffff, 1, -2)
        );
        assert_eq!(((-1i8).bits() as u8, (-0.0f32).bits(), true.bits()), (255, 1 << 31, 1));
    }
}
