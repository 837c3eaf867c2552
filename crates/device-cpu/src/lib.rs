//! The CPU device: packed weights, kernels per instruction set, fused operators, arenas.
pub(crate) mod kernels;
