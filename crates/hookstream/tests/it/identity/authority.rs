//! Authority never grows: a key, a session or a token cannot create or change anything that exceeds its own
//! authority. Work that callers request is limited.

use hookstream_testkit::{eventually, receiver::Receiver};
use http::Method;
use serde_json::{Map, Value, json};

use crate::support::{
    Server, TestClient, scratch,
    visitor::{PASSWORD, Visitor},
};

async fn key(client: &TestClient, body: Value) -> TestClient {
    let (status, created) = client.post("/v1/auth/api-keys", body).await;
    assert_eq!(status, 201, "{created}");
    client.with_key(created["key"].as_str().expect("a key"))
}

fn code((status, response): (u16, Value)) -> (u16, String) {
    (status, response["code"].as_str().unwrap_or_default().to_owned())
}

fn is(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn environment_key_reaches_neither_other_environments_nor_the_organization() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let root = &server.client;
    let (_, environments) = root.get("/v1/environments").await;
    let (organization, production) = (environments["environments"][0]["org_id"].clone(), environments["environments"][0]["id"].clone());
    let (organization, production) = (organization.as_str().expect("an id"), production.as_str().expect("an id"));
    let (status, created) = root.post("/v1/environments", json!({ "name": "Staging", "slug": "staging" })).await;
    assert_eq!(status, 201, "{created}");
    let staging = created["environment"]["id"].as_str().expect("an id");

    // An organization key creates keys for each environment; an environment key only for its own.
    let all = key(root, json!({ "name": "all of staging", "env_id": staging })).await;
    let foreign = json!({ "name": "x", "env_id": production });
    assert_eq!(code(all.post("/v1/auth/api-keys", foreign).await), is(404, "not_found"));
    let organization_level = json!({ "name": "x", "level": "organization" });
    assert_eq!(code(all.post("/v1/auth/api-keys", organization_level.clone()).await), is(403, "organization_key_needed"));

    let of_organization = format!("/v1/organizations/{organization}");
    let refused = is(403, "organization_key_needed");
    assert_eq!(all.get(&of_organization).await.0, 200, "the key may read its organization");
    assert_eq!(all.get("/v1/environments").await.0, 200);
    for path in [production, staging].map(|id| format!("/v1/environments/{id}")) {
        assert_eq!(code(all.delete(&path).await), refused);
        assert_eq!(code(all.post(&format!("{path}/restore"), Value::Null).await), refused);
    }
    assert_eq!(code(all.patch(&format!("/v1/environments/{production}"), json!({ "name": "x" })).await), is(403, "other_environment"));
    assert_eq!(all.patch(&format!("/v1/environments/{staging}"), json!({ "name": "Stage" })).await.0, 200);
    assert_eq!(code(all.post("/v1/environments", json!({ "name": "x", "slug": "x" })).await), refused);
    assert_eq!(code(all.patch(&of_organization, json!({ "name": "x" })).await), refused);
    for list in ["members", "invitations"] {
        assert_eq!(code(all.get(&format!("{of_organization}/{list}")).await), refused);
    }
    let invitation = json!({ "email": "mallory@example.com", "role": "admin" });
    assert_eq!(code(all.post(&format!("{of_organization}/invitations"), invitation.clone()).await), refused);
    // No `*` includes operator scopes and secrets.
    assert_eq!(code(all.get("/v1/nodes").await), is(403, "forbidden"));
    assert_eq!(all.get("/v1/usage").await.1["usage"]["disk"], Value::Null);
    assert_eq!(root.get("/v1/nodes").await.0, 200);

    // A restricted organization key cannot invite members with more authority than it has.
    let narrow = json!({ "name": "members", "level": "organization", "scopes": "members:write" });
    let members = key(root, narrow).await;
    for role in ["viewer", "developer", "admin"] {
        let invitation = json!({ "email": "mallory@example.com", "role": role });
        assert_eq!(code(members.post(&format!("{of_organization}/invitations"), invitation).await), is(403, "forbidden"), "{role}");
    }
    assert_eq!(root.post(&format!("{of_organization}/invitations"), invitation).await.0, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn key_restrictions_apply_to_keys_it_creates() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let end = "2199-01-01T00:00:00Z";
    let restricted = json!({ "name": "parent", "scopes": "api_keys:*,messages:read", "networks": ["127.0.0.0/8"], "expires_at": end });
    let (status, created) = server.client.post("/v1/auth/api-keys", restricted).await;
    assert_eq!(status, 201, "{created}");
    let parent = server.client.with_key(created["key"].as_str().expect("a key"));
    let create = async |more: Value| {
        let mut body = json!({ "name": "child", "networks": ["127.0.0.0/16"], "expires_at": end });
        body.as_object_mut().expect("an object").append(&mut more.as_object().expect("an object").clone());
        let (status, response) = parent.post("/v1/auth/api-keys", body).await;
        (status, response["details"]["field"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(create(json!({})).await, is(201, ""));
    for networks in [json!(null), json!([]), json!(["0.0.0.0/0"]), json!(["127.0.0.0/8", "10.0.0.1"])] {
        assert_eq!(create(json!({ "networks": networks })).await, is(400, "networks"), "{networks}");
    }
    for expires_at in [json!(null), json!("2199-01-01T00:00:01Z")] {
        assert_eq!(create(json!({ "expires_at": expires_at })).await, is(400, "expires_at"), "{expires_at}");
    }
    let rotate = format!("/v1/auth/api-keys/{}/rotate", created["id"].as_str().expect("an id"));
    let later = parent.post(&rotate, json!({ "expires_at": "2299-01-01T00:00:00Z" })).await;
    assert_eq!((later.0, &later.1["details"]["field"]), (400, &json!("expires_at")), "{}", later.1);
    let (status, rotated) = parent.post(&rotate, Value::Null).await;
    assert_eq!((status, &rotated["expires_at"]), (201, &json!("2199-01-01T00:00:00.000Z")), "{rotated}");
}

#[tokio::test(flavor = "multi_thread")]
async fn idempotency_key_belongs_to_its_caller() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let narrow = key(&server.client, json!({ "name": "narrow", "scopes": "api_keys:*" })).await;
    let header = [("idempotency-key", "deploy-2026-11-28")];
    let body = json!({ "name": "ci key" }).to_string();
    let create = async |client: &TestClient| client.send(Method::POST, "/v1/auth/api-keys", &header, body.clone()).await;
    let (_, first) = create(&server.client).await;
    let (status, other) = create(&narrow).await;
    assert_eq!((status, &other["scopes"]), (201, &json!("api_keys:*")), "{other}");
    assert_ne!(other["key"], first["key"]);
    assert_eq!(create(&server.client).await.1, first);

    // Every POST honours the header, and marks a repeated response.
    server.client.acme(json!({}), "https://receiver.example.test/").await;
    let message = server.client.message(json!(1)).await;
    let posted = async |path: &str, key: &str, body: &str| {
        let response = server.client.try_send(Method::POST, path, &[("idempotency-key", key)], body.to_owned()).await.expect("a response");
        let replayed = response.headers().get("idempotency-replayed").and_then(|value| value.to_str().ok()).map(str::to_owned);
        (response.status().as_u16(), replayed, response.body().clone())
    };
    let (_, list) = server.client.get("/v1/applications").await;
    let id = list["applications"][0]["id"].as_str().expect("an id");
    for (number, (path, same, body, other)) in [
        ("/v1/applications".to_owned(), None, r#"{"name":"Other","uid":"other"}"#, r#"{"name":"Another"}"#),
        ("/v1/applications/acme/messages".to_owned(), None, r#"{"event_type":"a.b","payload":1}"#, r#"{"event_type":"a.b","payload":2}"#),
        ("/v1/applications/acme/portal-access".to_owned(), Some(format!("/v1/applications/{id}/portal-access")), "", ""),
        (
            format!("/v1/applications/acme/messages/{message}/retry"),
            Some(format!("/v1/applications/{id}/messages/{message}/retry")),
            "",
            "{}",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let key = format!("k-{number}");
        let (status, replayed, first) = posted(&path, &key, body).await;
        assert!((200..300).contains(&status) && replayed.is_none(), "{path}: {status} {replayed:?}");
        let (again, replayed, second) = posted(same.as_ref().unwrap_or(&path), &key, body).await;
        assert_eq!((again, replayed.as_deref(), second), (status, Some("true"), first), "{path}");
        // A used key is accepted only with the same request.
        let elsewhere = format!("/v1/applications/acme/messages/{message}/retry");
        let other_path = if path == elsewhere { "/v1/applications/acme/portal-access" } else { &elsewhere };
        let (status, _, refused) = posted(if other.is_empty() { other_path } else { &path }, &key, other).await;
        let refused: Value = serde_json::from_slice(&refused).expect("JSON");
        assert_eq!((status, &refused["code"]), (422, &json!("idempotency_key_reused")), "{path}: {refused}");
    }
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
async fn only_permitted_users_create_organizations() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let owner = Visitor::owner(&server).await;
    let admin = owner.invite(&server, "ada@example.com", "admin").await;
    let create = async |visitor: &Visitor| code(visitor.post("/v1/organizations", json!({ "name": "Other" })).await);
    assert_eq!(create(&owner).await, is(201, ""));
    assert_eq!(create(&admin).await, is(403, "organizations_not_allowed"));
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
