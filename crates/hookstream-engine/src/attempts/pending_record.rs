//! Outcome of a delivery on its way to the store.

use std::sync::Arc;

use hookstream_model::{
    base::time::Timestamp,
    delivery::{outcome::Outcome, queue::Backlog, state::DisabledReason},
};
use hookstream_store::delivery::deliveries::{Owner, Settled};

use crate::routing::route::Route;

/// What became of a delivery whose turn it was.
pub(crate) struct PendingRecord {
    /// Whose it was.
    pub(crate) owner: Owner,
    /// The backlog in which it keeps back what is behind it.
    pub(crate) backlog: Option<Backlog>,
    pub(crate) settled: Settled,
    /// What follows for its target, where a try was made.
    pub(crate) effect: Option<Effect>,
}

/// What a try says about its target.
pub(crate) struct Effect {
    /// What came of it.
    pub(crate) outcome: Outcome,
    /// Why the target is to be disabled, where the receiver said so.
    pub(crate) disable: Option<DisabledReason>,
    pub(crate) at: Timestamp,
    pub(crate) route: Arc<Route>,
}
