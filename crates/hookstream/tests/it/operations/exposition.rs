//! Metrics at `/metrics` and the log of a running server.

use std::{collections::BTreeMap, path::Path, time::Duration};

use hookstream_testkit::{
    eventually,
    receiver::{CannedResponse, Receiver},
};
use http::Method;
use serde_json::{Value, json};

use crate::support::{Server, TestClient, scratch};

/// Returns the samples of an exposition: each series with its value.
fn samples(text: &str) -> BTreeMap<String, f64> {
    assert!(text.ends_with("# EOF\n"), "{text}");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    // An exemplar follows behind ` # `.
    let parse = |line: &str| {
        let (series, value) = line.split(" # ").next()?.rsplit_once(' ')?;
        Some((series.to_owned(), value.parse().ok()?))
    };
    lines.map(|line| parse(line).unwrap_or_else(|| panic!("no sample: {line}"))).collect()
}

async fn scrape(client: &TestClient) -> BTreeMap<String, f64> {
    let response = client.try_send(Method::GET, "/metrics", &[], "").await.expect("an answer");
    let content_type = response.headers()["content-type"].to_str().expect("text").to_owned();
    assert_eq!((response.status().as_u16(), content_type.split(';').next()), (200, Some("application/openmetrics-text")));
    samples(std::str::from_utf8(response.body()).expect("UTF-8"))
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_count_messages_attempts_requests_and_refusals() {
    let scratch = scratch();
    let server = Server::start(&scratch, &["--retry-schedule", "0", "--metrics-per-application", "5"]);
    let (good, bad) = (Receiver::start().await, Receiver::responding(|_| CannedResponse::status(500)).await);
    server.client.acme(json!({}), &good.url()).await;
    let (status, _) = server.client.post("/v1/applications/acme/endpoints", json!({ "url": bad.url() })).await;
    assert_eq!(status, 201);
    for number in 0..3 {
        server.client.message(json!({ "n": number })).await;
    }
    let (status, _) = server.client.post("/v1/applications/acme/endpoints", json!({ "url": "http://10.0.0.1/" })).await;
    assert_eq!(status, 400);
    let failed = "hookstream_attempts_total{outcome=\"failed\",error=\"http_status\",trigger=\"initial\"}";
    let shown = eventually("three failed attempts", async || {
        let shown = scrape(&server.client).await;
        (shown.get(failed) == Some(&3.0) && shown.contains_key("hookstream_store_bytes")).then_some(shown)
    })
    .await;
    for (series, expected) in [
        ("hookstream_messages_accepted_total", 3.0),
        ("hookstream_deliveries_accepted_total", 6.0),
        ("hookstream_attempts_total{outcome=\"success\",error=\"\",trigger=\"initial\"}", 3.0),
        ("hookstream_deliveries_ended_total{outcome=\"succeeded\"}", 3.0),
        ("hookstream_delivery_latency_seconds_count{until=\"arrival\"}", 3.0),
        ("hookstream_address_refusals_total{reason=\"private\"}", 1.0),
        ("hookstream_http_requests_total{method=\"POST\",route=\"/v1/applications/{appId}/messages\",status=\"201\"}", 3.0),
        ("hookstream_deliveries_unaccounted", 0.0),
        ("hookstream_nodes{state=\"alive\"}", 1.0),
    ] {
        assert_eq!(shown.get(series), Some(&expected), "{series}");
    }
    let positive = [
        "process_resident_memory_bytes",
        "process_open_fds",
        "process_cpu_seconds_total",
        "hookstream_http_connections{state=\"open\"}",
        "hookstream_attempts_limit",
    ];
    for series in positive {
        assert!(shown.get(series).is_some_and(|value| *value > 0.0), "{series}");
    }
    let commits: f64 = shown.iter().filter(|(series, _)| series.starts_with("hookstream_store_commit_seconds_count")).map(|(_, n)| n).sum();
    assert!(commits > 0.0, "commits are counted");
    let of_application = shown.keys().filter(|series| series.starts_with("hookstream_application_messages_accepted_total"));
    assert_eq!(of_application.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_need_the_scope_or_the_listener_of_the_operator() {
    let scratch = scratch();
    let log = scratch.files.path().join("log");
    let arguments = ["--metrics-listen", "127.0.0.1:0", "--log", "info", "--log-format", "json"];
    let server = Server::start_with(&scratch, &arguments, &[], Some(&log));
    let line = lines(&log).into_iter().find(|line| line["message"] == "metrics are served at /metrics").expect("the address");
    let address = line["address"].as_str().expect("text").to_owned();
    let (status, _) = server.client.with_key("").get("/metrics").await;
    assert_eq!(status, 401, "without a key");
    let (status, created) = server.client.post("/v1/auth/api-keys", json!({ "name": "everything", "scopes": "*" })).await;
    assert_eq!(status, 201, "{created}");
    let (status, refused) = server.client.with_key(created["key"].as_str().expect("a key")).get("/metrics").await;
    assert_eq!((status, &refused["details"]["scope"]), (403, &json!("operator:metrics")), "{refused}");

    let operator = TestClient::new(&format!("http://{address}"), "");
    let shown = scrape(&operator).await;
    let build = shown.keys().find(|series| series.starts_with("hookstream_build_info{")).expect("the build");
    assert!(build.contains(&format!("version=\"{}\"", env!("CARGO_PKG_VERSION"))), "{build}");
    let response = operator.try_send(Method::GET, "/v1/applications", &[], "").await.expect("an answer");
    assert_eq!(response.status().as_u16(), 404, "nothing else is served there");
}

/// Returns the lines of a JSON log.
fn lines(log: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(log).expect("a log");
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn json_log_has_a_line_for_each_attempt_and_request() {
    let scratch = scratch();
    let log = scratch.files.path().join("log");
    let arguments = ["--allow-targets", "127.0.0.0/8", "--log", "info", "--log-format", "json", "--retry-schedule", "0"];
    let mut server = Server::start_with(&scratch, &arguments, &[], Some(&log));
    let receiver = Receiver::responding(|_| CannedResponse::status(503)).await;
    let endpoint = server.client.acme(json!({}), &receiver.url()).await;
    let message = server.client.message(json!({ "n": 1 })).await;
    let hostile = "/v1/applications/%0Afake%1b%5B31m?token=secret-of-the-query";
    let (status, _) = server.client.get(hostile).await;
    assert_eq!(status, 400);
    let attempt = eventually("the line of the attempt", async || {
        lines(&log).into_iter().find(|line| line["message"] == "attempt" && line["message.id"] == json!(message))
    })
    .await;
    let endpoint_id = &endpoint["id"];
    assert_eq!((&attempt["endpoint.id"], &attempt["attempt"], &attempt["status"]), (endpoint_id, &json!(1), &json!(503)), "{attempt}");
    assert_eq!((&attempt["outcome"], &attempt["error"], &attempt["level"]), (&json!("failed"), &json!("http_status"), &json!("INFO")));
    server.terminate();
    assert_eq!(server.ended(Duration::from_secs(30)).await, Some(0));
    let all = lines(&log);
    let access = |path: &str| all.iter().find(|line| line["message"] == "request" && line["path"] == path).cloned();
    let sent = access("/v1/applications/acme/messages").expect("the line of the request");
    assert_eq!((&sent["method"], &sent["status"], &sent["client"]), (&json!("POST"), &json!(201), &json!("127.0.0.1")), "{sent}");
    assert!(sent["request.id"].as_str().is_some_and(|id| id.starts_with("req_")), "{sent}");
    assert!(sent["caller"].as_str().is_some_and(|caller| caller.starts_with("key ")), "{sent}");
    let text = std::fs::read_to_string(&log).expect("a log");
    assert!(!text.contains("secret-of-the-query") && !text.contains('\u{1b}'), "no query and no control character");
    assert!(all.iter().any(|line| line["message"].as_str().is_some_and(|text| text.starts_with("stopped"))), "the last line is written");
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_beyond_the_limit_are_left_out_and_counted() {
    let scratch = scratch();
    let log = scratch.files.path().join("log");
    let arguments = ["--log", "info", "--log-format", "json", "--log-lines-per-second", "2"];
    let mut server = Server::start_with(&scratch, &arguments, &[], Some(&log));
    for _ in 0..50 {
        server.client.get("/v1/health").await;
    }
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    server.client.get("/v1/health").await;
    server.terminate();
    assert_eq!(server.ended(Duration::from_secs(30)).await, Some(0));
    let all = lines(&log);
    let written = all.iter().filter(|line| line["message"] == "request").count();
    let left_out: u64 = all.iter().filter_map(|line| line["left_out"].as_u64()).sum();
    assert!(written < 40 && left_out > 10, "{written} lines written, {left_out} left out");
    assert!(u64::try_from(written).expect("few") + left_out <= 51, "no line is counted twice");
}
