//! What an operator may set about the engine, and what it is where nothing is set.

use std::time::Duration;

use hookstream_model::{
    delivery::{hold::BreakerPolicy, retry::RetrySchedule},
    identity::environment::Limits,
};

/// What a node does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Accepts and delivers.
    All,
    /// Accepts, and leaves delivering to others.
    Api,
    /// Delivers.
    Worker,
}

impl Role {
    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Api => "api",
            Self::Worker => "worker",
        }
    }

    /// Whether such a node delivers.
    pub const fn delivers(self) -> bool {
        match self {
            Self::All | Self::Worker => true,
            Self::Api => false,
        }
    }
}

/// The engine's limits and times.
#[derive(Debug, Clone)]
pub struct Options {
    /// What this node does.
    pub role: Role,
    /// The name under which people know this node.
    pub node_name: String,
    /// When failed deliveries are tried again, where their endpoint does not say.
    pub retry_schedule: RetrySchedule,
    /// How long one try may take, body included, where its endpoint does not say.
    pub timeout: Duration,
    /// When the circuit breaker of an endpoint opens, and for how long.
    pub breaker: BreakerPolicy,
    /// An endpoint that fails for so long without a success is disabled.
    pub disable_after: Duration,
    /// Tries under way or not yet recorded, over all targets.
    pub max_in_flight: usize,
    /// The same for one target: no target can use up what others need.
    pub max_in_flight_per_target: usize,
    /// Deliveries in memory that wait for their turn; the rest waits in the store.
    pub max_queued: usize,
    /// The same for one target.
    pub max_queued_per_target: usize,
    /// The payloads of what waits in memory, in bytes.
    pub max_queued_bytes: usize,
    /// The largest payload that is accepted, in bytes.
    pub payload_limit: usize,
    /// How long an idempotency key and an `event_id` stand for their first use.
    pub idempotency_window: Duration,
    /// How many days messages are kept.
    pub retention_days: u32,
    /// How many days their payloads are kept; no more than that.
    pub payload_retention_days: u32,
    /// How many bytes of payloads an environment may have, where it does not say.
    pub max_payload_bytes: Option<u64>,
    /// How long a deleted environment or organization can be restored.
    pub deletion_grace: Duration,
    /// How often the store is asked for what is due, besides when something is known to be.
    pub poll_period: Duration,
}

impl Options {
    /// What may be kept, where an environment does not say.
    pub fn limits(&self) -> Limits {
        let Self { retention_days, payload_retention_days, max_payload_bytes, .. } = *self;
        Limits { retention_days, payload_retention_days, max_payload_bytes }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            role: Role::All,
            node_name: "hookstream".to_owned(),
            retry_schedule: RetrySchedule::default(),
            timeout: Duration::from_secs(20),
            breaker: BreakerPolicy::default(),
            disable_after: Duration::from_secs(5 * 24 * 3600),
            // A try that waits costs some 10 KiB, so this bounds them at about 10 MiB.
            max_in_flight: 1_024,
            // Enough for a receiver that answers in 20 ms to take 3,200 a second.
            max_in_flight_per_target: 64,
            max_queued: 20_000,
            max_queued_per_target: 2_000,
            max_queued_bytes: 32 * 1024 * 1024,
            payload_limit: 1024 * 1024,
            idempotency_window: Duration::from_secs(24 * 3600),
            retention_days: 30,
            payload_retention_days: 30,
            max_payload_bytes: None,
            deletion_grace: Duration::from_secs(7 * 24 * 3600),
            poll_period: Duration::from_secs(1),
        }
    }
}
