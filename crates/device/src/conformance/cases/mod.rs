//! The cases, one file a family.

mod attention;
mod conv;
mod elementwise;
mod images;
mod layers;
mod layout;
mod linear;
mod models;
mod norm;
mod pool;
mod random;
mod structure;
mod wider;

pub use random::random_cases;

use super::Case;

/// Lengths that fill vectors and tiles, and lengths that do not.
const LENGTHS: [usize; 7] = [1, 2, 7, 16, 17, 33, 100];

/// Random graphs in the suite.
const RANDOM_GRAPHS: u64 = 48;

/// Every case of the suite. Names are unique.
pub fn cases() -> Vec<Case> {
    [
        elementwise::cases(),
        linear::cases(),
        conv::cases(),
        images::cases(),
        norm::cases(),
        attention::cases(),
        layout::cases(),
        pool::cases(),
        wider::cases(),
        structure::cases(),
        layers::cases(),
        models::cases(),
        random_cases(0..RANDOM_GRAPHS),
    ]
    .into_iter()
    .flatten()
    .collect()
}
