//! `torch.nn.Embedding`.

use paceline_graph::{self as graph, Op, Value};

use crate::{BuildError, Initial, Layer, Module, Parameters, Scope};

/// Rows of a table: indices (i64) `[N, ...]` to `[N, ..., embedding_dim]`. `torch.nn.Embedding`.
///
/// Parameter: `weight [num_embeddings, embedding_dim]`. An index outside the table gives a row of NaN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Embedding {
    rows: usize,
    width: usize,
    padding_index: Option<usize>,
}

impl Embedding {
    /// A table of `num_embeddings` rows of `embedding_dim` elements.
    pub fn new(num_embeddings: usize, embedding_dim: usize) -> Self {
        Embedding { rows: num_embeddings, width: embedding_dim, padding_index: None }
    }

    /// The row that starts at zero. It is looked up like any other.
    pub fn padding_index(mut self, padding_index: usize) -> Self {
        self.padding_index = Some(padding_index);
        self
    }
}

impl Module for Embedding {
    fn parameters(&self, parameters: &mut Parameters) {
        let initial = Initial::Normal { zero_row: self.padding_index };
        parameters.parameter("weight", [self.rows, self.width], initial);
    }
}

impl Layer for Embedding {
    fn forward(&self, scope: &mut Scope<'_>, x: Value) -> Result<Value, BuildError> {
        let weight = scope.parameter("weight")?;
        scope.add("", Op::Embedding(graph::Embedding {}), &[Some(x), Some(weight)])
    }
}
