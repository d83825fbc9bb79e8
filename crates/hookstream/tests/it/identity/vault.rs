//! Secrets at rest: none is stored in the clear, a wrong key is rejected, and keys are rotated while messages flow.

use std::{
    path::{Path, PathBuf},
    process::Output,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hookstream_model::operations::audit_log::Action;
use hookstream_store::{
    PageRequest,
    identity::organizations,
    operations::audit_log::{self, Filter, Reach},
};
use hookstream_testkit::{
    eventually, postgres,
    receiver::{Received, Receiver},
};
use http::Method;
use serde_json::json;

use crate::support::{Scratch, Server, TestClient, hookstream, scratch};

/// Signing secret supplied by the client: `supplied along and marked`.
const SUPPLIED_SECRET: &str = "whsec_YnJvdWdodCBhbG9uZyBhbmQgbWFya2Vk";
/// Supplied secret without its prefix.
const SUPPLIED_SECRET_BARE: &str = "YnJvdWdodCBhbG9uZyBhbmQgbWFya2Vk";
const OLD: &str = "6f6c646f6c646f6c646f6c646f6c646f6c646f6c646f6c646f6c646f6c646f6c";
const NEW: &str = "6e65776e65776e65776e65776e65776e65776e65776e65776e65776e65776e65";

/// Returns everything that an attacker with the store, but without its key, can read.
pub(crate) async fn stolen(scratch: &Scratch) -> Vec<u8> {
    let Some(database) = &scratch.database else { return files(scratch.path()) };
    let client = postgres::connect(&database.url()).await;
    let tables = "select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = 'public' and c.relkind = 'r'";
    let mut dump = Vec::new();
    for table in client.query(tables, &[]).await.expect("tables") {
        let rows = format!("select dumped::text from {} dumped", table.get::<_, String>(0));
        for row in client.query(&rows, &[]).await.expect("rows") {
            dump.extend(row.get::<_, String>(0).into_bytes());
            dump.push(b'\n');
        }
    }
    dump
}

/// Returns the bytes of all files in a directory except the key; with the WAL and shared memory while a server runs.
fn files(directory: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            bytes.extend(files(&path));
        } else if path.is_file() && path.file_name().is_some_and(|name| name != "encryption.key" && name != "reserve") {
            bytes.extend(std::fs::read(&path).expect("a file"));
        }
    }
    bytes
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Returns every stored text that may contain a secret.
async fn sealed(scratch: &Scratch) -> Vec<String> {
    let sql = "select secret from endpoints union all select previous_secrets from endpoints where previous_secrets is not null
        union all select body from idempotency_keys union all select value from settings where name like 'portal_key%'";
    match &scratch.database {
        Some(database) => {
            let rows = postgres::connect(&database.url()).await.query(sql, &[]).await.expect("rows");
            rows.iter().map(|row| row.get(0)).collect()
        }
        None => {
            let core = rusqlite::Connection::open(scratch.path().join("core.db")).expect("opened");
            let mut statement = core.prepare(sql).expect("a statement");
            let rows = statement.query_map([], |row| row.get(0)).expect("rows");
            rows.collect::<Result<_, _>>().expect("texts")
        }
    }
}

/// Returns the id of the key that a text is sealed with.
fn key_of(sealed: &str) -> &str {
    sealed.strip_prefix("enc:v1:").and_then(|rest| rest.split(':').next()).unwrap_or_else(|| panic!("not sealed: {sealed}"))
}

/// Creates an endpoint of `acme` with an idempotency key. Returns its id and its secret.
async fn endpoint(client: &TestClient, receiver: &Receiver, key: &str, secret: Option<&str>) -> (String, String) {
    endpoint_of("acme", client, receiver, key, secret).await
}

async fn endpoint_of(app: &str, client: &TestClient, receiver: &Receiver, key: &str, secret: Option<&str>) -> (String, String) {
    let mut wanted = json!({ "url": receiver.url() });
    if let Some(secret) = secret {
        wanted["signing_secret"] = secret.into();
    }
    let path = format!("/v1/applications/{app}/endpoints");
    let (status, response) = client.send(Method::POST, &path, &[("idempotency-key", key)], wanted.to_string()).await;
    assert_eq!(status, 201, "{response}");
    let text = |name: &str| response["endpoint"][name].as_str().expect("a text").to_owned();
    (text("id"), text("signing_secret"))
}

async fn rotate(client: &TestClient, id: &str) -> String {
    let path = format!("/v1/applications/acme/endpoints/{id}/rotate-secret");
    let (mut status, mut response) = client.post(&path, json!({})).await;
    if response["code"] == "too_many_secrets" {
        (status, response) = client.post(&path, json!({ "grace_seconds": 0 })).await;
    }
    assert_eq!(status, 200, "{response}");
    response["signing_secret"].as_str().expect("a secret").to_owned()
}

