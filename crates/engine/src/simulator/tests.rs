//! What must hold in every scenario, and what the policy is for.

use paceline_device::BatchSizes;

use super::world::{End, History};
use super::{Report, Scenario, scenarios};
use crate::clock::{NEVER, Nanos};
use crate::cost::CostTable;
use crate::decide::{Decision, Late, Load};
use crate::queue::{Arrival, LineOptions, PRIORITY_STEP_NS, Queue};

const MS: Nanos = 1_000_000;

fn scenario(name: &str) -> Scenario {
    scenarios().into_iter().find(|scenario| scenario.name == name).expect(name)
}

fn paceline(name: &str) -> Report {
    scenario(name).run_paceline(3).1
}

/// The engine's report, and the first of a scheduler whose name begins so.
fn beside(name: &str, rival: &str) -> (Report, Report) {
    let mut reports = scenario(name).run(3);
    let rival = reports.iter().position(|report| report.scheduler.starts_with(rival)).expect(rival);
    (reports.remove(0), reports.remove(rival - 1))
}

#[test]
fn every_request_ends_exactly_once_and_no_lane_idles_while_one_waits() {
    for mut scenario in scenarios() {
        scenario.horizon /= 4;
        let (history, report) = scenario.run_paceline(7);
        assert!(!history.ended_twice, "{}", scenario.name);
        assert!(!history.idled, "{}", scenario.name);
        let lost = history.ends.iter().filter(|end| end.is_none()).count();
        assert_eq!(lost, 0, "{}", scenario.name);
        let all = report.all;
        assert_eq!(all.offered, all.answered + all.refused + all.shed, "{}", scenario.name);
        assert!(all.answered > 100, "{}", scenario.name);
    }
}

#[test]
fn the_same_seed_gives_the_same_figures() {
    let mut scenario = scenario("large");
    scenario.horizon /= 20;
    let figures = |seed| format!("{:?}", scenario.run(seed));
    assert_eq!(figures(5), figures(5));
    assert_ne!(figures(5), figures(6));
}

#[test]
fn low_priority_waits_no_longer_than_its_weight_says() {
    let scenario = scenario("priorities");
    let (history, report) = scenario.run_paceline(3);
    let History { requests, ends, .. } = &history;
    let answered = |number: usize| match ends[number] {
        Some(End::Answered { at }) => at,
        _ => Nanos::MAX,
    };
    // The first answer of all of high priority that came after a request.
    let mut first_after = vec![Nanos::MAX; requests.len() + 1];
    for number in (0..requests.len()).rev() {
        let at = if requests[number].priority > 0 { answered(number) } else { Nanos::MAX };
        first_after[number] = first_after[number + 1].min(at);
    }
    // Beside the two steps between them, the time of two batches that run side by side.
    let overtaken_for = 2 * PRIORITY_STEP_NS + 15 * MS;
    let mut waited = 0;
    for number in (0..requests.len()).filter(|&number| requests[number].priority < 0) {
        let Some(End::Answered { at }) = ends[number] else { continue };
        let later =
            requests.partition_point(|request| request.arrived < requests[number].arrived + overtaken_for);
        assert!(first_after[later] >= at, "overtaken for too long: {number}");
        waited = waited.max(at - requests[number].arrived);
    }
    assert!(waited > 2 * PRIORITY_STEP_NS, "nothing was overtaken");
    let low = |report: &Report| report.classes[1].max_us;
    let (_, strict) = beside("priorities", "triton 0.0 ms, priorities");
    assert!(2.0 * low(&report) < low(&strict), "{} against {}", low(&report), low(&strict));
}

