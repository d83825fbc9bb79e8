//! Jobs: fields, pages, tenants.

use hookstream_testkit::eventually;
use serde_json::{Value, json};

use crate::tests::{Client, Installation, invalid_field, refused, text};

const LONG_AGO: &str = "2020-01-01T00:00:00Z";

/// Creates the application `acme` and returns the path of its endpoint.
async fn endpoint(client: &Client) -> String {
    let endpoint = client.acme(json!({}), "http://127.0.0.1:9/").await;
    format!("/v1/applications/acme/endpoints/{}", text(&endpoint, "id"))
}

#[tokio::test]
async fn invalid_job_fields_are_rejected_by_name() {
    let installation = Installation::start().await;
    let client = &installation.client;
    let path = endpoint(client).await;
    let post = async |operation: &str, field: &str, value: &Value| {
        let mut body = json!({ "since": LONG_AGO });
        body[field] = value.clone();
        client.post(&format!("{path}/{operation}"), body).await
    };
    for (field, value) in [
        ("since", json!("yesterday")),
        ("since", json!(5)),
        ("since", Value::Null),
        ("since", json!("2999-01-01T00:00:00Z")),
        ("until", json!("tomorrow")),
        ("until", json!(true)),
        ("statuses", json!(["pending"])),
        ("statuses", json!([])),
        ("statuses", json!("failed")),
        ("statuses", json!([5])),
        ("rate_limit", json!(0)),
        ("rate_limit", json!(1001)),
        ("rate_limit", json!("fast")),
        ("rate_limit", json!(-1)),
    ] {
        for operation in ["recover", "replay", "replay?dry_run=1"] {
            invalid_field(&post(operation, field, &value).await, field);
        }
    }
    for (field, value) in
        [("event_types", json!(["a b"])), ("event_types", json!("a.b")), ("max_messages", json!(0)), ("max_messages", json!("all"))]
    {
        invalid_field(&post("replay", field, &value).await, field);
    }
    invalid_field(&client.post(&format!("{path}/recover"), json!({})).await, "since");
    invalid_field(&post("recover?dry_run=maybe", "since", &json!(LONG_AGO)).await, "dry_run");
    let reversed = json!({ "since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z" });
    invalid_field(&client.post(&format!("{path}/recover"), reversed).await, "since");
    // Ignoring these fields would send more than intended.
    let response = post("replay", "dry_run", &json!(true)).await;
    refused(&response, 400, "unknown_field");
    assert_eq!(response.1["details"]["field"], "dry_run", "{}", response.1);
    let response = post("recover", "untill", &json!(LONG_AGO)).await;
    assert_eq!(response.1["details"], json!({ "field": "untill", "nearest": "until" }), "{}", response.1);
    invalid_field(&client.get("/v1/jobs?status=done").await, "status");
    invalid_field(&client.get("/v1/jobs?status=").await, "status");
    invalid_field(&client.get("/v1/jobs?limit=0").await, "limit");
    assert_eq!(client.get("/v1/jobs").await, (200, json!({ "jobs": [], "cursor": null, "has_more": false })));
}

#[tokio::test]
async fn absent_job_or_endpoint_is_not_found() {
    let installation = Installation::start().await;
    let client = &installation.client;
    endpoint(client).await;
    for absent in ["/v1/jobs/x", "/v1/jobs/0198c0de00007000800000000000abcd"] {
        refused(&client.get(absent).await, 404, "not_found");
        refused(&client.post(&format!("{absent}/cancel"), json!({})).await, 404, "not_found");
    }
    let elsewhere = "/v1/applications/acme/endpoints/0198c0de00007000800000000000abcd/recover";
    refused(&client.post(elsewhere, json!({ "since": LONG_AGO })).await, 404, "not_found");
}

#[tokio::test]
async fn jobs_are_listed_in_pages_per_tenant() {
    let mut installation = Installation::start().await;
    let stranger = installation.another_tenant().await;
    let client = &installation.client;
    let path = endpoint(client).await;
    let mut created = Vec::new();
    for n in 1..=5 {
        let (status, response) = client.post(&format!("{path}/recover"), json!({ "since": format!("2020-01-0{n}T00:00:00Z") })).await;
        assert_eq!(status, 201, "{response}");
        let job = format!("/v1/jobs/{}", text(&response["job"], "id"));
        eventually("the job is completed", async || (client.get(&job).await.1["job"]["status"] == "completed").then_some(())).await;
        created.insert(0, response["job"]["id"].clone());
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let (_, page) = client.get(&format!("/v1/jobs?limit=2&status=completed&cursor={cursor}")).await;
        seen.extend(page["jobs"].as_array().expect("jobs").iter().map(|job| job["id"].clone()));
        match page["cursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => break,
        }
    }
    assert_eq!(seen, created);
    assert_eq!(client.get("/v1/jobs?status=running").await.1["jobs"], json!([]));

    assert_eq!(stranger.get("/v1/jobs").await, (200, json!({ "jobs": [], "cursor": null, "has_more": false })));
    let job = format!("/v1/jobs/{}", created[0].as_str().expect("an id"));
    refused(&stranger.get(&job).await, 404, "not_found");
    refused(&stranger.post(&format!("{job}/cancel"), json!({})).await, 404, "not_found");
    refused(&stranger.post(&format!("{path}/recover"), json!({ "since": LONG_AGO })).await, 404, "not_found");
    // An ended job cannot be cancelled.
    let response = client.post(&format!("{job}/cancel"), json!({})).await;
    refused(&response, 409, "job_ended");
    assert_eq!(response.1["details"]["status"], "completed");
}
