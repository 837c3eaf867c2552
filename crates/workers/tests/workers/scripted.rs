//! A program for workers that does what its inputs say: the first element of a row is an order, or the row is computed.

use std::path::Path;
use std::process::exit;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use paceline_device::fake::port;
use paceline_device::{Batch, BatchSizes, DeviceError, Program, Session, Signature, View, ViewMut};
use paceline_graph::DType;
use paceline_workers::{Assignment, LoadFailure, Source};
use rustix::process::{Signal, getpid, kill_process};

pub const WIDTH: usize = 4;

/// Kills the worker.
pub const KILL: f32 = -1.0;
/// Never ends.
pub const HANG: f32 = -2.0;
/// Stops the worker's process as a whole.
pub const STOP: f32 = -3.0;
/// Fails.
pub const FAIL: f32 = -4.0;
/// Panics.
pub const PANIC: f32 = -5.0;
/// Takes a tenth of a second.
pub const SLOW: f32 = -6.0;
/// Fills the shared memory with ones, for ever.
pub const SCRIBBLE: f32 = -7.0;
/// Kills the worker as if it had been killed by accident: not when the row is executed again.
pub const ACCIDENT: f32 = -8.0;

/// What a row becomes.
pub fn expected(x: f32) -> f32 {
    2.0 * x + 1.0
}

/// Makes the programs of `Source::Custom` descriptions `scripted` and `once PATH`, which is loaded only if there is no such file,
/// and makes one.
pub fn load(assignment: &Assignment<'_>) -> Result<Vec<Arc<dyn Program>>, LoadFailure> {
    let Source::Custom { description } = &assignment.model.source else {
        return assignment.compile(&paceline_device_cpu::CpuDevice::new());
    };
    match description.split_once(' ') {
        None if description == "scripted" => {}
        Some(("once", path)) if Path::new(path).exists() => exit(9),
        Some(("once", path)) => std::fs::write(path, "")?,
        _ => return Err(format!("no program '{description}'").into()),
    }
    let ports = |name| vec![port(name, DType::F32, &[WIDTH])];
    let signature = Signature { inputs: ports("x"), outputs: ports("y"), batched: true };
    Ok(vec![Arc::new(Scripted { signature, sizes: BatchSizes::UpTo(16) })])
}

struct Scripted {
    signature: Signature,
    sizes: BatchSizes,
}

impl Program for Scripted {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn batch_sizes(&self) -> &BatchSizes {
        &self.sizes
    }

    fn open(self: Arc<Self>) -> Result<Box<dyn Session>, DeviceError> {
        Ok(Box::new(ScriptedSession))
    }
}

struct ScriptedSession;

impl Session for ScriptedSession {
    fn launch(&mut self, batch: &mut Batch<'_>) -> Result<(), DeviceError> {
        for part in batch.parts_mut() {
            let (View::F32(x), ViewMut::F32(y)) = (&part.inputs[0], &mut part.outputs[0]) else {
                return Err(DeviceError::Failed("not f32".into()));
            };
            for row in x.chunks(WIDTH) {
                obey(row)?;
            }
            y.iter_mut().zip(*x).for_each(|(y, &x)| *y = expected(x));
        }
        Ok(())
    }

    fn finish(&mut self, _: &mut Batch<'_>) -> Result<(), DeviceError> {
        Ok(())
    }
}

fn obey(row: &[f32]) -> Result<(), DeviceError> {
    let signal = |signal| kill_process(getpid(), signal).expect("a process may signal itself");
    match row[0] {
        KILL => signal(Signal::KILL),
        HANG => loop {
            thread::park();
        },
        STOP => signal(Signal::STOP),
        FAIL => return Err(DeviceError::Failed("as it was told".into())),
        PANIC => panic!("as it was told"),
        SLOW => thread::sleep(Duration::from_millis(100)),
        SCRIBBLE => loop {
            scribble();
            thread::sleep(Duration::from_millis(1));
        },
        ACCIDENT => {
            let marker = std::env::temp_dir().join(format!("paceline-accident-{}", row[1]));
            if std::fs::File::create_new(marker).is_ok() {
                signal(Signal::KILL);
            }
        }
        _ => {}
    }
    Ok(())
}

/// Overwrites what the worker shares with its parent.
fn scribble() {
    for entry in std::fs::read_dir("/proc/self/fd").expect("Linux").flatten() {
        let target = std::fs::read_link(entry.path()).unwrap_or_default();
        if target.to_string_lossy().contains("memfd:paceline") {
            use std::io::Write;
            let mut file =
                std::fs::OpenOptions::new().write(true).open(entry.path()).expect("our own memory");
            file.write_all(&[0xff; 1 << 20]).expect("our own memory");
        }
    }
}
