//! Renewal of this node's lease, its shards, and the owner ids it has.

use std::{sync::Arc, time::Duration};

use hookstream_model::{
    base::ids::{ApplicationId, TargetId},
    delivery::queue::{Backlog, Shards},
};
use hookstream_store::{
    Error,
    delivery::{
        deliveries::{Claimed, Owner},
        nodes::{LeaseRenewal, NodeReport, NodeSelf},
    },
};
use tokio::time::Instant;

use crate::{
    cluster::lease::{RENEWALS, reliable},
    core::Core,
    queues::{requeue, schedule},
};

/// How often a node on a store without leases reports what it does.
pub(crate) const REPORT: Duration = Duration::from_secs(2);

/// How soon to try again where the store did not answer.
pub(crate) const AGAIN: Duration = Duration::from_millis(200);

/// What this node says of itself.
pub(crate) fn introduction(options: &crate::Options, replaces: Option<Owner>) -> NodeSelf {
    NodeSelf { name: options.node_name.clone(), role: options.role.as_str(), version: env!("CARGO_PKG_VERSION"), replaces }
}

/// Renews until the engine has stopped.
pub(crate) async fn run(core: Arc<Core>) {
    let period = core.store.lease().map_or(REPORT, |length| length / RENEWALS);
    // At once: only then it is known which backlogs are this node's.
    let mut wait = Duration::ZERO;
    loop {
        let rolls_over = tokio::select! {
            biased;
            () = core.finished.cancelled() => return,
            () = core.rotate_owner.notified() => true,
            () = tokio::time::sleep(wait) => false,
        };
        if rolls_over && rotate_owner(&core).await.is_err() {
            // Asked for again, after a pause.
            core.rotate_owner.notify_one();
            tokio::time::sleep(AGAIN).await;
        }
        wait = match renew(&core).await {
            Ok(()) => period,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "could not renew this node's lease; retrying");
                AGAIN.min(period)
            }
        };
    }
}

/// Takes a new number; the one before runs dry.
pub(crate) async fn rotate_owner(core: &Core) -> Result<(), Error> {
    let replaced = core.owner();
    let owner = enlist(core, Some(replaced)).await?;
    let mut lease = core.lease();
    let before = std::mem::replace(&mut lease.current, owner);
    lease.retiring.push(before);
    lease.is_doubted = false;
    Ok(())
}

pub(crate) async fn renew(core: &Arc<Core>) -> Result<(), Error> {
    let begun = Instant::now();
    let report = report(core);
    // The current number first: it has the shards, and others must not have those while what is of their backlogs
    // stands under an earlier one.
    let owners: Vec<Owner> = core.lease().all().into_iter().rev().collect();
    for owner in owners {
        let standing = core.store.renew(owner, report, core.now()).await?;
        tracing::debug!(took_us = begun.elapsed().as_micros(), "renewed this node's lease");
        match standing {
            LeaseRenewal::Held { released, shards, surplus } => {
                if released > 0 {
                    tracing::info!(deliveries = released, "took over the deliveries of lost nodes");
                    core.note_due(core.now());
                }
                if core.owner() == owner {
                    share_groups(core, owner, shards, surplus).await?;
                }
            }
            LeaseRenewal::Expired => lapsed(core, owner).await?,
        }
    }
    if let Some(length) = core.store.lease() {
        core.lease().valid_until = Some(begun + reliable(length));
    }
    let dry = core.lease().dry();
    for owner in dry {
        core.store.retire(owner, core.now()).await?;
        core.lease().retiring.retain(|retiring| *retiring != owner);
    }
    // What had to wait while the lease was not sure goes on.
    schedule::begin(core);
    Ok(())
}

/// Takes up the shards that are this node's now, and gives up what is more than its share: first nothing
/// more of them is begun, and once nothing of them is under way, others may have them.
pub(crate) async fn share_groups(core: &Arc<Core>, owner: Owner, shards: Shards, surplus: u32) -> Result<(), Error> {
    let surplus = usize::try_from(surplus).unwrap_or(usize::MAX);
    let leaving: Shards = shards.iter().collect::<Vec<_>>().into_iter().rev().take(surplus).collect();
    let is_more = {
        let mut lease = core.lease();
        let before = lease.shards();
        lease.set_groups(shards, Instant::now());
        lease.leaving = leaving;
        lease.shards().without(before) != Shards::NONE
    };
    if is_more {
        // What waits in their backlogs may go.
        core.note_due(core.now());
    }
    if leaving == Shards::NONE {
        return Ok(());
    }
    // What was on its way into the lanes is in them now, and nothing of these shards comes after it.
    drop(core.line_claims.lock().await);
    let of_leaving = |application: ApplicationId, target: TargetId| leaving.contains(Backlog::of_target(application, target).shard());
    let evict = core.lanes().evict(|delivery| !of_leaving(delivery.message.application_id, delivery.target_id), Instant::now());
    requeue::requeue(core, evict).await;
    // All of an application's backlogs are in one shard, whatever the target.
    let is_under_way = {
        let now = core.now();
        let lanes = core.lanes();
        lanes.policies_at_work().any(|policy| policy.is_limited(now) && of_leaving(policy.application, TargetId::from_bytes([0; 16])))
    };
    // What was claimed from their backlogs and nobody heard of is under way as well: who had the shards now would pass it by.
    if is_under_way || core.lease().is_in_doubt() {
        return Ok(());
    }
    core.store.release_shards(owner, leaving).await?;
    let mut lease = core.lease();
    lease.set_groups(shards.without(leaving), Instant::now());
    lease.leaving = Shards::NONE;
    Ok(())
}

/// Others have what this node had under `owner`: it is let go here, except what is under way, which the
/// store will not settle.
pub(crate) async fn lapsed(core: &Arc<Core>, owner: Owner) -> Result<(), Error> {
    let is_current = core.lease().current == owner;
    if is_current {
        core.lease().set_groups(Shards::NONE, Instant::now());
        let successor = enlist(core, None).await?;
        let mut lease = core.lease();
        (lease.current, lease.is_doubted) = (successor, false);
    }
    core.lease().retiring.retain(|retiring| *retiring != owner);
    let evict = {
        let mut lanes = core.lanes();
        let now = Instant::now();
        let evict = lanes.evict(|delivery: &Claimed| delivery.owner != owner, now);
        let backlogs = evict.iter().filter_map(|delivery| Some((delivery.target_id, delivery.backlog?)));
        backlogs.for_each(|(target, backlog)| lanes.requeue(target, backlog, now));
        let mut lease = core.lease();
        (0..evict.len()).for_each(|_| lease.release(owner));
        evict.len()
    };
    tracing::warn!(deliveries = evict, "this node's lease expired; other nodes have taken over its deliveries");
    Ok(())
}

pub(crate) async fn enlist(core: &Core, replaces: Option<Owner>) -> Result<Owner, Error> {
    core.store.enlist(&introduction(&core.options, replaces), core.now()).await
}

pub(crate) fn report(core: &Core) -> NodeReport {
    let lanes = core.lanes();
    NodeReport { queued: lanes.queued(), in_flight: lanes.in_flight(), lag_ms: core.lag_ms() }
}

/// Gives back what this node has, so that others need not wait for it to lapse.
pub(crate) async fn retire(core: &Core) {
    let owners = core.lease().all();
    for owner in owners {
        if let Err(error) = core.store.retire(owner, core.now()).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "could not release the remaining deliveries; other nodes take them over when the lease expires"
            );
        }
    }
}
