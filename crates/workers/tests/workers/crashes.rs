//! Workers that die with requests in them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::scripted::{ACCIDENT, KILL, SLOW};
use crate::{
    Over, SetOnDrop, Test, assert_serves, builder, crashed, eventually, is_right, kill, pool, row, rows,
};

pub const TRIALS: &[Test] = &[
    ("a request in a worker that is killed is executed again", again),
    ("a poisonous request fails, and those beside it are answered", poison),
    ("a poisonous request takes down one worker only", poison_stays),
    ("poison that comes again and again has no worker given up", poison_again),
    ("without retries every request of a dead worker fails", no_retries),
    ("requests are accepted while no worker is there", gap),
    ("requests that expire while no worker is there are answered", expire_in_the_gap),
    ("kills under load lose nothing", kills),
];

fn again() {
    let (pool, model) = pool(builder());
    let number = f32::from(std::process::id() as u16);
    let x = crate::Tensor::new([1, 4], vec![ACCIDENT, number, 2.0, 3.0]).unwrap();
    let outputs = model.infer([("x", x.clone())]).unwrap();
    assert!(is_right(&outputs, &x));
    assert_eq!(pool.statistics().workers[0].starts, 2);
    std::fs::remove_file(std::env::temp_dir().join(format!("paceline-accident-{number}"))).unwrap();
}

fn poison() {
    let (pool, model) = pool(builder());
    // They wait behind a slow one, and so are in the worker together.
    let firsts = [SLOW, 1.0, 2.0, KILL, 3.0, 4.0];
    let tickets = firsts.map(|first| model.submit([("x", row(first))]).unwrap());
    for (first, ticket) in firsts.into_iter().zip(tickets) {
        let answer = ticket.wait();
        if first == KILL {
            assert_eq!(crashed(answer), 3);
        } else {
            assert!(is_right(&answer.unwrap(), &row(first)));
        }
    }
    let worker = &pool.statistics().workers[0];
    assert_eq!(worker.last_failure.as_deref(), Some("it ended with signal: 9 (SIGKILL)"));
    // Once in company, then twice alone.
    eventually("back", || pool.statistics().workers[0].starts == 4);
    assert_serves(&model);
}

fn poison_stays() {
    let (pool, model) = pool(builder().workers(2));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for call in 0..300 {
                    let x = row(call as f32);
                    assert!(is_right(&model.infer([("x", x.clone())]).unwrap(), &x));
                }
            });
        }
        let poisoned = model.submit([("x", row(KILL))]).unwrap();
        assert_eq!(crashed(poisoned.wait()), 3);
    });
    eventually("back", || pool.statistics().workers.iter().all(|worker| worker.process.is_some()));
    let mut starts: Vec<u64> = pool.statistics().workers.iter().map(|worker| worker.starts).collect();
    starts.sort_unstable();
    assert_eq!(starts, [1, 4]);
}

fn poison_again() {
    let (pool, model) = pool(builder().crash_loop(3, Duration::from_secs(600)));
    for _ in 0..8 {
        assert_eq!(crashed(model.submit([("x", row(KILL))]).unwrap().wait()), 3);
    }
    assert_serves(&model);
    assert_eq!(pool.statistics().workers[0].starts, 1 + 3 * 8);
}

fn no_retries() {
    let (_pool, model) = pool(builder().retries(0));
    let tickets = [SLOW, KILL, 1.0].map(|first| model.submit([("x", row(first))]).unwrap());
    let answers = tickets.map(|ticket| ticket.wait());
    // The slow one is executed before the others or with them.
    assert!(answers[0].is_ok() || crashed(answers[0].clone()) == 1);
    assert_eq!(answers[1..].iter().map(|answer| crashed(answer.clone())).collect::<Vec<_>>(), [1, 1]);
    assert_serves(&model);
}

fn gap() {
    let (pool, model) = pool(builder().crash_loop(1000, Duration::from_secs(1)));
    for round in 0..5 {
        kill(pool.statistics().workers[0].process.unwrap());
        let x = rows(&[round as f32, 1.0]);
        let tickets: Vec<_> = (0..20).map(|_| model.submit([("x", x.clone())]).unwrap()).collect();
        for ticket in tickets {
            assert!(is_right(&ticket.wait().unwrap(), &x));
        }
        eventually("back", || pool.statistics().workers[0].process.is_some());
    }
}

fn expire_in_the_gap() {
    let (pool, model) = pool(builder().back_off(Duration::from_secs(600), Duration::from_secs(600)));
    let process = || pool.statistics().workers[0].process;
    // Twice without an answer between, so that it is not started again for ten minutes.
    for _ in 0..2 {
        eventually("it serves", || process().is_some());
        let before = process();
        kill(before.unwrap());
        eventually("noticed", || process() != before);
    }
    let request = paceline_engine::Request::new([("x", row(1.0))]).timeout(Duration::from_millis(20));
    let answer = model.submit(request).unwrap().wait();
    assert!(matches!(answer, Err(paceline_engine::ExecutionError::Expired { .. })), "{answer:?}");
    drop(model.submit([("x", row(1.0))]).unwrap());
    assert_eq!(pool.statistics().cancelled, 1);
}

/// A smaller version of what `examples/workers.rs` measures.
fn kills() {
    const KILLS: u64 = 10;
    let (pool, model) = pool(builder().workers(2).retries(20).crash_loop(1000, Duration::from_secs(1)));
    let (over, answered) = (Over::default(), AtomicU64::new(0));
    thread::scope(|scope| {
        let _set = SetOnDrop(&over);
        for caller in 0..8 {
            let (model, over, answered) = (&model, &over, &answered);
            scope.spawn(move || {
                for call in (0..).take_while(|_| !over.is_set()) {
                    let x = rows(&vec![(caller * 1000 + call % 1000) as f32; 1 + call % 3]);
                    assert!(is_right(&model.infer([("x", x.clone())]).unwrap(), &x));
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for round in 0..KILLS {
            let before = answered.load(Ordering::Relaxed);
            eventually("service", || answered.load(Ordering::Relaxed) > before + 50);
            let process = || pool.statistics().workers[(round % 2) as usize].process;
            eventually("somebody to kill", || process().is_some());
            process().into_iter().for_each(kill);
        }
        let before = answered.load(Ordering::Relaxed);
        eventually("service", || answered.load(Ordering::Relaxed) > before + 50);
    });
    let got = pool.statistics();
    assert_eq!((got.completed, got.failed), (answered.load(Ordering::Relaxed), 0));
    let starts: u64 = got.workers.iter().map(|worker| worker.starts).sum();
    assert!(starts > KILLS, "{starts}");
}
