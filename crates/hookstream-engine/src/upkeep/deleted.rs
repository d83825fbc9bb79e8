//! Final removal of deleted environments and organizations after their grace period.
//!
//! The configuration goes first, and with it all credentials; pending deliveries end as cancelled when they fall due,
//! as with any deleted application. Then the messages go, in slices, and at last the empty environment itself. Each
//! step may be repeated, by this node or another.

use std::time::Duration;

use hookstream_model::{
    base::ids::MessageId,
    identity::{environment::Environment, tenancy::Tenant},
    operations::quota::Month,
};
use hookstream_store::{
    Error,
    identity::{environments, organizations},
};

use crate::{core::Core, upkeep::budget_task};

/// Removes the environments that were deleted longer ago than the grace period.
pub(crate) async fn remove(core: &Core, environments: &[Environment]) -> Result<(), Error> {
    let before = core.now() - core.options.deletion_grace;
    let over: Vec<_> = environments.iter().filter(|environment| environment.deleted_at.is_some_and(|at| at <= before)).collect();
    for environment in &over {
        remove_environment(core, environment).await?;
    }
    if over.is_empty() {
        return Ok(());
    }
    // An organization goes with the last of its environments.
    for id in organizations::remove_deleted(&*core.store, before).await? {
        tracing::info!(organization.id = %id, "removed a deleted organization and its data");
    }
    Ok(())
}

async fn remove_environment(core: &Core, environment: &Environment) -> Result<(), Error> {
    let id = environment.id;
    environments::empty(&*core.store, id).await?;
    let now = core.now();
    budget_task::remove_oldest(core, id, now.day().next().start(), u64::MAX).await?;
    core.store.forget_text(id, MessageId::before_all_at(now.day().next().start())).await?;
    // The message of an idempotency key stays as long as the key's window.
    budget_task::remove_messages(core, id, (now - core.options.idempotency_window).day()).await?;
    let tenant = Tenant { organization: environment.organization_id, environment: id };
    if core.store.delivery_counts(tenant).await?.iter().all(|day| day.counts.messages == 0) {
        // Events sent in this month, or on the last day of the previous one, stay counted.
        let since = Month::of(now - Duration::from_secs(24 * 3600)).first();
        let events = core.store.events(since, now.day().next(), vec![id]).await?;
        environments::remove(&*core.store, id, &events).await?;
        tracing::info!(environment.id = %id, "removed a deleted environment and its data");
    }
    Ok(())
}
