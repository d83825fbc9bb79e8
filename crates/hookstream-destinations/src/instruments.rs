//! Instruments of the outbound network: refused addresses.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

use crate::net::guard::Rule;

/// Instruments of the destinations. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct Instruments {
    refusals: Family<Refusal, Counter>,
}

/// Rule that refused an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refusal {
    reason: &'static str,
}

impl Instruments {
    /// Adds the instruments to a registry.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "address_refusals",
            "Hosts refused by the address policy, on save or on connection, by the kind of address",
            self.refusals.clone(),
        );
    }

    /// Builds instruments that have a series of each metric, for the reference of the metrics.
    pub fn for_reference() -> Self {
        let all = Self::default();
        all.refusals.get_or_create(&Refusal { reason: "" }).inc();
        all
    }

    /// Counts a refused host.
    pub(crate) fn refused(&self, rule: Rule) {
        self.refusals.get_or_create(&Refusal { reason: rule.as_str() }).inc();
    }
}
