//! Writes holds to the store, and applies changed origins to the lanes.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use hookstream_model::{
    base::ids::{LimitScopeId, OriginId, TargetId},
    delivery::hold::{Hold, HoldReason},
};
use hookstream_store::db::listeners::{EndpointChange, EndpointChangeKind};
use tokio::time::Instant;

use crate::{
    core::Core,
    queues::{requeue, schedule},
    realtime::event::Event,
    routing::route::Route,
};

/// Pause between two writes. Each write changes its origins, and publishers to them decide again; the pause gives
/// them time if many endpoints start to fail at once.
const WRITE_PAUSE: Duration = Duration::from_millis(100);

/// Maximum number of holds in one commit: on a store with one writer, other commits wait for it.
pub(crate) const MAX_PER_COMMIT: usize = 200;

/// Pause after the store refuses.
pub(crate) const REFUSED_PAUSE: Duration = Duration::from_millis(500);

/// Target and its hold; `None` if it has ended.
pub(crate) type Held = (TargetId, Option<Hold>);

/// Writes holds until the engine has stopped, then the remaining ones.
pub(crate) async fn run(core: Arc<Core>) {
    loop {
        let stopping = tokio::select! {
            biased;
            () = core.finished.cancelled() => true,
            () = core.holds_changed.notified() => false,
        };
        let written = write(&core).await;
        if stopping {
            return;
        }
        if written {
            tokio::time::sleep(WRITE_PAUSE).await;
        } else {
            tokio::time::sleep(REFUSED_PAUSE).await;
            core.holds_changed.notify_one();
        }
    }
}

pub(crate) async fn write(core: &Arc<Core>) -> bool {
    let mut changed: BTreeMap<OriginId, (Arc<Route>, Vec<Held>)> = BTreeMap::new();
    for (route, hold) in core.holds().changed.values() {
        let key = route.target.key;
        changed.entry(key.origin).or_insert_with(|| (Arc::clone(route), Vec::new())).1.push((key.id, *hold));
    }
    for (origin, (route, holds)) in changed {
        for holds in holds.chunks(MAX_PER_COMMIT) {
            if let Err(error) = route.target_state.record_holds(route.target.key.tenant, origin, holds).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "could not record the holds of endpoints; retrying");
                return false;
            }
            announce(core, &route, holds);
            let mut lanes = core.lanes();
            let mut noted = core.holds();
            for (id, hold) in holds {
                if noted.changed.get(id).is_some_and(|(_, now)| now == hold) {
                    noted.changed.remove(id);
                    lanes.saved(*id);
                }
            }
        }
        refresh(core, origin).await;
    }
    true
}

/// Publishes written holds in the live stream.
fn announce(core: &Core, route: &Route, holds: &[Held]) {
    let (tenant, origin) = (route.target.key.tenant, route.target.key.origin);
    if !core.realtime.wants(tenant.environment) {
        return;
    }
    for (id, hold) in holds {
        let kind = match hold.map(|hold| hold.reason) {
            Some(HoldReason::Failing) => EndpointChangeKind::CircuitOpened,
            Some(HoldReason::RetryAfter) => EndpointChangeKind::Held,
            None => EndpointChangeKind::CircuitClosed,
        };
        let change = EndpointChange { tenant, application_id: origin.into(), id: (*id).into(), kind };
        core.realtime.publish(Event::of_endpoint(change, core.now()));
    }
}

/// Passes the changed configuration of an origin to its lanes.
pub(crate) async fn refresh(core: &Arc<Core>, origin: OriginId) {
    let changes = match core.origins.changes(origin).await {
        Ok(Some(changes)) => changes,
        Ok(None) => {
            core.lanes().clear_hold(LimitScopeId::from_bytes(*origin.as_bytes()), |_| false, Instant::now());
            core.note_due(core.now());
            return;
        }
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "could not read a changed origin");
            return;
        }
    };
    let now = core.both_clocks();
    let evict = {
        let mut lanes = core.lanes();
        match changes.gone {
            Some(gone) => lanes.clear_each_hold(gone, now.monotonic),
            None => {
                let targets: HashSet<_> = changes.changed.iter().map(|route| route.target.key.id).collect();
                lanes.clear_hold(LimitScopeId::from_bytes(*origin.as_bytes()), |target| targets.contains(&target), now.monotonic);
            }
        }
        let policies = changes.changed.iter().map(|route| &route.target);
        policies.flat_map(|target| lanes.set_policy(target.key.id, &target.policy, now)).collect::<Vec<_>>()
    };
    schedule::begin(core);
    requeue::requeue(core, evict).await;
    // The new configuration may allow stored deliveries to be sent.
    core.note_due(now.wall);
}
