//! API keys: scopes, restrictions, rotation, expiry.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use crate::{
    Live,
    tests::{Client, Installation, invalid_field, refused, text},
};

const PATH: &str = "/v1/auth/api-keys";

/// Checks that a request is refused for the lack of a scope.
fn lacks(response: &(u16, Value), scope: &str) {
    refused(response, 403, "forbidden");
    assert_eq!(response.1["details"]["scope"], scope, "{}", response.1);
}

#[tokio::test]
async fn created_key_is_listed_without_its_text() {
    let installation = Installation::start().await;
    let client = &installation.client;
    let (status, created) = client.post(PATH, json!({ "name": "billing", "scopes": "messages:write", "mode": "test" })).await;
    assert_eq!((status, &created["name"], &created["scopes"]), (201, &json!("billing"), &json!("messages:write")), "{created}");
    let key = text(&created, "key");
    assert!(key.starts_with("hs_test_") && key.len() == 72 && key.starts_with(text(&created, "key_prefix")), "{created}");
    let (_, listed) = client.get(PATH).await;
    let found = listed["api_keys"].as_array().and_then(|keys| keys.iter().find(|key| key["id"] == created["id"])).expect("the key");
    assert_eq!((&found["revoked"], &found["request_count"], &found["last_used_at"]), (&json!(0), &json!(0), &Value::Null));
    assert!(!listed.to_string().contains(key), "the key text is shown once");
    let path = format!("{PATH}/{}", text(&created, "id"));
    assert_eq!(client.delete(&path).await, (200, json!({ "success": true })));
    refused(&client.delete(&path).await, 404, "not_found");
    assert_eq!(client.get(&path).await.1["api_key"]["revoked"], 1, "the key stays recorded");
    refused(&client.with_key(key).get("/v1/usage").await, 401, "unauthorized");
}

#[tokio::test]
async fn restricted_key_is_limited_to_its_scopes() {
    let installation = Installation::start().await;
    let client = &installation.client;
    client.acme(json!({}), "https://example.com/").await;
    let (_, narrow) = client.create_key(json!({ "name": "reads", "scopes": ["applications:read"] })).await;
    assert_eq!(narrow.get("/v1/applications/acme").await.0, 200);
    let head = async |path: &str| narrow.respond(Method::HEAD, path, &[], "").await.status().as_u16();
    assert_eq!((head("/v1/applications/acme").await, head("/v1/jobs").await), (200, 403));
    lacks(&narrow.patch("/v1/applications/acme", json!({ "name": "x" })).await, "applications:write");
}

#[tokio::test]
async fn key_cannot_create_or_end_a_key_with_more_scopes() {
    let installation = Installation::start().await;
    let client = &installation.client;
    let (id, narrow) = client.create_key(json!({ "name": "narrow", "scopes": ["applications:read", "api_keys:*"] })).await;
    lacks(&narrow.post(PATH, json!({ "name": "more", "scopes": "*" })).await, "*");
    lacks(&narrow.post(PATH, json!({ "name": "more", "scopes": "messages:write" })).await, "messages:write");
    // Without scopes, the new key has those of its creator.
    let (_, same) = narrow.create_key(json!({ "name": "same" })).await;
    assert_eq!((same.get("/v1/applications").await.0, same.get("/v1/jobs").await.0), (200, 403));
    let (_, listed) = client.get(PATH).await;
    let first = listed["api_keys"].as_array().and_then(|keys| keys.iter().find(|key| key["name"] == "bootstrap")).expect("the first key");
    let first = format!("{PATH}/{}", text(first, "id"));
    refused(&narrow.delete(&first).await, 403, "forbidden");
    refused(&narrow.post(&format!("{first}/rotate"), json!({})).await, 403, "forbidden");
    assert_eq!(narrow.delete(&format!("{PATH}/{id}")).await.0, 200, "a key may revoke itself");
    refused(&narrow.get("/v1/applications").await, 401, "unauthorized");
}

#[tokio::test]
async fn key_restrictions_apply_to_keys_it_creates() {
    let installation = Installation::start().await;
    let end = "2199-01-01T00:00:00Z";
    let restricted = json!({ "name": "parent", "scopes": "api_keys:*,messages:read", "networks": ["127.0.0.0/8"], "expires_at": end });
    let (id, parent) = installation.client.create_key(restricted).await;
    let create = async |field: &str, value: Value| {
        let mut body = json!({ "name": "child", "networks": ["127.0.0.0/16"], "expires_at": end });
        body[field] = value;
        parent.post(PATH, body).await
    };
    assert_eq!(create("name", json!("child")).await.0, 201);
    for networks in [json!(null), json!([]), json!(["0.0.0.0/0"]), json!(["127.0.0.0/8", "10.0.0.1"])] {
        invalid_field(&create("networks", networks).await, "networks");
    }
    for expires_at in [json!(null), json!("2199-01-01T00:00:01Z")] {
        invalid_field(&create("expires_at", expires_at).await, "expires_at");
    }
    let rotate = format!("{PATH}/{id}/rotate");
    invalid_field(&parent.post(&rotate, json!({ "expires_at": "2299-01-01T00:00:00Z" })).await, "expires_at");
    let (status, rotated) = parent.post(&rotate, Value::Null).await;
    assert_eq!((status, &rotated["expires_at"]), (201, &json!("2199-01-01T00:00:00.000Z")), "{rotated}");
}

