//! The batchers that others use, on bare sessions: requests wait in one queue; a lane takes the longest prefix of one shape,
//! at once, or when the fixed window that its first request opened is over. No bounds, no deadlines, no statistics, no copies of
//! results: its bookkeeping is less than that of any real one.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::bare::Bare;
use crate::call::Call;
use crate::subject::Subject;

/// A queue, and lanes with bare sessions.
pub struct Batcher {
    shared: Arc<Shared>,
    lanes: Vec<JoinHandle<()>>,
}

struct Shared {
    subject: Arc<Subject>,
    window: Duration,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Waiting>,
    closed: bool,
}

struct Waiting {
    call: Arc<Call>,
    shape: usize,
    index: usize,
}

impl Batcher {
    /// With a window of this length, open from the arrival of the first request; zero for none.
    pub fn start(subject: &Arc<Subject>, window: Duration) -> Result<Self> {
        let shared = Arc::new(Shared {
            subject: Arc::clone(subject),
            window,
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let open = || Ok([Bare::open(&subject.programs[0])?, Bare::open(&subject.programs[1])?]);
        let sessions: Vec<[Bare; 2]> = (0..subject.lanes).map(|_| open()).collect::<Result<_>>()?;
        let spawn = |mut sessions: [Bare; 2]| {
            let shared = Arc::clone(&shared);
            thread::Builder::new().name("batcher".into()).spawn(move || shared.serve(&mut sessions))
        };
        let lanes = sessions.into_iter().map(spawn).collect::<Result<_, _>>()?;
        Ok(Batcher { shared, lanes })
    }

    /// Puts a request into the queue. Its answer is not kept.
    pub fn send(&self, call: Arc<Call>, shape: usize, index: usize) {
        let mut state = self.shared.state.lock().expect("no lane panics");
        state.queue.push_back(Waiting { call, shape, index });
        drop(state);
        self.shared.changed.notify_one();
    }
}

impl Drop for Batcher {
    fn drop(&mut self) {
        if let Ok(mut state) = self.shared.state.lock() {
            state.closed = true;
        }
        self.shared.changed.notify_all();
        self.lanes.drain(..).for_each(|lane| drop(lane.join()));
    }
}

impl Shared {
    fn serve(&self, sessions: &mut [Bare; 2]) {
        while let Some(batch) = self.next() {
            let shape = batch[0].shape;
            let input = |waiting: &Waiting| {
                let samples = waiting.call.samples;
                (self.subject.input(shape, samples, waiting.index), samples)
            };
            sessions[shape].execute(batch.iter().map(input));
            let now = Instant::now();
            batch.iter().for_each(|waiting| waiting.call.finish(now));
        }
    }

    /// The next batch; `None` when the queue is closed and empty.
    fn next(&self) -> Option<Vec<Waiting>> {
        let mut state = self.state.lock().expect("no lane panics");
        loop {
            let Some(first) = state.queue.front() else {
                if state.closed {
                    return None;
                }
                state = self.changed.wait(state).expect("no lane panics");
                continue;
            };
            let ripe = first.call.sent + self.window;
            let (requests, full) = self.prefix(&state.queue);
            let now = Instant::now();
            if full || state.closed || now >= ripe {
                let batch = state.queue.drain(..requests).collect();
                if !state.queue.is_empty() {
                    self.changed.notify_one();
                }
                return Some(batch);
            }
            state = self.changed.wait_timeout(state, ripe - now).expect("no lane panics").0;
        }
    }

    /// Requests in the longest prefix of one shape, and whether it can grow no more.
    fn prefix(&self, queue: &VecDeque<Waiting>) -> (usize, bool) {
        let (shape, mut samples) = (queue[0].shape, 0);
        for (index, waiting) in queue.iter().enumerate() {
            samples += waiting.call.samples;
            if waiting.shape != shape || samples > self.subject.max_batch {
                return (index.max(1), true);
            }
        }
        (queue.len(), samples == self.subject.max_batch)
    }
}
