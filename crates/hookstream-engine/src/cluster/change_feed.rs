//! Changes of the configuration, and notifications of other nodes.

use std::{sync::Arc, time::Duration};

use hookstream_model::base::ids::OriginId;
use hookstream_store::{
    Error,
    db::{changes::Feed, listeners::Change},
    delivery::cluster::Nudge,
};
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::Instant,
};

use crate::{core::Core, realtime::event::Event, upkeep::hold_writer};

/// Interval between queries for changes; a notification triggers one earlier.
const PERIOD: Duration = Duration::from_secs(1);

/// Follows the other nodes until the engine stops. Returns at once on a store for a single node.
pub(crate) async fn run(core: Arc<Core>) {
    if core.store.lease().is_none() {
        return;
    }
    let mut nudges = core.store.nudges();
    let mut feed = None;
    loop {
        let asked = Instant::now();
        match follow(&core, &mut feed).await {
            Ok(()) => core.note_changes_known(asked),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "could not read the changes of other nodes; retrying");
            }
        }
        tokio::select! {
            biased;
            () = core.stop.cancelled() => return,
            () = until_changed(&core, &mut nudges) => {}
            () = tokio::time::sleep(PERIOD) => {}
        }
    }
}

/// Waits for a possible change; passes on due deliveries meanwhile.
async fn until_changed(core: &Core, nudges: &mut Receiver<Nudge>) {
    loop {
        match nudges.recv().await {
            Ok(Nudge::Due) => core.note_due(core.now()),
            Ok(Nudge::Changed) => return,
            Ok(Nudge::Resumed) | Err(RecvError::Lagged(_)) => {
                core.note_due(core.now());
                return;
            }
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

async fn follow(core: &Arc<Core>, feed: &mut Option<Feed>) -> Result<(), Error> {
    match feed {
        None => {
            *feed = Some(Feed::start(&*core.store).await?);
            // State cached before the feed began may be older.
            core.origins.forget_all();
            core.event_types.forget_all();
        }
        Some(feed) => {
            for change in feed.next(&*core.store).await? {
                apply(core, change);
            }
        }
    }
    Ok(())
}

/// Applies a change that was committed here or by another node: nothing cached before it is used again.
pub(crate) fn apply(core: &Arc<Core>, change: Change) {
    match change {
        Change::Application(application) => apply_to_origin(core, application.into()),
        Change::Endpoint(change) => {
            apply_to_origin(core, change.application_id.into());
            if core.realtime.wants(change.tenant.environment) {
                core.realtime.publish(Event::of_endpoint(change, core.now()));
            }
        }
        Change::Environment(environment) => {
            core.event_types.forget(environment);
            if environment.is_system() {
                core.told.note(environment.counterpart());
            }
            core.installation_changed();
        }
        Change::Several => {
            core.origins.forget_all();
            core.event_types.forget_all();
            core.installation_changed();
        }
    }
}

fn apply_to_origin(core: &Arc<Core>, origin: OriginId) {
    core.origins.forget(origin);
    // Lanes in memory take the new configuration.
    let task_core = Arc::clone(core);
    core.tasks.spawn(async move { hold_writer::refresh(&task_core, origin).await });
}