#[test]
fn a_batch_takes_more_than_its_share_of_what_costs_no_time() {
    // Flat up to `flat` samples, then twice as long at 16. Of 12 that wait, two lanes leave each other a third.
    for (flat, taken) in [(1, 4), (4, 4), (6, 6), (8, 8), (15, 12)] {
        let (sizes, mut queue) = (BatchSizes::UpTo(16), Queue::new());
        let mut costs = CostTable::new(&sizes, 16, 2);
        for (samples, us) in [(1, 100), (flat, 100), (16, 200)] {
            costs.record(samples, 1, us * 1000);
        }
        let model = queue.add_model(1);
        let (late, max_delay, max_samples) = (Late::Reject, 0, 16);
        let line = queue.add_line(LineOptions { model, max_samples, late, max_delay }, costs);
        for number in 0..12 {
            let arrival = Arrival { samples: 1, bytes: 4, deadline: NEVER, priority: 0, now: number };
            queue.push(line, &arrival, 1, number);
        }
        let load = Load { lanes: 2, busy: 1, ..Load::default() };
        let (mut batch, mut shed) = (Vec::new(), Vec::new());
        let decision = queue.take_batch(load, 20, &mut batch, &mut shed);
        let Decision::Take(take) = decision else { panic!("{decision:?}") };
        assert_eq!(take.samples, taken, "flat up to {flat}");
    }
}

#[test]
fn models_share_the_lanes_by_weight() {
    let report = paceline("models");
    let (_, fast) = report.shares[0];
    assert!((0.95 * 0.75..1.05 * 0.75).contains(&fast), "{fast}");
    assert!(0.95 * 0.25 < report.shares[1].1);
}

#[test]
fn a_slow_model_does_not_starve_a_fast_one() {
    let (ours, fifo) = beside("trickle", "triton 0.0 ms");
    let [fast, slow] = &ours.classes[..] else { unreachable!("two streams") };
    assert_eq!(fast.offered, fast.answered);
    // One batch of the slow model, which nobody can interrupt, and its own.
    assert!(fast.p99_us < 8_000.0 && fast.max_us < 16_000.0, "{fast:?}");
    assert!(slow.throughput > 0.95 * fifo.classes[1].throughput, "{slow:?}");
}

#[test]
fn two_shapes_both_form_batches() {
    let (ours, prefix) = beside("shapes", "triton 0.0 ms");
    assert!(ours.all.throughput > 5.0 * prefix.all.throughput);
    assert!(ours.all.throughput > 0.85 * ours.capacity, "{ours:?}");
}

#[test]
fn little_load_costs_no_time() {
    let lone = paceline("lone").all.p99_us;
    for name in ["low-1-lane", "low-2-lanes", "low-4-lanes"] {
        let (ours, window) = beside(name, "window");
        let median = ours.all.p50_us;
        assert!(median < 1.02 * lone, "{name}: {median} against {lone}");
        assert!(window.all.p99_us > 5_000.0 + median, "{name}");
    }
    let four = paceline("low-4-lanes").all.p99_us;
    assert!(four < 1.1 * lone, "{four} against {lone}");
}

#[test]
fn large_requests_among_singles_do_not_hold_them_up() {
    let singles = paceline("singles").all.p99_us;
    let among_large = paceline("large").classes[0].p99_us;
    assert!(among_large < 1.3 * singles, "{among_large} against {singles}");
}

#[test]
fn overload_does_not_make_answers_late() {
    for name in ["overload-1.5", "overload-3", "gpu-overload"] {
        let (ours, window) = beside(name, "window");
        assert!(ours.all.goodput > 0.93 * ours.capacity, "{name}: {ours:?}");
        assert!(window.all.goodput < 0.1 * ours.capacity, "{name}");
        let late = ours.all.answered - ours.all.in_time + ours.all.shed;
        assert!(late < ours.all.answered / 100, "{name}: {late} of {}", ours.all.answered);
    }
}

#[test]
fn closed_loops_keep_the_lanes_busy() {
    for name in ["callers", "tickets", "tickets-8-lanes"] {
        let report = paceline(name);
        assert!(report.all.throughput > 0.92 * report.capacity, "{name}: {report:?}");
        assert!(report.occupancy > 0.99, "{name}");
    }
}

#[test]
fn a_machine_that_becomes_slower_is_noticed() {
    let (ours, window) = beside("slower", "window");
    // 80 % of capacity in the first half, and in the second all of the half that is left.
    assert!(ours.all.goodput > 0.93 * ours.capacity * (0.8 + 0.5) / 2.0, "{ours:?}");
    assert!(window.all.goodput < 0.7 * ours.all.goodput);
}
