//! Operational webhooks of a running server: events arrive signed, survive a crash, and stay apart from the customers'.

use std::time::Duration;

use hookstream_testkit::{
    eventually,
    receiver::{CannedResponse, Receiver},
};
use serde_json::{Value, json};
use standardwebhooks::Webhook;

use crate::support::{Server, TestClient, scratch};

/// Creates an operational endpoint for these types, and returns its secret.
async fn told(client: &TestClient, receiver: &Receiver, types: &[&str]) -> String {
    let endpoint = json!({ "url": receiver.url(), "filter_types": types });
    let (status, created) = client.post("/v1/operational-webhooks/endpoints", endpoint).await;
    assert_eq!((status, &created["warnings"]), (201, &Value::Null), "{created}");
    created["endpoint"]["signing_secret"].as_str().expect("a secret").to_owned()
}

/// Returns the events that have arrived, oldest first.
fn events(receiver: &Receiver) -> Vec<Value> {
    receiver.received().iter().map(|request| serde_json::from_slice(&request.body).expect("JSON")).collect()
}

/// Waits for an event of this type, and returns its data.
async fn event(receiver: &Receiver, kind: &str) -> Value {
    let found = eventually(kind, async || events(receiver).into_iter().find(|event| event["type"] == kind)).await;
    found["data"].clone()
}

/// Waits for an event that the server finds at its next look, which it takes every ten seconds. Returns its data.
async fn slow_event(receiver: &Receiver, kind: &str) -> Value {
    let end = tokio::time::Instant::now() + Duration::from_secs(40);
    loop {
        if let Some(found) = events(receiver).into_iter().find(|event| event["type"] == kind) {
            return found["data"].clone();
        }
        assert!(tokio::time::Instant::now() < end, "no {kind}: {:?}", events(receiver));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_endpoints_are_told_and_stay_apart() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let (client, operator) = (&server.client, Receiver::start().await);
    assert_eq!(client.get("/v1/operational-webhooks/endpoints").await.1["endpoints"], json!([]), "none at first");
    let secret = told(client, &operator, &["endpoint.*"]).await;
    let customer = Receiver::start().await;
    let endpoint = client.acme(json!({ "uid": "main" }), &customer.url()).await;
    let path = "/v1/applications/acme/endpoints/main";
    client.patch(path, json!({ "description": "changed" })).await;
    client.patch(path, json!({ "status": "disabled" })).await;
    client.patch(path, json!({ "status": "active" })).await;
    client.post(&format!("{path}/rotate-secret"), json!({})).await;
    client.delete(path).await;
    let deleted = event(&operator, "endpoint.deleted").await;
    assert_eq!((&deleted["endpoint_id"], &deleted["endpoint_uid"]), (&endpoint["id"], &json!("main")), "{deleted}");
    assert_eq!(deleted["application_uid"], "acme", "{deleted}");
    let kinds: Vec<_> = events(&operator).iter().map(|event| event["type"].as_str().expect("a type").to_owned()).collect();
    assert_eq!(
        kinds,
        [
            "endpoint.created",
            "endpoint.updated",
            "endpoint.updated",
            "endpoint.disabled",
            "endpoint.updated",
            "endpoint.enabled",
            "endpoint.secret_rotated",
            "endpoint.deleted"
        ]
    );
    let disabled = event(&operator, "endpoint.disabled").await;
    assert_eq!((&disabled["trigger"], &disabled["endpoint_id"]), (&json!("manual"), &endpoint["id"]), "{disabled}");
    for request in operator.received() {
        Webhook::new(&secret).expect("a secret").verify(&request.body, &request.headers).expect("signed");
    }

    let list = client.get("/v1/operational-webhooks/messages").await.1;
    assert_eq!(list["messages"].as_array().map(Vec::len), Some(8), "{list}");
    let message = list["messages"][0]["id"].as_str().expect("an id");
    let (status, explained) = client.get(&format!("/v1/operational-webhooks/messages/{message}/explain")).await;
    assert_eq!(status, 200, "{explained}");
    for (path, field) in [("/v1/messages", "messages"), ("/v1/endpoints", "endpoints"), ("/v1/attempts", "attempts")] {
        assert_eq!(client.get(path).await.1[field], json!([]), "{path}");
    }
    assert_eq!(client.get("/v1/applications").await.1["applications"].as_array().map(Vec::len), Some(1));
    assert_eq!(client.get("/v1/environments").await.1["environments"].as_array().map(Vec::len), Some(1));
    let volume = client.get("/v1/metrics/overview").await.1;
    assert_eq!(volume["events_today"], 0, "{volume}");
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_deliveries_circuits_and_jobs_are_told() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let (client, operator) = (&server.client, Receiver::start().await);
    told(client, &operator, &["*"]).await;
    let flaky = Receiver::responding(|_| CannedResponse::status(500)).await;
    // The fifth attempt is the last, and opens the circuit.
    let endpoint = client.acme(json!({ "retry_schedule": [0, 0, 0, 0] }), &flaky.url()).await;
    let message = client.message(json!({ "n": 1 })).await;
    let failing = event(&operator, "message.attempt.failing").await;
    assert_eq!((&failing["message_id"], &failing["endpoint_id"]), (&json!(message), &endpoint["id"]), "{failing}");
    assert_eq!((&failing["last_attempt"]["number"], &failing["last_attempt"]["response_status"]), (&json!(4), &json!(500)), "{failing}");
    let exhausted = event(&operator, "message.attempt.exhausted").await;
    assert_eq!((&exhausted["event_type"], &exhausted["last_attempt"]["error"]), (&json!("invoice.paid"), &json!("http_status")));
    let path = format!("/v1/applications/acme/endpoints/{}/recover", endpoint["id"].as_str().expect("an id"));
    let (status, job) = client.post(&path, json!({ "since": "2020-01-01T00:00:00Z" })).await;
    assert_eq!(status, 201, "{job}");
    let finished = event(&operator, "job.finished").await;
    assert_eq!((&finished["job_id"], &finished["status"], &finished["requeued"]), (&job["job"]["id"], &json!("completed"), &json!(1)));
    let opened = event(&operator, "circuit.opened").await;
    assert_eq!(opened["endpoint_id"], endpoint["id"], "{opened}");
    let path = format!("/v1/applications/acme/endpoints/{}/reset-circuit", endpoint["id"].as_str().expect("an id"));
    let (status, _) = client.post(&path, json!({})).await;
    assert_eq!(status, 200);
    assert_eq!(event(&operator, "circuit.closed").await["trigger"], "manual");
}

#[tokio::test(flavor = "multi_thread")]
async fn event_survives_a_crash_between_cause_and_notice() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let operator = Receiver::start().await;
    told(&server.client, &operator, &["endpoint.disabled"]).await;
    server.client.acme(json!({ "uid": "main" }), "http://127.0.0.1:9/").await;
    let (status, _) = server.client.patch("/v1/applications/acme/endpoints/main", json!({ "status": "disabled" })).await;
    assert_eq!(status, 200);
    server.kill();
    let server = Server::start(&scratch, &[]);
    let disabled = event(&operator, "endpoint.disabled").await;
    assert_eq!(disabled["endpoint_uid"], "main", "{disabled}");
    tokio::time::sleep(Duration::from_secs(2)).await;
    let ids: std::collections::BTreeSet<_> =
        operator.received().iter().map(|request| request.headers["webhook-id"].to_str().expect("text").to_owned()).collect();
    assert_eq!(ids.len(), 1, "one message, however often it was attempted");
    drop(server);
}

