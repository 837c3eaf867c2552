//! A million requests of every kind against every fault: 64 callers, four models, random cancels, deadlines and priorities, and a
//! device that fails, loses sessions and panics.
//!
//! `GLIBC_TUNABLES=glibc.malloc.tcache_count=0 cargo run --release -p paceline-engine --example endurance [REQUESTS]`
//!
//! Ends with an error where a request was not answered exactly once, an answer was wrong, inputs of a refused request did not
//! come back, or the resident memory of the last tenth is not within 2 % of that of the first. The variable turns off what
//! glibc's allocator keeps back for each thread and size of block: with 64 threads and random sizes, that takes millions of
//! requests to fill, and hides what the engine itself would keep.
#![allow(clippy::print_stdout, reason = "an example prints")]

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use paceline_device::BatchSizes;
use paceline_device::fake::{Execution, FakeProgram, Latency, Outcome, rows};
use paceline_engine::{
    Answer, Engine, ExecutionError, InferError, Late, LoadOptions, Model, Outputs, Request, Ticket,
};
use paceline_graph::Tensor;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const CALLERS: u64 = 64;
const WIDTH: usize = 4;
/// One execution in so many fails, in one of three ways.
const FAULT_EVERY: u64 = 300;
/// Tickets that a caller holds at most.
const IN_FLIGHT: usize = 6;
/// No answer in this time means that there will be none.
const PATIENCE: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let requests: u64 = match std::env::args().nth(1).map(|text| text.parse()) {
        None => 1_000_000,
        Some(Ok(requests)) if requests >= 10 * CALLERS => requests,
        Some(_) => {
            eprintln!("expected a number of requests, at least {}", 10 * CALLERS);
            return ExitCode::FAILURE;
        }
    };
    silence_scripted_panics();
    let engine = Engine::builder().lanes(2).queue_samples(2_000).build().expect("two lanes");
    let models = models(&engine);
    // Every lane and arena is in use before the first tenth begins.
    let warm = run(&models, requests / 10, 1);
    let counted = run(&models, requests, 2);
    engine.drain();
    print(&models, &counted);
    let violations = violations(&engine, &models, &warm, &counted);
    violations.iter().for_each(|violation| println!("VIOLATION: {violation}"));
    if violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Unlike in speed, batch sizes, shares, lateness and patience.
fn models(engine: &Engine) -> Vec<Model> {
    let us = Duration::from_micros;
    let kinds = [
        ("quick", us(2), BatchSizes::UpTo(64), LoadOptions::new()),
        ("buckets", us(10), BatchSizes::Buckets(vec![1, 4, 16]), LoadOptions::new().weight(3)),
        ("slow", us(60), BatchSizes::UpTo(32), LoadOptions::new().late(Late::Serve)),
        ("patient", us(5), BatchSizes::UpTo(8), LoadOptions::new().max_queue_delay(us(200))),
    ];
    let load = |(name, fixed, sizes, options)| {
        let program = FakeProgram::new(rows(WIDTH)).batch_sizes(sizes);
        let program = program.latency(Latency::busy(fixed, fixed / 20)).script(faulty);
        engine.load_with(name, [Arc::new(program) as _], options).expect("a model that can be loaded")
    };
    kinds.into_iter().map(load).collect()
}

fn faulty(execution: &Execution) -> Outcome {
    match execution.number % FAULT_EVERY {
        100 => Outcome::Fail("scripted".into()),
        200 => Outcome::Lose("scripted".into()),
        299 => Outcome::Panic("scripted".into()),
        _ => Outcome::Compute,
    }
}

/// What the callers saw.
#[derive(Default)]
struct Tally {
    finished: AtomicU64,
    accepted: AtomicU64,
    refused: AtomicU64,
    dropped: AtomicU64,
    completed: AtomicU64,
    failed: AtomicU64,
    expired: AtomicU64,
    wrong: AtomicU64,
}

/// One tenth of the requests.
struct Tenth {
    seconds: f64,
    /// Mean resident memory.
    bytes: f64,
}

