//! API keys: permissions, networks, expiry and revocation.

use std::time::Duration;

use hookstream_model::base::time::Timestamp;
use hookstream_testkit::eventually;
use http::Method;
use serde_json::{Value, json};

use crate::support::{Server, TestClient, scratch};

/// Creates a key and returns its id and a client that uses it.
async fn create(client: &TestClient, body: Value) -> (String, TestClient) {
    let (status, created) = client.post("/v1/auth/api-keys", body).await;
    assert_eq!(status, 201, "{created}");
    (created["id"].as_str().expect("an id").to_owned(), client.with_key(created["key"].as_str().expect("a key")))
}

#[tokio::test(flavor = "multi_thread")]
async fn key_works_from_creation_to_revocation() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let (status, created) =
        server.client.post("/v1/auth/api-keys", json!({ "name": "billing", "scopes": "messages:write", "mode": "test" })).await;
    assert_eq!(status, 201, "{created}");
    let text = created["key"].as_str().expect("a key");
    assert!(text.starts_with("hs_test_") && text.len() == 72, "{text}");
    assert_eq!(
        (&created["name"], &created["scopes"], &created["key_prefix"]),
        (&json!("billing"), &json!("messages:write"), &json!(&text[..12]))
    );
    let id = created["id"].as_str().expect("an id");
    let (_, listed) = server.client.get("/v1/auth/api-keys").await;
    let found = listed["api_keys"].as_array().and_then(|keys| keys.iter().find(|key| key["id"] == id)).expect("the key is listed").clone();
    assert_eq!((&found["revoked"], &found["request_count"], &found["last_used_at"]), (&json!(0), &json!(0), &Value::Null));
    assert!(!listed.to_string().contains(text), "the key text is shown once");

    let key = server.client.with_key(text);
    server.client.acme(json!({}), "https://example.com/").await;
    for _ in 0..3 {
        let (status, response) = key.post("/v1/applications/acme/messages", json!({ "event_type": "a", "payload": 1 })).await;
        assert_eq!(status, 201, "{response}");
    }
    let used = eventually("the key's use is counted", async || {
        let (_, response) = server.client.get(&format!("/v1/auth/api-keys/{id}")).await;
        (response["api_key"]["request_count"] == 3).then_some(response)
    })
    .await;
    assert!(used["api_key"]["last_used_at"].is_string(), "{used}");

    assert_eq!(server.client.delete(&format!("/v1/auth/api-keys/{id}")).await, (200, json!({ "success": true })));
    let (status, refusal) = key.post("/v1/applications/acme/messages", json!({ "event_type": "a" })).await;
    assert_eq!((status, &refusal["code"]), (401, &json!("unauthorized")));
    assert_eq!(server.client.delete(&format!("/v1/auth/api-keys/{id}")).await.0, 404);
    let (_, response) = server.client.get(&format!("/v1/auth/api-keys/{id}")).await;
    assert_eq!(response["api_key"]["revoked"], 1, "the key stays recorded: {response}");
}

