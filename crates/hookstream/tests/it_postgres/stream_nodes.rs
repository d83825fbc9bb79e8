//! Live stream over several nodes.

use std::time::Duration;

use hookstream_testkit::receiver::Receiver;
use serde_json::json;

use crate::{
    realtime::client::Live,
    support::{Server, scratch},
};

/// Time for which a listener waits for an event before the next is caused.
const PATIENCE: Duration = Duration::from_millis(500);
/// Number of events that are caused until one is heard.
const CAUSED_MAX: usize = 40;

/// Sends messages to one node until a listener hears an event of one, which takes some milliseconds after it has
/// subscribed or the node has started. `kind` is the type of the event, `field` its field with the message's id.
async fn until_heard(sender: &Server, listener: &mut Live, (kind, field): (&str, &str)) {
    for _ in 0..CAUSED_MAX {
        let id = sender.client.message(json!({})).await;
        let heard = tokio::time::timeout(PATIENCE, async { while listener.next_of(kind).await["data"][field] != id.as_str() {} });
        if heard.await.is_ok() {
            return;
        }
    }
    panic!("no {kind} was heard");
}

const MESSAGE: (&str, &str) = ("message", "id");
const DELIVERY: (&str, &str) = ("delivery", "message_id");

#[tokio::test(flavor = "multi_thread")]
async fn listener_hears_every_node() {
    let scratch = scratch();
    let (one, two) = (Server::start(&scratch, &[]), Server::start(&scratch, &[]));
    let receiver = Receiver::start().await;
    let endpoint = one.client.acme(json!({}), &receiver.url()).await;
    let mut live = Live::open(&one).await;
    live.subscribe(&["messages", "attempts", "endpoints"]).await;
    until_heard(&two, &mut live, MESSAGE).await;
    // From then on, each event of the other node arrives once, and so does each of this one.
    for sender in [&one, &two, &one, &two] {
        let id = sender.client.message(json!({})).await;
        sender.client.until(&id, "delivered").await;
        let (mut accepted, mut delivered) = (0, 0);
        while accepted + delivered < 2 {
            let frame = live.next().await;
            accepted += u32::from(frame["data"]["id"] == id.as_str());
            delivered += u32::from(frame["data"]["message_id"] == id.as_str());
        }
        assert_eq!((accepted, delivered), (1, 1));
        assert_eq!(live.ask(json!({ "type": "ping" })).await, json!({ "type": "pong" }), "no event arrives twice");
    }
    let path = format!("/v1/applications/acme/endpoints/{}", endpoint["id"].as_str().expect("an id"));
    assert_eq!(two.client.patch(&path, json!({ "description": "new" })).await.0, 200);
    assert_eq!(live.next_of("endpoint").await["data"]["change"], "updated");
    // A node that starts later learns who listens.
    let three = Server::start(&scratch, &[]);
    until_heard(&three, &mut live, MESSAGE).await;
    // A node may only deliver; its attempts are heard as well.
    drop((two, three));
    let accepts = Server::start(&scratch, &["--role", "api"]);
    let delivers = Server::start(&scratch, &["--role", "worker"]);
    let mut live = Live::open(&accepts).await;
    drop(one);
    live.subscribe(&["attempts"]).await;
    until_heard(&accepts, &mut live, DELIVERY).await;
    drop(delivers);
}

#[tokio::test(flavor = "multi_thread")]
async fn revoked_key_ends_its_stream_on_another_node() {
    let scratch = scratch();
    let (one, two) = (Server::start(&scratch, &[]), Server::start(&scratch, &[]));
    let (_, created) = one.client.post("/v1/auth/api-keys", json!({ "name": "short" })).await;
    let mut live = Live::with_token(&two, created["key"].as_str().expect("a key")).await;
    live.subscribe(&["messages"]).await;
    assert_eq!(one.client.delete(&format!("/v1/auth/api-keys/{}", created["id"].as_str().expect("an id"))).await.0, 200);
    assert_eq!(live.closed().await.0, 1008);
}

#[tokio::test(flavor = "multi_thread")]
async fn listener_survives_a_broken_connection_and_hears_of_the_gap() {
    let scratch = scratch();
    let (one, two) = (Server::start(&scratch, &[]), Server::start(&scratch, &[]));
    let (status, _) = one.client.post("/v1/applications", json!({ "name": "Acme", "uid": "acme" })).await;
    assert_eq!(status, 201);
    let mut live = Live::open(&one).await;
    live.subscribe(&["messages"]).await;
    until_heard(&two, &mut live, MESSAGE).await;
    scratch.database.as_ref().expect("a database").execute(super::nodes::BREAK_CONNECTIONS).await;
    assert!(live.next_of("gap").await["dropped"].as_u64().is_some_and(|dropped| dropped > 0));
    until_heard(&two, &mut live, MESSAGE).await;
}
