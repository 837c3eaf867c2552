//! What must hold of every decision, and the choices that are meant, one a test.

use paceline_device::BatchSizes;
use proptest::prelude::*;

use super::*;

const NOW: Nanos = 10_000_000_000;
const MS: Nanos = 1_000_000;

/// A line that owns what it lends to [`Line`].
#[derive(Clone, Debug)]
struct Owned {
    service: Nanos,
    due: Nanos,
    since: Nanos,
    max_samples: usize,
    max_delay: Nanos,
    late: Late,
    costs: CostTable,
    entries: Vec<Entry>,
}

impl Owned {
    /// So many requests of one sample without deadlines, in a line that was never measured.
    fn singles(count: usize) -> Self {
        let entries = vec![Entry { samples: 1, deadline: NEVER }; count];
        Owned {
            service: 0,
            due: NOW,
            since: NOW,
            max_samples: 64,
            max_delay: 0,
            late: Late::Reject,
            costs: CostTable::new(&BatchSizes::UpTo(64), 64, 2),
            entries,
        }
    }

    /// With these times, in microseconds, of executions on one busy lane.
    fn costs(mut self, times: &[(usize, Nanos)]) -> Self {
        self.costs = CostTable::new(&BatchSizes::UpTo(self.max_samples), self.max_samples, 2);
        times.iter().for_each(|&(samples, us)| self.costs.record(samples, 1, us * 1000));
        self
    }

    fn deadline(mut self, index: usize, deadline: Nanos) -> Self {
        self.entries[index].deadline = deadline;
        self
    }

    fn waiting(&self) -> usize {
        self.entries.iter().map(|entry| entry.samples).sum()
    }

    fn mean(&self, samples: usize, load: Load) -> Nanos {
        self.costs.predict(samples, load.busy).map_or(0, |cost| cost.mean_ns as Nanos)
    }

    fn line(&self, index: usize) -> Line<'_, std::iter::Copied<std::slice::Iter<'_, Entry>>> {
        Line {
            hurried: self.entries.iter().any(|entry| entry.deadline < NEVER),
            index,
            service: self.service,
            due: self.due,
            since: self.since,
            waiting: self.waiting(),
            max_samples: self.max_samples,
            max_delay: self.max_delay,
            late: self.late,
            costs: &self.costs,
            entries: self.entries.iter().copied(),
        }
    }

    /// When it stops waiting for company, written down once more.
    fn ripe(&self, load: Load) -> Nanos {
        let best = self.costs.frontier(load.busy).map(|(size, _)| size).max().unwrap_or(self.max_samples);
        if self.max_delay == 0 || self.waiting() >= best {
            return 0;
        }
        let p99 = self.costs.predict(self.waiting(), load.busy).map_or(0.0, |cost| cost.p99_ns);
        let earliest = self.entries.iter().map(|entry| entry.deadline).min().unwrap_or(NEVER);
        let urgent =
            if earliest == NEVER { NEVER } else { earliest.saturating_sub(2 * p99 as Nanos + ALARM_NS) };
        urgent.min(self.since + self.max_delay)
    }
}

fn run(lines: &[Owned], load: Load) -> (Decision, Vec<Verdict>) {
    let waiting = lines.iter().map(Owned::waiting).sum::<usize>();
    let mut verdicts = vec![Verdict::Leave; 3];
    let view = lines.iter().enumerate().map(|(index, line)| line.line(index));
    (decide(view, Load { waiting, ..load }, NOW, &mut verdicts), verdicts)
}

fn one_lane() -> Load {
    Load { lanes: 1, busy: 1, waiting: 0, running: 0 }
}

fn taken(lines: &[Owned], load: Load) -> (Take, Vec<Verdict>) {
    match run(lines, load) {
        (Decision::Take(take), verdicts) => (take, verdicts),
        (other, _) => panic!("{other:?}"),
    }
}

