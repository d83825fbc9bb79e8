//! Time since which targets fail, and targets that have failed for too long.
//!
//! Kept in memory and written every few seconds, so that a receiver that fails at every other attempt does not cost a
//! write each time. A crash loses at most those seconds.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use hookstream_model::{
    base::{ids::TargetId, time::Timestamp},
    delivery::{settlement, state::DisabledReason},
};

use crate::routing::{route::Route, target::Target};

/// Changes that are not stored yet.
#[derive(Default)]
pub(crate) struct Health {
    pub(crate) changed: BTreeMap<TargetId, HealthChange>,
}

#[derive(Clone)]
pub(crate) struct HealthChange {
    pub(crate) route: Arc<Route>,
    pub(crate) failing_since: Option<Timestamp>,
}

impl Health {
    /// Takes the result of an attempt. Returns the reason to disable the target, if it has failed for too long.
    pub(crate) fn note(&mut self, route: &Arc<Route>, succeeded: bool, at: Timestamp, allowed: Duration) -> Option<DisabledReason> {
        let target = &route.target;
        let known = self.failing_since(target);
        let failing_since = if succeeded { None } else { Some(known.unwrap_or(at)) };
        if failing_since != known {
            self.changed.insert(target.key.id, HealthChange { route: Arc::clone(route), failing_since });
        }
        failing_since.filter(|since| settlement::has_failed_too_long(*since, at, allowed)).map(|_| DisabledReason::KeptFailing)
    }
}

impl Health {
    /// Returns the time since which a target fails, as far as this process knows.
    pub(crate) fn failing_since(&self, target: &Target) -> Option<Timestamp> {
        self.changed.get(&target.key.id).map_or_else(|| target.failing_since(), |change| change.failing_since)
    }

    /// Drops the unsaved change of a target.
    pub(crate) fn forget(&mut self, target: TargetId) {
        self.changed.remove(&target);
    }
}
