//! Rolling restart: nodes are stopped and started one after another while messages are sent.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hookstream_testkit::{
    eventually,
    receiver::{CannedResponse, Receiver},
};
use http::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::{Server, TestClient, scratch};

/// Sends messages until `stop` is set, each with an idempotency key, to whichever node responds. Returns the accepted
/// ids and the longest time until acceptance.
pub(crate) async fn send(clients: [TestClient; 2], number: usize, stop: Arc<AtomicBool>) -> (Vec<String>, Duration) {
    let (mut accepted, mut longest) = (Vec::new(), Duration::ZERO);
    for message in 0.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let key = format!("{number}-{message}");
        let body = json!({ "event_type": "invoice.paid", "payload": { "key": key } }).to_string();
        let began = Instant::now();
        for client in clients.iter().cycle().skip(message) {
            let headers = [("idempotency-key", key.as_str())];
            let response = client.try_send(Method::POST, "/v1/applications/acme/messages", &headers, body.clone()).await;
            if let Some(response) = response.filter(|response| response.status() == 201) {
                let response: Value = serde_json::from_slice(response.body()).expect("JSON");
                accepted.push(response["message"]["id"].as_str().expect("an id").to_owned());
                break;
            }
        }
        longest = longest.max(began.elapsed());
    }
    (accepted, longest)
}

#[tokio::test(flavor = "multi_thread")]
async fn rolling_restart_loses_and_repeats_nothing() {
    let scratch = scratch();
    let receiver = Receiver::responding(|_| CannedResponse::status(204).after(Duration::from_millis(5))).await;
    let mut servers = [Server::start(&scratch, &[]), Server::start(&scratch, &[])];
    servers[0].client.acme(json!({}), &receiver.url()).await;
    let stop = Arc::new(AtomicBool::new(false));
    let senders: Vec<_> = (0..4)
        .map(|number| {
            let clients = [servers[0].client.clone(), servers[1].client.clone()];
            tokio_util::task::TaskTracker::new().spawn(send(clients, number, Arc::clone(&stop)))
        })
        .collect();

    for round in 0..4 {
        let before = receiver.received().len();
        receiver.wait_for(before + 50).await;
        let server = &mut servers[round % 2];
        let address = server.address();
        server.terminate();
        assert_eq!(server.ended(Duration::from_secs(15)).await, Some(0));
        servers[round % 2] = Server::start_on(&address, &scratch, &["--allow-targets", "127.0.0.0/8"]);
    }
    stop.store(true, Ordering::SeqCst);
    let sent: Arc<Mutex<Vec<String>>> = Arc::default();
    for sender in senders {
        let (accepted, longest) = sender.await.expect("no panic");
        // The documented limit is one second on an idle machine.
        assert!(longest < Duration::from_secs(5), "a message took {longest:?} to be accepted");
        sent.lock().expect("no panic").extend(accepted);
    }
    let sent = sent.lock().expect("no panic").clone();
    let arrived = eventually("all accepted messages", async || {
        let mut arrived: HashMap<String, usize> = HashMap::new();
        receiver.received().iter().for_each(|delivery| *arrived.entry(delivery.id()).or_default() += 1);
        sent.iter().all(|id| arrived.contains_key(id)).then_some(arrived)
    })
    .await;
    assert!(sent.len() >= 200, "{} messages", sent.len());
    let twice: Vec<_> = arrived.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "attempts in flight finish before a node ends: {twice:?}");
}
