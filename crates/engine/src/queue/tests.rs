//! The queue against a list, and what it promises over time, in virtual time.

use std::collections::BTreeSet;

use paceline_device::BatchSizes;
use proptest::prelude::*;

use super::*;
use crate::ahead::Ahead;

const MS: Nanos = 1_000_000;
const SECOND: Nanos = 1000 * MS;

/// Costs of `fixed + each * samples`, in microseconds.
fn costs(max: usize, fixed: Nanos, each: Nanos) -> CostTable {
    let mut costs = CostTable::new(&BatchSizes::UpTo(max), max, 1);
    (1..=max).for_each(|samples| costs.record(samples, 1, (fixed + each * samples as Nanos) * 1000));
    costs
}

fn line(model: usize, max_samples: usize) -> LineOptions {
    LineOptions { model, max_samples, late: Late::Reject, max_delay: 0 }
}

fn arrival(now: Nanos, priority: i8) -> Arrival {
    Arrival { samples: 1, bytes: 8, deadline: NEVER, priority, now }
}

fn load() -> Load {
    Load { lanes: 1, busy: 1, waiting: 0, running: 64 }
}

#[derive(Clone, Debug)]
enum Op {
    Push { line: usize, samples: usize, timeout: Option<Nanos>, priority: i8 },
    Take { after: Nanos, running: usize },
    Withdraw { index: usize },
    WithdrawRequest { index: usize, count: u64 },
    Retire { line: usize },
    AddLine { model: usize },
    AddModel { weight: u32 },
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (0usize..8, 1usize..=8, prop::option::of(0..30 * MS), any::<i8>())
            .prop_map(|(line, samples, timeout, priority)| Op::Push { line, samples, timeout, priority }),
        3 => (0..10 * MS, 0usize..40).prop_map(|(after, running)| Op::Take { after, running }),
        2 => (0usize..100).prop_map(|index| Op::Withdraw { index }),
        1 => (0usize..100, 1u64..4).prop_map(|(index, count)| Op::WithdrawRequest { index, count }),
        1 => (0usize..8).prop_map(|line| Op::Retire { line }),
        1 => (0usize..4).prop_map(|model| Op::AddLine { model }),
        1 => (0u32..4).prop_map(|weight| Op::AddModel { weight }),
    ]
}

/// What a list knows of an entry.
#[derive(Clone, Copy, Debug)]
struct Known {
    line: usize,
    key: Key,
    samples: usize,
    bytes: usize,
}

/// The queue and the list.
struct Pair {
    queue: Queue<u64>,
    list: Vec<Known>,
    ended: BTreeSet<u64>,
    /// By line: its model, and whether it is retired.
    lines: Vec<Option<(usize, bool)>>,
    models: usize,
    now: Nanos,
}

impl Pair {
    fn apply(&mut self, op: Op) {
        match op {
            Op::AddModel { weight } => {
                assert_eq!(self.queue.add_model(weight), self.models);
                self.models += 1;
            }
            Op::AddLine { model } => {
                let model = model % self.models;
                let added = self.queue.add_line(line(model, 8), costs(8, 500, 100));
                self.lines.resize(self.lines.len().max(added + 1), None);
                assert!(self.lines[added].is_none(), "a line in use is not given away");
                self.lines[added] = Some((model, false));
            }
            Op::Retire { line } => {
                let Some(Some((_, retired))) = self.lines.get_mut(line) else { return };
                *retired = true;
                let gone = self.queue.retire_line(line);
                assert_eq!(gone, self.list.iter().all(|known| known.line != line));
                if gone {
                    self.lines[line] = None;
                }
            }
            Op::Push { line, samples, timeout, priority } => {
                let Some(Some((_, false))) = self.lines.get(line) else { return };
                let deadline = timeout.map_or(NEVER, |timeout| self.now + timeout);
                let bytes = samples * 12;
                let arrival = Arrival { samples, bytes, deadline, priority, now: self.now };
                let number = self.queue.next_number();
                let key = self.queue.push(line, &arrival, 1, number);
                assert_eq!(key, Key { due: arrival.due(), number });
                self.list.push(Known { line, key, samples, bytes });
            }
            Op::Withdraw { index } => {
                let Some(&Known { line, key, .. }) = self.list.get(index) else {
                    assert_eq!(self.queue.withdraw(index, Key { due: 0, number: NEVER }), None);
                    return;
                };
                assert_eq!(self.queue.withdraw(line, key), Some(key.number));
                assert_eq!(self.queue.withdraw(line, key), None, "only once");
                self.end(&[key.number]);
            }
            Op::WithdrawRequest { index, count } => {
                let Some(&Known { line, key, .. }) = self.list.get(index) else { return };
                let numbers = key.number..key.number + count;
                let same = |known: &&Known| {
                    known.line == line && known.key.due == key.due && numbers.contains(&known.key.number)
                };
                let expected: Vec<u64> =
                    self.list.iter().filter(same).map(|known| known.key.number).collect();
                assert_eq!(self.queue.withdraw_all(line, key.due, numbers.clone()), expected);
                self.end(&expected);
            }
            Op::Take { after, running } => {
                self.now += after;
                self.take(Load { running, ..load() });
            }
        }
    }

