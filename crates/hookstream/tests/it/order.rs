//! Where an order is asked for it is kept: through failures, kills and whatever is behind.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use hookstream_testkit::{
    eventually,
    receiver::{CannedResponse, Received, Receiver},
};
use serde_json::{Value, json};

use crate::support::{Server, scratch};

fn number_of(received: &Received) -> u64 {
    let payload: Value = serde_json::from_slice(&received.body).expect("JSON");
    payload["number"].as_u64().expect("a number")
}

/// The numbers in the order in which they were taken, each once.
fn taken(received: &[Received], is_taken: impl Fn(&Received) -> bool) -> Vec<u64> {
    let mut numbers = Vec::new();
    for number in received.iter().filter(|received| is_taken(received)).map(number_of) {
        if !numbers.contains(&number) {
            numbers.push(number);
        }
    }
    numbers
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strict_order_holds_through_failures_and_kills() {
    let scratch = scratch();
    let arguments = ["--allow-targets", "127.0.0.0/8", "--retry-schedule", "0,0,1,1", "--circuit-breaker-threshold", "0"];
    // Every fifth request fails. What was taken is told by the answer, so it is kept beside it.
    let count = AtomicUsize::new(0);
    let order: Arc<Mutex<Vec<u64>>> = Arc::default();
    let kept = Arc::clone(&order);
    let receiver = Receiver::answering(move |received| {
        if count.fetch_add(1, Ordering::SeqCst) % 5 == 3 {
            return CannedResponse::status(500);
        }
        kept.lock().expect("no panic").push(number_of(received));
        CannedResponse::status(204).after(Duration::from_millis(2))
    })
    .await;
    let mut server = Server::start_on("127.0.0.1:0", &scratch, &arguments);
    let address = server.address();
    server.client.acme(json!({ "ordering": "strict" }), &receiver.url()).await;
    let mut sent = 0;
    for _ in 0..4 {
        for _ in 0..25 {
            server.client.message(json!({ "number": sent })).await;
            sent += 1;
        }
        eventually("some of them", async || {
            (order.lock().expect("no panic").len() * 2 > usize::try_from(sent).expect("small")).then_some(())
        })
        .await;
        server.kill();
        server = Server::start_on(&address, &scratch, &arguments);
    }
    let distinct = || {
        let mut seen = Vec::new();
        for number in order.lock().expect("no panic").iter() {
            if !seen.contains(number) {
                seen.push(*number);
            }
        }
        seen
    };
    eventually("all of them", async || (distinct().len() == 100).then_some(())).await;
    assert_eq!(distinct(), (0..100).collect::<Vec<u64>>());
    let order = order.lock().expect("no panic").clone();
    let mut latest = 0;
    for number in order {
        assert!(number == latest || number == latest + 1, "{number} after {latest}: only what was under way at a kill comes twice");
        latest = number;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_go_side_by_side_and_each_in_its_order() {
    let scratch = scratch();
    let server = Server::start(&scratch, &["--retry-schedule", "2,2", "--circuit-breaker-threshold", "0"]);
    // What is of the key "bad" fails at first.
    let failures = AtomicUsize::new(0);
    let receiver = Receiver::answering(move |received| {
        let payload: Value = serde_json::from_slice(&received.body).expect("JSON");
        let fails = payload["customer"]["id"] == "bad" && failures.fetch_add(1, Ordering::SeqCst) == 0;
        CannedResponse::status(if fails { 500 } else { 204 })
    })
    .await;
    server.client.acme(json!({ "ordering": "key", "ordering_key": "$.customer.id" }), &receiver.url()).await;
    for number in 0..40_u64 {
        let key = if number % 4 == 0 { json!("bad") } else { json!(number % 4) };
        server.client.message(json!({ "number": number, "customer": { "id": key } })).await;
    }
    // What has no key is in a line too.
    for number in 40..44_u64 {
        server.client.message(json!({ "number": number })).await;
    }
    let received = receiver.wait_for(45).await;
    let mut by_key: HashMap<String, Vec<u64>> = HashMap::new();
    for received in &received {
        let payload: Value = serde_json::from_slice(&received.body).expect("JSON");
        by_key.entry(payload["customer"]["id"].to_string()).or_default().push(number_of(received));
    }
    assert_eq!(by_key.len(), 5);
    for (key, numbers) in by_key {
        let expected = numbers.len();
        assert!(numbers.is_sorted(), "{key}: {numbers:?}");
        assert_eq!(
            expected,
            match key.as_str() {
                "null" => 4,
                "\"bad\"" => 11,
                _ => 10,
            },
            "{key}"
        );
    }
    // The others did not wait for it.
    let at = |number: u64| received.iter().rev().find(|received| number_of(received) == number).expect("it arrived").at;
    assert!(at(39) < at(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_fails_blocks_is_skipped_or_parked() {
    let scratch = scratch();
    let server = Server::start(&scratch, &["--retry-schedule", "1,1", "--circuit-breaker-threshold", "0"]);
    let (status, _) = server.client.post("/v1/applications", json!({ "name": "Acme", "uid": "acme" })).await;
    assert_eq!(status, 201);
    let mut receivers = HashMap::new();
    for on_failure in ["block", "skip", "park"] {
        // The first message fails five times, more often than the schedule has tries.
        let failures = AtomicUsize::new(0);
        let receiver = Receiver::answering(move |received| {
            let fails = number_of(received) == 0 && failures.fetch_add(1, Ordering::SeqCst) < 5;
            CannedResponse::status(if fails { 500 } else { 204 })
        })
        .await;
        let endpoint = json!({ "url": receiver.url(), "ordering": "strict", "on_failure": on_failure });
        let (status, answer) = server.client.post("/v1/applications/acme/endpoints", endpoint).await;
        assert_eq!(status, 201, "{answer}");
        receivers.insert(on_failure, receiver);
    }
    for number in 0..4 {
        server.client.message(json!({ "number": number })).await;
    }
    // One that blocks is tried until it arrives.
    let blocked = receivers["block"].wait_for(9).await;
    assert_eq!(blocked.iter().map(number_of).collect::<Vec<_>>(), [0, 0, 0, 0, 0, 0, 1, 2, 3]);
    // One that is skipped is given up after its schedule.
    let skipped = receivers["skip"].wait_for(6).await;
    assert_eq!(skipped.iter().map(number_of).collect::<Vec<_>>(), [0, 0, 0, 1, 2, 3]);
    // One that is parked lets the others pass at once.
    let parked = receivers["park"].wait_for(6).await;
    assert_eq!(parked.iter().map(number_of).collect::<Vec<_>>(), [0, 1, 2, 3, 0, 0]);
    assert!(parked[3].at - parked[0].at < Duration::from_secs(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_can_be_asked_for_and_given_up_while_messages_wait() {
    let scratch = scratch();
    let server = Server::start(&scratch, &["--retry-schedule", "1,1,1,1", "--circuit-breaker-threshold", "0"]);
    let receiver = Receiver::answering(|_| CannedResponse::status(500)).await;
    let endpoint = server.client.acme(json!({ "ordering": "strict" }), &receiver.url()).await;
    let mut ids = Vec::new();
    for number in 0..10 {
        ids.push(server.client.message(json!({ "number": number })).await);
    }
    receiver.wait_for(2).await;
    assert_eq!(taken(&receiver.received(), |_| true), [0]);
    let path = format!("/v1/applications/acme/endpoints/{}", endpoint["id"].as_str().expect("an id"));
    let (status, answer) = server.client.patch(&path, json!({ "ordering_key": "$.number" })).await;
    assert_eq!((status, answer["code"].as_str()), (400, Some("invalid_field")), "{answer}");
    let (status, answer) = server.client.patch(&path, json!({ "ordering": "none" })).await;
    assert_eq!((status, &answer["endpoint"]["ordering"]), (200, &json!("none")));
    receiver.answer(|_| CannedResponse::status(204));
    for id in &ids {
        server.client.until(id, "delivered").await;
    }
    let (status, answer) = server.client.patch(&path, json!({ "ordering": "strict" })).await;
    assert_eq!((status, &answer["endpoint"]["ordering"]), (200, &json!("strict")));
    for number in 10..20 {
        ids.push(server.client.message(json!({ "number": number })).await);
    }
    server.client.until(&ids[19], "delivered").await;
    let after = taken(&receiver.received(), |received| number_of(received) >= 10);
    assert_eq!(after, (10..20).collect::<Vec<u64>>());
}
