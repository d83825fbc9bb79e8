//! Processes that work on a store, and the notifications between them.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use hookstream_model::{base::time::Timestamp, delivery::queue::Shards};
use tokio::sync::broadcast;

use crate::{db::error::Error, delivery::deliveries::Owner};

/// Processes that work on a store: owners, leases, shards, notifications. A method is one transaction unless its comment
/// says otherwise.
#[async_trait]
pub trait Cluster {
    /// Registers this process as an owner of deliveries, with a number higher than all earlier ones. Releases the
    /// deliveries of expired owners.
    async fn enlist(&self, node: &NodeSelf, now: Timestamp) -> Result<Owner, Error>;

    /// Returns the time for which an owner stays valid without renewal; `None` if it stays valid as long as its process.
    fn lease(&self) -> Option<Duration>;

    /// Renews an owner and releases the deliveries of expired owners.
    async fn renew(&self, owner: Owner, report: NodeReport, now: Timestamp) -> Result<LeaseRenewal, Error>;

    /// Releases shards of an owner to other nodes. The owner must hold none of their deliveries in memory.
    async fn release_shards(&self, owner: Owner, shards: Shards) -> Result<(), Error>;

    /// Ends an owner and releases its deliveries.
    async fn retire(&self, owner: Owner, now: Timestamp) -> Result<(), Error>;

    /// Returns the registered owners, oldest first.
    async fn nodes(&self) -> Result<Vec<Node>, Error>;

    /// Returns the notifications of other processes on the same database. Notifications may be missing: they only
    /// shorten the wait for the next poll.
    fn nudges(&self) -> broadcast::Receiver<Nudge>;

    /// Sends texts of at most [`RELAYED_MAX`] bytes to the processes on the same database, in this order. Nothing is
    /// stored, and texts may be lost. A store for a single process sends nothing.
    async fn relay(&self, audience: Audience, texts: Vec<String>) -> Result<(), Error> {
        let _ = (audience, texts);
        Ok(())
    }

    /// Returns the texts that processes relay from now on, this process's own included; `None` if this process cannot
    /// receive any. Texts to [`Audience::Listeners`] require [`listen_to_stream`](Self::listen_to_stream).
    fn relayed(&self) -> Option<broadcast::Receiver<Relayed>> {
        None
    }

    /// Sets whether this process receives texts to [`Audience::Listeners`].
    fn listen_to_stream(&self, wanted: bool) {
        let _ = wanted;
    }
}

/// Maximum size of a relayed text, in bytes: a notification of PostgreSQL has fewer than 8,000.
pub const RELAYED_MAX: usize = 7_900;

/// Processes that receive a relayed text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Every process.
    All,
    /// Processes that listen to the live stream.
    Listeners,
}

/// Text from a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Relayed {
    /// Text, and the processes that it was sent to.
    Text(Audience, Arc<str>),
    /// Texts may have been missed.
    Resumed,
}

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
