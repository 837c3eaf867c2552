//! Leaves out what nobody needs, and what is computed twice.

use std::collections::HashMap;
use std::sync::Arc;

use super::rewrite::{Operand, Replacement, rebuild};
use super::site::{Site, Uses};
use crate::{Graph, GraphError, Op, Source, Value};

/// Leaves out nodes and constants that no output needs. Inputs stay, needed or not.
///
/// Every other pass does so too.
pub fn eliminate_dead(graph: &Graph) -> Result<Graph, GraphError> {
    rebuild(graph, &HashMap::new())
}

/// Computes once what is computed by several nodes with equal operators and the same inputs; the first one stays.
///
/// Constants are the same when they share one tensor ([`Arc::ptr_eq`]), or have the same shape and one f32 element of the same
/// bits, as exporters write epsilons and scales; larger ones are not compared. `a + b` and `b + a` are not the same.
pub fn eliminate_common(graph: &Graph) -> Result<Graph, GraphError> {
    let graph = eliminate_dead(graph)?;
    let uses = Uses::of(&graph);
    let mut first_of = first_constants(&graph);
    let mut seen: HashMap<Key, Vec<usize>> = HashMap::new();
    let mut replacements = HashMap::new();
    for (index, node) in graph.nodes().iter().enumerate() {
        let site = Site::new(&graph, &uses, index);
        let alike = seen.entry(Key::of(&site, &first_of)).or_default();
        if let Some(&first) = alike.iter().find(|&&first| same_op(&graph.nodes()[first].op, &node.op)) {
            let outputs = &graph.nodes()[first].outputs;
            node.outputs.iter().zip(outputs).for_each(|(own, first)| first_of[own.index()] = *first);
            let outputs = outputs.iter().map(|&v| Operand::Value(v)).collect();
            replacements.insert(index, Replacement::Outputs(outputs));
        } else {
            alike.push(index);
            let inputs: Vec<_> = node.inputs.iter().map(|v| v.map(|v| first_of[v.index()])).collect();
            if inputs != node.inputs {
                replacements.insert(index, Replacement::node(node.op.clone(), &inputs));
            }
        }
    }
    rebuild(&graph, &replacements)
}

/// For each value, the first value known to be equal: so far, for constants.
fn first_constants(graph: &Graph) -> Vec<Value> {
    let (mut by_tensor, mut by_element) = (HashMap::new(), HashMap::new());
    let firsts = graph.values().iter().enumerate().map(|(index, info)| {
        let own = Value(index as u32);
        let Source::Constant(tensor) = &info.source else { return own };
        let first = *by_tensor.entry(Arc::as_ptr(tensor)).or_insert(own);
        match tensor.as_f32() {
            Some(&[element]) => *by_element.entry((tensor.shape(), element.to_bits())).or_insert(first),
            _ => first,
        }
    });
    firsts.collect()
}

/// What nodes that compute the same have in common, but for the attributes, which cannot be hashed.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    operator: &'static str,
    inputs: Vec<Option<Value>>,
}

impl Key {
    fn of(site: &Site<'_>, first_of: &[Value]) -> Self {
        let given = &site.node().inputs;
        let count = given.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        let inputs = given[..count].iter().map(|v| v.map(|v| first_of[v.index()])).collect();
        Key { operator: site.op().name(), inputs }
    }
}

/// Whether two operators compute the same from the same inputs. Their text is compared, in which, other than by `==`, zeros of
/// different sign differ and NaN is itself.
fn same_op(a: &Op, b: &Op) -> bool {
    std::mem::discriminant(a) == std::mem::discriminant(b) && format!("{a:?}") == format!("{b:?}")
}