#[tokio::test(flavor = "multi_thread")]
async fn restricted_key_is_limited_to_its_scopes() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    server.client.acme(json!({}), "https://example.com/").await;
    let (id, narrow) = create(&server.client, json!({ "name": "reads", "scopes": ["applications:read", "api_keys:*"] })).await;
    assert_eq!(narrow.get("/v1/applications/acme").await.0, 200);
    let head = async |path: &str| narrow.try_send(Method::HEAD, path, &[], "").await.expect("a response").status().as_u16();
    assert_eq!((head("/v1/applications/acme").await, head("/v1/jobs").await), (200, 403));
    let (status, refusal) = narrow.patch("/v1/applications/acme", json!({ "name": "x" })).await;
    assert_eq!((status, &refusal["code"], &refusal["details"]["scope"]), (403, &json!("forbidden"), &json!("applications:write")));
    // The key cannot create a key with more scopes, neither by naming them nor by omission.
    let (status, refusal) = narrow.post("/v1/auth/api-keys", json!({ "name": "more", "scopes": "*" })).await;
    assert_eq!((status, &refusal["details"]["scope"]), (403, &json!("*")), "{refusal}");
    let (status, refusal) = narrow.post("/v1/auth/api-keys", json!({ "name": "more", "scopes": "messages:write" })).await;
    assert_eq!((status, &refusal["details"]["scope"]), (403, &json!("messages:write")), "{refusal}");
    let (_, same) = create(&narrow, json!({ "name": "same" })).await;
    assert_eq!(same.get("/v1/applications/acme").await.0, 200);
    assert_eq!(same.get("/v1/jobs").await.0, 403);
    // The key cannot revoke or rotate a key with more scopes.
    let (_, listed) = server.client.get("/v1/auth/api-keys").await;
    let keys = listed["api_keys"].as_array().expect("keys").clone();
    let first = keys.iter().find(|key| key["name"] == "bootstrap").and_then(|key| key["id"].as_str()).expect("the first key");
    assert_eq!(narrow.delete(&format!("/v1/auth/api-keys/{first}")).await.0, 403);
    assert_eq!(narrow.post(&format!("/v1/auth/api-keys/{first}/rotate"), json!({})).await.0, 403);
    assert_eq!(narrow.delete(&format!("/v1/auth/api-keys/{id}")).await.0, 200, "a key may revoke itself");
    assert_eq!(narrow.get("/v1/applications/acme").await.0, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn rotated_key_stays_valid_for_the_overlap() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let (id, old) = create(&server.client, json!({ "name": "rotates", "scopes": "usage:read" })).await;
    let rotate = async |id: &str, body: Value| server.client.post(&format!("/v1/auth/api-keys/{id}/rotate"), body).await;
    let (status, created) = rotate(&id, json!({ "overlap_seconds": 2 })).await;
    assert_eq!((status, &created["name"], &created["scopes"]), (201, &json!("rotates"), &json!("usage:read")), "{created}");
    let new = server.client.with_key(created["key"].as_str().expect("a key"));
    assert_eq!((old.get("/v1/usage").await.0, new.get("/v1/usage").await.0), (200, 200));
    eventually("the old key ends", async || (old.get("/v1/usage").await.0 == 401).then_some(())).await;
    assert_eq!(new.get("/v1/usage").await.0, 200);
    let second = created["id"].as_str().expect("an id");
    let (status, last) = rotate(second, json!({ "overlap_seconds": 0 })).await;
    assert_eq!(status, 201, "{last}");
    assert_eq!(new.get("/v1/usage").await.0, 401, "without an overlap the key ends at once");
    assert_eq!(rotate(&id, json!({})).await.0, 404, "an ended key cannot be rotated");
    assert_eq!(rotate(last["id"].as_str().expect("an id"), json!({ "overlap_seconds": 2_592_001 })).await.0, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn key_is_valid_in_its_networks_until_it_expires() {
    let scratch = scratch();
    let server = Server::start(&scratch, &["--trusted-proxies", "127.0.0.1"]);
    let (_, elsewhere) = create(&server.client, json!({ "name": "elsewhere", "networks": ["203.0.113.0/24"] })).await;
    let (status, refusal) = elsewhere.get("/v1/usage").await;
    assert_eq!((status, &refusal["code"]), (403, &json!("address_not_allowed")), "{refusal}");
    // A trusted proxy reports the client's address; entries before it do not count.
    let from = async |forwarded: &str| elsewhere.send(Method::GET, "/v1/usage", &[("x-forwarded-for", forwarded)], "").await.0;
    assert_eq!(from("203.0.113.7").await, 200);
    assert_eq!(from("198.51.100.1, 203.0.113.7").await, 200);
    assert_eq!(from("203.0.113.7, 198.51.100.1").await, 403);
    let (_, now) = server.client.post("/v1/auth/api-keys", json!({ "name": "tells the time" })).await;
    let now: Timestamp = now["created_at"].as_str().and_then(|text| text.parse().ok()).expect("a time");
    let end = now + Duration::from_secs(2);
    let (_, brief) = create(&server.client, json!({ "name": "brief", "expires_at": end.to_string() })).await;
    assert_eq!(brief.get("/v1/usage").await.0, 200);
    let refusal = eventually("the key expires", async || {
        let (status, refusal) = brief.get("/v1/usage").await;
        (status == 401).then_some(refusal)
    })
    .await;
    assert!(refusal["error"].as_str().is_some_and(|error| error.contains("expired")), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_key_fields_are_named() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let check = async |body: Value, field: &str| {
        let (status, refusal) = server.client.post("/v1/auth/api-keys", body.clone()).await;
        assert_eq!(status, 400, "{body}: {refusal}");
        assert!(refusal["error"].as_str().is_some_and(|error| error.contains(field)), "{body}: {refusal}");
    };
    check(json!({}), "name").await;
    check(json!({ "name": "" }), "name").await;
    check(json!({ "name": "x", "scopes": "everything" }), "scopes").await;
    check(json!({ "name": "x", "scopes": "" }), "scopes").await;
    check(json!({ "name": "x", "scopes": 5 }), "scopes").await;
    check(json!({ "name": "x", "networks": ["10.0.0.0/99"] }), "networks").await;
    check(json!({ "name": "x", "expires_at": "2001-01-01T00:00:00Z" }), "expires_at").await;
    check(json!({ "name": "x", "expires_at": "soon" }), "expires_at").await;
    check(json!({ "name": "x", "mode": "prod" }), "mode").await;
    check(json!({ "name": "x", "scope": "messages:write" }), "scope").await;
    let (status, _) = server.client.post("/v1/auth/api-keys", json!({ "name": "x", "env_id": "0".repeat(32) })).await;
    assert_eq!(status, 404);
    // The same request with the same idempotency key creates one key.
    let send = async || {
        server.client.send(Method::POST, "/v1/auth/api-keys", &[("idempotency-key", "once")], json!({ "name": "x" }).to_string()).await
    };
    let (first, again) = (send().await, send().await);
    assert_eq!((first.0, &first.1), (201, &again.1));
    let (_, listed) = server.client.get("/v1/auth/api-keys").await;
    assert_eq!(listed["api_keys"].as_array().map(Vec::len), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn rate_limit_applies_per_key() {
    let scratch = scratch();
    let server = Server::start(&scratch, &["--api-rate-limit", "20", "--api-rate-limit-per-address", "5"]);
    let (_, other) = create(&server.client, json!({ "name": "other" })).await;
    let get = async |client: &TestClient| client.try_send(Method::GET, "/v1/usage", &[], "").await.expect("a response");
    let header = |response: &http::Response<bytes::Bytes>, name: &str| -> u64 {
        response.headers().get(name).and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or_else(|| panic!("no {name}"))
    };
    let first = get(&server.client).await;
    assert_eq!((first.status().as_u16(), header(&first, "ratelimit-limit")), (200, 20));
    assert!(header(&first, "ratelimit-remaining") < 20 && header(&first, "ratelimit-reset") <= 1);
    let mut refused = None;
    for _ in 0..100 {
        let response = get(&server.client).await;
        if response.status().as_u16() == 429 {
            refused = Some(response);
            break;
        }
    }
    let refused = refused.expect("a rejected request");
    assert_eq!((header(&refused, "ratelimit-remaining"), header(&refused, "retry-after")), (0, 1));
    let body: Value = serde_json::from_slice(refused.body()).expect("JSON");
    assert_eq!(body["code"], "rate_limited", "{body}");
    assert_eq!(get(&other).await.status().as_u16(), 200, "another key is not limited");
    // Without a key the address is limited, so that keys cannot be guessed by the thousand.
    let stranger = server.client.with_key("hs_live_guess");
    let mut statuses = Vec::new();
    for _ in 0..30 {
        statuses.push(get(&stranger).await.status().as_u16());
    }
    assert!(statuses.contains(&401) && statuses.contains(&429), "{statuses:?}");
    assert_eq!(get(&other).await.status().as_u16(), 200, "requests without a key do not limit a key");
    eventually("requests are allowed again", async || (get(&server.client).await.status().as_u16() == 200).then_some(())).await;
}
