//! Element types, and the table of them from which everything that has a case for each is made.

use std::fmt;

/// Calls a macro with a row for each element type: `Variant(type, "name", "documentation")`.
#[macro_export]
macro_rules! element_types {
    ($then:ident) => {
        $then! {
            F32(f32, "f32", "IEEE 754 single precision."),
            F64(f64, "f64", "IEEE 754 double precision."),
            I64(i64, "i64", "64-bit signed integer (indices)."),
            I32(i32, "i32", "32-bit signed integer."),
            I16(i16, "i16", "16-bit signed integer."),
            I8(i8, "i8", "8-bit signed integer (quantised values)."),
            U64(u64, "u64", "64-bit unsigned integer."),
            U32(u32, "u32", "32-bit unsigned integer."),
            U16(u16, "u16", "16-bit unsigned integer."),
            U8(u8, "u8", "8-bit unsigned integer (quantised values, images)."),
            Bool(bool, "bool", "One byte a value, 0 or 1 (masks)."),
        }
    };
}

/// One expression for every element type.
///
/// `by_type!(Data, data, v => v.len())` evaluates the expression with `v` bound to what the variant of `data` holds; the enum
/// is one that [`element_types!`](crate::element_types) lists the variants of. With two values of one type,
/// `by_type!(Data, a, View, b, (v, w) => v == w, else false)`.
#[macro_export]
macro_rules! by_type {
    ($enum:ident, $value:expr, $v:pat => $body:expr) => {
        match $value {
            $enum::F32($v) => $body,
            $enum::F64($v) => $body,
            $enum::I64($v) => $body,
            $enum::I32($v) => $body,
            $enum::I16($v) => $body,
            $enum::I8($v) => $body,
            $enum::U64($v) => $body,
            $enum::U32($v) => $body,
            $enum::U16($v) => $body,
            $enum::U8($v) => $body,
            $enum::Bool($v) => $body,
        }
    };
    ($a:ident, $x:expr, $b:ident, $y:expr, ($v:pat, $w:pat) => $body:expr, else $other:expr) => {
        match ($x, $y) {
            ($a::F32($v), $b::F32($w)) => $body,
            ($a::F64($v), $b::F64($w)) => $body,
            ($a::I64($v), $b::I64($w)) => $body,
            ($a::I32($v), $b::I32($w)) => $body,
            ($a::I16($v), $b::I16($w)) => $body,
            ($a::I8($v), $b::I8($w)) => $body,
            ($a::U64($v), $b::U64($w)) => $body,
            ($a::U32($v), $b::U32($w)) => $body,
            ($a::U16($v), $b::U16($w)) => $body,
            ($a::U8($v), $b::U8($w)) => $body,
            ($a::Bool($v), $b::Bool($w)) => $body,
            _ => $other,
        }
    };
}

/// One expression for every element type, without elements at hand: `by_dtype!(dtype, T => size_of::<T>())` evaluates the
/// expression with `T` standing for the Rust type of `dtype`.
#[macro_export]
macro_rules! by_dtype {
    ($dtype:expr, $T:ident => $body:expr) => {
        $crate::by_dtype!(@match $dtype, $T, $body, F32 f32, F64 f64, I64 i64, I32 i32, I16 i16, I8 i8, U64 u64,
            U32 u32, U16 u16, U8 u8, Bool bool)
    };
    (@match $dtype:expr, $T:ident, $body:expr, $($variant:ident $ty:ty),*) => {
        match $dtype {
            $($crate::DType::$variant => {
                type $T = $ty;
                $body
            })*
        }
    };
}

macro_rules! dtypes {
    ($($variant:ident($ty:ty, $name:literal, $doc:literal),)*) => {
        /// The type of a tensor's elements.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum DType {
            $(#[doc = $doc] $variant,)*
        }

        impl DType {
            /// Every element type.
            pub const ALL: &[DType] = &[$(DType::$variant),*];

            /// Bytes one element takes.
            pub fn size_bytes(self) -> usize {
                match self {
                    $(DType::$variant => size_of::<$ty>(),)*
                }
            }
        }

        impl fmt::Display for DType {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(DType::$variant => $name,)*
                })
            }
        }
    };
}

element_types!(dtypes);

impl DType {
    /// Whether elements are floating-point numbers.
    pub fn is_float(self) -> bool {
        matches!(self, DType::F32 | DType::F64)
    }

    /// Whether elements are integers, signed or not.
    pub fn is_integer(self) -> bool {
        !self.is_float() && self != DType::Bool
    }

    /// Whether elements can be negative.
    pub fn is_signed(self) -> bool {
        matches!(self, DType::F32 | DType::F64 | DType::I64 | DType::I32 | DType::I16 | DType::I8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_a_name_of_its_own_that_tells_its_size() {
        for &dtype in DType::ALL {
            let name = dtype.to_string();
            let bits = name[1..].parse().unwrap_or(8);
            assert_eq!(dtype.size_bytes() * 8, bits, "{name}");
            assert_eq!(DType::ALL.iter().filter(|other| other.to_string() == name).count(), 1);
        }
    }
}
