//! What a module declares about its weights: names as in PyTorch's `state_dict`, shapes, and how they start.

use crate::Module;

/// One weight or buffer of a module.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// The full name, as in PyTorch's `state_dict`: `layers.0.self_attn.in_proj_weight`.
    pub name: String,
    /// The shape.
    pub shape: Vec<usize>,
    /// How PyTorch initialises it.
    pub initial: Initial,
    /// `false` for what PyTorch calls a buffer: it is loaded and saved, but not trained and not counted.
    pub trained: bool,
}

impl Parameter {
    /// Number of elements; saturates.
    pub fn elements(&self) -> usize {
        elements(&self.shape)
    }
}

/// How a parameter starts, by PyTorch's defaults.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Initial {
    /// All zeros.
    Zeros,
    /// All ones.
    Ones,
    /// Uniform in `-bound..bound`.
    Uniform {
        /// The largest magnitude.
        bound: f64,
    },
    /// Standard normal, with one row left at zero if `zero_row` names it.
    Normal {
        /// The row of zeros: an embedding's padding.
        zero_row: Option<usize>,
    },
}

impl Initial {
    /// What `torch.nn.init.kaiming_uniform_(a=sqrt(5))` comes to, and the bound of the matching bias:
    /// uniform within `1 / sqrt(fan_in)`. A fan of zero gives zeros.
    pub fn fan_in(fan_in: usize) -> Self {
        Initial::within(1.0, fan_in)
    }

    /// `torch.nn.init.xavier_uniform_` of a matrix: uniform within `sqrt(6 / (rows + columns))`.
    pub fn xavier(rows: usize, columns: usize) -> Self {
        Initial::within(6.0, rows.saturating_add(columns))
    }

    fn within(numerator: f64, fan: usize) -> Self {
        match fan {
            0 => Initial::Zeros,
            fan => Initial::Uniform { bound: (numerator / fan as f64).sqrt() },
        }
    }
}

/// Collects the parameters of a module and of its children under their full names.
#[derive(Debug, Default)]
pub struct Parameters {
    prefix: String,
    list: Vec<Parameter>,
    ignored: Vec<String>,
}

impl Parameters {
    /// Everything that `module` declares, itself at the root.
    pub fn of(module: &(impl Module + ?Sized)) -> Self {
        let mut parameters = Parameters::default();
        module.parameters(&mut parameters);
        parameters
    }

    /// Declares a trained parameter.
    pub fn parameter(&mut self, name: &str, shape: impl Into<Vec<usize>>, initial: Initial) {
        self.push(name, shape.into(), initial, true);
    }

    /// Declares a buffer: loaded like a parameter, but not trained.
    pub fn buffer(&mut self, name: &str, shape: impl Into<Vec<usize>>, initial: Initial) {
        self.push(name, shape.into(), initial, false);
    }

    /// Declares a name that PyTorch saves and inference has no use for: it may be in a state dict, and is not read.
    pub fn ignored(&mut self, name: &str) {
        self.ignored.push(join(&self.prefix, name));
    }

    /// Declares what `module` declares, under `name`.
    pub fn child(&mut self, name: &str, module: &(impl Module + ?Sized)) {
        let prefix = join(&self.prefix, name);
        let outer = std::mem::replace(&mut self.prefix, prefix);
        module.parameters(self);
        self.prefix = outer;
    }

    /// The parameters in the order they were declared, which is PyTorch's.
    pub fn list(&self) -> &[Parameter] {
        &self.list
    }

    /// The names that a state dict may hold beside the parameters.
    pub fn ignored_names(&self) -> &[String] {
        &self.ignored
    }

    /// Number of trained elements, as `sum(p.numel() for p in module.parameters())` counts them.
    pub fn trained_elements(&self) -> usize {
        self.list.iter().filter(|p| p.trained).fold(0, |n, p| n.saturating_add(p.elements()))
    }

    fn push(&mut self, name: &str, shape: Vec<usize>, initial: Initial, trained: bool) {
        self.list.push(Parameter { name: join(&self.prefix, name), shape, initial, trained });
    }
}

/// `prefix.name`, or the one of the two that is not empty.
pub(crate) fn join(prefix: &str, name: &str) -> String {
    match (prefix, name) {
        ("", name) => name.into(),
        (prefix, "") => prefix.into(),
        (prefix, name) => format!("{prefix}.{name}"),
    }
}

/// Number of elements of a shape; saturates.
pub(crate) fn elements(shape: &[usize]) -> usize {
    shape.iter().fold(1, |n, &d| n.saturating_mul(d))
}
