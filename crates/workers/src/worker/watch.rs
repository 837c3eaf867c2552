//! Ends the process when its parent is gone, even while everything in it hangs.

use std::io;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::getppid;

/// How often it looks where the system does not tell.
const INTERVAL: Duration = Duration::from_secs(1);

/// Starts a thread that looks for the parent's end. On Linux the kernel does, too, and ends even a process that is stopped.
pub(super) fn exit_with_parent(socket: &UnixStream) -> io::Result<()> {
    // It comes when the thread ends that started this process: the supervisor, which outlives it.
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    let (socket, parent) = (socket.try_clone()?, getppid());
    let interval = Timespec { tv_sec: INTERVAL.as_secs().cast_signed(), tv_nsec: 0 };
    let watch = move || {
        loop {
            // A socket whose other end is gone is told of without being asked for.
            let mut polled = [PollFd::new(&socket, PollFlags::empty())];
            let closed = poll(&mut polled, Some(&interval)).is_ok_and(|ready| ready > 0);
            if closed || getppid() != parent {
                std::process::exit(0);
            }
        }
    };
    thread::Builder::new().name("paceline-parent-watch".into()).spawn(watch)?;
    Ok(())
}
