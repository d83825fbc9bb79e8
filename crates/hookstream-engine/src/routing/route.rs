//! Routes of one application: its endpoints, ready to be delivered to.

use std::{
    collections::BTreeMap,
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{self, AtomicI64},
    },
    time::Duration,
};

use hookstream_destinations::Target;
use hookstream_model::{
    base::{
        ids::{EndpointId, TargetId},
        time::Timestamp,
    },
    delivery::{
        ordering::{OnFailure, Ordering},
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
use http::{HeaderName, HeaderValue};

use crate::{
    queues::lanes::{Gather, LanePolicy},
    upkeep::quotas::EventMeter,
};

/// No time since when an endpoint fails.
pub(crate) const WELL: i64 = i64::MIN;

/// An application and its endpoints.
#[derive(Debug)]
pub struct ApplicationRoutes {
    /// The application.
    pub application: Application,
    /// Grows with each change of the application or its endpoints.
    pub(crate) version: i64,
    /// Its endpoints, oldest first.
    pub endpoints: Vec<Arc<Route>>,
    /// How many events its organization may have.
    pub(crate) meter: Arc<EventMeter>,
}

impl ApplicationRoutes {
    /// The route to an endpoint.
    pub fn endpoint(&self, id: EndpointId) -> Option<&Arc<Route>> {
        let position = self.endpoints.binary_search_by_key(&id, |route| route.endpoint.id).ok()?;
        self.endpoints.get(position)
    }

    /// The route to the endpoint that an id or a `uid` names.
    pub fn endpoint_by_reference(&self, reference: &str) -> Option<&Arc<Route>> {
        let by_id = reference.parse().ok().and_then(|id| self.endpoint(id));
        by_id.or_else(|| self.endpoints.iter().find(|route| route.endpoint.uid.as_deref() == Some(reference)))
    }
}

/// An endpoint, ready to deliver to.
#[derive(Debug)]
pub struct Route {
    /// The endpoint.
    pub endpoint: Endpoint,
    pub(crate) target: Target,
    pub(crate) keys: SigningKeys,
    /// When it is tried again: its own schedule, or the installation's.
    pub schedule: RetrySchedule,
    pub(crate) timeout: Duration,
    pub(crate) policy: Arc<LanePolicy>,
    /// The headers of its own.
    pub(crate) headers: Box<[(HeaderName, HeaderValue)]>,
    /// Since when it fails, as far as that is written, in milliseconds: [`WELL`] while it does not. It changes without a
    /// change of the endpoint.
    failing_since: AtomicI64,
}

/// Values of the installation for what an endpoint leaves out.
pub(crate) struct Defaults<'a> {
    pub(crate) schedule: &'a RetrySchedule,
    pub(crate) timeout: Duration,
    pub(crate) payload_limit: usize,
}

impl Route {
    /// Makes an endpoint ready to deliver to.
    ///
    /// # Errors
    /// If a signing secret in the store cannot be read.
    pub(crate) fn new(with_secrets: WithSecrets, application: &Application, version: i64, defaults: &Defaults<'_>) -> Result<Self, Error> {
        let WithSecrets { endpoint, secret, rotated } = with_secrets;
        let unreadable = |_| Error::Unreadable { what: "signing secret" };
        let current = SigningKey::parse(&secret).map_err(unreadable)?;
        let rotated = rotated.into_iter().map(|(secret, until)| SigningKey::parse(&secret).map(|key| (key, until)));
        let rotated = rotated.collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
        Ok(Self {
            target: Target::http(&endpoint.url),
            keys: SigningKeys::new(current, rotated),
            schedule: schedule(&endpoint, defaults.schedule),
            policy: Arc::new(policy(&endpoint, application, version, defaults.payload_limit)),
            timeout: endpoint.timeout_ms.map_or(defaults.timeout, |ms| Duration::from_millis(u64::from(ms))),
            headers: own_headers(&endpoint),
            failing_since: AtomicI64::new(endpoint.failing_since.map_or(WELL, Timestamp::as_millis)),
            endpoint,
        })
    }

    /// Notes since when the endpoint fails; `None` after a success.
    pub(crate) fn note_failing_since(&self, failing_since: Option<Timestamp>) {
        self.failing_since.store(failing_since.map_or(WELL, Timestamp::as_millis), atomic::Ordering::Relaxed);
    }

    /// Since when the endpoint fails, as far as that is written.
    pub(crate) fn failing_since(&self) -> Option<Timestamp> {
        let millis = self.failing_since.load(atomic::Ordering::Relaxed);
        (millis != WELL).then(|| Timestamp::from_millis(millis))
    }

    /// The backlog that a payload to this endpoint waits in: that of its key, where the endpoint keeps an
    /// order by key. Messages without the key are in one together.
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

    /// Whether a delivery that failed so often keeps its place in its backlog.
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

/// Where an order is kept and nothing may pass what fails, it is tried for as long as the endpoint is on.
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

/// The routes of a base with those that have changed, oldest first.
pub(crate) fn merge(base: &[Arc<Route>], changed: Vec<Arc<Route>>) -> Vec<Arc<Route>> {
    let mut changed: BTreeMap<EndpointId, Arc<Route>> = changed.into_iter().map(|route| (route.endpoint.id, route)).collect();
    let mut merged: Vec<_> = base.iter().map(|route| changed.remove(&route.endpoint.id).unwrap_or_else(|| Arc::clone(route))).collect();
    if !changed.is_empty() {
        // New ones, which as a rule are the newest.
        merged.extend(changed.into_values());
        merged.sort_by_key(|route| route.endpoint.id);
    }
    merged
}

/// An endpoint's own headers. There may be very many endpoints, so they are kept as small as they can be.
pub(crate) fn own_headers(endpoint: &Endpoint) -> Box<[(HeaderName, HeaderValue)]> {
    // They were checked when they were saved; a rule that has since become stricter drops one.
    let parse =
        |(name, value): (&String, &String)| Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_str(value).ok()?));
    endpoint.headers.iter().flatten().filter_map(parse).collect()
}
