//! The process of a worker: how it is started, and how it ends.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::channel::{receive, send, send_file};
use crate::error::BuildError;
use crate::layout::Layout;
use crate::link::Link;
use crate::message::{PROTOCOL, Start, Started};
use crate::options::Options;
use crate::region::Region;
use crate::shared::ModelInfo;
use crate::wire::Wire;
use crate::worker::ARGUMENTS;

/// How often it is asked whether a process has ended.
const POLL: Duration = Duration::from_millis(1);

/// A process of our own. It is killed when this is dropped.
pub(crate) struct Process(Child);

/// A worker that serves.
pub(crate) struct Worker {
    pub(crate) process: Process,
    pub(crate) link: Link,
    pub(crate) models: Vec<ModelInfo>,
}

/// Starts a worker, and waits until it serves, as long as `go_on` is true.
pub(crate) fn start(
    options: &Options,
    layout: Layout,
    worker: usize,
    warm_up: Duration,
    go_on: impl FnMut() -> bool,
) -> Result<Worker, BuildError> {
    let failed = |reason: String| BuildError::Worker { worker, reason };
    let connection = |error: io::Error| failed(format!("the connection to it failed: {error}"));
    let region = Region::create(layout.bytes()).map_err(|error| {
        failed(format!("{} bytes of shared memory could not be had: {error}", layout.bytes()))
    })?;
    let (ours, theirs) = UnixStream::pair().map_err(connection)?;
    let mut process = Process::spawn(options, theirs)?;
    let start = Start {
        protocol: PROTOCOL,
        worker,
        device: options.device.clone(),
        lanes: options.lanes,
        helpers: options.helpers,
        warm_up,
        slots: layout.slots,
        arena_bytes: layout.arena_bytes,
        models: options.models.clone(),
    };
    let talk = || {
        ours.set_write_timeout(Some(options.start_timeout.max(POLL)))?;
        send_file(&ours, region.file())?;
        send(&ours, &start)?;
        ours.set_nonblocking(true)?;
        receive(&ours, options.start_timeout, go_on)
    };
    let ready = match talk() {
        Ok(Started::Ready(ready)) => ready,
        Ok(Started::Failed(reason)) => return Err(failed(reason)),
        Err(error) if error.kind() == io::ErrorKind::TimedOut => {
            return Err(failed(format!(
                "it did not serve within {:?}; allow more with start_timeout",
                options.start_timeout
            )));
        }
        Err(error) => {
            return Err(failed(match process.reap(Duration::from_millis(200)) {
                Some(status) => format!(
                    "it ended with {status} before it served; is {} a worker?",
                    options.executable.display()
                ),
                None => format!(
                    "it cannot be talked with: {error}; is {} a worker?",
                    options.executable.display()
                ),
            }));
        }
    };
    let mut models = Vec::with_capacity(ready.len());
    for (ready, spec) in ready.iter().zip(&options.models) {
        let contract = ready
            .contract(&spec.name)
            .ok_or_else(|| failed("its description of a model makes no sense".into()))?;
        let mismatch = spec.mismatch(ready.seen.as_ref());
        models.push(ModelInfo::new(contract, ready.sample_ns, ready.single_ns, mismatch));
    }
    if ready.len() != options.models.len() {
        return Err(failed(format!("it serves {} models instead of {}", ready.len(), options.models.len())));
    }
    let wire = Wire::of_parent(region, layout, ours).map_err(connection)?;
    let link = Link::new(wire, process.0.id());
    Ok(Worker { process, link, models })
}

impl Process {
    fn spawn(options: &Options, stdin: UnixStream) -> Result<Process, BuildError> {
        let failed = |error| BuildError::Executable { path: options.executable.clone(), error };
        // What a worker prints must not mix with what its parent does.
        let stdout = io::stderr().as_fd().try_clone_to_owned().map_err(failed)?;
        let child = Command::new(&options.executable)
            .args(ARGUMENTS)
            .stdin(Stdio::from(OwnedFd::from(stdin)))
            .stdout(Stdio::from(stdout))
            // A terminal's interrupt is for the parent, which then ends its workers in good order.
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        Ok(Process(child))
    }

    /// Waits until it has ended, at most so long.
    pub(crate) fn reap(&mut self, timeout: Duration) -> Option<ExitStatus> {
        let start = Instant::now();
        loop {
            match self.0.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) if start.elapsed() < timeout => thread::sleep(POLL),
                Ok(None) | Err(_) => return None,
            }
        }
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) {
        // It fails when the process has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
