//! Routes of one application: its endpoints, ready for delivery.

use std::{
    collections::BTreeMap,
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{self, AtomicI64},
    },
    time::Duration,
};

use hookstream_destinations::{Registry, Settings, Target};
use hookstream_model::{
    base::{
        ids::{EndpointId, RouteId, TargetId},
        time::Timestamp,
    },
    delivery::{
        ordering::{OnFailure, Ordering},
        placement::Restrictions,
        queue::Backlog,
        retry::RetrySchedule,
    },
    outbound::{
        application::Application,
        endpoint::Endpoint,
        message::Payload,
        signature::{SigningKey, SigningKeys},
    },
};
use hookstream_store::{Error, outbound::endpoints::WithSecrets};

use crate::{
    queues::lanes::{Gather, LanePolicy},
    upkeep::quotas::EventMeter,
};

/// Returns the target of a route, which may not exist any more: an endpoint is its own route.
pub(crate) fn target_of(route: RouteId) -> TargetId {
    TargetId::from(EndpointId::from(route))
}

/// Value of `failing_since` for an endpoint that does not fail.
const NOT_FAILING: i64 = i64::MIN;

/// Application and its endpoints.
#[derive(Debug)]
pub struct ApplicationRoutes {
    /// Application.
    pub application: Application,
    /// Grows with each change of the application or its endpoints.
    pub(crate) version: i64,
    /// Endpoints, oldest first.
    pub endpoints: Vec<Arc<Route>>,
    /// Event quota of its organization.
    pub(crate) meter: Arc<EventMeter>,
}

impl ApplicationRoutes {
    /// Returns the route to an endpoint.
    pub fn endpoint(&self, id: EndpointId) -> Option<&Arc<Route>> {
        let position = self.endpoints.binary_search_by_key(&id, |route| route.endpoint.id).ok()?;
        self.endpoints.get(position)
    }

    /// Returns the route to the endpoint with this id or `uid`.
    pub fn endpoint_by_reference(&self, reference: &str) -> Option<&Arc<Route>> {
        let by_id = reference.parse().ok().and_then(|id| self.endpoint(id));
        by_id.or_else(|| self.endpoints.iter().find(|route| route.endpoint.uid.as_deref() == Some(reference)))
    }
}

/// Endpoint, ready for delivery.
#[derive(Debug)]
pub struct Route {
    /// Endpoint.
    pub endpoint: Endpoint,
    pub(crate) target: Arc<dyn Target>,
    pub(crate) keys: SigningKeys,
    /// Retry schedule: the endpoint's own, or the installation's.
    pub schedule: RetrySchedule,
    pub(crate) timeout: Duration,
    pub(crate) policy: Arc<LanePolicy>,
    /// Stored time since which the endpoint fails, in milliseconds; [`NOT_FAILING`] if it does not fail. Changes without a new
    /// version of the endpoint.
    failing_since: AtomicI64,
}

/// Kinds of targets, and values of the installation for settings that an endpoint leaves out.
pub(crate) struct Defaults<'a> {
    pub(crate) destinations: &'a Registry,
    pub(crate) schedule: &'a RetrySchedule,
    pub(crate) timeout: Duration,
    pub(crate) payload_limit: usize,
}

impl Route {
    /// Prepares an endpoint for delivery.
    ///
    /// # Errors
    /// If a stored signing secret cannot be read.
    pub(crate) fn new(with_secrets: WithSecrets, application: &Application, version: i64, defaults: &Defaults<'_>) -> Result<Self, Error> {
        let WithSecrets { endpoint, secret, rotated } = with_secrets;
        let unreadable = |_| Error::Unreadable { what: "signing secret" };
        let current = SigningKey::parse(&secret).map_err(unreadable)?;
        let rotated = rotated.into_iter().map(|(secret, until)| SigningKey::parse(&secret).map(|key| (key, until)));
        let rotated = rotated.collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
        let settings =
            Settings { kind: endpoint.kind, url: &endpoint.url, config: endpoint.config.as_ref(), headers: endpoint.headers.as_ref() };
        Ok(Self {
            target: defaults.destinations.target(&settings),
            keys: SigningKeys::new(current, rotated),
            schedule: schedule(&endpoint, defaults.schedule),
            policy: Arc::new(policy(&endpoint, application, version, defaults.payload_limit)),
            timeout: endpoint.timeout_ms.map_or(defaults.timeout, |ms| Duration::from_millis(u64::from(ms))),
            failing_since: AtomicI64::new(endpoint.failing_since.map_or(NOT_FAILING, Timestamp::as_millis)),
            endpoint,
        })
    }

