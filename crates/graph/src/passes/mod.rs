//! Functions from graph to graph that leave every result unchanged.
//!
//! A pass keeps the inputs and outputs with their names, types and order, and what it computes, up to the rounding of f32 where
//! it computes in another order. Nodes and constants that no output needs are left out. Constants that a pass does not have to
//! change are shared, never copied. A node that takes the place of several has the name of the last of them.
//!
//! Each pass documents the patterns that it recognises; [`simplify`] runs all of them. How a pass is written: the module
//! `rewrite` explains rules and replacements, `site` holds the questions that a rule can ask.

mod drop_identities;
mod eliminate;
mod epilogue;
mod fold_batch_norm;
mod fold_constants;
mod fuse_conv;
mod fuse_linear;
mod layout;
mod plain_powers;
mod recognise_attention;
mod recognise_gelu;
mod recognise_layer_norm;
mod rewrite;
mod simplify;
mod site;

pub use drop_identities::drop_identities;
pub use eliminate::{eliminate_common, eliminate_dead};
pub use fold_batch_norm::fold_batch_norm;
pub use fold_constants::fold_constants;
pub use fuse_conv::fuse_conv;
pub use fuse_linear::fuse_linear;
pub use plain_powers::plain_powers;
pub use recognise_attention::recognise_attention;
pub use recognise_gelu::recognise_gelu;
pub use recognise_layer_norm::recognise_layer_norm;
pub use simplify::{Pass, passes, simplify};
