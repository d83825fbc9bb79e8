//! Attempts: fields, filters, tenants.

use hookstream_testkit::receiver::{CannedResponse, Receiver};
use serde_json::{Value, json};

use crate::tests::{Client, Installation, invalid_field, refused, text};

/// Endpoints and statuses of the listed attempts.
async fn listed(client: &Client, query: &str) -> Vec<(Value, Value)> {
    let (status, response) = client.get(&format!("/v1/{query}")).await;
    assert_eq!(status, 200, "{query}: {response}");
    let attempts = response["attempts"].as_array().expect("attempts").iter();
    let mut found: Vec<_> = attempts.map(|attempt| (attempt["endpoint_id"].clone(), attempt["status"].clone())).collect();
    found.sort_by_key(|(endpoint, _)| endpoint.to_string());
    found
}

#[tokio::test]
async fn attempts_are_listed_by_endpoint_and_outcome() {
    let installation = Installation::start().await;
    let client = &installation.client;
    let (healthy, broken) = (Receiver::start().await, Receiver::responding(|_| CannedResponse::status(500)).await);
    let good = client.acme(json!({ "uid": "good" }), &healthy.url()).await;
    let (_, bad) = client.post("/v1/applications/acme/endpoints", json!({ "url": broken.url(), "uid": "bad", "retry_schedule": [] })).await;
    let bad = &bad["endpoint"];
    let id = client.message(json!({ "n": 1 })).await;
    let seen = client.until(&id, "failed").await;
    assert_eq!(seen["attempts"].as_array().map(Vec::len), Some(2), "{seen}");

    let (of_good, of_bad) = ((good["id"].clone(), json!("success")), (bad["id"].clone(), json!("failed")));
    for (query, expected) in [
        ("attempts", vec![of_good.clone(), of_bad.clone()]),
        ("attempts?status=failed", vec![of_bad.clone()]),
        ("attempts?status=success,failed", vec![of_good.clone(), of_bad.clone()]),
        ("attempts?status_code_class=5xx", vec![of_bad.clone()]),
        ("attempts?status_code_class=none", vec![]),
        ("attempts?event_type=invoice.paid", vec![of_good.clone(), of_bad.clone()]),
        ("attempts?event_type=invoice.lost", vec![]),
        ("attempts?application_id=acme&endpoint_id=bad", vec![of_bad.clone()]),
        ("attempts?until=2020-01-01T00:00:00Z", vec![]),
        ("applications/acme/endpoints/good/attempts", vec![of_good]),
        ("applications/acme/endpoints/good/attempts?status=failed", vec![]),
    ] {
        assert_eq!(listed(client, query).await, expected, "{query}");
    }
    let (_, page) = client.get("/v1/attempts?status=failed").await;
    let attempt = &page["attempts"][0];
    assert_eq!((&attempt["message_id"], &attempt["event_type"]), (&json!(id), &json!("invoice.paid")));
    assert_eq!(
        (&attempt["response_status"], &attempt["attempt_number"], &attempt["trigger_type"]),
        (&json!(500), &json!(1), &json!("initial"))
    );
    assert!(attempt["duration_ms"].is_u64() && attempt["waterfall"]["queue_ms"].is_f64(), "{attempt}");
}

#[tokio::test]
async fn invalid_filters_are_rejected() {
    let installation = Installation::start().await;
    let client = &installation.client;
    client.acme(json!({ "uid": "main" }), "http://127.0.0.1:9/").await;
    for (field, query) in [
        ("status", "status=lost"),
        ("status", "status="),
        ("status_code_class", "status_code_class=6xx"),
        ("status_code_class", "status_code_class="),
        ("since", "since=x"),
        ("until", "until=x"),
        ("cursor", "cursor=x"),
        ("direction", "direction=up"),
        ("limit", "limit=101"),
    ] {
        for list in ["attempts", "applications/acme/endpoints/main/attempts"] {
            invalid_field(&client.get(&format!("/v1/{list}?{query}")).await, field);
        }
    }
    refused(&client.get("/v1/attempts?stauts=failed").await, 400, "unknown_parameter");
    refused(&client.get("/v1/attempts?application_id=nobody").await, 404, "not_found");
    refused(&client.get("/v1/applications/acme/endpoints/nobody/attempts").await, 404, "not_found");
}

#[tokio::test]
async fn foreign_attempts_are_not_listed() {
    let mut installation = Installation::start().await;
    let stranger = installation.another_tenant().await;
    let client = &installation.client;
    let receiver = Receiver::start().await;
    let endpoint = client.acme(json!({ "uid": "main" }), &receiver.url()).await;
    let id = client.message(json!(1)).await;
    client.until(&id, "delivered").await;
    assert_eq!(listed(client, "attempts").await.len(), 1);
    assert_eq!(listed(&stranger, "attempts").await, []);
    assert_eq!(listed(&stranger, &format!("attempts?endpoint_id={}", text(&endpoint, "id"))).await, []);
    refused(&stranger.get("/v1/applications/acme/endpoints/main/attempts").await, 404, "not_found");
    refused(&stranger.get("/v1/attempts?application_id=acme").await, 404, "not_found");
}
