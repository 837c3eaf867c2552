//! A device that follows a script, for tests of scheduling: no kernel, but every behaviour that a real device may show.
//!
//! A [`FakeProgram`] is made from a signature instead of a graph. It computes `2x + 1` from whole slices, so that a test can
//! tell whose rows came back, and asks a script before each execution how long to take and whether to fail, lose its
//! session, panic, or hang until a [`Gate`] opens. With [`FakeProgram::recorded`] it remembers what it executed.

mod compute;
mod gate;
mod latency;
mod record;
mod script;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use paceline_graph::DType;

use self::compute::{compute, first};
pub use self::gate::Gate;
pub use self::latency::Latency;
pub use self::record::Record;
use self::record::Recorder;
pub use self::script::{Execution, Outcome};
use crate::{Batch, BatchSizes, DeviceError, Port, Program, Session, Signature};

type Script = dyn Fn(&Execution) -> Outcome + Send + Sync;
type OpenScript = dyn Fn(u64) -> Result<(), DeviceError> + Send + Sync;

/// A program that follows a script.
pub struct FakeProgram {
    signature: Signature,
    batch_sizes: BatchSizes,
    latency: Latency,
    script: Option<Box<Script>>,
    on_open: Option<Box<OpenScript>>,
    records: Option<Mutex<Vec<Record>>>,
    opened: AtomicU64,
    executed: AtomicU64,
}

impl FakeProgram {
    /// A program with any batch up to 256 that computes at once and never fails.
    pub fn new(signature: Signature) -> Self {
        FakeProgram {
            signature,
            batch_sizes: BatchSizes::UpTo(256),
            latency: Latency::NONE,
            script: None,
            on_open: None,
            records: None,
            opened: AtomicU64::new(0),
            executed: AtomicU64::new(0),
        }
    }

    /// With these batch sizes.
    pub fn batch_sizes(mut self, sizes: BatchSizes) -> Self {
        self.batch_sizes = sizes;
        self
    }

    /// With this time for each execution, whatever its outcome.
    pub fn latency(mut self, latency: Latency) -> Self {
        self.latency = latency;
        self
    }

    /// With `script` asked for the outcome of each execution.
    pub fn script(mut self, script: impl Fn(&Execution) -> Outcome + Send + Sync + 'static) -> Self {
        self.script = Some(Box::new(script));
        self
    }

    /// With `script` asked, given the number of the session, whether it can be opened.
    pub fn on_open(
        mut self,
        script: impl Fn(u64) -> Result<(), DeviceError> + Send + Sync + 'static,
    ) -> Self {
        self.on_open = Some(Box::new(script));
        self
    }

    /// Remembering every execution.
    pub fn recorded(mut self) -> Self {
        self.records = Some(Mutex::default());
        self
    }

    /// The executions so far, in the order they ended; none unless [`recorded`](Self::recorded).
    pub fn records(&self) -> Vec<Record> {
        self.records.as_ref().map(|records| lock(records).clone()).unwrap_or_default()
    }

    /// Executions begun so far.
    pub fn executed(&self) -> u64 {
        self.executed.load(Ordering::Relaxed)
    }

    /// Sessions asked for so far, opened or refused.
    pub fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }
}

impl Program for FakeProgram {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn batch_sizes(&self) -> &BatchSizes {
        &self.batch_sizes
    }

    fn open(self: Arc<Self>) -> Result<Box<dyn Session>, DeviceError> {
        let number = self.opened.fetch_add(1, Ordering::Relaxed);
        if let Some(script) = &self.on_open {
            script(number)?;
        }
        Ok(Box::new(FakeSession { program: self, number, lost: None }))
    }
}

struct FakeSession {
    program: Arc<FakeProgram>,
    number: u64,
    lost: Option<String>,
}

impl Session for FakeSession {
    fn launch(&mut self, batch: &mut Batch<'_>) -> Result<(), DeviceError> {
        let program = Arc::clone(&self.program);
        batch.check(&program.signature, program.batch_sizes.max())?;
        let number = program.executed.fetch_add(1, Ordering::Relaxed);
        if let Some(reason) = &self.lost {
            return Err(DeviceError::Lost(reason.clone()));
        }
        if program.script.is_none() && program.records.is_none() {
            program.latency.pass(batch.samples());
            compute(batch);
            return Ok(());
        }
        let execution = Execution {
            number,
            session: self.number,
            parts: batch.parts().iter().map(|part| part.samples).collect(),
            firsts: batch.parts().iter().map(|part| part.inputs.first().map_or(0.0, first)).collect(),
        };
        let outcome = program.script.as_ref().map_or(Outcome::Compute, |script| script(&execution));
        let _recorder = program.records.as_ref().map(|to| Recorder { to, execution, start: Instant::now() });
        program.latency.pass(batch.samples());
        match outcome {
            Outcome::Compute => {}
            Outcome::Hang(gate) => gate.pass(),
            Outcome::Fail(reason) => return Err(DeviceError::Failed(reason)),
            Outcome::Panic(message) => panic!("{message}"),
            Outcome::Lose(reason) => {
                self.lost = Some(reason.clone());
                return Err(DeviceError::Lost(reason));
            }
        }
        compute(batch);
        Ok(())
    }

    fn finish(&mut self, _: &mut Batch<'_>) -> Result<(), DeviceError> {
        Ok(())
    }
}

