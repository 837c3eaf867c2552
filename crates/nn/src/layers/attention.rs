//! `torch.nn.MultiheadAttention`.

use std::ops::Range;

use paceline_graph::{Attention, Linear, Op, Split, Value};

use crate::{BuildError, Initial, Layer, Module, Parameters, Scope};

/// Which keys a query sees. The default hides none.
///
/// Masks are values of the graph: inputs, when they differ from request to request, or constants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Masks {
    causal: bool,
    key_padding: Option<Value>,
    additive: Option<Value>,
}

impl Masks {
    /// Hides nothing.
    pub fn none() -> Self {
        Self::default()
    }

    /// Query `i` sees keys `0..=i` only.
    pub fn causal(mut self) -> Self {
        self.causal = true;
        self
    }

    /// Hides keys by sample: bool `[N, keys]`, `true` where a key is ignored. PyTorch's `key_padding_mask`.
    ///
    /// A query left without any key gives zeros, where PyTorch gives NaN.
    pub fn key_padding(mut self, mask: Value) -> Self {
        self.key_padding = Some(mask);
        self
    }

    /// Added to the scores: f32, broadcast to `[N, heads, queries, keys]`. PyTorch's `attn_mask`, with the batch and the heads
    /// on axes of their own.
    pub fn additive(mut self, mask: Value) -> Self {
        self.additive = Some(mask);
        self
    }
}

/// Scaled dot-product attention of several heads between projections. `torch.nn.MultiheadAttention(batch_first=True)`; the
/// batch is always first, and the attention weights are not returned.
///
/// Parameters: `in_proj_weight [3 * embed_dim, embed_dim]`, or `q_proj_weight`, `k_proj_weight`, `v_proj_weight` when keys or values
/// have another width than queries; `in_proj_bias [3 * embed_dim]`; `out_proj.weight [embed_dim, embed_dim]`, `out_proj.bias`.
///
/// As a [`Layer`] it is self attention without masks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MultiheadAttention {
    width: usize,
    heads: usize,
    key_width: usize,
    value_width: usize,
    bias: bool,
}

impl MultiheadAttention {
    /// With biases, and keys and values as wide as queries. `num_heads` divides `embed_dim`.
    pub fn new(embed_dim: usize, num_heads: usize) -> Self {
        MultiheadAttention {
            width: embed_dim,
            heads: num_heads,
            key_width: embed_dim,
            value_width: embed_dim,
            bias: true,
        }
    }

    /// Width of the keys given. Default: `embed_dim`.
    pub fn kdim(mut self, kdim: usize) -> Self {
        self.key_width = kdim;
        self
    }

    /// Width of the values given. Default: `embed_dim`.
    pub fn vdim(mut self, vdim: usize) -> Self {
        self.value_width = vdim;
        self
    }

    /// Whether the four projections have a bias. Default: true.
    pub fn bias(mut self, bias: bool) -> Self {
        self.bias = bias;
        self
    }

    /// `query [N, Tq, embed_dim]`, `key [N, Tk, kdim]`, `value [N, Tk, vdim]` to `[N, Tq, embed_dim]`. The same value given for
    /// several of them is projected at once.
    pub fn attend(
        &self,
        scope: &mut Scope<'_>,
        query: Value,
        key: Value,
        value: Value,
        masks: &Masks,
    ) -> Result<Value, BuildError> {
        let [q, k, v] = self.project(scope, query, key, value)?;
        let op = Attention { heads: self.heads, scale: None, causal: masks.causal };
        let inputs = [Some(q), Some(k), Some(v), masks.additive, masks.key_padding];
        let attended = scope.add("attention", Op::Attention(op), &inputs)?;
        super::Linear::new(self.width, self.width)
            .bias(self.bias)
            .forward(&mut scope.child("out_proj"), attended)
    }

