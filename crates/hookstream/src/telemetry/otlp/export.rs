//! Requests to a collector: encoding, repetition, and the log line of a failure.

use std::{
    io::Write,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use hookstream_destinations::services::collector::{Answer, Collector};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use opentelemetry_proto::tonic::{collector::trace::v1::ExportTraceServiceResponse, resource::v1::Resource};
use prost::Message;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::counts::{self, Outcome, Signal};
use crate::config::TargetConfig;

/// Target of the log lines; they are not exported, because each would cause another.
pub(super) const TARGET: &str = "hookstream::otlp";
/// Interval between log lines about failures of one signal.
const WARNING_PERIOD: Duration = Duration::from_secs(60);
/// Wait before the first repetition; it doubles with each.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// Exporter of one signal.
pub(super) struct Exporter {
    signal: Signal,
    collector: Collector,
    address: String,
    timeout: Duration,
    is_compressed: bool,
    resource: Resource,
    /// Time of the last log line.
    warned: Mutex<Option<Instant>>,
}

/// Failure of a request.
struct Failure {
    problem: String,
    /// Wait that the collector asks for; `None` if the request may not be repeated.
    repeat_after: Option<Duration>,
}

impl Exporter {
    pub(super) fn new(signal: Signal, target: &TargetConfig, resource: Resource) -> anyhow::Result<Self> {
        Ok(Self {
            signal,
            collector: target.collector()?,
            // Without the query, which may contain a token.
            address: target.uri().to_string().split('?').next().unwrap_or_default().to_owned(),
            timeout: target.timeout,
            is_compressed: target.is_compressed,
            resource,
            warned: Mutex::default(),
        })
    }

    pub(super) fn resource(&self) -> Resource {
        self.resource.clone()
    }

    /// Sends an encoded request with so many items. It is repeated while the protocol allows it and its time lasts, and not after
    /// `stop`; then its items are given up.
    pub(super) async fn send(&self, message: Vec<u8>, items: usize, stop: &CancellationToken) {
        let (body, headers) = self.encoded(message);
        let deadline = Instant::now() + self.timeout;
        let mut wait = FIRST_WAIT;
        loop {
            let time = deadline.saturating_duration_since(Instant::now());
            let failure = match self.collector.post(body.clone(), headers.clone(), time).await {
                Ok(answer) => match judge(&answer) {
                    Ok(rejected) => return self.note(items, rejected),
                    Err(failure) => failure,
                },
                Err(problem) => Failure { problem, repeat_after: Some(Duration::ZERO) },
            };
            let next = failure.repeat_after.map(|asked| asked.max(wait)).filter(|next| Instant::now() + *next < deadline);
            let Some(next) = next.filter(|_| !stop.is_cancelled()) else { return self.give_up(items, &failure.problem) };
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(next) => {}
            }
            wait *= 2;
        }
    }

    /// Compresses the message if asked, and returns it with the headers that describe it.
    fn encoded(&self, message: Vec<u8>) -> (Bytes, HeaderMap) {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        if !self.is_compressed {
            return (message.into(), headers);
        }
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&message).expect("a vector takes all bytes");
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        (encoder.finish().expect("a vector takes all bytes").into(), headers)
    }

    /// Counts the items of a request that the collector took, except those it rejected.
    fn note(&self, items: usize, (rejected, problem): (usize, String)) {
        let rejected = rejected.min(items);
        counts::add(self.signal, Outcome::Exported, items - rejected);
        if rejected > 0 {
            self.give_up(rejected, &format!("rejected by the collector: {}", problem.escape_debug()));
        }
    }

    fn give_up(&self, items: usize, problem: &str) {
        counts::add(self.signal, Outcome::Failed, items);
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.is_some_and(|at| at.elapsed() < WARNING_PERIOD) {
            return;
        }
        *warned = Some(Instant::now());
        let (signal, failed, collector) = (self.signal.as_str(), counts::number(self.signal, Outcome::Failed), self.address.as_str());
        tracing::warn!(target: TARGET, signal, collector, problem, failed, "could not export telemetry; what waits for too long is dropped");
    }
}

/// Returns the number of rejected items of a request that the collector took, with the reason.
///
/// <https://opentelemetry.io/docs/specs/otlp/#otlphttp-response>
fn judge(answer: &Answer) -> Result<(usize, String), Failure> {
    if answer.status.is_success() {
        // The three signals' responses have the same fields.
        let response = ExportTraceServiceResponse::decode(answer.body.clone()).unwrap_or_default();
        let partial = response.partial_success.unwrap_or_default();
        return Ok((usize::try_from(partial.rejected_spans).unwrap_or(0), partial.error_message));
    }
    let may_repeat = matches!(
        answer.status,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
    );
    let repeat_after = may_repeat.then(|| answer.retry_after.unwrap_or_default());
    Err(Failure { problem: format!("the collector responded {}", answer.status), repeat_after })
}
