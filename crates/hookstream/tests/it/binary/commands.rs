//! Commands other than `serve`.

use std::{
    io::{BufRead, BufReader, Lines},
    process::{Child, ChildStdout, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{KEY, Server, first_url, hookstream, scratch};

/// Running command whose output is read line by line; killed when dropped.
struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    log: tempfile::NamedTempFile,
}

impl Running {
    fn start(arguments: &[&str]) -> Self {
        let log = tempfile::NamedTempFile::new().expect("a file");
        let errors = log.reopen().expect("the file again");
        let mut child = hookstream().args(arguments).stdout(Stdio::piped()).stderr(errors).spawn().expect("the process starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        Self { child, lines, log }
    }

    fn line(&mut self) -> String {
        self.lines.next().expect("another line of output").expect("text")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.log.path()).expect("a log")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn quickstart_shows_a_verified_delivery_and_keeps_serving() {
    let began = Instant::now();
    let mut quickstart = Running::start(&["quickstart", "--listen", "127.0.0.1:0"]);
    let mut printed = String::new();
    while !printed.contains("Ctrl-C stops") {
        printed.push_str(&quickstart.line());
        printed.push('\n');
    }
    let took = began.elapsed();
    for part in ["Sent:", "Answered 201", "Received:", "webhook-signature: v1,", "signature verified, answered 204", "hookstream send"] {
        assert!(printed.contains(part), "{part:?} is not in\n{printed}");
    }
    // The documented limit is one second for a release build on an idle machine.
    assert!(took < Duration::from_secs(8), "the quickstart took {took:?}");
    let variable = |name: &str| {
        let rest = &printed[printed.find(name).expect(name) + name.len()..];
        rest.split_whitespace().next().expect("a value").to_owned()
    };
    let (url, key) = (variable("HOOKSTREAM_URL="), variable("HOOKSTREAM_API_KEY="));
    let sent = hookstream()
        .args(["send", "--app", "quickstart", "--type", "invoice.paid", "--data", r#"{"invoice_id":43}"#])
        .envs([("HOOKSTREAM_URL", url), ("HOOKSTREAM_API_KEY", key)])
        .output()
        .expect("the command runs");
    assert!(String::from_utf8_lossy(&sent.stdout).starts_with("accepted "), "{sent:?}");
    while !quickstart.line().contains(r#"{"invoice_id":43}"#) {}
    assert_eq!(quickstart.log(), "", "lines of the log stand between those of the quickstart");
}

#[tokio::test(flavor = "multi_thread")]
async fn sink_verifies_and_responds_as_configured() {
    let directory = scratch();
    let server = Server::start(&directory, &["--retry-schedule", "0,0,0"]);
    let secret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let mut sink =
        Running::start(&["sink", "--listen", "127.0.0.1:0", "--secret", secret, "--fail-first", "1", "--status", "202", "--json"]);
    let url = first_url(&sink.line()).expect("the sink's URL");
    server.client.acme(json!({ "signing_secret": secret }), &url).await;
    let id = server.client.message(json!({ "a": 1 })).await;
    let lines: Vec<Value> = (0..2).map(|_| serde_json::from_str(&sink.line()).expect("JSON")).collect();
    for (line, answered) in lines.iter().zip([500, 202]) {
        assert_eq!((&line["verified"], &line["answered"], &line["body"]), (&json!(true), &json!(answered), &json!("{\"a\":1}")));
        assert_eq!(line["headers"]["webhook-id"], id.as_str());
    }
    server.client.until(&id, "delivered").await;

    // A delivery signed with another secret is rejected.
    let (_, response) = server.client.post("/v1/applications/acme/endpoints", json!({ "url": url, "filter_types": ["other"] })).await;
    let other = response["endpoint"]["id"].as_str().expect("an id");
    server.client.post(&format!("/v1/applications/acme/endpoints/{other}/test"), json!({})).await;
    let line: Value = serde_json::from_str(&sink.line()).expect("JSON");
    assert_eq!((&line["verified"], &line["answered"]), (&json!(false), &json!(401)));
    assert_eq!(line["problem"], "no signature in webhook-signature matches the secret");
}

#[tokio::test(flavor = "multi_thread")]
async fn health_tells_whether_a_server_is_ready() {
    let directory = scratch();
    let server = Server::start(&directory, &[]);
    let ask = |url: &str| hookstream().args(["health", "--url", url, "--timeout", "20s"]).output().expect("the command runs");
    let output = ask(&server.url);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{} is ready\n", server.url));
    // A server that is gone, and one that is another program.
    let url = server.url.clone();
    drop(server);
    assert_eq!(ask(&url).status.code(), Some(1));
    let mut sink = Running::start(&["sink", "--listen", "127.0.0.1:0", "--status", "503"]);
    let output = ask(first_url(&sink.line()).expect("the sink's URL").trim_end_matches('/'));
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("is it a Hookstream server?"), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn send_explains_errors() {
    let directory = scratch();
    let server = Server::start(&directory, &[]);
    let check = |arguments: &[&str], key: Option<&str>, url: &str, expected: &str| {
        let mut command = hookstream();
        let home = directory.path();
        command.args(["send", "--app", "acme", "--type", "a.b"]).args(arguments).env("HOOKSTREAM_URL", url).env("XDG_CONFIG_HOME", home);
        command.envs(key.map(|key| ("HOOKSTREAM_API_KEY", key)));
        let output = command.output().expect("the command runs");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && error.contains(expected), "{arguments:?}: {error}");
    };
    let data = ["--data", "1"];
    check(&[], Some(KEY), &server.url, "--data <DATA>");
    check(&data, None, &server.url, "HOOKSTREAM_API_KEY");
    check(&data, Some("hs_live_wrong"), &server.url, "Malformed API key");
    check(&data, Some(KEY), &server.url, "Application not found");
    check(&["--data", "{"], Some(KEY), &server.url, "--data is not JSON");
    check(&["--data", "@/nowhere"], Some(KEY), &server.url, "/nowhere");
    check(&data, Some(KEY), "http://127.0.0.1:1", "is `hookstream serve` running there?");
}

#[test]
fn bench_accounts_for_every_message() {
    let arguments =
        ["bench", "--duration", "1s", "--warmup", "0s", "--rate", "200", "--connections", "4", "--endpoints", "2", "--verify", "--json"];
    let output = hookstream().args(arguments).output().expect("the command runs");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    assert!(report["accepted"].as_u64().is_some_and(|accepted| (150..=200).contains(&accepted)), "{report}");
    for name in ["lost", "refused", "duplicates", "unverified"] {
        assert_eq!(report[name], 0, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bench_cleans_up_and_ignores_the_environment_url() {
    let directory = scratch();
    let server = Server::start(&directory, &[]);
    let bench = |arguments: &[&str]| {
        let mut command = hookstream();
        command.args(["bench", "--duration", "300ms", "--warmup", "0s", "--rate", "50", "--connections", "2", "--json"]).args(arguments);
        let output =
            command.envs([("HOOKSTREAM_URL", server.url.as_str()), ("HOOKSTREAM_API_KEY", KEY)]).output().expect("the command runs");
        serde_json::from_slice::<Value>(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
    };
    let sent = async || server.client.get("/v1/usage").await.1.to_string();
    let before = server.client.get("/v1/audit-log?action=application.create").await.1;
    assert!(bench(&[])["accepted"].as_u64().is_some_and(|accepted| accepted > 0));
    assert_eq!(server.client.get("/v1/audit-log?action=application.create").await.1, before, "{}", sent().await);
    assert!(bench(&["--url", &server.url])["accepted"].as_u64().is_some_and(|accepted| accepted > 0));
    assert_eq!(server.client.get("/v1/applications").await.1["applications"], json!([]));
    let created = server.client.get("/v1/audit-log?action=application.create").await.1;
    assert_eq!(created["audit_log"].as_array().map(Vec::len), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn resources_are_listed_shown_and_resent() {
    use hookstream_testkit::receiver::{CannedResponse, Receiver};
    let directory = scratch();
    let server = Server::start(&directory, &["--retry-schedule", "none", "--circuit-breaker-threshold", "0"]);
    let run = |arguments: &[&str]| {
        let mut command = hookstream();
        command
            .args(arguments)
            .envs([("HOOKSTREAM_URL", server.url.as_str()), ("HOOKSTREAM_API_KEY", KEY)])
            .output()
            .expect("the command runs")
    };
    let stdout = |arguments: &[&str]| {
        let output = run(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let object = |arguments: &[&str]| serde_json::from_str::<Value>(stdout(arguments).lines().next().expect("a line")).expect("JSON");
    let receiver = Receiver::responding(|_| CannedResponse::status(500)).await;
    let endpoint = server.client.acme(json!({}), &receiver.url()).await["id"].as_str().expect("an id").to_owned();
    for number in 0..3 {
        server.client.post("/v1/applications", json!({ "name": format!("App {number}"), "uid": format!("app-{number}") })).await;
    }
    let id = server.client.message(json!({ "a": 1 })).await;
    server.client.until(&id, "failed").await;
    receiver.respond(|_| CannedResponse::status(204));

    let listed = stdout(&["applications", "list"]);
    assert!(listed.starts_with("ID ") && listed.lines().count() == 5 && listed.contains("acme"), "{listed}");
    assert_eq!(stdout(&["applications", "list", "--limit", "2", "--json"]).lines().count(), 2);
    assert_eq!(object(&["applications", "list", "--search", "acme", "--json"])["uid"], "acme");
    assert_eq!(object(&["applications", "show", "acme", "--json"])["name"], "Acme");
    assert!(stdout(&["endpoints", "list", "--application", "acme"]).contains(&endpoint));
    assert_eq!(object(&["endpoints", "show", &endpoint, "--app", "acme", "--json"])["id"], endpoint.as_str());
    assert_eq!(object(&["messages", "list", "--app", "acme", "--json"])["id"], id.as_str());
    for listed in [&["messages", "list"][..], &["messages", "list", "--app", "acme"], &["attempts", "list"]] {
        assert!(stdout(listed).contains(&id), "{listed:?}");
    }
    assert_eq!(object(&["attempts", "list", "--status", "failed", "--json"])["message_id"], id.as_str());
    // Ids are unique, so the command finds the application by the message id.
    let shown = stdout(&["messages", "show", &id]);
    assert!(shown.contains("failed") && shown.contains("http_status"), "{shown}");
    let explained = stdout(&["explain", &id]);
    assert!(explained.contains("attempt 1  "), "{explained}");
    assert_eq!(stdout(&["explain", &id, "--application", "acme"]).lines().next(), explained.lines().next());
    stdout(&["messages", "retry", &id, "--endpoint", &endpoint]);
    server.client.until(&id, "delivered").await;

    let counted = stdout(&["endpoints", "replay", &endpoint, "--app", "acme", "--since", "1h", "--dry-run"]);
    assert!(counted.contains('1'), "{counted}");
    let job = stdout(&["endpoints", "replay", &endpoint, "--app", "acme", "--since", "1h", "--event-type", "invoice.paid"]);
    let job = job.split_whitespace().nth(3).expect("an id").trim_end_matches(';').to_owned();
    receiver.wait_for(3).await;
    hookstream_testkit::eventually("the job is done", async || {
        (object(&["jobs", "show", &job, "--json"])["status"] == "completed").then_some(())
    })
    .await;
    assert!(stdout(&["jobs", "list"]).contains(&job));
    stdout(&["endpoints", "recover", &endpoint, "--app", "acme", "--since", "2026-01-01T00:00:00Z", "--statuses", "exhausted"]);
    for (wrong, expected) in [
        (&["messages", "show", "019dc1e2a3b47c5d8e9f001122334455"][..], "there is no message"),
        (&["jobs", "show", "019dc1e2a3b47c5d8e9f001122334455"], "not found"),
        (&["endpoints", "recover", &endpoint, "--app", "acme", "--since", "yesterday"], "must be a time such as"),
        (&["attempts", "list", "--endpoint", &endpoint], "--app"),
    ] {
        let output = run(wrong);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && error.contains(expected), "{wrong:?}: {error}");
    }
    let mut tail = Running::start(&["messages", "tail", "--app", "acme", "--json", "--url", &server.url, "--api-key", KEY]);
    // The command shows messages that arrive after its first poll, so the test keeps sending.
    let (sender, stop) = (server.client.clone(), tokio_util::sync::CancellationToken::new());
    let until = stop.clone();
    let sending = tokio_util::task::TaskTracker::new().spawn(async move {
        while !until.is_cancelled() {
            sender.message(json!({ "tail": true })).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    let line = tokio::task::spawn_blocking(move || tail.line()).await.expect("a line");
    stop.cancel();
    sending.await.expect("the process ends");
    assert_eq!(serde_json::from_str::<Value>(&line).expect("JSON")["event_type"], "invoice.paid");
}

#[tokio::test(flavor = "multi_thread")]
async fn login_saves_only_an_explicit_key() {
    let directory = scratch();
    let home = tempfile::tempdir().expect("a directory");
    let server = Server::start(&directory, &[]);
    let command = |arguments: &[&str]| {
        let mut command = hookstream();
        command.args(arguments).env("XDG_CONFIG_HOME", home.path());
        command
    };
    let output_of = |mut command: std::process::Command| {
        let output = command.output().expect("the command runs");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    // The command audience for a key even if the environment has one.
    let mut asking = command(&["login", "--url", &server.url, "--no-browser"]);
    let mut child = asking.env("HOOKSTREAM_API_KEY", KEY).stdout(Stdio::piped()).spawn().expect("the process starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("confirm the code")));
    child.kill().and_then(|()| child.wait()).expect("ended");
    assert!(!home.path().join("hookstream").exists());
    output_of(command(&["login", "--url", &server.url, "--api-key", KEY]));
    let identity = output_of(command(&["whoami"]));
    assert!(
        identity.contains(&server.url)
            && identity.contains(&KEY[..12])
            && !identity.contains(&KEY[..13])
            && identity.contains("production"),
        "{identity}"
    );
    assert!(output_of(command(&["logout"])).contains("the key stays valid"));
    assert!(output_of(command(&["logout"])).contains("nothing was saved"));
    assert!(!command(&["whoami", "--url", &server.url]).output().expect("the command runs").status.success());
}

#[test]
fn health_asks_this_machine_without_a_home() {
    let output = hookstream().args(["health", "--timeout", "2s"]).env_clear().output().expect("the command runs");
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(said.contains("http://127.0.0.1:8484"), "{said}");
}

#[test]
fn completions_are_generated_for_each_shell() {
    for (shell, part) in [("bash", "complete -F _hookstream"), ("zsh", "#compdef hookstream"), ("fish", "complete -c hookstream")] {
        let output = hookstream().args(["completions", shell]).output().expect("the command runs");
        let script = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && script.contains(part) && script.contains("create-api-key"), "{shell}");
    }
}
