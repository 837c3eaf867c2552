//! The normalisations.

use paceline_graph::{self as graph, Op, Value};

use crate::{BuildError, Initial, Layer, Module, Parameters, Scope};

/// Normalises the last axes of each position to mean 0 and variance 1, then scales and shifts. `torch.nn.LayerNorm`.
///
/// Parameters: `weight` and `bias`, both of the normalised shape. Input and output: `[N, ..., normalized_shape...]`.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerNorm {
    shape: Vec<usize>,
    epsilon: f32,
    elementwise_affine: bool,
    bias: bool,
}

impl LayerNorm {
    /// Over the last axis, of `width` elements, with weight and bias; epsilon 1e-5.
    pub fn new(width: usize) -> Self {
        Self::over([width])
    }

    /// Over the last axes, which have these lengths.
    pub fn over(normalized_shape: impl Into<Vec<usize>>) -> Self {
        LayerNorm { shape: normalized_shape.into(), epsilon: 1e-5, elementwise_affine: true, bias: true }
    }

    /// Added to the variance. Default: 1e-5.
    pub fn epsilon(mut self, epsilon: f32) -> Self {
        self.epsilon = epsilon;
        self
    }

    /// Whether there is a weight, and with it a bias. Default: true.
    pub fn elementwise_affine(mut self, elementwise_affine: bool) -> Self {
        self.elementwise_affine = elementwise_affine;
        self
    }

    /// Whether there is a bias beside the weight. Default: true.
    pub fn bias(mut self, bias: bool) -> Self {
        self.bias = bias;
        self
    }

    fn has_bias(&self) -> bool {
        self.elementwise_affine && self.bias
    }
}

impl Module for LayerNorm {
    fn parameters(&self, parameters: &mut Parameters) {
        if self.elementwise_affine {
            parameters.parameter("weight", self.shape.clone(), Initial::Ones);
        }
        if self.has_bias() {
            parameters.parameter("bias", self.shape.clone(), Initial::Zeros);
        }
    }
}

impl Layer for LayerNorm {
    fn forward(&self, scope: &mut Scope<'_>, x: Value) -> Result<Value, BuildError> {
        check_trailing(scope, x, &self.shape)?;
        let op = graph::LayerNorm { axes: self.shape.len(), epsilon: self.epsilon };
        let weight = scope.optional_parameter(self.elementwise_affine, "weight")?;
        let bias = scope.optional_parameter(self.has_bias(), "bias")?;
        scope.add("", Op::LayerNorm(op), &[Some(x), weight, bias])
    }
}

/// Divides the last axes of each position by their root mean square, then scales. `torch.nn.RMSNorm`.
///
/// Parameter: `weight` of the normalised shape. Input and output: `[N, ..., normalized_shape...]`.
#[derive(Clone, Debug, PartialEq)]
pub struct RMSNorm {
    shape: Vec<usize>,
    epsilon: f32,
    elementwise_affine: bool,
}

impl RMSNorm {
    /// Over the last axis, of `width` elements, with a weight; epsilon is that of f32.
    pub fn new(width: usize) -> Self {
        Self::over([width])
    }

    /// Over the last axes, which have these lengths.
    pub fn over(normalized_shape: impl Into<Vec<usize>>) -> Self {
        RMSNorm { shape: normalized_shape.into(), epsilon: f32::EPSILON, elementwise_affine: true }
    }

    /// Added to the mean square. Default: 2^-23, as PyTorch's `eps=None` means for f32.
    pub fn epsilon(mut self, epsilon: f32) -> Self {
        self.epsilon = epsilon;
        self
    }

    /// Whether there is a weight. Default: true.
    pub fn elementwise_affine(mut self, elementwise_affine: bool) -> Self {
        self.elementwise_affine = elementwise_affine;
        self
    }
}

impl Module for RMSNorm {
    fn parameters(&self, parameters: &mut Parameters) {
        if self.elementwise_affine {
            parameters.parameter("weight", self.shape.clone(), Initial::Ones);
        }
    }
}

impl Layer for RMSNorm {
    fn forward(&self, scope: &mut Scope<'_>, x: Value) -> Result<Value, BuildError> {
        check_trailing(scope, x, &self.shape)?;
        let op = graph::RmsNorm { axes: self.shape.len(), epsilon: self.epsilon };
        let weight = scope.optional_parameter(self.elementwise_affine, "weight")?;
        scope.add("", Op::RmsNorm(op), &[Some(x), weight])
    }
}

/// `torch.nn.BatchNorm1d` in evaluation mode: `[N, C]` or `[N, C, L]`.
pub type BatchNorm1d = BatchNorm<1>;
/// `torch.nn.BatchNorm2d` in evaluation mode: `[N, C, H, W]`.
pub type BatchNorm2d = BatchNorm<2>;

