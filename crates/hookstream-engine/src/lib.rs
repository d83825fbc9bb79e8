//! Delivery engine: sends each accepted message to its targets until every delivery has ended.
//!
//! One path: [`intake::accept`] stores a message with its deliveries, a [lane](queues::lanes) holds the due deliveries
//! of one target, [`queues::schedule`] gives the lanes their turns, [`attempts::attempt`] makes one attempt,
//! [`attempts::record`] settles it. Retries, deliveries requeued by a [job](attempts::jobs) and the start after a crash
//! have no path of their own: each is a delivery that falls due.

mod attempts;
mod cluster;
mod core;
mod instruments;
mod intake;
mod operational;
mod options;
mod queues;
mod realtime;
mod routing;
#[cfg(test)]
mod sim;
mod spans;
mod upkeep;

use std::{sync::Arc, time::Duration};

use hookstream_destinations::Registry;
use hookstream_model::{
    base::{
        ids::{ApplicationId, EnvironmentId},
        spans::Tracer,
        time::Clock,
    },
    identity::tenancy::Tenant,
};
use hookstream_store::{Store, identity::environments};
use rand::rngs::StdRng;
use tokio::sync::mpsc;

use crate::core::Core;

pub use hookstream_destinations::RenderedRequest;

pub use self::options::{Options, Role};
pub use crate::{
    attempts::{
        jobs::{Forecast, JobError},
        redeliver::{RetryError, RetrySelection},
    },
    instruments::Instruments,
    intake::accept::{Accepted, Draft, SendError},
    queues::lanes::LaneView,
    realtime::{
        event::Event,
        inbox::Received,
        listener::{Listener, SUBSCRIPTIONS_MAX},
    },
    routing::{
        applications::Applications,
        origin::{ApplicationRoutes, EndpointRoute},
    },
};

/// Time for which a node relies on cached state without asking for changes; a node asks every second.
pub const MAX_STALENESS: Duration = Duration::from_secs(2);

/// Dependencies of the engine.
#[derive(Clone)]
pub struct Parts {
    /// Store of messages and deliveries.
    pub store: Arc<dyn Store>,
    /// Kinds of targets.
    pub destinations: Arc<Registry>,
    /// Source of the present time.
    pub clock: Arc<dyn Clock>,
    /// Tracer; `None` if tracing is off.
    pub tracer: Option<Arc<dyn Tracer>>,
}

/// Running engine, as the API and the binary hold it. Clones share one engine.
#[derive(Clone)]
pub struct Handle {
    core: Arc<Core>,
}

