//! Samples a second of `mlp` requests with 64 samples: an engine with a lane a core in this process, and as many lanes in workers.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use paceline_engine::{Callable, Request};
use paceline_graph::Tensor;
use paceline_workers::{ModelSpec, WorkerPool};

use crate::{Figure, SEED, engine, input, of_rounds, rng};

const SAMPLES: usize = 64;

/// By turns, with callers that block and with callers that hold several tickets. Each round's ratio is to the engine in that round.
pub fn measure(rounds: usize, seconds: f64, figures: &mut Vec<Figure>) -> Result<()> {
    let cores = thread::available_parallelism()?.get();
    let spec = ModelSpec::study("mlp", SEED);
    let engine = engine(cores, std::slice::from_ref(&spec))?;
    let pool = |workers: usize| {
        WorkerPool::builder().model(spec.clone()).workers(workers).lanes((cores / workers).max(1)).build()
    };
    let (one, each) = (pool(1)?, pool(cores)?);
    let here = engine.model("mlp").expect("loaded");
    let (in_one, in_each) = (one.model("mlp").expect("served"), each.model("mlp").expect("served"));
    let several = format!("{cores} workers of a lane each");
    let models: [(&str, &dyn Callable); 3] =
        [("in this process", &here), (&format!("1 worker of {cores} lanes"), &in_one), (&several, &in_each)];
    let x = input(&mut rng(), SAMPLES, 512);
    for (callers, tickets) in [(2 * cores, 1), (4 * cores, 1), (1, 4 * cores)] {
        let mut rates = [const { Vec::new() }; 3];
        for round in 0..=rounds {
            for (rates, (_, model)) in rates.iter_mut().zip(models) {
                let rate = rate(model, &x, callers, tickets, seconds);
                if round > 0 {
                    rates.push(rate);
                }
            }
        }
        let load = if tickets == 1 {
            format!("{callers} callers")
        } else {
            format!("{tickets} tickets of one caller")
        };
        let here = rates[0].clone();
        for (rates, (place, _)) in rates.into_iter().zip(models) {
            let ratios = rates.iter().zip(&here).map(|(rate, here)| 100.0 * rate / here).collect();
            let rates = rates.into_iter().map(|rate| rate / 1000.0).collect();
            figures.push(of_rounds("throughput", format!("{load}, {place}"), "k samples/s", rates));
            if place != models[0].0 {
                figures.push(of_rounds(
                    "throughput",
                    format!("{load}, {place}, share of the engine's"),
                    "%",
                    ratios,
                ));
            }
        }
    }
    Ok(())
}

/// Samples a second.
fn rate(model: &dyn Callable, x: &Tensor, callers: usize, tickets: usize, seconds: f64) -> f64 {
    let time = Duration::from_secs_f64(seconds);
    let request = || Request::new([("x", x.clone())]);
    let start = Instant::now();
    let call = || {
        let mut answered = 0usize;
        if tickets == 1 {
            while start.elapsed() < time {
                model.infer(request()).expect("an answer");
                answered += 1;
            }
            return answered;
        }
        let mut held: std::collections::VecDeque<_> =
            (0..tickets).map(|_| model.submit(request()).expect("room")).collect();
        while let Some(ticket) = held.pop_front() {
            ticket.wait().expect("an answer");
            answered += 1;
            if start.elapsed() < time {
                held.push_back(model.submit(request()).expect("room"));
            }
        }
        answered
    };
    let answered: usize = thread::scope(|scope| {
        let threads: Vec<_> = (0..callers).map(|_| scope.spawn(call)).collect();
        threads.into_iter().map(|thread| thread.join().expect("a caller that ends")).sum()
    });
    (answered * SAMPLES) as f64 / start.elapsed().as_secs_f64()
}
