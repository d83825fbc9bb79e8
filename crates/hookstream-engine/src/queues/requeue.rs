//! Return of deliveries from memory to their backlogs in the store.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use hookstream_model::{
    base::{
        ids::{OriginId, RouteId},
        time::Timestamp,
    },
    delivery::queue::Backlog,
};
use hookstream_store::{
    Error,
    delivery::deliveries::{Claimed, Next, Owner, Settled, Wait},
};
use tokio::time::Instant;

use crate::{
    core::Core,
    routing::{route::Route, target::Target},
};

/// Delay of a delivery whose application could not be read.
pub(crate) const UNREADABLE_DELAY: Duration = Duration::from_secs(1);

/// Returns deliveries that this process holds, and counts as held, to their backlogs in the store.
pub(crate) async fn requeue(core: &Arc<Core>, deliveries: Vec<Claimed>) {
    let mut by_owner: BTreeMap<Owner, Vec<Settled>> = BTreeMap::new();
    let mut backlogs = Vec::new();
    for delivery in deliveries {
        let route = route(core, delivery.message.origin_id, delivery.route_id).await;
        let target = match &route {
            Ok(Some(route)) => route.target.key.id,
            Ok(None) | Err(_) => core.unrestricted(delivery.message.origin_id, delivery.route_id).target,
        };
        backlogs.extend(delivery.backlog.map(|backlog| (target, backlog)));
        let wait = match route {
            Ok(Some(route)) => backlog_wait(&route.target, &delivery, core.now()),
            Ok(None) => unchanged_wait(&delivery, core.now()),
            Err(_) => unchanged_wait(&delivery, core.now() + UNREADABLE_DELAY),
        };
        let next = Next::Postponed { wait };
        let (environment_id, message_id, route_id, packed) =
            (delivery.environment_id, delivery.message.id, delivery.route_id, delivery.packed);
        let settled = Settled { environment_id, message_id, route_id, packed, attempt: None, next, event: None };
        by_owner.entry(delivery.owner).or_default().push(settled);
    }
    for (owner, batch) in by_owner {
        let count = batch.len();
        if let Err(error) = core.store.settle(owner, Arc::new(batch)).await {
            // The deliveries stay with an owner id that no longer has them in memory; that id drains and is then
            // released.
            core.suspect_owner();
            tracing::error!(error = &error as &dyn std::error::Error, "could not return deliveries to their backlogs");
        }
        let mut lease = core.lease();
        (0..count).for_each(|_| lease.release(owner));
        drop(lease);
        core.note_due(core.now());
    }
    let now = Instant::now();
    let mut lanes = core.lanes();
    backlogs.into_iter().for_each(|(target, backlog)| lanes.requeue(target, backlog, now));
}

/// Returns the wait of a delivery whose target cannot be read: in its former backlog, at its position.
pub(crate) fn unchanged_wait(delivery: &Claimed, due_at: Timestamp) -> Wait {
    Wait { due_at, backlog: delivery.backlog, keeps_position: delivery.backlog.is_some() }
}

/// Returns the wait of a delivery in its backlog, to be sent when its lane allows.
pub(crate) fn backlog_wait(target: &Target, delivery: &Claimed, now: Timestamp) -> Wait {
    let keeps_position = target.keeps_order(delivery.failed);
    let due_at = if keeps_position { Timestamp::EPOCH } else { now };
    Wait { due_at, backlog: Some(target.backlog(&delivery.message.payload)), keeps_position }
}

/// Returns whether this node works on the shard of a target.
pub(crate) fn works_on_shard(core: &Core, target: &Target) -> bool {
    core.works_on_backlog_since(Backlog::of_target(target.policy.scope, target.key.id)).is_some()
}

/// Returns the route of a delivery; `None` if it does not exist any more.
pub(crate) async fn route(core: &Core, origin: OriginId, route: RouteId) -> Result<Option<Arc<Route>>, Error> {
    Ok(core.origins.get(origin).await?.and_then(|origin| origin.route(route).cloned()))
}
