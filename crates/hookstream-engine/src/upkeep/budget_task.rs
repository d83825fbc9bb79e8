//! Enforces payload budgets and retention: removes the oldest payloads and messages in slices.

use std::{collections::HashMap, sync::Arc, time::Duration};

use hookstream_model::{
    base::{
        ids::{EnvironmentId, MessageId},
        time::{Day, Timestamp},
    },
    identity::environment::{Environment, Limits},
    operations::quota::Month,
};
use hookstream_store::{
    Error,
    delivery::{messages::MessageRemoval, payloads::Removal},
    identity::environments,
};
use tokio::time::Instant;

use crate::{
    core::Core,
    operational::warnings::{note_budget, note_quota},
    upkeep::budgets::PayloadMeter,
};

/// Factor: the pause after counting and removing lasts at least this many times as long as the work.
pub(crate) const REST_FACTOR: u32 = 10;

/// Divisor: excess payloads are removed in parts of a twentieth of the budget.
const BUDGET_PARTS: u64 = 20;

/// Interval between counts; a budget exceeded by accepted messages triggers one earlier.
pub(crate) const PERIOD: Duration = Duration::from_secs(10);

/// Interval while messages are refused.
const PERIOD_REFUSING: Duration = Duration::from_secs(1);

/// Pause between two slices, so that they take only a part of the store's time.
pub(crate) const PAUSE: Duration = Duration::from_millis(10);

/// Enforces the budgets until the engine stops.
pub(crate) async fn run(core: Arc<Core>) {
    loop {
        let begun = Instant::now();
        if let Err(error) = step(&core).await {
            tracing::error!(error = &error as &dyn std::error::Error, "could not enforce the budgets of environments; retrying");
        }
        // With many pending messages, it takes long to find that nothing can be removed.
        let rest = (begun.elapsed() * REST_FACTOR).max(PERIOD_REFUSING / 4);
        let wait = if core.budgets.are_refusing() { PERIOD_REFUSING } else { PERIOD };
        tokio::select! {
            () = core.stop.cancelled() => return,
            () = woken(&core, rest) => {}
            () = tokio::time::sleep(wait.max(rest)) => {}
        }
    }
}

pub(crate) async fn woken(core: &Core, rest: Duration) {
    core.budgets.passed.notified().await;
    tokio::time::sleep(rest).await;
}

/// Counts, and removes the excess.
pub(crate) async fn step(core: &Core) -> Result<(), Error> {
    let installation = core.options.limits();
    let limits = |environment: &Environment| (environment.id, environment.limits(installation));
    let environments = environments::all(&*core.store).await?;
    core.quotas.learn(&environments);
    core.told.learn(&environments);
    core.spans.learn(&environments);
    if core.told.is_any() {
        for (organization, meter) in core.quotas.limited() {
            let (used, most) = meter.usage(Month::of(core.now()));
            note_quota(core, organization, used, most).await;
        }
    }
    core.lanes().set_weights(environments.iter().filter_map(|environment| Some((environment.id, environment.weight?))).collect());
    let mut limited: Vec<_> = environments.iter().map(limits).collect();
    limited.retain(|(_, limits)| limits.max_payload_bytes.is_some());
    if limited.is_empty() {
        core.budgets.meters().clear();
        return Ok(());
    }
    let mut counted = count(core).await?;
    for (environment, limits) in &limited {
        while let excess @ 1.. = limits.excess(counted.get(environment).copied().unwrap_or(0)) {
            // Other nodes do the same, so each part is followed by a new count; together they do not remove too much.
            let part = excess.min((limits.max_payload_bytes.unwrap_or(0) / BUDGET_PARTS).max(1));
            let freed = remove_oldest(core, *environment, core.now() + PERIOD, part).await?;
            counted = count(core).await?;
            if freed == 0 || core.stop.is_cancelled() {
                break;
            }
        }
    }
    for (environment, limits) in environments.iter().zip(environments.iter().map(|environment| environment.limits(installation))) {
        if let Some(budget) = limits.max_payload_bytes {
            note_budget(core, environment, budget, counted.get(&environment.id).copied().unwrap_or(0)).await;
        }
    }
    let meter = |(environment, limits): (EnvironmentId, Limits)| {
        let (budget, bytes) = (limits.max_payload_bytes?, counted.get(&environment).copied().unwrap_or(0));
        Some((environment, PayloadMeter { budget, bytes, is_full: bytes > budget }))
    };
    *core.budgets.meters() = limited.into_iter().filter_map(meter).collect();
    Ok(())
}

pub(crate) async fn count(core: &Core) -> Result<HashMap<EnvironmentId, u64>, Error> {
    Ok(core.store.payload_bytes().await?.into_iter().collect())
}

/// Enforces the retention of environments with a shorter one than the installation's.
pub(crate) async fn keep_ages(core: &Core, environments: &[Environment]) -> Result<(), Error> {
    let (installation, now) = (core.options.limits(), core.now());
    // An idempotency key needs its message as long as its window lasts.
    let windows = (now - core.options.idempotency_window).day();
    for environment in environments {
        let limits = environment.limits(installation);
        let (first, first_payload) = (limits.first_day(now).min(windows), limits.first_payload_day(now));
        if first_payload > installation.first_payload_day(now) {
            let bytes = remove_oldest(core, environment.id, first_payload.start(), u64::MAX).await?;
            core.store.forget_text(environment.id, MessageId::before_all_at(first_payload.start())).await?;
            if bytes > 0 {
                tracing::info!(environment.id = %environment.id, bytes, before = %first_payload, "deleted payloads of an environment");
            }
        }
        if first > installation.first_day(now) {
            let messages = remove_messages(core, environment.id, first).await?;
            if messages > 0 {
                tracing::info!(environment.id = %environment.id, messages, before = %first, "deleted messages of an environment");
            }
        }
    }
    Ok(())
}

/// Removes an environment's messages of days before `before` that have no pending delivery. Returns their number.
pub(crate) async fn remove_messages(core: &Core, environment: EnvironmentId, before: Day) -> Result<usize, Error> {
    let (mut messages, mut after) = (0, None);
    while !core.stop.is_cancelled() {
        let removed = core.store.remove_messages(MessageRemoval { environment, before, after }).await?;
        messages += removed.messages;
        if removed.position.is_none() {
            break;
        }
        after = removed.position;
        tokio::time::sleep(PAUSE).await;
    }
    Ok(messages)
}

/// Removes an environment's oldest payloads without a pending delivery, of messages before `before`, until `bytes`
/// bytes are freed or none are left. Returns the freed bytes.
pub(crate) async fn remove_oldest(core: &Core, environment: EnvironmentId, before: Timestamp, bytes: u64) -> Result<u64, Error> {
    let mut freed = 0;
    let mut after = MessageId::before_all_at(Timestamp::from_millis(0));
    while freed < bytes && !core.stop.is_cancelled() {
        let before = MessageId::before_all_at(before);
        let removed = core.store.remove_payloads(Removal { environment, after, before, bytes: bytes - freed }).await?;
        freed += removed.bytes;
        let Some(position) = removed.position else { break };
        after = position;
        tokio::time::sleep(PAUSE).await;
    }
    Ok(freed)
}
