//! Trials: the candidates of one use, each in an engine of its own under the load of that use, by turns until they are ranked.

use std::time::Duration;

use paceline_engine::MeasuredCost;
use paceline_profile::{Figures, Tried, Use};

use super::candidates::Plan;
use super::choose::Outcome;
use super::host::{Answered, Host, Running};
use super::race;
use crate::StudyError;
use crate::estimate::{Estimate, median};

/// Rounds of what is predicted and of a check, if there is time: enough that the 99th percentile means something.
const CHECKS: usize = 8;

/// What was measured of one plan.
#[derive(Debug)]
pub(crate) struct Trial {
    pub(crate) plan: Plan,
    pub(crate) record: Record,
}

/// Rounds of one load. What is told of them is of a round in the middle: a disturbance of one round is in neither rates nor times.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record {
    requests: u64,
    rates: Vec<f64>,
    means_us: Vec<f64>,
    p50s_us: Vec<f64>,
    p99s_us: Vec<f64>,
    scores: Vec<f64>,
}

impl Record {
    fn add(&mut self, purpose: Use, round: &Answered) {
        let times = round.times.summary();
        self.requests += round.times.count();
        self.rates.push(round.samples_per_s);
        self.means_us.push(times.mean);
        self.p50s_us.push(times.p50);
        self.p99s_us.push(times.p99);
        self.scores.push(match purpose {
            Use::Throughput | Use::Streams => round.samples_per_s,
            Use::Latency => 1e6 / times.mean.max(1e-3),
        });
    }

    /// What is ranked; `None` without a round.
    pub(crate) fn score(&self) -> Option<Estimate> {
        Estimate::of(&self.scores)
    }

    /// Rate and times of a round in the middle.
    pub(crate) fn figures(&self) -> Figures {
        Figures {
            requests: self.requests,
            samples_per_s: median(&self.rates),
            mean_us: median(&self.means_us),
            p50_us: median(&self.p50s_us),
            p99_us: median(&self.p99s_us),
        }
    }

    /// How often the score of another that was measured by turns with it, round by round.
    pub(crate) fn over(&self, other: &Record) -> Vec<f64> {
        self.scores.iter().zip(&other.scores).map(|(this, other)| this / other).collect()
    }

    /// How uncertain the rate is, as a profile has it.
    pub(crate) fn uncertainty(&self) -> f64 {
        self.rate().map_or(f64::MAX, |rate| rate.spread())
    }

    /// How sure the rate is.
    fn rate(&self) -> Option<Estimate> {
        Estimate::of(&self.rates)
    }
}

impl Trial {
    /// As a profile has it.
    pub(crate) fn tried(&self) -> Tried {
        Tried {
            configuration: self.plan.configuration,
            in_flight: self.plan.in_flight,
            figures: self.record.figures(),
            uncertainty: self.record.uncertainty(),
        }
    }

    pub(crate) fn outcome(&self) -> Option<Outcome> {
        let p99 = Duration::from_secs_f64(self.record.figures().p99_us / 1e6);
        Some(Outcome { configuration: self.plan.configuration, score: self.record.score()?, p99 })
    }
}

/// Tries the plans by turns, until they are ranked or it is `until`: the first in any case, the others if there is time, which workers
/// also need to start. The one that
/// `choose` picks is measured further, for what is predicted of it. `each` is told before each round.
pub(crate) fn race(
    host: &dyn Host,
    purpose: Use,
    plans: &[Plan],
    costs: &[MeasuredCost],
    choose: &dyn Fn(&[Outcome]) -> Option<usize>,
    time: Duration,
    until: Duration,
    each: &mut dyn FnMut(&Plan),
) -> Result<Vec<Trial>, StudyError> {
    let mut trials: Vec<(Box<dyn Running + '_>, Trial, Duration)> = Vec::new();
    let (mut slowest, mut start_of_worker) = (Duration::ZERO, Duration::ZERO);
    for &plan in plans {
        let workers = plan.configuration.workers as u32;
        let expected = slowest + start_of_worker.saturating_mul(workers);
        if !trials.is_empty() && host.elapsed() + expected > until {
            break;
        }
        let before = host.elapsed();
        let running = host.start(Some((plan.configuration, costs)))?;
        if workers > 0 {
            let took = host.elapsed().saturating_sub(before);
            start_of_worker = start_of_worker.max(took / workers);
        }
        let mut trial = (running, Trial { plan, record: Record::default() }, Duration::ZERO);
        each(&plan);
        round(host, purpose, time, &mut trial)?;
        slowest = slowest.max(trial.2);
        trials.push(trial);
    }
    loop {
        let estimates: Vec<Estimate> =
            trials.iter().filter_map(|(_, trial, _)| trial.record.score()).collect();
        let further = || {
            let outcomes: Vec<Outcome> = trials.iter().filter_map(|(_, trial, _)| trial.outcome()).collect();
            choose(&outcomes).filter(|&index| outcomes[index].score.rounds < CHECKS)
        };
        let Some(index) = race::next(&estimates).or_else(further) else { break };
        if host.elapsed() + trials[index].2 > until {
            break;
        }
        each(&trials[index].1.plan);
        round(host, purpose, time, &mut trials[index])?;
    }
    Ok(trials.into_iter().map(|(_, trial, _)| trial).collect())
}

fn round(
    host: &dyn Host,
    purpose: Use,
    time: Duration,
    (running, trial, took): &mut (Box<dyn Running + '_>, Trial, Duration),
) -> Result<(), StudyError> {
    let start = host.elapsed();
    let answered = running.drive(purpose, trial.plan.in_flight, time)?;
    *took = host.elapsed().saturating_sub(start);
    trial.record.add(purpose, &answered);
    Ok(())
}

/// What an engine that starts from the profile gives, and by turns with it one that knows nothing: at least one round of each.
pub(crate) fn check(
    host: &dyn Host,
    purpose: Use,
    plan: &Plan,
    costs: &[MeasuredCost],
    time: Duration,
    until: Duration,
) -> Result<(Record, Record), StudyError> {
    let (configured, unconfigured) = (host.start(Some((plan.configuration, costs)))?, host.start(None)?);
    let mut records = (Record::default(), Record::default());
    let mut took = Duration::ZERO;
    while records.0.rates.len() < CHECKS && (records.0.rates.is_empty() || host.elapsed() + took <= until) {
        let start = host.elapsed();
        records.0.add(purpose, &configured.drive(purpose, plan.in_flight, time)?);
        records.1.add(purpose, &unconfigured.drive(purpose, plan.in_flight, time)?);
        took = host.elapsed().saturating_sub(start);
    }
    Ok(records)
}
