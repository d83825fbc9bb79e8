//! Messages: accepting, listing, retrying.

use http::Method;
use serde_json::{Value, json};

use crate::tests::{Client, Installation, invalid_field, refused, text};

const PATH: &str = "/v1/applications/acme/messages";

async fn send(client: &Client, body: Value) -> (u16, Value) {
    client.post(PATH, body).await
}

#[tokio::test]
async fn accepted_message_is_shown_alike_everywhere() {
    let installation = Installation::start().await;
    let client = &installation.client;
    client.post("/v1/applications", json!({ "name": "Acme", "uid": "acme" })).await;
    let body = json!({ "event_type": "invoice.paid", "payload": { "n": 1 }, "event_id": "order-1", "channels": ["p1"] });
    let (status, response) = send(client, body).await;
    let message = &response["message"];
    assert_eq!((status, &message["status"], &message["payload"]), (201, &json!("skipped"), &json!("{\"n\":1}")), "{response}");
    assert_eq!((&message["event_id"], &message["channels"]), (&json!("order-1"), &json!("[\"p1\"]")));
    let id = text(message, "id");
    for path in [format!("/v1/messages/{id}"), format!("{PATH}/{id}")] {
        let (status, seen) = client.get(&path).await;
        assert_eq!((status, &seen["message"], &seen["attempts"], &seen["deliveries"]), (200, message, &json!([]), &json!([])), "{path}");
    }
    for path in [PATH.to_owned(), "/v1/messages".to_owned()] {
        assert_eq!(client.get(&path).await.1["messages"], json!([message]), "{path}");
    }
}

#[tokio::test]
async fn invalid_message_fields_are_rejected_by_name() {
    let installation = Installation::start().await;
    let client = &installation.client;
    client.post("/v1/applications", json!({ "name": "Acme", "uid": "acme" })).await;
    for (field, body) in [
        ("event_type", json!({ "payload": 1 })),
        ("event_type", json!({ "event_type": "a b", "payload": 1 })),
        ("event_type", json!({ "event_type": 5, "payload": 1 })),
        ("payload", json!({ "event_type": "a.b" })),
        ("event_id", json!({ "event_type": "a.b", "payload": 1, "event_id": "" })),
        ("channels", json!({ "event_type": "a.b", "payload": 1, "channels": "x" })),
        ("channels", json!({ "event_type": "a.b", "payload": 1, "channels": [""] })),
        ("channels", json!({ "event_type": "a.b", "payload": 1, "channels": ["a", "a"] })),
        ("channels", json!({ "event_type": "a.b", "payload": 1, "channels": [1] })),
    ] {
        let response = send(client, body.clone()).await;
        refused(&response, 400, "invalid_field");
        assert_eq!(response.1["details"]["field"], field, "{body}: {}", response.1);
    }
    let response = send(client, json!({ "event_type": "a.b", "paylaod": 1 })).await;
    refused(&response, 400, "unknown_field");
    assert_eq!(response.1["details"], json!({ "field": "paylaod", "nearest": "payload" }));
    refused(&client.post("/v1/applications/nobody/messages", json!({ "event_type": "a.b", "payload": 1 })).await, 404, "not_found");
}

#[tokio::test]
async fn event_id_is_unique_in_the_application() {
    let installation = Installation::start().await;
    let client = &installation.client;
    client.post("/v1/applications", json!({ "name": "Acme", "uid": "acme" })).await;
    let body = || json!({ "event_type": "a.b", "event_id": "order-1", "payload": null });
    let (status, first) = send(client, body()).await;
    assert_eq!(status, 201, "{first}");
    let second = send(client, body()).await;
    refused(&second, 409, "duplicate_event_id");
    assert_eq!(second.1["details"]["message_id"], first["message"]["id"]);
}

