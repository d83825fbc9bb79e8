//! Writes the health of endpoints to the store every few seconds.

use std::{sync::Arc, time::Duration};

use hookstream_store::outbound::endpoints;

use crate::{core::Core, upkeep::health::HealthChange};

/// Interval between writes.
pub(crate) const PERIOD: Duration = Duration::from_secs(5);

/// Maximum number of endpoints in one commit: on a store with one writer, other commits wait for it.
pub(crate) const MAX_PER_COMMIT: usize = 200;

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

pub(crate) async fn write(core: &Core) {
    let changed: Vec<HealthChange> = core.health().changed.values().copied().collect();
    for changes in changed.chunks(MAX_PER_COMMIT) {
        let health: Vec<_> = changes.iter().map(|change| (change.key, change.failing_since)).collect();
        if let Err(error) = endpoints::record_health(&*core.store, &health).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "could not record the health of endpoints; retrying");
            return;
        }
        let mut noted = core.health();
        for (key, failing_since) in health {
            // The cached application stays valid: health is not part of an endpoint's configuration.
            core.routes.note_health(key.application_id, key.id, failing_since);
            if noted.changed.get(&key.id).is_some_and(|now| now.failing_since == failing_since) {
                noted.changed.remove(&key.id);
            }
        }
    }
}
