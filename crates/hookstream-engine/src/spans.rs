//! Tracing of the engine: the tracer, if the operator has one, and the environments whose receivers are told of the trace.
//!
//! Without a tracer and without such an environment, an accepted message and an attempt pay one branch each.

use std::{
    collections::HashSet,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use hookstream_model::{
    base::{ids::EnvironmentId, spans::Tracer},
    identity::environment::Environment,
};

/// Tracer and forwarding environments.
#[derive(Debug, Default)]
pub(crate) struct Spans {
    tracer: Option<Arc<dyn Tracer>>,
    forwarding: RwLock<HashSet<EnvironmentId>>,
    is_any_forwarding: AtomicBool,
}

impl Spans {
    pub(crate) fn new(tracer: Option<Arc<dyn Tracer>>) -> Self {
        Self { tracer, ..Self::default() }
    }

    /// Returns the tracer, if tracing is on.
    pub(crate) fn tracer(&self) -> Option<&dyn Tracer> {
        self.tracer.as_deref()
    }

    /// Learns which environments pass the trace context on.
    pub(crate) fn learn(&self, environments: &[Environment]) {
        let forwarding: HashSet<_> =
            environments.iter().filter(|environment| environment.forward_trace_context).map(|environment| environment.id).collect();
        let is_any = !forwarding.is_empty();
        *self.forwarding.write().unwrap_or_else(PoisonError::into_inner) = forwarding;
        self.is_any_forwarding.store(is_any, Ordering::Release);
    }

    /// Returns whether deliveries of an environment pass the trace context on.
    pub(crate) fn forwards(&self, environment: EnvironmentId) -> bool {
        self.is_any_forwarding.load(Ordering::Acquire)
            && self.forwarding.read().unwrap_or_else(PoisonError::into_inner).contains(&environment)
    }
}
