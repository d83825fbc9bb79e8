//! Exposition of the metrics: the instruments of all parts in one registry, written as text when they are asked for.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{Router, routing};
use hookstream_api::METRICS_TYPE;
use http::header;
use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{family::Family, gauge::Gauge, info::Info},
    registry::Registry,
};
use tokio::sync::Semaphore;

use super::{disk::Disk, logs, otlp, process::Process};

/// Parts of a server whose instruments are shown.
pub(crate) struct Sources {
    pub(crate) store: Arc<dyn hookstream_store::Store>,
    pub(crate) destinations: Arc<hookstream_destinations::Registry>,
    pub(crate) engine: hookstream_engine::Handle,
    pub(crate) api: hookstream_api::Instruments,
    /// Permits of connections that are free, and their number.
    pub(crate) connections: (Arc<Semaphore>, usize),
    /// `sqlite` or `postgresql`.
    pub(crate) database: &'static str,
    /// Data directory; `None` for PostgreSQL.
    pub(crate) directory: Option<PathBuf>,
}

/// Instruments of all parts.
#[derive(Debug, Default)]
pub(super) struct Instruments {
    pub(super) store: hookstream_store::Instruments,
    pub(super) destinations: hookstream_destinations::Instruments,
    pub(super) engine: hookstream_engine::Instruments,
    pub(super) api: hookstream_api::Instruments,
    pub(super) connections: Connections,
    /// Data directory, if there is one.
    pub(super) directory: Option<PathBuf>,
}

/// Connections of the API's listener, by state.
pub(super) type Connections = Family<ConnectionState, Gauge>;

/// `open`, or `limit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ConnectionState {
    pub(super) state: &'static str,
}

/// Labels of `hookstream_build_info`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Build {
    pub(super) version: &'static str,
    pub(super) database: &'static str,
    pub(super) role: &'static str,
}

impl Instruments {
    /// Puts all instruments in a registry.
    pub(super) fn registry(&self, build: Build) -> Registry {
        let mut registry = Registry::default();
        let ours = registry.sub_registry_with_prefix("hookstream");
        self.engine.register(ours);
        self.store.register(ours);
        self.destinations.register(ours);
        self.api.register(ours);
        ours.register("http_connections", "Connections of the API's listener: `open`, and the `limit`", self.connections.clone());
        ours.register_collector(Box::new(Disk(self.directory.clone())));
        logs::register(ours);
        otlp::register(ours);
        ours.register("build", "Version of the program, its database, and the role of the node", Info::new(build));
        registry.register_collector(Box::new(Process::default()));
        registry
    }
}

/// Metrics of a running server, as text in the OpenMetrics format. Clones show the same.
#[derive(Clone)]
pub(crate) struct Exposition {
    registry: Arc<Mutex<Registry>>,
    /// Sets the gauges that are read from memory when they are shown.
    observe: Arc<dyn Fn() + Send + Sync>,
}

impl Exposition {
    /// Builds the exposition of a server.
    pub(crate) fn new(sources: Sources) -> Self {
        let Sources { store, destinations, engine, api, connections: (free, limit), database, directory } = sources;
        let connections = Connections::default();
        let instruments = Instruments {
            store: store.instruments(),
            destinations: destinations.instruments(),
            engine: engine.instruments(),
            api,
            connections: connections.clone(),
            directory,
        };
        let build = Build { version: env!("CARGO_PKG_VERSION"), database, role: engine.options().role.as_str() };
        let number = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        connections.get_or_create(&ConnectionState { state: "limit" }).set(number(limit));
        let observe = move || {
            // Both set the gauges of their state; the instruments themselves are in the registry already.
            let _ = (store.instruments(), engine.instruments());
            let open = number(limit.saturating_sub(free.available_permits()));
            connections.get_or_create(&ConnectionState { state: "open" }).set(open);
        };
        Self { registry: Arc::new(Mutex::new(instruments.registry(build))), observe: Arc::new(observe) }
    }

    /// Returns the metrics as text.
    pub(crate) fn text(&self) -> String {
        // Under the lock, so that two requests at once do not mix their gauges.
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        (self.observe)();
        let mut written = String::new();
        text::encode(&mut written, &registry).expect("a string takes any text");
        written
    }

    /// Returns the routes of the metrics' own listener.
    pub(crate) fn routes(self) -> Router {
        Router::new().route("/metrics", routing::get(async move || ([(header::CONTENT_TYPE, METRICS_TYPE)], self.text())))
    }
}
