//! Tuning: finds out how a model is run best on a machine, and writes it down as a [`Profile`].
//!
//! 1. The **cost surface** is measured with bare executions: by samples, by lanes that execute at a time, by threads of one execution
//!    (`search` says what next, `surface` holds it, `knee` says how many lanes are worth having).
//! 2. For each use, the configurations that may be the best by the surface are tried in engines under the load of that use (`candidates`,
//!    `trial`), by turns until they are ranked (`race`). What came out of the best (`choose`) is the **prediction**.
//! 3. The prediction is checked on an engine that starts from the profile, beside one that knows nothing.
//!
//! Every answer is compared, bit for bit, with what the same sample gives alone. All of it keeps within a time, which begins when
//! the answers are known.
//!
//! The policy is pure functions of what was measured and of the time that is left; `host` is the thin shell that measures.
//!
//! **Threads** of one execution are its lane's and those that help it. An engine has no other: lanes that are idle help, so more than
//! one thread a lane is what a lone request gets, and what a configuration says of it is how many may help.
//!
//! **Not here**: the engine's own table of costs, which starts from a profile's and goes on learning.

mod candidates;
mod choose;
mod host;
mod knee;
mod race;
mod report;
mod search;
mod space;
mod surface;
#[cfg(test)]
mod tests;
mod trial;

use std::time::{Duration, SystemTime};

use paceline_device::Device;
use paceline_profile::{Machine, ModelPrint, Profile, Recommendation, SCHEMA, Use};

use self::candidates::{Plan, Wish, candidates};
use self::choose::choose;
use self::host::{Host, InProcess};
use self::knee::knee;
use self::space::{Point, Row, Space};
use self::surface::Surface;
use self::trial::{Record, Trial};
use crate::{Noise, StudyError, Subject, Watch};

pub use self::report::{PROMISED, markdown};
pub use self::space::Axes;

/// Of the time, what the surface may take.
const SURFACE: f64 = 0.35;
/// Of the time, what surface and trials may take; the rest is for the checks.
const TRIALS: f64 = 0.8;
/// Why the default is recommended.
const DEFAULT: &str = "the default: what was best in the trials gave less beside it";

/// Rounds of the surface in the whole time.
const SURFACE_ROUNDS: u32 = 800;
/// Rounds of trials in the whole time.
const TRIAL_ROUNDS: u32 = 250;

/// What is tuned for.
#[derive(Clone, Debug)]
pub struct Tuning {
    /// What may be chosen from.
    pub axes: Axes,
    /// The use whose recommendation an engine takes.
    pub chosen: Use,
    /// The most that the 99th percentile of a request's time may be.
    pub p99: Option<Duration>,
    /// Callers of [`Use::Streams`].
    pub callers: usize,
    /// The time for all of it, from when the answers of the model are known. A model whose executions are long may need more.
    pub time: Duration,
}

/// How a profile came to be.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Commit of the binary.
    pub commit: String,
    /// The command line.
    pub command: String,
}

/// What tuning tells while it runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// What is done.
    pub doing: Doing,
    /// With what, for people.
    pub detail: String,
    /// The share of the time that is spent, from 0 to 1.
    pub spent: f64,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// Answers of the model are computed.
    Preparing,
    /// Bare executions are measured.
    Executions,
    /// Configurations are tried for a use.
    Trials(Use),
    /// The recommendation for a use is checked.
    Checking(Use),
}

/// What tuning found out.
struct Found {
    surface: Surface,
    recommendations: Vec<Recommendation>,
    notes: Vec<String>,
}

impl Tuning {
    /// Tunes a model on a device, with samples drawn from `seed`.
    pub fn run(
        &self,
        device: &dyn Device,
        subject: &Subject,
        seed: u64,
        origin: Origin,
        observer: &mut dyn FnMut(Step),
    ) -> Result<Profile, StudyError> {
        if let Some(&asked) = self.axes.workers.iter().flatten().find(|&&workers| workers > 0) {
            return Err(StudyError::Workers { asked });
        }
        let name = subject.model.name();
        observer(Step { doing: Doing::Preparing, detail: name.into(), spent: 0.0 });
        let (info, model) = (device.info(), ModelPrint::of(name, &subject.graph()?));
        let workload = subject.workload(device, seed, self.axes.max_batch())?;
        let space = self.axes.space(&info, &**workload.program());
        let created = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        let host = InProcess::new(&workload, info.default_lanes.max(1));
        let watch = Watch::begin();
        let Found { surface, recommendations, mut notes } = self.find(&host, &space, observer)?;
        notes.extend(watch.and_then(Watch::end).filter(Noise::is_much).map(disturbance));
        Ok(Profile {
            schema: SCHEMA.into(),
            commit: origin.commit,
            command: origin.command,
            created,
            machine: Machine::of(&info),
            model,
            chosen: self.chosen,
            recommendations,
            costs: surface.rows(),
            knee_lanes: surface.knee_lanes(),
            notes,
        })
    }