prop_compose! {
    fn lines(any_samples: bool)(
        max_samples in 1usize..40,
    )(
        max_samples in Just(max_samples),
        service in 0..3 * CREDIT_NS,
        age in 0..2000 * MS,
        max_delay in prop_oneof![3 => Just(0), 1 => 1..50 * MS],
        late in prop_oneof![Just(Late::Reject), Just(Late::Serve)],
        times in prop::collection::vec((1..=max_samples, 1u64..20_000), 0..20),
        entries in prop::collection::vec(
            (1..=max_samples, prop_oneof![Just(NEVER), NOW - 5 * MS..NOW + 40 * MS]),
            1..60,
        ),
    ) -> Owned {
        let entry = |(samples, deadline)| Entry { samples: if any_samples { samples } else { 1 }, deadline };
        let entries = entries.into_iter().map(entry).collect();
        let costs = CostTable::new(&BatchSizes::UpTo(max_samples), max_samples, 2);
        let (due, since) = (NOW + 1000 * MS - age, NOW - age.min(100 * MS));
        Owned { service, due, since, max_samples, max_delay, late, costs, entries }.costs(&times)
    }
}

prop_compose! {
    /// A line of few requests that may wait for company, most of them a while yet.
    fn patient_line()(
        line in lines(true),
        requests in 1usize..4,
        waited in 0..50 * MS,
        max_delay in 1..200 * MS,
        later in 0..200 * MS,
    ) -> Owned {
        let entries = line.entries.iter().take(requests);
        let entries = entries.map(|entry| Entry { deadline: entry.deadline.saturating_add(later), ..*entry });
        Owned { since: NOW - waited, max_delay, entries: entries.collect(), ..line }
    }
}

