//! A discrete-event simulator: the engine's own queue, policy, admission and cost tables against machines and callers that exist
//! on paper, in virtual time, beside models of other batchers. It shows what the policy does before a machine has to, and
//! tests what no stop-watch can: that nobody starves, and that every request ends exactly once.
//!
//! A [`Scenario`] is a machine (lanes, true costs, noise), models with weights, and streams of requests. [`Scenario::run`] gives every
//! scheduler the same arrivals and the same true costs, and one [`Report`] each. The same seed gives the same reports.
//!
//! - `machine` says how long an execution truly takes, `traffic` when requests come, `world` moves the time.
//! - `scheduler` is what they have in common; `paceline` drives the engine's structures as `dispatch` does, `window` and
//!   `triton` are the others.
//!
//! # Traps
//! An idle lane takes a batch at once and a hand-over costs a constant: what threads, wake-ups and locks cost is measured on the
//! real engine, not here.

mod machine;
mod paceline;
mod report;
mod scenarios;
mod scheduler;
mod traffic;
mod triton;
mod window;
mod world;

#[cfg(test)]
mod tests;

pub use report::{ClassReport, Report};
pub use scenarios::{Scenario, scenarios};
