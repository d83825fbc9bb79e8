//! Endpoints: fields, names, warnings, secrets, tenants.

use http::Method;
use serde_json::{Value, json};

use crate::tests::{Client, Installation, invalid_field, refused, text};

const PATH: &str = "/v1/applications/acme/endpoints";
const URL: &str = "https://receiver.example.test/";

#[tokio::test]
async fn invalid_endpoint_fields_are_rejected_by_name() {
    let installation = Installation::start().await;
    let client = &installation.client;
    let endpoint = client.acme(json!({}), URL).await;
    for (field, body) in [
        ("url", json!({})),
        ("url", json!({ "url": "string" })),
        ("url", json!({ "url": "https://user:pw@example.test/" })),
        ("url", json!({ "url": 5 })),
        ("filter_types", json!({ "url": URL, "filter_types": "all" })),
        ("filter_types", json!({ "url": URL, "filter_types": ["a b"] })),
        ("channels", json!({ "url": URL, "channels": [""] })),
        ("rate_limit_per_second", json!({ "url": URL, "rate_limit_per_second": -1 })),
        ("rate_limit_per_second", json!({ "url": URL, "rate_limit_per_second": "many" })),
        ("expires_at", json!({ "url": URL, "expires_at": "string" })),
        ("expires_at", json!({ "url": URL, "expires_at": "2020-01-01T00:00:00Z" })),
        ("signing_algorithm", json!({ "url": URL, "signing_algorithm": "md5" })),
        ("signing_secret", json!({ "url": URL, "signing_secret": "short" })),
        ("headers", json!({ "url": URL, "headers": { "webhook-id": "x" } })),
        ("retry_schedule", json!({ "url": URL, "retry_schedule": [99_999_999] })),
        ("timeout_ms", json!({ "url": URL, "timeout_ms": 5 })),
        ("ordering", json!({ "url": URL, "ordering": "random" })),
        ("on_failure", json!({ "url": URL, "on_failure": "forget" })),
        ("batch", json!({ "url": URL, "batch": [100, 1000] })),
    ] {
        invalid_field(&client.post(PATH, body).await, field);
    }
    refused(&client.post(PATH, json!({ "url": URL, "filter_type": [] })).await, 400, "unknown_field");
    let path = format!("{PATH}/{}", text(&endpoint, "id"));
    refused(&client.patch(&path, json!({ "url": "http://10.0.0.1/" })).await, 400, "address_not_allowed");
    refused(&client.patch(&path, json!({})).await, 400, "no_fields");
    invalid_field(&client.patch(&path, json!({ "ordering_key": "$.id" })).await, "ordering_key");
    invalid_field(&client.patch(&path, json!({ "status": "gone" })).await, "status");
    assert_eq!(client.get(PATH).await.1["endpoints"].as_array().map(Vec::len), Some(1), "nothing was created");
}

#[tokio::test]
async fn invalid_batch_policy_is_rejected_by_name() {
    let installation = Installation::start().await;
    let client = &installation.client;
    let created = client.acme(json!({}), URL).await;
    assert_eq!(created["batch"], Value::Null);
    let path = format!("{PATH}/{}", text(&created, "id"));
    for batch in
        [json!({}), json!(5), json!([]), json!({ "max_size": 0 }), json!({ "max_size": 501 }), json!({ "max_size": 5, "max_wait_ms": -1 })]
    {
        let (status, response) = client.patch(&path, json!({ "batch": batch })).await;
        assert!(status == 400 && text(&response, "error").contains("batch"), "{batch}: {response}");
    }
    let (status, changed) = client.patch(&path, json!({ "batch": { "max_size": 5 } })).await;
    assert_eq!((status, &changed["endpoint"]["batch"]), (200, &json!({ "max_size": 5, "max_wait_ms": 1000 })));
}

#[tokio::test]
async fn endpoint_is_created_changed_and_deleted() {
    let installation = Installation::start().await;
    let client = &installation.client;
    let created = client.acme(json!({ "uid": "main", "metadata": { "team": "billing" } }), URL).await;
    assert_eq!((text(&created, "uid"), text(&created, "metadata")), ("main", "{\"team\":\"billing\"}"));
    assert!(text(&created, "signing_secret").starts_with("whsec_"));
    let path = format!("{PATH}/main");
    let (_, seen) = client.get(&path).await;
    assert_eq!(seen["endpoint"]["id"], created["id"]);
    assert!(seen["endpoint"].get("signing_secret").is_none(), "only the answer that creates it has the secret: {seen}");
    let change = json!({
        "filter_types": ["a.b"], "timeout_ms": 2000, "retry_schedule": "[1,2]", "headers": { "X-A": "b" }, "metadata": null,
    });
    let (status, response) = client.patch(&path, change).await;
    let changed = ["filter_types", "timeout_ms", "retry_schedule", "headers", "metadata"].map(|name| response["endpoint"][name].clone());
    let expected = [json!("[\"a.b\"]"), json!(2000), json!("[1,2]"), json!("{\"X-A\":\"b\"}"), Value::Null];
    assert_eq!((status, changed), (200, expected), "{response}");
    let (_, list) = client.get(PATH).await;
    assert_eq!((&list["endpoints"][0]["id"], &list["has_more"], &list["cursor"]), (&created["id"], &json!(false), &Value::Null));
    assert_eq!(client.delete(&path).await, (200, json!({ "success": true })));
    refused(&client.get(&path).await, 404, "not_found");
    refused(&client.delete(&path).await, 404, "not_found");
}

