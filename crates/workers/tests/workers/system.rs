//! What is left in the system after somebody was killed: nothing.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

#[cfg(target_os = "linux")]
use crate::assert_serves;
use crate::scripted::{HANG, STOP};
use crate::{Test, builder, eventually, kill, pool, row};

pub const TRIALS: &[Test] = &[
    ("workers end when their parent is killed, even hanging and stopped ones", parent_killed),
    ("a worker that does not end when asked is killed", stuck),
    #[cfg(target_os = "linux")]
    ("dead workers leave no descriptor, memory or process behind", worker_killed),
];

/// The ticket of a request that never ends is dropped, and then the pool.
fn stuck() {
    let (pool, model) = pool(builder().stop_timeout(Duration::from_millis(100)));
    let process = pool.statistics().workers[0].process.unwrap();
    let ticket = model.submit([("x", row(HANG))]).unwrap();
    thread::sleep(Duration::from_millis(20));
    drop(ticket);
    drop((pool, model));
    assert!(!is_alive(process));
}

const PARENT: &str = "--as-parent";

/// Makes a pool, prints the workers' processes, and never ends.
#[expect(clippy::print_stdout, reason = "the test reads it")]
pub fn become_parent_if_started_as_one() {
    if std::env::args().nth(1).as_deref() != Some(PARENT) {
        return;
    }
    let (pool, model) = pool(builder().workers(3));
    // Only on Linux does a stopped process end with its parent.
    let orders = if cfg!(target_os = "linux") { [HANG, STOP] } else { [HANG, HANG] };
    let _in_flight = orders.map(|order| model.submit([("x", row(order))]).unwrap());
    thread::sleep(Duration::from_millis(50));
    let processes = pool.statistics().workers.into_iter().map(|worker| worker.process.unwrap().to_string());
    println!("{}", processes.collect::<Vec<_>>().join(" "));
    loop {
        thread::park();
    }
}

/// Whether the process exists and is not merely waiting for somebody to ask how it ended.
fn is_alive(process: u32) -> bool {
    if cfg!(not(target_os = "linux")) {
        let process = rustix::process::Pid::from_raw(process.cast_signed()).unwrap();
        return rustix::process::test_kill_process(process).is_ok();
    }
    let stat = fs::read_to_string(format!("/proc/{process}/stat"));
    stat.is_ok_and(
        |stat| !matches!(stat.rsplit(')').next().map(str::trim_start), Some(rest) if rest.starts_with('Z')),
    )
}

fn parent_killed() {
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .arg(PARENT)
        .stdout(Stdio::piped())
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(parent.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let processes: Vec<u32> = line.split_whitespace().map(|word| word.parse().unwrap()).collect();
    assert_eq!(processes.len(), 3);
    assert!(processes.iter().all(|&process| is_alive(process)));
    kill(parent.id());
    parent.wait().unwrap();
    eventually("no orphan", || !processes.iter().any(|&process| is_alive(process)));
    if cfg!(target_os = "linux") {
        assert_eq!(named_memory(), 0);
    }
}

/// Files of ours in the directory where shared memory with a name lies.
fn named_memory() -> usize {
    let entries = fs::read_dir("/dev/shm").unwrap().flatten();
    entries.filter(|entry| entry.file_name().to_string_lossy().contains("paceline")).count()
}

#[cfg(target_os = "linux")]
fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

#[cfg(target_os = "linux")]
fn mappings() -> usize {
    fs::read_to_string("/proc/self/maps")
        .unwrap()
        .lines()
        .filter(|line| line.contains("memfd:paceline"))
        .count()
}

#[cfg(target_os = "linux")]
fn worker_killed() {
    let before = (descriptors(), mappings());
    let (pool, model) = pool(builder().workers(2).crash_loop(1000, Duration::from_secs(1)));
    let serving = (descriptors(), mappings());
    assert_eq!(serving.1, 2);
    let mut dead = Vec::new();
    for round in 0..6 {
        let process = pool.statistics().workers[round % 2].process.unwrap();
        kill(process);
        dead.push(process);
        let is_back = || pool.statistics().workers[round % 2].process.is_some_and(|now| now != process);
        eventually("back", is_back);
        assert_serves(&model);
    }
    eventually("as much as before", || (descriptors(), mappings()) == serving);
    dead.extend(pool.statistics().workers.iter().filter_map(|worker| worker.process));
    drop((pool, model));
    assert_eq!((descriptors(), mappings()), before);
    assert!(!dead.into_iter().any(is_alive));
    assert_eq!(named_memory(), 0);
}
