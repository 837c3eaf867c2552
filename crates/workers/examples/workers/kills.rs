//! Workers killed at random moments under load: whether every request is answered, rightly, and how soon there is service again.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use paceline_engine::{Outputs, Request};
use paceline_graph::Tensor;
use paceline_workers::{Model, ModelSpec, WorkerPool};
use rand::Rng;
use rustix::process::{Pid, Signal, kill_process};

use crate::{Figure, SEED, engine, input, rng};

const CALLERS: u64 = 8;
/// Inputs that callers draw from, for each model.
const INPUTS: usize = 32;
/// No answer in this time means that there will be none.
const PATIENCE: Duration = Duration::from_secs(20);

/// A request and its answer by the engine in this process.
struct Question {
    model: usize,
    x: Tensor,
    answer: Tensor,
}

#[derive(Default)]
struct Tally {
    over: AtomicBool,
    sent: AtomicU64,
    right: AtomicU64,
    wrong: AtomicU64,
    failed: AtomicU64,
}

/// Whether nothing was lost or wrong. After each kill it is waited for an answer to a request that was sent after it, and for the
/// worker to serve again, and then for a random time. Answers are compared bit for bit.
pub fn measure(workers: usize, kills: usize, figures: &mut Vec<Figure>) -> Result<bool> {
    let specs = ["linear", "mlp"].map(|name| ModelSpec::study(name, SEED));
    let questions = questions(&specs)?;
    // Kills on purpose are no crash loop.
    let builder = WorkerPool::builder().workers(workers).crash_loop(usize::MAX, Duration::from_secs(1));
    let pool = specs.iter().cloned().fold(builder, |builder, spec| builder.model(spec)).build()?;
    let models = pool.models();
    let tally = Tally::default();
    let mut outages: [Vec<f64>; 2] = [Vec::new(), Vec::new()];
    thread::scope(|scope| {
        for caller in 0..CALLERS {
            let (questions, models, tally) = (&questions, &models, &tally);
            scope.spawn(move || call(questions, models, tally, caller));
        }
        let result = (0..kills).try_for_each(|kill| {
            let (answered, serving) = outage(&pool, &models, &questions, kill)
                .with_context(|| format!("after {kill} of {kills} kills with {workers} workers"))?;
            outages[0].push(answered);
            outages[1].push(serving);
            Ok::<_, anyhow::Error>(())
        });
        tally.over.store(true, Ordering::Relaxed);
        result
    })?;
    let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let (sent, right, wrong, failed) =
        (get(&tally.sent), get(&tally.right), get(&tally.wrong), get(&tally.failed));
    let lost = sent - right - wrong;
    let place = format!("{kills} kills, {workers} workers");
    let mut add = |what: &str, unit, value| {
        figures.push(Figure { suite: "kills", what: format!("{place}, {what}"), unit, value, range: None });
    };
    add("requests", "", sent as f64);
    add("lost", "", lost as f64);
    add("of them with an error", "", failed as f64);
    add("wrong", "", wrong as f64);
    for (mut times, what) in
        outages.into_iter().zip(["an answer to a new request", "the worker serving again"])
    {
        times.sort_by(f64::total_cmp);
        add(&format!("until {what}, median"), "ms", crate::quantile(&times, 0.5));
        add(&format!("until {what}, longest"), "ms", times[times.len() - 1]);
    }
    let starts: u64 = pool.statistics().workers.iter().map(|worker| worker.starts).sum();
    anyhow::ensure!(
        starts as usize == workers + kills,
        "{starts} starts of {workers} workers after {kills} kills"
    );
    Ok(lost == 0 && wrong == 0)
}

fn questions(specs: &[ModelSpec]) -> Result<Vec<Question>> {
    let engine = engine(1, specs)?;
    let mut rng = rng();
    let mut questions = Vec::new();
    for (model, spec) in specs.iter().enumerate() {
        let here = engine.model(&spec.name).context("loaded")?;
        let width = here.signature().inputs[0].elements;
        for _ in 0..INPUTS {
            let samples = if rng.random_bool(0.2) { 64 } else { rng.random_range(1..=4) };
            let x = input(&mut rng, samples, width);
            let answer = here.infer([("x", x.clone())])?.single();
            questions.push(Question { model, x, answer });
        }
    }
    Ok(questions)
}

/// Sends requests, by turns blocking and with tickets, until it is over.
fn call(questions: &[Question], models: &[Model], tally: &Tally, caller: u64) {
    let mut rng = rng();
    rng.set_stream(caller + 1);
    let count = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed);
    let judge = |question: &Question, answer: Result<Outputs, String>| match answer {
        Ok(outputs) if outputs["y"] == question.answer => count(&tally.right),
        Ok(_) => count(&tally.wrong),
        Err(error) => {
            println!("a request failed: {error}");
            count(&tally.failed)
        }
    };
    while !tally.over.load(Ordering::Relaxed) {
        let mut draw = || &questions[rng.random_range(0..questions.len())];
        let question = draw();
        let request = |question: &Question| Request::new([("x", question.x.clone())]);
        count(&tally.sent);
        let answer = models[question.model].infer(request(question));
        judge(question, answer.map_err(|error| error.to_string()));
        let tickets: Vec<_> = (0..4)
            .map(|_| {
                let question = draw();
                count(&tally.sent);
                (question, models[question.model].submit(request(question)))
            })
            .collect();
        for (question, ticket) in tickets {
            let answer = match ticket {
                Ok(ticket) => match ticket.wait_timeout(PATIENCE) {
                    Ok(answer) => answer.map_err(|error| error.to_string()),
                    Err(_) => Err(format!("no answer in {PATIENCE:?}")),
                },
                Err(refusal) => Err(refusal.to_string()),
            };
            judge(question, answer);
        }
    }
}

/// Kills a worker, and says in how many milliseconds a new request was answered, and the worker served again.
fn outage(pool: &WorkerPool, models: &[Model], questions: &[Question], kill: usize) -> Result<(f64, f64)> {
    let mut rng = rng();
    rng.set_stream(1000 + kill as u64);
    thread::sleep(Duration::from_micros(rng.random_range(0..50_000)));
    let count = pool.statistics().workers.len();
    let victim = rng.random_range(0..count);
    let before = pool.statistics().workers[victim].clone();
    let process = before.process.context("every worker serves")?;
    let process = Pid::from_raw(process.cast_signed()).context("a process")?;
    let start = Instant::now();
    kill_process(process, Signal::KILL)?;
    let question = &questions[rng.random_range(0..questions.len())];
    models[question.model].infer([("x", question.x.clone())])?;
    let answered = start.elapsed();
    while pool.statistics().workers[victim].starts == before.starts {
        anyhow::ensure!(start.elapsed() < PATIENCE, "worker {victim} is not back");
        thread::sleep(Duration::from_micros(500));
    }
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    Ok((ms(answered), ms(start.elapsed())))
}
