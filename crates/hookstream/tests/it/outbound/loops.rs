//! Delivery loops: an endpoint that posts to the API its messages come from.

use hookstream_testkit::eventually;
use serde_json::json;

use crate::support::{KEY, Server, scratch};

#[tokio::test(flavor = "multi_thread")]
async fn loop_is_cut_and_every_round_is_visible() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let url = format!("{}/v1/applications/acme/messages", server.url);
    server.client.acme(json!({ "headers": { "x-api-key": KEY } }), &url).await;
    // The payload of a delivery is itself a message request.
    let inner = json!({ "event_type": "round", "payload": json!({ "event_type": "round", "payload": "{}" }) });
    let payload = (0..12).fold(inner, |inner, _| json!({ "event_type": "round", "payload": inner }));
    let id = server.client.message(payload).await;
    server.client.until(&id, "delivered").await;
    let messages = eventually("the loop is cut", async || {
        let (_, response) = server.client.get("/v1/applications/acme/messages?limit=100").await;
        let messages = response["messages"].as_array().cloned().unwrap_or_default();
        messages.iter().all(|message| message["status"] != "pending").then_some(messages)
    })
    .await;
    // The first message, and one for each of the deliveries that may lead to a message.
    assert_eq!(messages.len(), 9, "{messages:?}");
    let failed: Vec<_> = messages.iter().filter(|message| message["status"] == "failed").collect();
    assert_eq!(failed.len(), 1, "{messages:?}");
    let (_, seen) = server.client.get(&format!("/v1/applications/acme/messages/{}", failed[0]["id"].as_str().expect("an id"))).await;
    assert_eq!(seen["attempts"].as_array().map(Vec::len), Some(1), "a loop is not retried: {seen}");
    assert_eq!(seen["attempts"][0]["response_status"], 508, "{seen}");
    assert!(seen["attempts"][0]["response_body"].as_str().is_some_and(|body| body.contains("loop_detected")), "{seen}");
}
