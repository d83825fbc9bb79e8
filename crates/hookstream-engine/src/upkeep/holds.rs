//! Holds to write.
//!
//! A lane acts on its hold at once; the store and other nodes learn it a moment later. Until it is written, the lane's
//! hold is newer than the stored one.

use std::{collections::BTreeMap, sync::Arc};

use crate::routing::{route::Route, target_state::TargetKey};
use hookstream_model::{
    base::ids::TargetId,
    delivery::hold::{Hold, HoldReason},
};

/// Holds to write.
#[derive(Default)]
pub(crate) struct Holds {
    pub(crate) changed: BTreeMap<TargetId, (Arc<Route>, Option<Hold>)>,
}

impl Holds {
    /// Notes a changed hold; `before` is the reason of the previous one.
    pub(crate) fn note(&mut self, route: &Arc<Route>, before: Option<HoldReason>, hold: Option<Hold>) {
        let key = route.target.key;
        log(&key, before, hold);
        self.changed.insert(key.id, (Arc::clone(route), hold));
    }
}

fn log(key: &TargetKey, before: Option<HoldReason>, hold: Option<Hold>) {
    let (endpoint, application) = (key.id, key.origin);
    match (before, hold) {
        (Some(HoldReason::Failing), Some(Hold { reason: reason @ HoldReason::Failing, until, .. })) => {
            tracing::info!(endpoint.id = %endpoint, application.id = %application, reason = reason.as_str(), %until, "circuit breaker stays open");
        }
        (_, Some(Hold { reason: reason @ HoldReason::Failing, until, .. })) => {
            tracing::info!(endpoint.id = %endpoint, application.id = %application, reason = reason.as_str(), %until, "circuit breaker opened");
        }
        (_, Some(Hold { reason: reason @ HoldReason::RetryAfter, until, .. })) => {
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
