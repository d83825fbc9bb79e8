//! Problems: an open circuit with its cause and remedy, missed deliveries, quotas, tenants.

use std::time::Duration;

use hookstream_testkit::{
    eventually,
    receiver::{CannedResponse, Receiver},
};
use serde_json::{Value, json};

use super::*;
use crate::tests::{Client, Installation, refused, text};

async fn problems(client: &Client) -> Value {
    let (status, response) = client.get("/v1/problems").await;
    assert_eq!(status, 200, "{response}");
    response
}

fn kinds(response: &Value) -> Vec<&str> {
    response["problems"].as_array().expect("problems").iter().map(|problem| text(problem, "kind")).collect()
}

/// Makes the circuit breaker of `acme`'s endpoint open.
async fn open_circuit(client: &Client, endpoint: &Value) {
    for number in 0..5 {
        client.message(json!({ "n": number })).await;
    }
    let path = format!("/v1/applications/acme/endpoints/{}", text(endpoint, "id"));
    eventually("an open circuit", async || (client.get(&path).await.1["endpoint"]["circuit_state"] == "open").then_some(())).await;
}

#[tokio::test]
async fn calm_installation_has_no_problem() {
    let installation = Installation::start().await;
    let client = &installation.client;
    let receiver = Receiver::start().await;
    client.acme(json!({}), &receiver.url()).await;
    let id = client.message(json!(1)).await;
    client.until(&id, "delivered").await;
    let found = problems(client).await;
    assert_eq!((&found["problems"], &found["endpoints"], &found["is_partial"]), (&json!([]), &json!(1), &json!(false)), "{found}");
}

#[tokio::test]
async fn open_circuit_is_listed_with_cause_and_remedy() {
    let mut installation = Installation::start().await;
    let stranger = installation.another_tenant().await;
    let client = &installation.client;
    let receiver = Receiver::responding(|_| CannedResponse::status(503)).await;
    let endpoint = client.acme(json!({ "retry_schedule": [] }), &receiver.url()).await;
    open_circuit(client, &endpoint).await;
    for _ in 0..3 {
        client.message(json!(1)).await;
    }
    // The circuit opens before the outcome of the last attempt is recorded, so that delivery counts as waiting for a moment.
    let found = eventually("three waiting deliveries", async || {
        let found = problems(client).await;
        (found["problems"][0]["waiting"] == 3).then_some(found)
    })
    .await;
    assert_eq!(kinds(&found), ["circuit_open"], "{found}");
    let problem = &found["problems"][0];
    assert_eq!(problem["severity"], "critical", "{problem}");
    assert_eq!((&problem["subject"]["kind"], &problem["subject"]["id"]), (&json!("endpoint"), &endpoint["id"]));
    assert_eq!((&problem["subject"]["name"], &problem["subject"]["application_name"]), (&json!(receiver.url()), &json!("Acme")));
    let cause = json!({ "code": "http_status", "params": { "response_status": 503 }, "sentence": "The receiver answers 503." });
    assert_eq!(problem["cause"], cause);
    assert!(problem["since"].is_string() && problem["oldest_at"].is_string(), "{problem}");
    assert_eq!((&problem["remedy"]["action"], &problem["remedy"]["operation"]), (&json!("probe_now"), &json!("resetCircuit")));
    let (_, path) = text(&problem["remedy"], "request").split_once(' ').expect("a method and a path");
    let (status, response) = client.post(path, Value::Null).await;
    assert_eq!(status, 200, "the remedy is an operation: {response}");
    assert_eq!(problems(&stranger).await["problems"], json!([]));
}

#[tokio::test]
async fn failing_endpoint_is_listed_with_the_date_of_its_disabling() {
    let installation = Installation::start().await;
    let client = &installation.client;
    let receiver = Receiver::responding(|_| CannedResponse::status(500)).await;
    let endpoint = client.acme(json!({}), &receiver.url()).await;
    client.message(json!(1)).await;
    let path = format!("/v1/applications/acme/endpoints/{}/health", text(&endpoint, "id"));
    let since = eventually("a failure", async || client.get(&path).await.1["health"]["failing_since"].as_str().map(str::to_owned)).await;
    installation.advance(Duration::from_secs(120));
    let found = problems(client).await;
    let problem = &found["problems"][0];
    assert!(matches!(text(problem, "kind"), "endpoint_failing" | "circuit_open"), "{found}");
    let disables_at: Timestamp = text(problem, "disables_at").parse().expect("a time");
    let since: Timestamp = since.parse().expect("a time");
    assert_eq!(disables_at, since + Duration::from_secs(5 * 24 * 3600), "{problem}");
}

