//! What a round trip costs through crates that could carry requests between processes.
//!
//! `cargo run --release [-- FILE]` starts a child for each way, has it echo requests of two sizes one at a time, and prints (and
//! writes to FILE, as JSON) the quantiles. A request is copied in from a `Vec` and its answer out into one, as tensors are.
//! The sizes are those of one `linear` sample (1 KiB in, 512 bytes out) and of 64 `mlp` samples (128 KiB each way).
//!
//! `cargo run --release -- leak NAME` starts a child, kills it with signal 9 under load, then itself, and so leaves behind what
//! each crate leaves behind: look into /dev/shm and /tmp/iceoryx2 before and after.

mod ice;
mod ipc;
mod socket;

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Serialize;

/// Bytes of a request and of its answer.
pub const SIZES: [(&str, usize, usize); 2] = [("linear x 1", 1024, 512), ("mlp x 64", 131_072, 131_072)];
/// The most bytes of either.
pub const LARGEST: usize = 131_072;

/// How a side waits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Wait {
    /// By looking again and again.
    Polls,
    /// In the kernel.
    Blocks,
}

/// One way to ask the child.
pub trait Client {
    /// Sends `request` and copies the answer into `answer`.
    fn call(&mut self, request: &[u8], answer: &mut Vec<u8>) -> Result<()>;
}

/// What a child is started with.
pub struct Server {
    pub child: Child,
}

impl Server {
    pub fn start(arguments: &[&str], stdin: Stdio) -> Result<Server> {
        let child = Command::new(std::env::current_exe()?).args(arguments).stdin(stdin).spawn()?;
        Ok(Server { child })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The answer of the child: as many bytes as are asked for, from the request.
pub fn echo(request: &[u8], answer: &mut Vec<u8>) {
    let length = if request.len() == SIZES[0].1 { SIZES[0].2 } else { SIZES[1].2 };
    answer.clear();
    answer.extend_from_slice(&request[..length]);
}

#[derive(Serialize)]
struct Row {
    transport: &'static str,
    request: &'static str,
    calls: usize,
    pause_us: u64,
    p50_us: f64,
    p90_us: f64,
    p99_us: f64,
}

const WAYS: [&str; 5] = [
    "iceoryx2, polls",
    "iceoryx2, blocks",
    "ipc-channel, polls",
    "ipc-channel, blocks",
    "socket pair, blocks",
];

fn connect(way: &str) -> Result<(Server, Box<dyn Client>)> {
    match way {
        "iceoryx2, polls" => ice::connect(Wait::Polls),
        "iceoryx2, blocks" => ice::connect(Wait::Blocks),
        "ipc-channel, polls" => ipc::connect(Wait::Polls),
        "ipc-channel, blocks" => ipc::connect(Wait::Blocks),
        "socket pair, blocks" => socket::connect(),
        _ => bail!("there is no way '{way}'; the ways are {WAYS:?}"),
    }
}

fn measure(way: &'static str, rows: &mut Vec<Row>) -> Result<()> {
    let (_server, mut client) = connect(way)?;
    for (request_name, bytes, _) in SIZES {
        // Back to back, and with pauses in which both sides fall asleep.
        for (pause, calls) in [(Duration::ZERO, 10_000), (Duration::from_micros(500), 1_000)] {
            let request: Vec<u8> = (0..bytes).map(|i| i as u8).collect();
            let (mut answer, mut expected) = (Vec::new(), Vec::new());
            echo(&request, &mut expected);
            let mut times = Vec::with_capacity(calls);
            for call in 0..calls + calls / 10 {
                std::thread::sleep(pause);
                let start = Instant::now();
                client.call(&request, &mut answer).with_context(|| format!("{way}, call {call}"))?;
                times.push(start.elapsed());
                if answer != expected {
                    bail!("{way}: a wrong answer");
                }
            }
            let mut times: Vec<f64> =
                times.iter().skip(calls / 10).map(|time| time.as_secs_f64() * 1e6).collect();
            times.sort_by(f64::total_cmp);
            let at = |q: f64| times[((times.len() - 1) as f64 * q) as usize];
            let row = Row {
                transport: way,
                request: request_name,
                calls,
                pause_us: pause.as_micros() as u64,
                p50_us: at(0.5),
                p90_us: at(0.9),
                p99_us: at(0.99),
            };
            println!(
                "| {way} | {request_name} | {} | {:.1} | {:.1} | {:.1} |",
                row.pause_us, row.p50_us, row.p90_us, row.p99_us
            );
            rows.push(row);
        }
    }
    Ok(())
}

fn leak(way: &str) -> Result<()> {
    let (server, mut client) = connect(way)?;
    let (request, mut answer) = (vec![7; LARGEST], Vec::new());
    for _ in 0..100 {
        client.call(&request, &mut answer)?;
    }
    let kill = |id: u32| Command::new("kill").args(["-9", &id.to_string()]).status();
    kill(server.child.id())?;
    kill(std::process::id())?;
    unreachable!("killed")
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["ice", name, wait] => ice::serve(name, if wait == "polls" { Wait::Polls } else { Wait::Blocks }),
        ["ipc", name, wait] => ipc::serve(name, if wait == "polls" { Wait::Polls } else { Wait::Blocks }),
        ["socket"] => socket::serve(),
        ["leak", way] => leak(way),
        ref others => {
            println!(
                "| transport | request | pause (us) | p50 us | p90 us | p99 us |\n|---|---|--:|--:|--:|--:|"
            );
            let mut rows = Vec::new();
            for way in WAYS {
                measure(way, &mut rows)?;
            }
            if let [file] = others {
                std::fs::write(file, serde_json::to_string_pretty(&rows)? + "\n")?;
            }
            Ok(())
        }
    }
}
