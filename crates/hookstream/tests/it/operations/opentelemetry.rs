//! Export of traces, metrics and logs, to a collector that decodes them with the official protocol crate.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read,
    time::Duration,
};

use bytes::Bytes;
use hookstream_testkit::{
    eventually,
    receiver::{CannedResponse, Received, Receiver},
};
use opentelemetry_proto::tonic::{
    collector::{logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::{AnyValue, KeyValue, any_value::Value as Any},
    logs::v1::LogRecord,
    metrics::v1::{Metric, metric::Data, number_data_point::Value as Number},
    resource::v1::Resource,
    trace::v1::{Span, span::SpanKind, status::StatusCode},
};
use prost::Message;
use serde_json::json;

use crate::support::{KEY, Scratch, Server, hookstream, scratch};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Collector that takes everything.
struct Collector(Receiver);

impl Collector {
    async fn start() -> Self {
        Self(Receiver::responding(|_| CannedResponse::status(200)).await)
    }

    /// Variables of a server that exports to this collector without delay.
    fn variables<'a>(&self, endpoint: &'a mut String, further: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        *endpoint = self.0.url().trim_end_matches("/hook").to_owned();
        let own = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-collector-token=collector-secret"),
            ("OTEL_BSP_SCHEDULE_DELAY", "50"),
            ("OTEL_BLRP_SCHEDULE_DELAY", "50"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "200"),
        ];
        own.into_iter().chain(further.iter().copied()).collect()
    }

    fn decoded<T: Message + Default>(&self, path: &str) -> Vec<T> {
        let of_signal = |received: &Received| received.path == path;
        let all = self.0.received().into_iter().filter(of_signal);
        all.map(|received| T::decode(body(&received)).expect("a request of the protocol")).collect()
    }

    fn traces(&self) -> Vec<(Resource, Span)> {
        let all = self.decoded::<ExportTraceServiceRequest>("/v1/traces").into_iter().flat_map(|request| request.resource_spans);
        let with_resource = |one: opentelemetry_proto::tonic::trace::v1::ResourceSpans| {
            let resource = one.resource.unwrap_or_default();
            one.scope_spans.into_iter().flat_map(|scope| scope.spans).map(move |span| (resource.clone(), span)).collect::<Vec<_>>()
        };
        all.flat_map(with_resource).collect()
    }

    fn spans(&self, name: &str) -> Vec<Span> {
        self.traces().into_iter().map(|(_, span)| span).filter(|span| span.name == name).collect()
    }

    /// Waits until so many spans of this name arrived that belong to the sender's trace.
    async fn until_spans(&self, name: &str, number: usize) -> Vec<Span> {
        eventually(&format!("{number} spans {name}"), async || {
            let of_sender = self.spans(name).into_iter().filter(|span| hex(&span.trace_id) == TRACE).collect::<Vec<_>>();
            (of_sender.len() >= number).then_some(of_sender)
        })
        .await
    }

    fn metrics(&self) -> Vec<Metric> {
        let all = self.decoded::<ExportMetricsServiceRequest>("/v1/metrics").into_iter().flat_map(|request| request.resource_metrics);
        all.flat_map(|resource| resource.scope_metrics).flat_map(|scope| scope.metrics).collect()
    }

    fn logs(&self) -> Vec<LogRecord> {
        let all = self.decoded::<ExportLogsServiceRequest>("/v1/logs").into_iter().flat_map(|request| request.resource_logs);
        all.flat_map(|resource| resource.scope_logs).flat_map(|scope| scope.log_records).collect()
    }
}

