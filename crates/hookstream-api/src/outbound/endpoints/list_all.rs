//! Endpoints of all applications, with their health.

use axum::{Json, extract::State};
use hookstream_model::{
    base::{
        ids::{EndpointId, TargetId},
        text::got,
    },
    operations::metrics::health::first_half_hour,
};
use hookstream_store::outbound::endpoints::{self, EndpointFilter};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::view::Endpoint;
use crate::{
    auth::caller::Caller,
    http::{error::ApiError, page, params::QueryParams},
    metrics::reading,
    state::Api,
};

/// Filter of an environment's endpoints.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct AllEndpointsQuery {
    /// Rows per page, at most: 1 to 100.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100, default = 50)]
    limit: Option<String>,
    /// Cursor: the `cursor` of the previous page.
    cursor: Option<String>,
    /// Only endpoints with this status: `active`, `paused`, `disabled` or `expired`.
    status: Option<String>,
    /// `1`: only endpoints that fail, have an open circuit breaker, or were disabled by Hookstream. `0`: all.
    failing: Option<String>,
    /// Id of the caller's organization. Another one is answered 404.
    org_id: Option<String>,
    /// Id of the caller's environment. Another one is answered 404.
    env_id: Option<String>,
}

/// Health of an endpoint in a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HealthSummary {
    /// Start of the first of 48 half hours.
    from: String,
    /// Deliveries that fell due, by half hour.
    due: Vec<i64>,
    /// Of these, those that have arrived by now, by half hour.
    arrived: Vec<i64>,
    /// Share of what fell due that has arrived, in percent with two decimals; `null` if nothing fell due.
    #[schema(example = 99.84)]
    success_rate: Option<f64>,
    /// 95 of 100 attempts took at most this many milliseconds; `null` if there was none.
    #[schema(example = 388.0)]
    p95_ms: Option<f64>,
    /// Pending deliveries.
    #[schema(example = 12)]
    pending: i64,
    /// Time at which the oldest of them fell due, rounded down to the half hour or the day; `null` if none is pending.
    oldest_at: Option<String>,
    /// Attempts per second that the endpoint answered recently; `null` if there were too few.
    #[schema(example = 12.5)]
    per_second: Option<f64>,
}

/// Endpoint with its application and its health.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ListedEndpoint {
    #[serde(flatten)]
    endpoint: Endpoint,
    /// Name of the application.
    #[schema(example = "Acme Inc.")]
    application_name: String,
    /// Health of the last 24 hours.
    health: HealthSummary,
}

/// Page of an environment's endpoints.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AllEndpointsList {
    endpoints: Vec<ListedEndpoint>,
    /// Cursor of the next page; `null` on the last page.
    cursor: Option<String>,
    has_more: bool,
}

/// List endpoints of an environment
///
/// Endpoints of all applications are listed, newest first, each with its health. Numbers of other nodes are up to a minute old.
#[utoipa::path(
    get, path = "/endpoints", operation_id = "listAllEndpoints", tag = "Endpoints",
    params(AllEndpointsQuery),
    responses((status = 200, description = "Page of endpoints, newest first.", body = AllEndpointsList))
)]
pub(crate) async fn list_all(
    State(api): State<Api>,
    caller: Caller,
    QueryParams(query): QueryParams<AllEndpointsQuery>,
) -> Result<Json<AllEndpointsList>, ApiError> {
    caller.check_tenant(query.org_id.as_deref(), query.env_id.as_deref())?;
    let request = page::request(query.limit.as_deref(), query.cursor.as_deref(), EndpointId::from_bytes)?;
    let filter = EndpointFilter { status: status(query.status.as_deref())?, is_failing: failing(query.failing.as_deref())? };
    let (tenant, now) = (caller.tenant, api.now());
    let page = endpoints::list_all(&*api.store, tenant, filter, now, request).await?;
    let cursor = page::cursor(&page, |(endpoint, _)| *endpoint.id.as_bytes());
    let pending = reading::pending_of_all(&api, tenant).await?;
    let lanes = api.engine.lanes(tenant.environment);
    let mut listed = Vec::with_capacity(page.items.len());
    for (endpoint, secret) in page.items {
        let found = reading::health(&api, tenant, endpoint.id.into(), &pending, now).await?;
        let lane = lanes.iter().find(|lane| lane.target == TargetId::from(endpoint.id));
        let rounded = |number: f64| (number * 10.0).round() / 10.0;
        let health = HealthSummary {
            from: first_half_hour(now).to_string(),
            due: found.half_hours.iter().map(|(_, stats)| stats.accepted).collect(),
            arrived: found.half_hours.iter().map(|(_, stats)| stats.arrived).collect(),
            success_rate: found.total.success_rate(),
            p95_ms: found.total.latencies.percentile_ms(0.95).map(rounded),
            pending: found.pending,
            oldest_at: found.oldest.map(|at| at.to_string()),
            per_second: lane.and_then(|lane| lane.per_second).map(rounded),
        };
        let routes = api.engine.applications().resolve(tenant, &endpoint.application_id.to_string()).await?;
        let application_name = routes.map(|routes| routes.application().name.clone()).unwrap_or_default();
        listed.push(ListedEndpoint { endpoint: Endpoint::for_sender(endpoint, &secret, now), application_name, health });
    }
    Ok(Json(AllEndpointsList { endpoints: listed, cursor, has_more: page.has_more }))
}

fn status(word: Option<&str>) -> Result<Option<&'static str>, ApiError> {
    let Some(word) = word else { return Ok(None) };
    let known = ["active", "paused", "disabled", "expired"].into_iter().find(|known| *known == word);
    known.map(Some).ok_or_else(|| ApiError::invalid("status", &format!("must be `active`, `paused`, `disabled` or `expired`{}", got(word))))
}

fn failing(word: Option<&str>) -> Result<bool, ApiError> {
    match word {
        None | Some("0") => Ok(false),
        Some("1") => Ok(true),
        Some(word) => Err(ApiError::invalid("failing", &format!("must be `1` or `0`{}", got(word)))),
    }
}
