//! Restart on a data directory with deliveries in flight.

use std::{collections::BTreeSet, time::Duration};

use hookstream_testkit::receiver::{CannedResponse, Receiver};
use serde_json::json;

use crate::support::{Server, scratch};

#[tokio::test(flavor = "multi_thread")]
async fn restart_resumes_deliveries_at_once() {
    let directory = scratch();
    let receiver = Receiver::responding(|_| CannedResponse::status(200).after(Duration::from_secs(60))).await;
    let server = Server::start(&directory, &[]);
    let endpoint = server.client.acme(json!({}), &receiver.url()).await;
    for _ in 0..3 {
        server.client.message(json!({})).await;
    }
    let first = receiver.wait_for(3).await;
    server.kill();

    receiver.respond(|_| CannedResponse::status(200));
    let began = tokio::time::Instant::now();
    let server = Server::start(&directory, &[]);
    let all = receiver.wait_for(6).await;
    assert!(began.elapsed() < Duration::from_secs(3), "the server waited {:?}", began.elapsed());
    let ids = |received: &[hookstream_testkit::receiver::Received]| {
        received.iter().map(hookstream_testkit::receiver::Received::id).collect::<BTreeSet<_>>()
    };
    assert_eq!(ids(&first), ids(&all[3..]), "the same ids again");
    let official = standardwebhooks::Webhook::new(endpoint["signing_secret"].as_str().expect("a secret")).expect("a secret");
    for delivery in &all[3..] {
        official.verify(&delivery.body, &delivery.headers).expect("the signature verifies");
    }
    for id in ids(&first) {
        server.client.until(&id, "delivered").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_right_after_start_is_orderly() {
    let directory = scratch();
    for _ in 0..10 {
        let mut server = Server::start(&directory, &[]);
        server.terminate();
        assert_eq!(server.ended(Duration::from_secs(30)).await, Some(0));
    }
}