/// Returns the body of a request, decompressed.
fn body(received: &Received) -> Bytes {
    if received.header("content-encoding") != "gzip" {
        return received.body.clone();
    }
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(&received.body[..]).read_to_end(&mut plain).expect("gzip");
    plain.into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: Option<&AnyValue>| match value.and_then(|value| value.value.clone()) {
        Some(Any::StringValue(text)) => text,
        Some(Any::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    attributes.iter().map(|attribute| (attribute.key.clone(), text(attribute.value.as_ref()))).collect()
}

fn start(scratch: &Scratch, environment: &[(&str, &str)]) -> Server {
    start_logging("info", scratch, environment)
}

fn start_logging(level: &str, scratch: &Scratch, environment: &[(&str, &str)]) -> Server {
    let log = scratch.files.path().join("server.log");
    let arguments = ["--allow-targets", "127.0.0.0/8", "--retry-schedule", "2,2,2,2,2,2,2,2,2,2,2,2", "--log", level];
    Server::start_with(scratch, &arguments, environment, Some(&log))
}

/// Sends a message to `acme` with headers, and returns its id.
async fn send(server: &Server, headers: &[(&str, &str)]) -> String {
    let message = json!({ "event_type": "invoice.paid", "payload": { "note": "payload-secret" } });
    let path = "/v1/applications/acme/messages";
    let (status, response) = server.client.send(http::Method::POST, path, headers, message.to_string()).await;
    assert_eq!(status, 201, "{response}");
    response["message"]["id"].as_str().expect("an id").to_owned()
}

/// Allows deliveries of the environment to pass the trace context on.
async fn forward(server: &Server, endpoint: &serde_json::Value) {
    let path = format!("/v1/environments/{}", endpoint["env_id"].as_str().expect("an id"));
    let (status, response) = server.client.patch(&path, json!({ "forward_trace_context": true })).await;
    assert_eq!((status, &response["environment"]["forward_trace_context"]), (200, &json!(1)), "{response}");
}

#[tokio::test(flavor = "multi_thread")]
async fn trace_leads_from_the_sender_to_each_attempt_even_after_a_crash() {
    let (scratch, collector) = (scratch(), Collector::start().await);
    let mut endpoint = String::new();
    let variables = collector.variables(&mut endpoint, &[("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")]);
    // At the level with the most that could leak.
    let server = start_logging("trace", &scratch, &variables);
    let receiver = Receiver::responding(|_| CannedResponse::status(503)).await;
    let url = format!("{}/path-secret?token=query-secret", receiver.url());
    let created = server.client.acme(json!({ "headers": { "x-own": "header-secret" } }), &url).await;
    let id = send(&server, &[("traceparent", TRACEPARENT), ("tracestate", "vendor=1")]).await;

    let request = collector.until_spans("api.request", 1).await.remove(0);
    let accept = collector.until_spans("accept", 1).await.remove(0);
    let attempt = collector.until_spans("delivery.attempt", 1).await.remove(0);
    assert_eq!(hex(&request.parent_span_id), "b7ad6b7169203331");
    assert_eq!((&accept.parent_span_id, &attempt.parent_span_id), (&request.span_id, &accept.span_id));
    assert_eq!((request.kind(), accept.kind(), attempt.kind()), (SpanKind::Server, SpanKind::Internal, SpanKind::Client));
    assert_eq!((request.trace_state.as_str(), attempt.trace_state.as_str()), ("vendor=1", "vendor=1"));
    for span in [&request, &accept, &attempt] {
        assert!(span.start_time_unix_nano > 0 && span.start_time_unix_nano <= span.end_time_unix_nano, "{span:?}");
    }
    assert_eq!(attempt.status.as_ref().map(opentelemetry_proto::tonic::trace::v1::Status::code), Some(StatusCode::Error));
    let described = texts(&request.attributes);
    assert_eq!(
        (described["http.route"].as_str(), described["http.response.status_code"].as_str()),
        ("/v1/applications/{appId}/messages", "201")
    );
    let described = texts(&attempt.attributes);
    for (key, expected) in [
        ("hookstream.message.id", id.as_str()),
        ("hookstream.endpoint.id", created["id"].as_str().expect("an id")),
        ("hookstream.environment.id", created["env_id"].as_str().expect("an id")),
        ("hookstream.attempt.number", "1"),
        ("hookstream.attempt.outcome", "failed"),
        ("hookstream.delivery.state", "pending"),
        ("http.request.method", "POST"),
        ("http.response.status_code", "503"),
        ("server.address", "127.0.0.1"),
        ("url.scheme", "http"),
        ("error.type", "http_status"),
    ] {
        assert_eq!(described.get(key).map(String::as_str), Some(expected), "{key}: {described:?}");
    }
    assert_eq!(receiver.received()[0].header("traceparent"), "", "the environment does not allow it");

    server.kill();
    let before = collector.spans("delivery.attempt").len();
    receiver.respond(|_| CannedResponse::status(204));
    forward_after_restart(&scratch, &collector, &receiver, &created, &id, before).await;

    let secrets =
        ["payload-secret", "path-secret", "query-secret", "header-secret", "collector-secret", KEY, KEY.trim_start_matches("hs_test_")];
    let targets = collector.logs().into_iter().map(|record| texts(&record.attributes)["target"].clone()).collect::<BTreeSet<_>>();
    assert!(targets.iter().all(|target| target.starts_with("hookstream") || !target.starts_with(['h', 'r'])), "{targets:?}");
    for received in collector.0.received() {
        assert_eq!(received.header("x-collector-token"), "collector-secret");
        let exported = body(&received);
        for secret in secrets {
            let is_in = exported.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!is_in, "{secret} was exported to {}", received.path);
        }
    }
}

/// Restarts the killed server, whose retry still belongs to the trace and now tells its receiver.
async fn forward_after_restart(
    scratch: &Scratch,
    collector: &Collector,
    receiver: &Receiver,
    created: &serde_json::Value,
    id: &str,
    before: usize,
) {
    let mut endpoint = String::new();
    let variables = collector.variables(&mut endpoint, &[("OTEL_SERVICE_NAME", "hooks"), ("OTEL_RESOURCE_ATTRIBUTES", "team=core")]);
    let mut server = start(scratch, &variables);
    forward(&server, created).await;
    server.client.until(id, "delivered").await;
    let attempts = collector.until_spans("delivery.attempt", before + 1).await;
    let last = attempts.last().expect("an attempt");
    let accept = collector.until_spans("accept", 1).await.remove(0);
    assert_eq!((&last.parent_span_id, last.status.is_none()), (&accept.span_id, true), "{last:?}");
    assert_eq!(texts(&last.attributes)["hookstream.attempt.outcome"], "success");
    // The setting takes effect within a second, so this may precede or follow it.
    let told = receiver.received().last().map(|received| received.header("traceparent").to_owned()).unwrap_or_default();
    assert!(told.is_empty() || told.contains(TRACE), "{told}");
    let (resource, _) = collector.traces().into_iter().next_back().expect("a span");
    let resource = texts(&resource.attributes);
    assert_eq!((resource["service.name"].as_str(), resource["team"].as_str()), ("hooks", "core"));
    server.terminate();
    assert_eq!(server.ended(Duration::from_secs(30)).await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_and_log_lines_reach_the_collector() {
    let (scratch, collector) = (scratch(), Collector::start().await);
    let mut endpoint = String::new();
    let mut server = start(&scratch, &collector.variables(&mut endpoint, &[]));
    let receiver = Receiver::start().await;
    server.client.acme(json!({}), &receiver.url()).await;
    for _ in 0..3 {
        send(&server, &[("traceparent", TRACEPARENT)]).await;
    }
    receiver.wait_for(3).await;
    let attempts = |metric: &Metric| match &metric.data {
        Some(Data::Sum(sum)) if metric.name == "hookstream_attempts_total" && sum.is_monotonic => {
            let success = sum.data_points.iter().find(|point| texts(&point.attributes)["outcome"] == "success")?;
            Some(success.value == Some(Number::AsInt(3)))
        }
        _ => None,
    };
    eventually("three attempts in the metrics", async || {
        collector.metrics().iter().filter_map(attempts).any(|is_expected| is_expected).then_some(())
    })
    .await;
    let is_latency =
        |metric: &Metric| metric.name == "hookstream_delivery_latency_seconds" && matches!(metric.data, Some(Data::Histogram(_)));
    assert!(collector.metrics().iter().any(is_latency));
    let body_of = |record: &LogRecord| match record.body.clone().and_then(|body| body.value) {
        Some(Any::StringValue(text)) => text,
        other => panic!("{other:?}"),
    };
    let record =
        eventually("the line of an attempt", async || collector.logs().into_iter().find(|record| body_of(record) == "attempt")).await;
    assert_eq!((record.severity_text.as_str(), hex(&record.trace_id).as_str()), ("INFO", TRACE), "{record:?}");
    assert_eq!(texts(&record.attributes)["outcome"], "success");
    server.terminate();
    assert_eq!(server.ended(Duration::from_secs(30)).await, Some(0));
    // The last line of the log is exported before the process ends.
    assert!(collector.logs().iter().any(|record| body_of(record).starts_with("stopped;")));
}

#[tokio::test(flavor = "multi_thread")]
async fn receivers_are_told_where_the_environment_allows_it_even_without_tracing() {
    let scratch = scratch();
    let server = start(&scratch, &[]);
    let receiver = Receiver::start().await;
    let created = server.client.acme(json!({}), &receiver.url()).await;
    send(&server, &[("traceparent", TRACEPARENT)]).await;
    assert_eq!(receiver.wait_for(1).await[0].header("traceparent"), "");
    forward(&server, &created).await;
    let headers = [("traceparent", TRACEPARENT), ("tracestate", "vendor=1")];
    let told = eventually("the receiver is told", async || {
        send(&server, &headers).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        receiver.received().into_iter().find(|received| !received.header("traceparent").is_empty())
    })
    .await;
    assert_eq!((told.header("traceparent"), told.header("tracestate")), (TRACEPARENT, "vendor=1"));
    for headers in [&[][..], &[("traceparent", "00-invalid-01")][..]] {
        let id = send(&server, headers).await;
        server.client.until(&id, "delivered").await;
        let received = receiver.received().into_iter().find(|received| received.id() == id).expect("delivered");
        assert_eq!(received.header("traceparent"), "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sampler_decides_and_nothing_is_sent_without_variables() {
    let (scratch, collector) = (scratch(), Collector::start().await);
    let mut endpoint = String::new();
    let receiver = Receiver::start().await;
    let none = [("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0"), ("OTEL_LOGS_EXPORTER", "none")];
    let mut server = start(&scratch, &collector.variables(&mut endpoint, &none));
    server.client.acme(json!({}), &receiver.url()).await;
    for headers in [&[][..], &[("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00")][..]] {
        send(&server, headers).await;
    }
    receiver.wait_for(2).await;
    server.terminate();
    assert_eq!(server.ended(Duration::from_secs(30)).await, Some(0));
    assert!(collector.traces().is_empty() && collector.logs().is_empty() && !collector.metrics().is_empty());

    let (before, connections) = (collector.0.received().len(), collector.0.connections());
    for variables in [vec![], collector.variables(&mut endpoint, &[("OTEL_SDK_DISABLED", "true")])] {
        let mut server = start(&scratch, &variables);
        let id = send(&server, &[("traceparent", TRACEPARENT)]).await;
        server.client.until(&id, "delivered").await;
        server.terminate();
        assert_eq!(server.ended(Duration::from_secs(30)).await, Some(0));
    }
    assert_eq!((collector.0.received().len(), collector.0.connections()), (before, connections));
}

#[tokio::test(flavor = "multi_thread")]
async fn collector_that_hangs_delays_nothing() {
    let scratch = scratch();
    let collector = Collector(Receiver::responding(|_| CannedResponse::status(200).after(Duration::from_secs(600))).await);
    let mut endpoint = String::new();
    let mut server = start(&scratch, &collector.variables(&mut endpoint, &[("OTEL_BSP_MAX_QUEUE_SIZE", "2")]));
    let receiver = Receiver::start().await;
    server.client.acme(json!({}), &receiver.url()).await;
    let begun = tokio::time::Instant::now();
    for _ in 0..20 {
        send(&server, &[]).await;
    }
    receiver.wait_for(20).await;
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    let shown = server.client.try_send(http::Method::GET, "/metrics", &[], "").await.expect("an answer");
    let shown = String::from_utf8_lossy(shown.body()).into_owned();
    let dropped = shown.lines().find_map(|line| line.strip_prefix("hookstream_otlp_items_total{signal=\"traces\",outcome=\"dropped\"} "));
    assert!(dropped.is_some_and(|number| number != "0"), "{shown}");
    server.terminate();
    assert_eq!(server.ended(Duration::from_secs(30)).await, Some(0));
}

#[test]
fn check_refuses_a_variable_that_cannot_be_used() {
    let directory = tempfile::tempdir().expect("a scratch directory");
    let check = |name: &str, value: &str| {
        let mut command = hookstream();
        command.args(["serve", "--check", "--listen", "127.0.0.1:0", "--data-dir"]).arg(directory.path().join("data"));
        let output = command.env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318").env(name, value).output().expect("runs");
        (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let (is_fine, output) = check("OTEL_SERVICE_NAME", "hooks");
    assert!(is_fine && output.contains("ok      OpenTelemetry traces: sent to http://127.0.0.1:4318/v1/traces"), "{output}");
    let (is_fine, output) = check("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    assert!(!is_fine && output.contains("OTEL_EXPORTER_OTLP_PROTOCOL is \"grpc\"; it must be http/protobuf"), "{output}");
    let (is_fine, output) = check("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere.pem");
    assert!(!is_fine && output.contains("/nowhere.pem"), "{output}");
}