#[tokio::test]
async fn missed_deliveries_are_listed_until_they_are_recovered() {
    let installation = Installation::start().await;
    let client = &installation.client;
    let is_broken = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let broken = std::sync::Arc::clone(&is_broken);
    let receiver =
        Receiver::responding(move |_| CannedResponse::status(if broken.load(std::sync::atomic::Ordering::Relaxed) { 500 } else { 204 }))
            .await;
    let endpoint = client.acme(json!({ "retry_schedule": [] }), &receiver.url()).await;
    let id = client.message(json!(1)).await;
    client.until(&id, "failed").await;
    is_broken.store(false, std::sync::atomic::Ordering::Relaxed);
    let id = client.message(json!(2)).await;
    client.until(&id, "delivered").await;
    let found = problems(client).await;
    assert_eq!(kinds(&found), ["deliveries_missed"], "{found}");
    assert_eq!((&found["problems"][0]["waiting"], &found["problems"][0]["remedy"]["action"]), (&json!(1), &json!("recover")));
    let path = format!("/v1/applications/acme/endpoints/{}/recover", text(&endpoint, "id"));
    let (status, response) = client.post(&path, json!({ "since": "2020-01-01T00:00:00Z" })).await;
    assert!((200..300).contains(&status), "{response}");
    eventually("nothing is wrong", async || (problems(client).await["problems"] == json!([])).then_some(())).await;
}

#[tokio::test]
async fn disabled_endpoint_is_listed_for_a_week() {
    let installation = Installation::start().await;
    let client = &installation.client;
    let receiver = Receiver::responding(|_| CannedResponse::status(410)).await;
    let endpoint = client.acme(json!({}), &receiver.url()).await;
    client.message(json!(1)).await;
    let path = format!("/v1/applications/acme/endpoints/{}", text(&endpoint, "id"));
    eventually("it is disabled", async || (client.get(&path).await.1["endpoint"]["status"] == "disabled").then_some(())).await;
    let (_, shown) = client.get(&path).await;
    assert!(shown["endpoint"]["disabled_at"].is_string(), "{shown}");
    let found = problems(client).await;
    assert_eq!(kinds(&found), ["endpoint_disabled"], "{found}");
    let problem = &found["problems"][0];
    assert_eq!((&problem["cause"]["code"], &problem["since"]), (&json!("disabled_gone"), &shown["endpoint"]["disabled_at"]), "{problem}");
    assert_eq!(problem["remedy"]["action"], "enable_and_recover");
    installation.advance(Duration::from_secs(8 * 24 * 3600));
    assert_eq!(problems(client).await["problems"], json!([]));
}

#[tokio::test]
async fn limits_are_listed_for_callers_who_may_see_usage() {
    let installation = Installation::start().await;
    installation.limit(Quota::EventsPerMonth, 1);
    let client = &installation.client;
    let receiver = Receiver::start().await;
    client.acme(json!({}), &receiver.url()).await;
    let id = client.message(json!(1)).await;
    client.until(&id, "delivered").await;
    let found = problems(client).await;
    assert_eq!(kinds(&found), ["quota"], "{found}");
    let problem = &found["problems"][0];
    assert_eq!((&problem["severity"], &problem["cause"]["params"]), (&json!("critical"), &json!({ "used": 1, "limit": 1 })), "{problem}");
    assert_eq!((&problem["subject"]["kind"], &problem["remedy"]["operation"]), (&json!("organization"), &json!(null)));
    let (_, narrow) = client.create_key(json!({ "name": "narrow", "scopes": ["endpoints:read"] })).await;
    assert_eq!(problems(&narrow).await["problems"], json!([]));
    refused(&client.get("/v1/problems?severity=critical").await, 400, "unknown_parameter");
}

#[test]
fn every_error_word_has_a_sentence_of_its_own() {
    let words = [
        "timeout",
        "dns_failed",
        "connection_refused",
        "connection_reset",
        "connection_failed",
        "tls_expired",
        "tls_untrusted",
        "tls_wrong_host",
        "tls_revoked",
        "tls_failed",
        "address_not_allowed",
        "redirect_refused",
        "response_invalid",
        "access_refused",
        "target_not_found",
        "unroutable",
        "message_refused",
        "settings_invalid",
    ];
    let sentences: HashSet<_> = words.iter().map(|word| of_error(word, 0)).collect();
    assert_eq!(sentences.len(), words.len());
    assert!(sentences.iter().all(|sentence| sentence.ends_with('.') && !sentence.contains('(')));
    assert_eq!(of_error("http_status", 418), "The receiver answers 418.");
    assert_eq!(of_error("other", 0), "Attempts fail (other).");
}
