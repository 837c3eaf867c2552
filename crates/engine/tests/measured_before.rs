//! Costs and batches that were chosen before the engine was made.
#![cfg(not(loom))]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{WIDTH, check, engine, input};
use paceline_device::BatchSizes;
use paceline_device::fake::{FakeProgram, Outcome, rows};
use paceline_engine::{Engine, LoadOptions, MeasuredCost};

const MS: Duration = Duration::from_millis(1);

fn cost(samples: usize, busy: usize, ms: u32) -> MeasuredCost {
    MeasuredCost { samples, busy, mean: ms * MS, p99: 2 * ms * MS }
}

#[test]
fn an_engine_starts_from_costs_measured_before_and_does_not_measure() {
    let cases = [
        (vec![cost(1, 1, 4), cost(8, 1, 8), cost(8, 2, 12)], true),
        // No size that the program has: measured as ever.
        (vec![cost(9, 1, 4), cost(0, 1, 4)], false),
        (vec![], false),
    ];
    for (costs, are_used) in cases {
        let engine = Engine::builder().lanes(2).warm_up(20 * MS).build().unwrap();
        let program = Arc::new(FakeProgram::new(rows(WIDTH)).batch_sizes(BatchSizes::UpTo(8)));
        let options = LoadOptions::new().costs(0, costs.clone());
        let model = engine.load_with("fake", [program.clone() as _], options).unwrap();
        assert_eq!(program.executed() == 0, are_used, "{costs:?}: {} executions", program.executed());
        if are_used {
            assert_eq!(model.predicted_cost(1, 1), Some((4 * MS, 8 * MS)));
            assert_eq!(model.predicted_cost(8, 2), Some((12 * MS, 24 * MS)));
        } else {
            assert!(model.predicted_cost(1, 1).is_some_and(|(mean, _)| mean < 4 * MS));
        }
    }
}

#[test]
fn a_bucket_that_is_prepared_by_its_first_request_is_not_thought_slow_for_it() {
    let program = FakeProgram::new(rows(WIDTH)).batch_sizes(BatchSizes::Buckets(vec![1, 32]));
    let program = program.script(|execution| {
        if execution.number == 1 {
            std::thread::sleep(1000 * MS);
        }
        Outcome::Compute
    });
    let (_engine, model) = engine(1, &Arc::new(program));
    check(&model.infer([("x", input(1.0, 1))]).unwrap(), 1.0, 1);
    for _ in 0..2 {
        check(&model.infer([("x", input(1.0, 32))]).unwrap(), 1.0, 32);
        let (mean, _) = model.predicted_cost(32, 1).unwrap();
        assert!(mean < 500 * MS, "{mean:?}");
    }
}

#[test]
fn a_model_may_have_smaller_batches_than_its_program() {
    for (chosen, expected) in [(3, 3), (0, 1), (100, 8)] {
        let engine = Engine::builder().lanes(1).build().unwrap();
        let program = Arc::new(FakeProgram::new(rows(WIDTH)).batch_sizes(BatchSizes::UpTo(8)).recorded());
        let options = LoadOptions::new().max_batch(chosen).warm_up(Duration::ZERO);
        let model = engine.load_with("fake", [program.clone() as _], options).unwrap();
        assert_eq!(model.max_batch(), expected);
        check(&model.infer([("x", input(1.0, 8))]).unwrap(), 1.0, 8);
        let largest = program.records().iter().map(|record| record.execution.samples()).max();
        assert_eq!(largest, Some(expected));
    }
}
