//! What `decide` itself takes with 10,000 requests waiting. A benchmark, because only this crate can call it:
//! `cargo test --release -p paceline-engine --lib -- --ignored --nocapture decide_takes`.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

use paceline_device::BatchSizes;

use super::*;
use crate::queue::{Arrival, LineOptions, Queue};

const WAITING: usize = 10_000;
const CALLS: u32 = 2_000;
const ROUNDS: usize = 5;

/// The costs of `mlp`, for every size.
fn costs(max: usize) -> CostTable {
    let mut costs = CostTable::new(&BatchSizes::UpTo(max), max, 2);
    for size in costs.sizes().to_vec() {
        for busy in [1, 2, 1, 2] {
            costs.record(size, busy, 260_000 + 24_000 * size as Nanos);
        }
    }
    costs
}

/// When request `i` wants its answer: never, or between 2 and 102 ms from now, mixed up.
fn deadline(i: usize, deadlines: bool) -> Nanos {
    if deadlines { 2_000_000 + (i as Nanos * 7919 % WAITING as Nanos) * 10_000 } else { NEVER }
}

/// Microseconds of one call: the least of a few rounds, and the most.
fn time(mut call: impl FnMut()) -> (f64, f64) {
    let mut times: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            (0..CALLS).for_each(|_| call());
            start.elapsed().as_secs_f64() * 1e6 / f64::from(CALLS)
        })
        .collect();
    times.sort_by(f64::total_cmp);
    (times[0], times[ROUNDS - 1])
}

#[test]
#[ignore = "a benchmark"]
#[allow(clippy::print_stdout, reason = "a report is what it is for")]
fn decide_takes() {
    for (lines, max, deadlines) in
        [(1, 64, false), (1, 64, true), (1, 256, false), (1, 256, true), (8, 64, false), (8, 64, true)]
    {
        let costs = costs(max);
        let entries: Vec<BTreeMap<(Nanos, usize), Entry>> = (0..lines)
            .map(|line| {
                let entry = |i| {
                    let deadline = deadline(i, deadlines);
                    ((deadline, i), Entry { samples: 1, deadline })
                };
                (line..WAITING).step_by(lines).map(entry).collect()
            })
            .collect();
        let load = Load { lanes: 2, busy: 2, waiting: WAITING, running: 2 * max };
        let mut verdicts = Vec::new();
        let (least, most) = time(|| {
            let views = entries.iter().enumerate().map(|(index, entries)| Line {
                index,
                service: index as u64,
                due: entries.first_key_value().map_or(NEVER, |((due, _), _)| *due),
                since: 0,
                waiting: entries.len(),
                max_samples: max,
                max_delay: 0,
                late: Late::Reject,
                costs: &costs,
                hurried: deadlines,
                entries: entries.values().copied(),
            });
            black_box(decide(views, black_box(load), 0, &mut verdicts));
        });
        let taken = verdicts.iter().filter(|&&verdict| verdict == Verdict::Take).count();
        println!(
            "decide: {WAITING} waiting in {lines} lines, batches up to {max}, deadlines {deadlines}: {least:.2} to {most:.2} us, \
             {taken} taken"
        );
        println!("  with its batch taken out and as many added: {:.3} us a request", steady(max, deadlines));
    }
}

/// Microseconds a request of taking batches out of a queue that is filled up again each time, in one line.
fn steady(max: usize, deadlines: bool) -> f64 {
    let mut queue: Queue<usize> = Queue::new();
    let model = queue.add_model(1);
    let options = LineOptions { model, max_samples: max, late: Late::Reject, max_delay: 0 };
    let line = queue.add_line(options, costs(max));
    let load = Load { lanes: 2, busy: 2, waiting: 0, running: 2 * max };
    let mut number = 0;
    let mut push = |queue: &mut Queue<usize>| {
        number += 1;
        let deadline = deadline(number, deadlines);
        queue.push(line, &Arrival { samples: 1, bytes: 64, deadline, priority: 0, now: 0 }, 2, number);
    };
    (0..WAITING).for_each(|_| push(&mut queue));
    let (mut batch, mut shed, mut requests) = (Vec::new(), Vec::new(), 0);
    let start = Instant::now();
    for _ in 0..CALLS {
        black_box(queue.take_batch(load, 0, &mut batch, &mut shed));
        requests += batch.len() + shed.len();
        for _ in batch.drain(..).chain(shed.drain(..)) {
            push(&mut queue);
        }
    }
    start.elapsed().as_secs_f64() * 1e6 / requests.max(1) as f64
}
