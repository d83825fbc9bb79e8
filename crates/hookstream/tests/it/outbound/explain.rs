//! Explanations of a message's deliveries, by the API and by the command.

use hookstream_testkit::receiver::{CannedResponse, Receiver};
use serde_json::{Value, json};

use crate::support::{KEY, Server, TestClient, hookstream, scratch};

async fn explanation(client: &TestClient, id: &str) -> Value {
    let (status, response) = client.get(&format!("/v1/applications/acme/messages/{id}/explain")).await;
    assert_eq!(status, 200, "{response}");
    response["explanation"].clone()
}

/// Creates another endpoint of `acme` and returns its path.
async fn endpoint(client: &TestClient, body: Value) -> String {
    let (status, response) = client.post("/v1/applications/acme/endpoints", body).await;
    assert_eq!(status, 201, "{response}");
    format!("/v1/applications/acme/endpoints/{}", response["endpoint"]["id"].as_str().expect("an id"))
}

/// Returns the part of an explanation about the endpoint with this path.
fn about<'a>(explanation: &'a Value, path: &str) -> &'a Value {
    let endpoints = explanation["endpoints"].as_array().expect("endpoints");
    endpoints
        .iter()
        .find(|endpoint| endpoint["endpoint_id"].as_str().is_some_and(|id| path.ends_with(id)))
        .expect("an explanation of the endpoint")
}

fn says(value: &Value, part: &str) {
    assert!(value.as_str().is_some_and(|text| text.contains(part)), "{part:?} is not in {value}");
}

