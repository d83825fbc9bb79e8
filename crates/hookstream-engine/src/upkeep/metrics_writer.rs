//! Writes metrics to the store.
//!
//! Minutes are written every ten seconds, or every minute if they are many; half hours and days every minute, because
//! each write changes their rows again. The engine's stop writes everything. A crash loses what is not written.

use std::{sync::Arc, time::Duration};

use hookstream_model::operations::metrics::Resolution;
use hookstream_store::{Error, operations::metrics};
use tokio::time::Instant;

use crate::core::Core;

/// Interval between looks at what is to be written.
pub(crate) const PERIOD: Duration = Duration::from_secs(10);
/// Interval between writes of half hours and days, and of many minutes.
const LONG_PERIOD: Duration = Duration::from_secs(60);
/// Number of minutes' rows from which they are written in the longer interval: they take some 30 ms of a store with one
/// writer.
const MANY: usize = 2_000;

/// Writes metrics until the engine stops, and the rest then.
pub(crate) async fn run(core: Arc<Core>) {
    let mut written_all = Instant::now();
    loop {
        let is_stopping = tokio::select! {
            biased;
            () = core.finished.cancelled() => true,
            () = tokio::time::sleep(PERIOD) => false,
        };
        let is_all = is_stopping || written_all.elapsed() >= LONG_PERIOD;
        if write(&core, is_all).await && is_all {
            written_all = Instant::now();
        }
        if is_stopping {
            return;
        }
    }
}

/// Writes the rows that are due. Returns whether the store took them.
pub(crate) async fn write(core: &Core, is_all: bool) -> bool {
    core.metrics.gather(core.now());
    let keys = core.metrics.waiting(|resolution| is_all || resolution == Resolution::Minute);
    if !is_all && keys.len() > MANY {
        return true;
    }
    for keys in keys.chunks(metrics::ROWS_PER_COMMIT) {
        let _moving = core.metrics.moving.write().await;
        let rows = core.metrics.take(keys);
        if let Err(error) = metrics::add(&*core.store, &rows).await {
            // Amounts that may be stored are not added again: to count twice is worse than not at all.
            if !matches!(error, Error::Unavailable { .. }) {
                core.metrics.put_back(rows);
            }
            tracing::warn!(error = &error as &dyn std::error::Error, "could not write metrics; retrying");
            return false;
        }
    }
    true
}