impl Handle {
    /// Starts an engine and takes up the deliveries that an earlier process left pending.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn start(parts: Parts, options: Options, rng: StdRng) -> Result<Self, hookstream_store::Error> {
        Self::start_with(parts, options, rng, Vec::new()).await
    }

    /// Starts an engine with more fronts than the applications.
    async fn start_with(
        parts: Parts,
        options: Options,
        rng: StdRng,
        fronts: Vec<Arc<dyn routing::front::Front>>,
    ) -> Result<Self, hookstream_store::Error> {
        let begun = tokio::time::Instant::now();
        let owner = parts.store.enlist(&crate::cluster::renewal::introduction(&options, None), parts.clock.now()).await?;
        let lease = crate::cluster::lease::Lease::new(owner, begun, parts.store.lease());
        let now = parts.clock.now().day();
        parts.store.prepare_day(now).await?;
        let (outcomes, recorded) = mpsc::channel(options.max_in_flight * 4);
        let core = Arc::new(Core::new(parts, options, lease, outcomes, rng, fronts));
        // Before the first attempt: a delivery that was pending keeps its trace context.
        core.spans.learn(&environments::all(&*core.store).await?);
        let listening = Arc::downgrade(&core);
        core.store.listeners().add(move |change| {
            if let Some(core) = listening.upgrade() {
                crate::cluster::change_feed::apply(&core, change);
            }
        });
        core.tasks.spawn(crate::attempts::record::run(Arc::clone(&core), recorded));
        if core.options.role.delivers() {
            core.tasks.spawn(crate::queues::claim::run(Arc::clone(&core)));
            core.tasks.spawn(crate::attempts::jobs::run(Arc::clone(&core)));
        }
        core.tasks.spawn(crate::queues::schedule::run_timers(Arc::clone(&core)));
        core.tasks.spawn(crate::upkeep::hold_writer::run(Arc::clone(&core)));
        core.tasks.spawn(crate::cluster::renewal::run(Arc::clone(&core)));
        core.tasks.spawn(crate::cluster::change_feed::run(Arc::clone(&core)));
        let outbox = Arc::new(crate::realtime::relay::Outbox::new(core.process_tag()));
        core.tasks.spawn(crate::realtime::relay::send(Arc::clone(&core), Arc::clone(&outbox)));
        core.tasks.spawn(crate::realtime::relay::receive(Arc::clone(&core), Arc::clone(&outbox)));
        core.tasks.spawn(crate::realtime::distribute::run(Arc::clone(&core), outbox));
        core.tasks.spawn(crate::operational::publisher::run(Arc::clone(&core)));
        core.tasks.spawn(crate::upkeep::retention::run(Arc::clone(&core)));
        core.tasks.spawn(crate::upkeep::text_index::run(Arc::clone(&core)));
        core.tasks.spawn(crate::upkeep::budget_task::run(Arc::clone(&core)));
        core.tasks.spawn(crate::upkeep::quota_task::run(Arc::clone(&core)));
        core.tasks.spawn(crate::upkeep::health_writer::run(Arc::clone(&core)));
        core.tasks.spawn(crate::instruments::installation_task::run(Arc::clone(&core)));
        core.tasks.spawn(crate::upkeep::metrics_writer::run(Arc::clone(&core)));
        Ok(Self { core })
    }

    /// Returns the version of cached environments and keys, which grows with each change that this node learns of.
    /// `None` means that the node may have missed a change for longer than [`MAX_STALENESS`]: no cached state may be used.
    pub fn generation(&self) -> Option<u64> {
        self.core.generation()
    }

    /// Reloads quotas, budgets and keys soon, because a command in this process changed the store.
    pub fn installation_changed(&self) {
        self.core.installation_changed();
    }

    /// Waits until no node relies on state cached before a change that is committed now.
    pub async fn wait_for_every_node(&self) {
        if self.core.store.lease().is_some() {
            tokio::time::sleep(MAX_STALENESS).await;
        }
    }

    /// Returns the environment's lanes in this node's memory that have deliveries or a hold.
    pub fn lanes(&self, environment: EnvironmentId) -> Vec<LaneView> {
        let now = self.core.both_clocks();
        self.core.lanes().views(environment, |delivery| delivery.due_at, now)
    }

    /// Returns the engine's instruments, with current gauges of this node.
    pub fn instruments(&self) -> Instruments {
        let core = &self.core;
        let census = core.lanes().census(|delivery| delivery.due_at, core.both_clocks());
        let lease = core.lease();
        let node = &core.instruments.node;
        node.show(&census, core.lag_ms());
        node.show_lease(lease.valid_until, lease.shards().iter().count());
        core.instruments.clone()
    }

    /// Returns whether an application belongs to a tenant.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn is_of(&self, tenant: Tenant, application: ApplicationId) -> Result<bool, hookstream_store::Error> {
        Ok(self.core.origins.get(application.into()).await?.is_some_and(|origin| origin.tenant == tenant))
    }

    /// Returns the directory of applications.
    pub fn applications(&self) -> &Applications {
        &self.core.applications
    }

    /// Returns a fresh id with the present time.
    pub fn new_id(&self) -> hookstream_model::base::ids::NewId {
        self.core.new_id()
    }

    /// Returns 32 random bytes for a secret.
    pub fn random_bytes(&self) -> [u8; 32] {
        self.core.random_bytes()
    }

    /// Returns the engine's options.
    pub fn options(&self) -> &Options {
        &self.core.options
    }

    /// Stops: no further attempt begins. Attempts in flight must finish and be recorded before `end`; the rest are
    /// retried on the next start. `grace` is the whole time given to the stop, for the log.
    pub async fn stop(&self, grace: Duration, end: tokio::time::Instant) -> hookstream_store::delivery::cluster::NodeReport {
        self.core.stop.cancel();
        if tokio::time::timeout_at(end, self.core.until_idle()).await.is_err() {
            tracing::warn!(
                shutdown_grace_s = grace.as_secs(),
                "some attempts did not finish within shutdown_grace_s; they will be retried on the next start"
            );
        }
        let unfinished = crate::cluster::renewal::report(&self.core);
        self.core.finished.cancel();
        self.core.tasks.close();
        // The remaining tasks end on the token, drop the attempts that hang, and write the last holds, health and metrics.
        let _ = tokio::time::timeout(Duration::from_secs(3), self.core.tasks.wait()).await;
        let _ = tokio::time::timeout(Duration::from_secs(2), crate::cluster::renewal::retire(&self.core)).await;
        unfinished
    }
}
