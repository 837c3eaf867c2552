//! What one side holds of the connection: the shared memory, and the socket through which the other is woken and its end is noticed.
//!
//! Who sleeps sets its bell, looks once more, and then waits for a byte; who has put something into the memory looks at the other's
//! bell, and sends a byte if it is set. A fence on both sides, between the write and the look, makes sure that one of them sees the
//! other's: the classic argument of Dekker's algorithm. So nothing is sent while the other side is at work.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{Ordering, fence};
use std::time::Duration;

use paceline_graph::{DType, Data, by_type};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::layout::{Layout, PARENT_BELL, WORKER_BELL};
use crate::region::Region;

/// One side of a connection.
pub(crate) struct Wire {
    pub(crate) region: Region,
    pub(crate) layout: Layout,
    socket: UnixStream,
    own_bell: usize,
    other_bell: usize,
}

/// What came while somebody slept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    /// Perhaps something was put into the memory.
    Perhaps,
    /// Nothing, for as long as was asked.
    TimedOut,
    /// The other side closed the connection, or is dead.
    Closed,
}

impl Wire {
    /// The worker's parent's side.
    pub(crate) fn of_parent(region: Region, layout: Layout, socket: UnixStream) -> io::Result<Wire> {
        Self::new(region, layout, socket, PARENT_BELL, WORKER_BELL)
    }

    /// The worker's side.
    pub(crate) fn of_worker(region: Region, layout: Layout, socket: UnixStream) -> io::Result<Wire> {
        Self::new(region, layout, socket, WORKER_BELL, PARENT_BELL)
    }

    fn new(
        region: Region,
        layout: Layout,
        socket: UnixStream,
        own_bell: usize,
        other_bell: usize,
    ) -> io::Result<Wire> {
        socket.set_nonblocking(true)?;
        Ok(Wire { region, layout, socket, own_bell, other_bell })
    }

    /// Elements out of the memory.
    pub(crate) fn read(&self, dtype: DType, at: usize, count: usize) -> Data {
        let region = &self.region;
        match dtype {
            DType::F32 => Data::of(region.read::<f32>(at, count)),
            DType::F64 => Data::of(region.read::<f64>(at, count)),
            DType::I64 => Data::of(region.read::<i64>(at, count)),
            DType::I32 => Data::of(region.read::<i32>(at, count)),
            DType::I16 => Data::of(region.read::<i16>(at, count)),
            DType::I8 => Data::of(region.read::<i8>(at, count)),
            DType::U64 => Data::of(region.read::<u64>(at, count)),
            DType::U32 => Data::of(region.read::<u32>(at, count)),
            DType::U16 => Data::of(region.read::<u16>(at, count)),
            DType::U8 => Data::of(region.read::<u8>(at, count)),
            DType::Bool => Data::of(
                region.read::<u8>(at, count).into_iter().map(|byte| byte != 0).collect::<Vec<bool>>(),
            ),
        }
    }

    /// Copies elements in.
    pub(crate) fn write(&self, at: usize, data: &Data) {
        by_type!(Data, data, values => self.region.write(at, values));
    }

    /// Wakes the other side if it sleeps. After something was put into the memory.
    pub(crate) fn ring(&self) {
        // Pairs with the fence in `set_bell`.
        fence(Ordering::SeqCst);
        let bell = self.region.word(self.other_bell);
        if bell.load(Ordering::Relaxed) != 0 && bell.swap(0, Ordering::Relaxed) != 0 {
            // A full socket has a byte for the other side already, and a closed one is noticed by who sleeps on it.
            let _ = (&self.socket).write(&[1]);
        }
    }

    /// Asks for a byte. What was put into the memory before may not cause one: look there after this.
    pub(crate) fn set_bell(&self) {
        self.region.word(self.own_bell).store(1, Ordering::Relaxed);
        // Pairs with the fence in `ring`.
        fence(Ordering::SeqCst);
    }

    /// Asks for no byte.
    pub(crate) fn clear_bell(&self) {
        self.region.word(self.own_bell).store(0, Ordering::Relaxed);
    }

    /// Sleeps until a byte comes, or so long.
    pub(crate) fn sleep(&self, timeout: Option<Duration>) -> Woken {
        if !wait_readable(self.socket.as_fd(), timeout) {
            return Woken::TimedOut;
        }
        let mut bytes = [0; 64];
        match (&self.socket).read(&mut bytes) {
            Ok(0) => Woken::Closed,
            Ok(_) => Woken::Perhaps,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                Woken::Perhaps
            }
            Err(_) => Woken::Closed,
        }
    }

    /// Tells the other side that no more will come.
    pub(crate) fn close(&self) {
        // It fails when the other side has closed already.
        let _ = self.socket.shutdown(std::net::Shutdown::Write);
    }
}

/// Waits until something can be read, or the other side closed; false when that took longer than `timeout`.
pub(crate) fn wait_readable(socket: BorrowedFd<'_>, timeout: Option<Duration>) -> bool {
    let limit = timeout.map(|timeout| Timespec {
        tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    });
    // An interrupted wait looks like one that found something; who asked looks again.
    poll(&mut [PollFd::new(&socket, PollFlags::IN)], limit.as_ref()).map_or(true, |ready| ready > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_of_every_type_cross() {
        let layout = Layout::new(1, 4096).unwrap();
        let (socket, _other) = UnixStream::pair().unwrap();
        let wire = Wire::of_parent(Region::create(layout.bytes()).unwrap(), layout, socket).unwrap();
        let sent = [
            Data::of(vec![1.5, f32::MIN]),
            Data::of(vec![0.1, f64::MAX]),
            Data::of(vec![i64::MIN, 7]),
            Data::of(vec![i32::MIN, 7]),
            Data::of(vec![i16::MIN, 7]),
            Data::of(vec![i8::MIN, 7]),
            Data::of(vec![u64::MAX, 7]),
            Data::of(vec![u32::MAX, 7]),
            Data::of(vec![u16::MAX, 7]),
            Data::of(vec![u8::MAX, 7]),
            Data::of(vec![true, false]),
        ];
        assert!(sent.iter().map(Data::dtype).eq(DType::ALL.iter().copied()));
        for data in sent {
            wire.write(layout.arena, &data);
            assert_eq!(wire.read(data.dtype(), layout.arena, 2), data);
        }
    }
}
