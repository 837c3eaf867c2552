//! The scaling study: every chosen suite on every chosen model.

use paceline_device::Device;
use paceline_nn::Model;
use serde::{Deserialize, Serialize};

use crate::ceilings::{Bound, Ceilings, Limits};
use crate::mixed;
use crate::results::ModelCost;
use crate::row::{Mode, Row};
use crate::runner::{Measurement, Runner};
use crate::saturation;
use crate::soak::{SoakSample, growth, soak};
use crate::subject::{case_workload, representatives};
use crate::suite::{CALLERS_BY_ITERATIONS, Scale};
use crate::workers::{self, WorkerSetup};
use crate::workload::Workload;
use crate::{Point, StudyError, Subject, Suite, Weights};

/// What is studied.
#[derive(Clone, Debug)]
pub struct Study {
    /// The suites; each once.
    pub suites: Vec<Suite>,
    /// The models, for the suites that are of models.
    pub subjects: Vec<Subject>,
    /// What the suites vary.
    pub scale: Scale,
    /// From which samples are drawn.
    pub seed: u64,
    /// How many batches and requests may be kept for the traces of all measurements together: each lane of each gets an equal
    /// share. Zero makes no traces.
    pub trace: usize,
}

/// What a study is made on.
#[derive(Clone, Copy)]
pub struct Host<'h> {
    /// What computes.
    pub device: &'h dyn Device,
    /// For [`Suite::Saturation`]; without it, what bounds a model stays unknown.
    pub limits: Option<&'h dyn Limits>,
    /// For [`Suite::Workers`], which is left out without it.
    pub workers: Option<&'h WorkerSetup>,
}

impl<'h> Host<'h> {
    /// A device, and nothing else.
    pub fn of(device: &'h dyn Device) -> Self {
        Host { device, limits: None, workers: None }
    }
}

