//! `torch.nn.Sequential`.

use paceline_graph::Value;

use crate::{BuildError, Layer, Module, Parameters, Scope};

/// Layers one after the other, their parameters under `0.`, `1.` and so on. `torch.nn.Sequential`.
///
/// ```
/// use paceline_nn::{Linear, ReLU, Sequential};
/// let mlp = Sequential::new().then(Linear::new(512, 1024)).then(ReLU).then(Linear::new(1024, 512));
/// ```
#[derive(Debug, Default)]
pub struct Sequential {
    layers: Vec<Box<dyn Layer>>,
}

impl Sequential {
    /// No layer: the identity.
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more layer at the end.
    pub fn then(mut self, layer: impl Layer + 'static) -> Self {
        self.layers.push(Box::new(layer));
        self
    }
}

impl FromIterator<Box<dyn Layer>> for Sequential {
    fn from_iter<I: IntoIterator<Item = Box<dyn Layer>>>(layers: I) -> Self {
        Sequential { layers: layers.into_iter().collect() }
    }
}

impl Module for Sequential {
    fn parameters(&self, parameters: &mut Parameters) {
        for (index, layer) in self.layers.iter().enumerate() {
            parameters.child(&index.to_string(), layer);
        }
    }
}

impl Layer for Sequential {
    fn forward(&self, scope: &mut Scope<'_>, x: Value) -> Result<Value, BuildError> {
        self.layers
            .iter()
            .enumerate()
            .try_fold(x, |x, (index, layer)| layer.forward(&mut scope.child(&index.to_string()), x))
    }
}
