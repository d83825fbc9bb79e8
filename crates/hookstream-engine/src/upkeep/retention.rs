//! Prepares the next day's storage, and drops expired days, payloads, jobs and metrics.

use std::{sync::Arc, time::Duration};

use hookstream_model::{
    base::{
        ids::EnvironmentId,
        time::{Day, Timestamp},
    },
    identity::environment::Environment,
    operations::metrics::Resolution,
};
use hookstream_store::{identity::environments, operations::metrics};

use crate::{
    core::Core,
    upkeep::{budget_task, deleted},
};

/// Interval between runs; the first is at the start.
const PERIOD: Duration = Duration::from_secs(600);

/// Pause between two slices: they may take a fifth of the store's time.
const PAUSE: Duration = Duration::from_millis(10);

/// Applies the retention until the engine stops.
pub(crate) async fn run(core: Arc<Core>) {
    loop {
        if let Err(error) = step(&core).await {
            tracing::error!(error = &error as &dyn std::error::Error, "could not apply the retention of days; retrying");
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
        hookstream_store::db::changes::forget_old(&*core.store).await?;
    }
    let kept = Duration::from_secs(u64::from(core.options.retention_days) * 24 * 3600);
    hookstream_store::operations::jobs::forget_ended_before(&*core.store, now - kept).await?;
    for day in core.store.drop_days_before((now - kept).day()).await? {
        tracing::info!(%day, "deleted a day of messages");
    }
    expire_payloads(core, core.options.limits().first_payload_day(now)).await?;
    let environments = environments::all(&*core.store).await?;
    budget_task::keep_ages(core, &environments).await?;
    deleted::remove(core, &environments).await?;
    expire_metrics(core, &environments).await
}

/// Expires metrics: minutes after two days, the others with the messages of their environment. Those of a removed
/// environment go as a whole.
async fn expire_metrics(core: &Core, environments: &[Environment]) -> Result<(), hookstream_store::Error> {
    let (now, installation) = (core.now(), core.options.limits());
    let mut last = EnvironmentId::from_bytes([0; 16]);
    while let Some(id) = metrics::next_environment(&*core.store, last).await? {
        last = id;
        let found = environments.iter().find(|environment| environment.id == id);
        let kept_from = found.map_or(Timestamp::from_millis(i64::MAX), |found| found.limits(installation).first_day(now).start());
        for resolution in Resolution::ALL {
            let before = match resolution {
                Resolution::Minute => kept_from.max(now - Resolution::MINUTES_KEPT),
                Resolution::HalfHour | Resolution::Day => kept_from,
            };
            while metrics::expire(&*core.store, id, resolution, before).await? {
                tokio::select! {
                    () = core.stop.cancelled() => return Ok(()),
                    () = tokio::time::sleep(PAUSE) => {}
                }
            }
        }
    }
    Ok(())
}

/// Expires payloads slice by slice, so that publishing is hardly delayed. Without expired payloads, this is one query.
async fn expire_payloads(core: &Core, before: Day) -> Result<(), hookstream_store::Error> {
    let mut bytes = 0;
    while let Some(expired) = core.store.expire_payloads(before).await? {
        bytes += expired.bytes;
        if expired.is_done && bytes > 0 {
            tracing::info!(day = %expired.day, bytes, "deleted the payloads of a day");
        }
        if expired.is_done {
            bytes = 0;
        }
        tokio::select! {
            () = core.stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
    Ok(())
}
