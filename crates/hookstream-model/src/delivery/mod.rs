//! The delivery of a message to a target: states, attempts, retries, queues.

pub mod settlement;

pub mod attempt;
pub mod batch;
pub mod explain;
pub mod hold;
pub mod ordering;
pub mod outcome;
pub mod placement;
pub mod queue;
pub mod retry;
pub mod state;
pub mod timings;
