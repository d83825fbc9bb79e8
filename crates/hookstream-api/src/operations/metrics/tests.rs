//! Metrics operations: numbers of real deliveries, windows, subjects, tenants.

use std::time::Duration;

use hookstream_testkit::receiver::{CannedResponse, Receiver};
use serde_json::{Value, json};

use crate::tests::{Client, Installation, invalid_field, refused, text};

async fn get(client: &Client, path: &str) -> Value {
    let (status, response) = client.get(&format!("/v1/metrics/{path}")).await;
    assert_eq!(status, 200, "{path}: {response}");
    response
}

/// Sums a field over the steps of a series.
fn sum(response: &Value, field: &str) -> i64 {
    response["series"].as_array().expect("a series").iter().map(|step| step[field].as_i64().expect("a number")).sum()
}

/// Installation whose application has a good endpoint and a bad one, with two messages delivered to both.
async fn delivered(installation: &Installation) -> (Value, Value, [Receiver; 2]) {
    let client = &installation.client;
    let receivers = [Receiver::start().await, Receiver::responding(|_| CannedResponse::status(503)).await];
    let good = client.acme(json!({ "uid": "good" }), &receivers[0].url()).await;
    let body = json!({ "url": receivers[1].url(), "uid": "bad", "retry_schedule": [] });
    let (status, bad) = client.post("/v1/applications/acme/endpoints", body).await;
    assert_eq!(status, 201, "{bad}");
    for number in 0..2 {
        let id = client.message(json!({ "n": number })).await;
        client.until(&id, "failed").await;
    }
    (good, bad["endpoint"].clone(), receivers)
}

#[tokio::test]
async fn series_count_deliveries_of_each_subject() {
    let installation = Installation::start().await;
    let client = &installation.client;
    let (good, bad, _receivers) = delivered(&installation).await;
    let by_id = |endpoint: &Value| format!("endpoint_id={}", text(endpoint, "id"));
    for (subject, events, accepted, arrived, ended) in [
        (String::new(), 2, 4, 2, 2),
        ("application_id=acme".to_owned(), 2, 4, 2, 2),
        ("event_type=invoice.paid".to_owned(), 2, 4, 2, 2),
        ("event_type=invoice.lost".to_owned(), 0, 0, 0, 0),
        (by_id(&good), 0, 2, 2, 0),
        ("application_id=acme&endpoint_id=bad".to_owned(), 0, 2, 0, 2),
        (by_id(&bad), 0, 2, 0, 2),
    ] {
        for granularity in ["minute", "half_hour", "hour", "day"] {
            let query = format!("?granularity={granularity}&{subject}");
            let volume = get(client, &format!("volume{query}")).await;
            assert_eq!((sum(&volume, "event_count"), sum(&volume, "delivery_count")), (events, accepted), "{query}");
            assert_eq!(volume["granularity"], granularity);
            let deliveries = get(client, &format!("deliveries{query}")).await;
            let numbers = ["delivery_count", "success_count", "failed_count", "pending_count"];
            assert_eq!(numbers.map(|field| sum(&deliveries, field)), [accepted, arrived, ended, 0], "{query}");
            assert_eq!(numbers.map(|field| deliveries["total"][field].as_i64()), [accepted, arrived, ended, 0].map(Some));
            let latency = get(client, &format!("latency{query}")).await;
            assert_eq!(sum(&latency, "count"), accepted, "{query}: one attempt for each delivery");
        }
    }
    let total = &get(client, "deliveries").await["total"];
    assert_eq!(total["success_rate"], json!(50.0));
    assert_eq!(total["responses"], json!({ "2xx": 2, "3xx": 0, "4xx": 0, "5xx": 2, "none": 0 }));
    assert_eq!((&total["attempts_succeeded"], &total["attempts_failed"], &total["attempts_retried"]), (&json!(2), &json!(2), &json!(0)));
    let latency = &get(client, "latency").await["total"];
    assert!(latency["p50"].as_f64() <= latency["p99"].as_f64() && latency["p99"].is_f64(), "{latency}");
}

#[tokio::test]
async fn errors_are_counted_by_word_and_status() {
    let installation = Installation::start().await;
    let client = &installation.client;
    let (good, _, _receivers) = delivered(&installation).await;
    let found = get(client, "errors").await;
    assert_eq!(found["total"], 2);
    let error = &found["errors"][0];
    assert_eq!((&error["error"], &error["response_status"], &error["count"]), (&json!("http_status"), &json!(503), &json!(2)), "{found}");
    assert_eq!(found["errors"].as_array().map(Vec::len), Some(1));
    let none = get(client, &format!("errors?endpoint_id={}", text(&good, "id"))).await;
    assert_eq!((&none["errors"], &none["total"]), (&json!([]), &json!(0)));
}

