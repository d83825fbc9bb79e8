//! Crash safety: the process is killed, and no accepted message is lost.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use hookstream_testkit::{
    eventually,
    receiver::{CannedResponse, Receiver},
};
use http::Method;
use serde_json::{Value, json};

use crate::support::{Server, scratch};

const MESSAGES: usize = 2_000;
const KILLS: usize = 20;
const SENDERS: usize = 8;
/// Attempts that may be in flight or unrecorded at a kill: the setting below, times four.
const IN_FLIGHT: usize = 8 * 4;

#[tokio::test(flavor = "multi_thread")]
async fn accepted_messages_survive_twenty_kills() {
    let directory = scratch();
    let arguments = ["--allow-targets", "127.0.0.0/8", "--max-in-flight-per-target", "8", "--retry-schedule", "0,0,0,1,1,1"];
    // Slightly slow, so that there are always attempts in flight.
    let receiver = Receiver::responding(|_| CannedResponse::status(204).after(Duration::from_millis(2))).await;
    let mut server = Server::start_on("127.0.0.1:0", &directory, &arguments);
    let address = server.address();
    server.client.acme(json!({}), &receiver.url()).await;

    let accepted: Arc<Mutex<Vec<String>>> = Arc::default();
    let started = Arc::new(AtomicUsize::new(0));
    let mut senders = tokio::task::JoinSet::new();
    for _ in 0..SENDERS {
        let (client, accepted, started) = (server.client.clone(), Arc::clone(&accepted), Arc::clone(&started));
        senders.spawn(async move {
            while started.fetch_add(1, Ordering::SeqCst) < MESSAGES {
                // If the server is down, the message is sent as a new one, because the old one may or may not be
                // stored.
                loop {
                    let body = json!({ "event_type": "invoice.paid", "payload": {} }).to_string();
                    let response = client.try_send(Method::POST, "/v1/applications/acme/messages", &[], body).await;
                    if let Some(response) = response.filter(|response| response.status() == 201) {
                        let response: Value = serde_json::from_slice(response.body()).expect("JSON");
                        accepted.lock().expect("no panic").push(response["message"]["id"].as_str().expect("an id").to_owned());
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        });
    }
    for kill in 1..=KILLS {
        // At a different point for each kill, spread over the stream.
        let moment = kill * MESSAGES / (KILLS + 1) + kill * 7 % 13;
        eventually("progress", async || (accepted.lock().expect("no panic").len() >= moment).then_some(())).await;
        server.kill();
        server = Server::start_on(&address, &directory, &arguments);
    }
    senders.join_all().await;

    let accepted: BTreeSet<String> = accepted.lock().expect("no panic").iter().cloned().collect();
    assert!(accepted.len() >= MESSAGES);
    let deliveries = eventually("all accepted messages", async || {
        let mut deliveries: HashMap<String, usize> = HashMap::new();
        for received in receiver.received() {
            *deliveries.entry(received.id()).or_default() += 1;
        }
        accepted.iter().all(|id| deliveries.contains_key(id)).then_some(deliveries)
    })
    .await;
    let duplicates: usize = deliveries.values().map(|count| count - 1).sum();
    println!("{} accepted, {} delivered, {duplicates} twice, over {KILLS} kills", accepted.len(), deliveries.len());
    assert!(duplicates <= KILLS * IN_FLIGHT, "{duplicates} duplicates");

    // The records agree: no delivery is pending, and every message is recorded as delivered.
    eventually("every message recorded as delivered", async || {
        let mut cursor = String::new();
        loop {
            let (_, page) = server.client.get(&format!("/v1/applications/acme/messages?limit=100&cursor={cursor}")).await;
            let messages = page["messages"].as_array().expect("messages");
            if messages.iter().any(|message| message["status"] != "delivered") {
                return None;
            }
            match page["cursor"].as_str() {
                Some(next) => next.clone_into(&mut cursor),
                None => return Some(()),
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_waits_for_attempts_and_a_second_signal_does_not() {
    let directory = scratch();
    let receiver = Receiver::responding(|_| CannedResponse::status(200).after(Duration::from_millis(700))).await;
    let mut server = Server::start(&directory, &[]);
    server.client.acme(json!({}), &receiver.url()).await;
    let id = server.client.message(json!({})).await;
    receiver.wait_for(1).await;
    server.terminate();
    assert_eq!(server.ended(Duration::from_secs(10)).await, Some(0));
    let mut server = Server::start(&directory, &[]);
    let seen = server.client.until(&id, "delivered").await;
    assert_eq!(seen["attempts"].as_array().map(Vec::len), Some(1), "the attempt finished and was recorded before the stop");

    receiver.respond(|_| CannedResponse::status(200).after(Duration::from_secs(60)));
    server.client.message(json!({})).await;
    receiver.wait_for(2).await;
    server.terminate();
    let client = server.client.clone();
    eventually("the first signal takes effect", async || client.try_send(Method::GET, "/v1/health", &[], "").await.is_none().then_some(()))
        .await;
    server.terminate();
    assert_eq!(server.ended(Duration::from_secs(3)).await, Some(1));
}
