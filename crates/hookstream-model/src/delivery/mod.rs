//! The delivery of a message to a target: states, attempts, retries, queues.

pub mod attempt;
pub mod batch;
pub mod delivery;
pub mod explain;
pub mod hold;
pub mod ordering;
pub mod queue;
pub mod retry;
pub mod timings;
