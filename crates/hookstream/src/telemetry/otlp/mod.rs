//! Export of traces, metrics and logs to an OpenTelemetry collector, by OTLP over HTTP.
//!
//! The messages are those of the official protocol crate. The SDK of OpenTelemetry is not used: it would count every metric a second
//! time, bring threads and an HTTP client of its own, and cost more on the path of a message.
//!
//! A collector that is slow or away delays nothing: each signal has a bounded buffer and a task of its own, and what does not fit is
//! dropped and counted (`hookstream_otlp_items_total`).

mod buffer;
mod counts;
mod export;
pub(super) mod log_layer;
mod metrics;
mod tracer;
mod values;

use std::{sync::Arc, time::Duration};

use opentelemetry_proto::tonic::{
    collector::{logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest},
    logs::v1::{ResourceLogs, ScopeLogs},
    metrics::v1::{ResourceMetrics, ScopeMetrics},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans},
};
use prost::Message;
use rand::rngs::StdRng;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{buffer::Buffer, counts::Signal, export::Exporter, log_layer::LogLayer, metrics::Conversion};
pub(crate) use self::{counts::register, tracer::OtlpTracer};
use crate::{
    config::{Batches, OpenTelemetryConfig},
    telemetry::Exposition,
};

/// Time in which everything that waits is sent at the end.
const FINISH_TIME: Duration = Duration::from_secs(5);

/// Exporters whose certificates are read, ready to start.
pub(crate) struct Exporters {
    traces: Option<(Exporter, Batches)>,
    metrics: Option<(Exporter, Duration)>,
    logs: Option<(Exporter, Batches)>,
    tracer: Option<Arc<OtlpTracer>>,
}

/// Running export. Clones are the same.
#[derive(Clone)]
pub(crate) struct Running {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Exporters {
    /// Reads the certificates. `node` names this process among the others of the service.
    ///
    /// # Errors
    /// Names the variable and the file that cannot be used.
    pub(crate) fn read(config: &OpenTelemetryConfig, node: &str, rng: StdRng) -> anyhow::Result<Self> {
        let OpenTelemetryConfig { traces, metrics, logs, resource } = config;
        let resource = values::resource(resource, node);
        let exporter = |signal, target| Exporter::new(signal, target, resource.clone());
        Ok(Self {
            tracer: traces.as_ref().map(|traces| Arc::new(OtlpTracer::new(traces.sampler, traces.batches, rng))),
            traces: match traces {
                Some(traces) => Some((exporter(Signal::Traces, &traces.target)?, traces.batches)),
                None => None,
            },
            metrics: match metrics {
                Some(metrics) => Some((exporter(Signal::Metrics, &metrics.target)?, metrics.interval)),
                None => None,
            },
            logs: match logs {
                Some(logs) => Some((exporter(Signal::Logs, &logs.target)?, logs.batches)),
                None => None,
            },
        })
    }

    /// Returns the tracer, if traces are exported.
    pub(crate) fn tracer(&self) -> Option<Arc<OtlpTracer>> {
        self.tracer.clone()
    }

    /// Starts the tasks.
    pub(crate) fn start(self, exposition: Exposition) -> Running {
        let running = Running { stop: CancellationToken::new(), tasks: TaskTracker::new() };
        let stop = || running.stop.clone();
        if let (Some((exporter, batches)), Some(tracer)) = (self.traces, self.tracer) {
            running.tasks.spawn(send_batches(exporter, batches, Arc::clone(tracer.buffer()), stop(), |spans, resource| {
                let scope_spans =
                    vec![ScopeSpans { scope: Some(values::scope()), spans: tracer::converted(spans), ..ScopeSpans::default() }];
                let resource_spans = vec![ResourceSpans { resource: Some(resource), scope_spans, ..ResourceSpans::default() }];
                ExportTraceServiceRequest { resource_spans }.encode_to_vec()
            }));
        }
        if let Some((exporter, batches)) = self.logs {
            running.tasks.spawn(send_batches(exporter, batches, LogLayer::buffer(batches), stop(), |log_records, resource| {
                let scope_logs = vec![ScopeLogs { scope: Some(values::scope()), log_records, ..ScopeLogs::default() }];
                let resource_logs = vec![ResourceLogs { resource: Some(resource), scope_logs, ..ResourceLogs::default() }];
                ExportLogsServiceRequest { resource_logs }.encode_to_vec()
            }));
        }
        if let Some((exporter, interval)) = self.metrics {
            running.tasks.spawn(send_metrics(exporter, interval, exposition, stop()));
        }
        running
    }
}

impl Running {
    /// Sends everything that waits, for at most a few seconds.
    pub(crate) async fn finish(&self) {
        self.stop.cancel();
        self.tasks.close();
        let _ = tokio::time::timeout(FINISH_TIME, self.tasks.wait()).await;
    }
}

/// Sends the items of a buffer in batches: when one is full, after the delay, and at the end.
async fn send_batches<T>(
    exporter: Exporter,
    batches: Batches,
    buffer: Arc<Buffer<T>>,
    stop: CancellationToken,
    encode: fn(Vec<T>, Resource) -> Vec<u8>,
) {
    loop {
        let is_last = tokio::select! {
            biased;
            () = stop.cancelled() => true,
            () = buffer.until_full() => false,
            () = tokio::time::sleep(batches.delay) => false,
        };
        loop {
            let items = buffer.take(batches.size);
            let (number, is_complete) = (items.len(), items.len() == batches.size);
            if number > 0 {
                exporter.send(encode(items, exporter.resource()), number, &stop).await;
            }
            // The rest waits for the next turn, except at the end.
            if number == 0 || (!is_complete && !is_last) {
                break;
            }
        }
        if is_last {
            return;
        }
    }
}

/// Sends all metrics at each interval, and at the end.
async fn send_metrics(exporter: Exporter, interval: Duration, exposition: Exposition, stop: CancellationToken) {
    let conversion = Conversion::start();
    loop {
        let is_last = tokio::select! {
            biased;
            () = stop.cancelled() => true,
            () = tokio::time::sleep(interval) => false,
        };
        let metrics = conversion.convert(&exposition.text());
        let points = metrics::points(&metrics);
        let scope_metrics = vec![ScopeMetrics { scope: Some(values::scope()), metrics, ..ScopeMetrics::default() }];
        let resource_metrics = vec![ResourceMetrics { resource: Some(exporter.resource()), scope_metrics, ..ResourceMetrics::default() }];
        exporter.send(ExportMetricsServiceRequest { resource_metrics }.encode_to_vec(), points, &stop).await;
        if is_last {
            return;
        }
    }
}