#[tokio::test]
async fn rotated_key_stays_valid_for_the_overlap() {
    let installation = Installation::start().await;
    let client = &installation.client;
    let (id, old) = client.create_key(json!({ "name": "rotates", "scopes": "usage:read" })).await;
    let rotate = async |id: &str, body: Value| client.post(&format!("{PATH}/{id}/rotate"), body).await;
    let (status, created) = rotate(&id, json!({ "overlap_seconds": 60 })).await;
    assert_eq!((status, &created["name"], &created["scopes"]), (201, &json!("rotates"), &json!("usage:read")), "{created}");
    let new = client.with_key(text(&created, "key"));
    assert_eq!((old.get("/v1/usage").await.0, new.get("/v1/usage").await.0), (200, 200));
    installation.advance(Duration::from_secs(60));
    assert_eq!((old.get("/v1/usage").await.0, new.get("/v1/usage").await.0), (401, 200));
    let (status, last) = rotate(text(&created, "id"), json!({ "overlap_seconds": 0 })).await;
    assert_eq!(status, 201, "{last}");
    assert_eq!(new.get("/v1/usage").await.0, 401, "without an overlap the key ends at once");
    refused(&rotate(&id, json!({})).await, 404, "not_found");
    invalid_field(&rotate(text(&last, "id"), json!({ "overlap_seconds": 2_592_001 })).await, "overlap_seconds");
}

#[tokio::test]
async fn key_is_valid_until_it_expires() {
    let installation = Installation::start().await;
    let client = &installation.client;
    let (_, key) = client.create_key(json!({ "name": "brief", "expires_at": "2199-01-01T00:00:00Z" })).await;
    assert_eq!(key.get("/v1/usage").await.0, 200);
    installation.advance(Duration::from_secs(200 * 366 * 24 * 3_600));
    let response = key.get("/v1/usage").await;
    refused(&response, 401, "unauthorized");
    assert!(text(&response.1, "error").contains("expired"), "{}", response.1);
}

#[tokio::test]
async fn key_is_valid_in_its_networks() {
    let proxy = "127.0.0.1/32".parse().expect("a network");
    let installation = Installation::with(|options, _| {
        let live = options.live.get();
        options.live.set(Live { trusted_proxies: vec![proxy], ..(*live).clone() });
    })
    .await;
    let (_, key) = installation.client.create_key(json!({ "name": "elsewhere", "networks": ["203.0.113.0/24"] })).await;
    refused(&key.get("/v1/usage").await, 403, "address_not_allowed");
    // A trusted proxy reports the client's address; entries before it do not count.
    let from = async |forwarded: &str| key.send(Method::GET, "/v1/usage", &[("x-forwarded-for", forwarded)], "").await.0;
    assert_eq!(from("203.0.113.7").await, 200);
    assert_eq!(from("198.51.100.1, 203.0.113.7").await, 200);
    assert_eq!(from("203.0.113.7, 198.51.100.1").await, 403);
}

#[tokio::test]
async fn invalid_key_fields_are_named() {
    let installation = Installation::start().await;
    let client: &Client = &installation.client;
    for (field, body) in [
        ("name", json!({})),
        ("name", json!({ "name": "" })),
        ("scopes", json!({ "name": "x", "scopes": "everything" })),
        ("scopes", json!({ "name": "x", "scopes": "" })),
        ("scopes", json!({ "name": "x", "scopes": 5 })),
        ("networks", json!({ "name": "x", "networks": ["10.0.0.0/99"] })),
        ("expires_at", json!({ "name": "x", "expires_at": "2001-01-01T00:00:00Z" })),
        ("expires_at", json!({ "name": "x", "expires_at": "soon" })),
        ("mode", json!({ "name": "x", "mode": "prod" })),
    ] {
        invalid_field(&client.post(PATH, body).await, field);
    }
    refused(&client.post(PATH, json!({ "name": "x", "scope": "messages:write" })).await, 400, "unknown_field");
    refused(&client.post(PATH, json!({ "name": "x", "env_id": "0".repeat(32) })).await, 404, "not_found");
    assert_eq!(client.get(PATH).await.1["api_keys"].as_array().map(Vec::len), Some(1), "nothing was created");
}

#[tokio::test]
async fn foreign_key_is_reported_as_absent() {
    let mut installation = Installation::start().await;
    let stranger = installation.another_tenant().await;
    let (id, _) = installation.client.create_key(json!({ "name": "x" })).await;
    let path = format!("{PATH}/{id}");
    refused(&stranger.get(&path).await, 404, "not_found");
    refused(&stranger.delete(&path).await, 404, "not_found");
    refused(&stranger.post(&format!("{path}/rotate"), Value::Null).await, 404, "not_found");
}
