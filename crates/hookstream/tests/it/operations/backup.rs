//! Backups of a data directory under load, their restore, and backups that the server makes by itself.

use std::{
    collections::BTreeSet,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Output,
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
use serde_json::{Value, json};
use tokio_util::task::TaskTracker;

use super::operator::SmallDisk;
use crate::support::{KEY, Scratch, Server, TestClient, hookstream, scratch};

fn run(arguments: &[&str]) -> Output {
    hookstream().args(arguments).output().expect("the command runs")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path that is text")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Makes a backup and returns its description.
fn back_up(data: &Path, target: &Path, arguments: &[&str]) -> Value {
    let output = run(&[&["backup", text(target), "--data-dir", text(data), "--json"], arguments].concat());
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn path_of(backup: &Value) -> PathBuf {
    backup["path"].as_str().expect("a path").into()
}

/// Starts a server on a restored directory.
fn start_on(data: &Path, arguments: &[&str]) -> Server {
    Server::start_plain("127.0.0.1:0", &[&["--data-dir", text(data), "--allow-targets", "127.0.0.0/8"], arguments].concat())
}

async fn stop(mut server: Server) {
    server.terminate();
    assert_eq!(server.ended(Duration::from_secs(30)).await, Some(0));
}

/// Sends messages until `stop` is set; accepted ids are added to `accepted`.
async fn send(client: TestClient, accepted: Arc<Mutex<Vec<String>>>, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::SeqCst) {
        let id = client.message(json!({ "text": "x".repeat(300) })).await;
        accepted.lock().expect("no panic").push(id);
    }
}

/// Returns the ids of all messages of `acme`.
async fn ids(client: &TestClient) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut path = "/v1/applications/acme/messages?limit=100".to_owned();
    loop {
        let (status, page) = client.get(&path).await;
        assert_eq!(status, 200, "{page}");
        found
            .extend(page["messages"].as_array().expect("messages").iter().map(|message| message["id"].as_str().expect("an id").to_owned()));
        match page["cursor"].as_str() {
            Some(next) => path = format!("/v1/applications/acme/messages?limit=100&cursor={next}"),
            None => return found,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn backup_under_load_has_all_that_was_accepted_and_redelivers_nothing() {
    let scratch = scratch();
    if let Some(database) = &scratch.database {
        let output = run(&["backup", text(scratch.path()), "--config", &database_config(&scratch, &database.url())]);
        assert!(!output.status.success() && stderr(&output).contains("pg_basebackup"), "{output:?}");
        return;
    }
    let receiver = Receiver::responding(|_| CannedResponse::status(204).after(Duration::from_millis(20))).await;
    let server = Server::start(&scratch, &[]);
    server.client.acme(json!({}), &receiver.url()).await;
    let (accepted, ended) = (Arc::default(), Arc::new(AtomicBool::new(false)));
    let senders: Vec<_> =
        (0..4).map(|_| TaskTracker::new().spawn(send(server.client.clone(), Arc::clone(&accepted), Arc::clone(&ended)))).collect();
    receiver.wait_for(100).await;
    let before: Vec<String> = accepted.lock().expect("no panic").clone();
    let target = scratch.files.path().join("backups");
    let (data, into) = (scratch.path().to_owned(), target.clone());
    let backup = tokio::task::spawn_blocking(move || back_up(&data, &into, &[])).await.expect("no panic");
    let more = accepted.lock().expect("no panic").len();
    eventually("sending goes on", async || (accepted.lock().expect("no panic").len() > more + 20).then_some(())).await;
    ended.store(true, Ordering::SeqCst);
    for sender in senders {
        sender.await.expect("no panic");
    }
    assert_eq!((&backup["verified"], &backup["includes_key"]), (&json!(true), &json!(false)), "{backup}");
    let path = path_of(&backup);
    assert!(!path.join("encryption.key").exists() && !path.join("search").exists());
    for (file, mode) in [("", 0o700), ("days", 0o700), ("core.db", 0o600), ("manifest.json", 0o600)] {
        assert_eq!(std::fs::metadata(path.join(file)).expect("a file").permissions().mode() & 0o777, mode, "{file}");
    }
    let left: Vec<_> = std::fs::read_dir(path.join("days")).expect("days").map(|entry| entry.expect("an entry").file_name()).collect();
    assert!(left.iter().all(|name| name.to_string_lossy().ends_with(".db")), "no logs: {left:?}");

    let restored = scratch.files.path().join("restored");
    let output = run(&["restore", text(&target), "--data-dir", text(&restored)]);
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && printed.contains("The encryption key ") && printed.contains("are skipped at the first start"),
        "{output:?}"
    );
    let refused = run(&["restore", text(&target), "--data-dir", text(&restored)]);
    assert!(stderr(&refused).contains("contains a store: restore into a new directory"), "{refused:?}");
    std::fs::copy(scratch.path().join("encryption.key"), restored.join("encryption.key")).expect("copied");
    let doctor = run(&["doctor", "--data-dir", text(&restored), "--json"]);
    let report: Value = serde_json::from_slice(&doctor.stdout).expect("JSON");
    assert!(doctor.status.success() && report["sound"] == json!(true), "{doctor:?}");
    let pending = report["total"]["pending"].as_i64().expect("a number");

    let delivered = receiver.received().len();
    let copy = start_on(&restored, &[]);
    let stored = ids(&copy.client).await;
    let missing: Vec<_> = before.iter().filter(|id| !stored.contains(*id)).collect();
    assert!(missing.is_empty(), "{} messages are missing: {missing:?}", missing.len());
    let (_, skipped) = copy.client.get("/v1/applications/acme/messages?limit=100&status=skipped").await;
    let skipped = skipped["messages"].as_array().expect("messages").len();
    assert_eq!(i64::try_from(skipped.min(100)), Ok(pending.min(100)), "what was pending is skipped");
    // A message of now is delivered, and none of those before.
    let id = copy.client.message(json!({})).await;
    copy.client.until(&id, "delivered").await;
    eventually("deliveries of the first server", async || (receiver.received().len() > delivered).then_some(())).await;
    stop(copy).await;
    let again = start_on(&restored, &[]);
    let (_, still) = again.client.get("/v1/applications/acme/messages?limit=100&status=skipped").await;
    assert_eq!(still["messages"].as_array().expect("messages").len(), skipped, "the mark is used once");
    stop(server).await;
}

fn database_config(scratch: &Scratch, url: &str) -> String {
    let path = scratch.files.path().join("hookstream.toml");
    std::fs::write(&path, format!("database_url = \"{url}\"")).expect("written");
    text(&path).to_owned()
}

/// Creates a store with a message that is pending, and returns its data directory.
async fn pending_store(scratch: &Scratch, receiver: &Receiver) -> String {
    receiver.respond(|_| CannedResponse::status(500));
    let server = Server::start(scratch, &["--retry-schedule", "3600"]);
    server.client.acme(json!({}), &receiver.url()).await;
    let id = server.client.message(json!({ "a": 1 })).await;
    receiver.wait_for(1).await;
    eventually("the attempt is recorded", async || {
        let (_, message) = server.client.get(&format!("/v1/applications/acme/messages/{id}")).await;
        message["attempts"].as_array().is_some_and(|attempts| !attempts.is_empty()).then_some(())
    })
    .await;
    stop(server).await;
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_store_is_archived_and_restored_with_its_key() {
    let scratch = scratch();
    if scratch.database.is_some() {
        return;
    }
    let receiver = Receiver::start().await;
    let id = pending_store(&scratch, &receiver).await;
    let archive = scratch.files.path().join("hooks.tar.zst");
    let backup = back_up(scratch.path(), &archive, &["--include-key"]);
    assert_eq!((&backup["includes_key"], path_of(&backup)), (&json!(true), archive.clone()), "{backup}");
    assert_eq!(std::fs::metadata(&archive).expect("a file").permissions().mode() & 0o777, 0o600);
    let again = run(&["backup", text(&archive), "--data-dir", text(scratch.path())]);
    assert!(stderr(&again).contains("exists already: name another file"), "{again:?}");
    let left: Vec<_> = std::fs::read_dir(scratch.files.path()).expect("a directory").collect();
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(run(&["restore", text(&archive), "--check"]).status.success());

    let restored = scratch.files.path().join("restored");
    std::fs::create_dir(&restored).expect("created");
    let output = run(&["restore", text(&archive), "--data-dir", text(&restored), "--deliver-pending"]);
    assert!(output.status.success(), "{output:?}");
    assert!(restored.join("encryption.key").exists() && !restored.join("restore.tmp").exists());
    let server = start_on(&restored, &[]);
    let (_, message) = server.client.get(&format!("/v1/applications/acme/messages/{id}")).await;
    assert_eq!(message["message"]["status"], "pending", "{message}");

    let cut_short = scratch.files.path().join("short.tar.zst");
    let bytes = std::fs::read(&archive).expect("a file");
    std::fs::write(&cut_short, &bytes[..bytes.len() / 2]).expect("written");
    let other = scratch.files.path().join("other");
    let refused = run(&["restore", text(&cut_short), "--data-dir", text(&other)]);
    assert!(!refused.status.success() && !other.exists(), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn unchanged_days_are_shared_and_damage_is_found() {
    let scratch = scratch();
    if scratch.database.is_some() {
        return;
    }
    let receiver = Receiver::start().await;
    pending_store(&scratch, &receiver).await;
    let old = scratch.path().join("days/2026-01-01.db");
    let day = rusqlite::Connection::open(&old).expect("opened");
    day.execute_batch(include_str!("../../../../hookstream-store/src/db/migrations/sqlite/day/0001_schema.sql")).expect("created");
    day.execute_batch("pragma user_version = 1").expect("set");
    day.close().expect("closed");
    let target = scratch.files.path().join("backups");
    let first = path_of(&back_up(scratch.path(), &target, &[]));
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let core = rusqlite::Connection::open(scratch.path().join("core.db")).expect("opened");
    core.execute_batch("insert into settings (name, value) values ('a_test', '1')").expect("written");
    core.close().expect("closed");
    let second = back_up(scratch.path(), &target, &[]);
    let second = path_of(&second);
    let inode = |backup: &Path, file: &str| std::fs::metadata(backup.join(file)).expect("a file").ino();
    assert_eq!(inode(&first, "days/2026-01-01.db"), inode(&second, "days/2026-01-01.db"));
    assert_ne!(inode(&first, "core.db"), inode(&second, "core.db"));

    // An old backup goes, the newest stays, and what they shared stays too.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let third = back_up(scratch.path(), &target, &["--keep", "1s"]);
    assert_eq!(third["removed"].as_array().map(Vec::len), Some(2), "{third}");
    let third = path_of(&third);
    assert!(!first.exists() && !second.exists() && third.join("days/2026-01-01.db").exists());

    let restored = scratch.files.path().join("restored");
    let restore = || run(&["restore", text(&third), "--data-dir", text(&restored)]);
    let path = third.join("days/2026-01-01.db");
    let mut bytes = std::fs::read(&path).expect("a file");
    bytes[5_000] ^= 1;
    std::fs::write(&path, &bytes).expect("written");
    let refused = restore();
    assert!(stderr(&refused).contains("2026-01-01.db is damaged: its checksum is not that of the manifest"), "{refused:?}");
    assert!(!restored.exists() && !run(&["restore", text(&third), "--check"]).status.success());
    bytes[5_000] ^= 1;
    std::fs::write(&path, &bytes).expect("written");

    std::fs::create_dir(&restored).expect("created");
    std::fs::write(restored.join("letter.txt"), "dear").expect("written");
    assert!(stderr(&restore()).contains("is not empty, it contains letter.txt"));
    std::fs::remove_file(restored.join("letter.txt")).expect("removed");
    // A restore that was interrupted may be repeated.
    std::fs::create_dir_all(restored.join("restore.tmp/days")).expect("created");
    assert!(restore().status.success());

    let manifest = std::fs::read_to_string(third.join("manifest.json")).expect("a manifest");
    let change = |from: &str, to: &str| std::fs::write(third.join("manifest.json"), manifest.replace(from, to)).expect("written");
    let (_, from_core) = manifest.split_once("\"core\": ").expect("the version of the schema");
    let current: String = from_core.chars().take_while(char::is_ascii_digit).collect();
    change(&format!("\"core\": {current}"), "\"core\": 99");
    let newer = run(&["restore", text(&third), "--check"]);
    let expected = format!("schema version 99, and this version of hookstream supports {current}");
    assert!(stderr(&newer).contains(&expected), "{newer:?}");
    change("days/2026-01-01.db", "../2026-01-01.db");
    assert!(stderr(&run(&["restore", text(&third), "--check"])).contains("it names the file"));
    let inside = run(&["backup", text(&scratch.path().join("backups")), "--data-dir", text(scratch.path())]);
    assert!(stderr(&inside).contains("is in the data directory"), "{inside:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn full_target_is_named_and_nothing_is_left() {
    let scratch = scratch();
    if scratch.database.is_some() {
        return;
    }
    let Some(disk) = SmallDisk::mount(1) else { return };
    let server = Server::start(&scratch, &[]);
    server.client.post("/v1/applications", json!({ "name": "Acme", "uid": "acme" })).await;
    for seed in 1..=20_u64 {
        // Numbers that do not compress: a linear congruential generator.
        let next = |state: &u64| Some(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407));
        let random: Vec<u64> = std::iter::successors(Some(seed), next).take(8_000).collect();
        server.client.message(json!({ "random": random })).await;
    }
    for target in ["backups", "hooks.tar.zst"] {
        let target = disk.path.join(target);
        let output = run(&["backup", text(&target), "--data-dir", text(scratch.path())]);
        assert!(!output.status.success() && stderr(&output).contains("no space is left for"), "{output:?}");
        let left: Vec<_> = std::fs::read_dir(&disk.path).expect("a directory").map(|entry| entry.expect("an entry").path()).collect();
        let left: Vec<_> = left.iter().filter(|path| !path.ends_with("backups")).collect();
        assert!(left.is_empty(), "{left:?}");
        if target.is_dir() {
            let names: Vec<_> =
                std::fs::read_dir(&target).expect("a directory").map(|entry| entry.expect("an entry").file_name()).collect();
            assert_eq!(names, [".lock"], "{names:?}");
        }
    }
    assert_eq!(server.client.get("/v1/health/ready").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn server_makes_backups_by_itself() {
    let scratch = scratch();
    if scratch.database.is_some() {
        let server = Server::start(&scratch, &[]);
        assert_eq!(server.client.get("/v1/backups").await.1["schedule"], Value::Null);
        let (status, refused) = server.client.post("/v1/backups", Value::Null).await;
        assert_eq!((status, &refused["code"]), (409, &json!("no_backup_dir")), "{refused}");
        return;
    }
    let target = scratch.files.path().join("backups");
    let log = scratch.files.path().join("log");
    let arguments = ["--backup-dir", text(&target), "--backup-at", "03:15", "--backup-keep-days", "3"];
    let server = Server::start_with(&scratch, &arguments, &[], Some(&log));
    let listed = async |count: usize| {
        eventually("backups", async || {
            let (status, all) = server.client.get("/v1/backups").await;
            assert_eq!(status, 200, "{all}");
            (all["backups"].as_array().is_some_and(|backups| backups.len() >= count) && all["running_since"].is_null()).then_some(all)
        })
        .await
    };
    let all = listed(1).await;
    assert_eq!(all["schedule"], json!({ "directory": text(&target), "at": "03:15", "keep_days": 3 }));
    let first = &all["backups"][0];
    assert_eq!((&first["verified"], &first["error"], &all["failures"]), (&json!(true), &Value::Null, &json!(0)), "{all}");
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let (status, started) = server.client.post("/v1/backups", Value::Null).await;
    assert_eq!((status, &started["status"]), (201, &json!("started")), "{started}");
    listed(2).await;
    assert!(run(&["restore", text(&target), "--check"]).status.success());

    // A failure is visible, and the backups before it stay.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let aside = scratch.files.path().join("aside");
    std::fs::rename(&target, &aside).expect("moved");
    std::fs::write(&target, "not a directory").expect("written");
    let (status, _) = server.client.post("/v1/backups", Value::Null).await;
    assert_eq!(status, 201);
    let log = eventually("the failure is logged", async || {
        let text = std::fs::read_to_string(&log).expect("a log");
        text.contains("the backup failed").then_some(text)
    })
    .await;
    assert!(log.contains("could not"), "{log}");
    std::fs::remove_file(&target).expect("removed");
    std::fs::rename(&aside, &target).expect("moved");
    let all = listed(2).await;
    assert_eq!(all["failures"], json!(1), "{all}");
    assert!(all["failure"].as_str().is_some_and(|text| text.contains("could not")), "{all}");
    let stranger = TestClient::new(&server.url, KEY).with_key("");
    assert_eq!(stranger.get("/v1/backups").await.0, 401);
}
