//! What is measured, a function for each figure; each takes what it compares in turns, round after round.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use paceline::Model;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::bare::{best, best_again, sweep};
use crate::batcher::Batcher;
use crate::load::{SINGLE, Server, Wanted, closed_loop, open_loop, pause, pausing_callers, quantile};
use crate::report::{Asked, Figure};
use crate::subject::{LARGE, Subject};

/// How long and how often.
#[derive(Clone, Copy)]
pub struct Plan {
    pub rounds: usize,
    pub slice: Duration,
}

/// The window of the fixed-window batcher.
const WINDOW: Duration = Duration::from_millis(5);

/// Two shapes at random, as many of each, with 128 requests in flight: against the batcher that takes prefixes.
pub fn two_shapes(subject: &Arc<Subject>, plan: Plan) -> Result<Vec<Figure>> {
    let new = |what| Figure::new("two shapes", subject, what);
    let mut ratio = new("samples/s: engine / prefix batcher").asked(Asked::AtLeast(1.9));
    let mut turns = new("the same, the shapes strictly in turns");
    let mut share = new("engine, two shapes / one shape");
    let mut rate = new("samples/s of the engine");
    let in_flight = 128;
    for round in 0..plan.rounds {
        let measure = |server: Server<'_>, kind: usize| {
            let mut random = ChaCha8Rng::seed_from_u64(round as u64);
            closed_loop(subject, server, in_flight, plan.slice, |index| match kind {
                0 => random.random_range(0..2),
                1 => index % 2,
                _ => 0,
            })
        };
        let engine = subject.serve(2)?;
        let (random, in_turns, one) = (
            measure(Server::Engine(&engine), 0),
            measure(Server::Engine(&engine), 1),
            measure(Server::Engine(&engine), 2),
        );
        drop(engine);
        let batcher = Batcher::start(subject, Duration::ZERO)?;
        ratio.add(random / measure(Server::Batcher(&batcher), 0));
        turns.add(in_turns / measure(Server::Batcher(&batcher), 1));
        share.add(random / one);
        rate.add(random);
    }
    Ok(vec![ratio, turns, share, rate])
}

/// Callers that pause, so that they offer a tenth of what the lanes can do with single samples, against one such caller.
pub fn low_load(subject: &Arc<Subject>, plan: Plan) -> Result<Vec<Figure>> {
    const CALLERS: usize = 16;
    let new = |what| Figure::new("low load", subject, what);
    let mut ratio = new("p99: 10 % of capacity / a lone caller").asked(Asked::AtMost(1.1));
    let mut median = new("the same of the median");
    let mut ideal = new("p99 of as many ideal servers / a lone caller");
    let mut lone_p99 = new("p99 of a lone caller, us");
    let mut loaded_p99 = new("p99 at 10 % of capacity, us");
    let mut window_p99 = new("p99 at 10 % of capacity, batcher with a 5 ms window, us");
    let mut window_lone = new("p99 of a lone caller, batcher with a 5 ms window, us");
    let us = |time: Duration| time.as_secs_f64() * 1e6;
    let service = sweep(subject, plan.slice / 8)?[0].time;
    let rate = 0.1 * subject.lanes as f64 / service.as_secs_f64();
    let gap = Duration::from_secs_f64(1.0 / rate);
    let slice = plan.slice * 2;
    for _ in 0..plan.rounds {
        let engine = subject.serve(1)?;
        let server = Server::Engine(&engine);
        let mut lone = pausing_callers(subject, server, 1, gap, slice);
        let mut loaded = pausing_callers(subject, server, CALLERS, gap * CALLERS as u32 - service, slice);
        lone_p99.add(us(quantile(&mut lone, 0.99)));
        loaded_p99.add(us(quantile(&mut loaded, 0.99)));
        ratio.add(us(quantile(&mut loaded, 0.99)) / us(quantile(&mut lone, 0.99)));
        median.add(us(quantile(&mut loaded, 0.5)) / us(quantile(&mut lone, 0.5)));
        ideal.add(us(ideal_p99(&lone, rate, subject.lanes)) / us(quantile(&mut lone, 0.99)));
        drop(engine);
        let batcher = Batcher::start(subject, WINDOW)?;
        let server = Server::Batcher(&batcher);
        let mut loaded = pausing_callers(subject, server, CALLERS, gap * CALLERS as u32 - service, slice / 2);
        window_p99.add(us(quantile(&mut loaded, 0.99)));
        let mut lone = pausing_callers(subject, server, 1, gap, slice / 2);
        window_lone.add(us(quantile(&mut lone, 0.99)));
    }
    Ok(vec![ratio, median, ideal, lone_p99, loaded_p99, window_p99, window_lone])
}

