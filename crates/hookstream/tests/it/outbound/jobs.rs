//! Jobs: missed or selected deliveries are sent again exactly once, whatever happens meanwhile.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use hookstream_testkit::{
    eventually,
    receiver::{CannedResponse, Receiver},
};
use http::Method;
use serde_json::{Value, json};

use crate::support::{Server, TestClient, scratch};

const LONG_AGO: &str = "2020-01-01T00:00:00Z";

/// Path of an endpoint of `acme`.
fn path_of(endpoint: &Value) -> String {
    format!("/v1/applications/acme/endpoints/{}", endpoint["id"].as_str().expect("an id"))
}

async fn send(client: &TestClient, count: usize, status: &str) -> Vec<String> {
    let mut ids = Vec::with_capacity(count);
    for n in 0..count {
        ids.push(client.message(json!({ "n": n })).await);
    }
    for id in &ids {
        client.until(id, status).await;
    }
    ids
}

/// Starts a job and returns it.
async fn start(client: &TestClient, path: &str, body: Value) -> Value {
    let (status, response) = client.post(path, body).await;
    assert_eq!(status, 201, "{response}");
    response["job"].clone()
}

async fn get(client: &TestClient, job: &Value) -> Value {
    let (status, response) = client.get(&format!("/v1/jobs/{}", job["id"].as_str().expect("an id"))).await;
    assert_eq!(status, 200, "{response}");
    response["job"].clone()
}

async fn until(client: &TestClient, job: &Value, status: &str) -> Value {
    eventually(&format!("job {status}"), async || {
        let job = get(client, job).await;
        (job["status"] == status).then_some(job)
    })
    .await
}

/// Returns the triggers of a message's attempts.
async fn triggers(client: &TestClient, id: &str) -> Vec<Value> {
    let (_, seen) = client.get(&format!("/v1/applications/acme/messages/{id}")).await;
    seen["attempts"].as_array().expect("attempts").iter().map(|attempt| attempt["trigger_type"].clone()).collect()
}

