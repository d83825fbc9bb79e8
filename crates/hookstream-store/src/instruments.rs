//! Instruments of the store: how long commits take, and how much each contains.
//!
//! The binary registers them and shows them at `/metrics`; a store without a registry counts all the same.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

/// Upper bounds of the durations of commits, in seconds: a sync of a good disk takes one millisecond.
const SECONDS: [f64; 12] = [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// Instruments of a store. Clones count together.
#[derive(Debug, Clone)]
pub struct Instruments {
    seconds: Family<Operation, Histogram>,
    sizes: Family<Operation, Histogram>,
    pub(crate) connections: Family<Connections, Gauge>,
}

/// Kind of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Operation {
    op: &'static str,
}

/// State of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Connections {
    pub(crate) pool: &'static str,
    pub(crate) state: &'static str,
}

/// Instruments of one kind of commit.
#[derive(Debug, Clone)]
pub(crate) struct Commits {
    seconds: Histogram,
    sizes: Histogram,
}

impl Default for Instruments {
    fn default() -> Self {
        Self {
            seconds: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            sizes: Family::new_with_constructor(|| Histogram::new(exponential_buckets(1.0, 2.0, 13))),
            connections: Family::default(),
        }
    }
}

impl Instruments {
    /// Adds the instruments to a registry.
    pub fn register(&self, registry: &mut Registry) {
        registry.register_with_unit(
            "store_commit",
            "Duration of commits of the hot path. SQLite: `write`, all waiting operations of one file. PostgreSQL: `publish` and `settle`",
            Unit::Seconds,
            self.seconds.clone(),
        );
        registry.register("store_commit_batch_size", "Operations in one commit: messages, outcomes or other writes", self.sizes.clone());
        registry.register(
            "store_connections",
            "Connections to PostgreSQL: `open`, `idle`, and the `limit`, by pool: `requests`, `engine`",
            self.connections.clone(),
        );
    }

    /// Builds instruments that have a series of each metric, for the reference of the metrics.
    pub fn for_reference() -> Self {
        let all = Self::default();
        all.commits("");
        all.connections.get_or_create(&Connections { pool: "", state: "" }).set(0);
        all
    }

    /// Returns the instruments of a kind of commit.
    pub(crate) fn commits(&self, op: &'static str) -> Commits {
        let operation = Operation { op };
        Commits { seconds: self.seconds.get_or_create_owned(&operation), sizes: self.sizes.get_or_create_owned(&operation) }
    }
}

impl Commits {
    /// Notes a commit of `size` operations.
    pub(crate) fn note(&self, size: usize, took: Duration) {
        self.seconds.observe(took.as_secs_f64());
        self.sizes.observe(f64::from(u32::try_from(size).unwrap_or(u32::MAX)));
    }
}
