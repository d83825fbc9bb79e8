//! Idempotency keys.

use serde_json::{Value, json};

use super::*;
use crate::tests::{Client, Installation, refused};

#[tokio::test]
async fn idempotency_key_belongs_to_its_caller() {
    let installation = Installation::start().await;
    let (_, narrow) = installation.client.create_key(json!({ "name": "narrow", "scopes": "api_keys:*" })).await;
    let header = [("idempotency-key", "deploy-2026-11-28")];
    let body = json!({ "name": "ci key" }).to_string();
    let create = async |client: &Client| client.send(Method::POST, "/v1/auth/api-keys", &header, body.clone()).await;
    let (_, first) = create(&installation.client).await;
    let (status, other) = create(&narrow).await;
    assert_eq!((status, &other["scopes"]), (201, &json!("api_keys:*")), "{other}");
    assert_ne!(other["key"], first["key"]);
    assert_eq!(create(&installation.client).await.1, first);
}

#[tokio::test]
async fn every_post_honours_the_header_and_marks_a_repeated_response() {
    let installation = Installation::start().await;
    installation.client.acme(json!({}), "https://receiver.example.test/").await;
    let message = installation.client.message(json!(1)).await;
    let posted = async |path: &str, key: &str, body: &str| {
        let response = installation.client.respond(Method::POST, path, &[("idempotency-key", key)], body.to_owned()).await;
        let replayed = response.headers().get("idempotency-replayed").and_then(|value| value.to_str().ok()).map(str::to_owned);
        (response.status().as_u16(), replayed, response.body().clone())
    };
    let (_, list) = installation.client.get("/v1/applications").await;
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
        let (status, _, response) = posted(if other.is_empty() { other_path } else { &path }, &key, other).await;
        let response: Value = serde_json::from_slice(&response).expect("JSON");
        refused(&(status, response), 422, "idempotency_key_reused");
    }
}

#[tokio::test]
async fn refused_request_does_not_use_up_its_key() {
    let installation = Installation::start().await;
    let send =
        async |body: Value| installation.client.send(Method::POST, "/v1/applications", &[("idempotency-key", "k")], body.to_string()).await;
    refused(&send(json!({ "name": "" })).await, 400, "invalid_field");
    let (status, created) = send(json!({ "name": "Acme" })).await;
    assert_eq!(status, 201, "{created}");
    assert_eq!(send(json!({ "name": "Acme" })).await, (201, created));
    refused(&send(json!({ "name": "Other" })).await, 422, "idempotency_key_reused");
    let invalid = installation.client.send(Method::POST, "/v1/applications", &[("idempotency-key", "")], r#"{"name":"Acme"}"#).await;
    refused(&invalid, 400, "invalid_field");
}

#[test]
fn key_may_be_quoted_and_is_bound_to_its_request() {
    let value = |text: &'static str| HeaderValue::from_static(text);
    assert_eq!(read(&value("abc")).expect("a key"), "abc");
    assert_eq!(read(&value("\"abc\"")).expect("a key"), "abc");
    for text in ["", "\"\"", " "] {
        assert!(read(&value(text)).is_err(), "{text}");
    }
    assert!(read(&HeaderValue::from_str(&"x".repeat(KEY_MAX + 1)).expect("visible")).is_err());
    let of = |body: &[u8]| {
        let headers = HeaderMap::from_iter([(HEADER, value("key/1/abc"))]);
        key(&headers, "POST /v1/x", body).expect("a key").map(|key| key.fingerprint)
    };
    assert_eq!(of(b"{}"), of(b"{}"));
    assert_ne!(of(b"{}"), of(b"{ }"));
}

#[test]
fn operations_that_store_their_response_honour_the_header() {
    for pattern in KEPT_BY_OPERATION {
        assert!(is_honoured(&Method::POST, pattern), "{pattern}");
    }
    for pattern in ["/v1/auth/sign-in", "/v1/auth/setup", "/v1/auth/device", "/v1/auth/sign-out", "/v1/nothing"] {
        assert!(!is_honoured(&Method::POST, pattern), "{pattern}");
    }
    assert!(is_honoured(&Method::POST, "/v1/applications/{appId}/messages/{msgId}/retry"));
    assert!(!is_honoured(&Method::GET, "/v1/applications"));
}

#[test]
fn requests_with_the_same_key_run_one_at_a_time() {
    let under_way = crate::http::idempotency::keys_in_use::KeysInUse::default();
    let first = under_way.begin("a").expect("the first");
    assert!(under_way.begin("a").is_none() && under_way.begin("b").is_some());
    drop(first);
    assert!(under_way.begin("a").is_some());
}
