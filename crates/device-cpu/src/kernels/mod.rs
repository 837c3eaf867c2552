//! The arithmetic of the CPU device, once per instruction set.
//!
//! Kernels are written once, generic over [`vector::Vector`], and instantiated by [`set`] for every instruction
//! set. They know nothing of graphs but the names of functions: sizes and slices in, numbers out. Every output element is computed in an order
//! that depends on its own sizes alone, never on how many rows or samples travel with it.

pub(crate) mod activation;
pub(crate) mod attention;
mod channelwise;
pub(crate) mod conv;
pub(crate) mod conv_transpose;
pub(crate) mod copy;
pub(crate) mod depthwise;
pub(crate) mod elementwise;
pub(crate) mod gemm;
pub(crate) mod isa;
pub(crate) mod math;
pub(crate) mod norm;
pub(crate) mod pack;
pub(crate) mod pad;
pub(crate) mod pool;
pub(crate) mod recurrent;
pub(crate) mod reduce;
pub(crate) mod row;
pub(crate) mod set;
pub(crate) mod softmax;
#[cfg(test)]
mod test_values;
mod tile;
pub(crate) mod typed;
pub(crate) mod vector;
