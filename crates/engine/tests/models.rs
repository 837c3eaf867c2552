//! Several models beside each other: loading, replacing and unloading under load, shapes, shares, and the measuring of costs.
#![cfg(not(loom))]

mod common;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use common::{
    Counted, WIDTH, balance, check, engine, eventually, gated, in_time, input, occupy,
    silence_scripted_panics,
};
use paceline_device::fake::{FakeProgram, Gate, Latency, Outcome, rows};
use paceline_device::{BatchSizes, DeviceError, Program};
use paceline_engine::{
    Engine, ExecutionError, InferError, LoadError, LoadOptions, Model, Request, SubmitError, WarmUp,
};
use paceline_graph::Tensor;

fn plain() -> FakeProgram {
    FakeProgram::new(rows(WIDTH))
}

fn sleeping(fixed: Duration) -> FakeProgram {
    plain().latency(Latency::sleep(fixed, Duration::ZERO))
}

fn unmeasured(lanes: usize) -> Engine {
    Engine::builder().lanes(lanes).warm_up(Duration::ZERO).build().unwrap()
}

/// Calls the model from four threads, in every way, while `body` runs; how many requests were answered.
fn under_load(model: &Model, body: impl FnOnce()) -> u64 {
    let (done, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        for caller in 0..4u64 {
            let (done, answered) = (&done, &answered);
            scope.spawn(move || {
                for i in (0..).take_while(|_| !done.load(Ordering::Relaxed)) {
                    let (first, samples) = ((caller * 1000 + i % 1000) as f32, 1 + i as usize % 3);
                    let x = [("x", input(first, samples))];
                    let outputs = match i % 2 {
                        0 => model.infer(x).unwrap(),
                        _ => model.submit(x).unwrap().wait().unwrap(),
                    };
                    check(&outputs, first, samples);
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        body();
        done.store(true, Ordering::Relaxed);
    });
    answered.into_inner()
}

#[test]
fn replacing_under_load_loses_nothing_and_closes_the_old_sessions() {
    let engine = unmeasured(2);
    let first = Counted::new(sleeping(Duration::from_micros(50)), Duration::ZERO);
    let model = engine.load("m", first.clone()).unwrap();
    let mut versions = vec![first];
    let answered = under_load(&model, || {
        for number in 2..=20 {
            thread::sleep(Duration::from_millis(2));
            let next = Counted::new(sleeping(Duration::from_micros(50)), Duration::ZERO);
            assert_eq!(
                engine.replace("m", [next.clone() as _], LoadOptions::new()).unwrap().version(),
                Some(number)
            );
            versions.push(next);
        }
    });
    engine.drain();
    balance(&model);
    assert_eq!((model.statistics().completed, model.statistics().failed), (answered, 0));
    let latest = versions.pop().unwrap();
    for (number, old) in versions.iter().enumerate() {
        eventually(|| old.open_sessions() == 0);
        assert!(number == 0 || Arc::strong_count(old) == 1, "version {number} is kept");
    }
    assert_eq!(latest.open_sessions(), 2);
}

#[test]
fn what_was_accepted_is_executed_by_the_old_version_and_the_rest_by_the_new() {
    let gate = Gate::new();
    let (engine, _) = engine(1, &Arc::new(plain()));
    let old = Arc::new(gated(&gate).batch_sizes(BatchSizes::UpTo(4)));
    let model = engine.load("m", old.clone()).unwrap();
    let held = occupy(&model, &gate);
    let before: Vec<_> = (0..3).map(|i| model.submit([("x", input(i as f32, 1))]).unwrap()).collect();
    let new = Arc::new(gated(&gate).batch_sizes(BatchSizes::UpTo(8)));
    let same = engine.replace("m", [new.clone() as _], LoadOptions::new()).unwrap();
    let after: Vec<_> = (3..5).map(|i| model.submit([("x", input(i as f32, 1))]).unwrap()).collect();
    gate.open();
    assert!(held.wait().is_ok());
    for (i, ticket) in before.into_iter().chain(after).enumerate() {
        check(&ticket.wait().unwrap(), i as f32, 1);
    }
    check(&same.infer([("x", input(5.0, 1))]).unwrap(), 5.0, 1);
    let firsts = |program: &FakeProgram| -> Vec<f64> {
        program.records().into_iter().flat_map(|record| record.execution.firsts).collect()
    };
    assert_eq!((firsts(&old), firsts(&new)), (vec![-1.0, 0.0, 1.0, 2.0], vec![3.0, 4.0, 5.0]));
    assert_eq!((model.version(), model.statistics().accepted), (Some(2), 7));
}

#[test]
fn an_old_version_goes_also_when_all_that_waited_for_it_expired_or_was_cancelled() {
    for cancelled in [false, true] {
        let gate = Gate::new();
        let (engine, blocker) = engine(1, &Arc::new(gated(&gate)));
        let old = Counted::new(plain(), Duration::ZERO);
        let model = engine.load("m", old.clone()).unwrap();
        let held = occupy(&blocker, &gate);
        let request = Request::new([("x", input(1.0, 1))]).timeout(Duration::from_millis(100));
        let waiting = model.submit(request).unwrap();
        engine.replace("m", [Arc::new(plain()) as _], LoadOptions::new()).unwrap();
        assert_eq!(old.open_sessions(), 1, "something waits for it");
        if cancelled {
            drop(waiting);
        } else {
            thread::sleep(Duration::from_millis(101));
            gate.open();
            assert!(matches!(waiting.wait(), Err(ExecutionError::Expired { .. })));
        }
        eventually(|| old.open_sessions() == 0);
        gate.open();
        assert!(held.wait().is_ok());
        balance(&model);
    }
}

#[test]
fn what_cannot_replace_a_model_says_why_and_changes_nothing() {
    let (engine, model) = engine(2, &Arc::new(plain().batch_sizes(BatchSizes::UpTo(16))));
    let replace = |name, programs: Vec<FakeProgram>| {
        let programs = programs.into_iter().map(|program| Arc::new(program) as Arc<dyn Program>);
        engine.replace(name, programs, LoadOptions::new()).map(drop).unwrap_err()
    };
    let small = plain().batch_sizes(BatchSizes::UpTo(8));
    let shut = plain().on_open(|_| Err(DeviceError::OutOfMemory { bytes: 1 }));
    assert!(
        matches!(replace("other", vec![plain()]), LoadError::NoSuchModel { models, .. } if models == ["fake"])
    );
    assert!(matches!(replace("fake", vec![]), LoadError::NoProgram { .. }));
    assert!(matches!(replace("fake", vec![small]), LoadError::Differs { program: 0, .. }));
    let wide = || FakeProgram::new(rows(WIDTH + 1));
    assert!(matches!(replace("fake", vec![wide()]), LoadError::Differs { program: 0, .. }));
    assert!(matches!(replace("fake", vec![plain(), wide()]), LoadError::Differs { program: 1, .. }));
    assert!(matches!(replace("fake", vec![plain(), plain()]), LoadError::Differs { program: 1, .. }));
    assert!(matches!(replace("fake", vec![shut]), LoadError::Session { lane: 0, .. }));
    assert_eq!(model.version(), Some(1));
    check(&model.infer([("x", input(1.0, 1))]).unwrap(), 1.0, 1);
    engine.drain();
    assert!(matches!(replace("fake", vec![plain()]), LoadError::Draining { .. }));
}

#[test]
fn unloading_refuses_what_comes_and_serves_what_waits() {
    let gate = Gate::new();
    let (engine, blocker) = engine(1, &Arc::new(gated(&gate)));
    let program = Counted::new(plain(), Duration::ZERO);
    let model = engine.load("m", program.clone()).unwrap();
    let held = occupy(&blocker, &gate);
    let waiting = model.submit([("x", input(1.0, 2))]).unwrap();
    assert!(engine.unload("m") && !engine.unload("m"));
    assert!(engine.model("m").is_none() && model.version().is_none());
    let refused = model.submit([("x", input(2.0, 1))]).unwrap_err();
    assert!(matches!(&refused, SubmitError::Unloaded { model, .. } if model == "m"), "{refused}");
    assert_eq!(
        (refused.retry_after(), refused.into_inputs()),
        (None, vec![("x".to_string(), input(2.0, 1))])
    );
    let again = engine.load("m", Arc::new(plain())).unwrap();
    gate.open();
    check(&waiting.wait().unwrap(), 1.0, 2);
    assert!(held.wait().is_ok());
    check(&again.infer([("x", input(3.0, 1))]).unwrap(), 3.0, 1);
    let refused = model.infer([("x", input(4.0, 1))]).unwrap_err();
    assert!(matches!(refused, InferError::Refused(SubmitError::Unloaded { .. })), "on an idle engine too");
    eventually(|| program.open_sessions() == 0);
    balance(&model);
    assert_eq!((model.statistics().completed, model.statistics().refused.unloaded), (1, 2));
    assert_eq!(again.statistics().accepted, 1, "a new model counts for itself");
    assert_eq!((model.predicted_cost(1, 1), model.useful_batches(1)), (None, vec![]));
}

#[test]
fn what_waits_for_company_is_served_when_its_model_goes_or_is_replaced() {
    for is_replaced in [false, true] {
        let engine = unmeasured(2);
        let options = || LoadOptions::new().max_queue_delay(Duration::from_secs(1000));
        let model = engine.load_with("patient", [Arc::new(plain()) as _], options()).unwrap();
        let tickets: Vec<_> = (0..3).map(|_| model.submit([("x", input(1.0, 1))]).unwrap()).collect();
        if is_replaced {
            engine.replace("patient", [Arc::new(plain()) as _], options()).unwrap();
        } else {
            engine.unload("patient");
        }
        in_time(|| tickets.into_iter().for_each(|ticket| check(&ticket.wait().unwrap(), 1.0, 1)));
    }
}

#[test]
fn models_are_loaded_and_unloaded_while_others_run() {
    let (engine, model) = engine(2, &Arc::new(sleeping(Duration::from_micros(50))));
    let answered = under_load(&model, || {
        for i in 0..40 {
            let options = LoadOptions::new().warm_up(Duration::from_micros(500));
            let other = engine.load_with("other", [Arc::new(plain()) as _], options).unwrap();
            check(&other.infer([("x", input(i as f32, 1))]).unwrap(), i as f32, 1);
            let waiting = other.submit([("x", input(i as f32, 2))]).unwrap();
            assert!(engine.unload("other"));
            check(&waiting.wait().unwrap(), i as f32, 2);
        }
    });
    engine.drain();
    balance(&model);
    assert_eq!(model.statistics().completed, answered);
}

#[test]
fn two_shapes_both_form_full_batches_and_never_share_one() {
    let gate = Gate::new();
    let (engine, blocker) = engine(1, &Arc::new(gated(&gate)));
    let program = |width| Arc::new(FakeProgram::new(rows(width)).batch_sizes(BatchSizes::UpTo(8)).recorded());
    let programs = [program(2), program(5)];
    let model =
        engine.load_with("shapes", programs.clone().map(|program| program as _), LoadOptions::new()).unwrap();
    let held = occupy(&blocker, &gate);
    let tickets: Vec<_> = (0..32)
        .map(|i| {
            let width = if i % 2 == 0 { 2 } else { 5 };
            let x = Tensor::new([1, width], vec![i as f32; width]).unwrap();
            (model.submit([("x", x)]).unwrap(), vec![2.0 * i as f32 + 1.0; width])
        })
        .collect();
    gate.open();
    assert!(held.wait().is_ok());
    for (ticket, expected) in tickets {
        assert_eq!(ticket.wait().unwrap().single().as_f32().unwrap(), expected);
    }
    for program in programs {
        let sizes: Vec<usize> = program.records().iter().map(|record| record.execution.samples()).collect();
        assert_eq!(sizes, [8, 8]);
    }
    let x = Tensor::new([1, 3], vec![0.0; 3]).unwrap();
    assert!(matches!(model.submit([("x", x)]), Err(SubmitError::Invalid { .. })));
}

#[test]
fn models_have_the_lanes_time_by_their_weights() {
    let gate = Gate::new();
    let (engine, blocker) = engine(1, &Arc::new(gated(&gate)));
    let begun = Arc::new(Mutex::new(Vec::new()));
    let models = [1u32, 3].map(|weight| {
        let begun = Arc::clone(&begun);
        let program = sleeping(Duration::from_micros(400)).batch_sizes(BatchSizes::UpTo(1));
        let program = program.script(move |_| {
            begun.lock().unwrap().push((weight, Instant::now()));
            Outcome::Compute
        });
        let options = LoadOptions::new().weight(weight);
        engine.load_with(format!("weight {weight}"), [Arc::new(program) as _], options).unwrap()
    });
    let held = occupy(&blocker, &gate);
    let tickets: Vec<_> =
        (0..240).map(|i| models[i % 2].submit([("x", input(i as f32, 1))]).unwrap()).collect();
    gate.open();
    assert!(held.wait().is_ok() && tickets.into_iter().all(|ticket| ticket.wait().is_ok()));
    // The lane's time while both had work, which is not as many executions where one was off its core for a while.
    let begun = begun.lock().unwrap();
    let (mut spent, mut longest) = ([0.0; 2], 0.0);
    for pair in begun[..160].windows(2) {
        let ((weight, start), (_, end)) = (pair[0], pair[1]);
        let service = (end - start).as_secs_f64() / f64::from(weight);
        spent[usize::from(weight == 3)] += service;
        longest = f64::max(longest, service);
    }
    let [light, heavy] = spent;
    assert!((light - heavy).abs() < 0.2 * heavy + 2.0 * longest, "{spent:?} for their weights, {longest}");
}

#[test]
fn costs_are_measured_when_a_model_is_loaded() {
    let steps = Arc::new(Mutex::new(Vec::<WarmUp>::new()));
    let told = Arc::clone(&steps);
    let engine = Engine::builder().lanes(2).warm_up(Duration::ZERO).build().unwrap();
    let latency = Latency::sleep(Duration::from_micros(300), Duration::from_micros(100));
    let program = Arc::new(plain().latency(latency).batch_sizes(BatchSizes::UpTo(8)));
    let options = LoadOptions::new()
        .warm_up(Duration::from_millis(200))
        .progress(move |step| told.lock().unwrap().push(step));
    let model = engine.load_with("measured", [program.clone() as _], options).unwrap();
    for samples in [1, 4, 8] {
        let expected = Duration::from_micros(300 + 100 * samples as u64);
        let (mean, p99) = model.predicted_cost(samples, 1).unwrap();
        assert!(mean >= expected && p99 >= mean, "{samples} samples: {mean:?}, {p99:?}");
    }
    assert_eq!(model.predicted_cost(9, 1), None);
    assert!(model.useful_batches(1).last().is_some_and(|&size| size >= 4));
    let steps = steps.lock().unwrap();
    assert!(
        !steps.is_empty()
            && steps.iter().enumerate().all(|(i, step)| step.measured == i + 1 && step.sizes == 8)
    );
    assert!(steps.iter().is_sorted_by_key(|step| step.elapsed));
    let got = model.statistics();
    assert_eq!((got.accepted, got.executions), (0, 0), "measuring is nobody's request");
}

#[test]
fn measuring_no_time_measures_nothing_and_costs_are_learned() {
    let program = Arc::new(sleeping(Duration::from_micros(500)));
    let (_engine, model) = engine(2, &program);
    assert_eq!((program.executed(), model.predicted_cost(1, 1)), (0, None));
    assert!(model.infer([("x", input(1.0, 1))]).is_ok());
    assert!(model.predicted_cost(1, 1).unwrap().0 >= Duration::from_micros(500));
}

#[test]
fn a_device_that_fails_while_it_is_measured_is_loaded_all_the_same() {
    silence_scripted_panics();
    let faults = [
        || Outcome::Fail("scripted".into()),
        || Outcome::Lose("scripted".into()),
        || Outcome::Panic("scripted".into()),
    ];
    for fault in faults {
        let program =
            Arc::new(plain().script(move |e| if e.number == 0 { fault() } else { Outcome::Compute }));
        let engine = Engine::builder().lanes(2).warm_up(Duration::from_millis(20)).build().unwrap();
        let model = engine.load("m", program).unwrap();
        for _ in 0..10 {
            check(&model.infer([("x", input(1.0, 1))]).unwrap(), 1.0, 1);
            check(&model.submit([("x", input(1.0, 1))]).unwrap().wait().unwrap(), 1.0, 1);
        }
        assert_eq!(engine.statistics().retired, 0);
    }
}
