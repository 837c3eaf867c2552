//! What the engine itself takes of the cores, with a device that computes nothing.

use std::collections::VecDeque;
use std::fs;
use std::hint::black_box;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use paceline::Model;
use paceline::seam::fake::{FakeProgram, Latency, rows};
use paceline::seam::{BatchSizes, Program};
use paceline_engine::Engine;

use crate::bare::Bare;
use crate::figures::Plan;
use crate::load::{process_cpu, request};
use crate::report::{Asked, Figure};
use crate::subject::Subject;

/// CPU time for each request with 64 tickets in flight, beyond that of making the requests, and of as many executions of the
/// same size by bare sessions on as many threads.
pub fn per_ticket(subject: &Arc<Subject>, plan: Plan) -> Result<Vec<Figure>> {
    const TICKETS: usize = 64;
    let new = |what: &str| Figure::new("cost of scheduling", subject, what);
    let mut figures = Vec::new();
    let nothing = Latency::NONE;
    let sleeping = Latency::sleep(Duration::from_micros(500), Duration::ZERO);
    for (device, latency, lanes) in [
        ("a device that computes nothing, 1 lane", nothing, 1),
        ("a device that computes nothing, 2 lanes", nothing, 2),
        ("a device that sleeps 500 us, 2 lanes", sleeping, 2),
    ] {
        let mut each = new(&format!("us of CPU a request, {device}")).asked(Asked::AtMost(1.0));
        let mut kernel = new(&format!("part of all that is the kernel's, {device}"));
        let mut bare = new(&format!("us of CPU a request of the bare sessions, {device}"));
        let mut batch = new(&format!("mean batch, {device}"));
        for _ in 0..plan.rounds {
            let program = FakeProgram::new(rows(64)).latency(latency).batch_sizes(BatchSizes::UpTo(256));
            let program: Arc<dyn Program> = Arc::new(program);
            let engine = Engine::builder().lanes(lanes).build()?;
            let model = engine.load("nothing", Arc::clone(&program))?;
            run(subject, &model, TICKETS, plan.slice / 4);
            let (before, in_kernel) = (model.statistics(), kernel_share());
            let (requests, cpu) = run(subject, &model, TICKETS, plan.slice);
            let (after, in_kernel) = (model.statistics(), kernel_share() - in_kernel);
            let executions = (after.executions - before.executions).max(1);
            let mean = requests as f64 / executions as f64;
            let device =
                executions_alone(subject, &program, lanes, mean.round() as usize, executions as usize)?;
            let own = cpu.saturating_sub(making(subject, requests)).saturating_sub(device);
            each.add(own.as_secs_f64() * 1e6 / requests as f64);
            kernel.add(in_kernel.as_secs_f64() / cpu.as_secs_f64());
            bare.add(device.as_secs_f64() * 1e6 / requests as f64);
            batch.add(mean);
        }
        figures.extend([each, kernel, bare, batch]);
    }
    Ok(figures)
}

/// The CPU time of so many executions of bare sessions, on as many threads as there are lanes.
fn executions_alone(
    subject: &Subject,
    program: &Arc<dyn Program>,
    lanes: usize,
    samples: usize,
    executions: usize,
) -> Result<Duration> {
    let mut sessions: Vec<Bare> = (0..lanes).map(|_| Bare::open(program)).collect::<Result<_>>()?;
    let cpu = process_cpu();
    let run = |bare: &mut Bare| {
        for _ in 0..executions / lanes {
            bare.execute((0..samples).map(|index| (subject.input(0, 1, index), 1)));
        }
    };
    thread::scope(|scope| sessions.iter_mut().for_each(|bare| drop(scope.spawn(|| run(bare)))));
    Ok(process_cpu() - cpu)
}

/// CPU time of the process in the kernel, to a hundredth of a second.
fn kernel_share() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(12)?.parse::<u64>().ok());
    Duration::from_millis(10 * ticks.unwrap_or(0))
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