    /// Takes one batch; whether there was something to take or to shed.
    fn take(&mut self, load: Load) -> bool {
        let (mut batch, mut shed) = (Vec::new(), Vec::new());
        let decision = self.queue.take_batch(load, self.now, &mut batch, &mut shed);
        let Decision::Take(take) = decision else {
            assert_eq!((decision, self.list.len()), (Decision::Idle, 0));
            return false;
        };
        let found = |number: &u64| *self.list.iter().find(|known| known.key.number == *number).unwrap();
        let taken: Vec<Known> = batch.iter().map(found).collect();
        assert!(
            taken
                .iter()
                .chain(&shed.iter().map(found).collect::<Vec<_>>())
                .all(|known| known.line == take.line)
        );
        assert!(taken.is_sorted_by_key(|known| known.key), "in the order in which they are due");
        assert_eq!(take.samples, taken.iter().map(|known| known.samples).sum::<usize>());
        self.end(&[batch, shed].concat());
        true
    }

    fn end(&mut self, numbers: &[u64]) {
        assert!(numbers.iter().all(|&number| self.ended.insert(number)), "nothing comes out twice");
        self.list.retain(|known| !numbers.contains(&known.key.number));
        for line in 0..self.lines.len() {
            let expected = matches!(self.lines[line], Some((_, true)))
                && self.list.iter().all(|known| known.line != line);
            assert_eq!(self.queue.collect(line), expected);
            if expected {
                self.lines[line] = None;
            }
        }
    }

