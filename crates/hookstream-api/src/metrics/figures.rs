//! Forms of numbers in answers: deliveries, latency, errors.

use std::collections::BTreeMap;

use hookstream_model::{
    base::time::Timestamp,
    operations::metrics::{ErrorKey, ResponseClass, Stats, latency::Latencies},
};
use serde::Serialize;
use utoipa::ToSchema;

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
