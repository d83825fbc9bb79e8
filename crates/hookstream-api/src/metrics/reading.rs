//! Reading of metrics about an endpoint and an environment.

use std::{collections::BTreeMap, time::Duration};

use hookstream_model::{
    base::{
        ids::RouteId,
        time::{Day, Timestamp},
    },
    identity::tenancy::Tenant,
    operations::metrics::{
        Resolution, Scope,
        health::{Health, first_half_hour},
    },
};
use hookstream_store::operations::metrics::Range;

use super::figures::{ByError, by_error};
use crate::{http::error::ApiError, state::Api};

/// Time over which the present rate is measured: whole minutes.
const LATELY: Duration = Duration::from_secs(5 * 60);

/// Returns the exact number of pending deliveries of an environment by day.
pub(crate) async fn pending_of_all(api: &Api, tenant: Tenant) -> Result<BTreeMap<Day, i64>, ApiError> {
    let counts = api.store.delivery_counts(tenant).await?;
    Ok(counts.into_iter().map(|of_day| (of_day.day, of_day.counts.pending())).collect())
}

/// Reads the health of a route from its metrics.
pub(crate) async fn health(
    api: &Api,
    tenant: Tenant,
    route: RouteId,
    pending: &BTreeMap<Day, i64>,
    now: Timestamp,
) -> Result<Health, ApiError> {
    let before = now + Duration::from_millis(1);
    let range = |resolution, from| Range { environment: tenant.environment, scope: Scope::Route(route), resolution, from, before };
    let half_hours = api.engine.metrics(&range(Resolution::HalfHour, first_half_hour(now))).await?;
    // Days without pending deliveries of the environment have none of the route.
    let oldest = pending.iter().find(|(_, pending)| **pending > 0).map(|(day, _)| day.start());
    let days = match oldest {
        Some(from) => api.engine.metrics(&range(Resolution::Day, from)).await?,
        None => BTreeMap::new(),
    };
    Ok(Health::read(&half_hours, &days, pending, now))
}

/// Returns the failed attempts of a route by error, each with the start of its last step.
pub(crate) async fn errors(api: &Api, tenant: Tenant, route: RouteId, from: Timestamp, now: Timestamp) -> Result<ByError, ApiError> {
    let before = now + Duration::from_millis(1);
    let range = Range { environment: tenant.environment, scope: Scope::Route(route), resolution: Resolution::HalfHour, from, before };
    Ok(by_error(api.engine.metric_errors(&range).await?))
}

/// Returns the deliveries a second that fell due lately.
pub(crate) async fn arriving(api: &Api, tenant: Tenant, route: RouteId, now: Timestamp) -> Result<f64, ApiError> {
    let before = Resolution::Minute.start(now);
    let (environment, scope, resolution) = (tenant.environment, Scope::Route(route), Resolution::Minute);
    let range = Range { environment, scope, resolution, from: before - LATELY, before };
    let accepted: i64 = api.engine.metrics(&range).await?.values().map(|stats| stats.accepted).sum();
    Ok(accepted as f64 / LATELY.as_secs_f64())
}
