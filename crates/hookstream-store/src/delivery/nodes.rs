//! Processes that work on a store, and the notifications between them.

use hookstream_model::{base::time::Timestamp, delivery::queue::Shards};

use crate::delivery::deliveries::Owner;

/// Description of a process when it enlists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSelf {
    /// Name for people.
    pub name: String,
    /// `all`, `api` or `worker`.
    pub role: &'static str,
    /// Version of the program.
    pub version: &'static str,
    /// Former owner number of the process, whose shards move to the new number.
    pub replaces: Option<Owner>,
}

/// Load that a process reports with each renewal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NodeReport {
    /// Deliveries in memory that wait for their turn.
    pub queued: usize,
    /// Attempts under way or not yet recorded.
    pub in_flight: usize,
    /// Time for which the oldest due delivery has waited, in milliseconds.
    pub lag_ms: u64,
}

/// Owner as other processes see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Owner number.
    pub owner: Owner,
    /// Name.
    pub name: String,
    /// `all`, `api` or `worker`.
    pub role: String,
    /// Version of the program.
    pub version: String,
    /// Time of enlisting.
    pub started_at: Timestamp,
    /// Time of the last renewal.
    pub renewed_at: Timestamp,
    /// Time at which the lease expires unless renewed; `None` if the owner lives as long as its process.
    pub lapses_at: Option<Timestamp>,
    /// Last report.
    pub report: NodeReport,
}

/// Result of renewing an owner's lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseRenewal {
    /// The lease is renewed.
    Held {
        /// Deliveries of expired owners that were released.
        released: u64,
        /// Shards that this owner works on exclusively.
        shards: Shards,
        /// Number of those shards beyond the owner's fair share, for which other nodes wait.
        surplus: u32,
    },
    /// The lease had expired; the owner's deliveries belong to others now.
    Expired,
}

/// Notification from one process to the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nudge {
    /// An unowned delivery is due.
    Due,
    /// Configuration has changed; [`crate::db::changes`] holds the details.
    Changed,
    /// Notifications may have been missed.
    Resumed,
}