async fn acme(client: &TestClient) {
    let (status, response) = client.post("/v1/applications", json!({ "name": "Acme", "uid": "acme" })).await;
    assert_eq!(status, 201, "{response}");
}

fn verifies(received: &Received, secret: &str) -> bool {
    standardwebhooks::Webhook::new(secret).expect("a secret").verify(&received.body, &received.headers).is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_stored_in_the_clear() {
    let scratch = scratch();
    let receiver = Receiver::start().await;
    let server = Server::start(&scratch, &[]);
    let client = &server.client;
    acme(client).await;
    let (supplied, shown) = endpoint(client, &receiver, "one", Some(SUPPLIED_SECRET)).await;
    assert_eq!(shown, SUPPLIED_SECRET);
    let (created, first) = endpoint(client, &receiver, "two", None).await;
    let mut secrets = vec![SUPPLIED_SECRET.to_owned(), SUPPLIED_SECRET_BARE.to_owned(), first.clone()];
    for round in 0..5 {
        for id in [&supplied, &created] {
            secrets.push(rotate(client, id).await);
        }
        for number in 0..10 {
            client.message(json!({ "round": round, "number": number })).await;
        }
    }
    receiver.wait_for(100).await;
    let (_, again) = endpoint(client, &receiver, "two", None).await;
    assert_eq!(again, first, "the stored response is repeated");
    let bare: Vec<_> = secrets.iter().filter_map(|secret| secret.strip_prefix("whsec_").map(str::to_owned)).collect();
    secrets.extend(bare);

    // While the server runs, with data only in the WAL; after a kill; and after an orderly stop.
    let check = async |when: &str| {
        let bytes = stolen(&scratch).await;
        assert!(holds(&bytes, "Acme") && holds(&bytes, "enc:v1:"), "{when}: not a dump");
        let found: Vec<_> = secrets.iter().filter(|secret| holds(&bytes, secret)).collect();
        assert!(found.is_empty(), "{when}: in the clear: {found:?}");
    };
    check("while it runs").await;
    server.kill();
    check("after a kill").await;
    let mut server = Server::start(&scratch, &[]);
    let before = receiver.received().len();
    let id = server.client.message(json!({ "after": "the restart" })).await;
    let arrived = receiver.wait_for(before + 2).await;
    let of_message: Vec<_> = arrived.iter().filter(|received| received.id() == id).collect();
    assert_eq!(of_message.len(), 2);
    let known: Vec<_> = secrets.iter().filter(|secret| secret.starts_with("whsec_")).collect();
    for received in of_message {
        assert!(known.iter().any(|secret| verifies(received, secret)), "the delivery is signed correctly after the restart");
    }
    let (_, again) = endpoint(&server.client, &receiver, "two", None).await;
    assert_eq!(again, first, "the stored response is repeated after the restart");
    server.terminate();
    assert_eq!(server.ended(Duration::from_secs(30)).await, Some(0));
    check("after a stop").await;
    assert!(sealed(&scratch).await.iter().all(|text| key_of(text).len() == 16));
}

/// Writes a key file; the first key is the current one.
fn key_file(scratch: &Scratch, keys: &[&str]) -> PathBuf {
    let path = scratch.files.path().join("keys");
    std::fs::write(&path, keys.join("\n")).expect("written");
    path
}

/// Runs a command on the store with these keys in the environment.
fn run(scratch: &Scratch, command: &[&str], keys: &[&str]) -> Output {
    let mut process = hookstream();
    process.args(command);
    match &scratch.database {
        Some(database) => process.args(["--database-url", &database.url()]),
        None => process.arg("--data-dir").arg(scratch.path()),
    };
    if !keys.is_empty() {
        process.env("HOOKSTREAM_ENCRYPTION_KEY", keys.join(","));
    }
    process.output().expect("the command runs")
}

fn printed_by(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

async fn stop(mut server: Server) {
    server.terminate();
    assert_eq!(server.ended(Duration::from_secs(30)).await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_key_is_rejected_at_start_with_the_remedy() {
    let scratch = scratch();
    let receiver = Receiver::start().await;
    let keys = key_file(&scratch, &[OLD]);
    let with_keys = ["--encryption-key-file", keys.to_str().expect("a path")];
    let server = Server::start(&scratch, &with_keys);
    acme(&server.client).await;
    endpoint(&server.client, &receiver, "one", Some(SUPPLIED_SECRET)).await;
    stop(server).await;
    let id = key_of(&sealed(&scratch).await[0]).to_owned();
    for wrong in [&[NEW][..], &[]] {
        let output = run(&scratch, &["serve", "--listen", "127.0.0.1:0"], wrong);
        let printed = printed_by(&output);
        assert!(!output.status.success() && printed.contains(&format!("encrypted with the key {id}, which was not given")), "{printed}");
        assert!(printed.contains("HOOKSTREAM_ENCRYPTION_KEY") && !printed.contains(NEW) && !printed.contains(OLD), "{printed}");
    }
    assert!(!scratch.path().join("encryption.key").exists(), "no key is generated in place of a missing one");
    let output = run(&scratch, &["admin", "rotate-key"], &[NEW]);
    assert!(!output.status.success() && printed_by(&output).contains(&id), "{}", printed_by(&output));
    let server = Server::start(&scratch, &with_keys);
    let message = server.client.message(json!({})).await;
    server.client.until(&message, "delivered").await;
    assert!(verifies(&receiver.received()[0], SUPPLIED_SECRET));
}

/// Sends messages and rotates an endpoint's secret until `stop` is set. Returns the number of rounds.
async fn busy(client: TestClient, id: String, stop: Arc<AtomicBool>) -> usize {
    let mut sent = 0;
    while !stop.load(Ordering::SeqCst) {
        client.message(json!({ "number": sent })).await;
        rotate(&client, &id).await;
        sent += 1;
    }
    sent
}

#[tokio::test(flavor = "multi_thread")]
async fn key_is_rotated_while_messages_flow() {
    let scratch = scratch();
    let receiver = Receiver::start().await;
    let file = key_file(&scratch, &[OLD]);
    let arguments = ["--encryption-key-file", file.to_str().expect("a path")];
    let server = Server::start(&scratch, &arguments);
    acme(&server.client).await;
    let (_, kept) = endpoint(&server.client, &receiver, "kept", Some(SUPPLIED_SECRET)).await;
    assert_eq!(kept, SUPPLIED_SECRET);
    let (rotating, _) = endpoint(&server.client, &receiver, "rotating", None).await;
    // Enough endpoints for several slices; they belong to another application, so that messages still go to two.
    let (status, response) = server.client.post("/v1/applications", json!({ "name": "Crowd", "uid": "crowd" })).await;
    assert_eq!(status, 201, "{response}");
    for number in 0..205 {
        endpoint_of("crowd", &server.client, &receiver, &format!("{number}"), None).await;
    }
    let old_id = key_of(&sealed(&scratch).await[0]).to_owned();
    stop(server).await;
    if scratch.database.is_none() {
        return rotated_by_the_server(&scratch, &receiver, &arguments, &old_id, rotating).await;
    }

    key_file(&scratch, &[OLD, NEW]);
    let first = Server::start(&scratch, &arguments);
    let second = Server::start(&scratch, &arguments);
    key_file(&scratch, &[NEW, OLD]);
    stop(second).await;
    let second = Server::start(&scratch, &arguments);
    // One node seals with the old key, the other with the new one, and each reads the other's secrets.
    let secret = rotate(&second.client, &rotating).await;
    let message = first.client.message(json!({})).await;
    first.client.until(&message, "delivered").await;
    assert!(receiver.received().iter().any(|received| received.id() == message && verifies(received, &secret)));
    stop(first).await;
    let first = Server::start(&scratch, &arguments);

    let halt = Arc::new(AtomicBool::new(false));
    let sender = tokio_util::task::TaskTracker::new().spawn(busy(first.client.clone(), rotating, Arc::clone(&halt)));
    let before = receiver.received().len();
    receiver.wait_for(before + 10).await;
    let output = run(&scratch, &["admin", "rotate-key"], &[NEW, OLD]);
    let printed = printed_by(&output);
    assert!(
        output.status.success() && printed.contains(&format!("the key {old_id} encrypts nothing any more and may be removed")),
        "{printed}"
    );
    let rows: usize = printed.split_whitespace().nth(1).and_then(|rows| rows.parse().ok()).expect("a number");
    assert!(rows >= 410, "{printed}");
    let during = receiver.received().len();
    receiver.wait_for(during + 10).await;
    halt.store(true, Ordering::SeqCst);
    assert!(sender.await.expect("no panic") > 5);
    // The audit log still names the old key.
    assert!(sealed(&scratch).await.iter().all(|text| key_of(text) != old_id), "no secret is sealed with the old key");
    assert!(printed_by(&run(&scratch, &["admin", "rotate-key"], &[NEW])).contains("encrypted 0 rows"));

    key_file(&scratch, &[NEW]);
    for server in [first, second] {
        stop(server).await;
    }
    signs_with_the_new_key(&scratch, &receiver, &arguments).await;
}

/// On a data directory, the server itself rotates as soon as it has the new key.
async fn rotated_by_the_server(scratch: &Scratch, receiver: &Receiver, arguments: &[&str], old_id: &str, rotating: String) {
    key_file(scratch, &[NEW, OLD]);
    let server = Server::start(scratch, arguments);
    let halt = Arc::new(AtomicBool::new(false));
    let sender = tokio_util::task::TaskTracker::new().spawn(busy(server.client.clone(), rotating, Arc::clone(&halt)));
    eventually("every secret is sealed with the new key", async || {
        sealed(scratch).await.iter().all(|text| key_of(text) != old_id).then_some(())
    })
    .await;
    let before = receiver.received().len();
    receiver.wait_for(before + 10).await;
    halt.store(true, Ordering::SeqCst);
    assert!(sender.await.expect("no panic") > 2);
    // A key that the server does not have is rejected; with its own key it re-encrypts the rest, which is nothing.
    let output = run(scratch, &["admin", "rotate-key"], &[OLD]);
    assert!(!output.status.success() && printed_by(&output).contains("put the new key before the earlier ones"), "{}", printed_by(&output));
    assert!(printed_by(&run(scratch, &["admin", "rotate-key"], &[NEW])).contains("encrypted 0 rows"));
    stop(server).await;
    assert!(printed_by(&run(scratch, &["admin", "rotate-key"], &[NEW])).contains("encrypted 0 rows"));
    assert_eq!(rotations(scratch).await, [("system".to_owned(), vec![old_id.to_owned()])]);
    key_file(scratch, &[NEW]);
    signs_with_the_new_key(scratch, receiver, arguments).await;
}

/// Returns the rotations in the audit log of the organization, newest first: actor and retired keys.
async fn rotations(scratch: &Scratch) -> Vec<(String, Vec<String>)> {
    let store = scratch.open_store().await;
    let organization = organizations::first(&*store).await.expect("read").expect("the first organization").organization;
    let filter = Filter { action: Some(Action::InstallationRotateKey), ..Filter::default() };
    let page = PageRequest { after: None, limit: 10 };
    let found = audit_log::list(&*store, Reach::Organization(organization), &filter, page).await.expect("read");
    store.close().await;
    let retired = |after: Option<String>| -> Vec<String> {
        let after: serde_json::Value = serde_json::from_str(&after.expect("the state after")).expect("JSON");
        assert!(after["rows"].as_u64().is_some_and(|rows| rows > 0), "{after}");
        serde_json::from_value(after["retired_keys"].clone()).expect("ids of keys")
    };
    found.items.into_iter().map(|entry| (entry.actor_kind, retired(entry.after))).collect()
}

async fn signs_with_the_new_key(scratch: &Scratch, receiver: &Receiver, arguments: &[&str]) {
    let server = Server::start(scratch, arguments);
    let message = server.client.message(json!({ "last": true })).await;
    server.client.until(&message, "delivered").await;
    assert!(receiver.received().iter().any(|received| received.id() == message && verifies(received, SUPPLIED_SECRET)));
    let (_, again) = endpoint(&server.client, receiver, "kept", Some(SUPPLIED_SECRET)).await;
    assert_eq!(again, SUPPLIED_SECRET, "the stored response");
}

#[tokio::test(flavor = "multi_thread")]
async fn generated_key_is_replaced_by_a_configured_one() {
    let scratch = scratch();
    let receiver = Receiver::start().await;
    let server = Server::start(&scratch, &[]);
    acme(&server.client).await;
    endpoint(&server.client, &receiver, "kept", Some(SUPPLIED_SECRET)).await;
    stop(server).await;
    let created = key_of(&sealed(&scratch).await[0]).to_owned();
    let own = scratch.path().join("encryption.key");
    if scratch.database.is_none() {
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&own).expect("the key file").permissions());
        assert_eq!(mode & 0o777, 0o600, "readable by its owner only");
    }
    let output = run(&scratch, &["admin", "rotate-key"], &[NEW]);
    assert!(output.status.success() && printed_by(&output).contains(&created), "{}", printed_by(&output));
    assert!(sealed(&scratch).await.iter().all(|text| key_of(text) != created));
    assert_eq!(rotations(&scratch).await, [("operator".to_owned(), vec![created.clone()])]);
    if scratch.database.is_none() {
        std::fs::remove_file(&own).expect("the key file is removed");
    }
    let output = run(&scratch, &["serve", "--listen", "127.0.0.1:0"], &[]);
    assert!(!output.status.success() && printed_by(&output).contains("which was not given"), "{}", printed_by(&output));
    let keys = key_file(&scratch, &[NEW]);
    signs_with_the_new_key(&scratch, &receiver, &["--encryption-key-file", keys.to_str().expect("a path")]).await;
}
