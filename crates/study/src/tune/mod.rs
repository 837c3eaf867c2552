//! Tuning: finds out how a model is run best on a machine, and writes it down as a [`Profile`].
//!
//! 1. The **cost surface** is measured with bare executions: by samples, by lanes that execute at a time, by threads of one execution
//!    (`search` says what next, `surface` holds it, `knee` says how many lanes are worth having).
//! 2. For each use, the configurations that may be the best by the surface are tried in engines under the load of that use (`candidates`,
//!    `trial`), by turns until they are ranked (`race`). What came out of the best (`choose`) is the **prediction**.
//! 3. The prediction is checked on an engine that starts from the profile, beside one that knows nothing.
//!
//! Where worker processes are asked for, engines in workers are tried beside those in this process, by the same rules. They are
//! recommended if they are better beyond noise, in the trials and in the check: they take memory for all weights, and copies.
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
mod remarks;
mod report;
mod search;
mod space;
mod surface;
#[cfg(test)]
mod tests;
mod trial;

use std::time::{Duration, SystemTime};

use paceline_device::Device;
use paceline_engine::MeasuredCost;
use paceline_profile::{Machine, ModelPrint, Profile, Recommendation, SCHEMA, Tried, Use};

use self::candidates::{Plan, Wish, candidates};
use self::choose::{Outcome, choose, choose_in_process, is_advantage};
use self::host::{Host, Workers};
use self::knee::knee;
use self::remarks::{DEFAULT, IN_PROCESS, disturbance, findings, reason};
use self::space::{Point, Row, Space};
use self::surface::Surface;
use self::trial::{Record, Trial};
use crate::estimate::median;
use crate::{Noise, StudyError, Subject, Watch, WorkerSetup};

pub use self::report::{PROMISED, markdown};
pub use self::space::Axes;

/// Of the time, what the surface may take.
const SURFACE: f64 = 0.35;
/// Of the time, what surface and trials may take; the rest is for the checks.
const TRIALS: f64 = 0.8;
/// Rounds of the surface in the whole time.
const SURFACE_ROUNDS: u32 = 800;
/// Rounds of trials in the whole time, for each configuration that may be tried for a use.
const TRIAL_ROUNDS: u32 = 50;

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

/// The trials of one use.
struct Contest {
    purpose: Use,
    trials: Vec<Trial>,
    /// The index of the one that is recommended.
    chosen: usize,
    /// The same of those in this process, where there are any.
    in_process: Option<usize>,
    is_ranked: bool,
}

impl Tuning {
    /// Tunes a model on a device, with samples drawn from `seed`. Worker processes can be tried where it is said how they are started.
    pub fn run(
        &self,
        device: &dyn Device,
        workers: Option<&WorkerSetup>,
        subject: &Subject,
        seed: u64,
        origin: Origin,
        observer: &mut dyn FnMut(Step),
    ) -> Result<Profile, StudyError> {
        let asked = self.axes.workers.iter().flatten().copied().find(|&workers| workers > 0);
        if let (Some(asked), None) = (asked, workers) {
            return Err(StudyError::NoWorkers { asked });
        }
        let name = subject.model.name();
        observer(Step { doing: Doing::Preparing, detail: name.into(), spent: 0.0 });
        let (info, model) = (device.info(), ModelPrint::of(name, &subject.graph()?));
        let workload = subject.workload(device, seed, self.axes.max_batch())?;
        let space = self.axes.space(&info, &**workload.program());
        let created = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        let workers = workers.map(|setup| Workers { setup, seed });
        let host = host::Machine::new(&workload, workers, info.default_lanes.max(1));
        let watch = Watch::begin();
        let Found { surface, recommendations, mut notes } = self.find(&host, &space, observer)?;
        // First: it explains the others.
        notes.splice(0..0, watch.and_then(Watch::end).filter(Noise::is_much).map(disturbance));
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
        let tell = &mut |doing: Doing, detail: String| {
            let spent = host.elapsed().as_secs_f64() / self.time.as_secs_f64().max(1e-9);
            observer(Step { doing, detail, spent: spent.min(1.0) });
        };
        let surface = self.measure_surface(host, space, tell)?;
        let mut notes = Vec::new();
        if !is_explored(space, &surface) {
            notes.push("There was not enough time for all of the cost surface; --seconds gives more.".into());
        }
        let costs = surface.engine_costs();
        let mut contests = Vec::new();
        for (purpose, until) in self.shares(host.elapsed(), self.time.mul_f64(TRIALS)) {
            let contest = self.compare(host, space, &surface, purpose, until, tell)?;
            if !contest.is_ranked {
                notes.push(format!(
                    "{purpose}: there was not enough time to rank what was tried; --seconds gives more."
                ));
            }
            contests.push(contest);
        }
        let mut recommendations = Vec::new();
        let shares = self.shares(host.elapsed(), self.time);
        for (contest, (_, until)) in contests.iter().zip(shares) {
            let chosen = contest.trials.get(contest.chosen).map(|trial| trial.plan.configuration.to_string());
            tell(Doing::Checking(contest.purpose), chosen.unwrap_or_default());
            if let Some(recommendation) = self.check(host, space, &surface, &costs, contest, until)? {
                notes.extend(findings(&recommendation));
                recommendations.push(recommendation);
            }
        }
        Ok(Found { surface, recommendations, notes })
    }

