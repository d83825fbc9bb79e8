//! Failed attempts by error.

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use super::window::{Asked, MetricsQuery};
use crate::{
    auth::caller::Caller,
    http::{error::ApiError, params::QueryParams},
    metrics::figures::{ErrorCount, breakdown, by_error},
    state::Api,
};

/// Maximum number of errors in an answer: the most frequent.
const SHOWN: usize = 50;

/// Errors of a window.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorBreakdown {
    /// Errors, most frequent first; at most 50.
    errors: Vec<ErrorCount>,
    /// Failed attempts of the window.
    #[schema(example = 31)]
    total: i64,
    /// Length of the steps.
    #[schema(example = "hour")]
    granularity: &'static str,
}

/// Get the breakdown of errors
///
/// Failed attempts of the window are counted by error and status code. `GET /v1/attempts` lists the attempts.
#[utoipa::path(
    get, path = "/metrics/errors", operation_id = "getErrorMetrics", tag = "Metrics", params(MetricsQuery),
    responses((status = 200, description = "Errors by number.", body = ErrorBreakdown))
)]
pub(crate) async fn errors(
    State(api): State<Api>,
    caller: Caller,
    QueryParams(query): QueryParams<MetricsQuery>,
) -> Result<Json<ErrorBreakdown>, ApiError> {
    let asked = Asked::read(&api, &caller, &query).await?;
    let counted = by_error(api.engine.metric_errors(&asked.range()).await?);
    let total = counted.values().map(|(count, _)| count).sum();
    let granularity = asked.window.granularity.as_str();
    Ok(Json(ErrorBreakdown { errors: breakdown(counted, SHOWN), total, granularity }))
}
