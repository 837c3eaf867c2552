//! Whether an answer is, bit for bit, the expected one. Cheap enough to be asked of every answer.

use paceline_device::View;
use paceline_device::conformance::Tolerance;

/// Whether two results have the same bits; any NaN equals any other, as its bits mean nothing.
pub(crate) fn same(got: View<'_>, expected: View<'_>) -> bool {
    if got.len() != expected.len() {
        return false;
    }
    match (got, expected) {
        (View::F32(g), View::F32(e)) => {
            same_bits(g, e) || Tolerance::EXACT.first_mismatch(expected, got).is_none()
        }
        _ => got.dtype() == expected.dtype() && Tolerance::EXACT.first_mismatch(expected, got).is_none(),
    }
}

/// Compares in blocks without a branch an element, which the compiler turns into vector code.
fn same_bits(a: &[f32], b: &[f32]) -> bool {
    const BLOCK: usize = 256;
    let differs =
        |a: &[f32], b: &[f32]| a.iter().zip(b).fold(0, |any, (a, b)| any | (a.to_bits() ^ b.to_bits()));
    a.chunks(BLOCK).zip(b.chunks(BLOCK)).all(|(a, b)| differs(a, b) == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_differ_by_a_bit_a_length_or_a_type() {
        let long: Vec<f32> = (0..1000).map(|i| i as f32).collect();
        let mut other = long.clone();
        other[999] += 1.0;
        let (a, b) = (View::F32(&[1.0, f32::NAN]), View::F32(&[1.0, -f32::NAN]));
        for (got, expected, equal) in [
            (a, a, true),
            (a, b, true),
            (View::F32(&long), View::F32(&long), true),
            (View::F32(&long), View::F32(&other), false),
            (View::F32(&[0.0]), View::F32(&[-0.0]), false),
            (View::F32(&[f32::NAN]), View::F32(&[1.0]), false),
            (View::F32(&[1.0]), View::F32(&[1.0, 2.0]), false),
            (View::I64(&[3]), View::I64(&[3]), true),
            (View::I64(&[3]), View::I64(&[4]), false),
            (View::Bool(&[true]), View::Bool(&[true]), true),
            (View::Bool(&[true]), View::I64(&[1]), false),
        ] {
            assert_eq!(same(got, expected), equal, "{got:?} and {expected:?}");
        }
    }
}
