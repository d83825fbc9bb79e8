//! Retrying the messages of a filter: forecast, jobs, tenants.

use hookstream_testkit::eventually;
use serde_json::{Value, json};

use crate::tests::{Client, Installation, invalid_field, refused, text};

const LONG_AGO: &str = "2020-01-01T00:00:00Z";

/// Creates an application with a disabled endpoint, sends it messages of two types, and enables the endpoint. Returns
/// the endpoint's path.
async fn missed(client: &Client, uid: &str) -> String {
    assert_eq!(client.post("/v1/applications", json!({ "name": uid, "uid": uid })).await.0, 201);
    let of_application = format!("/v1/applications/{uid}/endpoints");
    let (status, created) = client.post(&of_application, json!({ "url": "http://127.0.0.1:9/" })).await;
    assert_eq!(status, 201, "{created}");
    let path = format!("{of_application}/{}", text(&created["endpoint"], "id"));
    assert_eq!(client.patch(&path, json!({ "status": "disabled" })).await.0, 200);
    for event_type in ["invoice.paid", "invoice.paid", "order.shipped"] {
        let message = json!({ "event_type": event_type, "payload": {} });
        assert_eq!(client.post(&format!("/v1/applications/{uid}/messages"), message).await.0, 201);
    }
    assert_eq!(client.patch(&path, json!({ "status": "active" })).await.0, 200);
    path
}

async fn forecast(client: &Client, filter: Value) -> Value {
    let (status, answer) = client.post("/v1/messages/retry?dry_run=1", filter).await;
    assert_eq!(status, 200, "{answer}");
    answer["dry_run"].clone()
}

#[tokio::test]
async fn forecast_counts_the_deliveries_of_a_filter_and_starts_nothing() {
    let mut installation = Installation::start().await;
    let stranger = installation.another_tenant().await;
    let client = &installation.client;
    missed(client, "acme").await;
    let other = missed(client, "other").await;
    let count = async |filter: Value| {
        let mut filter = filter;
        filter["since"] = LONG_AGO.into();
        let found = forecast(client, filter).await;
        (found["count"].as_u64(), found["endpoint_count"].as_u64(), found["sample"].as_array().map(Vec::len))
    };
    assert_eq!(count(json!({})).await, (Some(6), Some(2), Some(6)));
    assert_eq!(count(json!({ "application_id": "other" })).await, (Some(3), Some(1), Some(3)));
    assert_eq!(count(json!({ "event_types": ["order.shipped"] })).await, (Some(2), Some(2), Some(2)));
    assert_eq!(count(json!({ "statuses": ["exhausted"] })).await, (Some(0), Some(0), Some(0)));
    let id = other.rsplit('/').next().expect("an id");
    assert_eq!(count(json!({ "endpoint_id": id })).await, (Some(3), Some(1), Some(3)));
    let left_out = async || forecast(client, json!({ "since": LONG_AGO })).await["endpoints_left_out"].clone();
    assert_eq!(left_out().await, 0);
    assert_eq!(client.patch(&other, json!({ "status": "disabled" })).await.0, 200);
    assert_eq!(left_out().await, 1);
    assert_eq!(client.get("/v1/jobs").await.1["jobs"], json!([]));

    assert_eq!(forecast(&stranger, json!({ "since": LONG_AGO })).await["count"], 0);
    for filter in [json!({ "since": LONG_AGO, "application_id": "acme" }), json!({ "since": LONG_AGO, "endpoint_id": id })] {
        refused(&stranger.post("/v1/messages/retry", filter).await, 404, "not_found");
    }
}

#[tokio::test]
async fn jobs_of_a_filter_requeue_once() {
    let installation = Installation::start().await;
    let client = &installation.client;
    missed(client, "acme").await;
    missed(client, "other").await;
    let filter = json!({ "since": LONG_AGO, "event_types": ["invoice.paid"], "rate_limit": 1000 });
    let (status, started) = client.post("/v1/messages/retry", filter.clone()).await;
    assert_eq!((status, &started["count"], started["jobs"].as_array().map(Vec::len)), (201, &json!(4), Some(2)), "{started}");
    let (_, again) = client.post("/v1/messages/retry", filter.clone()).await;
    for job in again["jobs"].as_array().expect("jobs") {
        assert!(started["jobs"].as_array().expect("jobs").iter().any(|first| first["id"] == job["id"]), "{again}");
    }
    for job in started["jobs"].as_array().expect("jobs") {
        let path = format!("/v1/jobs/{}", text(job, "id"));
        let done = eventually("the job is completed", async || {
            let (_, answer) = client.get(&path).await;
            (answer["job"]["status"] == "completed").then_some(answer["job"].clone())
        })
        .await;
        assert_eq!((&done["requeued"], &done["kind"]), (&json!(2), &json!("recover")), "{done}");
    }
    assert_eq!(forecast(client, json!({ "since": LONG_AGO })).await["count"], 2);
}

#[tokio::test]
async fn invalid_fields_of_a_filter_are_rejected_by_name() {
    let installation = Installation::start().await;
    let client = &installation.client;
    for (field, value) in [
        ("since", json!("yesterday")),
        ("since", Value::Null),
        ("until", json!("2019-01-01")),
        ("statuses", json!(["pending"])),
        ("event_types", json!(["a b"])),
        ("rate_limit", json!(0)),
    ] {
        let mut filter = json!({ "since": LONG_AGO });
        filter[field] = value;
        invalid_field(&client.post("/v1/messages/retry", filter).await, field);
    }
    invalid_field(&client.post("/v1/messages/retry", json!({})).await, "since");
    invalid_field(&client.post("/v1/messages/retry?dry_run=maybe", json!({ "since": LONG_AGO })).await, "dry_run");
    refused(&client.post("/v1/messages/retry", json!({ "since": LONG_AGO, "status": "failed" })).await, 400, "unknown_field");
    refused(&client.post("/v1/messages/retry", json!({ "since": LONG_AGO, "application_id": "nobody" })).await, 404, "not_found");
}
