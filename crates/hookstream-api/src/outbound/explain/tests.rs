//! Explanations of missing and foreign messages.

use http::Method;
use serde_json::json;

use crate::tests::{Installation, refused};

#[tokio::test]
async fn missing_message_is_not_explained() {
    let installation = Installation::start().await;
    let client = &installation.client;
    client.acme(json!({}), "http://127.0.0.1:9/").await;
    client.post("/v1/applications", json!({ "name": "Other", "uid": "other" })).await;
    let id = client.message(json!({})).await;
    for path in [
        format!("/v1/applications/nobody/messages/{id}/explain"),
        format!("/v1/applications/other/messages/{id}/explain"),
        format!("/v1/applications/acme/messages/{}/explain", "0".repeat(32)),
        "/v1/applications/acme/messages/x/explain".to_owned(),
        format!("/v1/applications/acme/messages/{id}x/explain"),
        "/v1/applications/acme/messages/%00%0a/explain".to_owned(),
        format!("/v1/applications/acme/messages/{}/explain", "a".repeat(4_000)),
    ] {
        refused(&client.get(&path).await, 404, "not_found");
    }
    let path = format!("/v1/applications/acme/messages/{id}/explain");
    refused(&client.send(Method::POST, &path, &[], "{}").await, 405, "method_not_allowed");
    refused(&installation.browser().get(&path).await, 401, "unauthorized");
}

#[tokio::test]
async fn foreign_message_is_not_explained() {
    let mut installation = Installation::start().await;
    let stranger = installation.another_tenant().await;
    let client = &installation.client;
    let endpoint = client.acme(json!({}), "http://127.0.0.1:9/").await;
    let id = client.message(json!({})).await;
    let path = format!("/v1/applications/acme/messages/{id}/explain");
    assert_eq!(client.get(&path).await.0, 200);
    for application in ["acme", endpoint["application_id"].as_str().expect("an id")] {
        refused(&stranger.get(&format!("/v1/applications/{application}/messages/{id}/explain")).await, 404, "not_found");
    }
    // Not even if the stranger has an application with the same uid.
    assert_eq!(stranger.post("/v1/applications", json!({ "name": "Mine", "uid": "acme" })).await.0, 201);
    refused(&stranger.get(&path).await, 404, "not_found");
}
