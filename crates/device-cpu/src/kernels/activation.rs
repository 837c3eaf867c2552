//! The functions that follow a product, a convolution or a sum in the same pass.

use super::math;
use super::vector::Vector;

/// An element-wise function at the end of a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Activation {
    /// `x`
    #[default]
    None,
    /// `max(x, 0)`; NaN stays NaN
    Relu,
    /// `x (1 + erf(x / sqrt 2)) / 2`
    GeluErf,
    /// GELU by its approximation with tanh
    GeluTanh,
    /// `x sigmoid(x)`
    Silu,
    /// `1 / (1 + e^-x)`
    Sigmoid,
    /// The hyperbolic tangent
    Tanh,
}

impl Activation {
    /// The function of every lane.
    ///
    /// # Safety
    /// The machine has `V`'s instruction set.
    #[inline(always)]
    pub unsafe fn apply<V: Vector>(self, x: V) -> V {
        // SAFETY: the caller's promise.
        unsafe {
            match self {
                Activation::None => x,
                Activation::Relu => x.at_least(V::zero()),
                Activation::GeluErf => math::gelu_erf(x),
                Activation::GeluTanh => math::gelu_tanh(x),
                Activation::Silu => math::silu(x),
                Activation::Sigmoid => math::sigmoid(x),
                Activation::Tanh => math::tanh(x),
            }
        }
    }
}

impl From<Option<paceline_graph::Activation>> for Activation {
    fn from(activation: Option<paceline_graph::Activation>) -> Self {
        use paceline_graph::Activation as Fused;
        match activation {
            None => Activation::None,
            Some(Fused::Relu) => Activation::Relu,
            Some(Fused::Gelu) => Activation::GeluErf,
            Some(Fused::GeluTanh) => Activation::GeluTanh,
            Some(Fused::Silu) => Activation::Silu,
            Some(Fused::Sigmoid) => Activation::Sigmoid,
            Some(Fused::Tanh) => Activation::Tanh,
        }
    }
}
