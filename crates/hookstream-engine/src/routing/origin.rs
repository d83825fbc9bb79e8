//! Origin of messages with its routes, ready for delivery.

use std::sync::Arc;

use hookstream_destinations::{Envelope, RenderedRequest};
use hookstream_model::{
    base::ids::{ApplicationId, EndpointId, RouteId},
    delivery::{attempt::Attempt, retry::RetrySchedule},
    identity::tenancy::Tenant,
    outbound::{application::Application, endpoint::Endpoint, hops, message::ContentType},
};
use hookstream_store::delivery::messages::Message;

use crate::{
    routing::{route::Route, target_state::TargetState},
    upkeep::quotas::EventMeter,
};

/// Origin and its routes.
pub(crate) struct Origin {
    pub(crate) tenant: Tenant,
    /// Grows with each change of the origin or its routes.
    pub(crate) version: i64,
    /// Routes, oldest first.
    pub(crate) routes: Vec<Arc<Route>>,
    /// Event quota of its organization.
    pub(crate) meter: Arc<EventMeter>,
    /// Keeper of the state of its targets.
    pub(crate) target_state: Arc<dyn TargetState>,
    /// Application, if the origin is one.
    pub(crate) application: Option<Application>,
}

impl Origin {
    /// Returns the route with this id.
    pub(crate) fn route(&self, id: RouteId) -> Option<&Arc<Route>> {
        let position = self.routes.binary_search_by_key(&id, |route| route.id).ok()?;
        self.routes.get(position)
    }
}

/// Application with its endpoints, as the engine has them in memory.
#[derive(Clone)]
pub struct ApplicationRoutes(Arc<Origin>);

/// Endpoint of an application.
#[derive(Debug, Clone, Copy)]
pub struct EndpointRoute<'a> {
    /// Endpoint.
    pub endpoint: &'a Endpoint,
    /// Retry schedule: the endpoint's own, or the installation's.
    pub schedule: &'a RetrySchedule,
}

impl ApplicationRoutes {
    /// Builds the view of an origin, if the origin is an application.
    pub(crate) fn of(origin: Arc<Origin>) -> Option<Self> {
        origin.application.is_some().then_some(Self(origin))
    }

    /// Returns the application.
    pub fn application(&self) -> &Application {
        self.0.application.as_ref().expect("checked when the view was built")
    }

    /// Returns the application's id.
    pub fn id(&self) -> ApplicationId {
        self.application().id
    }

    /// Returns the application as the engine delivers from it.
    pub(crate) const fn origin(&self) -> &Arc<Origin> {
        &self.0
    }

    /// Returns the endpoints, oldest first.
    pub fn endpoints(&self) -> impl Iterator<Item = EndpointRoute<'_>> {
        self.0.routes.iter().filter_map(|route| endpoint_of(route))
    }

    /// Renders the request of an attempt from the endpoint's current settings. `None` if the endpoint is gone or its
    /// settings cannot be used, and if it collects batches, because an attempt does not record its batch.
    pub fn rendered(&self, message: &Message, attempt: &Attempt) -> Option<RenderedRequest> {
        let target = &self.0.route(attempt.route_id)?.target;
        if target.policy.gather.is_some() {
            return None;
        }
        let payload = message.payload.as_ref();
        let envelope = Envelope {
            id: message.id.to_string().into(),
            target_id: target.key.id,
            event_type: Some(&message.event_type),
            body: payload.map(|payload| payload.body.clone()).unwrap_or_default(),
            content_type: payload.map_or(ContentType::Json, |payload| payload.content_type),
            attempt: attempt.number,
            hops: 1,
            batch_size: None,
            trace: None,
            keys: &target.keys,
            signed_at: attempt.created_at,
        };
        let mut rendered = target.receiver.rendered(&envelope)?;
        // What is not stored with the message, or depends on a payload that has expired, is left out rather than guessed.
        let is_known = |name: &str| name != hops::HEADER && (payload.is_some() || !matches!(name, "webhook-signature" | "content-type"));
        rendered.headers.retain(|(name, _)| is_known(name));
        Some(rendered)
    }

    /// Returns an endpoint.
    pub fn endpoint(&self, id: EndpointId) -> Option<EndpointRoute<'_>> {
        self.0.route(id.into()).and_then(|route| endpoint_of(route))
    }

    /// Returns the endpoint with this id or `uid`.
    pub fn endpoint_by_reference(&self, reference: &str) -> Option<EndpointRoute<'_>> {
        let by_id = reference.parse().ok().and_then(|id| self.endpoint(id));
        by_id.or_else(|| self.endpoints().find(|route| route.endpoint.uid.as_deref() == Some(reference)))
    }
}

fn endpoint_of(route: &Route) -> Option<EndpointRoute<'_>> {
    Some(EndpointRoute { endpoint: route.endpoint.as_ref()?, schedule: &route.target.schedule })
}
