//! Reads event counts and quota limits from the store every second.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use hookstream_model::operations::quota::Month;
use hookstream_store::{Error, operations::quotas};
use tokio::time::Instant;

use crate::core::Core;

/// Counting may take this part of the time.
pub(crate) const PART: u32 = 10;

/// How often what others accepted is counted.
pub(crate) const PERIOD: Duration = Duration::from_secs(1);

/// Counts until the engine stops; where nothing is limited, nothing.
pub(crate) async fn run(core: Arc<Core>) {
    loop {
        let begun = Instant::now();
        let is_done = step(&core).await.unwrap_or_else(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, "could not count the events of organizations; retrying");
            false
        });
        let wait = PERIOD.max(begun.elapsed() * PART);
        tokio::select! {
            biased;
            () = core.stop.cancelled() => return,
            () = core.quotas.learned.notified() => {}
            () = tokio::time::sleep(wait), if !is_done => {}
        }
    }
}

/// Counts once: what others may have accepted, and what is not known yet. Returns whether nothing was to be counted, nor
/// is until a limit is another.
pub(crate) async fn step(core: &Core) -> Result<bool, Error> {
    let month = Month::of(core.now());
    let mut limited = core.quotas.limited();
    if core.store.lease().is_none() {
        // Nobody else accepts anything: what was exact stays so.
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