/// What a study tells while it runs.
#[derive(Debug)]
pub enum Event<'a> {
    /// How many steps there are: rounds of measurements.
    Planned {
        /// Steps to be made.
        steps: usize,
    },
    /// The answers of a model, operator or layer are being computed.
    Preparing {
        /// Its name.
        name: &'a str,
    },
    /// A round is about to be measured.
    Measuring {
        /// The model, operator or layer.
        name: &'a str,
        /// How, in a word or two.
        how: &'a str,
    },
    /// So many steps were made, or will not be made.
    Stepped {
        /// Their number.
        steps: usize,
    },
    /// All rounds of a point were measured.
    Measured(&'a Measurement),
    /// What a model costs.
    Cost(&'a ModelCost),
    /// What the machine can do at most.
    Ceilings(&'a Ceilings),
    /// What bounds a model.
    Bound(&'a Bound),
    /// What the process was like at a moment of a long load.
    Soaked(&'a SoakSample),
    /// Something is not as it should be.
    Problem(&'a Problem),
}

/// What is not as it should be, in a sentence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Problem {
    /// A model, operator or layer was left out: the device cannot run it, or computes it wrongly.
    LeftOut(String),
    /// What may not grow grew.
    Growth(String),
}

impl Problem {
    /// The sentence.
    pub fn text(&self) -> &str {
        match self {
            Problem::LeftOut(text) | Problem::Growth(text) => text,
        }
    }
}

type Observer<'o> = &'o mut dyn FnMut(Event<'_>);

impl Study {
    /// Measures, suite by suite. What was measured comes as events, so that nothing is lost when something later fails.
    pub fn run(&self, host: Host<'_>, observer: Observer<'_>) -> Result<(), StudyError> {
        let mut suites = self.suites.clone();
        suites.sort();
        suites.dedup();
        observer(Event::Planned { steps: suites.iter().map(|&suite| self.steps(suite)).sum() });
        let engine_points: usize = suites.iter().map(|&suite| self.engine_points(suite)).sum();
        let rings = engine_points * self.scale.lanes;
        let events = (self.trace / rings.max(1)).max(usize::from(self.trace > 0));
        for suite in suites {
            self.suite(suite, host, events, observer)?;
        }
        Ok(())
    }

    fn suite(
        &self,
        suite: Suite,
        host: Host<'_>,
        events: usize,
        observer: Observer<'_>,
    ) -> Result<(), StudyError> {
        let Host { device, limits, workers } = host;
        match suite {
            Suite::Ops | Suite::Layers => {
                for case in representatives(suite) {
                    let prepare = || case_workload(device, &case, self.seed, CALLERS_BY_ITERATIONS.0);
                    self.measure(suite, case.subject(), prepare, events, observer)?;
                }
            }
            Suite::Workers => self.workers(device, workers, observer)?,
            Suite::Mixed => self.mixed(device, observer)?,
            Suite::Saturation => self.saturation(device, limits, observer)?,
            Suite::Soak => self.soak(device, observer)?,
            _ => {
                for subject in &self.subjects {
                    observer(Event::Cost(&subject.cost()?));
                    let prepare = || subject.workload(device, self.seed, self.max_batch());
                    self.measure(suite, subject.model.name(), prepare, events, observer)?;
                }
            }
        }
        Ok(())
    }

    /// Rounds of everything in a suite.
    fn steps(&self, suite: Suite) -> usize {
        let of_points = |name: &str| -> usize {
            let points = suite.points(&self.scale, name);
            points.iter().map(|point| self.rounds(point)).sum()
        };
        match suite {
            Suite::Ops | Suite::Layers => {
                representatives(suite).iter().map(|case| of_points(case.subject())).sum()
            }
            Suite::Workers => self.subjects.len() * self.workers_steps(),
            Suite::Mixed => self.scale.rounds,
            Suite::Saturation => self.subjects.len() * self.saturation_steps(),
            Suite::Soak => 1,
            _ => self.subjects.iter().map(|subject| of_points(subject.model.name())).sum(),
        }
    }

    /// Rounds of one model in [`Suite::Saturation`].
    fn saturation_steps(&self) -> usize {
        let Scale { rounds, callers, arrivals, shares, .. } = &self.scale;
        (1 + 2 * callers.len()) * rounds + arrivals.len() * shares.len()
    }

    fn engine_points(&self, suite: Suite) -> usize {
        let of = |name: &str| {
            suite.points(&self.scale, name).iter().filter(|point| point.is_of_the_engine()).count()
        };
        match suite {
            Suite::Ops | Suite::Layers => representatives(suite).iter().map(|case| of(case.subject())).sum(),
            Suite::Workers | Suite::Mixed | Suite::Saturation | Suite::Soak => 0,
            _ => self.subjects.iter().map(|subject| of(subject.model.name())).sum(),
        }
    }

    fn rounds(&self, point: &Point) -> usize {
        point.rounds(self.scale.rounds)
    }

    /// Measures one workload in a suite, and keeps so many events of each lane.
    fn measure(
        &self,
        suite: Suite,
        name: &str,
        prepare: impl FnOnce() -> Result<Workload, StudyError>,
        events: usize,
        observer: Observer<'_>,
    ) -> Result<(), StudyError> {
        let points = suite.points(&self.scale, name);
        let steps = points.iter().map(|point| self.rounds(point)).sum();
        let Some(workload) = prepared(name, steps, prepare, observer)? else { return Ok(()) };
        let workload = workload.named(name);
        let runners =
            points.into_iter().map(|point| Runner::new(point, &workload, self.scale.rounds, events));
        for measurement in self.take_turns(name, runners.collect::<Result<_, _>>()?, observer)? {
            observer(Event::Measured(&measurement));
        }
        Ok(())
    }

    /// Measures a round of each in turns, until none wants more.
    fn take_turns(
        &self,
        name: &str,
        mut runners: Vec<Runner<'_>>,
        observer: Observer<'_>,
    ) -> Result<Vec<Measurement>, StudyError> {
        while runners.iter().any(Runner::is_wanting) {
            for runner in runners.iter_mut().filter(|runner| runner.is_wanting()) {
                observer(Event::Measuring { name, how: &runner.point().name() });
                runner.round()?;
                let last = !runner.is_wanting();
                let left_out = if last { self.rounds(runner.point()) - runner.rounds().len() } else { 0 };
                observer(Event::Stepped { steps: 1 + left_out });
            }
        }
        let points: Vec<_> =
            runners.iter().map(|runner| (*runner.point(), runner.rounds().to_vec())).collect();
        Ok(runners.into_iter().map(|runner| runner.finish(&points)).collect())
    }

    /// Rounds of one model in [`Suite::Workers`].
    fn workers_steps(&self) -> usize {
        workers::ways(&self.scale) * self.scale.rounds.max(1)
    }

    fn workers(
        &self,
        device: &dyn Device,
        setup: Option<&WorkerSetup>,
        observer: Observer<'_>,
    ) -> Result<(), StudyError> {
        let Some(setup) = setup else {
            observer(Event::Stepped { steps: self.steps(Suite::Workers) });
            let text = "the suite 'workers' was left out: nothing says how to start a worker".to_string();
            observer(Event::Problem(&Problem::LeftOut(text)));
            return Ok(());
        };
        for subject in &self.subjects {
            let name = subject.model.name();
            let prepare = || subject.workload(device, self.seed, workers::BATCH);
            let Some(workload) = prepared(name, self.workers_steps(), prepare, observer)? else { continue };
            observer(Event::Cost(&subject.cost()?));
            if !workload.signature().batched {
                observer(Event::Stepped { steps: self.workers_steps() });
                let text = format!("'{name}' was left out of the suite 'workers': it has no batch axis");
                observer(Event::Problem(&Problem::LeftOut(text)));
                continue;
            }
            let step = &mut |how: &str| {
                observer(Event::Measuring { name, how });
                observer(Event::Stepped { steps: 1 });
            };
            let measured = workers::measure(setup, &subject.model, self.seed, &workload, &self.scale, step)?;
            measured.iter().for_each(|measurement| observer(Event::Measured(measurement)));
        }
        Ok(())
    }

    fn mixed(&self, device: &dyn Device, observer: Observer<'_>) -> Result<(), StudyError> {
        let mut workloads = Vec::new();
        for name in mixed::MODELS {
            let model = Model::by_name(name).expect("the suite's models exist");
            let subject = Subject { model, weights: Weights::Seed(self.seed) };
            let prepare = || subject.workload(device, self.seed, 64);
            match prepared(name, self.scale.rounds, prepare, observer)? {
                Some(workload) => workloads.push(workload),
                None => return Ok(()),
            }
        }
        observer(Event::Measuring { name: "speech + translation", how: "8 callers" });
        let step = &mut || observer(Event::Stepped { steps: 1 });
        let measurements = mixed::measure(&workloads, self.scale.lanes, self.scale.rounds, step)?;
        measurements.iter().for_each(|measurement| observer(Event::Measured(measurement)));
        Ok(())
    }

    fn saturation(
        &self,
        device: &dyn Device,
        limits: Option<&dyn Limits>,
        observer: Observer<'_>,
    ) -> Result<(), StudyError> {
        let costs = self.subjects.iter().map(Subject::cost).collect::<Result<Vec<_>, _>>()?;
        let mut ceilings = Ceilings::default();
        if let Some(limits) = limits {
            observer(Event::Measuring { name: "the machine", how: "its ceilings" });
            let mut sizes: Vec<u64> = costs.iter().map(|cost| cost.weight_bytes).collect();
            sizes.sort_unstable();
            sizes.dedup();
            ceilings = Ceilings::measure(limits, self.scale.lanes, &sizes)?;
            observer(Event::Ceilings(&ceilings));
        }
        for (subject, cost) in self.subjects.iter().zip(&costs) {
            let name = subject.model.name();
            let prepare = || subject.workload(device, self.seed, self.max_batch());
            let steps = self.saturation_steps();
            let Some(workload) = prepared(name, steps, prepare, observer)? else { continue };
            observer(Event::Cost(cost));
            let rows = self.closed_loops(&workload, observer)?;
            if let Some(bound) = saturation::bound(&rows, cost, &ceilings) {
                observer(Event::Bound(&bound));
            }
            let closed = rows.iter().filter(|row| row.mode == Mode::EngineAsync);
            let best = closed.map(|row| row.samples_per_s).fold(0.0, f64::max);
            self.open_loops(&workload, best, observer)?;
        }
        Ok(())
    }

    fn closed_loops(&self, workload: &Workload, observer: Observer<'_>) -> Result<Vec<Row>, StudyError> {
        let nothing = workload.hand_off()?;
        let points = Suite::Saturation.points(&self.scale, workload.name());
        let mut runners = Vec::new();
        for point in points {
            runners.push(Runner::new(point, workload, self.scale.rounds, 0)?);
            if point.mode == Mode::EngineAsync {
                let idle = Point { mode: Mode::HandOff, ..point }.over(None);
                runners.push(Runner::new(idle, &nothing, self.scale.rounds, 0)?);
            }
        }
        let measurements = self.take_turns(workload.name(), runners, observer)?;
        let mut rows = Vec::new();
        for measurement in measurements {
            observer(Event::Measured(&measurement));
            rows.push(measurement.row);
        }
        Ok(rows)
    }

    fn open_loops(&self, workload: &Workload, best: f64, observer: Observer<'_>) -> Result<(), StudyError> {
        let Scale { arrivals, shares, lanes, time, .. } = &self.scale;
        for &arrivals in arrivals {
            for &share in shares.iter().filter(|_| best > 0.0) {
                let how = format!("{arrivals} at {:.0} %", share * 100.0);
                observer(Event::Measuring { name: workload.name(), how: &how });
                let measurement = saturation::open(workload, *lanes, arrivals, share, best, *time)?;
                observer(Event::Measured(&measurement));
                observer(Event::Stepped { steps: 1 });
            }
        }
        Ok(())
    }

    fn soak(&self, device: &dyn Device, observer: Observer<'_>) -> Result<(), StudyError> {
        let mut workloads = Vec::new();
        for subject in &self.subjects {
            let prepare = || subject.workload(device, self.seed, 64);
            workloads.extend(prepared(subject.model.name(), 0, prepare, observer)?);
        }
        if workloads.is_empty() {
            return Ok(());
        }
        let minutes = self.scale.soak.as_secs_f64() / 60.0;
        observer(Event::Measuring { name: "the engine", how: &format!("{minutes} minutes") });
        let mut samples = Vec::new();
        let measurement = soak(&workloads, self.scale.lanes, self.scale.soak, &mut |sample| {
            observer(Event::Soaked(&sample));
            samples.push(sample);
        })?;
        observer(Event::Measured(&measurement));
        observer(Event::Stepped { steps: 1 });
        for text in growth(&samples) {
            observer(Event::Problem(&Problem::Growth(format!("soak: {text}"))));
        }
        Ok(())
    }

    /// The largest batch that any point needs.
    fn max_batch(&self) -> usize {
        let Scale { callers, batches, thread_batches, thread_batches_of, .. } = &self.scale;
        let of_models = thread_batches_of.values().flatten();
        batches.iter().chain(thread_batches).chain(of_models).chain(callers).copied().max().unwrap_or(1)
    }
}

/// The workload; nothing where the device cannot run it, or computes it wrongly, and then so many steps are not made.
fn prepared(
    name: &str,
    steps: usize,
    prepare: impl FnOnce() -> Result<Workload, StudyError>,
    observer: Observer<'_>,
) -> Result<Option<Workload>, StudyError> {
    observer(Event::Preparing { name });
    match prepare() {
        Ok(workload) => Ok(Some(workload)),
        Err(error) if error.is_of_the_device() => {
            observer(Event::Stepped { steps });
            observer(Event::Problem(&Problem::LeftOut(error.to_string())));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
