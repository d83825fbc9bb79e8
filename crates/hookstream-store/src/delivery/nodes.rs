//! The processes that work on a store, and what they tell each other.

use hookstream_model::{base::time::Timestamp, delivery::queue::Shards};

use crate::delivery::deliveries::Owner;

/// What a process says of itself when it enlists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSelf {
    /// A name for people.
    pub name: String,
    /// `all`, `api` or `worker`.
    pub role: &'static str,
    /// The program's version.
    pub version: &'static str,
    /// The number that it had before, whose shards of backlogs go over to the new one.
    pub replaces: Option<Owner>,
}

/// What a process tells of its work with each renewal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NodeReport {
    /// Deliveries in memory that wait for their turn.
    pub queued: usize,
    /// Tries under way or not yet recorded.
    pub in_flight: usize,
    /// For how long the oldest delivery that is due waits, in milliseconds.
    pub lag_ms: u64,
}

/// An owner as others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its number.
    pub owner: Owner,
    /// Its name.
    pub name: String,
    /// `all`, `api` or `worker`.
    pub role: String,
    /// The program's version.
    pub version: String,
    /// When it enlisted.
    pub started_at: Timestamp,
    /// When it was last renewed.
    pub renewed_at: Timestamp,
    /// When it lapses unless it is renewed; `None` where it stands as long as its process.
    pub lapses_at: Option<Timestamp>,
    /// What it last told.
    pub report: NodeReport,
}

/// Whether an owner still stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseRenewal {
    /// It does.
    Held {
        /// How many deliveries of lapsed owners are anybody's now.
        released: u64,
        /// The shards of backlogs that it works on, and nobody else.
        shards: Shards,
        /// How many of them are more than its share: others wait for them.
        surplus: u32,
    },
    /// It had lapsed, and what it had is others' now.
    Lapsed,
}

/// What a process tells the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nudge {
    /// Something is due that nobody owns.
    Due,
    /// Something that is configured has changed; [`crate::db::changes`] says what.
    Changed,
    /// Nudges may have been missed.
    Resumed,
}
