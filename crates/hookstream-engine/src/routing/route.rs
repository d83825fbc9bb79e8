//! Route: one origin's way to one target.

use std::{collections::BTreeMap, sync::Arc};

use hookstream_model::{base::ids::RouteId, outbound::endpoint::Endpoint};

use crate::routing::{target::Target, target_state::TargetState};

/// Route to a target.
pub(crate) struct Route {
    pub(crate) id: RouteId,
    pub(crate) target: Target,
    /// Keeper of the target's state.
    pub(crate) target_state: Arc<dyn TargetState>,
    /// Endpoint, if the target is one.
    pub(crate) endpoint: Option<Endpoint>,
}

impl Route {
    /// Returns whether the route takes messages of this type and these channels.
    pub(crate) fn wants(&self, event_type: &str, channels: &[String]) -> bool {
        self.endpoint.as_ref().is_none_or(|endpoint| endpoint.wants(event_type, channels))
    }
}

/// Merges changed routes into a base, oldest first.
pub(crate) fn merge(base: &[Arc<Route>], changed: Vec<Arc<Route>>) -> Vec<Arc<Route>> {
    let mut changed: BTreeMap<RouteId, Arc<Route>> = changed.into_iter().map(|route| (route.id, route)).collect();
    let mut merged: Vec<_> = base.iter().map(|route| changed.remove(&route.id).unwrap_or_else(|| Arc::clone(route))).collect();
    if !changed.is_empty() {
        // New routes, which are usually the newest.
        merged.extend(changed.into_values());
        merged.sort_by_key(|route| route.id);
    }
    merged
}
