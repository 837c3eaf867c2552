//! What stands under the lock.

use std::sync::Arc;

use super::Lane;
use super::calls::Call;
use super::help::Series;
use crate::ahead::Ahead;
use crate::clock::Nanos;
use crate::decide::Load;
use crate::job::Part;
use crate::loaded::Loaded;
use crate::queue::Queue;
use crate::serving::Serving;
use crate::sync::Thread;

pub(super) struct State {
    pub(super) queue: Queue<Part>,
    /// By [`Loaded::slot`]; `None` when it was unloaded.
    pub(super) models: Vec<Option<Model>>,
    /// By line.
    pub(super) serving: Vec<Option<Arc<Serving>>>,
    /// The last to become idle is called first: its caches are warm.
    pub(super) idle: Vec<Lane>,
    pub(super) posts: Vec<Post>,
    /// Lanes neither retired nor retiring.
    pub(super) alive: usize,
    /// Lanes that there shall be; the next that become free are retired until that many are left.
    pub(super) wanted: usize,
    pub(super) series: Series,
    /// When a request last found no lane idle or lent; 0 as long as none has.
    pub(super) contended: Nanos,
    pub(super) phase: Phase,
}

/// A model and the lines of its present version, by variant.
pub(super) struct Model {
    pub(super) loaded: Arc<Loaded>,
    pub(super) lines: Vec<usize>,
    pub(super) version: u64,
}

/// Where a lane's thread looks for its lane.
#[derive(Default)]
pub(super) struct Post {
    pub(super) thread: Option<Thread>,
    pub(super) called: Option<Call>,
    /// The thread looks for calls without sleeping: it needs no wake-up.
    pub(super) awake: bool,
    /// The lane helps, or was called to.
    pub(super) helps: bool,
    /// The caller that [stole](Dispatch::steal) the lane, as long as it has it.
    pub(super) guest: Option<Thread>,
    /// The lane is not counted any more. It answers what nobody is left to execute, and closes its sessions.
    pub(super) retiring: bool,
    pub(super) retired: bool,
    /// How often the index was used before: the thread of a retired lane does not mistake its successor's call for its own.
    pub(super) generation: u64,
    /// Samples in the lane's latest batch; 0 when it is idle.
    pub(super) latest: usize,
    /// When what it executes should end.
    pub(super) until: Nanos,
    /// When what it executed last, or executes, should end.
    pub(super) served_until: Nanos,
    /// When the idle lane looks again.
    pub(super) alarm: Option<Nanos>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Open,
    /// Nothing more is accepted; what was accepted is served.
    Draining,
    /// And then the lanes end.
    Closing,
}

impl State {
    /// The program of a retired line, when nothing waits in it any more.
    pub(super) fn collect(&mut self, line: usize) -> Option<Arc<Serving>> {
        if self.queue.collect(line) { self.serving[line].take() } else { None }
    }

    /// Lanes that execute, or are about to; those that help are not counted.
    pub(super) fn busy(&self) -> usize {
        let helping = self.posts.iter().filter(|post| post.helps).count();
        (self.alive - self.idle.len()).saturating_sub(helping)
    }

    /// An idle lane, the last to become idle first; preferably one whose thread is awake, or is not.
    pub(super) fn take_idle(&mut self, awake: bool) -> Option<Lane> {
        let preferred = self.idle.iter().rposition(|lane| self.posts[lane.0].awake == awake);
        let position = preferred.or(self.idle.len().checked_sub(1))?;
        Some(self.idle.remove(position))
    }

    pub(super) fn load(&self) -> Load {
        let running = self.posts.iter().map(|post| post.latest).sum();
        Load { lanes: self.alive, busy: self.busy(), waiting: self.queue.samples(), running }
    }

    /// What the lanes still have to do of what they execute.
    pub(super) fn ahead(&self, now: Nanos) -> Ahead {
        let alive = self.posts.iter().filter(|post| !post.retired && !post.retiring);
        alive.map(|post| post.until.saturating_sub(now)).collect()
    }
}
