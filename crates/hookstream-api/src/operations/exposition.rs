//! Metrics of this node, for Prometheus.

use axum::{extract::State, response::IntoResponse};
use http::header;

use crate::{auth::caller::Caller, state::Api};

/// Media type of the metrics: OpenMetrics, which Prometheus reads.
pub const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Show metrics
///
/// Metrics of this node for Prometheus, in the OpenMetrics format. The key needs the scope `operator:metrics`. The setting
/// `metrics_listen` serves the same on a listener of its own, without a key.
#[utoipa::path(get, path = "/metrics", operation_id = "getMetrics", tag = "Nodes", responses((status = 200, description = "The metrics.", body = String, content_type = "application/openmetrics-text")))]
pub(crate) async fn metrics(State(api): State<Api>, _: Caller) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, METRICS_TYPE), (header::CACHE_CONTROL, "no-store")], (api.exposition)())
}
