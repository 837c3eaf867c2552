//! The scaling study: every chosen suite on every chosen model.

use paceline_device::Device;

use crate::subject::{case_workload, representatives};
use crate::suite::{CALLERS_BY_ITERATIONS, Scale};
use crate::workload::Workload;
use crate::{Measurement, Point, StudyError, Subject, Suite};

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

/// What a study tells while it runs.
#[derive(Debug)]
pub enum Event<'a> {
    /// How many points there are.
    Planned {
        /// Measurements to be made.
        points: usize,
    },
    /// The answers of a model, operator or layer are being computed.
    Preparing {
        /// Its name.
        name: &'a str,
    },
    /// A point is about to be measured.
    Measuring {
        /// The model, operator or layer.
        name: &'a str,
        /// How.
        point: &'a Point,
    },
    /// It was.
    Measured(&'a Measurement),
    /// A model, operator or layer was left out: the device cannot run it, or computes it wrongly.
    LeftOut {
        /// How many points that were planned are not measured.
        points: usize,
        /// Why.
        error: &'a StudyError,
    },
}

impl Study {
    /// Whether anything is measured through the engine.
    pub fn has_engine(&self) -> bool {
        self.suites.iter().any(|suite| suite.points(&self.scale).iter().any(Point::is_of_the_engine))
    }

    /// Measures, operators and layers first, then model by model. What was measured comes as events, so that nothing is lost
    /// when something later fails.
    pub fn run(&self, device: &dyn Device, observer: &mut dyn FnMut(Event<'_>)) -> Result<(), StudyError> {
        let mut suites = self.suites.clone();
        suites.sort();
        suites.dedup();
        let (of_models, of_cases): (Vec<Suite>, Vec<Suite>) =
            suites.into_iter().partition(|suite| suite.is_of_models());
        let cases: Vec<_> = of_cases.iter().map(|&suite| (suite, representatives(suite))).collect();
        let graphs: Vec<(Suite, usize)> = (cases.iter().map(|(suite, cases)| (*suite, cases.len())))
            .chain(of_models.iter().map(|&suite| (suite, self.subjects.len())))
            .collect();
        let count = |of: fn(&Point) -> bool| -> usize {
            let of_suite = |suite: Suite| suite.points(&self.scale).iter().filter(|point| of(point)).count();
            graphs.iter().map(|&(suite, graphs)| graphs * of_suite(suite)).sum()
        };
        observer(Event::Planned { points: count(|_| true) });
        let rings = count(Point::is_of_the_engine) * self.scale.lanes;
        let events = (self.trace / rings.max(1)).max(usize::from(self.trace > 0));

        for (suite, cases) in &cases {
            for case in cases {
                let prepare = || case_workload(device, case, self.seed, CALLERS_BY_ITERATIONS.0);
                self.measure(&[*suite], case.subject(), prepare, events, observer)?;
            }
        }
        for subject in self.subjects.iter().filter(|_| !of_models.is_empty()) {
            let prepare = || subject.workload(device, self.seed, self.max_batch());
            self.measure(&of_models, subject.model.name(), prepare, events, observer)?;
        }
        Ok(())
    }

    /// Measures one workload in these suites, and keeps so many events of each lane.
    fn measure(
        &self,
        suites: &[Suite],
        name: &str,
        prepare: impl FnOnce() -> Result<Workload, StudyError>,
        events: usize,
        observer: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), StudyError> {
        let points: Vec<Point> = suites.iter().flat_map(|suite| suite.points(&self.scale)).collect();
        observer(Event::Preparing { name });
        let workload = match prepare() {
            Ok(workload) => workload.named(name),
            Err(error) if error.is_of_the_device() => {
                observer(Event::LeftOut { points: points.len(), error: &error });
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        for point in points {
            observer(Event::Measuring { name, point: &point });
            observer(Event::Measured(&point.measure(&workload, events)?));
        }
        Ok(())
    }

    /// The largest batch that any point needs.
    fn max_batch(&self) -> usize {
        let Scale { callers, batches, thread_batches, .. } = &self.scale;
        batches.iter().chain(thread_batches).chain(callers).copied().max().unwrap_or(1)
    }
}
