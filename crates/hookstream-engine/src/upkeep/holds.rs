//! Holds to write.
//!
//! A lane acts on its hold at once; the store and other nodes learn it a moment later. Until it is written, the lane's
//! hold is newer than the stored one.

use std::collections::BTreeMap;

use hookstream_model::{
    base::ids::EndpointId,
    delivery::hold::{Hold, HoldReason},
};
use hookstream_store::outbound::endpoints::EndpointKey;

/// Holds to write.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    pub(crate) changed: BTreeMap<EndpointId, (EndpointKey, Option<Hold>)>,
}

impl Holds {
    /// Notes a changed hold; `before` is the reason of the previous one.
    pub(crate) fn note(&mut self, key: EndpointKey, before: Option<HoldReason>, hold: Option<Hold>) {
        log(&key, before, hold);
        self.changed.insert(key.id, (key, hold));
    }
}

fn log(key: &EndpointKey, before: Option<HoldReason>, hold: Option<Hold>) {
    let (endpoint, application) = (key.id, key.application_id);
    match (before, hold) {
        (Some(HoldReason::Failing), Some(Hold { reason: reason @ HoldReason::Failing, until })) => {
            tracing::info!(endpoint.id = %endpoint, application.id = %application, reason = reason.as_str(), %until, "circuit breaker stays open");
        }
        (_, Some(Hold { reason: reason @ HoldReason::Failing, until })) => {
            tracing::info!(endpoint.id = %endpoint, application.id = %application, reason = reason.as_str(), %until, "circuit breaker opened");
        }
        (_, Some(Hold { reason: reason @ HoldReason::RetryAfter, until })) => {
            tracing::info!(endpoint.id = %endpoint, application.id = %application, reason = reason.as_str(), %until, "endpoint held by Retry-After");
        }
        (Some(HoldReason::RetryAfter), None) => {
            tracing::info!(endpoint.id = %endpoint, application.id = %application, "endpoint is no longer held");
        }
        (Some(HoldReason::Failing) | None, None) => {
            tracing::info!(endpoint.id = %endpoint, application.id = %application, "circuit breaker closed");
        }
    }
}
