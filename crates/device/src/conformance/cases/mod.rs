//! The cases, one file a family.

mod attention;
mod conv;
mod elementwise;
mod layout;
mod linear;
mod norm;
mod pool;
mod structure;

use super::Case;

/// Lengths that fill vectors and tiles, and lengths that do not.
const LENGTHS: [usize; 7] = [1, 2, 7, 16, 17, 33, 100];

/// Every case of the suite. Names are unique.
pub fn cases() -> Vec<Case> {
    [
        elementwise::cases(),
        linear::cases(),
        conv::cases(),
        norm::cases(),
        attention::cases(),
        layout::cases(),
        pool::cases(),
        structure::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