#[tokio::test(flavor = "multi_thread")]
async fn quota_is_told_when_it_is_near_and_when_it_is_reached() {
    let scratch = scratch();
    let server = Server::start(&scratch, &["--quota-events-per-month", "10"]);
    let (client, operator) = (&server.client, Receiver::start().await);
    told(client, &operator, &["quota.*"]).await;
    let (status, _) = client.post("/v1/applications", json!({ "name": "Acme", "uid": "acme" })).await;
    assert_eq!(status, 201);
    for number in 0..8 {
        client.message(json!(number)).await;
    }
    let near = slow_event(&operator, "quota.near").await;
    assert_eq!((&near["quota"], &near["limit"]), (&json!("events_per_month"), &json!(10)), "{near}");
    for number in 8..10 {
        client.message(json!(number)).await;
    }
    let reached = slow_event(&operator, "quota.reached").await;
    assert_eq!(reached["used"], 10, "{reached}");
    assert_eq!(events(&operator).len(), 2, "each is told once, and costs no quota");
}

#[tokio::test(flavor = "multi_thread")]
async fn payload_budget_is_told_when_it_is_near() {
    let scratch = scratch();
    let server = Server::start(&scratch, &["--max-payload-bytes", "10000"]);
    let (client, operator) = (&server.client, Receiver::start().await);
    told(client, &operator, &["payload_budget.near"]).await;
    // Pending deliveries keep their payloads.
    client.acme(json!({}), "http://127.0.0.1:9/").await;
    // Letters without repetitions, which compression leaves as they are.
    let mut state = 1_u32;
    let letters = (0..8_500).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b'A' + u8::try_from(state >> 27).expect("five bits"))
    });
    client.message(json!(letters.collect::<String>())).await;
    let near = slow_event(&operator, "payload_budget.near").await;
    assert_eq!(near["budget_bytes"], 10_000, "{near}");
    assert!(near["percent"].as_u64().is_some_and(|percent| (80..100).contains(&percent)), "{near}");
}

#[test]
fn operational_event_types_are_documented() {
    let page = include_str!("../../../../../docs/reference/operational-webhooks.md");
    for kind in hookstream_model::operations::operational_event::OperationalType::ALL {
        assert!(page.contains(&format!("| `{}` |", kind.as_str())), "{} is not documented", kind.as_str());
    }
}