#[tokio::test]
async fn uid_names_one_endpoint_in_every_path() {
    let installation = Installation::start().await;
    let client = &installation.client;
    let created = client.acme(json!({ "uid": "main" }), "http://127.0.0.1:9/").await;
    for uid in ["main", text(&created, "id")] {
        refused(&client.post(PATH, json!({ "url": URL, "uid": uid })).await, 409, "uid_taken");
    }
    let path = format!("{PATH}/main");
    for operation in ["test", "reset-circuit", "rotate-secret"] {
        let (status, response) = client.post(&format!("{path}/{operation}"), json!({})).await;
        assert!(status == 200 || status == 201, "{operation}: {response}");
    }
    assert_eq!(client.post(&format!("{path}/recover"), json!({ "since": "2020-01-01T00:00:00Z" })).await.0, 201);
    assert_eq!(client.get(&format!("{path}/attempts")).await.0, 200);
    assert_eq!(client.patch(&path, json!({ "uid": "other" })).await.0, 200);
    refused(&client.get(&path).await, 404, "not_found");
    assert_eq!(client.delete(&format!("{PATH}/other")).await.0, 200);
}

#[tokio::test]
async fn request_by_id_repeats_the_one_by_uid() {
    let installation = Installation::start().await;
    let client = &installation.client;
    let created = client.acme(json!({ "uid": "main" }), "http://127.0.0.1:9/").await;
    let (acme, endpoint) = (text(&created, "application_id"), text(&created, "id"));
    let rotate = "rotate-secret";
    for (key, by_uid, by_id, body) in [
        (
            "m",
            "/v1/applications/acme/messages".to_owned(),
            format!("/v1/applications/{acme}/messages"),
            r#"{"event_type":"a","payload":1}"#,
        ),
        ("r", format!("{PATH}/main/{rotate}"), format!("/v1/applications/{acme}/endpoints/{endpoint}/{rotate}"), "{}"),
    ] {
        let header = [("idempotency-key", key)];
        let first = client.send(Method::POST, &by_uid, &header, body).await;
        assert!(first.0 < 300, "{}", first.1);
        assert_eq!(client.send(Method::POST, &by_id, &header, body).await, first, "{by_id}");
    }
}

#[tokio::test]
async fn unknown_event_types_of_a_filter_are_warned_about() {
    let installation = Installation::start().await;
    let client = &installation.client;
    client.acme(json!({ "filter_types": ["invoice.*"] }), URL).await;
    client.post("/v1/event-types", json!({ "name": "invoice.paid" })).await;
    let filter = json!({ "url": URL, "filter_types": ["invoice.piad", "invoice.*", "user.*", "*"], "uid": "second" });
    let (status, response) = client.post(PATH, filter).await;
    let warnings = json!([
        "filter_types contains invoice.piad, but no event type has that name.",
        "filter_types contains user.*, but no event type has a name that begins with user."
    ]);
    assert_eq!((status, &response["warnings"]), (201, &warnings), "{response}");
    let (_, response) = client.patch(&format!("{PATH}/second"), json!({ "filter_types": ["invoice.paid"] })).await;
    assert_eq!(response["warnings"], Value::Null, "{response}");
}

#[tokio::test]
async fn invalid_rotations_are_rejected() {
    let installation = Installation::start().await;
    let client = &installation.client;
    let endpoint = client.acme(json!({ "uid": "main" }), URL).await;
    let path = format!("{PATH}/main/rotate-secret");
    for (field, body) in [
        ("grace_seconds", json!({ "grace_seconds": 604_801 })),
        ("signing_secret", json!({ "signing_secret": "whsec_AAAA" })),
        ("signing_secret", json!({ "signing_secret": "whsk_AAAA" })),
        ("signing_secret", json!({ "signing_secret": endpoint["signing_secret"] })),
    ] {
        invalid_field(&client.post(&path, body).await, field);
    }
    invalid_field(&client.post(&format!("{path}?grace_seconds=-1"), json!({})).await, "grace_seconds");
    invalid_field(&client.post(&format!("{path}?grace_seconds=5"), json!({ "grace_seconds": 6 })).await, "grace_seconds");
    // Ten rotated secrets at once are the maximum.
    for _ in 0..10 {
        assert_eq!(client.post(&path, Value::Null).await.0, 200);
    }
    let response = client.post(&path, Value::Null).await;
    refused(&response, 409, "too_many_secrets");
    assert!(text(&response.1, "error").contains(text(&response.1["details"], "oldest_ends_at")), "{}", response.1);
    assert_eq!(client.post(&path, json!({ "grace_seconds": 0 })).await.0, 200);
}