struct Counted {
    requests: u64,
    tally: Tally,
    tenths: Vec<Tenth>,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// Sends so many requests from all callers, and watches the memory meanwhile.
fn run(models: &[Model], requests: u64, seed: u64) -> Counted {
    let tally = Tally::default();
    let tenths = thread::scope(|scope| {
        for caller in 0..CALLERS {
            let tally = &tally;
            let share = requests / CALLERS + u64::from(caller < requests % CALLERS);
            scope.spawn(move || call(models, share, tally, ChaCha8Rng::seed_from_u64(seed * 1000 + caller)));
        }
        watch(&tally, requests)
    });
    Counted { requests, tally, tenths }
}

/// Samples the memory until all requests are finished.
fn watch(tally: &Tally, requests: u64) -> Vec<Tenth> {
    let (mut tenths, mut start, mut sum, mut samples) = (Vec::new(), Instant::now(), 0.0, 0);
    let (mut before, mut since) = (0, Instant::now());
    while tenths.len() < 10 {
        thread::sleep(Duration::from_millis(2));
        (sum, samples) = (sum + resident_bytes(), samples + 1);
        let finished = get(&tally.finished);
        if finished > before {
            (before, since) = (finished, Instant::now());
        } else if since.elapsed() > PATIENCE {
            println!("VIOLATION: {} of {requests} requests are not answered", requests - finished);
            std::process::exit(1);
        }
        if finished >= requests * (tenths.len() as u64 + 1) / 10 {
            tenths.push(Tenth { seconds: start.elapsed().as_secs_f64(), bytes: sum / f64::from(samples) });
            (start, sum, samples) = (Instant::now(), 0.0, 0);
        }
    }
    tenths
}

/// Resident memory of this process; zero where the system does not tell.
fn resident_bytes() -> f64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok()).unwrap_or(0.0) * 4096.0
}

/// A ticket and what its answer must be computed from.
struct Pending {
    ticket: Ticket,
    first: f32,
    samples: usize,
}

fn call(models: &[Model], requests: u64, tally: &Tally, mut rng: ChaCha8Rng) {
    let mut pending: Vec<Pending> = Vec::new();
    for _ in 0..requests {
        let samples = if rng.random_bool(0.05) { rng.random_range(2..=80) } else { 1 };
        let first = rng.random_range(0..100_000) as f32;
        let mut request = Request::new([("x", input(first, samples))]).priority(rng.random_range(-3..=3));
        if rng.random_bool(0.2) {
            request = request.timeout(Duration::from_micros(rng.random_range(20..20_000)));
        }
        let model = &models[rng.random_range(0..models.len())];
        let refusal = if rng.random_bool(0.3) {
            match model.infer(request) {
                Ok(outputs) => accept(tally, || answered(tally, Ok(outputs), first, samples)),
                Err(InferError::Execution(error)) => {
                    accept(tally, || answered(tally, Err(error), first, samples))
                }
                Err(InferError::Refused(refusal)) => Some(refusal),
            }
        } else {
            match model.submit(request) {
                Ok(ticket) => accept(tally, || pending.push(Pending { ticket, first, samples })),
                Err(refusal) => Some(refusal),
            }
        };
        if let Some(refusal) = refusal {
            let retry_after = refusal.retry_after();
            let inputs = refusal.into_inputs();
            if inputs.len() != 1 || inputs[0].1 != input(first, samples) {
                count(&tally.wrong);
            }
            count(&tally.refused);
            count(&tally.finished);
            thread::sleep(retry_after.unwrap_or_default().min(Duration::from_millis(1)));
        }
        if pending.len() >= IN_FLIGHT {
            let chosen = pending.swap_remove(rng.random_range(0..IN_FLIGHT));
            end(chosen, tally, &mut rng);
        }
    }
    pending.into_iter().for_each(|pending| end(pending, tally, &mut rng));
}

fn accept<T>(tally: &Tally, then: impl FnOnce()) -> Option<T> {
    count(&tally.accepted);
    then();
    None
}

/// Waits for a ticket in one of several ways, or drops it.
fn end(pending: Pending, tally: &Tally, rng: &mut ChaCha8Rng) {
    let Pending { mut ticket, first, samples } = pending;
    let answer = match rng.random_range(0..10) {
        0 => {
            drop(ticket);
            count(&tally.dropped);
            count(&tally.finished);
            return;
        }
        1 | 2 => loop {
            match ticket.wait_timeout(Duration::from_micros(200)) {
                Ok(answer) => break answer,
                Err(waiting) => ticket = waiting,
            }
        },
        _ => ticket.wait(),
    };
    answered(tally, answer, first, samples);
}

fn answered(tally: &Tally, answer: Answer, first: f32, samples: usize) {
    match answer {
        Ok(outputs) => {
            count(&tally.completed);
            if !is_right(&outputs, first, samples) {
                count(&tally.wrong);
            }
        }
        Err(ExecutionError::Expired { .. }) => count(&tally.expired),
        Err(_) => count(&tally.failed),
    }
    count(&tally.finished);
}

