//! API keys: permissions, networks, expiry and revocation.

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