    fn check(&self) {
        let (queue, list) = (&self.queue, &self.list);
        assert_eq!((queue.len(), queue.is_empty()), (list.len(), list.is_empty()));
        assert_eq!(queue.samples(), list.iter().map(|known| known.samples).sum::<usize>());
        assert_eq!(queue.bytes(), list.iter().map(|known| known.bytes).sum::<usize>());
        let lines = queue.lines.iter().flatten();
        assert_eq!(queue.backlog_ns, lines.map(|line| line.backlog_ns).sum::<Nanos>());
        for line in queue.lines.iter().flatten() {
            assert_eq!(line.backlog_ns, line.entries.values().map(|entry| entry.cost_ns).sum::<Nanos>());
            assert_eq!(line.samples, line.entries.values().map(|entry| entry.samples).sum::<usize>());
        }
        for (model, share) in queue.models.iter().enumerate() {
            let of_model = |known: &&Known| self.lines[known.line].is_some_and(|(of, _)| of == model);
            assert_eq!(share.waiting, list.iter().filter(of_model).count());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn it_holds_what_a_list_would(ops in prop::collection::vec(op(), 1..120), all_at_once in any::<bool>()) {
        let (queue, list, ended, lines) = (Queue::new(), Vec::new(), BTreeSet::new(), Vec::new());
        let mut pair = Pair { queue, list, ended, lines, models: 0, now: SECOND };
        pair.apply(Op::AddModel { weight: 1 });
        pair.apply(Op::AddLine { model: 0 });
        pair.apply(Op::AddLine { model: 0 });
        for op in ops {
            pair.apply(op);
            pair.check();
        }
        if all_at_once {
            let mut all = pair.queue.take_all();
            all.sort_unstable();
            let expected: Vec<u64> = pair.list.iter().map(|known| known.key.number).collect();
            assert_eq!(all, expected);
            pair.end(&all);
        } else {
            while pair.take(load()) {
                pair.check();
            }
        }
        pair.check();
        assert_eq!((pair.queue.backlog_ns, pair.ended.len() as u64), (0, pair.queue.next_number()));
    }
}

/// One lane that serves a queue in virtual time.
struct Lane {
    queue: Queue<&'static str>,
    now: Nanos,
    batch: Vec<&'static str>,
    /// By line.
    busy: Vec<Nanos>,
}

impl Lane {
    fn new(queue: Queue<&'static str>) -> Self {
        let busy = vec![0; queue.lines.len()];
        Lane { queue, now: 0, batch: Vec::new(), busy }
    }

    fn push(&mut self, line: usize, priority: i8, value: &'static str) {
        self.queue.push(line, &arrival(self.now, priority), 1, value);
    }

    /// Fills a line up to so many.
    fn flood(&mut self, line: usize, priority: i8, waiting: usize) {
        while self.queue.lines[line].as_ref().is_some_and(|line| line.entries.len() < waiting) {
            self.push(line, priority, "flood");
        }
    }

    /// Executes one batch, `factor` times as long as predicted.
    fn step(&mut self, factor: f64) -> Take {
        self.batch.clear();
        match self.queue.take_batch(load(), self.now, &mut self.batch, &mut Vec::new()) {
            Decision::Take(take) => {
                let took = (take.predicted as f64 * factor) as Nanos;
                self.queue.executed(take.line, take.samples, 1, take.predicted, took);
                self.now += took;
                self.busy[take.line] += took;
                take
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_flood_of_the_highest_priority_does_not_starve_the_lowest() {
    // The flood goes to the same line, to another shape of the model, and to another model.
    for (flooded, started) in [(0, 0), (0, 100), (1, 0), (1, 100), (2, 100)] {
        let mut queue = Queue::new();
        let models = [queue.add_model(1), queue.add_model(1)];
        let lines = [models[0], models[0], models[1]]
            .map(|model| queue.add_line(line(model, 8), costs(8, 2_000, 1_000)));
        let mut lane = Lane::new(queue);
        lane.now = started * SECOND;
        for _ in 0..10 {
            lane.flood(lines[flooded], i8::MAX, 64);
            lane.step(1.0);
        }
        lane.push(lines[0], i8::MIN, "low");
        let start = lane.now;
        while !lane.batch.contains(&"low") {
            lane.flood(lines[flooded], i8::MAX, 64);
            lane.step(1.0);
            assert!(lane.now - start <= 255 * PRIORITY_STEP_NS + PATIENCE_NS, "starved by line {flooded}");
        }
        let waited = lane.now - start;
        match flooded {
            2 => assert!(waited < SECOND, "another model's priorities are its own affair: {waited}"),
            _ => assert!(waited > 254 * PRIORITY_STEP_NS, "the flood was to overtake: {waited}"),
        }
    }
}

#[test]
fn models_that_always_have_work_get_the_lanes_by_their_weights() {
    // Weights, and times of a batch: one model is slow, and lanes take longer or shorter than predicted.
    let cases: [&[(u32, Nanos)]; 3] =
        [&[(1, 500), (1, 20_000)], &[(1, 1_000), (2, 3_000), (5, 10_000)], &[(3, 40), (1, 40)]];
    for models in cases {
        let mut queue = Queue::new();
        for &(weight, fixed) in models {
            let model = queue.add_model(weight);
            queue.add_line(line(model, 8), costs(8, fixed, 10));
        }
        let mut lane = Lane::new(queue);
        for step in 0..3000 {
            (0..models.len()).for_each(|line| lane.flood(line, 0, 32));
            lane.step([0.6, 1.0, 1.7, 0.9][step % 4]);
        }
        let (total, weights) = (lane.busy.iter().sum::<Nanos>(), models.iter().map(|m| m.0).sum::<u32>());
        for (line, &(weight, _)) in models.iter().enumerate() {
            let (got, fair) = (lane.busy[line] as f64 / total as f64, f64::from(weight) / f64::from(weights));
            assert!(
                (got / fair - 1.0).abs() < 0.05,
                "line {line} of {models:?} had {got:.3} instead of {fair:.3}"
            );
        }
    }
}

#[test]
fn a_model_saves_up_no_share_while_it_has_no_work() {
    // Whether the other one's requests wait, or are executed by their callers.
    for inline in [false, true] {
        let mut queue = Queue::new();
        for _ in 0..2 {
            let model = queue.add_model(1);
            queue.add_line(line(model, 8), costs(8, 1_000, 10));
        }
        let mut lane = Lane::new(queue);
        while lane.now < 10 * SECOND {
            if inline {
                lane.queue.charge(0, MS);
                lane.queue.executed(0, 1, 1, MS, MS);
                lane.now += MS;
            } else {
                lane.flood(0, 0, 32);
                lane.step(1.0);
            }
        }
        let before = lane.busy[0];
        for _ in 0..100 {
            lane.flood(0, 0, 32);
            lane.flood(1, 0, 32);
            lane.step(1.0);
        }
        let (first, second) = (lane.busy[0] - before, lane.busy[1]);
        assert!((0.9..1.1).contains(&(first as f64 / second as f64)), "{first} against {second}, {inline}");
    }
}

#[test]
fn two_interleaved_shapes_both_form_full_batches() {
    let mut queue = Queue::new();
    let model = queue.add_model(1);
    (0..2).for_each(|_| _ = queue.add_line(line(model, 8), costs(8, 1_000, 10)));
    let mut lane = Lane::new(queue);
    for i in 0..128 {
        lane.push(i % 2, 0, ["even", "odd"][i % 2]);
    }
    for _ in 0..16 {
        let take = lane.step(1.0);
        assert_eq!((take.samples, take.release), (8, crate::statistics::Release::Full));
        assert!(lane.batch.iter().all(|&value| value == ["even", "odd"][take.line]));
    }
    assert!(lane.queue.is_empty());
}

#[test]
fn an_entry_is_due_at_its_deadline_or_after_its_patience_shifted_by_its_priority() {
    let now = 20 * SECOND;
    let cases = [
        (NEVER, 0, now + SECOND),
        (now + 5 * SECOND, 0, now + SECOND),
        (now + MS, 0, now + MS),
        (NEVER, 3, now + SECOND - 300 * MS),
        (now + MS, -2, now + MS + 200 * MS),
        (NEVER, i8::MAX, now + SECOND - 12_700 * MS),
        (NEVER, i8::MIN, now + SECOND + 12_800 * MS),
        (0, 1, 0),
    ];
    for (deadline, priority, due) in cases {
        assert_eq!(Arrival { deadline, ..arrival(now, priority) }.due(), due, "{deadline} {priority}");
    }
    assert_eq!(Arrival { now: NEVER, ..arrival(0, -1) }.due(), NEVER);
}

#[test]
fn admission_says_what_is_full_and_when_to_come_back() {
    let mut queue = Queue::new();
    let model = queue.add_model(1);
    // Eight samples in 8 ms: 1 ms each.
    let line = queue.add_line(line(model, 8), costs(8, 0, 1_000));
    (0..20).for_each(|_| _ = queue.push(line, &arrival(0, 0), 1, ()));
    let bounds = Bounds { samples: 25, bytes: 1000, time: SECOND };
    let request = Arrival { samples: 4, ..arrival(0, 0) };
    let mut admit = |request: Arrival, bounds: Bounds, lanes: usize, ahead: Nanos| {
        let ahead = (0..lanes).map(|_| ahead).collect();
        queue.admit(line, &request, &bounds, Load { lanes, ..load() }, &ahead).map(drop)
    };
    assert_eq!(admit(request, bounds, 1, 0), Ok(()));
    let samples = admit(Arrival { samples: 6, ..request }, bounds, 1, 0);
    assert_eq!(samples, Err(Overload::Samples { queued: 20, limit: 25, retry_after: MS }));
    let bytes = admit(Arrival { bytes: 8, ..request }, Bounds { bytes: 160, ..bounds }, 1, 0);
    assert_eq!(bytes, Err(Overload::Bytes { queued: 160, limit: 160, retry_after: MS }));
    let time = Bounds { time: 15 * MS, ..bounds };
    let expected = Overload::Time { predicted: 20 * MS, limit: 15 * MS, retry_after: 5 * MS };
    assert_eq!(admit(request, time, 1, 0), Err(expected));
    assert_eq!(admit(request, time, 2, 0), Ok(()), "two lanes need half the time");
    assert!(
        matches!(admit(request, time, 2, 6 * MS), Err(Overload::Time { .. })),
        "so much is executed first"
    );
    let soon = Arrival { deadline: 3 * MS, ..request };
    assert!(matches!(admit(soon, bounds, 1, 0), Err(Overload::Deadline { left, .. }) if left == 3 * MS));
    let urgent = Arrival { deadline: 25 * MS, ..request };
    assert_eq!(admit(urgent, bounds, 1, 0), Ok(()), "what is due later does not count");
    assert!(matches!(
        admit(Arrival { priority: -20, ..urgent }, bounds, 1, 0),
        Err(Overload::Deadline { .. })
    ));
}

#[test]
fn costs_that_are_wrong_do_not_refuse_every_request_for_ever() {
    let mut queue = Queue::new();
    let model = queue.add_model(1);
    // Measured while something else had the machine: a second for each sample.
    let line = queue.add_line(line(model, 8), costs(8, 0, 1_000_000));
    let mut accepted = 0;
    for i in 0..1000 {
        let now = i * 10 * MS;
        let request = Arrival { deadline: now + 5 * MS, ..arrival(now, 0) };
        let idle = Load { lanes: 1, ..Load::default() };
        let bounds = Bounds { samples: 100, bytes: 1000, time: SECOND };
        let Ok(admitted) = queue.admit(line, &request, &bounds, idle, &Ahead::default()) else { continue };
        accepted += 1;
        queue.push(line, &admitted, 1, ());
        let (mut batch, mut shed) = (Vec::new(), Vec::new());
        let decision = queue.take_batch(Load { busy: 1, ..idle }, now, &mut batch, &mut shed);
        let Decision::Take(take) = decision else { panic!("{decision:?}") };
        assert_eq!((batch.len(), shed.len()), (1, 0), "what was accepted is executed");
        queue.executed(line, take.samples, 1, take.predicted, MS);
    }
    assert!(accepted > 300, "{accepted} of 1000 were accepted");
}
