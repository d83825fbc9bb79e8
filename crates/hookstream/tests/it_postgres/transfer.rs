//! Transfer of a whole installation from SQLite to PostgreSQL and back, including pending deliveries.

use std::{process::Output, time::Duration};

use hookstream_testkit::{
    eventually, postgres,
    receiver::{CannedResponse, Receiver},
};
use serde_json::{Value, json};

use crate::support::{KEY, Scratch, Server, hookstream, scratch};

/// Failed deliveries are retried every two seconds, so that a recovered receiver gets them soon.
const SCHEDULE: [&str; 4] = ["--retry-schedule", "2,2,2,2,2,2,2,2,2,2,2,2", "--circuit-breaker-threshold", "0"];

fn directory() -> Scratch {
    let directory = || tempfile::tempdir().expect("a scratch directory");
    Scratch { directory: directory(), files: directory(), database: None }
}

fn location(scratch: &Scratch) -> String {
    match &scratch.database {
        Some(database) => database.url(),
        None => format!("sqlite:{}", scratch.path().display()),
    }
}

fn transfer(from: &Scratch, to: &Scratch) -> Output {
    let mut command = hookstream();
    command.args(["transfer", "--json", "--from", &location(from), "--to", &location(to)]);
    command.output().expect("the command runs")
}

fn transferred(from: &Scratch, to: &Scratch) -> Value {
    let output = transfer(from, to);
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn rows(report: &Value, table: &str) -> u64 {
    let tables = report["tables"].as_array().expect("tables");
    let found = tables.iter().find(|found| found["table"] == table).expect("the table");
    assert_eq!(found["equal"], true, "{found}");
    found["rows"].as_u64().expect("a number")
}

async fn stop(mut server: Server) {
    server.terminate();
    assert_eq!(server.ended(Duration::from_secs(30)).await, Some(0));
}

/// Sends messages that fail at least once, and returns their ids.
async fn fail(server: &Server, receiver: &Receiver, count: usize) -> Vec<String> {
    receiver.respond(|_| CannedResponse::status(503));
    let before = receiver.received().len();
    let mut ids = Vec::new();
    for number in 0..count {
        ids.push(server.client.message(json!({ "number": number })).await);
    }
    receiver.wait_for(before + count).await;
    eventually("every failure is recorded", async || {
        for id in &ids {
            let (_, seen) = server.client.get(&format!("/v1/applications/acme/messages/{id}")).await;
            seen["attempts"].as_array().filter(|attempts| !attempts.is_empty())?;
        }
        Some(())
    })
    .await;
    ids
}

/// Checks that the messages are delivered with their ids and the endpoint's signature, and that their failures are
/// recorded.
async fn arrive(server: &Server, receiver: &Receiver, ids: &[String], secret: &str) {
    let official = standardwebhooks::Webhook::new(secret).expect("a secret");
    for id in ids {
        let seen = server.client.until(id, "delivered").await;
        let attempts = seen["attempts"].as_array().expect("attempts");
        assert_eq!(attempts[0]["response_status"], 503, "{seen}");
        let arrived = receiver.received().into_iter().rev().find(|delivery| delivery.id() == *id).expect("the delivery arrived");
        official.verify(&arrived.body, &arrived.headers).expect("the signature verifies");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn installation_transfers_to_postgres_and_back_with_pending_deliveries() {
    let (first, second, third) = (directory(), scratch(), directory());
    let receiver = Receiver::start().await;

    let server = Server::start(&first, &SCHEDULE);
    let endpoint = server.client.acme(json!({}), &receiver.url()).await;
    let secret = endpoint["signing_secret"].as_str().expect("a secret").to_owned();
    let old = server.client.message(json!({ "old": true })).await;
    server.client.until(&old, "delivered").await;
    let ids = fail(&server, &receiver, 20).await;
    stop(server).await;

    let report = transferred(&first, &second);
    assert_eq!([rows(&report, "messages"), rows(&report, "pending"), rows(&report, "api_keys")], [21, 20, 1]);
    let database = second.database.as_ref().expect("these tests are on PostgreSQL");
    let keys = postgres::connect(&database.url()).await.query("select prefix from api_keys", &[]).await.expect("rows");
    assert!(keys.len() == 1 && KEY.starts_with(&keys[0].get::<_, String>(0)));

    receiver.respond(|_| CannedResponse::status(200));
    // Secrets are transferred sealed: without the key that the first installation generated, the second does not
    // start.
    let key = first.path().join("encryption.key");
    let refused =
        hookstream().args(["serve", "--listen", "127.0.0.1:0", "--database-url", &database.url()]).output().expect("the command runs");
    let stderr = String::from_utf8_lossy(&refused.stderr).into_owned();
    let needed = report["encryption_keys"][0].as_str().expect("an id");
    assert!(!refused.status.success() && stderr.contains(needed) && stderr.contains("`encryption.key` in its data directory"), "{stderr}");
    let arguments = [&SCHEDULE[..], &["--encryption-key-file", key.to_str().expect("a path")]].concat();
    let server = Server::start(&second, &arguments);
    arrive(&server, &receiver, &ids, &secret).await;
    let (_, seen) = server.client.get(&format!("/v1/applications/acme/messages/{old}")).await;
    assert_eq!(seen["message"]["status"], "delivered", "the history is transferred");
    let output = transfer(&second, &third);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && stderr.contains("the source is in use: node"), "{stderr}");
    let ids = fail(&server, &receiver, 5).await;
    stop(server).await;

    let report = transferred(&second, &third);
    assert_eq!([rows(&report, "messages"), rows(&report, "pending")], [26, 5]);
    receiver.respond(|_| CannedResponse::status(200));
    let server = Server::start(&third, &arguments);
    arrive(&server, &receiver, &ids, &secret).await;
    stop(server).await;
    let output = transfer(&third, &second);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && stderr.contains("the target is not empty: it contains organizations"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn server_does_not_start_on_an_unfinished_transfer() {
    let (source, target, directory) = (directory(), scratch(), directory());
    let server = Server::start(&source, &SCHEDULE);
    let receiver = Receiver::start().await;
    server.client.acme(json!({}), &receiver.url()).await;
    stop(server).await;
    transferred(&source, &target);
    transferred(&source, &directory);
    let mark = "insert into settings (name, value) values ('transfer_from', '{\"source\":\"sqlite:/old\",\"starts\":1,\"step\":null,\"after\":[]}')";
    target.database.as_ref().expect("these tests are on PostgreSQL").execute(mark).await;
    let core = rusqlite::Connection::open(directory.path().join("core.db")).expect("opened");
    core.execute(mark, []).expect("written");
    for half in [&target, &directory] {
        let mut command = hookstream();
        command.args(["serve", "--listen", "127.0.0.1:0"]);
        match &half.database {
            Some(database) => command.args(["--database-url", &database.url()]),
            None => command.arg("--data-dir").arg(half.path()),
        };
        let output = command.output().expect("the command runs");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && stderr.contains("an unfinished transfer from sqlite:/old; finish it with"), "{stderr}");
    }
}
