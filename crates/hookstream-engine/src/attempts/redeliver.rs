//! Sending a message again by hand, whatever became of it.

use hookstream_model::{
    base::ids::{EndpointId, MessageId, TargetId},
    delivery::state::{DeliveryState, Trigger},
    identity::tenancy::Tenant,
    outbound::endpoint::Endpoint,
};
use hookstream_store::delivery::deliveries::{Redelivered, Redelivery};

use crate::Handle;

/// Why a message is not sent again.
#[derive(Debug, thiserror::Error)]
pub enum RetryError {
    /// The tenant has no such message in such an application.
    #[error("the message is not there")]
    NotFound,
    /// The application has no such endpoint.
    #[error("the endpoint is not there")]
    EndpointNotFound,
    /// Its payload has expired: there is nothing to send.
    #[error("the message's payload has expired")]
    PayloadExpired,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] hookstream_store::Error),
}

/// Which of the endpoints that are on and want a message get it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Again {
    /// One of them, or all.
    pub endpoint: Option<EndpointId>,
    /// Only those to which its delivery failed: that were given up or were not sent.
    pub failed_only: bool,
}

impl Handle {
    /// Makes a message pending again, at once, to every endpoint that is on and wants it, as far as `again` means it.
    /// Returns to how many.
    ///
    /// # Errors
    /// Where the message or the endpoint is not there, its payload has expired or the store fails.
    pub async fn retry(&self, tenant: Tenant, application: &str, message_id: MessageId, again: Again) -> Result<usize, RetryError> {
        let routes = self.core.routes.resolve_now(tenant, application).await?.ok_or(RetryError::NotFound)?;
        let application_id = routes.application.id;
        let detail = self.core.store.message(tenant, application_id, message_id).await?.ok_or(RetryError::NotFound)?;
        let Again { endpoint: only, failed_only } = again;
        if only.is_some_and(|only| routes.endpoint(only).is_none()) {
            return Err(RetryError::EndpointNotFound);
        }
        let now = self.core.now();
        let meant = routes.endpoints.iter().map(|route| &route.endpoint);
        let wanting = meant.filter(|endpoint| only.is_none_or(|only| endpoint.id == only));
        let message = &detail.message;
        let wanting = wanting.filter(|endpoint| endpoint.skips(now).is_none() && endpoint.wants(&message.event_type, &message.channels));
        let has_failed = |endpoint: &Endpoint| {
            let of_endpoint = detail.deliveries.iter().find(|delivery| delivery.target_id == TargetId::from(endpoint.id));
            of_endpoint.is_some_and(|delivery| match delivery.state {
                DeliveryState::Exhausted { .. } | DeliveryState::Skipped { .. } | DeliveryState::Cancelled { .. } => true,
                // One that has failed and waits for its next attempt.
                DeliveryState::Pending { .. } => delivery.attempts > 0,
                DeliveryState::Succeeded => false,
            })
        };
        let targets = wanting.filter(|endpoint| !failed_only || has_failed(endpoint));
        let redelivery = Redelivery {
            tenant,
            application_id,
            message_id,
            targets: targets.map(|endpoint| TargetId::from(endpoint.id)).collect(),
            trigger: Trigger::Manual,
            now,
        };
        let retried = match self.core.store.redeliver(redelivery).await? {
            Redelivered::Requeued(targets) => targets,
            Redelivered::NotFound => return Err(RetryError::NotFound),
            Redelivered::PayloadExpired => return Err(RetryError::PayloadExpired),
        };
        self.core.note_due(now);
        Ok(retried)
    }
}