/// A port of this name, element type and per-sample shape.
pub fn port(name: &str, dtype: DType, shape: &[usize]) -> Port {
    Port { name: name.to_string(), dtype, shape: shape.to_vec(), elements: shape.iter().product() }
}

/// The signature of a batched program with one f32 input `x` and one f32 output `y` of `width` elements a sample.
pub fn rows(width: usize) -> Signature {
    Signature {
        inputs: vec![port("x", DType::F32, &[width])],
        outputs: vec![port("y", DType::F32, &[width])],
        batched: true,
    }
}

/// A panic of the script leaves nothing half-changed, so poisoning says nothing here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::thread;

    use smallvec::smallvec;

    use super::*;
    use crate::{Part, View, ViewMut, execute};

    fn run(session: &mut dyn Session, rows: &[&[f32]]) -> Result<Vec<Vec<f32>>, DeviceError> {
        let mut outputs: Vec<Vec<f32>> = rows.iter().map(|row| vec![0.0; row.len()]).collect();
        let mut batch = Batch::new();
        for (row, output) in rows.iter().zip(&mut outputs) {
            let (inputs, outputs) = (smallvec![View::F32(row)], smallvec![ViewMut::F32(output)]);
            batch.push(Part { samples: row.len() / 2, inputs, outputs });
        }
        execute(session, &mut batch)?;
        drop(batch);
        Ok(outputs)
    }

    #[test]
    fn computes_every_part_and_records_it() {
        let program = Arc::new(FakeProgram::new(rows(2)).recorded());
        let mut session = program.clone().open().unwrap();
        let got = run(&mut *session, &[&[1.0, 2.0], &[3.0, 4.0, 5.0, 6.0]]).unwrap();
        assert_eq!(got, [vec![3.0, 5.0], vec![7.0, 9.0, 11.0, 13.0]]);
        let records = program.records();
        assert_eq!(records.len(), 1);
        assert_eq!(
            records[0].execution,
            Execution { number: 0, session: 0, parts: vec![1, 2], firsts: vec![1.0, 3.0] }
        );
        assert!(records[0].start <= records[0].end);
    }

    #[test]
    fn follows_its_script() {
        let program = Arc::new(FakeProgram::new(rows(2)).recorded().script(|e| match e.firsts[0] as i64 {
            1 => Outcome::Fail("one".into()),
            2 => Outcome::Lose("two".into()),
            3 => Outcome::Panic("three".into()),
            _ => Outcome::Compute,
        }));
        let mut session = program.clone().open().unwrap();
        assert_eq!(run(&mut *session, &[&[1.0, 0.0]]), Err(DeviceError::Failed("one".into())));
        assert!(run(&mut *session, &[&[0.0, 0.0]]).is_ok());
        let panic = catch_unwind(AssertUnwindSafe(|| run(&mut *session, &[&[3.0, 0.0]]))).unwrap_err();
        assert_eq!(panic.downcast_ref::<String>().unwrap(), "three");
        assert_eq!(run(&mut *session, &[&[2.0, 0.0]]), Err(DeviceError::Lost("two".into())));
        assert_eq!(run(&mut *session, &[&[0.0, 0.0]]), Err(DeviceError::Lost("two".into())));
        let numbers: Vec<u64> = program.records().iter().map(|r| r.execution.number).collect();
        assert_eq!(numbers, [0, 1, 2, 3]);
    }

    #[test]
    fn a_gate_holds_executions_until_it_opens() {
        let gate = Gate::new();
        let held = gate.clone();
        let program = Arc::new(FakeProgram::new(rows(2)).script(move |_| Outcome::Hang(held.clone())));
        let mut session = program.open().unwrap();
        let thread = thread::spawn(move || run(&mut *session, &[&[1.0, 2.0]]));
        gate.wait_for(1);
        assert!(!thread.is_finished());
        gate.open();
        assert_eq!(thread.join().unwrap().unwrap(), [vec![3.0, 5.0]]);
    }

    #[test]
    fn opening_can_fail() {
        let program = Arc::new(
            FakeProgram::new(rows(2))
                .on_open(|n| if n == 1 { Err(DeviceError::Failed("full".into())) } else { Ok(()) }),
        );
        let opened: Vec<bool> = (0..3).map(|_| program.clone().open().is_ok()).collect();
        assert_eq!(opened, [true, false, true]);
        assert_eq!(program.opened(), 3);
    }

    #[test]
    fn other_shapes_and_types_are_computed_row_by_row() {
        let signature = Signature {
            inputs: vec![port("i", DType::I64, &[2])],
            outputs: vec![port("a", DType::F32, &[3]), port("b", DType::Bool, &[])],
            batched: true,
        };
        let mut session = Arc::new(FakeProgram::new(signature)).open().unwrap();
        let (mut a, mut b) = ([0.0; 6], [false; 2]);
        let part = Part {
            samples: 2,
            inputs: smallvec![View::I64(&[1, 2, 0, 4])],
            outputs: smallvec![ViewMut::F32(&mut a), ViewMut::Bool(&mut b)],
        };
        execute(&mut *session, &mut Batch::of(part)).unwrap();
        assert_eq!(a, [3.0, 5.0, 3.0, 1.0, 9.0, 1.0]);
        assert_eq!(b, [true, false]);
    }
}
