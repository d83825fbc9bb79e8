//! Renewal of this node's lease, its shards, and the owner ids it has.

use std::{sync::Arc, time::Duration};

use hookstream_model::{
    base::ids::{LimitScopeId, TargetId},
    delivery::queue::{Backlog, Shards},
};
use hookstream_store::{
    Error,
    delivery::{
        cluster::{LeaseRenewal, NodeReport, NodeSelf},
        deliveries::{Claimed, Owner},
    },
};
use tokio::time::Instant;

use crate::{
    cluster::lease::{RENEWALS, reliable},
    core::Core,
    queues::{requeue, schedule},
};

/// Interval between reports of a node on a store without leases.
const REPORT: Duration = Duration::from_secs(2);

/// Pause after a failed request to the store.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// Returns this node's description.
pub(crate) fn introduction(options: &crate::Options, replaces: Option<Owner>) -> NodeSelf {
    NodeSelf { name: options.node_name.clone(), role: options.role.as_str(), version: env!("CARGO_PKG_VERSION"), replaces }
}

/// Renews the lease until the engine has stopped.
pub(crate) async fn run(core: Arc<Core>) {
    let period = core.store.lease().map_or(REPORT, |length| length / RENEWALS);
    // At once, because the first renewal determines the node's backlogs.
    let mut wait = Duration::ZERO;
    loop {
        let must_rotate = tokio::select! {
            biased;
            () = core.finished.cancelled() => return,
            () = core.rotate_owner.notified() => true,
            () = tokio::time::sleep(wait) => false,
        };
        if must_rotate && rotate_owner(&core).await.is_err() {
            // Requested again, after a pause.
            core.rotate_owner.notify_one();
            tokio::time::sleep(RETRY_PAUSE).await;
        }
        wait = match renew(&core).await {
            Ok(()) => period,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "could not renew this node's lease; retrying");
                RETRY_PAUSE.min(period)
            }
        };
    }
}

/// Registers a new owner id; the previous one drains.
pub(crate) async fn rotate_owner(core: &Core) -> Result<(), Error> {
    let replaced = core.owner();
    let owner = enlist(core, Some(replaced)).await?;
    let mut lease = core.lease();
    let before = std::mem::replace(&mut lease.current, owner);
    lease.retiring.push(before);
    lease.is_suspected = false;
    Ok(())
}

pub(crate) async fn renew(core: &Arc<Core>) -> Result<(), Error> {
    let begun = Instant::now();
    let report = report(core);
    // The current owner id first: it has the shards, and other nodes must not take them while an earlier id still has
    // deliveries of their backlogs.
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
                    share_shards(core, owner, shards, surplus).await?;
                }
            }
            LeaseRenewal::Expired => expire(core, owner).await?,
        }
    }
    if let Some(length) = core.store.lease() {
        core.lease().valid_until = Some(begun + reliable(length));
    }
    let drained = core.lease().drained();
    for owner in drained {
        core.store.retire(owner, core.now()).await?;
        core.lease().retiring.retain(|retiring| *retiring != owner);
    }
    // Continues the attempts that waited for a valid lease.
    schedule::begin(core);
    Ok(())
}

/// Takes up the shards that this node now has, and releases its surplus: first no more attempts of them begin, and once
/// none is in flight, other nodes may take them.
async fn share_shards(core: &Arc<Core>, owner: Owner, shards: Shards, surplus: u32) -> Result<(), Error> {
    let surplus = usize::try_from(surplus).unwrap_or(usize::MAX);
    let leaving: Shards = shards.iter().collect::<Vec<_>>().into_iter().rev().take(surplus).collect();
    let has_gained = {
        let mut lease = core.lease();
        let before = lease.shards();
        lease.set_shards(shards, Instant::now());
        lease.leaving = leaving;
        lease.shards().without(before) != Shards::NONE
    };
    if has_gained {
        // The deliveries of their backlogs may be sent now.
        core.note_due(core.now());
    }
    if leaving == Shards::NONE {
        return Ok(());
    }
    // Deliveries on their way into the lanes have arrived, and no more of these shards follow.
    drop(core.backlog_claims.lock().await);
    let of_leaving = |scope: LimitScopeId| leaving.contains(Backlog::of_target(scope, TargetId::from_bytes([0; 16])).shard());
    // All backlogs of a scope are in one shard, independent of the target.
    let evict = core.lanes().evict(|policy, _| !of_leaving(policy.scope), Instant::now());
    let evict = evict.into_iter().map(|(_, delivery)| delivery).collect();
    requeue::requeue(core, evict).await;
    let is_in_flight = {
        let now = core.now();
        let lanes = core.lanes();
        lanes.policies_at_work().any(|policy| policy.restrictions(false, now).bind_to_shard() && of_leaving(policy.scope))
    };
    // A claim with an unknown result counts as in flight too: the next owner of the shards would pass its deliveries
    // by.
    if is_in_flight || core.lease().is_uncertain() {
        return Ok(());
    }
    core.store.release_shards(owner, leaving).await?;
    let mut lease = core.lease();
    lease.set_shards(shards.without(leaving), Instant::now());
    lease.leaving = Shards::NONE;
    Ok(())
}

/// Handles an expired owner id: other nodes have its deliveries, so they are removed from memory, except attempts in
/// flight, which the store will not settle.
pub(crate) async fn expire(core: &Arc<Core>, owner: Owner) -> Result<(), Error> {
    let is_current = core.lease().current == owner;
    if is_current {
        core.lease().set_shards(Shards::NONE, Instant::now());
        let successor = enlist(core, None).await?;
        let mut lease = core.lease();
        (lease.current, lease.is_suspected) = (successor, false);
    }
    core.lease().retiring.retain(|retiring| *retiring != owner);
    let evict = {
        let mut lanes = core.lanes();
        let now = Instant::now();
        let evict = lanes.evict(|_, delivery: &Claimed| delivery.owner != owner, now);
        let backlogs = evict.iter().filter_map(|(target, delivery)| Some((*target, delivery.backlog?)));
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

/// Releases this node's deliveries, so that other nodes need not wait for the lease to expire.
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
