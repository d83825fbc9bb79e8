//! The delivery engine: something was accepted, it goes to each target that wants it until it is
//! delivered or accounted for.
//!
//! One path: [`accept`] stores a message with its deliveries, a [lane](lanes) holds what is due for one
//! target, [`dispatch`] lets the lanes take turns, [`attempt`] makes one try, [`record`] settles it. A
//! retry, what a [job](jobs) makes owed and a start after a crash are no paths of their own: each is a
//! delivery that falls due.

mod attempts;
mod cluster;
mod core;
mod intake;
mod options;
mod queues;
mod routing;
#[cfg(test)]
mod sim;
mod upkeep;

use std::{sync::Arc, time::Duration};

use hookstream_destinations::Transport;
use hookstream_model::{
    base::{
        ids::{ApplicationId, EnvironmentId},
        time::Clock,
    },
    identity::tenancy::Tenant,
};
use hookstream_store::Store;
use rand::rngs::StdRng;
use tokio::sync::mpsc;

use crate::core::Core;

pub use self::options::{Options, Role};
pub use crate::{
    attempts::{
        jobs::{Forecast, JobError},
        redeliver::{Again, RetryError},
    },
    intake::accept::{Accepted, Draft, SendError},
    queues::lanes::LaneView,
    routing::route::{ApplicationRoutes, Route},
};

/// For how long a node relies on what it remembers without asking what has changed. It asks every second.
pub const UNHEARD: Duration = Duration::from_secs(2);

/// What the engine works with.
#[derive(Clone)]
pub struct Parts {
    /// Where messages and deliveries are kept.
    pub store: Arc<dyn Store>,
    /// What connects to targets.
    pub transport: Arc<dyn Transport>,
    /// Where the present comes from.
    pub clock: Arc<dyn Clock>,
}

/// A running engine, as the API and the binary hold it. Clones are of the same engine.
#[derive(Clone)]
pub struct Handle {
    core: Arc<Core>,
}

impl Handle {
    /// Starts an engine: what an earlier process left owed is taken up at once.
    ///
    /// # Errors
    /// Where the store cannot be worked with.
    pub async fn start(parts: Parts, options: Options, rng: StdRng) -> Result<Self, hookstream_store::Error> {
        let begun = tokio::time::Instant::now();
        let owner = parts.store.enlist(&crate::cluster::renewal::introduction(&options, None), parts.clock.now()).await?;
        let lease = crate::cluster::lease::Lease::new(owner, begun, parts.store.lease());
        let now = parts.clock.now().day();
        parts.store.prepare_day(now).await?;
        let (outcomes, recorded) = mpsc::channel(options.max_in_flight * 4);
        let core = Arc::new(Core::new(parts, options, lease, outcomes, rng));
        core.tasks.spawn(crate::attempts::record::run(Arc::clone(&core), recorded));
        if core.options.role.delivers() {
            core.tasks.spawn(crate::queues::claim::run(Arc::clone(&core)));
            core.tasks.spawn(crate::attempts::jobs::run(Arc::clone(&core)));
        }
        core.tasks.spawn(crate::queues::schedule::run_timers(Arc::clone(&core)));
        core.tasks.spawn(crate::upkeep::hold_writer::run(Arc::clone(&core)));
        core.tasks.spawn(crate::cluster::renewal::run(Arc::clone(&core)));
        core.tasks.spawn(crate::cluster::change_feed::run(Arc::clone(&core)));
        core.tasks.spawn(crate::upkeep::retention::run(Arc::clone(&core)));
        core.tasks.spawn(crate::upkeep::budget_task::run(Arc::clone(&core)));
        core.tasks.spawn(crate::upkeep::quota_task::run(Arc::clone(&core)));
        core.tasks.spawn(crate::upkeep::health_writer::run(Arc::clone(&core)));
        Ok(Self { core })
    }

    /// To be called when an application or one of its endpoints has changed, before anybody is told. What
    /// is in memory goes by what is configured now.
    pub fn application_changed(&self, application: ApplicationId) {
        self.core.routes.forget(application);
        let core = Arc::clone(&self.core);
        self.core.tasks.spawn(async move { crate::upkeep::hold_writer::refresh(&core, application).await });
    }

    /// To be called when what an environment may keep has changed.
    pub fn environment_changed(&self, environment: EnvironmentId) {
        self.core.environment_changed(environment);
    }

    /// The generation of what is remembered of environments and keys: it grows with each change that this node
    /// hears of. `None` while it may not have heard of one for longer than [`UNHEARD`]: then nothing that is
    /// remembered may be relied upon.
    pub fn generation(&self) -> Option<u64> {
        self.core.generation()
    }

    /// Has what is known of quotas, budgets and keys read again soon: a command has changed the store in this process.
    pub fn installation_changed(&self) {
        self.core.installation_changed();
    }

    /// Waits until no node relies any more on what it remembered before a change that is committed now.
    pub async fn until_heard_everywhere(&self) {
        if self.core.store.lease().is_some() {
            tokio::time::sleep(UNHEARD).await;
        }
    }

    /// The lanes of an environment in this node's memory that have something in them or are held.
    pub fn lanes(&self, environment: EnvironmentId) -> Vec<LaneView> {
        let now = self.core.both_clocks();
        self.core.lanes().views(environment, |delivery| delivery.due_at, now)
    }

    /// Whether an application is a tenant's.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn is_of(&self, tenant: Tenant, application: ApplicationId) -> Result<bool, hookstream_store::Error> {
        Ok(self.core.routes.get(application).await?.is_some_and(|routes| routes.application.tenant == tenant))
    }

    /// Who wants what.
    pub fn routes(&self) -> &crate::routing::directory::RouteDirectory {
        &self.core.routes
    }

    /// A fresh id, made now.
    pub fn new_id(&self) -> hookstream_model::base::ids::NewId {
        self.core.new_id()
    }

    /// 32 random bytes, for a secret.
    pub fn random_bytes(&self) -> [u8; 32] {
        self.core.random_bytes()
    }

    /// The engine's options.
    pub fn options(&self) -> &Options {
        &self.core.options
    }

    /// Stops: no further attempt begins. Attempts in flight have until `end` to finish and be recorded; the rest are retried on the
    /// next start. `grace` is the whole time that the stop was given, for the log.
    pub async fn stop(&self, grace: Duration, end: tokio::time::Instant) {
        self.core.stop.cancel();
        if tokio::time::timeout_at(end, self.core.until_idle()).await.is_err() {
            tracing::warn!(
                shutdown_grace_s = grace.as_secs(),
                "some attempts did not finish within shutdown_grace_s; they will be retried on the next start"
            );
        }
        self.core.finished.cancel();
        self.core.tasks.close();
        // The tasks that are left end on the token; tries that hang are let go.
        let _ = tokio::time::timeout(Duration::from_secs(1), self.core.tasks.wait()).await;
        let _ = tokio::time::timeout(Duration::from_secs(2), crate::cluster::renewal::retire(&self.core)).await;
    }
}
