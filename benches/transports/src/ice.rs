//! iceoryx2: its request-response pattern; who blocks is woken through its events.

use std::process::Stdio;

use anyhow::{Result, anyhow};
use iceoryx2::port::client::Client as IceClient;
use iceoryx2::port::listener::Listener;
use iceoryx2::port::notifier::Notifier;
use iceoryx2::port::server::Server as IceServer;
use iceoryx2::prelude::*;

use crate::{Client, LARGEST, Server, Wait, echo};

type Service = ipc::Service;

struct Ice {
    client: IceClient<Service, [u8], (), [u8], ()>,
    ring: Notifier<Service>,
    rung: Listener<Service>,
    wait: Wait,
    _node: Node<Service>,
}

fn failed(error: impl std::fmt::Debug) -> anyhow::Error {
    anyhow!("iceoryx2: {error:?}")
}

fn service(node: &Node<Service>, name: &str) -> Result<IceService> {
    let name = name.try_into().map_err(failed)?;
    node.service_builder(&name).request_response::<[u8], [u8]>().open_or_create().map_err(failed)
}

type IceService = iceoryx2::service::port_factory::request_response::PortFactory<Service, [u8], (), [u8], ()>;

fn event(
    node: &Node<Service>,
    name: &str,
) -> Result<iceoryx2::service::port_factory::event::PortFactory<Service>> {
    let name = name.try_into().map_err(failed)?;
    node.service_builder(&name).event().open_or_create().map_err(failed)
}

pub fn connect(wait: Wait) -> Result<(Server, Box<dyn Client>)> {
    set_log_level(LogLevel::Error);
    let how = if wait == Wait::Polls { "polls" } else { "blocks" };
    let name = format!("transports/{}/{how}", std::process::id());
    let node = NodeBuilder::new().create::<Service>().map_err(failed)?;
    let (up, down) = (event(&node, &format!("{name}/up"))?, event(&node, &format!("{name}/down"))?);
    let client =
        service(&node, &name)?.client_builder().initial_max_slice_len(LARGEST).create().map_err(failed)?;
    let rung = down.listener_builder().create().map_err(failed)?;
    let ring = up.notifier_builder().create().map_err(failed)?;
    let server = Server::start(&["ice", &name, how], Stdio::null())?;
    std::thread::sleep(std::time::Duration::from_millis(500));
    Ok((server, Box::new(Ice { client, ring, rung, wait, _node: node })))
}

impl Client for Ice {
    fn call(&mut self, request: &[u8], answer: &mut Vec<u8>) -> Result<()> {
        let loan = self.client.loan_slice_uninit(request.len()).map_err(failed)?;
        let pending = loan.write_from_slice(request).send().map_err(failed)?;
        if self.wait == Wait::Blocks {
            self.ring.notify().map_err(failed)?;
        }
        loop {
            if let Some(response) = pending.receive().map_err(failed)? {
                answer.clear();
                answer.extend_from_slice(response.payload());
                return Ok(());
            }
            match self.wait {
                Wait::Polls => std::hint::spin_loop(),
                Wait::Blocks => {
                    self.rung.blocking_wait(|_| ()).map_err(failed)?;
                }
            }
        }
    }
}

pub fn serve(name: &str, wait: Wait) -> Result<()> {
    set_log_level(LogLevel::Error);
    let node = NodeBuilder::new().create::<Service>().map_err(failed)?;
    let (up, down) = (event(&node, &format!("{name}/up"))?, event(&node, &format!("{name}/down"))?);
    let server: IceServer<Service, [u8], (), [u8], ()> =
        service(&node, name)?.server_builder().initial_max_slice_len(LARGEST).create().map_err(failed)?;
    let rung = up.listener_builder().create().map_err(failed)?;
    let ring = down.notifier_builder().create().map_err(failed)?;
    let (mut request, mut answer) = (Vec::new(), Vec::new());
    loop {
        let Some(active) = server.receive().map_err(failed)? else {
            match wait {
                Wait::Polls => std::hint::spin_loop(),
                Wait::Blocks => {
                    rung.blocking_wait(|_| ()).map_err(failed)?;
                }
            }
            continue;
        };
        request.clear();
        request.extend_from_slice(active.payload());
        echo(&request, &mut answer);
        let loan = active.loan_slice_uninit(answer.len()).map_err(failed)?;
        loan.write_from_slice(&answer).send().map_err(failed)?;
        if wait == Wait::Blocks {
            ring.notify().map_err(failed)?;
        }
    }
}