#[tokio::test]
async fn overview_compares_with_yesterday_and_adds_up() {
    let installation = Installation::start().await;
    let client = &installation.client;
    let (_, _, _receivers) = delivered(&installation).await;
    let check = async |events: i64, deliveries: i64, yesterday: i64| {
        let overview = get(client, "overview").await;
        assert_eq!((&overview["events_today"], &overview["deliveries_today"]), (&json!(events), &json!(deliveries)), "{overview}");
        assert_eq!((&overview["today"]["event_count"], &overview["events_this_week"]), (&json!(events), &json!(events + yesterday)));
        let conservation = &overview["conservation"];
        let parts =
            ["succeeded", "pending", "exhausted", "skipped", "cancelled"].map(|part| conservation[part].as_i64().expect("a number"));
        assert_eq!(conservation["accepted"].as_i64(), Some(parts.iter().sum()), "{overview}");
        assert_eq!((&conservation["accepted"], &conservation["exhausted"], &overview["dlq_count"]), (&json!(4), &json!(2), &json!(2)));
        overview
    };
    let overview = check(2, 4, 0).await;
    assert_eq!(
        (&overview["success_today"], &overview["failed_today"], &overview["success_rate_today"]),
        (&json!(2), &json!(2), &json!(50.0))
    );
    installation.advance(Duration::from_secs(24 * 3600));
    let overview = check(0, 0, 2).await;
    // The same time of yesterday is up to a minute after the messages.
    assert!(overview["yesterday"]["event_count"] == 2 || overview["yesterday"]["event_count"] == 0, "{overview}");
    installation.advance(Duration::from_secs(120));
    let overview = check(0, 0, 2).await;
    assert_eq!((&overview["yesterday"]["event_count"], &overview["yesterday"]["delivery_count"]), (&json!(2), &json!(4)), "{overview}");
    assert_eq!(overview["success_rate_today"], json!(100.0));
}

#[tokio::test]
async fn recovered_delivery_counts_when_it_fell_due() {
    let installation = Installation::start().await;
    let client = &installation.client;
    let (_, bad, _receivers) = delivered(&installation).await;
    let receiver = Receiver::start().await;
    let path = format!("/v1/applications/acme/endpoints/{}", text(&bad, "id"));
    let (status, response) = client.patch(&path, json!({ "url": receiver.url() })).await;
    assert_eq!(status, 200, "{response}");
    let (status, response) = client.post(&format!("{path}/recover"), json!({ "since": "2020-01-01T00:00:00Z" })).await;
    assert!((200..300).contains(&status), "{response}");
    let total = hookstream_testkit::eventually("both have arrived", async || {
        let total = get(client, &format!("deliveries?endpoint_id={}", text(&bad, "id"))).await["total"].clone();
        (total["success_count"] == 2).then_some(total)
    })
    .await;
    assert_eq!(
        (&total["delivery_count"], &total["failed_count"], &total["success_rate"]),
        (&json!(2), &json!(0), &json!(100.0)),
        "{total}"
    );
}

#[tokio::test]
async fn invalid_queries_are_rejected() {
    let installation = Installation::start().await;
    let client = &installation.client;
    client.acme(json!({}), "http://127.0.0.1:9/").await;
    for (field, query) in [
        ("granularity", "granularity=week"),
        ("granularity", "granularity="),
        ("after", "after=yesterday"),
        ("before", "before=x"),
        ("after", "after=2020-01-02T00:00:00Z&before=2020-01-01T00:00:00Z"),
        ("after", "after=2020-01-01T00:00:00Z"),
        ("event_type", "event_type=a.b&application_id=acme"),
        ("event_type", "event_type=%20"),
    ] {
        for operation in ["volume", "deliveries", "latency", "errors"] {
            invalid_field(&client.get(&format!("/v1/metrics/{operation}?{query}")).await, field);
        }
    }
    refused(&client.get("/v1/metrics/volume?application_id=nobody").await, 404, "not_found");
    refused(&client.get("/v1/metrics/volume?endpoint_id=nobody").await, 404, "not_found");
    refused(&client.get("/v1/metrics/volume?granulrity=day").await, 400, "unknown_parameter");
    refused(&client.get("/v1/metrics/overview?granularity=day").await, 400, "unknown_parameter");
}

#[tokio::test]
async fn foreign_metrics_are_not_visible() {
    let mut installation = Installation::start().await;
    let stranger = installation.another_tenant().await;
    let (good, _, _receivers) = delivered(&installation).await;
    assert_eq!(sum(&get(&stranger, "volume").await, "event_count"), 0);
    assert_eq!(sum(&get(&stranger, &format!("volume?endpoint_id={}", text(&good, "id"))).await, "delivery_count"), 0);
    assert_eq!(get(&stranger, "overview").await["conservation"]["accepted"], 0);
    refused(&stranger.get("/v1/metrics/volume?application_id=acme").await, 404, "not_found");
}