    /// Tries what may be best for a use.
    fn compare(
        &self,
        host: &dyn Host,
        space: &Space,
        surface: &Surface,
        purpose: Use,
        until: Duration,
        tell: &mut dyn FnMut(Doing, String),
    ) -> Result<Contest, StudyError> {
        let wish = Wish { purpose, callers: self.callers.max(1), p99: self.p99 };
        let plans = candidates(wish, space, surface);
        let choose = |outcomes: &[Outcome]| choose(outcomes, self.p99);
        let each = &mut |plan: &Plan| tell(Doing::Trials(purpose), plan.configuration.to_string());
        let costs = surface.engine_costs();
        let round = self.trial_round(space);
        let trials = trial::race(host, purpose, &plans, &costs, &choose, round, until, each)?;
        let outcomes: Vec<Outcome> = trials.iter().filter_map(Trial::outcome).collect();
        let is_ranked = trials.len() == plans.len()
            && outcomes.iter().all(|outcome| outcome.score.rounds >= race::ENOUGH);
        let chosen = choose(&outcomes).unwrap_or_default();
        let in_process = choose_in_process(&outcomes, self.p99);
        Ok(Contest { purpose, trials, chosen, in_process, is_ranked })
    }

    /// Runs what was chosen beside an engine that knows nothing.
    fn check(
        &self,
        host: &dyn Host,
        space: &Space,
        surface: &Surface,
        costs: &[MeasuredCost],
        contest: &Contest,
        until: Duration,
    ) -> Result<Option<Recommendation>, StudyError> {
        let Some(mut trial) = contest.trials.get(contest.chosen) else { return Ok(None) };
        let (purpose, round) = (contest.purpose, self.trial_round(space));
        let check =
            |trial: &Trial, until: Duration| trial::check(host, purpose, &trial.plan, costs, round, until);
        let half = || host.elapsed() + self.time.saturating_sub(host.elapsed()) / 2;
        let mut checked = check(trial, until)?;
        let mut why = None;
        if trial.plan.configuration.workers > 0
            && let Some(here) = contest.in_process.and_then(|index| contest.trials.get(index))
            && here.outcome().is_some_and(|outcome| outcome.keeps(self.p99))
            && !is_advantage(&checked.0.over(&checked.1))
        {
            (trial, why) = (here, Some(IN_PROCESS));
            checked = check(trial, half())?;
        }
        // Something disturbed the trials. What an engine does by itself has just been measured.
        let default = Plan { configuration: space.default_configuration(), ..trial.plan };
        let default = Trial { plan: default, record: checked.1.clone() };
        if self.is_default_better(space, &trial.plan, &checked) {
            (trial, why) = (&default, Some(DEFAULT));
            checked = check(trial, half())?;
        }
        let reason = match why {
            Some(why) => why.into(),
            None => reason(surface, purpose, &contest.trials, contest.chosen),
        };
        Ok(Some(self.recommendation(contest, trial, reason, &checked)))
    }

    fn trial_round(&self, space: &Space) -> Duration {
        let rounds = TRIAL_ROUNDS.saturating_mul(candidates::most_trials(space) as u32);
        (self.time / rounds).clamp(Duration::from_millis(5), Duration::from_millis(500))
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
    /// measurement are worth, and may be chosen.
    fn is_default_better(&self, space: &Space, plan: &Plan, (this, default): &(Record, Record)) -> bool {
        let Axes { batches: None, lanes: None, threads: None, workers } = &self.axes else { return false };
        if workers.as_ref().is_some_and(|workers| !workers.contains(&0)) {
            return false;
        }
        let keeps_bound = self.p99.is_none_or(|bound| default.figures().p99_us <= bound.as_secs_f64() * 1e6);
        let gains = default.over(this);
        let gain = median(&gains);
        let lanes = plan.configuration.all_lanes();
        let is_worth_it = match space.default_lanes > lanes {
            true => knee(&[(lanes, 1.0), (space.default_lanes, gain)]) > lanes,
            false => gain >= 1.0 + knee::WORTHWHILE,
        };
        // A few rounds can be anything; in most of enough it must be better.
        let better = gains.iter().filter(|&&gain| gain > 1.0).count();
        let is_sure = gains.len() >= race::ENOUGH && 4 * better >= 3 * gains.len();
        is_worth_it && is_sure && keeps_bound
    }

    fn recommendation(
        &self,
        contest: &Contest,
        trial: &Trial,
        reason: String,
        (measured, unconfigured): &(Record, Record),
    ) -> Recommendation {
        let predicted = trial.record.figures();
        let keeps = |bound: Duration| predicted.p99_us <= bound.as_secs_f64() * 1e6;
        Recommendation {
            purpose: contest.purpose,
            configuration: trial.plan.configuration,
            in_flight: trial.plan.in_flight,
            predicted,
            uncertainty: trial.record.uncertainty(),
            measured: Some(measured.figures()),
            unconfigured: Some(unconfigured.figures()),
            keeps_bound: self.p99.map(keeps),
            reason,
            tried: contest.trials.iter().take(Tried::MOST).map(Trial::tried).collect(),
        }
    }
}

/// Whether every row was followed to its end, each point at least once.
fn is_explored(space: &Space, surface: &Surface) -> bool {
    search::next(space, surface, Duration::ZERO, Duration::MAX)
        .is_none_or(|point| surface.cell(point).is_some())
}