    /// Sets the time since which the endpoint fails; `None` after a success.
    pub(crate) fn note_failing_since(&self, failing_since: Option<Timestamp>) {
        self.failing_since.store(failing_since.map_or(NOT_FAILING, Timestamp::as_millis), atomic::Ordering::Relaxed);
    }

    /// Returns the stored time since which the endpoint fails.
    pub(crate) fn failing_since(&self) -> Option<Timestamp> {
        let millis = self.failing_since.load(atomic::Ordering::Relaxed);
        (millis != NOT_FAILING).then(|| Timestamp::from_millis(millis))
    }

    /// Returns the backlog of a payload: that of its ordering key if the endpoint orders by key. Messages without the
    /// key share one backlog.
    pub(crate) fn backlog(&self, payload: &Payload) -> Backlog {
        let (application, target) = (self.endpoint.application_id, TargetId::from(self.endpoint.id));
        match &self.endpoint.ordering {
            Ordering::None | Ordering::Strict => Backlog::of_target(application, target),
            Ordering::ByKey(path) => {
                let key = path.find(&payload.body).unwrap_or_default();
                Backlog::of_key(application, target, key.as_bytes())
            }
        }
    }

    /// Returns what restricts a delivery with this many failures.
    pub(crate) fn restrictions(&self, failed: u32, now: Timestamp) -> Restrictions {
        self.policy.restrictions(self.keeps_order(failed), now)
    }

    /// Returns whether a delivery with this many failures keeps its position in its backlog.
    pub(crate) fn keeps_order(&self, failed: u32) -> bool {
        match self.endpoint.ordering {
            Ordering::None => false,
            Ordering::Strict | Ordering::ByKey(_) => match self.endpoint.on_failure {
                OnFailure::Block | OnFailure::Skip => true,
                OnFailure::Park => failed == 0,
            },
        }
    }
}

/// Returns the retry schedule. In an ordered endpoint that blocks on failure, retries go on as long as the endpoint is
/// enabled.
pub(crate) fn schedule(endpoint: &Endpoint, installations: &RetrySchedule) -> RetrySchedule {
    let schedule = endpoint.retry_schedule.as_ref().unwrap_or(installations);
    match (&endpoint.ordering, endpoint.on_failure) {
        (Ordering::Strict | Ordering::ByKey(_), OnFailure::Block) => schedule.without_end(),
        (Ordering::Strict | Ordering::ByKey(_), OnFailure::Skip | OnFailure::Park) | (Ordering::None, _) => schedule.clone(),
    }
}

pub(crate) fn policy(endpoint: &Endpoint, application: &Application, version: i64, payload_limit: usize) -> LanePolicy {
    let gather = endpoint.batch.map(|batch| Gather {
        most: usize::try_from(batch.max_size()).unwrap_or(usize::MAX),
        bytes: payload_limit,
        wait: Duration::from_millis(u64::from(batch.max_wait_ms())),
    });
    LanePolicy {
        version,
        environment: application.tenant.environment,
        application: application.id,
        rate: endpoint.rate_limit_per_second.and_then(NonZeroU32::new),
        application_rate: application.rate_limit.and_then(NonZeroU32::new),
        is_ordered: endpoint.ordering != Ordering::None,
        gather,
        hold: endpoint.hold,
        is_paused: endpoint.is_paused(),
    }
}

/// Merges changed routes into a base, oldest first.
pub(crate) fn merge(base: &[Arc<Route>], changed: Vec<Arc<Route>>) -> Vec<Arc<Route>> {
    let mut changed: BTreeMap<EndpointId, Arc<Route>> = changed.into_iter().map(|route| (route.endpoint.id, route)).collect();
    let mut merged: Vec<_> = base.iter().map(|route| changed.remove(&route.endpoint.id).unwrap_or_else(|| Arc::clone(route))).collect();
    if !changed.is_empty() {
        // New endpoints, which are usually the newest.
        merged.extend(changed.into_values());
        merged.sort_by_key(|route| route.endpoint.id);
    }
    merged
}
