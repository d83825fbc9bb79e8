//! Engine options and their defaults.

use std::{num::NonZeroU32, time::Duration};

use hookstream_model::{
    delivery::{hold::BreakerPolicy, retry::RetrySchedule},
    identity::environment::Limits,
};

/// Role of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Accepts and delivers.
    All,
    /// Accepts; other nodes deliver.
    Api,
    /// Delivers.
    Worker,
}

impl Role {
    /// Returns the role's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Api => "api",
            Self::Worker => "worker",
        }
    }

    /// Returns whether such a node delivers.
    pub const fn delivers(self) -> bool {
        match self {
            Self::All | Self::Worker => true,
            Self::Api => false,
        }
    }
}

/// Limits and times of the engine.
#[derive(Debug, Clone)]
pub struct Options {
    /// Role of this node.
    pub role: Role,
    /// Public URL of the installation, without a trailing slash, for links.
    pub public_url: String,
    /// Name of this node, shown to operators.
    pub node_name: String,
    /// Retry schedule for endpoints without one.
    pub retry_schedule: RetrySchedule,
    /// Time limit of one attempt, body included, for endpoints without one.
    pub timeout: Duration,
    /// Threshold and duration of an endpoint's circuit breaker.
    pub breaker: BreakerPolicy,
    /// Time of failures without a success after which an endpoint is disabled.
    pub disable_after: Duration,
    /// Maximum number of attempts in flight or not yet recorded, over all targets.
    pub max_in_flight: usize,
    /// Same limit for one target, so that no target uses up the capacity of others.
    pub max_in_flight_per_target: usize,
    /// Maximum number of deliveries waiting in memory; the rest wait in the store.
    pub max_queued: usize,
    /// Same limit for one target.
    pub max_queued_per_target: usize,
    /// Maximum size of the payloads waiting in memory, in bytes.
    pub max_queued_bytes: usize,
    /// Maximum size of an accepted payload, in bytes.
    pub payload_limit: usize,
    /// Time for which an idempotency key or an `event_id` stays bound to its first use.
    pub idempotency_window: Duration,
    /// Retention of messages, in days.
    pub retention_days: u32,
    /// Retention of payloads, in days; at most `retention_days`.
    pub payload_retention_days: u32,
    /// Payload budget in bytes for environments without one.
    pub max_payload_bytes: Option<u64>,
    /// Age of messages whose words are indexed for the search, in days; 0 for no index.
    pub search_index_days: u32,
    /// Maximum size of this index, in bytes. Beyond it, the oldest days leave the index.
    pub search_index_bytes: u64,
    /// Time in which a deleted environment or organization can be restored.
    pub deletion_grace: Duration,
    /// Number of applications with metrics of their own at `/metrics`; the others count together.
    pub metrics_per_application: usize,
    /// Lines of the log about attempts in a second, at most so many of successes and of failures; `None` for no limit.
    pub log_lines_per_second: Option<NonZeroU32>,
    /// Interval between claims if no due time is known.
    pub poll_period: Duration,
}

impl Options {
    /// Returns the retention limits for environments without their own.
    pub fn limits(&self) -> Limits {
        let Self { retention_days, payload_retention_days, max_payload_bytes, .. } = *self;
        Limits { retention_days, payload_retention_days, max_payload_bytes }
    }

    /// Returns the age of messages whose words are indexed; `None` for no index.
    pub fn search_index_age(&self) -> Option<Duration> {
        (self.search_index_days > 0).then(|| Duration::from_secs(u64::from(self.search_index_days) * 24 * 3600))
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            role: Role::All,
            public_url: "http://127.0.0.1:8484".to_owned(),
            node_name: "hookstream".to_owned(),
            retry_schedule: RetrySchedule::default(),
            timeout: Duration::from_secs(20),
            breaker: BreakerPolicy::default(),
            disable_after: Duration::from_secs(5 * 24 * 3600),
            // A waiting attempt costs about 10 KiB, so this bounds them at about 10 MiB.
            max_in_flight: 1_024,
            // Enough for 3,200 attempts a second to a receiver that responds in 20 ms.
            max_in_flight_per_target: 64,
            max_queued: 20_000,
            max_queued_per_target: 2_000,
            max_queued_bytes: 32 * 1024 * 1024,
            payload_limit: 1024 * 1024,
            idempotency_window: Duration::from_secs(24 * 3600),
            retention_days: 30,
            payload_retention_days: 30,
            max_payload_bytes: None,
            search_index_days: 7,
            // Some two million messages of 500 bytes.
            search_index_bytes: 1 << 30,
            deletion_grace: Duration::from_secs(7 * 24 * 3600),
            metrics_per_application: 0,
            log_lines_per_second: None,
            poll_period: Duration::from_secs(1),
        }
    }
}
