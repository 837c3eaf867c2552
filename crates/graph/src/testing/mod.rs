//! Graphs to test with: written in a few lines ([`Pieces`]), in the pieces that exporters emit ([`patterns`]), or at random
//! ([`random_graph`]). Devices use them to compare themselves with the reference.
//!
//! Everything here panics on what it is not given right, as tests do. Only with the feature `testing`.

mod fusable;
pub mod patterns;
mod pieces;
mod random;
mod steps;
mod wider;

pub use pieces::Pieces;
pub use random::{random_graph, random_inputs};
