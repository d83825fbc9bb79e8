//! Writes the health of targets to the store every few seconds.

use std::{sync::Arc, time::Duration};

use crate::{core::Core, upkeep::health::HealthChange};

/// Interval between writes.
pub(crate) const PERIOD: Duration = Duration::from_secs(5);

/// Maximum number of targets in one commit: on a store with one writer, other commits wait for it.
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
    let changed: Vec<HealthChange> = core.health().changed.values().cloned().collect();
    // Each kind keeps the health of its targets.
    for changes in changed.chunk_by(|one, other| Arc::ptr_eq(&one.route.target_state, &other.route.target_state)) {
        for changes in changes.chunks(MAX_PER_COMMIT) {
            let Some(target_state) = changes.first().map(|change| &change.route.target_state) else { continue };
            let health: Vec<_> = changes.iter().map(|change| (change.route.target.key, change.failing_since)).collect();
            if let Err(error) = target_state.record_health(&health).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "could not record the health of endpoints; retrying");
                return;
            }
            let mut noted = core.health();
            for (key, failing_since) in health {
                // The cached origin stays valid: health is not part of a target's configuration.
                core.origins.note_health(key, failing_since);
                if noted.changed.get(&key.id).is_some_and(|now| now.failing_since == failing_since) {
                    noted.changed.remove(&key.id);
                }
            }
        }
    }
}