    fn find(
        &self,
        host: &dyn Host,
        space: &Space,
        observer: &mut dyn FnMut(Step),
    ) -> Result<Found, StudyError> {
        let mut tell = |doing: Doing, detail: String| {
            let spent = host.elapsed().as_secs_f64() / self.time.as_secs_f64().max(1e-9);
            observer(Step { doing, detail, spent: spent.min(1.0) });
        };
        let mut notes = Vec::new();
        let surface = self.measure_surface(host, space, &mut tell)?;
        if !is_explored(space, &surface) {
            notes.push("There was not enough time for all of the cost surface; --seconds gives more.".into());
        }
        let costs = surface.engine_costs();
        let mut tried: Vec<(Use, Vec<Trial>, usize)> = Vec::new();
        let round = (self.time / TRIAL_ROUNDS).clamp(Duration::from_millis(5), Duration::from_millis(500));
        for (purpose, until) in self.shares(host.elapsed(), self.time.mul_f64(TRIALS)) {
            let wish = Wish { purpose, callers: self.callers.max(1), p99: self.p99 };
            let plans = candidates(wish, space, &surface);
            let each = &mut |plan: &Plan| tell(Doing::Trials(purpose), plan.configuration.to_string());
            let trials = trial::race(
                host,
                purpose,
                &plans,
                &costs,
                &|outcomes| choose(outcomes, self.p99),
                round,
                until,
                each,
            )?;
            let outcomes: Vec<_> = trials.iter().filter_map(Trial::outcome).collect();
            if trials.len() < plans.len()
                || outcomes.iter().any(|outcome| outcome.score.rounds < race::ENOUGH)
            {
                notes.push(format!(
                    "{purpose}: there was not enough time to rank what was tried; --seconds gives more."
                ));
            }
            if let Some(index) = choose(&outcomes, self.p99) {
                tried.push((purpose, trials, index));
            }
        }
        let mut recommendations = Vec::new();
        let shares = self.shares(host.elapsed(), self.time);
        for (purpose, trials, index) in tried {
            let trial = &trials[index];
            let until = shares.iter().find(|(of, _)| *of == purpose).map_or(self.time, |&(_, until)| until);
            tell(Doing::Checking(purpose), trial.plan.configuration.to_string());
            let before = host.elapsed();
            let checked = trial::check(host, purpose, &trial.plan, &costs, round, until)?;
            let recommendation = if self.is_default_better(space, &trial.plan, &checked) {
                // Something disturbed the trials. What an engine does by itself has just been measured.
                let plan = Plan { configuration: space.default_configuration(), ..trial.plan };
                let trial = Trial { plan, record: checked.1 };
                let until = host.elapsed() + host.elapsed().saturating_sub(before);
                let checked = trial::check(host, purpose, &trial.plan, &costs, round, until)?;
                self.recommendation(purpose, &trial, DEFAULT.into(), &checked)
            } else {
                self.recommendation(purpose, trial, reason(&surface, purpose, &trials, index), &checked)
            };
            notes.extend(findings(&recommendation));
            recommendations.push(recommendation);
        }
        Ok(Found { surface, recommendations, notes })
    }

    fn measure_surface(
        &self,
        host: &dyn Host,
        space: &Space,
        tell: &mut dyn FnMut(Doing, String),
    ) -> Result<Surface, StudyError> {
        let round = (self.time / SURFACE_ROUNDS).clamp(Duration::from_millis(2), Duration::from_millis(50));
        let until = self.time.mul_f64(SURFACE);
        let mut surface = Surface::default();
        // Memory is touched and clocks are raised for the first time.
        host.execute(Row { lanes: 1, threads: 1 }.at(1), round)?;
        while let Some(point) = search::next(space, &surface, round, until.saturating_sub(host.elapsed())) {
            let Point { lanes, threads, batch } = point;
            tell(Doing::Executions, format!("batch {batch}, lanes {lanes}, threads {threads}"));
            surface.add(point, &host.execute(point, round)?);
        }
        Ok(surface)
    }

    /// Until when each use may take, of the time from now on: the chosen one has twice as much as the others.
    fn shares(&self, now: Duration, end: Duration) -> Vec<(Use, Duration)> {
        let weight = |purpose: Use| if purpose == self.chosen { 2 } else { 1 };
        let all: u32 = Use::ALL.into_iter().map(weight).sum();
        let part = end.saturating_sub(now) / all;
        let mut until = now;
        let share = |purpose: Use| {
            until += part * weight(purpose);
            (purpose, until)
        };
        Use::ALL.into_iter().map(share).collect()
    }

