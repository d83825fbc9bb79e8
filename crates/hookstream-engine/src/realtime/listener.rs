//! Listener to the live stream of one environment, as the API holds it.

use std::sync::Arc;

use hookstream_model::{
    base::ids::{EnvironmentId, OriginId},
    operations::stream::Channel,
};

use super::inbox::{Inbox, Received};
use crate::{Handle, core::Core};

/// Maximum number of subscriptions of a listener.
pub const SUBSCRIPTIONS_MAX: usize = 100;

/// Listener, which stops listening when it is dropped.
pub struct Listener {
    core: Arc<Core>,
    environment: EnvironmentId,
    inbox: Arc<Inbox>,
}

impl Handle {
    /// Starts listening to an environment; `only` restricts the listener to one origin. It has no subscriptions yet.
    pub fn listen(&self, environment: EnvironmentId, only: Option<OriginId>) -> Listener {
        let inbox = Arc::new(Inbox::new(only));
        self.core.realtime.add(environment, Arc::clone(&inbox));
        Listener { core: Arc::clone(&self.core), environment, inbox }
    }

    /// Returns whether a listener on this node hears of events on every node. Behind a pooler, nodes cannot notify each
    /// other.
    pub fn hears_every_node(&self) -> bool {
        self.core.store.lease().is_none() || self.core.store.relayed().is_some()
    }
}

impl Listener {
    /// Subscribes to a channel under a name. Returns false at [`SUBSCRIPTIONS_MAX`] subscriptions.
    pub fn subscribe(&self, name: &str, channel: Channel) -> bool {
        self.inbox.subscribe(name, channel, SUBSCRIPTIONS_MAX)
    }

    /// Ends the subscription with a name. Returns whether there was one.
    pub fn unsubscribe(&self, name: &str) -> bool {
        self.inbox.unsubscribe(name)
    }

    /// Waits for the next event or gap. Cancelling the wait loses nothing.
    pub async fn next(&self) -> Received {
        self.inbox.next().await
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.core.realtime.remove(self.environment, &self.inbox);
    }
}
