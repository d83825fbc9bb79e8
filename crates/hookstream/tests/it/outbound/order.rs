//! Ordering: an endpoint's order is kept through failures and kills.

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

/// Returns the numbers in the order in which they were accepted, each once.
fn accepted(received: &[Received], is_accepted: impl Fn(&Received) -> bool) -> Vec<u64> {
    let mut numbers = Vec::new();
    for number in received.iter().filter(|received| is_accepted(received)).map(number_of) {
        if !numbers.contains(&number) {
            numbers.push(number);
        }
    }
    numbers
}

#[tokio::test(flavor = "multi_thread")]
async fn strict_order_holds_through_failures_and_kills() {
    let scratch = scratch();
    let arguments = ["--allow-targets", "127.0.0.0/8", "--retry-schedule", "0,0,1,1", "--circuit-breaker-threshold", "0"];
    // Every fifth request fails. The accepted order is recorded when the response is chosen.
    let count = AtomicUsize::new(0);
    let order: Arc<Mutex<Vec<u64>>> = Arc::default();
    let kept = Arc::clone(&order);
    let receiver = Receiver::responding(move |received| {
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
        eventually("some messages", async || {
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
    eventually("all messages", async || (distinct().len() == 100).then_some(())).await;
    assert_eq!(distinct(), (0..100).collect::<Vec<u64>>());
    let order = order.lock().expect("no panic").clone();
    let mut latest = 0;
    for number in order {
        assert!(number == latest || number == latest + 1, "{number} after {latest}: only deliveries in flight at a kill are repeated");
        latest = number;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_delivered_in_parallel_and_each_in_order() {
    let scratch = scratch();
    let server = Server::start(&scratch, &["--retry-schedule", "2,2", "--circuit-breaker-threshold", "0"]);
    // The first delivery of the key "bad" fails.
    let failures = AtomicUsize::new(0);
    let receiver = Receiver::responding(move |received| {
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
    // Messages without a key share a backlog too.
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
    // Other keys did not wait for it.
    let at = |number: u64| received.iter().rev().find(|received| number_of(received) == number).expect("the delivery arrived").at;
    assert!(at(39) < at(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_message_blocks_is_skipped_or_parked() {
    let scratch = scratch();
    let server = Server::start(&scratch, &["--retry-schedule", "1,1", "--circuit-breaker-threshold", "0"]);
    let (status, _) = server.client.post("/v1/applications", json!({ "name": "Acme", "uid": "acme" })).await;
    assert_eq!(status, 201);
    let mut receivers = HashMap::new();
    for on_failure in ["block", "skip", "park"] {
        // The first message fails five times, more often than the schedule has attempts.
        let failures = AtomicUsize::new(0);
        let receiver = Receiver::responding(move |received| {
            let fails = number_of(received) == 0 && failures.fetch_add(1, Ordering::SeqCst) < 5;
            CannedResponse::status(if fails { 500 } else { 204 })
        })
        .await;
        let endpoint = json!({ "url": receiver.url(), "ordering": "strict", "on_failure": on_failure });
        let (status, response) = server.client.post("/v1/applications/acme/endpoints", endpoint).await;
        assert_eq!(status, 201, "{response}");
        receivers.insert(on_failure, receiver);
    }
    for number in 0..4 {
        server.client.message(json!({ "number": number })).await;
    }
    // A blocking message is retried until it succeeds.
    let blocked = receivers["block"].wait_for(9).await;
    assert_eq!(blocked.iter().map(number_of).collect::<Vec<_>>(), [0, 0, 0, 0, 0, 0, 1, 2, 3]);
    // A skipped message is exhausted after its schedule.
    let skipped = receivers["skip"].wait_for(6).await;
    assert_eq!(skipped.iter().map(number_of).collect::<Vec<_>>(), [0, 0, 0, 1, 2, 3]);
    // A parked message lets the others proceed at once.
    let parked = receivers["park"].wait_for(6).await;
    assert_eq!(parked.iter().map(number_of).collect::<Vec<_>>(), [0, 1, 2, 3, 0, 0]);
    assert!(parked[3].at - parked[0].at < Duration::from_secs(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn ordering_can_be_changed_while_messages_wait() {
    let scratch = scratch();
    let server = Server::start(&scratch, &["--retry-schedule", "1,1,1,1", "--circuit-breaker-threshold", "0"]);
    let receiver = Receiver::responding(|_| CannedResponse::status(500)).await;
    let endpoint = server.client.acme(json!({ "ordering": "strict" }), &receiver.url()).await;
    let mut ids = Vec::new();
    for number in 0..10 {
        ids.push(server.client.message(json!({ "number": number })).await);
    }
    receiver.wait_for(2).await;
    assert_eq!(accepted(&receiver.received(), |_| true), [0]);
    let path = format!("/v1/applications/acme/endpoints/{}", endpoint["id"].as_str().expect("an id"));
    let (status, response) = server.client.patch(&path, json!({ "ordering_key": "$.number" })).await;
    assert_eq!((status, response["code"].as_str()), (400, Some("invalid_field")), "{response}");
    let (status, response) = server.client.patch(&path, json!({ "ordering": "none" })).await;
    assert_eq!((status, &response["endpoint"]["ordering"]), (200, &json!("none")));
    receiver.respond(|_| CannedResponse::status(204));
    for id in &ids {
        server.client.until(id, "delivered").await;
    }
    let (status, response) = server.client.patch(&path, json!({ "ordering": "strict" })).await;
    assert_eq!((status, &response["endpoint"]["ordering"]), (200, &json!("strict")));
    for number in 10..20 {
        ids.push(server.client.message(json!({ "number": number })).await);
    }
    server.client.until(&ids[19], "delivered").await;
    let after = accepted(&receiver.received(), |received| number_of(received) >= 10);
    assert_eq!(after, (10..20).collect::<Vec<u64>>());
}
