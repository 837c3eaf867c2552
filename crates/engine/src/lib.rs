//! The engine: lanes, queue, batching policy, tickets, statistics.
