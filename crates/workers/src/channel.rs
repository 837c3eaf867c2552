//! Messages through the socket, before it only carries wake-ups: a length, JSON of that length; and a file descriptor.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::wire::wait_readable;

/// No message is longer.
const MAX_BYTES: usize = 64 << 20;

/// Sends a message.
pub(crate) fn send(mut socket: &UnixStream, message: &impl Serialize) -> io::Result<()> {
    let text = serde_json::to_vec(message)?;
    let length = u32::try_from(text.len()).ok().filter(|&length| length as usize <= MAX_BYTES);
    let length = length.ok_or_else(|| invalid(format!("a message of {} bytes is too long", text.len())))?;
    socket.write_all(&length.to_le_bytes())?;
    socket.write_all(&text)
}

/// How long to wait before asking whether to go on waiting.
const SLICE: Duration = Duration::from_millis(20);

/// Receives a message that must come within `timeout`, as long as `go_on` is true.
pub(crate) fn receive<T: DeserializeOwned>(
    socket: &UnixStream,
    timeout: Duration,
    mut go_on: impl FnMut() -> bool,
) -> io::Result<T> {
    let deadline = Instant::now().checked_add(timeout);
    let mut wait = || {
        while !wait_readable(socket.as_fd(), Some(SLICE)) {
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Err(ErrorKind::TimedOut.into());
            }
            if !go_on() {
                return Err(ErrorKind::ConnectionAborted.into());
            }
        }
        Ok(())
    };
    let mut length = [0; 4];
    read_exact(socket, &mut length, &mut wait)?;
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_BYTES {
        return Err(invalid(format!("expected a message of at most {MAX_BYTES} bytes, got one of {length}")));
    }
    let mut text = vec![0; length];
    read_exact(socket, &mut text, &mut wait)?;
    Ok(serde_json::from_slice(&text)?)
}

/// Sends a descriptor.
pub(crate) fn send_file(socket: &UnixStream, file: BorrowedFd<'_>) -> io::Result<()> {
    let files = [file];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&files));
    sendmsg(socket, &[IoSlice::new(&[0])], &mut ancillary, SendFlags::empty())?;
    Ok(())
}

/// Receives a descriptor. The socket blocks.
pub(crate) fn receive_file(socket: &UnixStream) -> io::Result<OwnedFd> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut ancillary, RecvFlags::empty())?;
    let files = ancillary.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(files) => Some(files),
        _ => None,
    });
    let file =
        files.flatten().next().ok_or_else(|| invalid("expected a file descriptor, got none".into()))?;
    // Not every system can set this while it receives.
    rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::CLOEXEC)?;
    Ok(file)
}

fn read_exact(
    mut socket: &UnixStream,
    mut into: &mut [u8],
    wait: &mut impl FnMut() -> io::Result<()>,
) -> io::Result<()> {
    while !into.is_empty() {
        wait()?;
        match socket.read(into) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(read) => into = &mut into[read..],
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn invalid(message: String) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    fn pair() -> (UnixStream, UnixStream) {
        let (a, b) = UnixStream::pair().unwrap();
        b.set_nonblocking(true).unwrap();
        (a, b)
    }

    const SHORT: Duration = Duration::from_millis(20);

    #[test]
    fn messages_and_files_arrive() {
        let (a, b) = pair();
        send(&a, &("hello", [1, 2, 3])).unwrap();
        let got: (String, Vec<u32>) = receive(&b, SHORT, || true).unwrap();
        assert_eq!(got, ("hello".into(), vec![1, 2, 3]));

        let (c, mut d) = UnixStream::pair().unwrap();
        send_file(&b, c.as_fd()).unwrap();
        drop(c);
        let file = receive_file(&a).unwrap();
        UnixStream::from(file).write_all(&[9]).unwrap();
        let mut byte = [0];
        d.read_exact(&mut byte).unwrap();
        assert_eq!(byte, [9]);
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        let cases: [(&[u8], ErrorKind); 4] = [
            (&[], ErrorKind::TimedOut),
            (&[5, 0, 0, 0, b'{'], ErrorKind::TimedOut),
            (&[2, 0, 0, 0, b'}', b'}'], ErrorKind::InvalidData),
            (&[255, 255, 255, 255], ErrorKind::InvalidData),
        ];
        for (bytes, expected) in cases {
            let (mut a, b) = pair();
            a.write_all(bytes).unwrap();
            assert_eq!(receive::<Vec<u32>>(&b, SHORT, || true).unwrap_err().kind(), expected, "{bytes:?}");
            drop(a);
        }
        let (a, b) = pair();
        drop(a);
        assert_eq!(receive::<u32>(&b, SHORT, || true).unwrap_err().kind(), ErrorKind::UnexpectedEof);
        let (mut a, b) = UnixStream::pair().unwrap();
        a.write_all(&[0]).unwrap();
        assert_eq!(receive_file(&b).unwrap_err().kind(), ErrorKind::InvalidData);
    }
}