fn input(first: f32, samples: usize) -> Tensor {
    let elements: Vec<f32> = (0..samples * WIDTH).map(|i| first + i as f32).collect();
    Tensor::new([samples, WIDTH], elements).expect("as many elements as the shape has")
}

fn is_right(outputs: &Outputs, first: f32, samples: usize) -> bool {
    let expected = (0..samples * WIDTH).map(|i| 2.0 * (first + i as f32) + 1.0);
    let y = &outputs["y"];
    y.shape() == [samples, WIDTH] && y.as_f32().is_some_and(|got| got.iter().copied().eq(expected))
}

fn print(models: &[Model], counted: &Counted) {
    println!(
        "| model | accepted | completed | failed | cancelled | expired | refused | executions | mean batch | p99 total |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    for model in models {
        let got = model.statistics();
        let (refused, p99) = (got.refused.total(), got.total_time.quantile(0.99));
        println!(
            "| {} | {} | {} | {} | {} | {} | {refused} | {} | {:.1} | {p99:.1?} |",
            got.name,
            got.accepted,
            got.completed,
            got.failed,
            got.cancelled,
            got.expired,
            got.executions + got.failed_executions,
            got.mean_batch(),
        );
    }
    println!("\n| tenth | requests/s | resident memory |\n|--:|--:|--:|");
    for (number, Tenth { seconds, bytes }) in counted.tenths.iter().enumerate() {
        let rate = counted.requests as f64 / 10.0 / seconds;
        println!("| {} | {rate:.0} | {:.2} MB |", number + 1, bytes / 1e6);
    }
    let Tally { accepted, refused, dropped, completed, failed, expired, wrong, .. } = &counted.tally;
    let [accepted, refused, dropped, completed, failed, expired, wrong] =
        [accepted, refused, dropped, completed, failed, expired, wrong].map(get);
    println!(
        "\n{} requests of {CALLERS} callers: {refused} refused, {accepted} accepted, of which {dropped} dropped, {completed} \
         completed, {failed} failed, {expired} expired; {wrong} wrong",
        counted.requests
    );
}

/// What is not as it must be.
fn violations(engine: &Engine, models: &[Model], warm: &Counted, counted: &Counted) -> Vec<String> {
    let mut violations = Vec::new();
    let mut demand = |holds: bool, what: String| {
        if !holds {
            violations.push(what);
        }
    };
    let both = |of: fn(&Tally) -> &AtomicU64| get(of(&warm.tally)) + get(of(&counted.tally));
    for Counted { requests, tally, .. } in [warm, counted] {
        let [accepted, refused, answered] = [
            get(&tally.accepted),
            get(&tally.refused),
            get(&tally.completed) + get(&tally.failed) + get(&tally.expired) + get(&tally.dropped),
        ];
        demand(accepted + refused == *requests, format!("{accepted} + {refused} of {requests} requests"));
        demand(answered == accepted, format!("{answered} answers to {accepted} requests"));
        demand(get(&tally.wrong) == 0, format!("{} answers are wrong", get(&tally.wrong)));
    }
    let all: Vec<_> = models.iter().map(Model::statistics).collect();
    for got in &all {
        let ended = got.completed + got.failed + got.cancelled + got.expired;
        demand(got.accepted == ended, format!("{}: {} accepted, {ended} ended", got.name, got.accepted));
        let kinds = [got.completed, got.failed, got.cancelled, got.failed_executions];
        demand(!kinds.contains(&0), format!("{}: a kind of end was not met: {kinds:?}", got.name));
    }
    let accepted: u64 = all.iter().map(|got| got.accepted).sum();
    demand(accepted == both(|tally| &tally.accepted), format!("the engine counted {accepted} accepted"));
    let expired: u64 = all.iter().map(|got| got.expired).sum();
    let seen = both(|tally| &tally.expired);
    demand(expired >= seen, format!("the engine counted {expired} expired, the callers {seen}"));
    let now = engine.statistics();
    let left = (now.retired, now.busy, now.queued, now.queued_samples, now.queued_bytes);
    demand(left == (0, 0, 0, 0, 0), format!("lanes or requests are left: {left:?}"));
    let (first, last) = (counted.tenths[0].bytes, counted.tenths[9].bytes);
    demand(
        (last / first.max(1.0) - 1.0).abs() <= 0.02,
        format!("memory went from {:.2} to {:.2} MB", first / 1e6, last / 1e6),
    );
    violations
}

/// Keeps scripted panics off the screen.
fn silence_scripted_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !info.payload().downcast_ref::<String>().is_some_and(|text| text.starts_with("scripted")) {
            before(info);
        }
    }));
}
