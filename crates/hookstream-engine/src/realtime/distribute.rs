//! Distribution of queued events to the inboxes of this process and to the relay.

use std::sync::Arc;

use super::relay::Outbox;
use crate::core::Core;

/// Distributes events until the engine has stopped.
pub(crate) async fn run(core: Arc<Core>, outbox: Arc<Outbox>) {
    loop {
        let queue = tokio::select! {
            biased;
            () = core.finished.cancelled() => return,
            queue = core.realtime.queued() => queue,
        };
        let elsewhere = core.realtime.elsewhere();
        for event in queue.events {
            core.realtime.deliver(&event);
            if elsewhere.has(event.environment) {
                outbox.add(&event);
            }
        }
        for (environment, count) in queue.left_out {
            core.realtime.note_left_out(environment, count);
            if elsewhere.has(environment) {
                outbox.note_left_out(environment, count);
            }
        }
    }
}
