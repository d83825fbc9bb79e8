//! API keys: what each may do, from where and until when, and that a revoked one is dead.

use std::time::Duration;

use hookstream_model::base::time::Timestamp;
use hookstream_testkit::eventually;
use http::Method;
use serde_json::{Value, json};

use crate::support::{Server, TestClient, scratch};

/// Makes a key and returns its id and a client that has it.
async fn make(client: &TestClient, body: Value) -> (String, TestClient) {
    let (status, made) = client.post("/v1/auth/api-keys", body).await;
    assert_eq!(status, 201, "{made}");
    (made["id"].as_str().expect("an id").to_owned(), client.with_key(made["key"].as_str().expect("a key")))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_lives_from_create_to_revoke() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let (status, made) =
        server.client.post("/v1/auth/api-keys", json!({ "name": "billing", "scopes": "messages:write", "mode": "test" })).await;
    assert_eq!(status, 201, "{made}");
    let text = made["key"].as_str().expect("a key");
    assert!(text.starts_with("hs_test_") && text.len() == 72, "{text}");
    assert_eq!((&made["name"], &made["scopes"], &made["key_prefix"]), (&json!("billing"), &json!("messages:write"), &json!(&text[..12])));
    let id = made["id"].as_str().expect("an id");
    let (_, listed) = server.client.get("/v1/auth/api-keys").await;
    let found = listed["api_keys"].as_array().and_then(|keys| keys.iter().find(|key| key["id"] == id)).expect("it is listed").clone();
    assert_eq!((&found["revoked"], &found["request_count"], &found["last_used_at"]), (&json!(0), &json!(0), &Value::Null));
    assert!(!listed.to_string().contains(text), "its text is shown once");

    let key = server.client.with_key(text);
    server.client.acme(json!({}), "https://example.com/").await;
    for _ in 0..3 {
        let (status, answer) = key.post("/v1/applications/acme/messages", json!({ "event_type": "a", "payload": 1 })).await;
        assert_eq!(status, 201, "{answer}");
    }
    let used = eventually("its use is counted", async || {
        let (_, answer) = server.client.get(&format!("/v1/auth/api-keys/{id}")).await;
        (answer["api_key"]["request_count"] == 3).then_some(answer)
    })
    .await;
    assert!(used["api_key"]["last_used_at"].is_string(), "{used}");

    assert_eq!(server.client.delete(&format!("/v1/auth/api-keys/{id}")).await, (200, json!({ "success": true })));
    let (status, refusal) = key.post("/v1/applications/acme/messages", json!({ "event_type": "a" })).await;
    assert_eq!((status, &refusal["code"]), (401, &json!("unauthorized")));
    assert_eq!(server.client.delete(&format!("/v1/auth/api-keys/{id}")).await.0, 404);
    let (_, answer) = server.client.get(&format!("/v1/auth/api-keys/{id}")).await;
    assert_eq!(answer["api_key"]["revoked"], 1, "it stays on record: {answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_narrow_key_does_what_it_may_and_nothing_else() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    server.client.acme(json!({}), "https://example.com/").await;
    let (id, narrow) = make(&server.client, json!({ "name": "reads", "scopes": ["applications:read", "api_keys:*"] })).await;
    assert_eq!(narrow.get("/v1/applications/acme").await.0, 200);
    let head = async |path: &str| narrow.try_send(Method::HEAD, path, &[], "").await.expect("an answer").status().as_u16();
    assert_eq!((head("/v1/applications/acme").await, head("/v1/jobs").await), (200, 403));
    let (status, refusal) = narrow.patch("/v1/applications/acme", json!({ "name": "x" })).await;
    assert_eq!((status, &refusal["code"], &refusal["details"]["scope"]), (403, &json!("forbidden"), &json!("applications:write")));
    // It makes none that may do more, neither by naming it nor by leaving it out.
    let (status, refusal) = narrow.post("/v1/auth/api-keys", json!({ "name": "more", "scopes": "*" })).await;
    assert_eq!((status, &refusal["details"]["scope"]), (403, &json!("*")), "{refusal}");
    let (status, refusal) = narrow.post("/v1/auth/api-keys", json!({ "name": "more", "scopes": "messages:write" })).await;
    assert_eq!((status, &refusal["details"]["scope"]), (403, &json!("messages:write")), "{refusal}");
    let (_, same) = make(&narrow, json!({ "name": "same" })).await;
    assert_eq!(same.get("/v1/applications/acme").await.0, 200);
    assert_eq!(same.get("/v1/jobs").await.0, 403);
    // Nor does it revoke or renew one that may.
    let (_, listed) = server.client.get("/v1/auth/api-keys").await;
    let keys = listed["api_keys"].as_array().expect("keys").clone();
    let first = keys.iter().find(|key| key["name"] == "bootstrap").and_then(|key| key["id"].as_str()).expect("the first key");
    assert_eq!(narrow.delete(&format!("/v1/auth/api-keys/{first}")).await.0, 403);
    assert_eq!(narrow.post(&format!("/v1/auth/api-keys/{first}/rotate"), json!({})).await.0, 403);
    assert_eq!(narrow.delete(&format!("/v1/auth/api-keys/{id}")).await.0, 200, "itself it may");
    assert_eq!(narrow.get("/v1/applications/acme").await.0, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_key_stands_beside_its_successor_for_the_overlap() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let (id, old) = make(&server.client, json!({ "name": "rotates", "scopes": "usage:read" })).await;
    let rotate = async |id: &str, body: Value| server.client.post(&format!("/v1/auth/api-keys/{id}/rotate"), body).await;
    let (status, made) = rotate(&id, json!({ "overlap_seconds": 2 })).await;
    assert_eq!((status, &made["name"], &made["scopes"]), (201, &json!("rotates"), &json!("usage:read")), "{made}");
    let new = server.client.with_key(made["key"].as_str().expect("a key"));
    assert_eq!((old.get("/v1/usage").await.0, new.get("/v1/usage").await.0), (200, 200));
    eventually("the old one ends", async || (old.get("/v1/usage").await.0 == 401).then_some(())).await;
    assert_eq!(new.get("/v1/usage").await.0, 200);
    let second = made["id"].as_str().expect("an id");
    let (status, last) = rotate(second, json!({ "overlap_seconds": 0 })).await;
    assert_eq!(status, 201, "{last}");
    assert_eq!(new.get("/v1/usage").await.0, 401, "without an overlap it ends at once");
    assert_eq!(rotate(&id, json!({})).await.0, 404, "what has ended is not renewed");
    assert_eq!(rotate(last["id"].as_str().expect("an id"), json!({ "overlap_seconds": 2_592_001 })).await.0, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_used_from_its_networks_and_until_its_end_only() {
    let scratch = scratch();
    let server = Server::start(&scratch, &["--trusted-proxies", "127.0.0.1"]);
    let (_, elsewhere) = make(&server.client, json!({ "name": "elsewhere", "networks": ["203.0.113.0/24"] })).await;
    let (status, refusal) = elsewhere.get("/v1/usage").await;
    assert_eq!((status, &refusal["code"]), (403, &json!("address_not_allowed")), "{refusal}");
    // A proxy that is trusted says from where; what others wrote before it does not count.
    let from = async |forwarded: &str| elsewhere.send(Method::GET, "/v1/usage", &[("x-forwarded-for", forwarded)], "").await.0;
    assert_eq!(from("203.0.113.7").await, 200);
    assert_eq!(from("198.51.100.1, 203.0.113.7").await, 200);
    assert_eq!(from("203.0.113.7, 198.51.100.1").await, 403);
    let (_, now) = server.client.post("/v1/auth/api-keys", json!({ "name": "tells the time" })).await;
    let now: Timestamp = now["created_at"].as_str().and_then(|text| text.parse().ok()).expect("a time");
    let end = now + Duration::from_secs(2);
    let (_, brief) = make(&server.client, json!({ "name": "brief", "expires_at": end.to_string() })).await;
    assert_eq!(brief.get("/v1/usage").await.0, 200);
    let refusal = eventually("it ends", async || {
        let (status, refusal) = brief.get("/v1/usage").await;
        (status == 401).then_some(refusal)
    })
    .await;
    assert!(refusal["error"].as_str().is_some_and(|error| error.contains("expired")), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_about_a_key_is_named() {
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
    // The same request with the same key of idempotency makes one.
    let send = async || {
        server.client.send(Method::POST, "/v1/auth/api-keys", &[("idempotency-key", "once")], json!({ "name": "x" }).to_string()).await
    };
    let (first, again) = (send().await, send().await);
    assert_eq!((first.0, &first.1), (201, &again.1));
    let (_, listed) = server.client.get("/v1/auth/api-keys").await;
    assert_eq!(listed["api_keys"].as_array().map(Vec::len), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_asks_too_often_waits_and_no_other_does() {
    let scratch = scratch();
    let server = Server::start(&scratch, &["--api-rate-limit", "20", "--api-rate-limit-per-address", "5"]);
    let (_, other) = make(&server.client, json!({ "name": "other" })).await;
    let get = async |client: &TestClient| client.try_send(Method::GET, "/v1/usage", &[], "").await.expect("an answer");
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
    let refused = refused.expect("one too many");
    assert_eq!((header(&refused, "ratelimit-remaining"), header(&refused, "retry-after")), (0, 1));
    let body: Value = serde_json::from_slice(refused.body()).expect("JSON");
    assert_eq!(body["code"], "rate_limited", "{body}");
    assert_eq!(get(&other).await.status().as_u16(), 200, "another key is not kept back");
    // Without a key it is the address that counts, so that nobody tries keys by the thousand.
    let stranger = server.client.with_key("hs_live_guess");
    let mut told = Vec::new();
    for _ in 0..30 {
        told.push(get(&stranger).await.status().as_u16());
    }
    assert!(told.contains(&401) && told.contains(&429), "{told:?}");
    assert_eq!(get(&other).await.status().as_u16(), 200, "who has a key is not kept back by who has none");
    eventually("it may ask again", async || (get(&server.client).await.status().as_u16() == 200).then_some(())).await;
}
