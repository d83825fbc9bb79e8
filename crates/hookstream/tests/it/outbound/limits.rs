//! Rate limits, circuit breakers and `Retry-After`: deliveries are delayed and never dropped.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use hookstream_testkit::{
    eventually,
    receiver::{CannedResponse, Received, Receiver},
};
use serde_json::json;

use crate::support::{Server, scratch};

/// A second, less what a delivery may arrive later than it was sent: the rate holds for sending, and the receiver sees arrivals.
const SECOND: Duration = Duration::from_millis(900);

/// Maximum number of arrivals within any second.
pub(crate) fn most_in_a_second(received: &[Received]) -> usize {
    let mut times: Vec<_> = received.iter().map(|received| received.at).collect();
    times.sort_unstable();
    let within = |from: usize| times[from..].iter().take_while(|at| **at < times[from] + SECOND).count();
    (0..times.len()).map(within).max().unwrap_or(0)
}

async fn shown(server: &Server, endpoint: &serde_json::Value) -> serde_json::Value {
    let path = format!("/v1/applications/acme/endpoints/{}", endpoint["id"].as_str().expect("an id"));
    server.client.get(&path).await.1["endpoint"].clone()
}

fn path_of(endpoint: &serde_json::Value) -> String {
    format!("/v1/applications/acme/endpoints/{}", endpoint["id"].as_str().expect("an id"))
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoint_rate_is_never_exceeded_and_nothing_is_dropped() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let receiver = Receiver::start().await;
    server.client.acme(json!({ "rate_limit_per_second": 20 }), &receiver.url()).await;
    for number in 0..70 {
        server.client.message(json!({ "number": number })).await;
    }
    let received = receiver.wait_for(70).await;
    assert_eq!(received.len(), 70);
    let most = most_in_a_second(&received);
    assert!((15..=20).contains(&most), "{most} in a second");
    let took = received.iter().map(|received| received.at).max().expect("some") - received[0].at;
    assert!(took < Duration::from_secs(6), "the rate is used: {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn application_rate_covers_all_endpoints_and_a_change_applies_at_once() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let receivers = [Receiver::start().await, Receiver::start().await, Receiver::start().await];
    let (status, _) = server.client.post("/v1/applications", json!({ "name": "Acme", "uid": "acme", "rate_limit": 10 })).await;
    assert_eq!(status, 201);
    for receiver in &receivers {
        let (status, response) = server.client.post("/v1/applications/acme/endpoints", json!({ "url": receiver.url() })).await;
        assert_eq!(status, 201, "{response}");
    }
    for number in 0..60 {
        server.client.message(json!({ "number": number })).await;
    }
    let all = || receivers.iter().flat_map(Receiver::received).collect::<Vec<_>>();
    eventually("some deliveries", async || (all().len() >= 20).then_some(())).await;
    let received = all();
    assert!(most_in_a_second(&received) <= 10, "{} in a second", most_in_a_second(&received));
    assert!(receivers.iter().all(|receiver| !receiver.received().is_empty()), "each endpoint has received some");
    // At the old rate, the remaining deliveries would take 16 seconds.
    assert_eq!(server.client.patch("/v1/applications/acme", json!({ "rate_limit": null })).await.0, 200);
    eventually("the remaining deliveries at once", async || (all().len() == 180).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn breaker_opens_probes_and_closes() {
    let scratch = scratch();
    let arguments = ["--circuit-breaker-cooldown-s", "2", "--retry-schedule", "0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0"];
    let server = Server::start(&scratch, &arguments);
    let receiver = Receiver::responding(|_| CannedResponse::status(500)).await;
    let endpoint = server.client.acme(json!({}), &receiver.url()).await;
    assert_eq!((&endpoint["circuit_state"], &endpoint["held_until"]), (&json!("closed"), &json!(null)));
    let mut ids = Vec::new();
    for number in 0..30 {
        ids.push(server.client.message(json!({ "number": number })).await);
    }
    let open =
        eventually("an open breaker", async || Some(shown(&server, &endpoint).await).filter(|shown| shown["circuit_state"] == "open"))
            .await;
    assert_eq!(open["hold_reason"], "failing");
    assert!(open["held_until"].as_str().is_some());
    eventually("no attempt is in flight", async || {
        let (_, lanes) = server.client.get("/v1/engine/lanes").await;
        lanes["lanes"].as_array()?.iter().all(|lane| lane["in_flight"] == 0).then_some(())
    })
    .await;
    let attempts = receiver.received().len();
    assert!(attempts < 40, "{attempts} attempts");
    // One probe per cooldown.
    let received = receiver.wait_for(attempts + 2).await;
    let between = received[attempts + 1].at - received[attempts].at;
    assert!(between >= Duration::from_millis(1_500), "the second probe came {between:?} after the first");
    receiver.respond(|_| CannedResponse::status(204));
    for id in &ids {
        server.client.until(id, "delivered").await;
    }
    eventually("a closed breaker", async || (shown(&server, &endpoint).await["circuit_state"] == "closed").then_some(())).await;
    let last = server.client.message(json!({})).await;
    server.client.until(&last, "delivered").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn open_breaker_survives_a_restart_and_can_be_reset() {
    let scratch = scratch();
    let arguments = ["--circuit-breaker-cooldown-s", "3600", "--retry-schedule", "0,0,0,0,0,0,0"];
    let server = Server::start(&scratch, &arguments);
    let receiver = Receiver::responding(|_| CannedResponse::status(500)).await;
    let endpoint = server.client.acme(json!({}), &receiver.url()).await;
    let id = server.client.message(json!({})).await;
    eventually("an open breaker", async || (shown(&server, &endpoint).await["circuit_state"] == "open").then_some(())).await;
    server.kill();
    let server = Server::start(&scratch, &arguments);
    receiver.respond(|_| CannedResponse::status(204));
    let attempts = receiver.received().len();
    // Another endpoint receives the messages that this one does not.
    let other = Receiver::start().await;
    let (status, response) = server.client.post("/v1/applications/acme/endpoints", json!({ "url": other.url() })).await;
    assert_eq!(status, 201, "{response}");
    let later = server.client.message(json!({})).await;
    other.wait_for(1).await;
    assert_eq!(shown(&server, &endpoint).await["circuit_state"], "open");
    assert_eq!(receiver.received().len(), attempts, "nothing is sent");
    let (status, response) = server.client.post(&format!("{}/reset-circuit", path_of(&endpoint)), json!({})).await;
    assert_eq!((status, &response["endpoint"]["circuit_state"]), (200, &json!("closed")));
    for id in [&id, &later] {
        server.client.until(id, "delivered").await;
    }
    let (status, _) = server.client.post("/v1/applications/acme/endpoints/00000000000000000000000000000000/reset-circuit", json!({})).await;
    assert_eq!(status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_after_holds_the_whole_target() {
    let scratch = scratch();
    let server = Server::start(&scratch, &["--retry-schedule", "0,0,0,0,0"]);
    let requests = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&requests);
    let receiver = Receiver::responding(move |_| {
        if count.fetch_add(1, Ordering::SeqCst) == 0 {
            CannedResponse::status(429).header("retry-after", "3")
        } else {
            CannedResponse::status(204)
        }
    })
    .await;
    let endpoint = server.client.acme(json!({}), &receiver.url()).await;
    let first = server.client.message(json!({})).await;
    let held =
        eventually("a hold", async || Some(shown(&server, &endpoint).await).filter(|shown| shown["hold_reason"] == "retry_after")).await;
    assert_eq!(held["circuit_state"], "closed");
    let second = server.client.message(json!({})).await;
    for id in [&first, &second] {
        server.client.until(id, "delivered").await;
    }
    let received = receiver.received();
    assert_eq!(received.len(), 3);
    let wait = received[1].at - received[0].at;
    assert!(wait >= Duration::from_secs(3) && wait < Duration::from_secs(6), "{wait:?}");
    assert_eq!(shown(&server, &endpoint).await["hold_reason"], json!(null));
}

#[tokio::test(flavor = "multi_thread")]
async fn lanes_show_usage_and_waiting_deliveries() {
    let scratch = scratch();
    // The first start creates the store.
    drop(Server::start(&scratch, &[]));
    let stranger = scratch.add_other_organization().await;
    let server = Server::start(&scratch, &["--retry-schedule", "0,0,0,0,0,0,0,0,0", "--circuit-breaker-cooldown-s", "3600"]);
    let slow = Receiver::responding(|_| CannedResponse::status(204).after(Duration::from_secs(5))).await;
    let failing = Receiver::responding(|_| CannedResponse::status(500)).await;
    let first = server.client.acme(json!({ "rate_limit_per_second": 2 }), &slow.url()).await;
    let (_, second) = server.client.post("/v1/applications/acme/endpoints", json!({ "url": failing.url() })).await;
    for number in 0..50 {
        server.client.message(json!({ "number": number })).await;
    }
    let lane_of = |lanes: &serde_json::Value, endpoint: &serde_json::Value| {
        let lanes = lanes["lanes"].as_array().expect("lanes");
        lanes.iter().find(|lane| lane["endpoint_id"] == endpoint["id"]).cloned().unwrap_or_default()
    };
    eventually("both lanes", async || {
        let (status, lanes) = server.client.get("/v1/engine/lanes").await;
        assert_eq!((status, &lanes["left_out"]), (200, &json!(0)), "{lanes}");
        let (rated, held) = (lane_of(&lanes, &first), lane_of(&lanes, &second["endpoint"]));
        let waits = |lane: &serde_json::Value| lane["queued"].as_u64().unwrap_or(0) + lane["in_store"].as_u64().unwrap_or(0);
        (waits(&rated) >= 30 && rated["in_flight"].as_u64() >= Some(1) && waits(&held) >= 40 && held["circuit_state"] == "open")
            .then_some(())
    })
    .await;
    let (status, theirs) = server.client.with_key(stranger.expose()).get("/v1/engine/lanes").await;
    assert_eq!((status, theirs), (200, json!({ "lanes": [], "left_out": 0 })));
}

#[tokio::test(flavor = "multi_thread")]
async fn held_deliveries_end_with_their_endpoint() {
    let scratch = scratch();
    let arguments = ["--circuit-breaker-cooldown-s", "3600", "--retry-schedule", "0,0,0,0,0,0,0,0"];
    let server = Server::start(&scratch, &arguments);
    for end in ["disabled", "deleted"] {
        let receiver = Receiver::responding(|_| CannedResponse::status(500)).await;
        let (status, _) = server.client.post("/v1/applications", json!({ "name": end, "uid": end })).await;
        assert_eq!(status, 201);
        let (_, response) = server.client.post(&format!("/v1/applications/{end}/endpoints"), json!({ "url": receiver.url() })).await;
        let endpoint = format!("/v1/applications/{end}/endpoints/{}", response["endpoint"]["id"].as_str().expect("an id"));
        let mut ids = Vec::new();
        for number in 0..40 {
            let message = json!({ "event_type": "a", "payload": number });
            let (_, response) = server.client.post(&format!("/v1/applications/{end}/messages"), message).await;
            ids.push(response["message"]["id"].as_str().expect("an id").to_owned());
        }
        eventually("an open breaker", async || (server.client.get(&endpoint).await.1["endpoint"]["circuit_state"] == "open").then_some(()))
            .await;
        let (status, _) = match end {
            "disabled" => server.client.patch(&endpoint, json!({ "status": "disabled" })).await,
            _ => server.client.delete(&endpoint).await,
        };
        assert_eq!(status, 200);
        for id in &ids {
            let path = format!("/v1/applications/{end}/messages/{id}");
            eventually("the message is skipped", async || {
                (server.client.get(&path).await.1["message"]["status"] == "skipped").then_some(())
            })
            .await;
        }
    }
}
