//! What the engine itself takes of the cores, with a device that computes nothing.

use std::collections::VecDeque;
use std::fs;
use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use std::sync::Arc;

use paceline::Model;
use paceline::seam::BatchSizes;
use paceline::seam::fake::{FakeProgram, Latency, rows};
use paceline_engine::Engine;

use crate::figures::Plan;
use crate::load::{process_cpu, request};
use crate::report::{Asked, Figure};
use crate::subject::Subject;

/// CPU time for each request with 64 tickets in flight, of which the making of the request is not the engine's.
pub fn per_ticket(subject: &Arc<Subject>, plan: Plan) -> Result<Vec<Figure>> {
    const TICKETS: usize = 64;
    let new = |what: &str| Figure::new("cost of scheduling", subject, what);
    let mut figures = Vec::new();
    let nothing = Latency::NONE;
    let sleeping = Latency::sleep(Duration::from_micros(500), Duration::ZERO);
    for (device, latency, lanes, asked) in [
        ("a device that computes nothing, 1 lane", nothing, 1, true),
        ("a device that computes nothing, 2 lanes", nothing, 2, true),
        ("a device that sleeps 500 us, 2 lanes", sleeping, 2, true),
    ] {
        let mut each = new(&format!("us of CPU a request, {device}"));
        if asked {
            each = each.asked(Asked::AtMost(1.0));
        }
        let mut batch = new(&format!("mean batch, {device}"));
        for _ in 0..plan.rounds {
            let model = serve(lanes, latency)?;
            run(subject, &model, TICKETS, plan.slice / 4);
            let before = model.statistics();
            let (requests, cpu) = run(subject, &model, TICKETS, plan.slice);
            let after = model.statistics();
            let making = making(subject, requests);
            each.add((cpu.saturating_sub(making)).as_secs_f64() * 1e6 / requests as f64);
            batch.add(
                (after.samples - before.samples) as f64
                    / (after.executions - before.executions).max(1) as f64,
            );
        }
        figures.extend([each, batch]);
    }
    Ok(figures)
}

fn serve(lanes: usize, latency: Latency) -> Result<Model> {
    let program = FakeProgram::new(rows(64)).latency(latency).batch_sizes(BatchSizes::UpTo(256));
    let engine = Engine::builder().lanes(lanes).build()?;
    Ok(engine.load("nothing", Arc::new(program))?)
}

/// Requests answered, and the CPU time that all threads took meanwhile.
fn run(subject: &Subject, model: &Model, tickets: usize, time: Duration) -> (usize, Duration) {
    let send = |index| model.submit(request(subject, 0, 1, index)).expect("it is accepted");
    let (start, cpu, mut sent) = (Instant::now(), process_cpu(), 0);
    let mut pending = VecDeque::with_capacity(tickets);
    while start.elapsed() < time {
        for _ in 0..tickets {
            if pending.len() == tickets {
                pending.pop_front().map(paceline::Ticket::wait).transpose().expect("it is computed");
            }
            pending.push_back(send(sent));
            sent += 1;
        }
    }
    pending.into_iter().for_each(|ticket| drop(ticket.wait().expect("it is computed")));
    (sent, process_cpu() - cpu)
}

/// The CPU time of making so many requests, and of nothing else.
fn making(subject: &Subject, requests: usize) -> Duration {
    let cpu = process_cpu();
    (0..requests).for_each(|index| drop(black_box(request(subject, 0, 1, index))));
    process_cpu() - cpu
}

/// Context switches for each request of 64 blocking callers.
pub fn blocking(subject: &Arc<Subject>, plan: Plan) -> Result<Vec<Figure>> {
    const CALLERS: usize = 64;
    let new = |what| Figure::new("blocking callers", subject, what);
    let mut voluntary = new("voluntary context switches a request, 64 callers");
    let mut involuntary = new("involuntary context switches a request, 64 callers");
    let mut rate = new("requests/s, 64 callers");
    for _ in 0..plan.rounds {
        let model = subject.serve(1)?;
        let (begin, end) = (Barrier::new(CALLERS + 1), Barrier::new(CALLERS + 1));
        let counted = thread::scope(|scope| {
            let caller = |number: usize| {
                begin.wait();
                let (start, mut done) = (Instant::now(), 0);
                while start.elapsed() < plan.slice {
                    drop(model.infer(request(subject, 0, 1, number + done)).expect("it is computed"));
                    done += 1;
                }
                end.wait(); // threads are counted while they are there
                end.wait();
                done
            };
            let threads: Vec<_> = (0..CALLERS).map(|number| scope.spawn(move || caller(number))).collect();
            let before = switches();
            begin.wait();
            let start = Instant::now();
            end.wait();
            let (elapsed, after) = (start.elapsed(), switches());
            end.wait();
            let done: usize = threads.into_iter().map(|thread| thread.join().expect("it is answered")).sum();
            (done as f64, elapsed.as_secs_f64(), [after[0] - before[0], after[1] - before[1]])
        });
        let (done, elapsed, [gave_way, interrupted]) = counted;
        voluntary.add(gave_way as f64 / done);
        involuntary.add(interrupted as f64 / done);
        rate.add(done / elapsed);
    }
    Ok(vec![voluntary, involuntary, rate])
}

/// Voluntary and involuntary context switches of the threads there are.
fn switches() -> [u64; 2] {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let mut sum = [0, 0];
    for status in tasks.filter_map(|task| fs::read_to_string(task.path().join("status")).ok()) {
        for (name, sum) in ["voluntary_ctxt_switches:", "nonvoluntary_ctxt_switches:"].iter().zip(&mut sum) {
            let value = status.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
            *sum += value.unwrap_or(0);
        }
    }
    sum
}
