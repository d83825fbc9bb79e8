//! Gauges: of this node, and of the installation.

use std::{sync::atomic::AtomicU64, time::Duration};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};
use tokio::time::Instant;

use crate::queues::lanes::Census;

pub(crate) type GaugeF64 = Gauge<f64, AtomicU64>;
type NoLabels = [(&'static str, &'static str); 0];
/// Gauge that only the node that reads its number has.
type SharedGauge = Family<NoLabels, Gauge>;

/// Gauges of this node, set when they are shown.
#[derive(Debug, Clone, Default)]
pub(crate) struct NodeGauges {
    pub(crate) in_flight: Gauge,
    pub(crate) in_flight_limit: Gauge,
    pub(crate) in_memory: Gauge,
    pub(crate) in_memory_limit: Gauge,
    pub(crate) lanes: Family<State, Gauge>,
    pub(crate) circuits_open: Gauge,
    pub(crate) retry_after_holds: Gauge,
    pub(crate) oldest_due: GaugeF64,
    pub(crate) lease: Family<NoLabels, GaugeF64>,
    pub(crate) shards: Gauge,
}

/// Gauges of the installation, on the node that reads them.
#[derive(Debug, Clone, Default)]
pub(crate) struct InstallationGauges {
    pub(crate) unaccounted: SharedGauge,
    pub(crate) pending: SharedGauge,
    pub(crate) jobs: Family<State, Gauge>,
    pub(crate) nodes: Family<State, Gauge>,
    pub(crate) payload_bytes: SharedGauge,
    pub(crate) store_bytes: SharedGauge,
}

/// Label `state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct State {
    pub(crate) state: &'static str,
}

impl NodeGauges {
    pub(super) fn for_reference(&self) {
        self.lanes.get_or_create(&State { state: "" }).set(0);
        self.lease.get_or_create(&[]).set(0.0);
    }

    /// Sets the gauges of the queues. `lag_ms` is the wait of the oldest due delivery that is in no lane.
    pub(crate) fn show(&self, census: &Census, lag_ms: u64) {
        let set = |gauge: &Gauge, number: usize| gauge.set(i64::try_from(number).unwrap_or(i64::MAX));
        set(&self.in_flight, census.in_flight);
        set(&self.in_flight_limit, census.in_flight_limit);
        set(&self.in_memory, census.queued);
        set(&self.in_memory_limit, census.queued_limit);
        set(&self.circuits_open, census.circuits_open);
        set(&self.retry_after_holds, census.retry_after);
        let held = census.circuits_open + census.retry_after;
        for (state, number) in [("sending", census.sending), ("waiting", census.waiting), ("held", held), ("paused", census.paused)] {
            set(&self.lanes.get_or_create(&State { state }), number);
        }
        self.oldest_due.set(census.oldest_due.max(Duration::from_millis(lag_ms)).as_secs_f64());
    }

    /// Sets the gauges of the lease; `None` if the store has no leases.
    pub(crate) fn show_lease(&self, valid_until: Option<Instant>, shards: usize) {
        if let Some(until) = valid_until {
            self.lease.get_or_create(&[]).set(until.saturating_duration_since(Instant::now()).as_secs_f64());
        }
        self.shards.set(i64::try_from(shards).unwrap_or(i64::MAX));
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("attempts_in_flight", "Attempts under way or not yet recorded, on this node", self.in_flight.clone());
        registry.register("attempts_limit", "Greatest number of attempts under way, on this node", self.in_flight_limit.clone());
        registry.register("deliveries_in_memory", "Deliveries that wait in this node's lanes", self.in_memory.clone());
        registry.register("deliveries_in_memory_limit", "Greatest number of deliveries in this node's lanes", self.in_memory_limit.clone());
        registry.register(
            "lanes",
            "Lanes in this node's memory: `sending`, `waiting` (for a turn, a rate or a free attempt), `held` (open circuit or `Retry-After`), `paused`",
            self.lanes.clone(),
        );
        registry.register(
            "circuits_open",
            "Targets with an open circuit breaker, as far as this node has their lane",
            self.circuits_open.clone(),
        );
        registry.register(
            "retry_after_holds",
            "Targets that asked for a wait by `Retry-After`, as far as this node has their lane",
            self.retry_after_holds.clone(),
        );
        registry.register_with_unit(
            "oldest_due",
            "Time for which the oldest due delivery has waited that neither a hold nor a pause keeps back, as far as this node knows",
            Unit::Seconds,
            self.oldest_due.clone(),
        );
        registry.register_with_unit(
            "node_lease",
            "Time until this node's lease ends unless renewed; PostgreSQL only",
            Unit::Seconds,
            self.lease.clone(),
        );
        registry.register("node_shards", "Shards of limits and backlogs that this node works on, of 64", self.shards.clone());
    }
}

impl InstallationGauges {
    pub(super) fn for_reference(&self) {
        let Self { unaccounted, pending, jobs, nodes, payload_bytes, store_bytes } = self;
        for gauge in [unaccounted, pending, payload_bytes, store_bytes] {
            gauge.get_or_create(&[]).set(0);
        }
        for gauge in [jobs, nodes] {
            gauge.get_or_create(&State { state: "" }).set(0);
        }
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "deliveries_unaccounted",
            "Deliveries whose state the counts and the rows disagree on; must be 0. On one node of the installation",
            self.unaccounted.clone(),
        );
        registry.register("deliveries_pending", "Pending deliveries of the installation. On one node", self.pending.clone());
        registry.register("jobs", "Jobs of the installation that have not ended, by status. On one node", self.jobs.clone());
        registry.register("nodes", "Nodes of the installation: `alive`, `lost` (lease expired). On one node", self.nodes.clone());
        registry.register_with_unit(
            "payload",
            "Stored bytes of payloads of the installation. On one node",
            Unit::Bytes,
            self.payload_bytes.clone(),
        );
        registry.register_with_unit(
            "store",
            "Bytes of messages, deliveries and attempts in the store. On one node",
            Unit::Bytes,
            self.store_bytes.clone(),
        );
    }

    /// Removes the numbers, because another node reads them now.
    pub(crate) fn clear(&self) {
        let Self { unaccounted, pending, jobs, nodes, payload_bytes, store_bytes } = self;
        [unaccounted, pending, payload_bytes, store_bytes].into_iter().for_each(Family::clear);
        [jobs, nodes].into_iter().for_each(Family::clear);
    }
}