fn counts(job: &Value) -> [Option<u64>; 4] {
    ["total", "processed", "requeued", "skipped"].map(|field| job[field].as_u64())
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_missed_by_a_disabled_endpoint_are_recovered_once() {
    let directory = scratch();
    let server = Server::start(&directory, &[]);
    let client = &server.client;
    let receiver = Receiver::start().await;
    let endpoint = client.acme(json!({}), &receiver.url()).await;
    let path = path_of(&endpoint);
    client.patch(&path, json!({ "status": "disabled" })).await;
    let ids = send(client, 60, "skipped").await;
    let recover = json!({ "since": LONG_AGO, "rate_limit": 500 });
    let (status, response) = client.post(&format!("{path}/recover"), recover.clone()).await;
    assert_eq!((status, &response["code"]), (400, &json!("endpoint_disabled")));
    client.patch(&path, json!({ "status": "active" })).await;
    let arrived_before = client.message(json!({})).await;
    client.until(&arrived_before, "delivered").await;

    let job = start(client, &format!("{path}/recover"), recover).await;
    assert_eq!((&job["kind"], &job["endpoint_id"], &job["total"]), (&json!("recover"), &endpoint["id"], &json!(60)));
    assert_eq!(job["statuses"], r#"["exhausted","skipped"]"#);
    let done = until(client, &job, "completed").await;
    assert_eq!(counts(&done), [60, 60, 60, 0].map(Some));
    assert!(done["started_at"].is_string() && done["completed_at"].is_string() && done["error"].is_null(), "{done}");
    for id in &ids {
        client.until(id, "delivered").await;
        assert_eq!(triggers(client, id).await, ["recover"]);
    }
    assert_eq!(receiver.received().len(), 61);
}

#[tokio::test(flavor = "multi_thread")]
async fn recovered_messages_of_a_failing_endpoint_follow_its_schedule() {
    let directory = scratch();
    let server = Server::start(&directory, &["--retry-schedule", "0", "--circuit-breaker-threshold", "0"]);
    let client = &server.client;
    let receiver = Receiver::responding(|_| CannedResponse::status(500)).await;
    let path = path_of(&client.acme(json!({}), &receiver.url()).await);
    let ids = send(client, 5, "failed").await;
    let recover = json!({ "since": LONG_AGO, "statuses": "[\"failed\"]" });
    let job = start(client, &format!("{path}/recover"), recover).await;
    until(client, &job, "completed").await;
    for id in &ids {
        client.until(id, "failed").await;
        assert_eq!(triggers(client, id).await, ["initial", "automatic", "recover", "automatic"]);
    }
    assert_eq!(get(client, &job).await["requeued"], 5, "deliveries that failed since are not taken again");
}

#[tokio::test(flavor = "multi_thread")]
async fn dry_run_only_counts_and_replay_sends() {
    let directory = scratch();
    let server = Server::start(&directory, &[]);
    let client = &server.client;
    let receiver = Receiver::start().await;
    let path = path_of(&client.acme(json!({}), &receiver.url()).await);
    let ids = send(client, 15, "delivered").await;
    let (_, other) = client.post("/v1/applications/acme/messages", json!({ "event_type": "other.type", "payload": null })).await;
    let other = other["message"]["id"].as_str().expect("an id").to_owned();
    client.until(&other, "delivered").await;
    let replay = json!({ "since": LONG_AGO, "event_types": ["invoice.paid"], "statuses": ["delivered"], "rate_limit": 5 });
    let (status, response) = client.post(&format!("{path}/replay?dry_run=1"), replay).await;
    assert_eq!(status, 200, "{response}");
    let dry_run = &response["dry_run"];
    assert_eq!((&dry_run["count"], &dry_run["is_complete"], &dry_run["duration_s"]), (&json!(15), &json!(true), &json!(3)), "{dry_run}");
    let sample: Vec<_> = dry_run["sample"].as_array().expect("a sample").iter().map(|message| message["id"].clone()).collect();
    assert_eq!(sample, ids[..10]);
    assert_eq!((&dry_run["sample"][0]["event_type"], &dry_run["sample"][0]["status"]), (&json!("invoice.paid"), &json!("delivered")));
    assert!(dry_run["sample"][0]["created_at"].is_string());
    let (_, list) = client.get("/v1/jobs").await;
    assert_eq!(list, json!({ "jobs": [], "cursor": null, "has_more": false }));

    let replay = json!({ "since": LONG_AGO, "event_types": ["invoice.paid"], "max_messages": 12, "rate_limit": 1000 });
    let job = start(client, &format!("{path}/replay"), replay).await;
    assert_eq!(counts(&until(client, &job, "completed").await), [12, 12, 12, 0].map(Some));
    receiver.wait_for(28).await;
    for (n, id) in ids.iter().enumerate() {
        client.until(id, "delivered").await;
        assert_eq!(triggers(client, id).await.len(), if n < 12 { 2 } else { 1 });
    }
    assert_eq!(triggers(client, &other).await.len(), 1);
    let mut received = HashMap::<_, u32>::new();
    for delivery in receiver.received() {
        *received.entry(delivery.id()).or_default() += 1;
    }
    assert_eq!((received.len(), received[&ids[0]], received[&ids[14]]), (16, 2, 1), "the ids stay the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn new_endpoint_receives_earlier_messages_by_replay() {
    let directory = scratch();
    let server = Server::start(&directory, &[]);
    let client = &server.client;
    let first = Receiver::start().await;
    client.acme(json!({}), &first.url()).await;
    let ids = send(client, 3, "delivered").await;
    let second = Receiver::start().await;
    let (_, response) =
        client.post("/v1/applications/acme/endpoints", json!({ "url": second.url(), "filter_types": ["invoice.paid"] })).await;
    let replay = json!({ "since": LONG_AGO, "statuses": ["missing"] });
    let job = start(client, &format!("{}/replay", path_of(&response["endpoint"])), replay).await;
    assert_eq!(counts(&until(client, &job, "completed").await), [3, 3, 3, 0].map(Some));
    let received: Vec<_> = second.wait_for(3).await.iter().map(hookstream_testkit::receiver::Received::id).collect();
    assert!(ids.iter().all(|id| received.contains(id)));
    assert_eq!(first.received().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicate_request_starts_one_job() {
    let directory = scratch();
    let server = Server::start(&directory, &[]);
    let client = &server.client;
    let receiver = Receiver::start().await;
    let path = format!("{}/replay", path_of(&client.acme(json!({}), &receiver.url()).await));
    send(client, 10, "delivered").await;
    let body = json!({ "since": LONG_AGO, "statuses": ["delivered"], "rate_limit": 10 });
    let mut clicks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (client, path, body) = (client.clone(), path.clone(), body.clone());
        clicks.spawn(async move { client.post(&path, body).await });
    }
    let responses = clicks.join_all().await;
    assert_eq!(responses.iter().filter(|(status, _)| *status == 201).count(), 1, "{responses:?}");
    let job = &responses[0].1["job"];
    assert!(responses.iter().all(|(status, response)| matches!(status, 200 | 201) && response["job"]["id"] == job["id"]), "{responses:?}");
    // With an idempotency key, the earlier job is its permanent response; another request with the key is rejected.
    let keyed = async |body: &Value| client.send(Method::POST, &path, &[("idempotency-key", "k")], body.to_string()).await;
    let (status, first) = keyed(&body).await;
    assert_eq!((status, &first["job"]["id"]), (200, &job["id"]));
    until(client, job, "completed").await;
    assert_eq!(keyed(&body).await, (200, first));
    assert_eq!(keyed(&json!({ "since": LONG_AGO })).await.0, 422);
    let (status, response) = client.post(&path, body).await;
    assert_eq!((status, &response["job"]["status"]), (200, &json!("completed")), "the same request was made a moment ago");
    receiver.wait_for(20).await;
    let (_, list) = client.get("/v1/jobs").await;
    assert_eq!(list["jobs"].as_array().map(Vec::len), Some(1));
    assert_eq!(receiver.received().len(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn job_continues_after_a_kill_and_repeats_nothing() {
    const MESSAGES: usize = 120;
    let directory = scratch();
    let arguments = ["--allow-targets", "127.0.0.0/8", "--max-in-flight-per-target", "8"];
    let mut server = Server::start_on("127.0.0.1:0", &directory, &arguments);
    let address = server.address();
    let receiver = Receiver::start().await;
    let path = path_of(&server.client.acme(json!({}), &receiver.url()).await);
    let ids = send(&server.client, MESSAGES, "delivered").await;
    let job = start(&server.client, &format!("{path}/replay"), json!({ "since": LONG_AGO, "rate_limit": 50 })).await;
    for part in [3, 2] {
        receiver.wait_for(MESSAGES + MESSAGES / part).await;
        server.kill();
        server = Server::start_on(&address, &directory, &arguments);
    }
    let done = until(&server.client, &job, "completed").await;
    let all = u64::try_from(MESSAGES).expect("small");
    assert_eq!(counts(&done), [all, all, all, 0].map(Some));
    for id in &ids {
        server.client.until(id, "delivered").await;
        assert_eq!(triggers(&server.client, id).await, ["initial", "replay"], "{id}");
    }
    let again = receiver.received().len() - 2 * MESSAGES;
    assert!(again <= 2 * 8 * 4, "{again} attempts were repeated");
}

#[tokio::test(flavor = "multi_thread")]
async fn job_keeps_its_rate_and_stops_when_cancelled() {
    let directory = scratch();
    let server = Server::start(&directory, &[]);
    let client = &server.client;
    let receiver = Receiver::start().await;
    let path = format!("{}/replay", path_of(&client.acme(json!({}), &receiver.url()).await));
    send(client, 60, "delivered").await;
    let started = Instant::now();
    let job = start(client, &path, json!({ "since": LONG_AGO, "rate_limit": 20 })).await;
    for wanted in [10, 20, 30] {
        receiver.wait_for(60 + wanted).await;
        // The first two arrive at once, and there are two deliveries per slice.
        let least = Duration::from_millis((u64::try_from(wanted).expect("small") - 2) * 1_000 / 20);
        assert!(started.elapsed() >= least, "{wanted} within {:?}", started.elapsed());
    }
    assert!(started.elapsed() < Duration::from_secs(6), "the job is not much slower: {:?}", started.elapsed());
    let id = job["id"].as_str().expect("an id");
    let (status, response) = client.post(&format!("/v1/jobs/{id}/cancel"), json!({})).await;
    assert_eq!((status, &response["job"]["status"], &response["job"]["total"]), (200, &json!("cancelled"), &json!(60)));
    let cancelled = get(client, &job).await;
    let requeued = usize::try_from(cancelled["requeued"].as_u64().expect("a number")).expect("small");
    assert!((30..60).contains(&requeued), "{cancelled}");
    assert_eq!(receiver.wait_for(60 + requeued).await.len(), 60 + requeued, "requeued deliveries stay pending");
    assert_eq!(client.post(&format!("/v1/jobs/{id}/cancel"), json!({})).await.0, 200);

    // Another job of the same rate takes half a second, in which the cancelled one would have added as many.
    let another = start(client, &path, json!({ "since": LONG_AGO, "rate_limit": 20, "max_messages": 10 })).await;
    until(client, &another, "completed").await;
    assert_eq!(receiver.wait_for(60 + requeued + 10).await.len(), 60 + requeued + 10);
    assert_eq!(get(client, &job).await["requeued"], cancelled["requeued"]);
    let job = another;
    let (status, response) = client.post(&format!("/v1/jobs/{}/cancel", job["id"].as_str().expect("an id")), json!({})).await;
    assert_eq!((status, &response["code"], &response["details"]["status"]), (409, &json!("job_ended"), &json!("completed")));
}

#[tokio::test(flavor = "multi_thread")]
async fn disabled_or_deleted_endpoint_fails_its_job() {
    let directory = scratch();
    let server = Server::start(&directory, &[]);
    let client = &server.client;
    let receiver = Receiver::start().await;
    let path = path_of(&client.acme(json!({}), &receiver.url()).await);
    send(client, 20, "delivered").await;
    let replay = json!({ "since": LONG_AGO, "rate_limit": 1 });
    let job = start(client, &format!("{path}/replay"), replay.clone()).await;
    receiver.wait_for(21).await;
    client.patch(&path, json!({ "status": "disabled" })).await;
    let failed = until(client, &job, "failed").await;
    assert_eq!(failed["error"], "endpoint_disabled: the endpoint was disabled; enable it, then start the job again");
    assert!(failed["requeued"].as_u64().is_some_and(|requeued| (1..20).contains(&requeued)), "{failed}");

    client.patch(&path, json!({ "status": "active" })).await;
    let job = start(client, &format!("{path}/replay"), replay).await;
    client.delete(&path).await;
    assert_eq!(until(client, &job, "failed").await["error"], "endpoint_deleted: the endpoint was deleted");
}