/// Normalises each channel with the stored statistics, then scales and shifts.
///
/// Parameters: `weight [C]`, `bias [C]`; buffers: `running_mean [C]`, `running_var [C]`. `num_batches_tracked` is accepted and
/// not used. PyTorch's `track_running_stats=False` has no counterpart: there one sample's result depends on the others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchNorm<const R: usize> {
    channels: usize,
    epsilon: f32,
    affine: bool,
}

impl<const R: usize> BatchNorm<R> {
    /// With weight and bias; epsilon 1e-5.
    pub fn new(num_features: usize) -> Self {
        BatchNorm { channels: num_features, epsilon: 1e-5, affine: true }
    }

    /// Added to the variance. Default: 1e-5.
    pub fn epsilon(mut self, epsilon: f32) -> Self {
        self.epsilon = epsilon;
        self
    }

    /// Whether there are a weight and a bias. Default: true.
    pub fn affine(mut self, affine: bool) -> Self {
        self.affine = affine;
        self
    }
}

impl<const R: usize> Module for BatchNorm<R> {
    fn parameters(&self, parameters: &mut Parameters) {
        if self.affine {
            parameters.parameter("weight", [self.channels], Initial::Ones);
            parameters.parameter("bias", [self.channels], Initial::Zeros);
        }
        parameters.buffer("running_mean", [self.channels], Initial::Zeros);
        parameters.buffer("running_var", [self.channels], Initial::Ones);
        parameters.ignored("num_batches_tracked");
    }
}

impl<const R: usize> Layer for BatchNorm<R> {
    fn forward(&self, scope: &mut Scope<'_>, x: Value) -> Result<Value, BuildError> {
        let ty = scope.value_type(x);
        let rank = ty.shape.rank();
        if rank != R + 2 && !(R == 1 && rank == 2) {
            return Err(scope.problem(format!("an input [N, C, ...] with {R} spatial axes"), ty.to_string()));
        }
        let mean = scope.parameter("running_mean")?;
        let variance = scope.parameter("running_var")?;
        let weight = scope.optional_parameter(self.affine, "weight")?;
        let bias = scope.optional_parameter(self.affine, "bias")?;
        let op = graph::BatchNorm { epsilon: self.epsilon };
        scope.add("", Op::BatchNorm(op), &[Some(x), Some(mean), Some(variance), weight, bias])
    }
}

/// Normalises groups of channels of each sample, then scales and shifts each channel. `torch.nn.GroupNorm`.
///
/// Parameters: `weight [C]`, `bias [C]`. Input and output: `[N, C, ...]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GroupNorm {
    groups: usize,
    channels: usize,
    epsilon: f32,
    affine: bool,
}

impl GroupNorm {
    /// With weight and bias; epsilon 1e-5. `num_groups` divides `num_channels`.
    pub fn new(num_groups: usize, num_channels: usize) -> Self {
        GroupNorm { groups: num_groups, channels: num_channels, epsilon: 1e-5, affine: true }
    }

    /// Added to the variance. Default: 1e-5.
    pub fn epsilon(mut self, epsilon: f32) -> Self {
        self.epsilon = epsilon;
        self
    }

    /// Whether there are a weight and a bias. Default: true.
    pub fn affine(mut self, affine: bool) -> Self {
        self.affine = affine;
        self
    }
}

impl Module for GroupNorm {
    fn parameters(&self, parameters: &mut Parameters) {
        if self.affine {
            parameters.parameter("weight", [self.channels], Initial::Ones);
            parameters.parameter("bias", [self.channels], Initial::Zeros);
        }
    }
}

impl Layer for GroupNorm {
    fn forward(&self, scope: &mut Scope<'_>, x: Value) -> Result<Value, BuildError> {
        let channels = super::fixed_length(scope.value_type(x), 1);
        if channels != Some(self.channels) {
            let got = scope.value_type(x).to_string();
            return Err(scope.problem(format!("an input [N, {}, ...]", self.channels), got));
        }
        let op = graph::GroupNorm { groups: self.groups, epsilon: self.epsilon };
        let weight = scope.optional_parameter(self.affine, "weight")?;
        let bias = scope.optional_parameter(self.affine, "bias")?;
        scope.add("", Op::GroupNorm(op), &[Some(x), weight, bias])
    }
}

/// Without a weight the operator cannot know the lengths that the layer was made for.
fn check_trailing(scope: &Scope<'_>, x: Value, shape: &[usize]) -> Result<(), BuildError> {
    let ty = scope.value_type(x);
    let trailing = ty.shape.rank().checked_sub(shape.len()).filter(|&first| first > 0);
    let matches = trailing.is_some_and(|first| {
        shape.iter().enumerate().all(|(i, &length)| super::fixed_length(ty, first + i) == Some(length))
    });
    if matches {
        return Ok(());
    }
    Err(scope.problem(format!("an input whose last axes are {shape:?}, after the batch"), ty.to_string()))
}