    /// Whether what an engine does by itself is better than a recommendation beside it, by more than its lanes and an uncertain
    /// measurement are worth.
    fn is_default_better(&self, space: &Space, plan: &Plan, (this, default): &(Record, Record)) -> bool {
        let keeps = |bound: Duration| default.figures().p99_us <= bound.as_secs_f64() * 1e6;
        let Some((this, default)) = this.score().zip(default.score()) else { return false };
        let lanes = plan.configuration.workers.max(1) * plan.configuration.lanes;
        let asked = match space.default_lanes > lanes {
            true => knee(&[(lanes, this.median), (space.default_lanes, default.median)]) > lanes,
            false => default.median >= (1.0 + knee::WORTHWHILE) * this.median,
        };
        asked && self.p99.is_none_or(keeps)
    }

    fn recommendation(
        &self,
        purpose: Use,
        trial: &Trial,
        reason: String,
        (measured, unconfigured): &(Record, Record),
    ) -> Recommendation {
        let predicted = trial.record.figures();
        let keeps = |bound: Duration| predicted.p99_us <= bound.as_secs_f64() * 1e6;
        Recommendation {
            purpose,
            configuration: trial.plan.configuration,
            in_flight: trial.plan.in_flight,
            predicted,
            uncertainty: trial.record.rate().map_or(f64::MAX, |rate| rate.spread()),
            measured: Some(measured.figures()),
            unconfigured: Some(unconfigured.figures()),
            keeps_bound: self.p99.map(keeps),
            reason,
        }
    }
}

/// Whether every row was followed to its end, each point at least once.
fn is_explored(space: &Space, surface: &Surface) -> bool {
    search::next(space, surface, Duration::ZERO, Duration::MAX)
        .is_none_or(|point| surface.cell(point).is_some())
}

fn disturbance(noise: Noise) -> String {
    format!(
        "Other processes had {:.0} % of the machine meanwhile, the hypervisor took {:.0} %: on a quiet machine all of this may be otherwise.",
        noise.foreign * 100.0,
        noise.stolen * 100.0
    )
}

/// Why a configuration is recommended, by what was measured.
fn reason(surface: &Surface, purpose: Use, trials: &[Trial], chosen: usize) -> String {
    let lone = surface.rate(Row { lanes: 1, threads: 1 }.at(1)).unwrap_or_default();
    let figures = trials[chosen].record.figures();
    let others = trials.len() - 1;
    let tried = format!("{others} other configuration{} tried", if others == 1 { "" } else { "s" });
    match purpose {
        Use::Throughput | Use::Streams => {
            format!(
                "{:.1} times the samples/s of bare single samples on one lane; {tried}",
                figures.samples_per_s / lone.max(1e-9)
            )
        }
        Use::Latency => {
            let mean = figures.mean_us / (1e6 / lone.max(1e-9));
            format!("{mean:.2} times the time of a bare execution of one sample in one thread; {tried}")
        }
    }
}

/// What a reader should know of a recommendation.
fn findings(recommendation: &Recommendation) -> Vec<String> {
    let Recommendation { purpose, predicted, measured, unconfigured, keeps_bound, .. } = recommendation;
    let mut notes = Vec::new();
    if *keeps_bound == Some(false) {
        notes.push(format!(
            "{purpose}: nothing that was tried keeps the bound on the 99th percentile; this is nearest."
        ));
    }
    let Some(measured) = measured else { return notes };
    let requests = predicted.requests.min(measured.requests);
    for (figure, unit, predicted, measured) in [
        ("a rate of", "samples/s", predicted.samples_per_s, measured.samples_per_s),
        ("a 99th percentile of", "us", predicted.p99_us, measured.p99_us),
    ] {
        let off = predicted / measured - 1.0;
        if off.abs() > PROMISED {
            notes.push(format!(
                "{purpose}: {figure} {predicted:.0} {unit} was predicted, and {measured:.0} measured, {:+.0} %, of {requests} requests: \
                 other work on the machine, or too few of them.",
                off * 100.0
            ));
        }
    }
    if let Some(unconfigured) = unconfigured
        && unconfigured.samples_per_s > measured.samples_per_s * (1.0 + knee::WORTHWHILE)
    {
        notes.push(format!(
            "{purpose}: an engine without a profile gave {:.0} samples/s, this one {:.0}.",
            unconfigured.samples_per_s, measured.samples_per_s
        ));
    }
    notes
}
