//! Counters as lanes and callers use them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::*;

fn counters(lanes: usize) -> (Counters, Arc<LaneTimes>) {
    let times = Arc::new(LaneTimes::new(lanes));
    (Counters::new(&times), times)
}

fn execution(samples: usize, ok: bool, took_us: u64) -> Execution {
    let took = Duration::from_micros(took_us);
    Execution { samples, prepared: samples.next_power_of_two(), ok, took, release: Release::Share }
}

#[test]
fn a_snapshot_sums_the_lanes() {
    let (counters, times) = counters(4096);
    (0..3).for_each(|_| counters.accepted());
    counters.lane(0).executed(&execution(3, true, 5));
    counters.lane(4095).executed(&execution(5, true, 7));
    counters.lane(4095).executed(&Execution { release: Release::Inline, ..execution(9, false, 1) });
    counters.lane(0).waited(Duration::from_nanos(7));
    counters.lane(0).answered(false, Duration::from_nanos(40));
    counters.lane(4095).answered(true, Duration::from_nanos(50));
    counters.cancelled();
    let got = counters.snapshot("m");
    assert_eq!(
        (got.name.as_str(), got.accepted, got.completed, got.failed, got.cancelled),
        ("m", 3, 1, 1, 1)
    );
    assert_eq!((got.executions, got.failed_executions, got.samples, got.padding), (2, 1, 8, 1 + 3));
    assert_eq!((got.released.of(Release::Share), got.released.of(Release::Inline)), (2, 1));
    assert_eq!((got.released.total(), got.mean_batch()), (3, 4.0));
    assert_eq!(got.batch_sizes, [(3, 1), (5, 1)]);
    assert_eq!((got.execute_time.count(), got.execute_time.sum()), (3, Duration::from_micros(13)));
    assert_eq!(
        (got.queue_time.max(), got.total_time.p50()),
        (Duration::from_nanos(7), Duration::from_nanos(40))
    );

    let lanes = times.snapshot();
    assert_eq!(lanes.iter().map(|lane| lane.lane).collect::<Vec<_>>(), [0, 4095]);
    assert_eq!(lanes[1].busy, Duration::from_micros(8));
}

#[test]
fn what_is_shed_is_counted_by_reason() {
    let (counters, _) = counters(1);
    type Count = fn(&ModelStatistics) -> u64;
    let reasons: [(Shed, Count); Shed::COUNT] = [
        (Shed::Invalid, |got| got.refused.invalid),
        (Shed::TooLarge, |got| got.refused.too_large),
        (Shed::QueueSamples, |got| got.refused.queue_samples),
        (Shed::QueueBytes, |got| got.refused.queue_bytes),
        (Shed::QueueTime, |got| got.refused.queue_time),
        (Shed::Deadline, |got| got.refused.deadline),
        (Shed::Expired, |got| got.expired),
        (Shed::Draining, |got| got.refused.draining),
        (Shed::Unloaded, |got| got.refused.unloaded),
        (Shed::NoLanes, |got| got.refused.no_lanes),
    ];
    for (times, (reason, _)) in reasons.iter().enumerate() {
        (0..=times).for_each(|_| counters.refused(*reason));
    }
    counters.expired();
    let got = counters.snapshot("m");
    for (times, (reason, count)) in reasons.iter().enumerate() {
        let extra = u64::from(*reason == Shed::Expired);
        assert_eq!(count(&got), times as u64 + 1 + extra, "{reason:?}");
    }
    assert_eq!(got.refused.total() + got.expired, (1..=10).sum::<u64>() + 1);
}

#[test]
fn occupancy_is_the_share_of_a_lifetime() {
    let of = |busy_ms, lifetime_ms| {
        let (busy, lifetime) = (Duration::from_millis(busy_ms), Duration::from_millis(lifetime_ms));
        LaneStatistics { lane: 0, busy, lifetime }.occupancy()
    };
    assert_eq!((of(0, 0), of(250, 1000), of(3, 2)), (0.0, 0.25, 1.0));
    let times = LaneTimes::new(2);
    times.begin(1);
    thread::sleep(Duration::from_millis(2));
    let got = times.snapshot();
    assert!(got.len() == 1 && got[0].lane == 1 && got[0].lifetime >= Duration::from_millis(2), "{got:?}");
}

/// Two lanes that change hands between threads, as they do between a lane's thread and its inline callers.
#[test]
fn holders_of_a_lane_lose_no_count_and_snapshots_only_grow() {
    const ROUNDS: u64 = 2_000;
    let (counters, times) = counters(2);
    let lanes = [(); 2].map(|()| std::sync::Mutex::new(()));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let writers: Vec<_> = (0..4u64)
            .map(|writer| {
                let (counters, lanes) = (&counters, &lanes);
                scope.spawn(move || {
                    for round in 0..ROUNDS {
                        let lane = ((writer + round) % 2) as usize;
                        let _held = lanes[lane].lock().unwrap();
                        let on_lane = counters.lane(lane);
                        counters.accepted();
                        on_lane.waited(Duration::from_nanos(round));
                        on_lane.executed(&execution(1 + (round % 3) as usize, true, 1));
                        on_lane.answered(true, Duration::from_nanos(2 * round));
                    }
                })
            })
            .collect();
        let reader = scope.spawn(|| {
            let mut before = counters.snapshot("m");
            while !done.load(Ordering::Relaxed) {
                let now = counters.snapshot("m");
                for (earlier, later) in [
                    (before.completed, now.completed),
                    (before.queue_time.count(), now.queue_time.count()),
                    (before.total_time.count(), now.total_time.count()),
                ] {
                    assert!(earlier <= later && later <= 4 * ROUNDS, "{earlier}, then {later}");
                }
                assert!(now.total_time.p99() <= Duration::from_nanos(2 * ROUNDS));
                before = now;
            }
        });
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        done.store(true, Ordering::Relaxed);
        reader.join().unwrap();
    });
    let (got, all) = (counters.snapshot("m"), 4 * ROUNDS);
    assert_eq!((got.accepted, got.completed, got.executions), (all, all, all));
    let counts = [&got.queue_time, &got.execute_time, &got.total_time].map(Distribution::count);
    assert_eq!(counts, [all; 3]);
    assert_eq!(got.queue_time.sum(), Duration::from_nanos(4 * (0..ROUNDS).sum::<u64>()));
    assert_eq!(got.batch_sizes.iter().map(|(_, count)| count).sum::<u64>(), all);
    assert_eq!(times.snapshot().iter().map(|lane| lane.busy).sum::<Duration>(), Duration::from_micros(all));
}

#[test]
fn no_snapshot_has_more_requests_ended_than_accepted() {
    // So many that reading them takes long enough for requests to come and end meanwhile.
    const LANES: usize = 200;
    let (counters, _) = counters(LANES);
    (0..LANES).for_each(|lane| counters.lane(lane).waited(Duration::ZERO));
    let done = AtomicBool::new(false);
    let got: Vec<ModelStatistics> = thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                counters.accepted();
                counters.lane(LANES - 1).answered(true, Duration::from_nanos(1));
            }
        });
        while counters.snapshot("m").completed == 0 {}
        let got = (0..100).map(|_| counters.snapshot("m")).collect();
        done.store(true, Ordering::Relaxed);
        got
    });
    for got in got {
        assert!(got.completed <= got.accepted, "{} of {}", got.completed, got.accepted);
    }
}
