//! ipc-channel: a channel of shared-memory handles each way.

use std::process::Stdio;

use anyhow::Result;
use ipc_channel::TryRecvError;
use ipc_channel::ipc::{self, IpcOneShotServer, IpcReceiver, IpcSender, IpcSharedMemory};

use crate::{Client, Server, Wait, echo};

type Ends = (IpcSender<IpcSharedMemory>, IpcReceiver<IpcSharedMemory>);

struct Ipc {
    requests: IpcSender<IpcSharedMemory>,
    answers: IpcReceiver<IpcSharedMemory>,
    wait: Wait,
}

fn receive(from: &IpcReceiver<IpcSharedMemory>, wait: Wait) -> Result<IpcSharedMemory> {
    if wait == Wait::Polls {
        loop {
            match from.try_recv() {
                Ok(memory) => return Ok(memory),
                Err(TryRecvError::Empty) => std::hint::spin_loop(),
                Err(error) => anyhow::bail!("{error:?}"),
            }
        }
    }
    Ok(from.recv()?)
}

pub fn connect(wait: Wait) -> Result<(Server, Box<dyn Client>)> {
    let (start, name) = IpcOneShotServer::<Ends>::new()?;
    let how = if wait == Wait::Polls { "polls" } else { "blocks" };
    let server = Server::start(&["ipc", &name, how], Stdio::null())?;
    let (_, (requests, answers)) = start.accept()?;
    Ok((server, Box::new(Ipc { requests, answers, wait })))
}

impl Client for Ipc {
    fn call(&mut self, request: &[u8], answer: &mut Vec<u8>) -> Result<()> {
        self.requests.send(IpcSharedMemory::from_bytes(request))?;
        let memory = receive(&self.answers, self.wait)?;
        answer.clear();
        answer.extend_from_slice(&memory);
        Ok(())
    }
}

pub fn serve(name: &str, wait: Wait) -> Result<()> {
    let (request_end, requests) = ipc::channel::<IpcSharedMemory>()?;
    let (answers, answer_end) = ipc::channel::<IpcSharedMemory>()?;
    IpcSender::<Ends>::connect(name.to_string())?.send((request_end, answer_end))?;
    let (mut request, mut answer) = (Vec::new(), Vec::new());
    loop {
        let memory = receive(&requests, wait)?;
        request.clear();
        request.extend_from_slice(&memory);
        echo(&request, &mut answer);
        answers.send(IpcSharedMemory::from_bytes(&answer))?;
    }
}
