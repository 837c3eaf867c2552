//! `paceline inspect`

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use paceline::Graph;
use paceline::graph::passes::simplify;
use paceline::nn::{flops, sample_inputs};
use paceline::onnx::FreeAxis;
use paceline::seam::{CompileOptions, Program};
use paceline_study::PortEntry;
use paceline_study::report::{Table, count};
use serde::Serialize;

use crate::Verdict;
use crate::args::Inspect;
use crate::execution::execute;
use crate::output::print;
use crate::subjects::device_of;

/// Samples of the larger execution that is timed.
const BATCH: usize = 8;
/// Time for each measurement of what an execution costs; it ends after the first execution beyond it.
const MEASURING: Duration = Duration::from_millis(300);

/// What there is to say about a model.
#[derive(Serialize)]
struct Report {
    schema: &'static str,
    name: String,
    origin: Option<String>,
    batched: bool,
    inputs: Vec<PortEntry>,
    outputs: Vec<PortEntry>,
    parameters: usize,
    parameter_bytes: usize,
    flops_per_sample: u64,
    /// How many nodes of each operator there are: as the model has them, and as they are executed.
    operators: Vec<OperatorRow>,
    /// Nodes that no kernel computes, but the slow reference.
    without_kernel: Vec<NodeRow>,
    lane_bytes: Option<usize>,
    cost: Vec<CostRow>,
    device: String,
    notes: Vec<String>,
}

#[derive(Serialize)]
struct OperatorRow {
    operator: &'static str,
    in_model: usize,
    executed: usize,
}

#[derive(Serialize)]
struct NodeRow {
    node: String,
    operator: &'static str,
    reason: String,
}

#[derive(Serialize)]
struct CostRow {
    samples: usize,
    executions: usize,
    /// The median.
    milliseconds: f64,
}

/// What there is to say about a model before its free axes have lengths.
#[derive(Serialize)]
struct FreeReport {
    schema: &'static str,
    name: String,
    free_axes: Vec<FreeRow>,
}

#[derive(Serialize)]
struct FreeRow {
    axis: String,
    /// The inputs that have it, and which of their axes it is.
    places: Vec<(String, usize)>,
}

/// Says which lengths a model leaves open.
fn open_lengths(arguments: &Inspect, free: &[FreeAxis]) -> Result<Verdict> {
    let row = |axis: &FreeAxis| FreeRow { axis: axis.name.clone(), places: axis.places.clone() };
    let free_axes: Vec<FreeRow> = free.iter().map(row).collect();
    let report = FreeReport { schema: "paceline.inspect.free/1", name: arguments.model.name(), free_axes };
    print(&if arguments.json {
        serde_json::to_string_pretty(&report).context("the report as JSON")? + "\n"
    } else {
        free_text(&report)
    })?;
    Ok(Verdict::Right)
}

fn free_text(report: &FreeReport) -> String {
    let mut text = format!("{}: each request chooses the length of\n", report.name);
    for FreeRow { axis, places } in &report.free_axes {
        let places: Vec<String> =
            places.iter().map(|(input, index)| format!("axis {index} of '{input}'")).collect();
        let _ = writeln!(text, "  {axis} ({})", places.join(", "));
    }
    let dims: String = report.free_axes.iter().map(|row| format!(" --dim {}=LENGTH", row.axis)).collect();
    let _ = writeln!(text, "What it is made of and what it costs depends on that: say{dims}.");
    text
}

/// Says what a model is, and what it costs.
pub fn run(arguments: &Inspect) -> Result<Verdict> {
    let free = arguments.model.free_axes(&arguments.file)?;
    if !free.is_empty() {
        return open_lengths(arguments, &free);
    }
    let loaded = arguments.model.load(&arguments.file, arguments.seed)?;
    let device = device_of(arguments.isa)?;
    let simplified = simplify(&loaded.graph)?;
    let program = device
        .compile(&loaded.graph, &CompileOptions::default())
        .with_context(|| format!("the device cannot run '{}'", arguments.model.name()))?;
    let without_kernel = program.without_kernel().iter().map(|node| NodeRow {
        node: node.node.clone(),
        operator: node.operator,
        reason: node.reason.clone(),
    });
    let info = device.info();
    let report = Report {
        schema: "paceline.inspect/1",
        name: arguments.model.name(),
        origin: loaded.origin,
        batched: loaded.graph.is_batched(),
        inputs: loaded
            .graph
            .inputs()
            .iter()
            .map(|&v| port(&loaded.graph.value(v).name, &loaded.graph, v))
            .collect(),
        outputs: loaded.graph.outputs().iter().map(|o| port(&o.name, &loaded.graph, o.value)).collect(),
        parameters: loaded.graph.parameter_count(),
        parameter_bytes: parameter_bytes(&loaded.graph),
        flops_per_sample: flops(&simplified),
        operators: operators(&loaded.graph, &simplified),
        without_kernel: without_kernel.collect(),
        lane_bytes: program.lane_bytes(),
        cost: cost(&loaded.graph, &program)?,
        device: format!("{} {}", info.id, info.isa),
        notes: loaded.notes,
    };
    print(&if arguments.json {
        serde_json::to_string_pretty(&report).context("the report as JSON")? + "\n"
    } else {
        text(&report)
    })?;
    Ok(Verdict::Right)
}

