//! Test receivers: their endpoint, deliveries, fields, quota and tenants.

use hookstream_model::operations::quota::Quota;
use http::Method;
use serde_json::{Value, json};

use crate::tests::{Installation, invalid_field, refused, text};

const PATH: &str = "/v1/test-receivers";

async fn with_acme() -> Installation {
    let installation = Installation::start().await;
    assert_eq!(installation.client.post("/v1/applications", json!({ "name": "Acme", "uid": "acme" })).await.0, 201);
    installation
}

#[tokio::test]
async fn test_receiver_is_an_endpoint_that_shows_what_arrived() {
    let installation = with_acme().await;
    let client = &installation.client;
    let body = json!({
        "application_id": "acme", "status": 202, "delay_ms": 0, "description": "First steps", "event_types": ["invoice.*"],
    });
    let (status, created) = client.post(PATH, body).await;
    let endpoint = &created["endpoint"];
    assert_eq!((status, &endpoint["type"], &endpoint["status"]), (201, &json!("test_receiver"), &json!("active")), "{created}");
    assert_eq!((&endpoint["description"], &endpoint["filter_types"]), (&json!("First steps"), &json!("[\"invoice.*\"]")));
    assert!(text(endpoint, "signing_secret").starts_with("whsec_"), "{created}");
    assert_eq!(created["warnings"].as_array().map(Vec::len), Some(1), "no event type begins with `invoice.`: {created}");
    let (_, found) = client.get(&format!("/v1/applications/acme/endpoints/{}", text(endpoint, "id"))).await;
    assert_eq!(found["endpoint"]["type"], "test_receiver");
    let message = client.message(json!({ "invoice_id": 42 })).await;
    let delivered = client.until(&message, "delivered").await;
    assert_eq!(delivered["attempts"][0]["response_status"], 202, "{delivered}");
    assert_eq!(client.post(PATH, json!({ "application_id": "acme" })).await.0, 201);
}

#[tokio::test]
async fn invalid_fields_of_a_test_receiver_are_rejected_by_name() {
    let installation = with_acme().await;
    let client = &installation.client;
    for (field, value) in [
        ("application_id", Value::Null),
        ("status", json!(199)),
        ("status", json!(600)),
        ("status", json!("200")),
        ("delay_ms", json!(60_001)),
        ("description", json!("a".repeat(5_000))),
        ("event_types", json!(["a b"])),
        ("event_types", json!("all")),
    ] {
        let mut body = json!({ "application_id": "acme" });
        body[field] = value;
        invalid_field(&client.post(PATH, body).await, field);
    }
    refused(&client.post(PATH, json!({ "application_id": "acme", "url": "https://a.test/" })).await, 400, "unknown_field");
    refused(&client.post(PATH, json!({ "application_id": "nobody" })).await, 404, "not_found");
}

#[tokio::test]
async fn test_receiver_has_the_quota_scope_and_audit_of_an_endpoint() {
    let installation = with_acme().await;
    let client = &installation.client;
    let body = || json!({ "application_id": "acme" });
    let first = client.send(Method::POST, PATH, &[("idempotency-key", "a")], body().to_string()).await;
    assert_eq!(first.0, 201, "{}", first.1);
    assert_eq!(client.send(Method::POST, PATH, &[("idempotency-key", "a")], body().to_string()).await, first);
    let (_, log) = client.get("/v1/audit-log?action=endpoint.create").await;
    assert_eq!(log["audit_log"].as_array().map(Vec::len), Some(1), "{log}");
    installation.limit(Quota::EndpointsPerApplication, 1);
    refused(&client.post(PATH, body()).await, 403, "quota_reached");
    let (_, reader) = client.create_key(json!({ "name": "reader", "scopes": "endpoints:read" })).await;
    refused(&reader.post(PATH, body()).await, 403, "forbidden");
}

#[tokio::test]
async fn foreign_application_takes_no_test_receiver() {
    let mut installation = with_acme().await;
    let stranger = installation.another_tenant().await;
    let (_, acme) = installation.client.get("/v1/applications/acme").await;
    for application in ["acme", text(&acme["application"], "id")] {
        refused(&stranger.post(PATH, json!({ "application_id": application })).await, 404, "not_found");
    }
    let customer = installation.client.customer("acme").await;
    refused(&customer.post(PATH, json!({ "application_id": "acme" })).await, 401, "unauthorized");
}
