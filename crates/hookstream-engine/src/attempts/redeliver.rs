//! Manual redelivery of a message in any state.

use hookstream_model::{
    base::ids::{EndpointId, MessageId, OriginId, RouteId},
    delivery::state::{DeliveryState, Trigger},
    identity::tenancy::Tenant,
    outbound::endpoint::Endpoint,
};
use hookstream_store::delivery::deliveries::{Redelivered, Redelivery};

use crate::{Handle, upkeep::metrics::Subject};

/// Reason why a message cannot be redelivered.
#[derive(Debug, thiserror::Error)]
pub enum RetryError {
    /// The tenant has no such message in such an application.
    #[error("the message does not exist")]
    NotFound,
    /// The application has no such endpoint.
    #[error("the endpoint does not exist")]
    EndpointNotFound,
    /// The payload has expired: there is nothing to send.
    #[error("the message's payload has expired")]
    PayloadExpired,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] hookstream_store::Error),
}

/// Selection of enabled endpoints that want a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RetrySelection {
    /// One endpoint, or all.
    pub endpoint: Option<EndpointId>,
    /// Only endpoints whose delivery was exhausted, skipped or cancelled, or is waiting for a retry.
    pub failed_only: bool,
}

impl Handle {
    /// Makes a message pending again, due at once, for every enabled endpoint that wants it and that `selection` selects.
    /// Returns the number of endpoints.
    ///
    /// # Errors
    /// If the message or the endpoint does not exist, the payload has expired or the store fails.
    pub async fn retry(
        &self,
        tenant: Tenant,
        application: &str,
        message_id: MessageId,
        selection: RetrySelection,
    ) -> Result<usize, RetryError> {
        let routes = self.core.applications.resolve_now(tenant, application).await?.ok_or(RetryError::NotFound)?;
        let origin_id = OriginId::from(routes.id());
        let detail = self.core.store.message(tenant, origin_id, message_id).await?.ok_or(RetryError::NotFound)?;
        let RetrySelection { endpoint: only, failed_only } = selection;
        if only.is_some_and(|only| routes.endpoint(only).is_none()) {
            return Err(RetryError::EndpointNotFound);
        }
        let now = self.core.now();
        let selected = routes.endpoints().map(|route| route.endpoint);
        let wanting = selected.filter(|endpoint| only.is_none_or(|only| endpoint.id == only));
        let message = &detail.message;
        let wanting = wanting.filter(|endpoint| endpoint.skips(now).is_none() && endpoint.wants(&message.event_type, &message.channels));
        let has_failed = |endpoint: &Endpoint| {
            let of_endpoint = detail.deliveries.iter().find(|delivery| delivery.route_id == RouteId::from(endpoint.id));
            of_endpoint.is_some_and(|delivery| match delivery.state {
                DeliveryState::Exhausted { .. } | DeliveryState::Skipped { .. } | DeliveryState::Cancelled { .. } => true,
                // A failed delivery that waits for its next attempt.
                DeliveryState::Pending { .. } => delivery.attempts > 0,
                DeliveryState::Succeeded => false,
            })
        };
        let targets = wanting.filter(|endpoint| !failed_only || has_failed(endpoint));
        let redelivery = Redelivery {
            tenant,
            origin_id,
            message_id,
            routes: targets.map(|endpoint| RouteId::from(endpoint.id)).collect(),
            trigger: Trigger::Manual,
            now,
        };
        let requeued = redelivery.routes.clone();
        let retried = match self.core.store.redeliver(redelivery).await? {
            Redelivered::Requeued(routes) => routes,
            Redelivered::NotFound => return Err(RetryError::NotFound),
            Redelivered::PayloadExpired => return Err(RetryError::PayloadExpired),
        };
        let subject = Subject { environment: tenant.environment, origin: origin_id, event_type: &message.event_type, message: message_id };
        for route in requeued {
            let before = detail.deliveries.iter().find(|delivery| delivery.route_id == route).map(|delivery| &delivery.state);
            self.core.metrics.requeued(subject, route, before.into(), now);
        }
        self.core.note_due(now);
        Ok(retried)
    }
}
