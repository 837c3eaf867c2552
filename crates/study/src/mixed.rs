//! Two models called at once: the study's speech and translation.

use std::sync::Arc;
use std::time::Duration;

use paceline_engine::{Callable, Engine};

use crate::measure::{Bare, Blocking, Clock, Length, Round, Strip, Tally, drive, drive_each};
use crate::row::{Mode, Over, Row};
use crate::runner::{Identity, Measurement};
use crate::workload::Workload;
use crate::{StudyError, Suite};

/// The models of the suite.
pub const MODELS: [&str; 2] = ["speech", "translation"];
/// Callers of each model, and calls of each caller in a round.
pub const CALLERS_BY_ITERATIONS: (usize, u64) = (4, 30);

/// Lets callers of all workloads call at once, in rounds; and, as the baseline, one caller make the same calls one after another.
/// `step` is told of each round.
pub(crate) fn measure(
    workloads: &[Workload],
    lanes: usize,
    rounds: usize,
    step: &mut dyn FnMut(),
) -> Result<Vec<Measurement>, StudyError> {
    let (callers, iterations) = CALLERS_BY_ITERATIONS;
    let engine = Engine::builder().lanes(lanes).build()?;
    let mut models = Vec::new();
    for workload in workloads {
        let model: Arc<dyn Callable> = Arc::new(engine.load(workload.name(), workload.program().clone())?);
        models.push(model);
    }
    let mut bare = Vec::new();
    for workload in workloads {
        let strip = Arc::new(Strip::new(workload, 1));
        bare.push([Bare::new(workload, &strip, 0)?]);
    }
    let all_callers = workloads.iter().zip(&models).flat_map(|(workload, model)| {
        (0..callers).map(move |index| Blocking::new(workload, Arc::clone(model), index).alternating())
    });
    let mut all_callers: Vec<Blocking<'_>> = all_callers.collect();

    let calls = (workloads.len() * callers) as u64 * iterations;
    let (mut alone, mut together) = (Group::default(), Group::default());
    let mut of_each: Vec<Group> = workloads.iter().map(|_| Group::default()).collect();
    for _ in 0..rounds {
        let mut time = Duration::ZERO;
        let mut tally = Tally::default();
        for caller in &mut bare {
            let length = Length::Calls(iterations * callers as u64);
            let one = drive(caller, Round::first(length), Clock::InCalls)?;
            time += one.time;
            tally.merge(one);
        }
        alone.add(calls as f64 / time.as_secs_f64(), tally);

        let round = Round::first(Length::Calls(iterations));
        let (tallies, (start, end)) = drive_each(&mut all_callers, round, Clock::Wall)?;
        let seconds = (end - start).as_secs_f64();
        let mut tallies = tallies.into_iter();
        let mut all = Tally::default();
        for group in &mut of_each {
            let mut tally = Tally::default();
            tallies.by_ref().take(callers).for_each(|one| tally.merge(one));
            all.merge(tally.clone());
            group.add(tally.measured as f64 / seconds, tally);
        }
        together.add(calls as f64 / seconds, all);
        step();
    }

    let name = workloads.iter().map(Workload::name).collect::<Vec<_>>().join(" + ");
    let identity = |model, mode, callers, lanes| Identity {
        suite: Suite::Mixed.name(),
        model,
        mode,
        callers,
        lanes,
        batch: 1,
    };
    let over =
        Over::new("sequential".into(), &together.rounds, &alone.rounds, (workloads.len() * callers) as f64);
    let mut measurements = vec![alone.measurement(identity(&name, Mode::Sequential, 1, 1))];
    let mut both = together.measurement(identity(&name, Mode::Engine, workloads.len() * callers, lanes));
    both.row = Row { over, ..both.row };
    measurements.push(both);
    for (workload, group) in workloads.iter().zip(&of_each) {
        measurements.push(group.measurement(identity(workload.name(), Mode::Engine, callers, lanes)));
    }
    Ok(measurements)
}

/// Callers that are reported together.
#[derive(Default)]
struct Group {
    rounds: Vec<f64>,
    all: Tally,
}

impl Group {
    fn add(&mut self, per_s: f64, tally: Tally) {
        self.rounds.push(per_s);
        self.all.merge(tally);
    }

    fn measurement(&self, identity: Identity<'_>) -> Measurement {
        let first_error = self.all.first_error.clone();
        Measurement { row: identity.row(&self.rounds, &self.all), first_error, trace: Default::default() }
    }
}
