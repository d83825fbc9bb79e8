//! Since when endpoints fail, and which have failed for too long.
//!
//! Kept in memory and written every few seconds, so that a receiver that fails and recovers at every
//! other try costs no write each time. A crash loses those seconds, no more.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use hookstream_model::{
    base::{ids::EndpointId, time::Timestamp},
    delivery::{settlement, state::DisabledReason},
};
use hookstream_store::outbound::endpoints::{self, EndpointKey};

use crate::{core::Core, routing::routes::Route};

/// How often changes are written.
const PERIOD: Duration = Duration::from_secs(5);
/// The most endpoints in one commit: others' commits wait for it on a store with one writer.
const AT_ONCE: usize = 200;

/// What is known beyond what the store says.
#[derive(Debug, Default)]
pub(crate) struct Health {
    changed: BTreeMap<EndpointId, HealthChange>,
}

#[derive(Debug, Clone, Copy)]
struct HealthChange {
    key: EndpointKey,
    failing_since: Option<Timestamp>,
}

impl Health {
    /// Notes a try. Returns the reason to disable the endpoint, where it has failed for too long.
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
    /// Forgets what is remembered of an endpoint.
    pub(crate) fn forget(&mut self, endpoint: EndpointId) {
        self.changed.remove(&endpoint);
    }
}

/// Writes changes until the engine stops, and once more then.
pub(crate) async fn run(core: Arc<Core>) {
    loop {
        let stopping = tokio::select! {
            biased;
            () = core.finished.cancelled() => true,
            () = tokio::time::sleep(PERIOD) => false,
        };
        write(&core).await;
        if stopping {
            return;
        }
    }
}

async fn write(core: &Core) {
    let changed: Vec<HealthChange> = core.health().changed.values().copied().collect();
    for changes in changed.chunks(AT_ONCE) {
        let health: Vec<_> = changes.iter().map(|change| (change.key, change.failing_since)).collect();
        if let Err(error) = endpoints::record_health(&*core.store, &health).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "could not record the health of endpoints; retrying");
            return;
        }
        let mut noted = core.health();
        for (key, failing_since) in health {
            // What is remembered of the application stays: how an endpoint does is no part of how it is configured.
            core.routes.note_health(key.application_id, key.id, failing_since);
            if noted.changed.get(&key.id).is_some_and(|now| now.failing_since == failing_since) {
                noted.changed.remove(&key.id);
            }
        }
    }
}
