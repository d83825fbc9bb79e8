//! Lanes and their turns.

pub(crate) mod claim;

pub(crate) mod lanes;
pub(crate) mod requeue;
pub(crate) mod schedule;
