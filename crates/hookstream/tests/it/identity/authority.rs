//! Authority never grows: a key, a session or a token cannot create or change anything that exceeds its own
//! authority. Work that callers request is limited.

use hookstream_testkit::{eventually, receiver::Receiver};
use http::Method;
use serde_json::{Map, Value, json};

use crate::support::{
    Server, scratch,
    visitor::{PASSWORD, Visitor},
};

fn code((status, response): (u16, Value)) -> (u16, String) {
    (status, response["code"].as_str().unwrap_or_default().to_owned())
}

fn is(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn customer_cannot_read_secrets_or_use_quota_of_the_sender() {
    let scratch = scratch();
    let server = Server::start(&scratch, &["--quota-events-per-month", "5"]);
    let sender = &server.client;
    let (own, elsewhere) = (Receiver::start().await, Receiver::start().await);
    let endpoint = sender.acme(json!({ "headers": { "authorization": "Bearer SENDER-SECRET" } }), &own.url()).await;
    let (_, access) = sender.post("/v1/applications/acme/portal-access", Value::Null).await;
    let bearer = format!("Bearer {}", access["token"].as_str().expect("a token"));
    let customer = sender.with_key("");
    let ask = async |method: Method, path: &str, body: &Value| {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        customer.send(method, path, &[("authorization", &bearer)], text).await
    };
    let path = format!("/v1/portal/endpoints/{}", endpoint["id"].as_str().expect("an id"));
    // The sender's headers are not sent to another origin.
    let (status, refused) = ask(Method::PATCH, &path, &json!({ "url": elsewhere.url() })).await;
    assert_eq!((status, &refused["details"]["field"]), (400, &json!("url")), "{refused}");
    assert_eq!(ask(Method::PATCH, &path, &json!({ "url": format!("{}/other", own.url().trim_end_matches('/')) })).await.0, 200);
    assert_eq!(ask(Method::PATCH, &path, &json!({ "url": elsewhere.url(), "headers": null })).await.0, 200);
    // A test cannot be mistaken for a message, has its own rate limit, and does not count against the quota.
    let test = format!("{path}/test");
    for field in ["event_type", "payload"] {
        assert_eq!(ask(Method::POST, &test, &json!({ field: "invoice.paid" })).await.0, 400, "{field}");
    }
    let mut responses = Vec::new();
    for _ in 0..12 {
        responses.push(ask(Method::POST, &test, &Value::Null).await.0);
    }
    assert_eq!((responses.iter().filter(|status| **status == 201).count(), responses.last()), (10, Some(&429)));
    assert!(elsewhere.wait_for(1).await[0].headers.get("authorization").is_none());
    let (_, usage) = sender.get("/v1/billing/usage").await;
    assert_eq!(usage["events"]["used"], 0, "{usage}");
    for _ in 0..5 {
        sender.message(json!(1)).await;
    }
    let beyond = json!({ "event_type": "a.b", "payload": 1 });
    assert_eq!(code(sender.post("/v1/applications/acme/messages", beyond).await), is(429, "quota_reached"));
}

#[tokio::test(flavor = "multi_thread")]
async fn stranger_cannot_lock_out_an_owner() {
    let scratch = scratch();
    let server = Server::start(&scratch, &["--trusted-proxies", "127.0.0.1"]);
    let owner = Visitor::owner(&server).await;
    let attempt = async |visitor: &Visitor, from: &str, password: &str| {
        let body = json!({ "email": "owner@example.com", "password": password }).to_string();
        visitor.send(Method::POST, "/v1/auth/sign-in", &[("x-forwarded-for", from)], body).await.0
    };
    assert_eq!(attempt(&owner, "203.0.113.7", PASSWORD).await, 200);
    let stranger = Visitor::new(&server);
    let mut last = 0;
    for number in 0..70 {
        last = attempt(&stranger, &format!("198.51.100.{}", number / 5), "a wrong password").await;
    }
    assert_eq!(last, 429, "strangers wait");
    // From a network with a session of the account, and with a browser that has signed in before.
    assert_eq!(attempt(&Visitor::new(&server), "203.0.113.7", PASSWORD).await, 200);
    assert_eq!(attempt(&owner, "192.0.2.99", PASSWORD).await, 200);
    assert_eq!(attempt(&Visitor::new(&server), "192.0.2.98", PASSWORD).await, 429, "other clients wait like strangers");
    // Guessing is limited there too.
    let mut wrong = Vec::new();
    for _ in 0..8 {
        wrong.push(attempt(&Visitor::new(&server), "203.0.113.7", "a wrong password").await);
    }
    assert_eq!(wrong.last(), Some(&429));
}

/// Builds definitions that each refer twice to the next.
fn doubling(keyword: &str, depth: usize) -> Value {
    let level = |number: usize| {
        let next = json!({ "$ref": format!("#/$defs/l{}", number + 1) });
        (format!("l{number}"), json!({ keyword: [next, next] }))
    };
    let mut definitions: Map<String, Value> = (0..depth).map(level).collect();
    definitions.insert(format!("l{depth}"), json!({ "type": "string" }));
    json!({ "$defs": definitions, "not": { "$ref": "#/$defs/l0" } })
}

#[tokio::test(flavor = "multi_thread")]
async fn expensive_schema_does_not_affect_others() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let client = &server.client;
    client.acme(json!({}), "http://127.0.0.1:9/").await;
    for (number, schema) in [doubling("oneOf", 40), doubling("anyOf", 40), doubling("allOf", 26)].into_iter().enumerate() {
        let (status, response) = client.post("/v1/event-types", json!({ "name": format!("hang.{number}"), "json_schema": schema })).await;
        assert!(matches!(status, 201 | 400), "{response}");
        if status == 201 {
            let message = json!({ "event_type": format!("hang.{number}"), "payload": 1 });
            let (status, response) = client.post("/v1/applications/acme/messages", message).await;
            assert!(matches!(status, 201 | 422), "{response}");
        }
    }
    let patterns: Vec<_> = (0..1_500).map(|number| json!({ "pattern": format!("{number}\\pL{{120}}") })).collect();
    let (status, response) = client.post("/v1/event-types", json!({ "name": "memory", "json_schema": { "allOf": patterns } })).await;
    assert_eq!((status, &response["details"]["field"]), (400, &json!("json_schema")), "{response}");
    // An expensive payload stops at its budget and does not delay other requests.
    let recursive = json!({ "name": "deep", "json_schema": { "allOf": [{ "items": { "$ref": "#" } }, { "items": { "$ref": "#" } }] } });
    assert_eq!(client.post("/v1/event-types", recursive).await.0, 201);
    let nested = format!(r#"{{"event_type":"deep","payload":{}1{}}}"#, "[".repeat(100), "]".repeat(100));
    let sending = (0..4).map(|_| client.send(Method::POST, "/v1/applications/acme/messages", &[], nested.clone()));
    let sending = futures_util::future::join_all(sending);
    let healthy = eventually("the server responds", async || (client.get("/v1/health").await.0 == 200).then_some(()));
    let (responses, ()) = tokio::join!(sending, healthy);
    for (status, response) in responses {
        assert!(status == 201 || response["code"] == "schema_too_expensive", "{status} {response}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_limited_per_operation_and_parsed_as_plain_json() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let client = &server.client;
    client.acme(json!({}), "http://127.0.0.1:9/").await;
    let anonymous = client.with_key("");
    let large = json!({ "email": "a@example.com", "password": "x".repeat(70_000) }).to_string();
    assert_eq!(code(anonymous.send(Method::POST, "/v1/auth/sign-in", &[], large).await), is(413, "body_too_large"));
    let message = json!({ "event_type": "a.b", "payload": "x".repeat(200_000) });
    assert_eq!(client.post("/v1/applications/acme/messages", message).await.0, 201);
    let body = json!({ "event_type": "a.b", "payload": 1 }).to_string();
    let send = async |headers: &[(&str, &str)], body: Vec<u8>| {
        client.try_send(Method::POST, "/v1/applications/acme/messages", headers, body).await.expect("a response")
    };
    let refused = send(&[("content-encoding", "gzip")], body.clone().into()).await;
    assert_eq!((refused.status().as_u16(), refused.headers()["accept-encoding"].to_str().expect("text")), (415, "identity"));
    assert_eq!(send(&[("content-encoding", "identity")], body.clone().into()).await.status(), 201);
    assert_eq!(send(&[], [b"\xEF\xBB\xBF", body.as_bytes()].concat()).await.status(), 201, "a byte order mark");
    let utf_16: Vec<u8> = body.encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(send(&[], utf_16).await.status(), 400);
    // Operations without a body also reject fields.
    let (_, refused) = client.post("/v1/applications/acme/portal-access", json!({ "expires_in": 60 })).await;
    assert_eq!((&refused["code"], &refused["details"]["field"]), (&json!("unknown_field"), &json!("expires_in")));
    assert_eq!(client.post("/v1/applications/acme/portal-access", json!({})).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn json_payload_is_checked_as_json() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let client = &server.client;
    client.acme(json!({}), "http://127.0.0.1:9/").await;
    let schema = json!({ "type": "object", "required": ["id"], "properties": { "amount": { "type": "integer" } } });
    assert_eq!(client.post("/v1/event-types", json!({ "name": "order.paid", "json_schema": schema })).await.0, 201);
    let send = async |payload: &str| {
        let body = format!(r#"{{"event_type":"order.paid","payload":{payload}}}"#);
        client.send(Method::POST, "/v1/applications/acme/messages", &[], body).await
    };
    assert_eq!(send(r#"{"id":1,"name":"cut \ud83d"}"#).await.0, 201, "a lone surrogate is JSON");
    let (status, response) = send(r#"{"amount":"much","note":"cut \ud83d"}"#).await;
    assert_eq!((status, response["details"]["violations"].as_array().map(Vec::len)), (422, Some(2)), "{response}");
    let deep = format!(r#"{{"id":{}1{}}}"#, "[".repeat(200), "]".repeat(200));
    assert_eq!(code(send(&deep).await), is(422, "payload_not_checkable"));
}