fn port(name: &str, graph: &Graph, value: paceline::graph::Value) -> PortEntry {
    let ty = &graph.value(value).ty;
    PortEntry { name: name.into(), dtype: ty.dtype.to_string(), shape: ty.shape.to_string() }
}

fn parameter_bytes(graph: &Graph) -> usize {
    let constants =
        graph.values().iter().filter(|info| matches!(info.source, paceline::graph::Source::Constant(_)));
    constants.filter_map(|info| Some(info.ty.shape.elements_per_sample()? * info.ty.dtype.size_bytes())).sum()
}

/// Operators by how often they are executed.
fn operators(graph: &Graph, simplified: &Graph) -> Vec<OperatorRow> {
    let mut counts: BTreeMap<&'static str, (usize, usize)> = BTreeMap::new();
    graph.nodes().iter().for_each(|node| counts.entry(node.op.name()).or_default().0 += 1);
    simplified.nodes().iter().for_each(|node| counts.entry(node.op.name()).or_default().1 += 1);
    let mut rows: Vec<OperatorRow> = counts
        .into_iter()
        .map(|(operator, (in_model, executed))| OperatorRow { operator, in_model, executed })
        .collect();
    rows.sort_by_key(|row| std::cmp::Reverse((row.executed, row.in_model)));
    rows
}

/// What one sample takes, and what several take together.
fn cost(graph: &Graph, program: &Arc<dyn Program>) -> Result<Vec<CostRow>> {
    let sizes: &[usize] = if graph.is_batched() { &[1, BATCH] } else { &[1] };
    let measure = |&samples: &usize| {
        let inputs = sample_inputs(graph, samples, 1)?;
        let mut session = Arc::clone(program).open()?;
        execute(&mut *session, program.signature(), &inputs, samples)?;
        let (begun, mut times) = (Instant::now(), Vec::new());
        while times.is_empty() || begun.elapsed() < MEASURING {
            let start = Instant::now();
            execute(&mut *session, program.signature(), &inputs, samples)?;
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        times.sort_by(f64::total_cmp);
        Ok(CostRow { samples, executions: times.len(), milliseconds: times[times.len() / 2] })
    };
    sizes.iter().map(measure).collect()
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let origin = report.origin.as_ref().map_or(String::new(), |origin| format!(" ({origin})"));
    let _ = writeln!(text, "# {}{origin}\n", report.name);
    let mut ports = Table::new(["", "name", "type", "shape"]);
    for (kind, list) in [("input", &report.inputs), ("output", &report.outputs)] {
        for port in list {
            ports.push([kind.into(), port.name.clone(), port.dtype.clone(), port.shape.clone()]);
        }
    }
    let _ = writeln!(text, "{ports}");
    let _ = writeln!(
        text,
        "- {}",
        if report.batched {
            "N samples of any number in one execution"
        } else {
            "no batch axis: one request is one execution"
        }
    );
    let _ = writeln!(
        text,
        "- {} parameters, {}",
        count(report.parameters as u64),
        mebibytes(report.parameter_bytes)
    );
    let each = if report.batched { "sample" } else { "execution" };
    let _ = writeln!(text, "- {} FLOP a {each}, in matrix products", count(report.flops_per_sample));
    if let Some(bytes) = report.lane_bytes {
        let _ = writeln!(text, "- {} of memory a lane", mebibytes(bytes));
    }
    for row in &report.cost {
        let gflops = report.flops_per_sample as f64 * row.samples as f64 / row.milliseconds / 1e6;
        let samples = if row.samples == 1 { each.into() } else { format!("{each}s together") };
        let _ = writeln!(
            text,
            "- {:.3} ms for {} {samples} on one core of {}, {gflops:.1} GFLOP/s",
            row.milliseconds, row.samples, report.device
        );
    }
    for note in &report.notes {
        let _ = writeln!(text, "- {note}");
    }
    let mut operators = Table::new(["operator", ">in the model", ">executed"]);
    for row in &report.operators {
        operators.push([row.operator.into(), row.in_model.to_string(), row.executed.to_string()]);
    }
    let total = |of: fn(&OperatorRow) -> usize| report.operators.iter().map(of).sum::<usize>().to_string();
    operators.push(["all".into(), total(|row| row.in_model), total(|row| row.executed)]);
    let _ = write!(text, "\n{operators}");
    if !report.without_kernel.is_empty() {
        let mut slow = Table::new(["without a kernel, so slow", "operator", "why"]);
        for row in &report.without_kernel {
            slow.push([row.node.clone(), row.operator.into(), row.reason.clone()]);
        }
        let _ = write!(text, "\n{slow}");
    }
    text
}

fn mebibytes(bytes: usize) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
