//! Why a state dict was refused or a graph could not be built.

use std::fmt;
use std::path::PathBuf;

use paceline_graph::{DType, GraphError};

/// Why a graph could not be built from a module.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The state dict is not that of the module.
    #[error(transparent)]
    State(#[from] Mismatch),
    /// A layer does not accept its configuration or its input.
    #[error("layer '{layer}': expected {expected}, got {got}")]
    Layer {
        /// Where in the model the layer is.
        layer: String,
        /// What it accepts.
        expected: String,
        /// What it was given.
        got: String,
    },
    /// A module used a parameter in `forward` that it did not declare.
    #[error("the parameter '{name}' is used but not declared; declare it in `Module::parameters`")]
    Undeclared {
        /// The parameter's full name.
        name: String,
    },
    /// A node does not accept its inputs, or the graph's boundary is not valid.
    #[error(transparent)]
    Graph(#[from] GraphError),
}

/// Why a state dict could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateDictError {
    /// The file could not be read.
    #[error("cannot read '{}': {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: std::io::Error,
    },
    /// The file could not be written.
    #[error("cannot write '{}': {error}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: std::io::Error,
    },
    /// The content is not a safetensors file, or a part of one.
    #[error("not a valid safetensors file: {problem}")]
    Malformed {
        /// What is wrong with it.
        problem: String,
    },
    /// Some tensors have an element type that has no counterpart here.
    #[error("expected tensors of F32, F16, BF16, F64, integers of at most 64 bits, or BOOL, got {}", list(.tensors, |(name, dtype)| format!("'{}' of {dtype}", name.escape_debug())))]
    UnsupportedDType {
        /// Name and element type of each.
        tensors: Vec<(String, String)>,
    },
    /// Some tensors hold NaN, or a 64-bit number beyond the range of f32.
    #[error("expected weights that are numbers of f32, got NaN or values beyond its range in {}", list(.tensors, |name| format!("'{}'", name.escape_debug())))]
    NotANumber {
        /// The names of all of them.
        tensors: Vec<String>,
    },
}

/// Everything in which a state dict differs from what a module declares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mismatch {
    /// Name and shape of each parameter that the state dict lacks.
    pub missing: Vec<(String, Vec<usize>)>,
    /// Name and shape of each tensor that no parameter asks for.
    pub surplus: Vec<(String, Vec<usize>)>,
    /// Tensors whose shape is not the parameter's.
    pub misshapen: Vec<Misshapen>,
    /// Name and element type of each parameter that is not f32.
    pub mistyped: Vec<(String, DType)>,
}

/// A tensor whose shape is not the parameter's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misshapen {
    /// The parameter's full name.
    pub name: String,
    /// The shape the module declares.
    pub expected: Vec<usize>,
    /// The shape in the state dict.
    pub got: Vec<usize>,
}

impl Mismatch {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty()
            && self.surplus.is_empty()
            && self.misshapen.is_empty()
            && self.mistyped.is_empty()
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = |(name, shape): &(String, Vec<usize>)| format!("'{}' {shape:?}", name.escape_debug());
        let parts = [
            ("missing", list(&self.missing, named)),
            ("surplus", list(&self.surplus, named)),
            (
                "misshapen",
                list(&self.misshapen, |m| {
                    format!("'{}' (expected {:?}, got {:?})", m.name.escape_debug(), m.expected, m.got)
                }),
            ),
            (
                "wrong element type",
                list(&self.mistyped, |(name, dtype)| {
                    format!("'{}' (expected f32, got {dtype})", name.escape_debug())
                }),
            ),
        ];
        f.write_str("the state dict does not fit the model")?;
        let mut separator = ": ";
        for (what, names) in parts.iter().filter(|(_, names)| !names.is_empty()) {
            write!(f, "{separator}{what}: {names}")?;
            separator = "; ";
        }
        Ok(())
    }
}

impl std::error::Error for Mismatch {}

fn list<T>(items: &[T], show: impl Fn(&T) -> String) -> String {
    items.iter().map(show).collect::<Vec<_>>().join(", ")
}
