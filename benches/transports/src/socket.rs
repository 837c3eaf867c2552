//! The system's own socket pair, with the bytes sent through it: no shared memory, for comparison.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Stdio;

use anyhow::Result;

use crate::{Client, LARGEST, SIZES, Server, echo};

struct Socket(UnixStream);

pub fn connect() -> Result<(Server, Box<dyn Client>)> {
    let (ours, theirs) = UnixStream::pair()?;
    let server = Server::start(&["socket"], Stdio::from(OwnedFd::from(theirs)))?;
    Ok((server, Box::new(Socket(ours))))
}

impl Client for Socket {
    fn call(&mut self, request: &[u8], answer: &mut Vec<u8>) -> Result<()> {
        self.0.write_all(&(request.len() as u32).to_le_bytes())?;
        self.0.write_all(request)?;
        let length = if request.len() == SIZES[0].1 { SIZES[0].2 } else { SIZES[1].2 };
        answer.resize(length, 0);
        self.0.read_exact(answer)?;
        Ok(())
    }
}

pub fn serve() -> Result<()> {
    use std::os::fd::AsFd;
    let mut socket = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    let (mut request, mut answer) = (Vec::with_capacity(LARGEST), Vec::new());
    let mut length = [0; 4];
    while socket.read_exact(&mut length).is_ok() {
        request.resize(u32::from_le_bytes(length) as usize, 0);
        socket.read_exact(&mut request)?;
        echo(&request, &mut answer);
        socket.write_all(&answer)?;
    }
    Ok(())
}
