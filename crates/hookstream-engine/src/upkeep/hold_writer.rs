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

/// How long to wait between two writes. Each changes the applications that it is about, and whoever sends to one of them
/// decides anew: where many endpoints begin to fail at once, that is to come to an end.
pub(crate) const BETWEEN: Duration = Duration::from_millis(100);

/// The most holds in one commit: others' commits wait for it on a store with one writer.
pub(crate) const AT_ONCE: usize = 200;

/// How long to wait where the store refuses.
pub(crate) const REFUSED: Duration = Duration::from_millis(500);

/// An endpoint and why it is held; `None` where it is not any more.
pub(crate) type Held = (EndpointId, Option<Hold>);

/// Writes holds until the engine has stopped, and what is left then.
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
            tokio::time::sleep(BETWEEN).await;
        } else {
            tokio::time::sleep(REFUSED).await;
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
        for holds in holds.chunks(AT_ONCE) {
            if let Err(error) = endpoints::record_holds(&*core.store, tenant, application, holds).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "could not record the holds of endpoints; retrying");
                return false;
            }
            core.routes.forget(application);
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

/// Tells the lanes of an application what has changed of what is configured.
pub(crate) async fn refresh(core: &Arc<Core>, application: ApplicationId) {
    let news = match core.routes.news(application).await {
        Ok(Some(news)) => news,
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
        match &news.gone {
            Some(gone) => lanes.clear_each_hold(gone.iter().map(|id| TargetId::from(*id)), now.monotonic),
            None => {
                let is_there = |target| news.changed.binary_search_by_key(&EndpointId::from(target), |route| route.endpoint.id).is_ok();
                lanes.clear_hold(application, is_there, now.monotonic);
            }
        }
        news.changed.iter().flat_map(|route| lanes.set_policy(route.endpoint.id.into(), &route.policy, now)).collect::<Vec<_>>()
    };
    schedule::begin(core);
    requeue::requeue(core, evict).await;
    // What waits in the store may go by what is configured now.
    core.note_due(now.wall);
}
