//! `hookstream doctor`: the store is consistent after many kinds of events, and missing rows are named.

use std::{process::Output, time::Duration};

use hookstream_testkit::{
    eventually,
    receiver::{CannedResponse, Receiver},
};
use http::Method;
use serde_json::{Value, json};

use crate::support::{Scratch, Server, hookstream, scratch};

fn doctor(scratch: &Scratch, arguments: &[&str]) -> Output {
    let mut command = hookstream();
    command.arg("doctor").args(arguments);
    match &scratch.database {
        Some(database) => command.args(["--database-url", &database.url()]),
        None => command.arg("--data-dir").arg(scratch.path()),
    };
    command.output().expect("the command runs")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

async fn stop(mut server: Server) {
    server.terminate();
    assert_eq!(server.ended(Duration::from_secs(30)).await, Some(0));
}

/// Runs SQL on the store without Hookstream.
pub(crate) async fn tamper(scratch: &Scratch, sql: &str) {
    if let Some(database) = &scratch.database {
        return database.execute(sql).await;
    }
    for entry in std::fs::read_dir(scratch.path().join("days")).expect("the days directory") {
        let path = entry.expect("a file").path();
        if path.extension().is_some_and(|extension| extension == "db") {
            rusqlite::Connection::open(path).expect("opened").execute_batch(sql).expect("done");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn store_is_consistent_and_a_lost_row_is_named() {
    let directory = scratch();
    let server = Server::start(&directory, &["--retry-schedule", "0,3600", "--circuit-breaker-threshold", "0"]);
    let client = &server.client;
    let (good, failing) = (Receiver::start().await, Receiver::responding(|_| CannedResponse::status(500)).await);
    let first = client.acme(json!({}), &good.url()).await;
    let add = async |url: &str| {
        let (status, response) = client.post("/v1/applications/acme/endpoints", json!({ "url": url })).await;
        assert_eq!(status, 201, "{response}");
        format!("/v1/applications/acme/endpoints/{}", response["endpoint"]["id"].as_str().expect("an id"))
    };
    let off = add(&good.url()).await;
    client.patch(&off, json!({ "status": "disabled" })).await;
    let mut ids = Vec::new();
    for number in 0..10 {
        ids.push(client.message(json!({ "number": number })).await);
    }
    for id in &ids {
        client.until(id, "delivered").await;
    }

    // Skipped messages are recovered, delivered ones replayed, one endpoint fails, one is deleted.
    client.patch(&off, json!({ "status": "active" })).await;
    for (path, body) in [
        (format!("{off}/recover"), json!({ "since": "2020-01-01T00:00:00Z" })),
        (
            format!("/v1/applications/acme/endpoints/{}/replay", first["id"].as_str().expect("an id")),
            json!({ "since": "2020-01-01T00:00:00Z", "statuses": ["delivered"] }),
        ),
    ] {
        let (status, response) = client.post(&path, body).await;
        assert_eq!(status, 201, "{response}");
        let job = format!("/v1/jobs/{}", response["job"]["id"].as_str().expect("an id"));
        eventually("the job is done", async || (client.get(&job).await.1["job"]["status"] == "completed").then_some(())).await;
    }
    let gone = add(&failing.url()).await;
    let pending = client.message(json!({ "pending": true })).await;
    eventually("the first attempt failed", async || {
        let (_, seen) = client.get(&format!("/v1/applications/acme/messages/{pending}")).await;
        seen["attempts"].as_array()?.iter().any(|attempt| attempt["status"] == "failed").then_some(())
    })
    .await;
    client.send(Method::DELETE, &gone, &[], "").await;
    let kept = add(&failing.url()).await;
    let lost = client.message(json!({ "lost": true })).await;
    eventually("the first attempt failed", async || {
        let (_, seen) = client.get(&format!("/v1/applications/acme/messages/{lost}")).await;
        seen["attempts"].as_array()?.iter().any(|attempt| attempt["status"] == "failed").then_some(())
    })
    .await;
    if directory.database.is_some() {
        let output = doctor(&directory, &[]);
        assert!(output.status.success(), "while the server runs: {output:?}");
    } else {
        let output = doctor(&directory, &[]);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && stderr.contains("stop the server first"), "{stderr}");
    }
    stop(server).await;

    let output = doctor(&directory, &["--json"]);
    assert!(output.status.success(), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&report["sound"], &report["problems"]), (&json!(true), &json!([])));
    let total = &report["total"];
    let figure = |name: &str| total[name].as_i64().expect("a number");
    assert_eq!((figure("messages"), figure("accepted")), (12, 26), "{total}");
    assert!(figure("payload_bytes") > 0, "{total}");
    let parts = ["succeeded", "pending", "exhausted", "skipped", "cancelled"].map(figure);
    assert_eq!(parts.iter().sum::<i64>(), 26, "{total}");
    assert!(figure("pending") >= 1, "{total}: {kept}");

    // Rows are removed by hand.
    tamper(&directory, "delete from pending; delete from attempts where succeeded = false").await;
    let output = doctor(&directory, &[]);
    assert_eq!(output.status.code(), Some(1));
    let report = stdout(&output);
    assert!(
        report.contains("the rows differ from the counts: ") && report.contains(&format!("Message {lost} has 3 deliveries")),
        "{report}"
    );
    assert!(report.contains("pending 0 instead of "), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pending_delivery_without_a_payload_is_named() {
    let directory = scratch();
    let server = Server::start(&directory, &["--retry-schedule", "0,3600", "--circuit-breaker-threshold", "0"]);
    let failing = Receiver::responding(|_| CannedResponse::status(500)).await;
    server.client.acme(json!({}), &failing.url()).await;
    let id = server.client.message(json!({})).await;
    failing.wait_for(1).await;
    stop(server).await;
    assert!(doctor(&directory, &[]).status.success());
    tamper(&directory, "delete from payloads").await;
    let output = doctor(&directory, &[]);
    assert!(!output.status.success() && stdout(&output).contains(&format!("Message {id} is pending to endpoint")), "{}", stdout(&output));
    tamper(&directory, "delete from messages").await;
    let output = doctor(&directory, &[]);
    assert!(!output.status.success() && stdout(&output).contains("and is gone"), "{}", stdout(&output));
}

#[test]
fn missing_store_is_reported() {
    let directory = tempfile::tempdir().expect("a scratch directory");
    let output = hookstream().args(["doctor", "--data-dir"]).arg(directory.path()).output().expect("the command runs");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && stderr.contains("there is no store in"), "{stderr}");
}