    fn project(
        &self,
        scope: &mut Scope<'_>,
        query: Value,
        key: Value,
        value: Value,
    ) -> Result<[Value; 3], BuildError> {
        let d = self.width;
        if !self.is_packed() {
            let q = self.linear(scope, "q_proj", query, "q_proj_weight", 0..d)?;
            let k = self.linear(scope, "k_proj", key, "k_proj_weight", d..2 * d)?;
            let v = self.linear(scope, "v_proj", value, "v_proj_weight", 2 * d..3 * d)?;
            return Ok([q, k, v]);
        }
        if query == key && key == value {
            let packed = self.packed(scope, "in_proj", query, 0..3 * d)?;
            let parts = split(scope, "in_proj.split", packed, &[d; 3])?;
            return Ok([parts[0], parts[1], parts[2]]);
        }
        let q = self.packed(scope, "q_proj", query, 0..d)?;
        if key == value {
            let packed = self.packed(scope, "kv_proj", key, d..3 * d)?;
            let parts = split(scope, "kv_proj.split", packed, &[d; 2])?;
            return Ok([q, parts[0], parts[1]]);
        }
        let k = self.packed(scope, "k_proj", key, d..2 * d)?;
        let v = self.packed(scope, "v_proj", value, 2 * d..3 * d)?;
        Ok([q, k, v])
    }

    /// Whether the three input projections are one parameter.
    fn is_packed(&self) -> bool {
        self.key_width == self.width && self.value_width == self.width
    }

    /// The projection by rows `rows` of the packed weight and bias.
    fn packed(
        &self,
        scope: &mut Scope<'_>,
        label: &str,
        x: Value,
        rows: Range<usize>,
    ) -> Result<Value, BuildError> {
        let weight = self.rows(scope, "in_proj_weight", rows.clone())?;
        let bias = self.bias.then(|| self.rows(scope, "in_proj_bias", rows)).transpose()?;
        scope.add(label, Op::Linear(Linear::default()), &[Some(x), Some(weight), bias])
    }

    /// The projection by a weight of its own and rows `rows` of the packed bias.
    fn linear(
        &self,
        scope: &mut Scope<'_>,
        label: &str,
        x: Value,
        weight: &str,
        rows: Range<usize>,
    ) -> Result<Value, BuildError> {
        let weight = scope.parameter(weight)?;
        let bias = self.bias.then(|| self.rows(scope, "in_proj_bias", rows)).transpose()?;
        scope.add(label, Op::Linear(Linear::default()), &[Some(x), Some(weight), bias])
    }

    /// Rows of a packed parameter; all of them are the parameter itself.
    fn rows(&self, scope: &mut Scope<'_>, name: &str, rows: Range<usize>) -> Result<Value, BuildError> {
        if rows == (0..3 * self.width) { scope.parameter(name) } else { scope.parameter_rows(name, rows) }
    }
}

fn split(scope: &mut Scope<'_>, label: &str, x: Value, sizes: &[usize]) -> Result<Vec<Value>, BuildError> {
    scope.add_many(label, Op::Split(Split { axis: -1, sizes: sizes.into() }), &[Some(x)])
}

impl Module for MultiheadAttention {
    fn parameters(&self, parameters: &mut Parameters) {
        let d = self.width;
        if self.is_packed() {
            parameters.parameter("in_proj_weight", [3 * d, d], Initial::xavier(3 * d, d));
        } else {
            let widths = [("q", d), ("k", self.key_width), ("v", self.value_width)];
            for (name, width) in widths {
                parameters.parameter(&format!("{name}_proj_weight"), [d, width], Initial::xavier(d, width));
            }
        }
        if self.bias {
            parameters.parameter("in_proj_bias", [3 * d], Initial::Zeros);
        }
        parameters.parameter("out_proj.weight", [d, d], Initial::fan_in(d));
        if self.bias {
            parameters.parameter("out_proj.bias", [d], Initial::Zeros);
        }
    }
}

impl Layer for MultiheadAttention {
    fn forward(&self, scope: &mut Scope<'_>, x: Value) -> Result<Value, BuildError> {
        self.attend(scope, x, x, x, &Masks::none())
    }
}