#[tokio::test]
async fn invalid_hops_are_rejected() {
    let installation = Installation::start().await;
    installation.client.post("/v1/applications", json!({ "name": "Acme", "uid": "acme" })).await;
    let send = async |hops: &str| {
        let body = json!({ "event_type": "a", "payload": null }).to_string();
        installation.client.send(Method::POST, PATH, &[("x-hookstream-hops", hops)], body).await
    };
    assert_eq!(send("8").await.0, 201);
    refused(&send("9").await, 508, "loop_detected");
    let response = send("many").await;
    assert_eq!(response.0, 400, "{}", response.1);
    assert!(text(&response.1, "error").contains("x-hookstream-hops"), "{}", response.1);
}

#[tokio::test]
async fn oversized_payload_is_rejected_with_the_limit() {
    let installation = Installation::with(|_, engine| engine.payload_limit = 2_048).await;
    let client = &installation.client;
    client.acme(json!({}), "http://127.0.0.1:9/").await;
    let of_size = async |size: usize| send(client, json!({ "event_type": "a", "payload": "x".repeat(size) })).await;
    assert_eq!(of_size(2_048).await.0, 201);
    let response = of_size(2_049).await;
    refused(&response, 413, "payload_too_large");
    assert_eq!(response.1["details"]["limit"], 2_048);
    assert!(text(&response.1, "error").contains("2048 bytes"), "{}", response.1);
    refused(&of_size(200_000).await, 413, "body_too_large");
    assert_eq!(client.get(PATH).await.1["messages"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn invalid_filters_are_rejected() {
    let installation = Installation::start().await;
    let client = &installation.client;
    for query in [
        "status=lost",
        "status=",
        "status=failed,",
        "direction=up",
        "direction=",
        "since=x",
        "until=x",
        "cursor=x",
        "event_type=a%20b",
        "event_type=",
        "limit=0",
        "limit=101",
    ] {
        refused(&client.get(&format!("/v1/messages?{query}")).await, 400, "invalid_field");
    }
    refused(&client.get(&format!("/v1/messages?search={}", "x".repeat(257))).await, 400, "invalid_field");
    refused(&client.get("/v1/messages?stauts=failed").await, 400, "unknown_parameter");
    refused(&client.get("/v1/messages?endpoint_id=nobody").await, 404, "not_found");
}

#[tokio::test]
async fn text_search_is_limited_to_words() {
    let installation = Installation::start().await;
    let client = &installation.client;
    client.acme(json!({}), "http://127.0.0.1:9/").await;
    let id = client.message(json!({ "customer": "Ada" })).await;
    let nine = "w1+w2+w3+w4+w5+w6+w7+w8+w9".to_owned();
    for search in [nine, "ab*".to_owned(), "x".repeat(257)] {
        invalid_field(&client.get(&format!("/v1/messages?search={search}")).await, "search");
        invalid_field(&client.get(&format!("/v1/messages/counts?search={search}")).await, "search");
    }
    // A store in memory has no index: ids and types are searched, and the answer tells no reach.
    let customer = client.customer("acme").await;
    for (search, is_found) in [(id.as_str(), true), ("INVOICE", true), ("invoice*", true), ("ada", false), ("%22)+OR+1%3D1+--", false)] {
        for (client, path) in [(client, "/v1/messages"), (client, PATH), (&customer, "/v1/portal/messages")] {
            let (status, found) = client.get(&format!("{path}?search={search}")).await;
            assert_eq!(
                (status, found["messages"].as_array().map(Vec::len)),
                (200, Some(usize::from(is_found))),
                "{path} {search}: {found}"
            );
            assert!(found.get("search").is_none(), "{found}");
        }
    }
}

#[tokio::test]
async fn messages_are_counted_by_status() {
    let mut installation = Installation::start().await;
    let stranger = installation.another_tenant().await;
    let client = &installation.client;
    let receiver = hookstream_testkit::receiver::Receiver::start().await;
    let endpoint = client.acme(json!({ "uid": "good", "filter_types": ["invoice.*"] }), &receiver.url()).await;
    for number in 0..3 {
        client.until(&client.message(json!(number)).await, "delivered").await;
    }
    let skipped = json!({ "event_type": "other.type", "payload": 1, "event_id": "once" });
    assert_eq!(client.post(PATH, skipped).await.0, 201);
    let counted = async |client: &crate::tests::Client, query: &str| {
        let (status, answer) = client.get(&format!("/v1/messages/counts{query}")).await;
        assert_eq!((status, &answer["is_exact"], &answer["counted_since"]), (200, &json!(true), &Value::Null), "{query}: {answer}");
        assert!(answer["took_ms"].is_u64() && answer.get("search").is_none(), "{answer}");
        let counts = ["pending", "delivered", "failed", "skipped"].map(|status| answer["counts"][status].as_u64().expect("a number"));
        assert_eq!(answer["total"], counts.iter().sum::<u64>(), "{answer}");
        counts
    };
    assert_eq!(counted(client, "").await, [0, 3, 0, 1]);
    assert_eq!(counted(client, "?event_type=other.type").await, [0, 0, 0, 1]);
    assert_eq!(counted(client, "?status=delivered,failed").await, [0, 3, 0, 0]);
    assert_eq!(counted(client, "?event_id=once").await, [0, 0, 0, 1]);
    assert_eq!(counted(client, &format!("?endpoint_id={}&search=invoice", text(&endpoint, "id"))).await, [0, 3, 0, 0]);
    assert_eq!(counted(client, "?since=2999-01-01T00:00:00Z").await, [0, 0, 0, 0]);
    assert_eq!(counted(&stranger, "").await, [0, 0, 0, 0]);
    refused(&client.get("/v1/messages/counts?status=lost").await, 400, "invalid_field");
    assert_eq!(client.post("/v1/applications", json!({ "name": "Other", "uid": "other" })).await.0, 201);
    let of = async |application: &str| client.get(&format!("/v1/messages/counts?application_id={application}")).await.1["total"].clone();
    let all = client.get("/v1/messages/counts").await.1["total"].clone();
    assert_eq!((of("acme").await, of("other").await), (all, json!(0)));
    refused(&client.get("/v1/messages/counts?application_id=nobody").await, 404, "not_found");
}

#[tokio::test]
async fn foreign_message_is_reported_as_absent() {
    let mut installation = Installation::start().await;
    let stranger = installation.another_tenant().await;
    let client = &installation.client;
    client.acme(json!({}), "http://127.0.0.1:9/").await;
    let id = client.message(json!(1)).await;
    refused(&stranger.get(&format!("/v1/messages/{id}")).await, 404, "not_found");
    refused(&stranger.get(&format!("{PATH}/{id}")).await, 404, "not_found");
    refused(&stranger.post(&format!("{PATH}/{id}/retry"), Value::Null).await, 404, "not_found");
    assert_eq!(
        stranger.get("/v1/messages").await,
        (200, json!({ "messages": [], "cursor": null, "prev_cursor": null, "has_more": false }))
    );
    for absent in ["x", "0198c0de00007000800000000000abcd"] {
        refused(&client.get(&format!("{PATH}/{absent}")).await, 404, "not_found");
    }
}

#[tokio::test]
async fn retry_names_one_endpoint_and_one_selection() {
    let installation = Installation::start().await;
    let client = &installation.client;
    client.acme(json!({ "uid": "good" }), "http://127.0.0.1:9/").await;
    let path = format!("{PATH}/{}/retry", client.message(json!(1)).await);
    for (query, body, expected, code) in [
        ("?endpoint_id=nobody", json!({}), 404, "not_found"),
        ("?only=all", json!({}), 400, "invalid_field"),
        ("?endpoint_id=good", json!({ "endpoint_id": "bad" }), 400, "invalid_field"),
        ("", json!({ "endpoint": "good" }), 400, "unknown_field"),
    ] {
        refused(&client.post(&format!("{path}{query}"), body).await, expected, code);
    }
    assert_eq!(client.post(&path, Value::Null).await, (200, json!({ "retried": true })));
}
