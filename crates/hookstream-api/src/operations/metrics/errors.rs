//! Failed attempts by error.

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use hookstream_model::{base::time::Timestamp, operations::metrics::ErrorKey};
use serde::Serialize;
use utoipa::ToSchema;

use super::window::{Asked, MetricsQuery};
use crate::{
    auth::caller::Caller,
    http::{error::ApiError, params::QueryParams},
    state::Api,
};

/// Maximum number of errors in an answer: the most frequent.
const SHOWN: usize = 50;

/// Failed attempts with one error.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorCount {
    /// Word of the error, such as `timeout`; `other` stands for rare ones.
    #[schema(example = "http_status")]
    error: String,
    /// Status code of the response; `null` if there was none.
    #[schema(example = 503)]
    response_status: Option<u16>,
    /// Failed attempts.
    #[schema(example = 12)]
    count: i64,
    /// Start of the last step with this error.
    #[schema(example = "2027-01-31T12:00:00.000Z")]
    last_bucket: String,
}

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

/// Failed attempts by error, each with the start of its last step.
pub(crate) type ByError = BTreeMap<ErrorKey, (i64, Timestamp)>;

/// Sums failed attempts over steps.
pub(crate) fn by_error(steps: BTreeMap<Timestamp, BTreeMap<ErrorKey, i64>>) -> ByError {
    let mut counted = ByError::new();
    for (start, errors) in steps {
        for (error, attempts) in errors {
            let (count, last) = counted.entry(error).or_insert((0, start));
            *count += attempts;
            *last = start;
        }
    }
    counted
}

/// Returns at most `shown` errors, most frequent first.
pub(crate) fn breakdown(counted: ByError, shown: usize) -> Vec<ErrorCount> {
    let show = |(ErrorKey { word, status }, (count, last)): (ErrorKey, (i64, Timestamp))| ErrorCount {
        error: word,
        response_status: (status != 0).then_some(status),
        count,
        last_bucket: last.to_string(),
    };
    let mut errors: Vec<_> = counted.into_iter().map(show).collect();
    errors.sort_by_key(|error| std::cmp::Reverse(error.count));
    errors.truncate(shown);
    errors
}
