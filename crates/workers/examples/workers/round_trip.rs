//! How long one caller waits for one `linear` sample: back to back, and after pauses in which everybody falls asleep.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use paceline_engine::{Callable, Request};
use paceline_graph::Tensor;
use paceline_workers::{ModelSpec, WorkerPool};

use crate::{Figure, SEED, engine, input, of_rounds, quantile, rng};

/// Quantiles of the time of one call, by turns in this process and in a worker, each round with its own quantiles.
pub fn measure(rounds: usize, seconds: f64, figures: &mut Vec<Figure>) -> Result<()> {
    let spec = ModelSpec::study("linear", SEED);
    let engine = engine(1, std::slice::from_ref(&spec))?;
    let pool = WorkerPool::builder().model(spec).lanes(1).build()?;
    let here = engine.model("linear").expect("loaded");
    let there = pool.model("linear").expect("served");
    let models: [(&str, &dyn Callable); 2] = [("in this process", &here), ("through a worker", &there)];
    let x = input(&mut rng(), 1, 256);
    for (pause, told) in
        [(0, "back to back"), (100, "every 0.1 ms"), (1000, "every ms"), (10_000, "every 10 ms")]
    {
        let pause = Duration::from_micros(pause);
        let mut times = [const { Vec::new() }; 2];
        for _ in 0..rounds {
            for (times, (_, model)) in times.iter_mut().zip(models) {
                times.push(round(model, &x, pause, seconds)?);
            }
        }
        for (times, (place, _)) in times.into_iter().zip(models) {
            for (share, name) in [(0.5, "p50"), (0.9, "p90"), (0.99, "p99")] {
                let values = times.iter().map(|sorted| quantile(sorted, share)).collect();
                figures.push(of_rounds("round-trip", format!("{told}, {place}, {name}"), "us", values));
            }
        }
    }
    Ok(())
}

fn round(model: &dyn Callable, x: &Tensor, pause: Duration, seconds: f64) -> Result<Vec<f64>> {
    let call = || model.infer(Request::new([("x", x.clone())]));
    for _ in 0..20 {
        call()?;
    }
    let (start, mut times) = (Instant::now(), Vec::new());
    while start.elapsed().as_secs_f64() < seconds {
        if !pause.is_zero() {
            thread::sleep(pause);
        }
        let called = Instant::now();
        call()?;
        times.push(called.elapsed().as_secs_f64() * 1e6);
    }
    times.sort_by(f64::total_cmp);
    Ok(times)
}
