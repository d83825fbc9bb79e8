//! Changes of the configuration as this process hears of them: the commit that makes a change announces it.
//!
//! A cache that listens is never stale in its own process. Other processes read the rows of
//! [`changes`](crate::db::changes).

use std::{
    fmt,
    sync::{PoisonError, RwLock},
};

use hookstream_model::{
    base::ids::{ApplicationId, EndpointId, EnvironmentId},
    identity::tenancy::Tenant,
};

/// Changed resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Application, or its endpoints in a way that [`Self::Endpoint`] does not describe.
    Application(ApplicationId),
    /// One endpoint of an application. Other processes hear of it as a change of the application.
    Endpoint(EndpointChange),
    /// Environment, its event types or its API keys.
    Environment(EnvironmentId),
    /// Several resources, which a listener must all expect to have changed.
    Several,
}

/// Change of one endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndpointChange {
    /// Organization and environment of the endpoint.
    pub tenant: Tenant,
    /// Application of the endpoint.
    pub application_id: ApplicationId,
    /// Endpoint id.
    pub id: EndpointId,
    /// Kind of the change.
    pub kind: EndpointChangeKind,
}

/// Kind of a change of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointChangeKind {
    /// The endpoint was created.
    Created,
    /// Settings or secrets of the endpoint changed.
    Updated,
    /// The engine disabled it.
    Disabled,
    /// The endpoint was deleted.
    Deleted,
    /// Circuit breaker of the endpoint opened.
    CircuitOpened,
    /// Hold of the endpoint ended.
    CircuitClosed,
    /// The endpoint asked for a wait.
    Held,
}

impl EndpointChangeKind {
    /// Word in the live stream.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Disabled => "disabled",
            Self::Deleted => "deleted",
            Self::CircuitOpened => "circuit_opened",
            Self::CircuitClosed => "circuit_closed",
            Self::Held => "held",
        }
    }
}

type Listener = Box<dyn Fn(Change) + Send + Sync>;

/// Listeners of a process.
#[derive(Default)]
pub struct Listeners(RwLock<Vec<Listener>>);

impl Listeners {
    /// Adds a listener. It is called before the write that made the change returns, and must not block.
    pub fn add(&self, listener: impl Fn(Change) + Send + Sync + 'static) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).push(Box::new(listener));
    }

    /// Announces changes to all listeners.
    pub fn announce(&self, changes: &[Change]) {
        let listeners = self.0.read().unwrap_or_else(PoisonError::into_inner);
        changes.iter().for_each(|change| listeners.iter().for_each(|listener| listener(*change)));
    }
}

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listeners").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn every_listener_hears_every_change_in_order() {
        let (listeners, heard) = (Listeners::default(), Arc::new(Mutex::new(Vec::new())));
        for number in 0..2 {
            let heard = Arc::clone(&heard);
            listeners.add(move |change| heard.lock().expect("not poisoned").push((number, change)));
        }
        let changes = [Change::Application(ApplicationId::from_bytes([1; 16])), Change::Several];
        listeners.announce(&changes);
        let expected: Vec<_> = changes.iter().flat_map(|change| [(0, *change), (1, *change)]).collect();
        assert_eq!(*heard.lock().expect("not poisoned"), expected);
    }
}
