//! Time series of volume, deliveries and latency.

use axum::{Json, extract::State};
use hookstream_model::{
    base::time::Timestamp,
    operations::metrics::{ResponseClass, Stats, latency::Latencies},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::window::{Asked, MetricsQuery};
use crate::{
    auth::caller::Caller,
    http::{error::ApiError, params::QueryParams},
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

/// Numbers of attempts by response.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Responses {
    /// 2xx, and acknowledgements of a broker.
    #[serde(rename = "2xx")]
    #[schema(example = 1480)]
    success: i64,
    /// 1xx and 3xx.
    #[serde(rename = "3xx")]
    #[schema(example = 0)]
    redirection: i64,
    /// 4xx.
    #[serde(rename = "4xx")]
    #[schema(example = 3)]
    client_error: i64,
    /// 5xx.
    #[serde(rename = "5xx")]
    #[schema(example = 12)]
    server_error: i64,
    /// Attempts without a response.
    #[schema(example = 1)]
    none: i64,
}

impl From<&Stats> for Responses {
    fn from(stats: &Stats) -> Self {
        Self {
            success: stats.responses_of(ResponseClass::Success),
            redirection: stats.responses_of(ResponseClass::Redirection),
            client_error: stats.responses_of(ResponseClass::ClientError),
            server_error: stats.responses_of(ResponseClass::ServerError),
            none: stats.responses_of(ResponseClass::None),
        }
    }
}

/// Numbers of deliveries and attempts.
///
/// Deliveries count at the time at which their message was accepted, because they fell due then: `delivery_count` = `success_count` +
/// `failed_count` + `pending_count`. Attempts count at the time at which they began.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeliveryNumbers {
    /// Deliveries that fell due.
    #[schema(example = 1500)]
    delivery_count: i64,
    /// Of these, those that have arrived by now, at whatever time.
    #[schema(example = 1480)]
    success_count: i64,
    /// Of these, those that ended without arriving: exhausted, skipped or cancelled.
    #[schema(example = 5)]
    failed_count: i64,
    /// Of these, those that are still pending.
    #[schema(example = 15)]
    pending_count: i64,
    /// Share of what fell due that has arrived by now, in percent with two decimals; `null` if nothing fell due.
    #[schema(example = 98.66)]
    success_rate: Option<f64>,
    /// Attempts that succeeded.
    #[schema(example = 1480)]
    attempts_succeeded: i64,
    /// Attempts that failed.
    #[schema(example = 31)]
    attempts_failed: i64,
    /// Attempts that repeated a failed one by the retry schedule.
    #[schema(example = 26)]
    attempts_retried: i64,
    /// Attempts by response.
    responses: Responses,
}

impl From<&Stats> for DeliveryNumbers {
    fn from(stats: &Stats) -> Self {
        Self {
            delivery_count: stats.accepted,
            success_count: stats.arrived,
            failed_count: stats.ended,
            pending_count: stats.pending(),
            success_rate: stats.success_rate(),
            attempts_succeeded: stats.succeeded,
            attempts_failed: stats.failed,
            attempts_retried: stats.retried,
            responses: stats.into(),
        }
    }
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

/// Percentiles of the latency of attempts, in milliseconds. They are estimated from a histogram whose buckets grow by a factor of 1.6.
/// Attempts that got a response or reached their timeout count.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LatencyNumbers {
    /// Half of the attempts were faster; `null` if there was none.
    #[schema(example = 84.2)]
    p50: Option<f64>,
    /// 95 of 100 attempts were faster.
    #[schema(example = 388.0)]
    p95: Option<f64>,
    /// 99 of 100 attempts were faster.
    #[schema(example = 1150.5)]
    p99: Option<f64>,
    /// Attempts that the percentiles are about.
    #[schema(example = 1511)]
    count: i64,
}

impl From<&Latencies> for LatencyNumbers {
    fn from(latencies: &Latencies) -> Self {
        let percentile = |share| latencies.percentile_ms(share).map(|ms| (ms * 10.0).round() / 10.0);
        Self { p50: percentile(0.5), p95: percentile(0.95), p99: percentile(0.99), count: latencies.count() }
    }
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
