//! What other nodes tell: that something is due, or that something was changed.

use std::{sync::Arc, time::Duration};

use hookstream_store::{
    Error,
    db::changes::{Change, Feed},
    delivery::nodes::Nudge,
};
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::Instant,
};

use crate::{core::Core, upkeep::hold_writer};

/// How often changes are asked for, besides when another node tells.
const PERIOD: Duration = Duration::from_secs(1);

/// Follows the other nodes until the engine stops. On a store that has none there is nothing to follow.
pub(crate) async fn run(core: Arc<Core>) {
    if core.store.lease().is_none() {
        return;
    }
    let mut nudges = core.store.nudges();
    let mut feed = None;
    loop {
        let asked = Instant::now();
        match follow(&core, &mut feed).await {
            Ok(()) => core.heard(asked),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "could not read the changes of other nodes; retrying");
            }
        }
        tokio::select! {
            biased;
            () = core.stop.cancelled() => return,
            () = heard_of_change(&core, &mut nudges) => {}
            () = tokio::time::sleep(PERIOD) => {}
        }
    }
}

/// Waits until something may have been changed; passes on what is due meanwhile.
async fn heard_of_change(core: &Core, nudges: &mut Receiver<Nudge>) {
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
            // What was remembered before the feed began may be older.
            core.routes.forget_all();
        }
        Some(feed) => {
            for change in feed.next(&*core.store).await? {
                match change {
                    Change::Application(application) => {
                        core.routes.forget(application);
                        hold_writer::refresh(core, application).await;
                    }
                    Change::Environment(environment) => core.environment_changed(environment),
                }
            }
        }
    }
    Ok(())
}
