//! Operator commands beside a running server, and the start and stop of a server.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use hookstream_testkit::{
    eventually,
    receiver::{CannedResponse, Receiver},
};
use serde_json::{Value, json};

use crate::support::{KEY, Scratch, Server, TestClient, hookstream, scratch};

/// Builds a command on a store whose server may be running.
fn on_store(scratch: &Scratch, arguments: &[&str]) -> Command {
    let mut command = hookstream();
    command.args(arguments);
    match &scratch.database {
        Some(database) => command.args(["--database-url", &database.url()]),
        None => command.arg("--data-dir").arg(scratch.path()),
    };
    command
}

fn admin(scratch: &Scratch, arguments: &[&str]) -> Output {
    on_store(scratch, &[&["admin"], arguments].concat()).output().expect("the command runs")
}

fn stdout_of(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr_of(output: &Output) -> String {
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn key_in(text: &str) -> &str {
    let begin = text.find("hs_").expect("a key");
    &text[begin..begin + 72]
}

#[tokio::test(flavor = "multi_thread")]
async fn create_api_key_works_with_and_without_a_running_server() {
    let scratch = scratch();
    let mut server = Server::start(&scratch, &[]);
    let with = |text: &str| server.client.with_key(key_in(text));
    let all = stdout_of(&admin(&scratch, &["create-api-key"]));
    assert_eq!(with(&all).get("/v1/usage").await.0, 200);
    let narrow =
        stdout_of(&admin(&scratch, &["create-api-key", "--name", "reads", "--scopes", "usage:read", "--expires-in", "1h", "--test"]));
    assert!(key_in(&narrow).starts_with("hs_test_") && narrow.contains("scopes usage:read, expires 2"), "{narrow}");
    assert_eq!(with(&narrow).get("/v1/usage").await.0, 200);
    assert_eq!(with(&narrow).get("/v1/jobs").await.0, 403);
    let elsewhere = stdout_of(&admin(&scratch, &["create-api-key", "--networks", "203.0.113.0/24"]));
    assert_eq!(with(&elsewhere).get("/v1/usage").await.1["code"], "address_not_allowed");

    let (_, listed) = server.client.get("/v1/environments").await;
    let environment = listed["environments"][0].clone();
    for name in ["id", "slug", "name"] {
        let created = stdout_of(&admin(&scratch, &["create-api-key", "--environment", environment[name].as_str().expect("text")]));
        assert!(created.contains(environment["id"].as_str().expect("an id")), "{created}");
    }
    for (wrong, expected) in [
        (["--environment", "nowhere"], "the first organization has: "),
        (["--environment", "99999999999999999999999999999999"], "there is no environment 9999"),
        (["--scopes", "everything"], "--scopes contains \"everything\""),
        (["--networks", "home"], "--networks contains \"home\""),
        (["--name", ""], "name"),
        (["--expires-in", "soon"], "must be a time such as 30m, 12h or 90d"),
    ] {
        let stderr = stderr_of(&admin(&scratch, &[&["create-api-key"][..], &wrong].concat()));
        assert!(stderr.contains(expected), "{wrong:?}: {stderr}");
    }
    let (_, entries) = server.client.get("/v1/audit-log?action=api_key.create").await;
    let newest = &entries["audit_log"][0];
    assert_eq!(newest["actor"]["kind"], "operator", "{entries}");

    server.terminate();
    assert_eq!(server.ended(Duration::from_secs(30)).await, Some(0));
    let later = stdout_of(&admin(&scratch, &["create-api-key"]));
    let server = Server::start(&scratch, &[]);
    assert_eq!(server.client.with_key(key_in(&later)).get("/v1/usage").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn admin_commands_work_while_the_server_runs() {
    let scratch = scratch();
    let server = Server::start(&scratch, &["--public-url", "https://hooks.example.com"]);
    let url = ["--public-url", "https://hooks.example.com"];
    let created = stdout_of(&admin(&scratch, &[&["create-owner", "--email", "ada@example.com"][..], &url].concat()));
    assert!(created.contains("https://hooks.example.com/reset-password#token="), "{created}");
    let link = stdout_of(&admin(&scratch, &[&["password-link", "--email", "ada@example.com"][..], &url].concat()));
    assert!(link.contains("https://hooks.example.com/reset-password#token="), "{link}");
    assert!(stderr_of(&admin(&scratch, &["password-link", "--email", "bob@example.com"])).contains("there is no user with the address"));

    let mut with_password = on_store(&scratch, &["admin", "create-owner", "--email", "eve@example.com", "--password-stdin"]);
    let mut child = with_password.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the command runs");
    std::io::Write::write_all(&mut child.stdin.take().expect("piped"), b"four unrelated words are good\n").expect("written");
    assert!(stdout_of(&child.wait_with_output().expect("the process ends")).contains("signs in with their password"));
    let sign_in = json!({ "email": "eve@example.com", "password": "four unrelated words are good" });
    let (status, response) = server.client.with_key("").post("/v1/auth/sign-in", sign_in).await;
    assert_eq!(status, 200, "{response}");

    let set = stdout_of(&admin(&scratch, &["quotas", "set", "applications=0"]));
    assert!(set.contains("applications") && set.contains("set for it"), "{set}");
    eventually("the quota applies", async || {
        let (status, _) = server.client.post("/v1/applications", json!({ "name": "A", "uid": "a" })).await;
        (status == 403).then_some(())
    })
    .await;
    assert!(stdout_of(&admin(&scratch, &["quotas", "show"])).contains("set for it"));
    stdout_of(&admin(&scratch, &["quotas", "clear"]));
    assert!(stdout_of(&admin(&scratch, &["rotate-portal-key", "--now"])).contains("earlier tokens are refused"));
    assert!(stdout_of(&admin(&scratch, &["rotate-key"])).contains("under the current key"));
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn control_socket_is_private_and_removed_with_the_server() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = scratch();
    if scratch.database.is_some() {
        return;
    }
    // A path longer than a socket address allows.
    let deep = scratch.path().join("d".repeat(120));
    let at = deep.to_str().expect("text");
    let mut server = Server::start_plain("127.0.0.1:0", &["--data-dir", at]);
    let socket = deep.join("admin.sock");
    assert_eq!(std::fs::metadata(&socket).expect("the file exists").permissions().mode() & 0o777, 0o600);
    let create = || hookstream().args(["admin", "create-api-key", "--data-dir", at]).output().expect("the command runs");
    stdout_of(&create());
    // An invalid request does not end the server.
    std::os::unix::net::UnixStream::connect(std::path::Path::new("/proc/self/cwd").join(&socket)).map(drop).unwrap_or_default();
    stdout_of(&create());
    server.terminate();
    assert_eq!(server.ended(Duration::from_secs(30)).await, Some(0));
    assert!(!socket.exists());
    // A leftover socket of a killed process does not block.
    let server = Server::start_plain("127.0.0.1:0", &["--data-dir", at]);
    server.kill();
    assert!(socket.exists());
    stdout_of(&create());
    let _server = Server::start_plain("127.0.0.1:0", &["--data-dir", at]);
    stdout_of(&create());
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_in_flight_may_finish_within_the_grace() {
    let scratch = scratch();
    let mut server = Server::start(&scratch, &["--shutdown-grace-s", "5"]);
    let slow = Receiver::responding(|_| CannedResponse::status(204).after(Duration::from_secs(2))).await;
    server.client.acme(json!({}), &slow.url()).await;
    let id = server.client.message(json!(1)).await;
    slow.wait_for(1).await;
    server.terminate();
    assert_eq!(server.ended(Duration::from_secs(30)).await, Some(0));
    let server = Server::start(&scratch, &[]);
    let seen = server.client.until(&id, "delivered").await;
    assert_eq!(seen["attempts"].as_array().map(Vec::len), Some(1), "{seen}");
    assert_eq!(slow.received().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn exceeded_shutdown_grace_is_logged() {
    let scratch = scratch();
    let log = tempfile::NamedTempFile::new().expect("a file");
    let arguments = ["--allow-targets", "127.0.0.0/8", "--shutdown-grace-s", "1"];
    let mut server = Server::start_with(&scratch, &arguments, &[], Some(log.path()));
    let slow = Receiver::responding(|_| CannedResponse::status(204).after(Duration::from_secs(20))).await;
    server.client.acme(json!({}), &slow.url()).await;
    server.client.message(json!(1)).await;
    slow.wait_for(1).await;
    let began = Instant::now();
    server.terminate();
    assert_eq!(server.ended(Duration::from_secs(30)).await, Some(0));
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    let stderr = std::fs::read_to_string(log.path()).expect("a log");
    assert!(stderr.contains("did not finish within shutdown_grace_s") && stderr.contains("shutdown_grace_s=1"), "{stderr}");
}

/// Builds a start on a store without a bootstrap key.
fn fresh(scratch: &Scratch, arguments: &[&str]) -> Command {
    let listen: &[&str] = if arguments.contains(&"--listen") { &[] } else { &["--listen", "127.0.0.1:0"] };
    let mut command = on_store(scratch, &[&["serve"], listen, arguments].concat());
    command.stdin(Stdio::null());
    command
}

/// Returns the output of a start until it is ready; then kills the server.
fn printed(mut command: Command) -> String {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the process starts");
    let mut text = String::new();
    for line in BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok) {
        text.push_str(&line);
        text.push('\n');
        if line.contains(" is ready at ") {
            break;
        }
    }
    child.kill().and_then(|()| child.wait()).expect("ended");
    text
}

/// Arguments and variables of a start that fails.
type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)]);

#[test]
fn failed_first_start_leaves_the_key_for_the_next() {
    let files = tempfile::tempdir().expect("a directory");
    let junk = files.path().join("junk.pem");
    std::fs::write(&junk, "hello").expect("written");
    let junk = junk.to_str().expect("text");
    let providers = json!([{ "name": "a", "issuer": "https://a.example", "client_id": "c", "client_secret_file": "/nowhere" }]).to_string();
    let authority = providers.replace("\"client_secret_file\":\"/nowhere\"", &format!("\"client_secret\":\"s\",\"ca_file\":\"{junk}\""));
    let mail = [("HOOKSTREAM_SMTP_URL", "smtp://mail.example.com"), ("HOOKSTREAM_MAIL_FROM", "a@example.com")];
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("an address").to_string();
    let cases: [Case<'_>; 13] = [
        (&["--target-ca-file", "/nowhere"], &[]),
        (&["--target-ca-file", junk], &[]),
        (&["--target-crl-file", junk], &[]),
        (&["--target-client-cert-file", junk, "--target-client-key-file", junk], &[]),
        (&["--smtp-ca-file", "/nowhere"], &mail),
        (&["--smtp-ca-file", junk], &mail),
        (&["--mail-from", "no address"], &mail[..1]),
        (&[], &[("HOOKSTREAM_OIDC_PROVIDERS", &providers)]),
        (&[], &[("HOOKSTREAM_OIDC_PROVIDERS", &authority)]),
        (&["--tls-cert-file", junk, "--tls-key-file", junk], &[]),
        (&["--encryption-key-file", "/nowhere"], &[]),
        (&["--encryption-key-file", junk], &[]),
        (&["--port", &taken[10..]], &[]),
    ];
    let scratch = scratch();
    for (arguments, variables) in cases {
        for check in [false, true] {
            if check && arguments.first() == Some(&"--port") {
                continue;
            }
            let mut command = fresh(&scratch, arguments);
            command.envs(variables.iter().copied()).args(check.then_some("--check"));
            let output = command.output().expect("the command runs");
            assert!(!output.status.success() && !output.stderr.is_empty(), "{arguments:?} {output:?}");
            assert!(!String::from_utf8_lossy(&output.stdout).contains("hs_live_"), "{arguments:?}");
        }
    }
    assert!(scratch.database.is_some() || std::fs::read_dir(scratch.path()).expect("a directory").next().is_none(), "nothing was created");
    let checked = fresh(&scratch, &["--check"]).output().expect("the command runs");
    assert!(stdout_of(&checked).contains("Everything that was checked is fine"));
    assert!(printed(fresh(&scratch, &[])).contains("hs_live_"));
    assert!(!printed(fresh(&scratch, &[])).contains("hs_live_"), "the key is shown once");
}

/// Runs a start with with_closed_stdout standard output until it responds; returns its standard error.
async fn with_closed_output(scratch: &Scratch, arguments: &[&str]) -> String {
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("an address").port().to_string()
    };
    let mut command = fresh(scratch, &[arguments, &["--port", &port]].concat());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the process starts");
    drop(child.stdout.take());
    let client = TestClient::new(&format!("http://127.0.0.1:{port}"), "");
    eventually("the server is ready", async || {
        let response = client.try_send(http::Method::GET, "/v1/health/ready", &[], "").await?;
        (response.status() == 200).then_some(())
    })
    .await;
    let status = Command::new("kill").args(["-s", "TERM", &child.id().to_string()]).status().expect("kill runs");
    assert!(status.success());
    let mut stderr = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut stderr).expect("text");
    assert!(child.wait().expect("the process ends").success(), "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    stderr
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_output_does_not_end_the_server_or_lose_the_key() {
    let scratch = scratch();
    let stderr = with_closed_output(&scratch, &["--log", "info"]).await;
    assert!(stderr.contains("hs_live_"), "{stderr}");
    assert!(stderr.contains("started") && stderr.contains("shutting down") && stderr.contains("stopped"), "{stderr}");
    let server = Server::start(&scratch, &[]);
    assert_eq!(server.client.with_key(key_in(&stderr)).get("/v1/usage").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn first_access_may_be_written_to_a_private_file() {
    let scratch = scratch();
    let files = tempfile::tempdir().expect("a directory");
    let path = files.path().join("access");
    std::fs::write(&path, "old").expect("written");
    let file = path.to_str().expect("text");
    let text = printed(fresh(&scratch, &["--first-access-file", file, "--public-url", "https://hooks.example.com"]));
    assert!(!text.contains("hs_live_") && !text.contains("#token="), "{text}");
    let kept = std::fs::read_to_string(&path).expect("the file exists");
    assert!(kept.contains("https://hooks.example.com/setup#token=") && kept.contains("https://hooks.example.com/docs"), "{kept}");
    #[cfg(unix)]
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).expect("the file exists").permissions()) & 0o777, 0o600);
    let server = Server::start(&scratch, &[]);
    assert_eq!(server.client.with_key(key_in(&kept)).get("/v1/usage").await.0, 200);
    drop(server);
    assert!(!printed(fresh(&scratch, &["--setup-link", "false"])).contains("#token="));
    assert!(printed(fresh(&scratch, &[])).contains("#token="));
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_end_quietly_on_a_closed_output() {
    let scratch = scratch();
    let mut server = Server::start(&scratch, &[]);
    server.terminate();
    assert_eq!(server.ended(Duration::from_secs(30)).await, Some(0));
    let with_closed_stdout = |mut command: Command| {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the process starts");
        drop(child.stdout.take());
        child.wait_with_output().expect("the process ends")
    };
    let doctor = with_closed_stdout(on_store(&scratch, &["doctor"]));
    assert!(doctor.status.success() && doctor.stderr.is_empty(), "{doctor:?}");
    let mut help = hookstream();
    help.args(["serve", "--help"]);
    assert!(with_closed_stdout(help).status.success());
    // A full disk is different from a with_closed_stdout output.
    if std::path::Path::new("/dev/full").exists() {
        let full = std::fs::File::options().write(true).open("/dev/full").expect("opened");
        let output = on_store(&scratch, &["doctor"]).stdout(full).output().expect("the command runs");
        assert!(stderr_of(&output).contains("could not write to standard output"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hangup_does_not_end_the_server() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    server.signal("HUP");
    server.client.acme(json!({}), "https://example.com/").await;
    assert_eq!(server.client.get("/v1/usage").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn revoked_bootstrap_key_is_logged_at_start() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let (_, listed) = server.client.get("/v1/auth/api-keys").await;
    let keys: Vec<Value> = listed["api_keys"].as_array().expect("keys").clone();
    let id = keys.iter().find(|key| key["name"] == "bootstrap").and_then(|key| key["id"].as_str()).expect("the file exists").to_owned();
    assert_eq!(server.client.delete(&format!("/v1/auth/api-keys/{id}")).await.0, 200);
    drop(server);
    let log = tempfile::NamedTempFile::new().expect("a file");
    let server = Server::start_with(&scratch, &[], &[], Some(log.path()));
    assert_eq!(server.client.with_key(KEY).get("/v1/usage").await.0, 401);
    let stderr = std::fs::read_to_string(log.path()).expect("a log");
    assert!(stderr.contains("bootstrap_api_key was revoked"), "{stderr}");
}

#[test]
fn public_listener_without_tls_is_logged() {
    let scratch = scratch();
    let stderr = |arguments: &[&str]| {
        let output = fresh(&scratch, &[arguments, &["--listen", "0.0.0.0:0"]].concat())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .and_then(|mut child| {
                let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines().map_while(Result::ok);
                let before: Vec<_> = lines.by_ref().take_while(|line| !line.contains("started")).collect();
                child.kill()?;
                child.wait()?;
                Ok(before.join("\n"))
            });
        output.expect("the command runs")
    };
    assert!(stderr(&[]).contains("listening without TLS"));
    assert!(!stderr(&["--public-url", "https://hooks.example.com"]).contains("listening without TLS"));
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_encryption_key_can_be_replaced() {
    use hookstream_model::{
        base::{secret::Secret, time::Timestamp},
        outbound::signature::VerificationKey,
    };
    let scratch = scratch();
    let keys = tempfile::tempdir().expect("a directory");
    let file = |name: &str, key: &str| {
        let path = keys.path().join(name);
        std::fs::write(&path, key).expect("written");
        path.to_str().expect("text").to_owned()
    };
    let (lost, fresh_key) = (file("lost", &"0a".repeat(32)), file("new", &"0b".repeat(32)));
    let receiver = Receiver::start().await;
    let mut server = Server::start(&scratch, &["--encryption-key-file", &lost]);
    let endpoint = server.client.acme(json!({}), &receiver.url()).await;
    let config = json!({ "url": "amqp://127.0.0.1:1", "exchange": "e", "routing_key": "k", "username": "u", "password": "sesame" });
    let (_, other) = server
        .client
        .post(
            "/v1/applications/acme/endpoints",
            json!({ "type": "rabbitmq", "config": config, "signing_algorithm": "ed25519", "filter_types": ["other"] }),
        )
        .await;
    let id = endpoint["id"].as_str().expect("an id").to_owned();
    let other = other["endpoint"]["id"].as_str().expect("an id").to_owned();
    server.client.post(&format!("/v1/applications/acme/endpoints/{id}/rotate-secret"), json!({})).await;
    server.terminate();
    assert_eq!(server.ended(Duration::from_secs(30)).await, Some(0));

    let with_new = |command: &[&str]| {
        let arguments = [command, &["--encryption-key-file", &fresh_key]].concat();
        on_store(&scratch, &arguments).output().expect("the command runs")
    };
    let stderr = stderr_of(&with_new(&["serve", "--listen", "127.0.0.1:0"]));
    assert!(stderr.contains("admin forget-secrets"), "{stderr}");
    let doctor = with_new(&["doctor"]);
    assert!(!doctor.status.success() && String::from_utf8_lossy(&doctor.stdout).contains("which is not in these settings"), "{doctor:?}");
    let with_lost = on_store(&scratch, &["doctor", "--encryption-key-file", &lost]).output().expect("the command runs");
    assert!(stdout_of(&with_lost).contains("No problems found"));
    assert!(stderr_of(&with_new(&["admin", "forget-secrets"])).contains("confirm with --the-encryption-key-is-lost"));
    let expected = stdout_of(&with_new(&["admin", "forget-secrets", "--the-encryption-key-is-lost"]));
    assert!(expected.contains("Replaced 2 signing secrets") && expected.contains(&id) && expected.contains(&other), "{expected}");
    assert!(expected.contains(&format!("endpoint {other}: send its config again")), "{expected}");
    let again = stdout_of(&with_new(&["admin", "forget-secrets", "--the-encryption-key-is-lost"]));
    assert!(again.contains("Replaced 0 signing secrets"), "{again}");
    assert!(stdout_of(&with_new(&["doctor"])).contains("No problems found"));

    let server = Server::start(&scratch, &["--encryption-key-file", &fresh_key]);
    let (status, rotated) =
        server.client.post(&format!("/v1/applications/acme/endpoints/{id}/rotate-secret?grace_seconds=0"), json!({})).await;
    assert_eq!(status, 200, "{rotated}");
    let secret = rotated["signing_secret"].as_str().or(rotated["endpoint"]["signing_secret"].as_str()).expect("a secret");
    let path = format!("/v1/applications/acme/endpoints/{other}");
    assert_eq!(server.client.get(&path).await.1["endpoint"]["config"], json!(null));
    let (status, sent_again) = server.client.patch(&path, json!({ "config": config })).await;
    assert_eq!((status, &sent_again["endpoint"]["config"]["password"]), (200, &json!("***")), "{sent_again}");
    let message = server.client.message(json!({ "a": 1 })).await;
    server.client.until(&message, "delivered").await;
    let received = receiver.received().pop().expect("the delivery arrived");
    let at: i64 = received.header("webhook-timestamp").parse().expect("seconds");
    let key = VerificationKey::parse(&Secret::new(secret)).expect("a key");
    let names = ["webhook-id", "webhook-timestamp", "webhook-signature"].map(|name| received.header(name));
    key.verify(names[0], names[1], names[2], &received.body, Timestamp::from_millis(at * 1_000)).expect("the signature verifies");
    if scratch.database.is_none() {
        let running = with_new(&["admin", "forget-secrets", "--the-encryption-key-is-lost"]);
        assert!(stderr_of(&running).contains("a server runs on this data directory"));
    } else {
        let running = with_new(&["admin", "forget-secrets", "--the-encryption-key-is-lost"]);
        assert!(stderr_of(&running).contains("is running on this database"));
    }
}

/// Small tmpfs, unmounted on drop; `None` if this process may not mount one.
pub(crate) struct SmallDisk {
    pub(crate) path: std::path::PathBuf,
    _directory: tempfile::TempDir,
}

impl SmallDisk {
    pub(crate) fn mount(mib: u32) -> Option<Self> {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("disk");
        std::fs::create_dir(&path).expect("created");
        let options = format!("size={mib}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "hookstream-test"]).arg(&path).output();
        mounted.is_ok_and(|output| output.status.success()).then(|| Self { path, _directory: directory })
    }

    /// Fills the remaining space.
    fn fill(&self) {
        let mut ballast = std::fs::File::create(self.path.join("ballast")).expect("created");
        for size in [1024 * 1024, 4096] {
            while std::io::Write::write_all(&mut ballast, &vec![1; size]).is_ok() {}
        }
    }

    fn make_room(&self) {
        std::fs::remove_file(self.path.join("ballast")).expect("removed");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.path).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn full_disk_is_logged_once_and_allows_a_start() {
    if scratch().database.is_some() {
        return;
    }
    let Some(disk) = SmallDisk::mount(24) else { return };
    let data = disk.path.join("data");
    let at = data.to_str().expect("text");
    let log = tempfile::NamedTempFile::new().expect("a file");
    let start = |log: &std::path::Path| {
        let mut command = hookstream();
        command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir", at]).env("HOOKSTREAM_BOOTSTRAP_API_KEY", KEY);
        let mut child =
            command.stdout(Stdio::piped()).stderr(std::fs::File::create(log).expect("a file")).spawn().expect("the process starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
        let ready = lines.find(|line| line.contains(" is ready at "));
        let url = ready.as_deref().and_then(crate::support::first_url);
        (child, url)
    };
    let (mut child, url) = start(log.path());
    let client = TestClient::new(&url.expect("the server is ready"), KEY);
    client.post("/v1/applications", json!({ "name": "Acme", "uid": "acme" })).await;
    let body = json!({ "event_type": "a", "payload": { "random": (0..4_000).map(|n| n * 7919 % 1009).collect::<Vec<u32>>() } });
    let send = async |client: &TestClient| client.post("/v1/applications/acme/messages", body.clone()).await;
    assert_eq!(send(&client).await.0, 201);
    assert_eq!(client.get("/v1/health/ready").await.0, 200);
    disk.fill();
    eventually("messages are refused", async || (send(&client).await.0 == 503).then_some(())).await;
    for _ in 0..20 {
        send(&client).await;
    }
    let (status, ready) = client.get("/v1/health/ready").await;
    assert_eq!((status, &ready["code"]), (503, &json!("storage_full")), "{ready}");
    let stderr = std::fs::read_to_string(log.path()).expect("a log");
    assert_eq!(stderr.matches("the disk is full").count(), 1, "{stderr}");
    assert_eq!(stderr.matches("request failed").count(), 0, "{stderr}");

    child.kill().and_then(|()| child.wait()).expect("ended");
    disk.fill();
    let second = tempfile::NamedTempFile::new().expect("a file");
    let (mut child, url) = start(second.path());
    let stderr = || std::fs::read_to_string(second.path()).expect("a log");
    let client = TestClient::new(&url.unwrap_or_else(|| panic!("the server is not ready: {}", stderr())), KEY);
    assert!(stderr().contains("deleted the reserve file to start"), "{}", stderr());
    assert_eq!(send(&client).await.1["code"], "storage_full");
    assert_eq!(client.get("/v1/applications/acme/messages").await.0, 200);
    assert_eq!(client.get("/v1/health/ready").await.0, 503);
    disk.make_room();
    eventually("messages are accepted", async || (send(&client).await.0 == 201).then_some(())).await;
    eventually("the server is ready again", async || (client.get("/v1/health/ready").await.0 == 200).then_some(())).await;
    assert!(data.join("reserve").exists());
    child.kill().and_then(|()| child.wait()).expect("ended");

    // The reserve suffices to remove a day beyond the retention, which makes room.
    let old = data.join("days/2020-01-01.db");
    let day = rusqlite::Connection::open(&old).expect("opened");
    day.execute_batch(include_str!("../../../../hookstream-store/src/db/migrations/sqlite/day/0001_schema.sql")).expect("created");
    day.execute_batch("pragma user_version = 1; create table ballast (bytes blob); insert into ballast values (randomblob(6000000))")
        .expect("filled");
    day.close().expect("closed");
    disk.fill();
    let third = tempfile::NamedTempFile::new().expect("a file");
    let (mut child, url) = start(third.path());
    let stderr = || std::fs::read_to_string(third.path()).expect("a log");
    let client = TestClient::new(&url.unwrap_or_else(|| panic!("the server is not ready: {}", stderr())), KEY);
    assert!(stderr().contains("deleted the reserve file to start"), "{}", stderr());
    eventually("the old day is removed", async || (!old.exists()).then_some(())).await;
    eventually("messages are accepted", async || (send(&client).await.0 == 201).then_some(())).await;
    child.kill().and_then(|()| child.wait()).expect("ended");
}

#[cfg(unix)]
#[test]
fn data_directory_must_be_empty_or_ours_and_keeps_its_mode() {
    use std::os::unix::fs::PermissionsExt;
    if scratch().database.is_some() {
        return;
    }
    let root = tempfile::tempdir().expect("a directory");
    let start = |path: &std::path::Path| {
        let mut command = hookstream();
        command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(path).stdin(Stdio::null());
        command
    };
    let mode = |path: &std::path::Path| std::fs::metadata(path).expect("the file exists").permissions().mode() & 0o7777;
    let make = |name: &str, bits: u32| {
        let path = root.path().join(name);
        std::fs::create_dir(&path).expect("created");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(bits)).expect("set");
        path
    };
    // A directory with files of another program.
    let foreign = make("foreign", 0o1777);
    std::fs::write(foreign.join("letter.txt"), "dear").expect("written");
    let stderr = stderr_of(&start(&foreign).output().expect("the command runs"));
    assert!(
        stderr.contains("is not empty and contains no Hookstream data, but letter.txt") && stderr.contains("foreign/hookstream"),
        "{stderr}"
    );
    assert_eq!((mode(&foreign), std::fs::read_dir(&foreign).expect("a directory").count()), (0o1777, 1));

    let volume = make("volume", 0o2770);
    std::fs::create_dir(volume.join("lost+found")).expect("created");
    assert!(printed(start(&volume)).contains("hs_live_"));
    assert_eq!(mode(&volume), 0o2770);
    let new = root.path().join("a/b/new");
    assert!(printed(start(&new)).contains("hs_live_"));
    assert_eq!(mode(&new), 0o700);
    for directory in [&volume, &new] {
        let mut files =
            vec![directory.join("core.db"), directory.join("lock"), directory.join("reserve"), directory.join("encryption.key")];
        files.extend(std::fs::read_dir(directory.join("days")).expect("a directory").map(|entry| entry.expect("an entry").path()));
        files.extend(
            std::fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path()).filter(|path| path.is_file()),
        );
        assert!(files.len() > 5, "{files:?}");
        for file in files {
            assert_eq!(mode(&file) & 0o077, 0, "{}", file.display());
        }
    }
    std::fs::set_permissions(new.join("core.db"), std::fs::Permissions::from_mode(0o644)).expect("set");
    std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o755)).expect("set");
    assert!(!printed(start(&new)).contains("hs_live_"));
    assert_eq!((mode(&new), mode(&new.join("core.db"))), (0o755, 0o600));

    // As Kubernetes creates a volume: owned by root and the process's group. Only root can test this.
    let shared = make("shared", 0o2770);
    if std::os::unix::fs::chown(&shared, Some(0), Some(65_534)).is_ok() {
        std::fs::set_permissions(root.path(), std::fs::Permissions::from_mode(0o755)).expect("set");
        std::fs::set_permissions(&shared, std::fs::Permissions::from_mode(0o2770)).expect("set");
        let as_nobody = |path: &std::path::Path| {
            // The unprivileged user may not read the original location.
            let binary = root.path().join("hookstream");
            if !binary.exists() {
                std::fs::copy(env!("CARGO_BIN_EXE_hookstream"), &binary).expect("copied");
            }
            let mut command = crate::support::cleaned(Command::new(binary));
            command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(path).stdin(Stdio::null());
            std::os::unix::process::CommandExt::uid(&mut command, 65_534);
            std::os::unix::process::CommandExt::gid(&mut command, 65_534);
            command
        };
        assert!(printed(as_nobody(&shared)).contains("hs_live_"));
        assert_eq!(mode(&shared), 0o2770);
        let with_closed_stdout = make("closed", 0o755);
        let stderr = stderr_of(&as_nobody(&with_closed_stdout).output().expect("the command runs"));
        assert!(stderr.contains("it belongs to user 0 and group 0, mode 0755: make it writable"), "{stderr}");
        assert_eq!(std::fs::read_dir(&with_closed_stdout).expect("a directory").count(), 0);
    }
}
