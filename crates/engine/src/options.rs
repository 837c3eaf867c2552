//! Choices made when a model is loaded.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::cost::MeasuredCost;
use crate::decide::Late;

/// How a model is served beside others. The default suits most.
#[derive(Clone)]
#[must_use = "choices count only where a model is loaded with them"]
pub struct LoadOptions {
    pub(crate) weight: u32,
    pub(crate) late: Late,
    pub(crate) max_queue_delay: Duration,
    /// `None`: as the engine was made.
    pub(crate) warm_up: Option<Duration>,
    pub(crate) max_batch: Option<usize>,
    /// By the number of the program.
    pub(crate) costs: Vec<Vec<MeasuredCost>>,
    pub(crate) progress: Option<Arc<dyn Fn(WarmUp) + Send + Sync>>,
}

/// How far the measuring of a model's costs is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WarmUp {
    /// Batch sizes measured.
    pub measured: usize,
    /// Batch sizes that will be measured if there is time for all.
    pub sizes: usize,
    /// Time spent.
    pub elapsed: Duration,
}

impl Default for LoadOptions {
    fn default() -> Self {
        LoadOptions {
            weight: 1,
            late: Late::Reject,
            max_queue_delay: Duration::ZERO,
            warm_up: None,
            max_batch: None,
            costs: Vec::new(),
            progress: None,
        }
    }
}

impl LoadOptions {
    /// The default.
    pub fn new() -> Self {
        Self::default()
    }

    /// The model's claim to the lanes' time, against the other models': with twice the weight it gets twice the time when all of
    /// them have work. 1 unless chosen, at most 1000; 0 counts as 1.
    pub fn weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    /// What becomes of requests that cannot be answered by their deadline. [`Late::Reject`] unless chosen.
    pub fn late(mut self, late: Late) -> Self {
        self.late = late;
        self
    }

    /// How long a request may wait for company although a lane is idle. Zero unless chosen, and best left so: batches form while
    /// lanes are busy.
    pub fn max_queue_delay(mut self, delay: Duration) -> Self {
        self.max_queue_delay = delay;
        self
    }

    /// How much time to spend, for each program, on measuring what executions cost before the first request. At least one size is
    /// measured unless it is zero; then costs are learned from the requests. As [`Builder::warm_up`](crate::Builder::warm_up)
    /// says, unless chosen.
    pub fn warm_up(mut self, time: Duration) -> Self {
        self.warm_up = Some(time);
        self
    }

    /// The most samples of one batch, where that is less than the program allows; larger requests are split. At least 1.
    pub fn max_batch(mut self, samples: usize) -> Self {
        self.max_batch = Some(samples.max(1));
        self
    }

    /// [`max_batch`](Self::max_batch), where nothing was chosen before.
    pub fn default_max_batch(self, samples: usize) -> Self {
        match self.max_batch {
            Some(_) => self,
            None => self.max_batch(samples),
        }
    }

    /// Starts from costs that were measured before, and does not measure. `program` is the number of the program that they are of, from 0, in
    /// the order of loading. Where none of them is of a size that the program has, costs are measured as usual.
    pub fn costs(mut self, program: usize, costs: impl IntoIterator<Item = MeasuredCost>) -> Self {
        if self.costs.len() <= program {
            self.costs.resize_with(program + 1, Vec::new);
        }
        self.costs[program] = costs.into_iter().collect();
        self
    }

    /// Is told how far the measuring is, after each batch size.
    pub fn progress(mut self, progress: impl Fn(WarmUp) + Send + Sync + 'static) -> Self {
        self.progress = Some(Arc::new(progress));
        self
    }
}

impl fmt::Debug for LoadOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadOptions")
            .field("weight", &self.weight)
            .field("late", &self.late)
            .field("max_queue_delay", &self.max_queue_delay)
            .field("warm_up", &self.warm_up)
            .field("max_batch", &self.max_batch)
            .field("costs", &self.costs)
            .finish_non_exhaustive()
    }
}