/// The 99th percentile of requests at random times, served first come, first served, by servers that cost nothing else: what
/// waiting for a busy lane alone makes of it.
fn ideal_p99(services: &[Duration], rate: f64, servers: usize) -> Duration {
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let (mut free, mut now) = (vec![Duration::ZERO; servers], Duration::ZERO);
    let mut times: Vec<Duration> = (0..100_000)
        .map(|_| {
            now += pause(&mut random, rate);
            let service = services[random.random_range(0..services.len())];
            let server = free.iter_mut().min().expect("there is a server");
            *server = now.max(*server) + service;
            *server - now
        })
        .collect();
    quantile(&mut times, 0.99)
}

/// Half as much again as the lanes can do, with deadlines of five times the time of a lone request.
pub fn overload(subject: &Arc<Subject>, plan: Plan) -> Result<Vec<Figure>> {
    let new = |what| Figure::new("overload", subject, what);
    let mut goodput = new("goodput / best samples/s of bare sessions").asked(Asked::AtLeast(0.9));
    let mut possible = new("the same / best of executions of at most half the deadline");
    let mut beside = new("the same / best of bare sessions beside a generator that only makes the requests");
    let mut of_tickets = new("the same / 128 tickets in flight");
    let mut capacity = new("best samples/s of bare sessions");
    let mut offered = new("offered / best samples/s of bare sessions");
    let mut late = new("answered too late / offered");
    let mut generator = new("CPU time of the generator, share of one core");
    let mut limit_us = new("deadline, us");
    let mut window = new("goodput of the batcher with a 5 ms window / best of bare sessions");
    let mut prefix = new("goodput of the prefix batcher / best of bare sessions");
    for _ in 0..plan.rounds {
        let points = sweep(subject, plan.slice / 16)?;
        let (best_of_all, lone) = (best(&points, Duration::MAX), points[0].time);
        let limit = lone * 5;
        let made = |time| open_loop(subject, Server::Nobody, 1.5 * best_of_all, time, None, |_| SINGLE);
        let beside_generator = thread::scope(|scope| {
            scope.spawn(|| made(plan.slice / 2));
            best_again(subject, &points, plan.slice / 2)
        })?;
        let engine = subject.serve(1)?;
        let server = Server::Engine(&engine);
        let tickets = closed_loop(subject, server, 128, plan.slice / 2, |_| 0);
        let tally = open_loop(subject, server, 1.5 * best_of_all, plan.slice, Some(limit), |_| SINGLE);
        drop(engine);
        goodput.add(tally.goodput(limit) / best_of_all);
        possible.add(tally.goodput(limit) / best(&points, limit / 2));
        beside.add(tally.goodput(limit) / beside_generator);
        of_tickets.add(tally.goodput(limit) / tickets);
        capacity.add(best_of_all);
        offered.add(tally.offered() / best_of_all);
        late.add((tally.goodput(Duration::MAX) - tally.goodput(limit)) / tally.offered());
        generator.add(tally.generator_share);
        limit_us.add(limit.as_secs_f64() * 1e6);
        for (length, figure) in [(WINDOW, &mut window), (Duration::ZERO, &mut prefix)] {
            let batcher = Batcher::start(subject, length)?;
            let server = Server::Batcher(&batcher);
            let tally = open_loop(subject, server, 1.5 * best_of_all, plan.slice, None, |_| SINGLE);
            figure.add(tally.goodput(limit) / best_of_all);
        }
    }
    Ok(vec![
        goodput, possible, beside, of_tickets, capacity, offered, late, generator, limit_us, window, prefix,
    ])
}

