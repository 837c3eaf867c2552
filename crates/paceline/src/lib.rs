//! Runs neural networks for many callers at once on one device: safely from any number of threads, gathered into batches that
//! form by themselves.
//!
//! ```
//! use paceline::nn::{Linear, ReLU, Sequential, StateDict, build_layer};
//! use paceline::{Engine, Tensor};
//!
//! let layers = Sequential::new().then(Linear::new(512, 1024)).then(ReLU).then(Linear::new(1024, 10));
//! let weights = StateDict::random(&layers, 0); // or StateDict::from_safetensors("weights.safetensors")?
//! let engine = Engine::on("cpu")?;
//! let mlp = engine.load("mlp", build_layer(&layers, &weights, &[512])?)?; // cheap to clone, Send + Sync
//!
//! let x = Tensor::new([1, 512], vec![0.5; 512])?;
//! std::thread::scope(|scope| {
//!     for _ in 0..8 {
//!         scope.spawn(|| mlp.infer([("x", x.clone())]).unwrap()); // batches form by themselves
//!     }
//! });
//! let ticket = mlp.submit([("x", Tensor::new([3, 512], vec![0.1; 3 * 512])?)])?; // or `ticket.await?`
//! assert_eq!(ticket.wait()?["y"].shape(), [3, 10]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! An [`Engine`] has a device and lanes on it; [`Engine::load`] compiles a [`Graph`] and gives a [`Model`], whose
//! [`infer`](Model::infer) blocks and whose [`submit`](Model::submit) returns a [`Ticket`] to wait for, await, or drop.
//!
//! `paceline tune` measures a model and writes a [`Profile`]; an engine that is [built](Builder::profile) from it has the lanes that were best,
//! and does not measure the model again. Where it recommends worker processes, a [`WorkerPool`](workers::WorkerPool) starts from it.
//!
//! Graphs come from the layers and models of [`nn`], from ONNX files ([`onnx::Model`]), or are put together from operators with
//! [`GraphBuilder`](graph::GraphBuilder).

mod device;
mod elastic;
mod engine;
pub mod onnx;
mod profiles;

pub use paceline_device_cpu as cpu;
pub use paceline_engine::{
    Callable, Distribution, EngineStatistics, ExecutionError, InferError, InputError, Inputs, LaneStatistics,
    Late, LoadOptions, MeasuredCost, Model, ModelStatistics, Outputs, Refusals, Release, Releases, Request,
    SubmitError, Ticket, Trace, WarmUp, write_chrome,
};
pub use paceline_graph as graph;
pub use paceline_graph::{DType, Graph, Tensor};
pub use paceline_nn as nn;
pub use paceline_profile as profile;
pub use paceline_profile::{Mismatch, Profile};

/// Engines in processes of their own, called like one in this process.
pub use paceline_workers as workers;

/// The seam between the engine and whatever computes, for devices of one's own.
pub use paceline_device as seam;

pub use device::{DEVICES, UnknownDevice, device};
pub use elastic::Elastic;
pub use engine::{BuildError, Builder, Engine, LoadError};

/// The README's example.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
