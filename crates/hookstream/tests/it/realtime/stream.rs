//! Events of the live stream: which arrive, where, and with what.

use hookstream_testkit::receiver::{CannedResponse, Receiver};
use serde_json::{Value, json};

use super::client::{Events, Live};
use crate::support::{KEY, Server, scratch};

/// Returns the names of an object's fields.
fn fields(value: &Value) -> Vec<&str> {
    let mut names: Vec<_> = value.as_object().expect("an object").keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn message_and_its_delivery_arrive_on_their_channels() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let receiver = Receiver::start().await;
    let endpoint = server.client.acme(json!({}), &receiver.url()).await;
    let (application, endpoint) = (endpoint["application_id"].as_str().expect("an id"), endpoint["id"].as_str().expect("an id"));
    let mut live = Live::open(&server).await;
    assert_eq!(live.welcome["reach"], "installation");
    assert!(live.welcome["org_id"].as_str().is_some_and(|id| id.len() == 32), "{}", live.welcome);
    assert_eq!(live.ask(json!({ "type": "ping" })).await, json!({ "type": "pong" }));
    let of_endpoint = format!("attempts:{endpoint}");
    live.subscribe(&["messages:acme", &of_endpoint]).await;
    let body = json!({ "event_type": "invoice.paid", "payload": { "secret": "in the payload" }, "event_id": "e-1", "channels": ["a"] });
    let (status, sent) = server.client.post("/v1/applications/acme/messages", body).await;
    assert_eq!(status, 201, "{sent}");
    let message = live.next().await;
    let (_, listed) = server.client.get("/v1/messages").await;
    // The fields of the list, without the payload, as they were when the message was accepted.
    let mut expected = listed["messages"][0].clone();
    let removed = expected.as_object_mut().expect("an object");
    removed.retain(|name, _| !name.starts_with("payload"));
    expected["status"] = "pending".into();
    expected["updated_at"] = expected["created_at"].clone();
    assert_eq!(message, json!({ "type": "message", "channel": "messages:acme", "data": expected }));
    // An endpoint without channels hears every message.
    let delivery = live.next().await;
    assert_eq!((&delivery["type"], &delivery["channel"]), (&json!("delivery"), &json!(of_endpoint)), "{delivery}");
    let data = &delivery["data"];
    assert_eq!(
        (&data["message_id"], &data["endpoint_id"], &data["application_id"], &data["event_type"], &data["status"]),
        (&sent["message"]["id"], &json!(endpoint), &json!(application), &json!("invoice.paid"), &json!("succeeded"))
    );
    let attempt = &data["attempt"];
    assert_eq!(
        fields(attempt),
        ["attempt_number", "created_at", "duration_ms", "error", "id", "response_status", "status", "trigger_type"],
        "neither the response nor its body"
    );
    assert_eq!(
        (&attempt["attempt_number"], &attempt["response_status"], &attempt["status"], &attempt["trigger_type"]),
        (&json!(1), &json!(204), &json!("success"), &json!("initial"))
    );
    // After the end of a subscription, nothing arrives on it.
    assert_eq!(live.ask(json!({ "type": "unsubscribe", "channel": of_endpoint })).await["type"], "unsubscribed");
    let id = server.client.message(json!({})).await;
    server.client.until(&id, "delivered").await;
    assert_eq!(live.next().await["data"]["id"], id.as_str());
    assert_eq!(live.ask(json!({ "type": "ping" })).await, json!({ "type": "pong" }));
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_attempt_tells_the_next_one_and_the_end() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let receiver = Receiver::responding(|_| CannedResponse::status(500)).await;
    server.client.acme(json!({ "retry_schedule": [1] }), &receiver.url()).await;
    let mut live = Live::open(&server).await;
    live.subscribe(&["attempts"]).await;
    server.client.message(json!({})).await;
    let first = live.next().await["data"].clone();
    assert_eq!((&first["status"], &first["reason"], &first["attempt"]["status"]), (&json!("pending"), &Value::Null, &json!("failed")));
    assert!(first["next_attempt_at"].is_string() && first["ended_at"].is_null(), "{first}");
    assert!(first["attempt"]["error"].as_str().is_some_and(|error| error.starts_with("http_status")), "{first}");
    let second = live.next().await["data"].clone();
    assert_eq!((&second["status"], &second["reason"]), (&json!("exhausted"), &json!("schedule_ended")), "{second}");
    assert!(second["next_attempt_at"].is_null() && second["ended_at"].is_string(), "{second}");
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_endpoints_and_progress_of_jobs_arrive() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let receiver = Receiver::start().await;
    let mut live = Live::open(&server).await;
    live.subscribe(&["endpoints", "jobs"]).await;
    let endpoint = server.client.acme(json!({}), &receiver.url()).await;
    let id = endpoint["id"].as_str().expect("an id");
    let created = live.next().await;
    assert_eq!((&created["type"], &created["channel"]), (&json!("endpoint"), &json!("endpoints")), "{created}");
    assert_eq!(fields(&created["data"]), ["application_id", "change", "changed_at", "endpoint_id"]);
    assert_eq!((&created["data"]["endpoint_id"], &created["data"]["change"]), (&json!(id), &json!("created")));
    let path = format!("/v1/applications/acme/endpoints/{id}");
    assert_eq!(server.client.patch(&path, json!({ "description": "new" })).await.0, 200);
    assert_eq!(live.next().await["data"]["change"], "updated");
    assert_eq!(server.client.post(&format!("{path}/rotate-secret"), json!({})).await.0, 200);
    assert_eq!(live.next().await["data"]["change"], "updated");
    let message = server.client.message(json!({})).await;
    server.client.until(&message, "delivered").await;
    let (status, job) = server.client.post(&format!("{path}/replay"), json!({ "since": "2020-01-01T00:00:00Z" })).await;
    assert_eq!(status, 201, "{job}");
    let first = live.next().await;
    assert_eq!((&first["type"], &first["data"]["id"], &first["data"]["status"]), (&json!("job"), &job["job"]["id"], &json!("running")));
    let mut last = first;
    while last["data"]["status"] == "running" {
        last = live.next_of("job").await;
    }
    assert_eq!((&last["data"]["status"], &last["data"]["requeued"], &last["data"]["total"]), (&json!("completed"), &json!(1), &json!(1)));
    // The receiver is gone for good.
    receiver.respond(|_| CannedResponse::status(410));
    server.client.message(json!({})).await;
    assert_eq!(live.next_of("endpoint").await["data"]["change"], "disabled");
    assert_eq!(server.client.delete(&path).await.0, 200);
    assert_eq!(live.next_of("endpoint").await["data"]["change"], "deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn circuit_breaker_is_heard_opening_and_closing() {
    let scratch = scratch();
    let server = Server::start(&scratch, &["--circuit-breaker-threshold", "2", "--circuit-breaker-cooldown-s", "1"]);
    let receiver = Receiver::responding(|_| CannedResponse::status(500)).await;
    server.client.acme(json!({ "retry_schedule": [1, 1, 1, 1, 1, 1] }), &receiver.url()).await;
    let mut live = Live::open(&server).await;
    live.subscribe(&["endpoints"]).await;
    for _ in 0..3 {
        server.client.message(json!({})).await;
    }
    assert_eq!(live.next().await["data"]["change"], "circuit_opened");
    receiver.respond(|_| CannedResponse::status(200));
    loop {
        match live.next().await["data"]["change"].as_str() {
            Some("circuit_closed") => break,
            Some("circuit_opened") => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn server_sent_events_carry_the_same_frames() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let receiver = Receiver::start().await;
    server.client.acme(json!({}), &receiver.url()).await;
    let mut events = Events::open(&server, "?channel=messages,jobs&channel=attempts", &[("x-api-key", KEY)]).await;
    assert_eq!(events.status, 200, "{}", events.head);
    for header in ["content-type: text/event-stream", "cache-control: no-store", "x-accel-buffering: no"] {
        assert!(events.head.contains(header), "{header}: {}", events.head);
    }
    let (name, welcome) = events.next().await.expect("an event");
    assert_eq!((name.as_str(), &welcome["type"]), ("welcome", &json!("welcome")));
    for channel in ["messages", "jobs", "attempts"] {
        assert_eq!(events.next().await.expect("an event").1, json!({ "type": "subscribed", "channel": channel }));
    }
    let id = server.client.message(json!({})).await;
    let (name, message) = events.next().await.expect("an event");
    assert_eq!((name.as_str(), &message["channel"], &message["data"]["id"]), ("message", &json!("messages"), &json!(id)));
    let (name, delivery) = events.next().await.expect("an event");
    assert_eq!((name.as_str(), &delivery["channel"], &delivery["data"]["message_id"]), ("delivery", &json!("attempts"), &json!(id)));
}

#[tokio::test(flavor = "multi_thread")]
async fn portal_token_hears_its_application_alone() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let receiver = Receiver::start().await;
    server.client.acme(json!({}), &receiver.url()).await;
    let (_, other) = server.client.post("/v1/applications", json!({ "name": "Other", "uid": "other" })).await;
    let other = other["application"]["id"].as_str().expect("an id");
    let (_, theirs) = server.client.post("/v1/applications/other/endpoints", json!({ "url": receiver.url() })).await;
    let theirs = theirs["endpoint"]["id"].as_str().expect("an id");
    let (_, access) = server.client.post("/v1/applications/acme/portal-access", json!({})).await;
    let token = access["token"].as_str().expect("a token");
    let mut live = Live::with_token(&server, token).await;
    assert_eq!(live.welcome["application_id"], access["application"]["id"]);
    for channel in ["alerts", "live.orders"] {
        assert_eq!(live.refused(channel).await, "forbidden", "{channel}");
    }
    for channel in ["messages:other", &format!("messages:{other}"), &format!("attempts:{theirs}")] {
        assert_eq!(live.refused(channel).await, "not_found", "{channel}");
    }
    live.subscribe(&["messages", "attempts", "endpoints", "jobs", "messages:acme"]).await;
    let body = json!({ "event_type": "invoice.paid", "payload": 1 });
    assert_eq!(server.client.post("/v1/applications/other/messages", body).await.0, 201);
    assert_eq!(server.client.patch(&format!("/v1/applications/other/endpoints/{theirs}"), json!({ "description": "x" })).await.0, 200);
    let own = server.client.message(json!({})).await;
    for channel in ["messages", "messages:acme"] {
        let frame = live.next().await;
        assert_eq!((&frame["channel"], &frame["data"]["id"]), (&json!(channel), &json!(own)), "{frame}");
    }
    assert_eq!(live.next_of("delivery").await["data"]["message_id"], own.as_str());
    // The token is accepted as a bearer token, too, and nowhere else.
    let bearer = format!("Bearer {token}");
    let events = Events::open(&server, "?channel=messages", &[("authorization", &bearer)]).await;
    assert_eq!(events.status, 200, "{}", events.head);
    assert_eq!(server.client.with_key("").get(&format!("/v1/messages?token={token}")).await.0, 401);
}
