//! What one suite is to measure, as it goes from the command to a process of the suite's own, and that process.
//!
//! `paceline bench` starts itself once for each suite, with the hidden command `suite` and an [`Assignment`] on standard input. The
//! suite tells what it measures on standard output, a [`Message`] a line.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use paceline::cpu::{Isa, ceilings};
use paceline::nn::StateDict;
use paceline::{Trace, write_chrome};
use paceline_study::{
    Event, Host, Limits, Message, Mode, Row, Scale, Study, Subject, Suite, Weights, isolation,
};
use serde::{Deserialize, Serialize};

use crate::Verdict;
use crate::args::FileOptions;
use crate::source::Source;
use crate::subjects::{device_of, workers};

/// What one suite is to measure, and on what.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Assignment {
    pub suite: Suite,
    /// Short names and files.
    pub models: Vec<String>,
    /// How the files are read.
    pub file: FileOptions,
    /// Of the only model; drawn from the seed where there is none.
    pub weights: Option<PathBuf>,
    pub seed: u64,
    /// The best of the machine where there is none.
    pub isa: Option<String>,
    pub scale: Scale,
    /// Where to write a trace.
    pub trace: Option<PathBuf>,
    /// Batches and requests that may be in it.
    pub trace_events: usize,
}

/// Does what the assignment on standard input says.
pub fn run() -> Result<Verdict> {
    // Nobody is left to tell anything.
    let text = isolation::receive(|| std::process::exit(2)).context("cannot read the assignment")?;
    let assignment: Assignment = serde_json::from_str(&text).context("the assignment is not understood")?;
    match assignment.measure() {
        Ok(()) => {
            tell(&Message::Done);
            Ok(Verdict::Right)
        }
        Err(error) => {
            tell(&Message::Failed { error: crate::message(&error) });
            Ok(Verdict::Wrong)
        }
    }
}

impl Assignment {
    fn measure(&self) -> Result<()> {
        let isa = self.isa.as_deref().map(str::parse::<Isa>).transpose()?;
        let device = device_of(isa)?;
        let limits = CpuLimits(isa.unwrap_or_else(Isa::best));
        let study = Study {
            suites: vec![self.suite],
            subjects: self.subjects()?,
            scale: self.scale.clone(),
            seed: self.seed,
            trace: self.trace_events,
        };
        let mut traces: Vec<(String, Trace)> = Vec::new();
        let sources = self.sources()?;
        let workers = workers(&sources, &self.file, self.weights.as_deref(), isa)?;
        let host = Host { device: &*device, limits: Some(&limits), workers: Some(&workers) };
        study.run(host, &mut |event| {
            tell(&Message::from(&event));
            if let Event::Measured(measurement) = event
                && !measurement.trace.is_empty()
            {
                traces.push((title(&measurement.row), measurement.trace.clone()));
            }
        })?;
        if let Some(path) = &self.trace {
            let named = traces.iter().map(|(title, trace)| (title.as_str(), trace));
            let written = File::create(path).and_then(|file| write_chrome(named, file));
            written.with_context(|| format!("cannot write '{}'", path.display()))?;
        }
        Ok(())
    }

    fn sources(&self) -> Result<Vec<Source>> {
        self.models.iter().map(|text| text.parse().map_err(anyhow::Error::msg)).collect()
    }

    fn subjects(&self) -> Result<Vec<Subject>> {
        let weights = match &self.weights {
            None => Weights::Seed(self.seed),
            Some(path) => Weights::State(StateDict::from_safetensors(path)?),
        };
        let subject = |source: &Source| {
            Ok(Subject { model: source.model(&self.file, self.seed)?.0, weights: weights.clone() })
        };
        self.sources()?.iter().map(subject).collect()
    }
}

/// What a core can do with the instructions of a kernel set.
struct CpuLimits(Isa);

impl Limits for CpuLimits {
    fn flops(&self, time: Duration) -> f64 {
        ceilings::flops_per_s(self.0, time)
    }

    fn read(&self, floats: &[f32], time: Duration) -> f64 {
        ceilings::read_bytes_per_s(self.0, floats, time)
    }
}

/// What a measurement is called in the trace.
fn title(row: &Row) -> String {
    let what = if row.mode == Mode::EngineAsync { "tickets" } else { "callers" };
    format!("{}: {}, {} {what}", row.suite, row.model, row.callers)
}

/// Says it to the parent.
fn tell(message: &Message) {
    let mut stdout = io::stdout().lock();
    if writeln!(stdout, "{}", message.to_line()).and_then(|()| stdout.flush()).is_err() {
        std::process::exit(2);
    }
}