/// One request in twenty has sixteen samples, and the others one, against singles only. Once with as many samples a second, so
/// that only the sizes differ and not the load; once with as many singles a second, and the large ones beside them.
pub fn large_among_singles(subject: &Arc<Subject>, plan: Plan) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for load in [0.1, 0.4] {
        let new = |what: &str| {
            Figure::new(
                "large among singles",
                subject,
                format!("{what}, at {:.0} % of capacity", load * 100.0),
            )
        };
        let mut same = new("p99 of singles, same samples/s: with / without").asked(Asked::AtMost(1.5));
        let mut added = new("p99 of singles, large ones added: with / without");
        let mut without = new("p99 of singles without large ones, us");
        let mut prefix = new("prefix batcher, same samples/s: with / without");
        let mixed = |random: &mut ChaCha8Rng| {
            let samples = if random.random_bool(0.05) { LARGE } else { 1 };
            Wanted { shape: 0, samples }
        };
        let mean = 0.95 + 0.05 * LARGE as f64;
        for _ in 0..plan.rounds {
            let rate = load * best(&sweep(subject, plan.slice / 16)?, Duration::MAX);
            let measure = |server: Server<'_>, rate: f64, mix: bool| {
                let pick = |random: &mut ChaCha8Rng| if mix { mixed(random) } else { SINGLE };
                let tally = open_loop(subject, server, rate, plan.slice, None, pick);
                quantile(&mut tally.singles(), 0.99).as_secs_f64() * 1e6
            };
            let engine = subject.serve(1)?;
            let server = Server::Engine(&engine);
            let alone = measure(server, rate, false);
            without.add(alone);
            same.add(measure(server, rate / mean, true) / alone);
            added.add(measure(server, rate / 0.95, true) / alone);
            drop(engine);
            let batcher = Batcher::start(subject, Duration::ZERO)?;
            let server = Server::Batcher(&batcher);
            prefix.add(measure(server, rate / mean, true) / measure(server, rate, false));
        }
        figures.extend([same, added, without, prefix]);
    }
    Ok(figures)
}

/// What the table of costs says against what executions took, with so many tickets in flight.
pub fn predicted(subject: &Arc<Subject>, plan: Plan) -> Result<Vec<Figure>> {
    let new = |what| Figure::new("predicted costs", subject, what);
    let mut lone = new("predicted / measured, a lone caller");
    let mut eight = new("predicted / measured, 8 tickets in flight");
    let mut full = new("predicted / measured, 128 tickets in flight");
    for _ in 0..plan.rounds {
        let engine = subject.serve(1)?;
        let server = Server::Engine(&engine);
        let lone_caller =
            || drop(pausing_callers(subject, server, 1, Duration::from_micros(500), plan.slice));
        let keep = |tickets| {
            closed_loop(subject, server, tickets, plan.slice, |_| 0);
        };
        lone.add(accuracy(&engine, 1, lone_caller));
        eight.add(accuracy(&engine, subject.lanes, || keep(8)));
        full.add(accuracy(&engine, subject.lanes, || keep(128)));
    }
    Ok(vec![lone, eight, full])
}

/// The costs predicted after `load` for what it executed, over the time that it took.
fn accuracy(model: &Model, busy: usize, load: impl Fn()) -> f64 {
    let before = model.statistics();
    load();
    let after = model.statistics();
    let counted =
        |size: u64| before.batch_sizes.iter().find(|&&(n, _)| n == size).map_or(0, |&(_, count)| count);
    let predicted: f64 = after
        .batch_sizes
        .iter()
        .filter_map(|&(size, count)| {
            let (mean, _) = model.predicted_cost(size as usize, busy)?;
            Some(mean.as_secs_f64() * (count - counted(size)) as f64)
        })
        .sum();
    predicted / (after.execute_time.sum() - before.execute_time.sum()).as_secs_f64()
}
