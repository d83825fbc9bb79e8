//! Environments: visibility, changes, and enforcement of their limits.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use hookstream_testkit::{
    eventually,
    receiver::{CannedResponse, Receiver},
};
use serde_json::{Value, json};

use crate::{
    outbound::expiry::{now, stop, store_old},
    support::{Server, TestClient, scratch},
};

/// Text that compresses badly: 2,000 characters, different for each number.
fn noise(number: u64) -> Value {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let text = (0..2_000).map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'0' + u8::try_from(state % 74).expect("small"))
    });
    text.map(|char| if char == '\\' { '_' } else { char }).collect::<String>().into()
}

async fn own(client: &TestClient) -> String {
    let (status, response) = client.get("/v1/environments").await;
    assert_eq!((status, response["environments"].as_array().map(Vec::len)), (200, Some(1)), "{response}");
    format!("/v1/environments/{}", response["environments"][0]["id"].as_str().expect("an id"))
}

async fn usage(client: &TestClient) -> Value {
    client.get("/v1/usage").await.1["usage"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn budget_overrun_removes_the_oldest_payloads_and_rejects_only_for_pending_ones() {
    let directory = scratch();
    let server =
        Server::start(&directory, &["--retry-schedule", "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1", "--circuit-breaker-threshold", "0"]);
    let client = &server.client;
    let is_up = Arc::new(AtomicBool::new(true));
    let up = Arc::clone(&is_up);
    let receiver = Receiver::responding(move |_| CannedResponse::status(if up.load(Ordering::SeqCst) { 200 } else { 500 })).await;
    client.acme(json!({}), &receiver.url()).await;
    let mut ids = Vec::new();
    for number in 0..8 {
        ids.push(client.message(noise(number)).await);
    }
    for id in &ids {
        client.until(id, "delivered").await;
    }
    let environment = own(client).await;
    let (status, response) = client.patch(&environment, json!({ "max_payload_bytes": 9_000 })).await;
    assert_eq!(status, 200, "{response}");
    eventually("the payloads are within the budget", async || (usage(client).await["payload_bytes"].as_i64()? <= 9_000).then_some(()))
        .await;
    let storage = usage(client).await["storage"].clone();
    assert_eq!((&storage["max_payload_bytes"], &storage["payload_retention_days"]), (&json!(9_000), &json!(30)), "{storage}");
    let mut expired = Vec::new();
    for id in &ids {
        let (_, seen) = client.get(&format!("/v1/applications/acme/messages/{id}")).await;
        assert_eq!((&seen["message"]["status"], seen["attempts"].as_array().map(Vec::len)), (&json!("delivered"), Some(1)));
        expired.push(seen["message"]["payload_expired"] == true);
    }
    assert_eq!(expired, [true, true, true, true, false, false, false, false], "the oldest go first");

    // Payloads of pending deliveries are not removed: further messages are rejected.
    is_up.store(false, Ordering::SeqCst);
    let accepted = Mutex::new(Vec::new());
    let refused = eventually("messages are refused", async || {
        let number = 100 + accepted.lock().expect("no panic").len() as u64;
        let (status, response) =
            client.post("/v1/applications/acme/messages", json!({ "event_type": "invoice.paid", "payload": noise(number) })).await;
        if status == 201 {
            accepted.lock().expect("no panic").push(response["message"]["id"].as_str()?.to_owned());
        }
        (status != 201).then_some((status, response))
    })
    .await;
    let pending = accepted.into_inner().expect("no panic");
    assert_eq!((refused.0, &refused.1["code"]), (429, &json!("storage_budget_reached")), "{}", refused.1);
    assert_eq!(refused.1["details"]["max_payload_bytes"], 9_000);
    assert!(refused.1["error"].as_str().is_some_and(|text| text.contains("PATCH /v1/environments/")), "{}", refused.1);
    for id in &pending {
        let (_, seen) = client.get(&format!("/v1/applications/acme/messages/{id}")).await;
        assert_eq!((&seen["message"]["status"], &seen["message"]["payload_expired"]), (&json!("pending"), &json!(false)));
    }

    // Space is available again after the deliveries succeed.
    is_up.store(true, Ordering::SeqCst);
    for id in &pending {
        client.until(id, "delivered").await;
    }
    let id = eventually("messages are accepted again", async || {
        let body = json!({ "event_type": "invoice.paid", "payload": noise(999) });
        let (status, response) = client.post("/v1/applications/acme/messages", body).await;
        (status == 201).then(|| response["message"]["id"].as_str().expect("an id").to_owned())
    })
    .await;
    client.until(&id, "delivered").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn environment_retention_is_applied() {
    let directory = scratch();
    let server = Server::start(&directory, &[]);
    let receiver = Receiver::start().await;
    let endpoint = server.client.acme(json!({}), &receiver.url()).await;
    let environment = own(&server.client).await;
    let (status, _) = server.client.patch(&environment, json!({ "payload_retention_days": 2 })).await;
    assert_eq!(status, 200);
    stop(server).await;
    let day = std::time::Duration::from_secs(24 * 3600);
    let skipped =
        hookstream_store::delivery::deliveries::NewState::Skipped(hookstream_model::delivery::state::SkipReason::EndpointDisabled);
    let old = store_old(&directory, &endpoint, now() - day * 4, skipped, "[1]").await;
    let new = store_old(&directory, &endpoint, now() - day, skipped, "[2]").await;
    let server = Server::start(&directory, &[]);
    let expired = async |id: &str| {
        let (_, seen) = server.client.get(&format!("/v1/applications/acme/messages/{id}")).await;
        seen["message"]["payload_expired"] == true
    };
    eventually("the old one has expired", async || expired(&old).await.then_some(())).await;
    assert!(!expired(&new).await);
    let (status, response) = server.client.patch(&environment, json!({ "retention_days": 3 })).await;
    assert_eq!(status, 200, "{response}");
    stop(server).await;

    // Messages expire earlier as well.
    let server = Server::start(&directory, &[]);
    let gone = format!("/v1/applications/acme/messages/{old}");
    eventually("the old one is gone", async || (server.client.get(&gone).await.0 == 404).then_some(())).await;
    assert_eq!(server.client.get(&format!("/v1/applications/acme/messages/{new}")).await.0, 200);
    assert_eq!(usage(&server.client).await["messages"], 1);
    stop(server).await;
}
