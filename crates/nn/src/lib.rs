//! Layers in PyTorch's vocabulary that build graphs, and the study's models.
//!
//! A [`Module`] is plain data: `Linear::new(512, 1024)`. Its weights are in a [`StateDict`], drawn from a seed or loaded from the
//! safetensors file of a PyTorch `state_dict`, by the names PyTorch gives them. [`build`] brings the two together in a
//! [`paceline_graph::Graph`].
//!
//! ```
//! use paceline_nn::{Linear, ReLU, Sequential, StateDict, build_layer};
//! let mlp = Sequential::new().then(Linear::new(8, 16)).then(ReLU).then(Linear::new(16, 4));
//! let weights = StateDict::random(&mlp, 1);
//! assert!(weights.get("2.bias").is_some());
//! let graph = build_layer(&mlp, &weights, &[8])?;
//! assert_eq!(graph.parameter_count(), 8 * 16 + 16 + 16 * 4 + 4);
//! # Ok::<(), paceline_nn::BuildError>(())
//! ```
//!
//! Layers are those of evaluation mode. The batch is axis 0 of every input, PyTorch's `batch_first=True`.
//!
//! **Not here**: training, and fusion, which is a matter of [`paceline_graph::passes`].

mod error;
mod file;
mod layers;
pub mod models;
mod module;
mod parameter;
mod random;
mod sample;
mod scope;
mod state_dict;
#[cfg(feature = "testing")]
pub mod testing;

pub use error::{BuildError, Mismatch, Misshapen, StateDictError};
pub use layers::*;
pub use models::{Model, Summary, UnknownModel, models};
pub use module::{Layer, Module};
pub use paceline_graph::flops;
pub use parameter::{Initial, Parameter, Parameters};
pub use sample::sample_inputs;
pub use scope::{Scope, build, build_layer};
pub use state_dict::StateDict;