fn loads() -> impl Strategy<Value = Load> {
    (1usize..5, 0usize..100).prop_flat_map(|(lanes, running)| {
        (1..=lanes).prop_map(move |busy| Load { lanes, busy, waiting: 0, running })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn it_waits_exactly_while_nothing_is_ripe(
        lines in prop::collection::vec(prop_oneof![4 => patient_line(), 1 => lines(true)], 0..4),
        load in loads(),
    ) {
        let first = lines.iter().map(|line| line.ripe(load)).min();
        match run(&lines, load).0 {
            Decision::Idle => prop_assert!(lines.is_empty()),
            Decision::Wait { until } => prop_assert_eq!(Some(until), first.filter(|&ripe| ripe > NOW)),
            Decision::Take(Take { line, .. }) => prop_assert!(lines[line].ripe(load) <= NOW),
        }
    }

    #[test]
    fn every_batch_is_allowed(lines in prop::collection::vec(lines(true), 1..4), load in loads()) {
        let (Decision::Take(take), verdicts) = run(&lines, load) else { return Ok(()) };
        let line = &lines[take.line];
        let verdict_of = |wanted| {
            let both = line.entries.iter().zip(&verdicts);
            both.filter(move |&(_, &verdict)| verdict == wanted).map(|(entry, _)| entry)
        };
        prop_assert!(verdicts.len() <= line.entries.len());
        let samples: usize = verdict_of(Verdict::Take).map(|entry| entry.samples).sum();
        prop_assert_eq!(take.samples, samples);
        prop_assert!(samples <= line.max_samples);
        prop_assert!(samples > 0 || verdicts.contains(&Verdict::Shed), "no progress: {verdicts:?}");
        let waiting = lines.iter().map(Owned::waiting).sum();
        if let Some(first) = verdict_of(Verdict::Take).next() && line.max_delay == 0 {
            let share = Load { waiting, ..load }.share().min(line.max_samples).min(line.waiting());
            let base = share.max(line.entries[0].samples);
            let cheap = |size| line.mean(size, load) as f64 <= line.mean(base, load) as f64 * GAIN + 1.0;
            let costs_nothing = (samples..=line.max_samples).any(cheap);
            prop_assert!(samples <= base.max(first.samples) || costs_nothing, "{take:?} of a share of {share}");
        }
        for entry in verdict_of(Verdict::Shed) {
            prop_assert!(line.late == Late::Reject && entry.deadline < NOW + line.mean(entry.samples, load));
        }
        for entry in verdict_of(Verdict::Take).filter(|_| line.late == Late::Reject) {
            prop_assert!(entry.deadline >= NOW + line.mean(entry.samples, load), "taken and late");
        }
        if verdicts[0] == Verdict::Leave {
            prop_assert!(line.late == Late::Reject && line.entries[0].deadline < NEVER && samples > 0);
        }
        prop_assert_eq!(take.predicted, if samples == 0 { 0 } else { line.mean(samples, load) });
    }

    #[test]
    fn single_requests_are_taken_in_order_and_left_only_for_a_size_that_gains(
        line in lines(false),
        mut times in prop::collection::vec(1u64..20_000, 1..40),
        load in loads(),
    ) {
        times.sort_unstable();
        let times: Vec<_> = times.into_iter().enumerate().map(|(i, us)| (i + 1, us)).collect();
        let lines = [Owned { max_delay: 0, ..line }.costs(&times)];
        let (take, verdicts) = taken(&lines, load);
        let line = &lines[0];
        let left = line.entries.iter().zip(&verdicts).filter(|&(_, &verdict)| verdict == Verdict::Leave);
        for (entry, _) in left {
            prop_assert!(entry.deadline < NEVER, "nothing without a deadline is passed over");
            let alone = rate(1, line.mean(1, load) as f64);
            prop_assert!(rate(take.samples, take.predicted as f64) > alone, "{take:?}");
        }
        if line.entries.iter().all(|entry| entry.deadline == NEVER) {
            prop_assert!(verdicts.iter().all(|&verdict| verdict == Verdict::Take));
        }
    }

    #[test]
    fn least_service_goes_first_unless_another_is_urgent_and_within_its_credit(
        lines in prop::collection::vec(lines(true), 2..5),
        load in loads(),
    ) {
        let (Decision::Take(take), _) = run(&lines, load) else { return Ok(()) };
        let least = lines.iter().filter(|line| line.ripe(load) <= NOW).map(|line| line.service).min();
        let (least, chosen) = (least.unwrap_or(0), &lines[take.line]);
        if chosen.service > least {
            let Entry { samples, deadline } = chosen.entries[0];
            prop_assert!(chosen.service <= least + CREDIT_NS, "beyond its credit");
            prop_assert!(deadline < NEVER && NOW + chosen.mean(samples, load) <= deadline, "in vain");
        }
    }
}

#[test]
fn a_request_that_can_be_met_alone_is_taken_though_only_larger_sizes_pay() {
    // Four samples are on no frontier: two have the better rate, and eight are the limit. A batch of eight would be late.
    let head = Entry { samples: 4, deadline: NOW + 450 * 1000 };
    let mut line = Owned::singles(0).costs(&[(1, 100), (2, 110), (4, 400), (8, 500)]);
    line.entries = vec![head; 2];
    let (take, verdicts) = taken(&[line], Load { running: 100, ..one_lane() });
    assert_eq!((take.samples, verdicts[0]), (4, Verdict::Take));
}

#[test]
fn an_urgent_request_overtakes_within_its_credit() {
    let patient = || Owned::singles(8).costs(&[(1, 8_000), (8, 20_000)]);
    let urgent =
        |deadline, service| Owned { service, ..Owned::singles(1).costs(&[(1, 1_000)]).deadline(0, deadline) };
    let cases = [
        ("would be late after the other's batch", NOW + 15 * MS, CREDIT_NS, 1),
        ("can wait for the other's batch", NOW + 200 * MS, CREDIT_NS, 0),
        ("had too much already", NOW + 15 * MS, CREDIT_NS + 1, 0),
        ("is lost anyway", NOW + MS / 2, CREDIT_NS, 0),
    ];
    for (why, deadline, service, expected) in cases {
        assert_eq!(taken(&[patient(), urgent(deadline, service)], one_lane()).0.line, expected, "{why}");
    }
    let rivals = [patient(), urgent(NOW + 15 * MS, 1), urgent(NOW + 12 * MS, 2)];
    assert_eq!(taken(&rivals, one_lane()).0.line, 2, "of several, the one with the least slack");
    let both = [patient().deadline(0, NOW + 9 * MS), urgent(NOW + 15 * MS, 1)];
    assert_eq!(taken(&both, one_lane()).0.line, 0, "who is served first by right may be the more urgent");
}

#[test]
fn among_the_shapes_of_a_model_the_one_that_is_due_first_is_served() {
    let due = |due| Owned { due, ..Owned::singles(2) };
    assert_eq!(taken(&[due(NOW + 2), due(NOW + 1), due(NOW + 3)], one_lane()).0.line, 1);
}

#[test]
fn a_lane_takes_no_more_than_its_share() {
    let cases = [(1, 12, 0, 6), (2, 12, 0, 4), (3, 12, 0, 3), (3, 12, 12, 6), (7, 1, 0, 1)];
    for (lanes, waiting, running, expected) in cases {
        let load = Load { lanes, running, ..one_lane() };
        let (take, _) = taken(&[Owned::singles(waiting)], load);
        let release = if expected == waiting { Release::Everything } else { Release::Share };
        assert_eq!((take.samples, take.release), (expected, release), "{lanes} lanes, {waiting} waiting");
    }
}

#[test]
fn what_waited_for_company_goes_together() {
    let full = Owned { max_samples: 8, max_delay: 50 * MS, ..Owned::singles(8) };
    let load = Load { lanes: 4, ..one_lane() };
    assert_eq!(taken(std::slice::from_ref(&full), load).0.samples, 8);
    let old = Owned { since: NOW - 50 * MS, entries: full.entries[..5].to_vec(), ..full };
    let (take, _) = taken(std::slice::from_ref(&old), load);
    assert_eq!((take.samples, take.release), (5, Release::Delay));
    let young = Owned { since: NOW - 49 * MS, ..old };
    assert_eq!(run(&[young], load).0, Decision::Wait { until: NOW + MS });
}

#[test]
fn the_size_with_the_best_rate_is_chosen_and_a_deadline_makes_it_smaller() {
    // Eight samples are twice as good as four; thirty-two only a little better, and long.
    let costs = [(1, 1_000), (4, 2_000), (8, 2_100), (16, 4_150), (32, 8_290)];
    let line = Owned::singles(60).costs(&costs);
    let load = Load { running: 64, ..one_lane() };
    let (take, _) = taken(std::slice::from_ref(&line), load);
    assert_eq!((take.samples, take.release), (8, Release::Rate));
    let tight = (0..60).fold(line, |line, index| line.deadline(index, NOW + 2_010_000));
    let (take, _) = taken(&[tight], load);
    assert_eq!((take.samples, take.release), (4, Release::Deadline));
}

#[test]
fn a_late_request_is_shed_or_served_as_its_model_says() {
    for (late, expected) in [(Late::Reject, Verdict::Shed), (Late::Serve, Verdict::Take)] {
        let line =
            Owned { late, ..Owned::singles(3).costs(&[(1, 1_000), (8, 1_100)]).deadline(1, NOW + MS / 2) };
        let (_, verdicts) = taken(&[line], Load { running: 10, ..one_lane() });
        assert_eq!(verdicts, [Verdict::Take, expected, Verdict::Take], "{late:?}");
    }
    let all = Owned::singles(2).deadline(0, NOW - 1).deadline(1, NOW - 1);
    let (take, verdicts) = taken(&[all], one_lane());
    assert_eq!((take.samples, take.predicted, verdicts), (0, 0, vec![Verdict::Shed; 2]));
}
