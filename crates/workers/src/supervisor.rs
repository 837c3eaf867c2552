//! The thread that looks after one worker: starts it, hands on its answers, notices when it dies or hangs, and starts it again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::clock;
use crate::crashes::{Crashes, Death, Verdict};
use crate::error::BuildError;
use crate::layout::Layout;
use crate::link::Link;
use crate::process::{Worker, start};
use crate::seat::Phase;
use crate::shared::{Shared, lock, send};
use crate::wire::Woken;

/// How long a process that has closed its connection may take to be gone.
const DYING: Duration = Duration::from_millis(200);

/// Why a process serves no more.
enum End {
    /// It was asked to.
    Stopped,
    /// It closed the connection.
    Closed,
    /// It gives no sign of life, or no answer.
    Hangs(String),
    /// It wrote what no worker writes.
    Broke,
}

/// How a process died.
struct Died {
    how: String,
    /// Whether all that it wrote made sense.
    was_sound: bool,
}

/// The body of a supervisor's thread.
pub(crate) fn run(shared: &Arc<Shared>, layout: Layout, worker: usize) {
    let mut crashes = Crashes::new(shared.options.restart);
    let mut warm_up = shared.options.warm_up;
    let mut is_first = true;
    while !shared.is_stopping() {
        let go_on = || {
            shared.expire();
            !shared.is_stopping()
        };
        let died = match start(&shared.options, layout, worker, warm_up, go_on) {
            Ok(started) => serve(shared, worker, started),
            Err(error) if is_first => return fail_to_start(shared, worker, error),
            Err(error) => Some(Died { how: error.to_string(), was_sound: true }),
        };
        let Some(Died { how, was_sound }) = died else { break };
        is_first = false;
        warm_up = shared.options.warm_up / 10;
        let death = bury(shared, worker, &how, was_sound);
        match crashes.died(death) {
            Verdict::Restart(after) => {
                tracing::warn!(worker, how, ?after, "a worker died and is started again");
                rest(shared, after);
            }
            Verdict::GiveUp => return give_up(shared, worker, &how),
        }
    }
    shared.lock().ended(worker);
    shared.changed();
}

fn fail_to_start(shared: &Shared, worker: usize, error: BuildError) {
    shared.lock().seats[worker].phase = Phase::GivenUp(error.to_string());
    lock(&shared.first_failure).get_or_insert(error);
    shared.changed();
}

/// Serves with a process until it ends; how it died, if it was not asked to end.
fn serve(shared: &Arc<Shared>, worker: usize, started: Worker) -> Option<Died> {
    let Worker { mut process, link, models } = started;
    if !shared.agree_on_models(models) {
        return Some(Died { how: "it serves other models than before".into(), was_sound: true });
    }
    let link = Arc::new(link);
    let transfers = shared.lock().up(worker, Arc::clone(&link));
    send(&transfers);
    shared.changed();
    tracing::info!(worker, process = link.process, "worker serves");
    let end = watch(shared, worker, &link);
    shared.lock().retire(worker);
    let (how, was_sound) = match end {
        End::Stopped => {
            if process.reap(DYING).is_none() {
                tracing::warn!(worker, "a worker did not end when asked, and is killed");
            }
            return None;
        }
        End::Closed => match process.reap(DYING) {
            Some(status) => (format!("it ended with {status}"), true),
            None => ("it closed its connection".to_string(), true),
        },
        End::Hangs(how) => (how, true),
        End::Broke => ("it broke the protocol".to_string(), false),
    };
    process.kill();
    // What it answered before it died is answered.
    let was_sound = shared.collect(worker, &link) && was_sound;
    Some(Died { how, was_sound })
}

/// Hands on answers until there will be no more.
fn watch(shared: &Arc<Shared>, worker: usize, link: &Arc<Link>) -> End {
    let interval = shared.options.health_interval;
    let mut next_look = Instant::now() + interval;
    let mut unanswered = Duration::ZERO;
    let mut stopping = None;
    loop {
        link.arm();
        if !shared.collect(worker, link) {
            return End::Broke;
        }
        let now = Instant::now();
        if now >= next_look {
            next_look = now + interval;
            shared.expire();
            shared.stop_if_over();
            if shared.is_stopping() {
                // It may have come to serve after the others were closed.
                link.close();
                if stopping.get_or_insert(now).elapsed() >= shared.options.stop_timeout {
                    return End::Stopped;
                }
            }
            // Counted in questions, so that a pause of this process is not held against the worker.
            unanswered = if link.ping() { Duration::ZERO } else { unanswered + interval };
            if let Some(how) = hangs(shared, worker, unanswered) {
                return End::Hangs(how);
            }
        }
        if link.sleep(next_look.saturating_duration_since(now)) == Woken::Closed {
            return if shared.is_stopping() { End::Stopped } else { End::Closed };
        }
    }
}

/// Why a worker is taken to hang.
fn hangs(shared: &Shared, worker: usize, unanswered: Duration) -> Option<String> {
    let options = &shared.options;
    if unanswered >= options.health_timeout {
        return Some(format!("it gave no sign of life for {:?} and was killed", options.health_timeout));
    }
    let is_late = shared.lock().is_late(worker, Instant::now());
    is_late.then(|| {
        format!(
            "it did not answer a request within {:?} of the predicted time and was killed",
            options.request_timeout
        )
    })
}

/// Takes from a dead process what it held.
fn bury(shared: &Shared, worker: usize, how: &str, was_sound: bool) -> Death {
    let mut state = shared.lock();
    let (death, fallen, transfers) = state.died(worker, was_sound, shared.options.retries, clock::now());
    state.seats[worker].last_failure = Some(how.to_string());
    drop(state);
    send(&transfers);
    shared.fail(fallen, how);
    death
}

fn give_up(shared: &Shared, worker: usize, how: &str) {
    let policy = &shared.options.restart;
    let reason = format!("it died {} times within {:?}, the last time: {how}", policy.crashes, policy.within);
    tracing::error!(worker, reason, "a worker is given up");
    let (transfers, left) = shared.lock().give_up(worker, &reason);
    send(&transfers);
    shared.abandon(left);
    shared.changed();
}

/// Waits, unless the pool ends.
fn rest(shared: &Shared, time: Duration) {
    let start = Instant::now();
    while let Some(left) = time.checked_sub(start.elapsed()).filter(|left| !left.is_zero()) {
        shared.expire();
        let state = shared.lock();
        if state.stopping {
            return;
        }
        drop(shared.wait(state, left.min(shared.options.health_interval)));
    }
}
