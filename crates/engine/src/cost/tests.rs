use proptest::prelude::*;

use super::*;

fn table(max: usize, lanes: usize, times: &[(usize, Nanos)]) -> CostTable {
    let mut table = CostTable::new(&BatchSizes::UpTo(max), max, lanes);
    times.iter().for_each(|&(samples, us)| table.record(samples, 1, us * 1000));
    table
}

fn mean_us(table: &CostTable, samples: usize, busy: usize) -> Option<f64> {
    table.predict(samples, busy).map(|cost| (cost.mean_ns / 1000.0 * 100.0).round() / 100.0)
}

#[test]
fn the_grid_has_every_small_size_and_the_largest() {
    let sizes = grid(256);
    assert_eq!(sizes[..32], (1..=32).collect::<Vec<_>>());
    assert_eq!(sizes.last(), Some(&256));
    assert!(sizes.len() < 70, "{}", sizes.len());
    assert_eq!(grid(1), [1]);
    assert_eq!(grid(3), [1, 2, 3]);
    assert!(grid(usize::MAX).len() < 600 && grid(usize::MAX).ends_with(&[usize::MAX]));
    for max in 1..600 {
        assert!(grid(max).is_sorted_by(|a, b| a < b));
    }
}

#[test]
fn what_was_not_executed_is_read_off_its_neighbours() {
    let table = table(64, 2, &[(2, 100), (4, 300), (32, 3000)]);
    let cases = [(1, 100.0), (2, 100.0), (3, 200.0), (4, 300.0), (18, 1650.0), (64, 6000.0)];
    for (samples, us) in cases {
        assert_eq!(mean_us(&table, samples, 1), Some(us), "{samples} samples");
    }
    assert_eq!(table.predict(65, 1), None);
    assert_eq!(CostTable::new(&BatchSizes::UpTo(8), 8, 1).predict(1, 1), None);
}

#[test]
fn busy_lanes_make_executions_longer_by_what_was_seen() {
    let mut table = table(8, 4, &[(1, 100), (8, 400)]);
    assert_eq!(mean_us(&table, 8, 3), Some(400.0));
    table.record(1, 2, 150_000);
    assert_eq!(mean_us(&table, 1, 2), Some(150.0));
    assert_eq!(mean_us(&table, 8, 2), Some(600.0));
    assert_eq!(mean_us(&table, 8, 4), Some(600.0), "as for the next fewer that was seen");
    assert_eq!(mean_us(&table, 8, 1), Some(400.0));
}

#[test]
fn a_size_that_is_not_in_use_is_not_better_for_it() {
    let mut table = table(32, 2, &[(8, 100), (16, 190), (32, 360)]);
    table.record(16, 2, 180_000);
    for i in 0..200u64 {
        // Other work makes every execution longer by a fifth and more.
        table.record(32, 2, 430_000 + i % 3 * 10_000);
    }
    table.draw();
    let rate_of = |size: usize| rate(size, table.predict(size, 2).unwrap().mean_ns);
    assert!(rate_of(32) > rate_of(16) && rate_of(16) > rate_of(8));
}

#[test]
fn costs_measured_before_are_where_it_starts_from() {
    let us = Duration::from_micros;
    let cost = |samples, busy, mean| MeasuredCost { samples, busy, mean: us(mean), p99: us(2 * mean) };
    let mut table = table(8, 4, &[]);
    let unusable = [cost(0, 1, 5), cost(9, 1, 5), cost(4, 1, 0)];
    assert!(!table.adopt(&unusable) && table.predict(1, 1).is_none());
    assert!(table.adopt(&[cost(8, 2, 600), cost(1, 1, 100), cost(8, 1, 400), cost(1, 2, 150), unusable[1]]));
    for (samples, busy, expected) in
        [(1, 1, 100.0), (8, 1, 400.0), (1, 2, 150.0), (8, 2, 600.0), (8, 4, 600.0)]
    {
        assert_eq!(mean_us(&table, samples, busy), Some(expected), "{samples} samples, {busy} busy");
    }
    assert_eq!(table.predict(1, 1).map(|cost| cost.p99_ns), Some(200_000.0));
    // One execution moves it a little; many replace it.
    table.record(8, 1, 440_000);
    table.draw();
    assert!(mean_us(&table, 8, 1).is_some_and(|us| us > 400.0 && us < 405.0));
    (0..200).for_each(|_| table.record(8, 1, 800_000));
    table.draw();
    assert!(mean_us(&table, 8, 1).is_some_and(|us| us > 790.0));
}

#[test]
fn no_cost_measured_before_is_longer_than_can_be_added_up() {
    let mut table = CostTable::new(&BatchSizes::UpTo(1), 1, 1);
    assert!(table.adopt(&[MeasuredCost { samples: 1, busy: 1, mean: Duration::MAX, p99: Duration::MAX }]));
    let hour = Duration::from_secs(3600).as_nanos() as f64;
    assert_eq!(table.predict(1, 1), Some(Cost { mean_ns: hour, p99_ns: hour }));
}

