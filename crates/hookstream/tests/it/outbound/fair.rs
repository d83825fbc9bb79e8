//! Fairness: load on one application or endpoint does not affect others.

use std::time::Duration;

use hookstream_testkit::receiver::{CannedResponse, RawReceiver, Receiver};
use serde_json::json;
use tokio::task::JoinSet;

use crate::support::{Server, TestClient, scratch};

/// Creates the application `other` with an endpoint.
async fn make_other(client: &TestClient, url: &str) {
    let (status, _) = client.post("/v1/applications", json!({ "name": "Other", "uid": "other" })).await;
    assert_eq!(status, 201);
    let (status, response) = client.post("/v1/applications/other/endpoints", json!({ "url": url })).await;
    assert_eq!(status, 201, "{response}");
}

/// Sends messages to `other`, one after another; each must arrive within a second.
async fn other_is_served(client: &TestClient, receiver: &Receiver) {
    for number in 1..=20 {
        let sent = tokio::time::Instant::now();
        let (status, response) = client.post("/v1/applications/other/messages", json!({ "event_type": "a", "payload": number })).await;
        assert_eq!(status, 201, "{response}");
        let arrived = receiver.wait_for(number).await[number - 1].at - sent;
        assert!(arrived < Duration::from_secs(1), "message {number} took {arrived:?}");
    }
}

/// Sends `count` messages to `acme`, many at once.
async fn flood(client: &TestClient, count: u64) {
    let mut senders = JoinSet::new();
    for sender in 0..16 {
        let client = client.clone();
        senders.spawn(async move {
            for number in (sender..count).step_by(16) {
                client.message(json!({ "number": number })).await;
            }
        });
    }
    senders.join_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn flood_for_one_application_does_not_delay_another() {
    let scratch = scratch();
    let server = Server::start(&scratch, &["--max-in-flight-per-target", "8"]);
    let slow = Receiver::responding(|_| CannedResponse::status(204).after(Duration::from_millis(20))).await;
    let receiver = Receiver::start().await;
    server.client.acme(json!({}), &slow.url()).await;
    make_other(&server.client, &receiver.url()).await;
    // More than a lane keeps in memory: the rest waits in its backlog.
    flood(&server.client, 3_000).await;
    assert!(slow.received().len() < 2_500, "the flood is not over");
    other_is_served(&server.client, &receiver).await;
    // No message is lost, and stored ones are delivered too.
    hookstream_testkit::eventually("the flood", async || (slow.received().len() >= 3_000).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hanging_endpoints_leave_capacity_for_others() {
    let scratch = scratch();
    let arguments = ["--max-in-flight", "128", "--max-in-flight-per-target", "32", "--circuit-breaker-threshold", "0"];
    let server = Server::start(&scratch, &arguments);
    let receiver = Receiver::start().await;
    let hanging = RawReceiver::start(|stream| async move {
        let _open = stream;
        std::future::pending::<()>().await;
    })
    .await;
    server.client.acme(json!({}), &hanging.url()).await;
    for _ in 1..40 {
        let (status, _) = server.client.post("/v1/applications/acme/endpoints", json!({ "url": hanging.url() })).await;
        assert_eq!(status, 201);
    }
    make_other(&server.client, &receiver.url()).await;
    flood(&server.client, 64).await;
    other_is_served(&server.client, &receiver).await;
}