/// Runs `hookstream explain` and returns its output.
fn explain(server: &Server, arguments: &[&str]) -> Result<String, String> {
    let mut command = hookstream();
    command.arg("explain").args(arguments).env("HOOKSTREAM_URL", &server.url).env("HOOKSTREAM_API_KEY", KEY);
    let output = command.output().expect("the command runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_endpoint_is_explained_with_its_next_step() {
    let directory = scratch();
    let server = Server::start(&directory, &["--retry-schedule", "3600,7200"]);
    let client = &server.client;
    let healthy = Receiver::start().await;
    let busy = Receiver::responding(|_| CannedResponse::status(503).body("too\n busy")).await;
    let arrived = client.acme(json!({}), &healthy.url()).await;
    let arrived = format!("/v1/applications/acme/endpoints/{}", arrived["id"].as_str().expect("an id"));
    let failing = endpoint(client, json!({ "url": busy.url() })).await;
    let other = endpoint(client, json!({ "url": healthy.url(), "filter_types": ["user.created"] })).await;
    let off = endpoint(client, json!({ "url": healthy.url() })).await;
    client.patch(&off, json!({ "status": "disabled" })).await;
    let expired = endpoint(client, json!({ "url": healthy.url() })).await;
    client.expire(&expired).await;

    let body = json!({ "event_type": "invoice.paid", "payload": { "invoice_id": 42 }, "event_id": "order-1" });
    let (_, response) = client.post("/v1/applications/acme/messages", body).await;
    let id = response["message"]["id"].as_str().expect("an id");
    hookstream_testkit::eventually("one attempt succeeded and one failed", async || {
        let (_, seen) = client.get(&format!("/v1/applications/acme/messages/{id}")).await;
        (seen["attempts"].as_array().map(Vec::len) == Some(2)).then_some(())
    })
    .await;
    let later = endpoint(client, json!({ "url": healthy.url() })).await;
    let found = explanation(client, id).await;
    let (status, by_id) = client.get(&format!("/v1/messages/{id}/explain")).await;
    assert_eq!((status, &by_id["explanation"]["message"]), (200, &found["message"]), "the application need not be named");

    let message = &found["message"];
    assert_eq!(
        (&message["id"], &message["event_type"], &message["event_id"], &message["size_bytes"], &message["status"]),
        (&json!(id), &json!("invoice.paid"), &json!("order-1"), &json!(17), &json!("pending"))
    );
    assert_eq!((&message["content_type"], &message["accepted_at"]), (&json!("application/json"), &response["message"]["created_at"]));
    says(&found["summary"], "Matched 4 endpoints: 1 succeeded, 1 pending, 2 skipped. The next attempt is due at ");
    assert_eq!((found["endpoints"].as_array().map(Vec::len), &found["unmatched_left_out"]), (Some(6), &json!(0)));

    let check = |path: &str, matched: bool, status: &str, reason: Option<&str>, why: &str| {
        let about = about(&found, path);
        assert_eq!((&about["matched"], &about["status"], &about["reason"]), (&json!(matched), &json!(status), &json!(reason)), "{about}");
        says(&about["why"], why);
        about
    };
    let about = check(&arrived, true, "succeeded", None, "Delivered by attempt 1 at ");
    assert_eq!((&about["next_step"], &about["next_attempt"]), (&Value::Null, &Value::Null));
    assert!(about["attempts"][0]["waterfall"]["first_byte_ms"].is_number(), "{about}");

    let about = check(
        &failing,
        true,
        "pending",
        None,
        "The last attempt failed (http_status: the receiver responded with 503). Response: too busy Attempt 2 of 3 is due at ",
    );
    let next = &about["next_attempt"];
    assert_eq!(
        (&next["attempt_number"], &next["step"], &next["steps"], &next["is_taken"]),
        (&json!(2), &json!(2), &json!(3), &json!(false))
    );
    says(&about["next_step"], next["due_at"].as_str().expect("a time"));
    let failing_id = failing.rsplit('/').next().expect("an id");
    let advice = about["statements"].as_array().and_then(|statements| statements.last()).expect("advice");
    assert!(
        advice["params"]["requests"][0]["request"]
            .as_str()
            .is_some_and(|request| request.ends_with(&format!("/messages/{id}/retry?endpoint_id={failing_id}"))),
        "{advice}"
    );
    for statement in about["statements"].as_array().expect("statements") {
        assert!(statement["code"].is_string() && statement["params"].is_object(), "{statement}");
        let is_in = |text: &Value| text.as_str().is_some_and(|text| text.contains(statement["sentence"].as_str().expect("a sentence")));
        assert!(is_in(&about["why"]) || is_in(&about["next_step"]), "{statement}");
    }
    assert_eq!(about["statements"][0]["code"], "last_attempt_failed");
    says(&about["why"], "Response: too busy");
    assert_eq!(about["attempts"][0]["response_status"], 503);

    let about = check(&off, true, "skipped", Some("endpoint_disabled"), ": the endpoint was disabled.");
    assert_eq!(about["endpoint_status"], "disabled");
    says(&about["next_step"], "Enable the endpoint; then retry the message to this endpoint, or recover the endpoint from ");
    let about = check(&expired, true, "skipped", Some("endpoint_expired"), ": the endpoint had expired.");
    says(&about["next_step"], "Move or remove the endpoint's expiry");
    let about = check(
        &other,
        false,
        "unmatched",
        Some("type_not_wanted"),
        "Not subscribed to invoice.paid: the endpoint's filter_types are [user.created].",
    );
    says(&about["next_step"], "Add invoice.paid to the endpoint's event types");
    let about = check(&later, false, "unmatched", Some("endpoint_created_later"), ", after the message was accepted.");
    says(&about["next_step"], "etry the message to this endpoint.");
    assert_eq!(about["attempts"], json!([]));

    // Following the suggested steps delivers the message.
    busy.respond(|_| CannedResponse::status(200));
    client.patch(&off, json!({ "status": "active" })).await;
    client.patch(&expired, json!({ "expires_at": null })).await;
    client.patch(&other, json!({ "filter_types": [] })).await;
    assert_eq!(client.post(&format!("/v1/applications/acme/messages/{id}/retry"), json!({})).await.0, 200);
    client.until(id, "delivered").await;
    let found = explanation(client, id).await;
    says(&found["summary"], "Matched 6 endpoints: 6 succeeded.");
    client.delete(&off).await;
    let found = explanation(client, id).await;
    let about = self::about(&found, &off);
    assert_eq!(
        (&about["endpoint_status"], &about["endpoint_url"], &about["status"]),
        (&json!("deleted"), &Value::Null, &json!("succeeded"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn unmatched_and_exhausted_messages_are_explained() {
    let directory = scratch();
    let server = Server::start(&directory, &["--retry-schedule", ""]);
    let client = &server.client;
    let receiver = Receiver::responding(|_| CannedResponse::status(410)).await;
    let (status, _) = client.post("/v1/applications", json!({ "name": "Acme", "uid": "acme" })).await;
    assert_eq!(status, 201);
    let alone = client.message(json!({})).await;
    assert_eq!(explanation(client, &alone).await["summary"], "No endpoints matched: the application has none.");

    let path = endpoint(client, json!({ "url": receiver.url() })).await;
    let id = client.message(json!({})).await;
    client.until(&id, "failed").await;
    let found = hookstream_testkit::eventually("the endpoint is disabled", async || {
        let found = explanation(client, &id).await;
        (about(&found, &path)["endpoint_status"] == "disabled").then_some(found)
    })
    .await;
    let gone = about(&found, &path);
    assert_eq!((&gone["status"], &gone["reason"], &gone["ended_at"].is_string()), (&json!("exhausted"), &json!("gone"), &true));
    says(&gone["why"], "the receiver responded with 410");
    says(&gone["next_step"], "Enable the endpoint");

    receiver.respond(|_| CannedResponse::status(200));
    client.patch(&path, json!({ "status": "active" })).await;
    let other = endpoint(client, json!({ "url": receiver.url() })).await;
    let (_, test) = client.post(&format!("{path}/test"), json!({})).await;
    let test = test["message"]["id"].as_str().expect("an id");
    client.until(test, "delivered").await;
    let found = explanation(client, test).await;
    assert_eq!(about(&found, &other)["reason"], "test_of_another_endpoint");
}

#[tokio::test(flavor = "multi_thread")]
async fn command_shows_the_explanation_of_the_api() {
    let directory = scratch();
    let server = Server::start(&directory, &[]);
    let receiver = Receiver::start().await;
    server.client.acme(json!({}), &receiver.url()).await;
    let id = server.client.message(json!({})).await;
    server.client.until(&id, "delivered").await;
    let shown = explain(&server, &[&id, "--app", "acme"]).expect("an explanation");
    for part in [&id, "invoice.paid, 2 bytes of application/json", "succeeded: Delivered by attempt 1", "first byte", "█", &receiver.url()]
    {
        assert!(shown.contains(part), "{part:?} is not in\n{shown}");
    }
    let json = explain(&server, &[&id, "--application", "acme", "--json"]).expect("an explanation");
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["explanation"]["message"]["id"], id.as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn command_finds_a_message_anywhere_and_reports_a_missing_one() {
    let directory = scratch();
    let server = Server::start(&directory, &[]);
    server.client.acme(json!({}), "http://127.0.0.1:9/").await;
    let id = server.client.message(json!({})).await;
    explain(&server, &[&id]).expect("the application is found by the message");
    let refused = explain(&server, &["x\u{1b}[2J", "--app", "acme"]).expect_err("no such message");
    assert!(refused.contains("Message not found") && refused.contains("404"), "{refused}");
    let refused = explain(&server, &["019dc1e2a3b47c5d8e9f001122334455"]).expect_err("there is no such message");
    assert!(refused.contains("there is no message 019dc1e2a3b47c5d8e9f001122334455"), "{refused}");
}