#[tokio::test]
async fn rotated_secrets_are_revealed_until_their_grace_period_ends() {
    let installation = Installation::start().await;
    let client = &installation.client;
    let endpoint = client.acme(json!({ "uid": "main" }), URL).await;
    let rotate = async |body: Value| client.post(&format!("{PATH}/main/rotate-secret"), body).await.1;
    let second = rotate(json!({})).await;
    let third = rotate(json!({ "grace_seconds": 600 })).await;
    let revealed = async || {
        let (status, revealed) = client.get(&format!("{PATH}/main/secret")).await;
        assert_eq!((status, &revealed["signing_secret"]), (200, &third["signing_secret"]));
        let previous = revealed["previous_secrets"].as_array().expect("a list").iter();
        previous.map(|one| one["signing_secret"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(revealed().await, [second["signing_secret"].clone(), endpoint["signing_secret"].clone()], "the earliest end comes first");
    installation.advance(std::time::Duration::from_secs(600));
    assert_eq!(revealed().await, [endpoint["signing_secret"].clone()]);
    let (_, log) = client.get("/v1/audit-log?action=endpoint.reveal_secret").await;
    assert_eq!(log["audit_log"].as_array().map(Vec::len), Some(2), "each reveal is recorded: {log}");
}

#[tokio::test]
async fn secrets_are_revealed_only_with_the_scope() {
    let installation = Installation::start().await;
    let client = &installation.client;
    client.acme(json!({ "uid": "main" }), "http://127.0.0.1:9/").await;
    let path = format!("{PATH}/main/secret");
    for (scopes, expected) in [("*", 403), ("endpoints:*", 403), ("endpoints:secret", 200), ("*,endpoints:secret", 200)] {
        let (_, key) = client.create_key(json!({ "name": scopes, "scopes": scopes })).await;
        let (status, response) = key.get(&path).await;
        assert_eq!(status, expected, "{scopes}: {response}");
        if scopes == "*" {
            // A key cannot grant a scope that it lacks.
            let wanted = json!({ "name": "more", "scopes": "endpoints:secret" });
            refused(&key.post("/v1/auth/api-keys", wanted).await, 403, "forbidden");
        }
    }
}

#[tokio::test]
async fn environment_may_hide_secrets_from_customers() {
    let installation = Installation::start().await;
    let client = &installation.client;
    client.acme(json!({ "uid": "main" }), "http://127.0.0.1:9/").await;
    let customer = client.customer("acme").await;
    assert_eq!(customer.get("/v1/portal/endpoints/main/secret").await.0, 200);
    let environment = client.environment().await;
    assert_eq!(environment["portal_reveal_secrets"], 1);
    let path = format!("/v1/environments/{}", text(&environment, "id"));
    let (status, changed) = client.patch(&path, json!({ "portal_reveal_secrets": false })).await;
    assert_eq!((status, &changed["environment"]["portal_reveal_secrets"]), (200, &json!(0)), "{changed}");
    refused(&customer.get("/v1/portal/endpoints/main/secret").await, 403, "reveal_disabled");
    assert_eq!(client.get(&format!("{PATH}/main/secret")).await.0, 200);
}

#[tokio::test]
async fn installation_may_hide_secrets_from_everyone() {
    let installation = Installation::with(|options, _| options.reveal_secrets = false).await;
    installation.client.acme(json!({ "uid": "main" }), URL).await;
    refused(&installation.client.get(&format!("{PATH}/main/secret")).await, 403, "reveal_disabled");
}

#[tokio::test]
async fn foreign_endpoint_is_reported_as_absent() {
    let mut installation = Installation::start().await;
    let stranger: Client = installation.another_tenant().await;
    let endpoint = installation.client.acme(json!({ "uid": "main" }), "http://127.0.0.1:9/").await;
    stranger.post("/v1/applications", json!({ "name": "Mine", "uid": "acme" })).await;
    for application in ["acme", text(&endpoint, "application_id")] {
        for reference in ["main", text(&endpoint, "id")] {
            let path = format!("/v1/applications/{application}/endpoints/{reference}");
            refused(&stranger.get(&path).await, 404, "not_found");
            refused(&stranger.patch(&path, json!({ "description": "x" })).await, 404, "not_found");
            refused(&stranger.delete(&path).await, 404, "not_found");
            for operation in ["test", "reset-circuit", "rotate-secret"] {
                refused(&stranger.post(&format!("{path}/{operation}"), json!({})).await, 404, "not_found");
            }
        }
    }
    assert_eq!(installation.client.get(&format!("{PATH}/main")).await.1["endpoint"]["description"], Value::Null);
}
