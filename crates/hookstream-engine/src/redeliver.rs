//! Sending again what was settled: a message by hand, or all that an endpoint missed.

use hookstream_model::{
    delivery::Trigger,
    ids::{EndpointId, MessageId, TargetId},
    tenancy::Tenant,
    time::Timestamp,
};
use hookstream_store::deliveries::{Recovery, Redelivery};

use crate::Handle;

/// The most deliveries made owed again in one transaction.
const SLICE: usize = 500;

/// Why a message is not sent again.
#[derive(Debug, thiserror::Error)]
pub enum RetryError {
    /// The tenant has no such message in such an application.
    #[error("the message is not there")]
    NotFound,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] hookstream_store::Error),
}

/// What is to be sent again to an endpoint.
#[derive(Debug, Clone, Copy)]
pub struct RecoverRequest {
    /// Messages accepted then or later.
    pub since: Timestamp,
    /// Messages accepted before then.
    pub until: Timestamp,
    /// Whether deliveries that were given up are meant.
    pub exhausted: bool,
    /// Whether deliveries that were skipped are meant.
    pub skipped: bool,
}

/// Why nothing is sent again to an endpoint.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The tenant has no such endpoint in such an application.
    #[error("the endpoint is not there")]
    NotFound,
    /// It would be skipped again.
    #[error("the endpoint receives nothing: {0}")]
    Skips(&'static str),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] hookstream_store::Error),
}

impl Handle {
    /// Makes a message owed again, at once, to every endpoint that is on and wants it. Returns to how
    /// many.
    ///
    /// # Errors
    /// Where the message is not there or the store fails.
    pub async fn retry(&self, tenant: Tenant, application: &str, message_id: MessageId) -> Result<usize, RetryError> {
        let routes = self.core.routes.resolve_now(tenant, application).await?.ok_or(RetryError::NotFound)?;
        let application_id = routes.application.id;
        let detail = self.core.store.message(tenant, application_id, message_id).await?.ok_or(RetryError::NotFound)?;
        let now = self.core.now();
        let wanting = routes.endpoints.iter().map(|route| &route.endpoint);
        let targets = wanting.filter(|endpoint| endpoint.skips(now).is_none() && endpoint.wants(&detail.message.event_type));
        let redelivery = Redelivery {
            tenant,
            application_id,
            message_id,
            targets: targets.map(|endpoint| TargetId::from(endpoint.id)).collect(),
            trigger: Trigger::Manual,
            now,
        };
        let retried = self.core.store.redeliver(redelivery).await?.ok_or(RetryError::NotFound)?;
        self.core.note_due(now);
        Ok(retried)
    }

    /// Makes owed again, at once, what an endpoint missed. Returns how many deliveries. Done in slices:
    /// where it breaks off, what was made owed stays so, and asking again goes on from there.
    ///
    /// # Errors
    /// Where the endpoint is not there or off, or the store fails.
    pub async fn recover(
        &self,
        tenant: Tenant,
        application: &str,
        endpoint: EndpointId,
        request: RecoverRequest,
    ) -> Result<usize, RecoverError> {
        let routes = self.core.routes.resolve_now(tenant, application).await?.ok_or(RecoverError::NotFound)?;
        let route = routes.endpoint(endpoint).ok_or(RecoverError::NotFound)?;
        let now = self.core.now();
        if let Some(reason) = route.endpoint.skips(now) {
            return Err(RecoverError::Skips(reason.as_str()));
        }
        let RecoverRequest { since, until, exhausted, skipped } = request;
        let recovery = Recovery {
            tenant,
            application_id: routes.application.id,
            target_id: endpoint.into(),
            since,
            until,
            exhausted,
            skipped,
            now,
            limit: SLICE,
        };
        let mut total = 0;
        loop {
            let slice = self.core.store.recover(recovery.clone()).await?;
            total += slice;
            self.core.note_due(now);
            if slice < SLICE {
                return Ok(total);
            }
        }
    }
}
