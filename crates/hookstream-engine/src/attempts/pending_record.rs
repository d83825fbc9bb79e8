//! Outcome of a delivery on its way to the store.

use std::sync::Arc;

use hookstream_model::{
    base::{ids::TargetId, time::Timestamp},
    delivery::{outcome::Outcome, queue::Backlog, state::DisabledReason},
    outbound::message::Message,
};
use hookstream_store::delivery::deliveries::{Owner, Settled};

use crate::routing::route::Route;

/// Outcome of a delivery whose turn it was.
pub(crate) struct PendingRecord {
    /// Owner of the delivery.
    pub(crate) owner: Owner,
    /// Target of its lane.
    pub(crate) target: TargetId,
    /// Backlog in which it blocks the deliveries behind it.
    pub(crate) backlog: Option<Backlog>,
    pub(crate) settled: Settled,
    /// Message of the delivery.
    pub(crate) message: Arc<Message>,
    /// Effect on its target, if an attempt was made.
    pub(crate) effect: Option<Effect>,
}

/// Effect of an attempt on its target.
pub(crate) struct Effect {
    /// Outcome of the attempt.
    pub(crate) outcome: Outcome,
    /// Reason to disable the target, if the receiver gave one.
    pub(crate) disable: Option<DisabledReason>,
    pub(crate) at: Timestamp,
    pub(crate) route: Arc<Route>,
}
