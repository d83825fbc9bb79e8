//! Reads event counts and quota limits from the store every second.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use hookstream_model::operations::quota::Month;
use hookstream_store::{Error, operations::quotas};
use tokio::time::Instant;

use crate::core::Core;

/// Factor: the pause after a count lasts at least this many times as long as the count.
pub(crate) const REST_FACTOR: u32 = 10;

/// Interval between counts of events that other nodes accepted.
pub(crate) const PERIOD: Duration = Duration::from_secs(1);

/// Counts until the engine stops; without limits, it does nothing.
pub(crate) async fn run(core: Arc<Core>) {
    loop {
        let begun = Instant::now();
        let is_done = step(&core).await.unwrap_or_else(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, "could not count the events of organizations; retrying");
            false
        });
        let wait = PERIOD.max(begun.elapsed() * REST_FACTOR);
        tokio::select! {
            biased;
            () = core.stop.cancelled() => return,
            () = core.quotas.learned.notified() => {}
            () = tokio::time::sleep(wait), if !is_done => {}
        }
    }
}

/// Counts once: events of other nodes, and counts not known yet. Returns whether no count is needed until a limit
/// changes.
pub(crate) async fn step(core: &Core) -> Result<bool, Error> {
    let month = Month::of(core.now());
    let mut limited = core.quotas.limited();
    if core.store.lease().is_none() {
        // No other node accepts events: an exact count stays exact.
        limited.retain(|(_, meter)| !meter.is_exact.load(Ordering::Acquire));
    }
    if limited.is_empty() {
        return Ok(true);
    }
    let stored: Vec<_> = limited.iter().map(|(_, meter)| meter.stored.load(Ordering::Acquire)).collect();
    let only = if let [(organization, _)] = &limited[..] { Some(*organization) } else { None };
    let counted = quotas::events(&*core.store, month, only).await?;
    for ((organization, meter), stored) in limited.iter().zip(stored) {
        meter.count(month, counted.get(organization).copied().unwrap_or(0), stored);
    }
    Ok(false)
}
