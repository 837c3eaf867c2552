//! What a model uses that is not supported, gathered while it is read.

use std::collections::{HashMap, HashSet};

use super::is_onnx_domain;
use crate::UnsupportedOperator;
use crate::proto::NodeProto;

/// Operators that are not supported, or not as they are used.
#[derive(Default)]
pub(crate) struct Unsupported {
    list: Vec<UnsupportedOperator>,
    /// Where in the list an operator is: its name, what is the problem, whether it is one of what is known.
    places: HashMap<(String, Option<String>, bool), usize>,
    /// Values that must be known, each for an operator of the list.
    unknown: HashSet<(usize, String)>,
}

impl Unsupported {
    /// Notes what is not supported, or which input would have to be known.
    pub(crate) fn note(
        &mut self,
        node: &NodeProto,
        opset: i64,
        name: &str,
        problem: Option<String>,
        unknown: Option<&str>,
    ) {
        let operator = match is_onnx_domain(&node.domain) {
            true => node.op_type.clone(),
            false => format!("{}.{}", node.domain, node.op_type),
        };
        let key = (operator.clone(), problem.clone(), unknown.is_some());
        let place = *self.places.entry(key).or_insert(self.list.len());
        if place == self.list.len() {
            let (unknown, nodes) = (Vec::new(), Vec::new());
            self.list.push(UnsupportedOperator { operator, opset, problem, unknown, nodes });
        }
        let noted = &mut self.list[place];
        noted.nodes.push(name.into());
        if let Some(unknown) = unknown
            && self.unknown.insert((place, unknown.into()))
        {
            noted.unknown.push(unknown.into());
        }
    }

    /// All of them, in the order in which they came.
    pub(crate) fn list(self) -> Vec<UnsupportedOperator> {
        self.list
    }
}
