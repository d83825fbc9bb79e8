//! Making room for tomorrow, and dropping the days and jobs whose time is over.

use std::{sync::Arc, time::Duration};

use crate::core::Core;

/// How often; also at the start.
const PERIOD: Duration = Duration::from_secs(600);

/// Keeps the days until the engine stops.
pub(crate) async fn run(core: Arc<Core>) {
    loop {
        if let Err(error) = step(&core).await {
            tracing::error!(error = &error as &dyn std::error::Error, "could not keep the days; trying again");
        }
        tokio::select! {
            biased;
            () = core.stop.cancelled() => return,
            () = tokio::time::sleep(PERIOD) => {}
        }
    }
}

async fn step(core: &Core) -> Result<(), hookstream_store::Error> {
    let now = core.now();
    core.store.prepare_day(now.day()).await?;
    core.store.prepare_day(now.day().next()).await?;
    core.store.forget_keys_before(now - core.options.idempotency_window).await?;
    if core.store.lease().is_some() {
        hookstream_store::changes::forget_old(&*core.store).await?;
    }
    let kept = Duration::from_secs(u64::from(core.options.retention_days) * 24 * 3600);
    hookstream_store::jobs::forget_ended_before(&*core.store, now - kept).await?;
    for day in core.store.drop_days_before((now - kept).day()).await? {
        tracing::info!(%day, "dropped a day of messages");
    }
    Ok(())
}
