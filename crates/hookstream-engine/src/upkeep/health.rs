//! Time since which endpoints fail, and endpoints that have failed for too long.
//!
//! Kept in memory and written every few seconds, so that a receiver that fails at every other attempt does not cost a
//! write each time. A crash loses at most those seconds.

use std::{collections::BTreeMap, time::Duration};

use hookstream_model::{
    base::{ids::EndpointId, time::Timestamp},
    delivery::{settlement, state::DisabledReason},
};
use hookstream_store::outbound::endpoints::EndpointKey;

use crate::routing::route::Route;

/// Changes that are not stored yet.
#[derive(Debug, Default)]
pub(crate) struct Health {
    pub(crate) changed: BTreeMap<EndpointId, HealthChange>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct HealthChange {
    pub(crate) key: EndpointKey,
    pub(crate) failing_since: Option<Timestamp>,
}

impl Health {
    /// Takes the result of an attempt. Returns the reason to disable the endpoint, if it has failed for too long.
    pub(crate) fn note(&mut self, route: &Route, succeeded: bool, at: Timestamp, allowed: Duration) -> Option<DisabledReason> {
        let endpoint = &route.endpoint;
        let known = self.changed.get(&endpoint.id).map_or_else(|| route.failing_since(), |change| change.failing_since);
        let failing_since = if succeeded { None } else { Some(known.unwrap_or(at)) };
        if failing_since != known {
            self.changed.insert(endpoint.id, HealthChange { key: EndpointKey::from(endpoint), failing_since });
        }
        failing_since.filter(|since| settlement::has_failed_too_long(*since, at, allowed)).map(|_| DisabledReason::KeptFailing)
    }
}

impl Health {
    /// Drops the unsaved change of an endpoint.
    pub(crate) fn forget(&mut self, endpoint: EndpointId) {
        self.changed.remove(&endpoint);
    }
}
