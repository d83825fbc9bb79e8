//! Batches: several messages in one signed request, settled by its outcome.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use hookstream_testkit::{
    eventually,
    receiver::{CannedResponse, Received, Receiver},
};
use serde_json::{Value, json};

use crate::support::{Server, scratch};

/// Returns the entries of a batch, in order.
fn entries(received: &Received) -> Vec<Value> {
    serde_json::from_slice(&received.body).expect("a JSON array")
}

fn numbers(received: &Received) -> Vec<u64> {
    entries(received).iter().map(|entry| entry["payload"]["number"].as_u64().expect("a number")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_batched_into_one_signed_request() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let receiver = Receiver::start().await;
    let created = server.client.acme(json!({ "batch": { "max_size": 3, "max_wait_ms": 60000 } }), &receiver.url()).await;
    assert_eq!(created["batch"], json!({ "max_size": 3, "max_wait_ms": 60000 }));
    let mut ids = Vec::new();
    for number in 0..6 {
        ids.push(server.client.message(json!({ "number": number })).await);
    }
    let received = receiver.wait_for(2).await;
    let together: Vec<_> = received.iter().flat_map(numbers).collect();
    assert_eq!(together, [0, 1, 2, 3, 4, 5]);
    for received in &received {
        let first = &entries(received)[0];
        let number = usize::try_from(first["payload"]["number"].as_u64().expect("a number")).expect("small");
        assert_eq!((first["id"].as_str(), first["event_type"].as_str()), (Some(&*ids[number]), Some("invoice.paid")));
        assert!(received.id().starts_with("batch_"), "{}", received.id());
        assert_eq!((received.header("x-hookstream-batch-size"), received.header("content-type")), ("3", "application/json"));
        assert_eq!(received.header("x-hookstream-event-type"), "");
        let webhook = standardwebhooks::Webhook::new(created["signing_secret"].as_str().expect("a secret")).expect("a key");
        webhook.verify(&received.body, &received.headers).expect("the signature of the whole body");
    }
    assert_ne!(received[0].id(), received[1].id());
    for id in ids {
        let seen = server.client.until(&id, "delivered").await;
        assert_eq!(seen["attempts"].as_array().map(Vec::len), Some(1), "an attempt for each message");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn batch_is_sent_after_the_maximum_wait() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let receiver = Receiver::start().await;
    server.client.acme(json!({ "batch": { "max_size": 100, "max_wait_ms": 700 } }), &receiver.url()).await;
    let start = Instant::now();
    server.client.message(json!({ "number": 0 })).await;
    server.client.message(json!({ "number": 1 })).await;
    let received = receiver.wait_for(1).await;
    assert!(start.elapsed() >= Duration::from_millis(600), "{:?}", start.elapsed());
    assert_eq!(numbers(&received[0]), [0, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_batch_is_retried_whole_and_in_order() {
    let scratch = scratch();
    let server = Server::start(&scratch, &["--retry-schedule", "1,1", "--circuit-breaker-threshold", "0"]);
    let requests = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&requests);
    let receiver = Receiver::responding(move |_| {
        CannedResponse::status(if count.fetch_add(1, Ordering::SeqCst) == 0 { 503 } else { 204 }).body("why not")
    })
    .await;
    let batch = json!({ "ordering": "strict", "batch": { "max_size": 4, "max_wait_ms": 300 } });
    server.client.acme(batch, &receiver.url()).await;
    for number in 0..12 {
        server.client.message(json!({ "number": number })).await;
    }
    let received = eventually("all messages", async || {
        let received = receiver.received();
        (received.iter().skip(1).map(|received| numbers(received).len()).sum::<usize>() >= 12).then_some(received)
    })
    .await;
    let (first, rest) = received.split_first().expect("a request");
    let arrived: Vec<_> = rest.iter().flat_map(numbers).collect();
    assert_eq!(arrived, (0..12).collect::<Vec<_>>(), "in order, each once");
    assert!(numbers(first).len() > 1 && rest.iter().all(|received| numbers(received).len() <= 4), "{received:?}");
    let id = entries(first)[0]["id"].as_str().expect("an id").to_owned();
    let seen = server.client.until(&id, "delivered").await;
    let mut statuses: Vec<_> =
        seen["attempts"].as_array().expect("attempts").iter().map(|attempt| attempt["response_status"].clone()).collect();
    statuses.sort_by_key(Value::as_u64);
    assert_eq!(statuses, [json!(204), json!(503)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn batch_handles_text_large_payloads_and_a_changed_policy() {
    let scratch = scratch();
    let server = Server::start(&scratch, &["--payload-limit-bytes", "4096"]);
    let receiver = Receiver::start().await;
    let created = server.client.acme(json!({ "batch": { "max_size": 10, "max_wait_ms": 200 } }), &receiver.url()).await;
    server.client.message(json!("just text")).await;
    server.client.message(json!({ "filler": "x".repeat(3_000) })).await;
    server.client.message(json!({ "filler": "y".repeat(3_000) })).await;
    let received = receiver.wait_for(2).await;
    let payloads: Vec<_> = received.iter().flat_map(entries).map(|entry| entry["payload"].clone()).collect();
    assert_eq!(payloads[0], json!("just text"));
    assert_eq!(payloads.len(), 3);
    assert!(received.iter().all(|received| received.body.len() < 4_096 + 500), "at most the largest payload plus its envelope");
    // Without batching, each message is sent in its own request again.
    let path = format!("/v1/applications/acme/endpoints/{}", created["id"].as_str().expect("an id"));
    let (status, changed) = server.client.patch(&path, json!({ "batch": null })).await;
    assert_eq!((status, &changed["endpoint"]["batch"]), (200, &Value::Null));
    let id = server.client.message(json!({ "number": 7 })).await;
    let received = receiver.wait_for(3).await;
    assert_eq!((received[2].id(), &received[2].body[..]), (id, &br#"{"number":7}"#[..]));
}
