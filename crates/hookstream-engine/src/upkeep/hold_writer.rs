//! Writes holds to the store, and applies changed applications to the lanes.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use hookstream_model::{
    base::ids::{ApplicationId, EndpointId, TargetId},
    delivery::hold::Hold,
    identity::tenancy::Tenant,
};
use hookstream_store::outbound::endpoints;
use tokio::time::Instant;

use crate::{
    core::Core,
    queues::{requeue, schedule},
};

/// Pause between two writes. Each write changes its applications, and publishers to them decide again; the pause gives
/// them time if many endpoints start to fail at once.
const WRITE_PAUSE: Duration = Duration::from_millis(100);

/// Maximum number of holds in one commit: on a store with one writer, other commits wait for it.
pub(crate) const MAX_PER_COMMIT: usize = 200;

/// Pause after the store refuses.
pub(crate) const REFUSED_PAUSE: Duration = Duration::from_millis(500);

/// Endpoint and its hold; `None` if it has ended.
pub(crate) type Held = (EndpointId, Option<Hold>);

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
    let mut changed: BTreeMap<ApplicationId, (Tenant, Vec<Held>)> = BTreeMap::new();
    for (key, hold) in core.holds().changed.values() {
        changed.entry(key.application_id).or_insert_with(|| (key.tenant, Vec::new())).1.push((key.id, *hold));
    }
    for (application, (tenant, holds)) in changed {
        for holds in holds.chunks(MAX_PER_COMMIT) {
            if let Err(error) = endpoints::record_holds(&*core.store, tenant, application, holds).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "could not record the holds of endpoints; retrying");
                return false;
            }
            let mut lanes = core.lanes();
            let mut noted = core.holds();
            for (id, hold) in holds {
                if noted.changed.get(id).is_some_and(|(_, now)| now == hold) {
                    noted.changed.remove(id);
                    lanes.saved(TargetId::from(*id));
                }
            }
        }
        refresh(core, application).await;
    }
    true
}

/// Passes the changed configuration of an application to its lanes.
pub(crate) async fn refresh(core: &Arc<Core>, application: ApplicationId) {
    let changes = match core.routes.changes(application).await {
        Ok(Some(changes)) => changes,
        Ok(None) => {
            core.lanes().clear_hold(application, |_| false, Instant::now());
            core.note_due(core.now());
            return;
        }
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "could not read a changed application");
            return;
        }
    };
    let now = core.both_clocks();
    let evict = {
        let mut lanes = core.lanes();
        match &changes.gone {
            Some(gone) => lanes.clear_each_hold(gone.iter().map(|id| TargetId::from(*id)), now.monotonic),
            None => {
                let exists = |target| changes.changed.binary_search_by_key(&EndpointId::from(target), |route| route.endpoint.id).is_ok();
                lanes.clear_hold(application, exists, now.monotonic);
            }
        }
        changes.changed.iter().flat_map(|route| lanes.set_policy(route.endpoint.id.into(), &route.policy, now)).collect::<Vec<_>>()
    };
    schedule::begin(core);
    requeue::requeue(core, evict).await;
    // The new configuration may allow stored deliveries to be sent.
    core.note_due(now.wall);
}
