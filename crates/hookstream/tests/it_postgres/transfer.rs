//! A move of the whole installation from SQLite to PostgreSQL and back, with what is still owed.

use std::{process::Output, time::Duration};

use hookstream_testkit::{
    eventually, postgres,
    receiver::{CannedResponse, Receiver},
};
use serde_json::{Value, json};

use crate::support::{KEY, Scratch, Server, hookstream, scratch};

/// What fails is tried again every two seconds, so that a receiver that is well again soon has it.
const SCHEDULE: [&str; 4] = ["--retry-schedule", "2,2,2,2,2,2,2,2,2,2,2,2", "--circuit-breaker-threshold", "0"];

fn directory() -> Scratch {
    let directory = || tempfile::tempdir().expect("a scratch directory");
    Scratch { directory: directory(), files: directory(), database: None }
}

fn place(scratch: &Scratch) -> String {
    match &scratch.database {
        Some(database) => database.url(),
        None => format!("sqlite:{}", scratch.path().display()),
    }
}

fn transfer(from: &Scratch, to: &Scratch) -> Output {
    let mut command = hookstream();
    command.args(["transfer", "--json", "--from", &place(from), "--to", &place(to)]);
    command.output().expect("it runs")
}

fn moved(from: &Scratch, to: &Scratch) -> Value {
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
    receiver.answer(|_| CannedResponse::status(503));
    let before = receiver.received().len();
    let mut ids = Vec::new();
    for number in 0..count {
        ids.push(server.client.message(json!({ "number": number })).await);
    }
    receiver.wait_for(before + count).await;
    eventually("every failure is on record", async || {
        for id in &ids {
            let (_, seen) = server.client.get(&format!("/v1/applications/acme/messages/{id}")).await;
            seen["attempts"].as_array().filter(|attempts| !attempts.is_empty())?;
        }
        Some(())
    })
    .await;
    ids
}

/// They are delivered now, each under its id and signed with the endpoint's secret, and their failures are still on record.
async fn arrive(server: &Server, receiver: &Receiver, ids: &[String], secret: &str) {
    let official = standardwebhooks::Webhook::new(secret).expect("a secret");
    for id in ids {
        let seen = server.client.until(id, "delivered").await;
        let attempts = seen["attempts"].as_array().expect("attempts");
        assert_eq!(attempts[0]["response_status"], 503, "{seen}");
        let arrived = receiver.received().into_iter().rev().find(|delivery| delivery.id() == *id).expect("it arrived");
        official.verify(&arrived.body, &arrived.headers).expect("it verifies");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_moves_to_postgres_and_back_with_what_is_owed() {
    let (first, second, third) = (directory(), scratch(), directory());
    let receiver = Receiver::start().await;

    let server = Server::start(&first, &SCHEDULE);
    let endpoint = server.client.acme(json!({}), &receiver.url()).await;
    let secret = endpoint["signing_secret"].as_str().expect("a secret").to_owned();
    let old = server.client.message(json!({ "old": true })).await;
    server.client.until(&old, "delivered").await;
    let ids = fail(&server, &receiver, 20).await;
    stop(server).await;

    let report = moved(&first, &second);
    assert_eq!([rows(&report, "messages"), rows(&report, "pending"), rows(&report, "api_keys")], [21, 20, 1]);
    let database = second.database.as_ref().expect("these tests are on PostgreSQL");
    let keys = postgres::connect(&database.url()).await.query("select prefix from api_keys", &[]).await.expect("rows");
    assert!(keys.len() == 1 && KEY.starts_with(&keys[0].get::<_, String>(0)));

    receiver.answer(|_| CannedResponse::status(200));
    // Secrets are moved as they are: without the key that the first one made, the second does not start.
    let key = first.path().join("encryption.key");
    let refused = hookstream().args(["serve", "--listen", "127.0.0.1:0", "--database-url", &database.url()]).output().expect("it runs");
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    let needed = report["encryption_keys"][0].as_str().expect("an id");
    assert!(!refused.status.success() && told.contains(needed) && told.contains("`encryption.key` in its data directory"), "{told}");
    let arguments = [&SCHEDULE[..], &["--encryption-key-file", key.to_str().expect("a path")]].concat();
    let server = Server::start(&second, &arguments);
    arrive(&server, &receiver, &ids, &secret).await;
    let (_, seen) = server.client.get(&format!("/v1/applications/acme/messages/{old}")).await;
    assert_eq!(seen["message"]["status"], "delivered", "history is there");
    let output = transfer(&second, &third);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && told.contains("the source is in use: node"), "{told}");
    let ids = fail(&server, &receiver, 5).await;
    stop(server).await;

    let report = moved(&second, &third);
    assert_eq!([rows(&report, "messages"), rows(&report, "pending")], [26, 5]);
    receiver.answer(|_| CannedResponse::status(200));
    let server = Server::start(&third, &arguments);
    arrive(&server, &receiver, &ids, &secret).await;
    stop(server).await;
    let output = transfer(&third, &second);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && told.contains("the target is not empty: it contains organizations"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_server_starts_on_what_is_half_there() {
    let (source, target, directory) = (directory(), scratch(), directory());
    let server = Server::start(&source, &SCHEDULE);
    let receiver = Receiver::start().await;
    server.client.acme(json!({}), &receiver.url()).await;
    stop(server).await;
    moved(&source, &target);
    moved(&source, &directory);
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
        let output = command.output().expect("it runs");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && told.contains("an unfinished transfer from sqlite:/old; finish it with"), "{told}");
    }
}
