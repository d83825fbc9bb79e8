//! Secrets at rest: nothing of them is in the clear in the store, a wrong key is refused, and keys are changed while
//! messages flow.

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

/// A secret that was brought along: `brought along and marked`.
const BROUGHT: &str = "whsec_YnJvdWdodCBhbG9uZyBhbmQgbWFya2Vk";
/// The same as it may stand somewhere without its prefix.
const BROUGHT_BARE: &str = "YnJvdWdodCBhbG9uZyBhbmQgbWFya2Vk";
const OLD: &str = "6f6c646f6c646f6c646f6c646f6c646f6c646f6c646f6c646f6c646f6c646f6c";
const NEW: &str = "6e65776e65776e65776e65776e65776e65776e65776e65776e65776e65776e65";

/// Everything that somebody has who has the store but not its key.
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

/// The bytes of all files in a directory but the key, with logs and shared memory as they are while a server runs.
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

/// Every text that a secret may stand in.
async fn sealed(scratch: &Scratch) -> Vec<String> {
    let sql = "select secret from endpoints union all select previous_secret from endpoints where previous_secret is not null
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

/// The key's id, which stands in front of what is sealed under it.
fn key_of(sealed: &str) -> &str {
    sealed.strip_prefix("enc:v1:").and_then(|rest| rest.split(':').next()).unwrap_or_else(|| panic!("it is plain: {sealed}"))
}

/// Makes an endpoint of `acme` under an idempotency key. Returns its id and its secret.
async fn endpoint(client: &TestClient, receiver: &Receiver, key: &str, secret: Option<&str>) -> (String, String) {
    endpoint_of("acme", client, receiver, key, secret).await
}

async fn endpoint_of(app: &str, client: &TestClient, receiver: &Receiver, key: &str, secret: Option<&str>) -> (String, String) {
    let mut wanted = json!({ "url": receiver.url() });
    if let Some(secret) = secret {
        wanted["signing_secret"] = secret.into();
    }
    let path = format!("/v1/applications/{app}/endpoints");
    let (status, answer) = client.send(Method::POST, &path, &[("idempotency-key", key)], wanted.to_string()).await;
    assert_eq!(status, 201, "{answer}");
    let text = |name: &str| answer["endpoint"][name].as_str().expect("a text").to_owned();
    (text("id"), text("signing_secret"))
}

async fn rotate(client: &TestClient, id: &str) -> String {
    let path = format!("/v1/applications/acme/endpoints/{id}/rotate-secret");
    let (mut status, mut answer) = client.post(&path, json!({})).await;
    if answer["code"] == "too_many_secrets" {
        (status, answer) = client.post(&path, json!({ "grace_seconds": 0 })).await;
    }
    assert_eq!(status, 200, "{answer}");
    answer["signing_secret"].as_str().expect("a secret").to_owned()
}

async fn acme(client: &TestClient) {
    let (status, answer) = client.post("/v1/applications", json!({ "name": "Acme", "uid": "acme" })).await;
    assert_eq!(status, 201, "{answer}");
}

fn verifies(received: &Received, secret: &str) -> bool {
    standardwebhooks::Webhook::new(secret).expect("a secret").verify(&received.body, &received.headers).is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_secret_stands_in_the_store_in_the_clear() {
    let scratch = scratch();
    let receiver = Receiver::start().await;
    let server = Server::start(&scratch, &[]);
    let client = &server.client;
    acme(client).await;
    let (brought, shown) = endpoint(client, &receiver, "one", Some(BROUGHT)).await;
    assert_eq!(shown, BROUGHT);
    let (made, first) = endpoint(client, &receiver, "two", None).await;
    let mut secrets = vec![BROUGHT.to_owned(), BROUGHT_BARE.to_owned(), first.clone()];
    for round in 0..5 {
        for id in [&brought, &made] {
            secrets.push(rotate(client, id).await);
        }
        for number in 0..10 {
            client.message(json!({ "round": round, "number": number })).await;
        }
    }
    receiver.wait_for(100).await;
    let (_, again) = endpoint(client, &receiver, "two", None).await;
    assert_eq!(again, first, "a kept answer is the same again");
    let bare: Vec<_> = secrets.iter().filter_map(|secret| secret.strip_prefix("whsec_").map(str::to_owned)).collect();
    secrets.extend(bare);

    // While it runs, with all that is in the logs only; after it was killed; and after a stop in order.
    let check = async |when: &str| {
        let bytes = stolen(&scratch).await;
        assert!(holds(&bytes, "Acme") && holds(&bytes, "enc:v1:"), "{when}: it is no dump");
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
        assert!(known.iter().any(|secret| verifies(received, secret)), "it is signed right after the restart");
    }
    let (_, again) = endpoint(&server.client, &receiver, "two", None).await;
    assert_eq!(again, first, "also after the restart");
    server.terminate();
    assert_eq!(server.ended(Duration::from_secs(30)).await, Some(0));
    check("after a stop").await;
    assert!(sealed(&scratch).await.iter().all(|text| key_of(text).len() == 16));
}

/// A file with keys, the current one first.
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
    process.output().expect("it runs")
}

fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

async fn stop(mut server: Server) {
    server.terminate();
    assert_eq!(server.ended(Duration::from_secs(30)).await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_is_refused_at_start_with_what_to_do() {
    let scratch = scratch();
    let receiver = Receiver::start().await;
    let keys = key_file(&scratch, &[OLD]);
    let with_keys = ["--encryption-key-file", keys.to_str().expect("a path")];
    let server = Server::start(&scratch, &with_keys);
    acme(&server.client).await;
    endpoint(&server.client, &receiver, "one", Some(BROUGHT)).await;
    stop(server).await;
    let id = key_of(&sealed(&scratch).await[0]).to_owned();
    for wrong in [&[NEW][..], &[]] {
        let output = run(&scratch, &["serve", "--listen", "127.0.0.1:0"], wrong);
        let told = told(&output);
        assert!(!output.status.success() && told.contains(&format!("encrypted with the key {id}, which was not given")), "{told}");
        assert!(told.contains("HOOKSTREAM_ENCRYPTION_KEY") && !told.contains(NEW) && !told.contains(OLD), "{told}");
    }
    assert!(!scratch.path().join("encryption.key").exists(), "no key is made where one is missing");
    let output = run(&scratch, &["admin", "rotate-key"], &[NEW]);
    assert!(!output.status.success() && told(&output).contains(&id), "{}", told(&output));
    let server = Server::start(&scratch, &with_keys);
    let message = server.client.message(json!({})).await;
    server.client.until(&message, "delivered").await;
    assert!(verifies(&receiver.received()[0], BROUGHT));
}

/// Sends messages until it is told to stop, and makes and rotates endpoints' secrets meanwhile. Returns how many.
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
async fn a_key_is_rotated_while_messages_flow() {
    let scratch = scratch();
    let receiver = Receiver::start().await;
    let file = key_file(&scratch, &[OLD]);
    let arguments = ["--encryption-key-file", file.to_str().expect("a path")];
    let server = Server::start(&scratch, &arguments);
    acme(&server.client).await;
    let (_, kept) = endpoint(&server.client, &receiver, "kept", Some(BROUGHT)).await;
    assert_eq!(kept, BROUGHT);
    let (rotating, _) = endpoint(&server.client, &receiver, "rotating", None).await;
    // So many that a rotation takes several slices; they are another's, so that what is sent goes to two.
    let (status, answer) = server.client.post("/v1/applications", json!({ "name": "Crowd", "uid": "crowd" })).await;
    assert_eq!(status, 201, "{answer}");
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
    // One node seals under the old key, the other under the new one, and each reads what the other wrote.
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
    let said = told(&output);
    assert!(output.status.success() && said.contains(&format!("the key {old_id} encrypts nothing any more and may be removed")), "{said}");
    let rows: usize = said.split_whitespace().nth(1).and_then(|rows| rows.parse().ok()).expect("a number");
    assert!(rows >= 410, "{said}");
    let during = receiver.received().len();
    receiver.wait_for(during + 10).await;
    halt.store(true, Ordering::SeqCst);
    assert!(sender.await.expect("it does not panic") > 5);
    // The audit log goes on telling of it.
    assert!(sealed(&scratch).await.iter().all(|text| key_of(text) != old_id), "nothing is under the old key");
    assert!(told(&run(&scratch, &["admin", "rotate-key"], &[NEW])).contains("encrypted 0 rows"));

    key_file(&scratch, &[NEW]);
    for server in [first, second] {
        stop(server).await;
    }
    signs_with_the_new_key(&scratch, &receiver, &arguments).await;
}

/// In a data directory the server does it, as soon as it has the new key.
async fn rotated_by_the_server(scratch: &Scratch, receiver: &Receiver, arguments: &[&str], old_id: &str, rotating: String) {
    key_file(scratch, &[NEW, OLD]);
    let server = Server::start(scratch, arguments);
    let halt = Arc::new(AtomicBool::new(false));
    let sender = tokio_util::task::TaskTracker::new().spawn(busy(server.client.clone(), rotating, Arc::clone(&halt)));
    eventually("everything is under the new key", async || sealed(scratch).await.iter().all(|text| key_of(text) != old_id).then_some(()))
        .await;
    let before = receiver.received().len();
    receiver.wait_for(before + 10).await;
    halt.store(true, Ordering::SeqCst);
    assert!(sender.await.expect("it does not panic") > 2);
    // A key that the server does not have is refused; with its own it does what is left, which is nothing.
    let output = run(scratch, &["admin", "rotate-key"], &[OLD]);
    assert!(!output.status.success() && told(&output).contains("put the new key before the earlier ones"), "{}", told(&output));
    assert!(told(&run(scratch, &["admin", "rotate-key"], &[NEW])).contains("encrypted 0 rows"));
    stop(server).await;
    assert!(told(&run(scratch, &["admin", "rotate-key"], &[NEW])).contains("encrypted 0 rows"));
    assert_eq!(rotations(scratch).await, [("system".to_owned(), vec![old_id.to_owned()])]);
    key_file(scratch, &[NEW]);
    signs_with_the_new_key(scratch, receiver, arguments).await;
}

/// What the audit log tells the organization of rotations, newest first: who, and which keys were retired.
async fn rotations(scratch: &Scratch) -> Vec<(String, Vec<String>)> {
    let store = scratch.open_store().await;
    let organization = organizations::first(&*store).await.expect("read").expect("there is one").organization;
    let filter = Filter { action: Some(Action::InstallationRotateKey), ..Filter::default() };
    let page = PageRequest { after: None, limit: 10 };
    let found = audit_log::list(&*store, Reach::Organization(organization), &filter, page).await.expect("read");
    store.close().await;
    let retired = |after: Option<String>| -> Vec<String> {
        let after: serde_json::Value = serde_json::from_str(&after.expect("it tells")).expect("JSON");
        assert!(after["rows"].as_u64().is_some_and(|rows| rows > 0), "{after}");
        serde_json::from_value(after["retired_keys"].clone()).expect("ids of keys")
    };
    found.items.into_iter().map(|entry| (entry.actor_kind, retired(entry.after))).collect()
}

async fn signs_with_the_new_key(scratch: &Scratch, receiver: &Receiver, arguments: &[&str]) {
    let server = Server::start(scratch, arguments);
    let message = server.client.message(json!({ "last": true })).await;
    server.client.until(&message, "delivered").await;
    assert!(receiver.received().iter().any(|received| received.id() == message && verifies(received, BROUGHT)));
    let (_, again) = endpoint(&server.client, receiver, "kept", Some(BROUGHT)).await;
    assert_eq!(again, BROUGHT, "the kept answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_made_gives_way_to_one_that_is_given() {
    let scratch = scratch();
    let receiver = Receiver::start().await;
    let server = Server::start(&scratch, &[]);
    acme(&server.client).await;
    endpoint(&server.client, &receiver, "kept", Some(BROUGHT)).await;
    stop(server).await;
    let made = key_of(&sealed(&scratch).await[0]).to_owned();
    let own = scratch.path().join("encryption.key");
    if scratch.database.is_none() {
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&own).expect("it is there").permissions());
        assert_eq!(mode & 0o777, 0o600, "for its owner only");
    }
    let output = run(&scratch, &["admin", "rotate-key"], &[NEW]);
    assert!(output.status.success() && told(&output).contains(&made), "{}", told(&output));
    assert!(sealed(&scratch).await.iter().all(|text| key_of(text) != made));
    assert_eq!(rotations(&scratch).await, [("operator".to_owned(), vec![made.clone()])]);
    if scratch.database.is_none() {
        std::fs::remove_file(&own).expect("it is needed no more");
    }
    let output = run(&scratch, &["serve", "--listen", "127.0.0.1:0"], &[]);
    assert!(!output.status.success() && told(&output).contains("which was not given"), "{}", told(&output));
    let keys = key_file(&scratch, &[NEW]);
    signs_with_the_new_key(&scratch, &receiver, &["--encryption-key-file", keys.to_str().expect("a path")]).await;
}
