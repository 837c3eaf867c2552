//! What a suite in a process of its own tells: a line of JSON each.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ceilings::{Bound, Ceilings};
use crate::isolation::Ending;
use crate::noise::Noise;
use crate::results::{Ended, ModelCost, Results, SuiteRun};
use crate::row::Row;
use crate::soak::SoakSample;
use crate::study::{Event, Problem};
use crate::{Measurement, Suite};

/// What a suite tells: an [`Event`] that can be sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "they are those of Event")]
pub enum Message {
    Planned {
        steps: usize,
    },
    Preparing {
        name: String,
    },
    Measuring {
        name: String,
        how: String,
    },
    Stepped {
        steps: usize,
    },
    Measured {
        row: Box<Row>,
        first_error: Option<String>,
    },
    Cost(ModelCost),
    Ceilings(Ceilings),
    Bound(Bound),
    Soaked(SoakSample),
    Problem(Problem),
    /// It cannot go on.
    Failed {
        error: String,
    },
    /// It is done.
    Done,
}

impl From<&Event<'_>> for Message {
    fn from(event: &Event<'_>) -> Self {
        match *event {
            Event::Planned { steps } => Message::Planned { steps },
            Event::Preparing { name } => Message::Preparing { name: name.into() },
            Event::Measuring { name, how } => Message::Measuring { name: name.into(), how: how.into() },
            Event::Stepped { steps } => Message::Stepped { steps },
            Event::Measured(measurement) => Message::Measured {
                row: Box::new(measurement.row.clone()),
                first_error: measurement.first_error.clone(),
            },
            Event::Cost(cost) => Message::Cost(cost.clone()),
            Event::Ceilings(ceilings) => Message::Ceilings(ceilings.clone()),
            Event::Bound(bound) => Message::Bound(bound.clone()),
            Event::Soaked(sample) => Message::Soaked(*sample),
            Event::Problem(problem) => Message::Problem(problem.clone()),
        }
    }
}

impl Message {
    /// As a line.
    pub fn to_line(&self) -> String {
        serde_json::to_string(self).expect("messages have names as keys and no foreign types")
    }

    /// From a line; `None` where it is something else, which another library may have printed.
    pub fn from_line(line: &str) -> Option<Self> {
        serde_json::from_str(line).ok()
    }
}

impl Results {
    /// Adds what a suite told. How it ended comes with [`Results::ended`].
    pub fn hear(&mut self, message: Message) {
        match message {
            Message::Measured { row, first_error } => {
                self.add(&Measurement { row: *row, first_error, trace: Default::default() });
            }
            Message::Cost(cost) => self.add_cost(cost),
            Message::Ceilings(ceilings) => self.ceilings = Some(ceilings),
            Message::Bound(bound) => self.bounds.push(bound),
            Message::Soaked(sample) => self.soak.push(sample),
            Message::Problem(problem) => self.problems.push(problem.text().into()),
            _ => {}
        }
    }

    /// Adds how a suite ended: `said` is its last message of [`Message::Failed`] or [`Message::Done`]. Whatever is no proper end is
    /// among the problems.
    pub fn ended(
        &mut self,
        suite: Suite,
        ending: &Ending,
        said: Option<&Message>,
        silence: Duration,
        noise: Option<Noise>,
    ) {
        let ended = match (ending.status, said) {
            (_, Some(Message::Failed { error })) => {
                self.problems.push(format!("the suite '{suite}' could not go on: {error}"));
                Ended::Failed
            }
            (Some(status), Some(Message::Done)) if status.success() => Ended::Done,
            (Some(status), _) => {
                let words = match ending.last_words.as_str() {
                    "" => String::new(),
                    words => format!("; its last words: {}", words.replace('\n', " / ")),
                };
                self.problems.push(format!(
                    "the suite '{suite}' crashed ({status}); what it measured before is in the report{words}"
                ));
                Ended::Crashed
            }
            (None, _) => {
                self.problems.push(format!(
                    "the suite '{suite}' said nothing for {silence:?} and was ended; what it measured before is in the report"
                ));
                Ended::TimedOut
            }
        };
        let seconds = (ending.time.as_secs_f64() * 1e3).round() / 1e3;
        self.suites.push(SuiteRun { suite: suite.to_string(), seconds, ended, noise });
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use paceline_device::Device;
    use paceline_device::conformance::ReferenceDevice;

    use super::*;

    #[test]
    fn messages_are_lines_and_other_lines_are_none() {
        let failed = Message::Failed { error: "a\nb".into() };
        let line = failed.to_line();
        assert!(!line.contains('\n'));
        assert_eq!(Message::from_line(&line), Some(failed));
        assert_eq!(Message::from_line("hello"), None);
    }

    #[test]
    fn every_end_but_the_proper_one_is_a_problem() {
        let exit = |raw| Some(ExitStatus::from_raw(raw));
        let failed = Message::Failed { error: "no thread".into() };
        for (status, said, ended, problem) in [
            (exit(0), Some(&Message::Done), Ended::Done, None),
            (exit(0), None, Ended::Crashed, Some("crashed (exit status: 0)")),
            (exit(11), None, Ended::Crashed, Some("signal: 11")),
            (exit(6), Some(&Message::Done), Ended::Crashed, Some("signal: 6")),
            (exit(101 << 8), None, Ended::Crashed, Some("its last words: it panicked / badly")),
            (None, None, Ended::TimedOut, Some("said nothing for 2s")),
            (exit(2 << 8), Some(&failed), Ended::Failed, Some("could not go on: no thread")),
        ] {
            let mut results = Results::begin("0", "c", "test".into(), &ReferenceDevice.info());
            let last_words = "it panicked\nbadly".to_string();
            let ending = Ending { status, last_words, time: Duration::from_millis(1500) };
            results.ended(Suite::Threads, &ending, said, Duration::from_secs(2), None);
            assert_eq!((results.suites[0].ended, results.suites[0].seconds), (ended, 1.5));
            assert_eq!(results.are_right(), problem.is_none(), "{status:?}");
            assert!(problem.is_none_or(|text| results.problems[0].contains(text)), "{:?}", results.problems);
        }
    }
}
