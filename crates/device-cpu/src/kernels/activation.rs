//! The functions that follow a product, a convolution or a sum in the same pass.

use paceline_graph::Activation;

use super::math;
use super::vector::Vector;

/// The function of every lane; the lanes as they are without one.
///
/// # Safety
/// The machine has `V`'s instruction set.
#[inline(always)]
pub(crate) unsafe fn apply<V: Vector>(activation: Option<Activation>, x: V) -> V {
    // SAFETY: the caller's promise.
    unsafe {
        match activation {
            None => x,
            // NaN stays NaN.
            Some(Activation::Relu) => x.at_least(V::zero()),
            Some(Activation::Gelu) => math::gelu_erf(x),
            Some(Activation::GeluTanh) => math::gelu_tanh(x),
            Some(Activation::Silu) => math::silu(x),
            Some(Activation::Sigmoid) => math::sigmoid(x),
            Some(Activation::Tanh) => math::tanh(x),
            Some(Activation::HardSwish) => math::hard_swish(x),
            Some(Activation::LeakyRelu { alpha }) => math::leaky_relu(x, alpha),
            Some(Activation::HardSigmoid { alpha, beta }) => math::hard_sigmoid(x, alpha, beta),
            Some(Activation::Clip { min, max }) => math::clip(x, min, max),
        }
    }
}