#[test]
fn a_bucket_costs_the_same_however_full() {
    let mut table = CostTable::new(&BatchSizes::Buckets(vec![1, 8, 32]), 32, 1);
    table.record(5, 1, 700_000);
    table.record(1, 1, 500_000);
    assert_eq!(mean_us(&table, 2, 1), Some(700.0));
    assert_eq!(mean_us(&table, 1, 1), Some(500.0));
}

#[test]
fn buckets_that_no_batch_needs_are_not_told_apart() {
    for (max, expected) in [(1, &[1][..]), (8, &[1, 8]), (9, &[1, 8, 32]), (32, &[1, 8, 32])] {
        let table = CostTable::new(&BatchSizes::Buckets(vec![1, 8, 32]), max, 1);
        assert_eq!(table.sizes(), expected, "at most {max}");
    }
}

#[test]
fn one_odd_first_time_of_a_size_is_not_believed_and_two_are() {
    let us = 1000;
    let buckets = |times: &[(usize, Nanos)]| {
        let mut table = CostTable::new(&BatchSizes::Buckets(vec![1, 8, 32]), 32, 1);
        times.iter().for_each(|&(samples, time)| table.learn(samples, 1, time * us));
        table
    };
    let known = [(1, 100), (8, 200)];
    let with = |more: &[(usize, Nanos)]| mean_us(&buckets(&[&known, more].concat()), 32, 1);
    assert_eq!(with(&[]), Some(800.0), "it grows with the samples as long as nothing better is known");
    assert_eq!(with(&[(32, 500_000)]), Some(800.0), "a bucket that was prepared only then, say");
    assert_eq!(with(&[(32, 500_000), (32, 400)]), Some(400.0));
    assert_eq!(with(&[(32, 500_000), (32, 500_000)]), Some(500_000.0));
    assert_eq!(with(&[(32, 2_000)]), Some(2_000.0), "what is not odd is believed");
    assert_eq!(mean_us(&buckets(&[(8, 500_000)]), 8, 1), Some(500_000.0), "nothing is odd beside nothing");
}

#[test]
fn only_sizes_that_pay_are_on_the_frontier() {
    let table =
        table(8, 1, &[(1, 100), (2, 110), (3, 900), (4, 400), (5, 410), (6, 650), (7, 660), (8, 600)]);
    let sizes: Vec<usize> = table.frontier(1).map(|(size, _)| size).collect();
    // 3 takes longer than 5; 4 gives less than 2; 5 beats none but the smaller; 6 and 7 take longer than 8.
    assert_eq!(sizes, [1, 2]);
    let table = self::table(8, 1, &[(1, 100), (2, 110), (4, 180), (8, 320)]);
    assert_eq!(table.frontier(1).map(|(size, _)| size).last(), Some(8));
}

#[test]
fn a_machine_that_changed_is_learned_and_an_outlier_is_not() {
    let mut table = table(4, 1, &[(4, 100); 50]);
    table.record(4, 1, 1_000_000_000);
    table.draw();
    assert!(mean_us(&table, 4, 1).unwrap() < 115.0);
    for _ in 0..150 {
        table.record(4, 1, 200_000);
    }
    table.draw();
    assert!(mean_us(&table, 4, 1).unwrap() > 195.0);
}

#[test]
fn the_99th_percentile_is_about_that() {
    let mut table = CostTable::new(&BatchSizes::UpTo(1), 1, 1);
    for i in 0..20_000u64 {
        table.record(1, 1, if i % 50 == 0 { 300_000 } else { 100_000 + (i * 7919) % 1000 });
    }
    table.draw();
    let cost = table.predict(1, 1).unwrap();
    assert!((100_000.0..110_000.0).contains(&cost.mean_ns), "{cost:?}");
    assert!(cost.p99_ns > 150_000.0, "{cost:?}");
}

proptest! {
    #[test]
    fn the_frontier_ascends_in_time_and_rate(times in prop::collection::vec((1usize..100, 1u64..10_000), 1..60)) {
        let table = table(100, 1, &times);
        let frontier: Vec<_> = table.frontier(1).collect();
        prop_assert!(!frontier.is_empty());
        for pair in frontier.windows(2) {
            let [(n0, c0), (n1, c1)] = pair else { unreachable!() };
            prop_assert!(n0 < n1 && c0.mean_ns < c1.mean_ns);
            prop_assert!(rate(*n0, c0.mean_ns) < rate(*n1, c1.mean_ns));
        }
        for &size in table.sizes() {
            prop_assert!(table.predict(size, 1).is_some_and(|cost| cost.mean_ns > 0.0));
        }
    }
}
