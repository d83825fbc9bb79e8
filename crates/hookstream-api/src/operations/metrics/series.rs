//! Time series of volume, deliveries and latency.

use axum::{Json, extract::State};
use hookstream_model::{
    base::time::Timestamp,
    operations::metrics::{Stats, latency::Latencies},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::window::{Asked, MetricsQuery};
use crate::{
    auth::caller::Caller,
    http::{error::ApiError, params::QueryParams},
    metrics::figures::{DeliveryNumbers, LatencyNumbers},
    state::Api,
};

/// Messages of one step.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VolumeStep {
    /// Start of the step.
    #[schema(example = "2027-01-31T12:00:00.000Z")]
    bucket: String,
    /// Id of the source; `null` for outbound messages.
    source_id: Option<String>,
    /// Name of the source; `null` for outbound messages.
    source_name: Option<String>,
    /// Messages accepted in the step; 0 for an endpoint, which gets deliveries.
    #[schema(example = 1200)]
    event_count: i64,
    /// Their deliveries: one for each message and matched endpoint.
    #[schema(example = 1500)]
    delivery_count: i64,
}

/// Volume over time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VolumeSeries {
    /// Steps, oldest first, without gaps.
    series: Vec<VolumeStep>,
    /// Length of the steps.
    #[schema(example = "hour")]
    granularity: &'static str,
}

/// Deliveries and attempts of one step.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeliveryStep {
    /// Start of the step.
    #[schema(example = "2027-01-31T12:00:00.000Z")]
    bucket: String,
    /// Id of the destination; `null` for endpoints.
    destination_id: Option<String>,
    /// Name of the destination; `null` for endpoints.
    destination_name: Option<String>,
    #[serde(flatten)]
    numbers: DeliveryNumbers,
}

/// Deliveries over time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeliverySeries {
    /// Steps, oldest first, without gaps.
    series: Vec<DeliveryStep>,
    /// Length of the steps.
    #[schema(example = "hour")]
    granularity: &'static str,
    /// Numbers of the whole window.
    total: DeliveryNumbers,
}

/// Latency of one step.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LatencyStep {
    /// Start of the step.
    #[schema(example = "2027-01-31T12:00:00.000Z")]
    bucket: String,
    /// Id of the destination; `null` for endpoints.
    destination_id: Option<String>,
    /// Name of the destination; `null` for endpoints.
    destination_name: Option<String>,
    #[serde(flatten)]
    numbers: LatencyNumbers,
}

/// Latency over time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LatencySeries {
    /// Steps, oldest first, without gaps.
    series: Vec<LatencyStep>,
    /// Length of the steps.
    #[schema(example = "hour")]
    granularity: &'static str,
    /// Percentiles of the whole window.
    total: LatencyNumbers,
}

/// Get the volume over time
///
/// Messages and deliveries count at the time at which the message was accepted. Metrics come from rollups: those of the answering node are
/// up to date, those of other nodes up to a minute old.
#[utoipa::path(
    get, path = "/metrics/volume", operation_id = "getVolume", tag = "Metrics", params(MetricsQuery),
    responses((status = 200, description = "Messages and deliveries by step.", body = VolumeSeries))
)]
pub(crate) async fn volume(
    State(api): State<Api>,
    caller: Caller,
    QueryParams(query): QueryParams<MetricsQuery>,
) -> Result<Json<VolumeSeries>, ApiError> {
    let asked = Asked::read(&api, &caller, &query).await?;
    let step = |(start, stats): (Timestamp, Stats)| VolumeStep {
        bucket: start.to_string(),
        source_id: None,
        source_name: None,
        event_count: stats.messages,
        delivery_count: stats.accepted,
    };
    let series = asked.series(&api).await?.into_iter().map(step).collect();
    Ok(Json(VolumeSeries { series, granularity: asked.window.granularity.as_str() }))
}

/// Get deliveries over time
///
/// The success rate is the share of what fell due in a step that has arrived by now. It is not based on attempts: an endpoint with an open
/// circuit breaker gets few attempts, and would look healthy.
#[utoipa::path(
    get, path = "/metrics/deliveries", operation_id = "getDeliveryMetrics", tag = "Metrics", params(MetricsQuery),
    responses((status = 200, description = "Deliveries and attempts by step.", body = DeliverySeries))
)]
pub(crate) async fn deliveries(
    State(api): State<Api>,
    caller: Caller,
    QueryParams(query): QueryParams<MetricsQuery>,
) -> Result<Json<DeliverySeries>, ApiError> {
    let asked = Asked::read(&api, &caller, &query).await?;
    let series = asked.series(&api).await?;
    let mut total = Stats::default();
    series.values().for_each(|stats| total += *stats);
    let step = |(start, stats): (Timestamp, Stats)| DeliveryStep {
        bucket: start.to_string(),
        destination_id: None,
        destination_name: None,
        numbers: (&stats).into(),
    };
    let series = series.into_iter().map(step).collect();
    Ok(Json(DeliverySeries { series, granularity: asked.window.granularity.as_str(), total: (&total).into() }))
}

/// Get latency percentiles over time
///
/// The latency of an attempt is its duration, from the connection to the end of the response.
#[utoipa::path(
    get, path = "/metrics/latency", operation_id = "getLatency", tag = "Metrics", params(MetricsQuery),
    responses((status = 200, description = "Percentiles by step.", body = LatencySeries))
)]
pub(crate) async fn latency(
    State(api): State<Api>,
    caller: Caller,
    QueryParams(query): QueryParams<MetricsQuery>,
) -> Result<Json<LatencySeries>, ApiError> {
    let asked = Asked::read(&api, &caller, &query).await?;
    let series = asked.series(&api).await?;
    let mut total = Latencies::default();
    series.values().for_each(|stats| total += stats.latencies);
    let step = |(start, stats): (Timestamp, Stats)| LatencyStep {
        bucket: start.to_string(),
        destination_id: None,
        destination_name: None,
        numbers: (&stats.latencies).into(),
    };
    let series = series.into_iter().map(step).collect();
    Ok(Json(LatencySeries { series, granularity: asked.window.granularity.as_str(), total: (&total).into() }))
}
