//! The commands beside `serve`.

use std::{
    io::{BufRead, BufReader, Lines},
    process::{Child, ChildStdout, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{KEY, Server, first_url, hookstream, scratch};

/// A command whose output is read line by line; killed when dropped.
struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    fn start(arguments: &[&str]) -> Self {
        let mut child = hookstream().args(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        Self { child, lines }
    }

    fn line(&mut self) -> String {
        self.lines.next().expect("it prints more").expect("text")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_quickstart_shows_a_verified_delivery_and_goes_on_serving() {
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
    // A second is promised of a release build on a machine that does nothing else.
    assert!(took < Duration::from_secs(8), "it took {took:?}");
    let variable = |name: &str| {
        let rest = &printed[printed.find(name).expect(name) + name.len()..];
        rest.split_whitespace().next().expect("a value").to_owned()
    };
    let (url, key) = (variable("HOOKSTREAM_URL="), variable("HOOKSTREAM_API_KEY="));
    let sent = hookstream()
        .args(["send", "--app", "quickstart", "--type", "invoice.paid", "--data", r#"{"invoice_id":43}"#])
        .envs([("HOOKSTREAM_URL", url), ("HOOKSTREAM_API_KEY", key)])
        .output()
        .expect("it runs");
    assert!(String::from_utf8_lossy(&sent.stdout).starts_with("accepted "), "{sent:?}");
    while !quickstart.line().contains(r#"{"invoice_id":43}"#) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sink_verifies_and_answers_as_told() {
    let directory = scratch();
    let server = Server::start(&directory, &["--retry-schedule", "0,0,0"]);
    let secret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let mut sink =
        Running::start(&["sink", "--listen", "127.0.0.1:0", "--secret", secret, "--fail-first", "1", "--status", "202", "--json"]);
    let url = first_url(&sink.line()).expect("its URL");
    server.client.acme(json!({ "signing_secret": secret }), &url).await;
    let id = server.client.message(json!({ "a": 1 })).await;
    let lines: Vec<Value> = (0..2).map(|_| serde_json::from_str(&sink.line()).expect("JSON")).collect();
    for (line, answered) in lines.iter().zip([500, 202]) {
        assert_eq!((&line["verified"], &line["answered"], &line["body"]), (&json!(true), &json!(answered), &json!("{\"a\":1}")));
        assert_eq!(line["headers"]["webhook-id"], id.as_str());
    }
    server.client.until(&id, "delivered").await;

    // What is not signed with the secret is refused.
    let (_, answer) = server.client.post("/v1/applications/acme/endpoints", json!({ "url": url, "filter_types": ["other"] })).await;
    let other = answer["endpoint"]["id"].as_str().expect("an id");
    server.client.post(&format!("/v1/applications/acme/endpoints/{other}/test"), json!({})).await;
    let line: Value = serde_json::from_str(&sink.line()).expect("JSON");
    assert_eq!((&line["verified"], &line["answered"]), (&json!(false), &json!(401)));
    assert_eq!(line["problem"], "no signature in webhook-signature matches the secret");
}

#[tokio::test(flavor = "multi_thread")]
async fn send_says_what_is_wrong() {
    let directory = scratch();
    let server = Server::start(&directory, &[]);
    let check = |arguments: &[&str], key: Option<&str>, url: &str, said: &str| {
        let mut command = hookstream();
        let home = directory.path();
        command.args(["send", "--app", "acme", "--type", "a.b"]).args(arguments).env("HOOKSTREAM_URL", url).env("XDG_CONFIG_HOME", home);
        command.envs(key.map(|key| ("HOOKSTREAM_API_KEY", key)));
        let output = command.output().expect("it runs");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && error.contains(said), "{arguments:?}: {error}");
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
fn the_bench_accounts_for_every_message() {
    let arguments =
        ["bench", "--duration", "1s", "--warmup", "0s", "--rate", "200", "--connections", "4", "--endpoints", "2", "--verify", "--json"];
    let output = hookstream().args(arguments).output().expect("it runs");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    assert!(report["accepted"].as_u64().is_some_and(|accepted| (150..=200).contains(&accepted)), "{report}");
    for name in ["lost", "refused", "duplicates", "unverified"] {
        assert_eq!(report[name], 0, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bench_leaves_nothing_on_a_server_and_takes_none_from_the_environment() {
    let directory = scratch();
    let server = Server::start(&directory, &[]);
    let bench = |arguments: &[&str]| {
        let mut command = hookstream();
        command.args(["bench", "--duration", "300ms", "--warmup", "0s", "--rate", "50", "--connections", "2", "--json"]).args(arguments);
        let output = command.envs([("HOOKSTREAM_URL", server.url.as_str()), ("HOOKSTREAM_API_KEY", KEY)]).output().expect("it runs");
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
async fn what_the_api_has_is_listed_shown_and_sent_again() {
    use hookstream_testkit::receiver::{CannedResponse, Receiver};
    let directory = scratch();
    let server = Server::start(&directory, &["--retry-schedule", "none", "--circuit-breaker-threshold", "0"]);
    let run = |arguments: &[&str]| {
        let mut command = hookstream();
        command.args(arguments).envs([("HOOKSTREAM_URL", server.url.as_str()), ("HOOKSTREAM_API_KEY", KEY)]).output().expect("it runs")
    };
    let said = |arguments: &[&str]| {
        let output = run(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let object = |arguments: &[&str]| serde_json::from_str::<Value>(said(arguments).lines().next().expect("a line")).expect("JSON");
    let receiver = Receiver::answering(|_| CannedResponse::status(500)).await;
    let endpoint = server.client.acme(json!({}), &receiver.url()).await["id"].as_str().expect("an id").to_owned();
    for number in 0..3 {
        server.client.post("/v1/applications", json!({ "name": format!("App {number}"), "uid": format!("app-{number}") })).await;
    }
    let id = server.client.message(json!({ "a": 1 })).await;
    server.client.until(&id, "failed").await;
    receiver.answer(|_| CannedResponse::status(204));

    let listed = said(&["applications", "list"]);
    assert!(listed.starts_with("ID ") && listed.lines().count() == 5 && listed.contains("acme"), "{listed}");
    assert_eq!(said(&["applications", "list", "--limit", "2", "--json"]).lines().count(), 2);
    assert_eq!(object(&["applications", "list", "--search", "acme", "--json"])["uid"], "acme");
    assert_eq!(object(&["applications", "show", "acme", "--json"])["name"], "Acme");
    assert!(said(&["endpoints", "list", "--application", "acme"]).contains(&endpoint));
    assert_eq!(object(&["endpoints", "show", &endpoint, "--app", "acme", "--json"])["id"], endpoint.as_str());
    assert_eq!(object(&["messages", "list", "--app", "acme", "--json"])["id"], id.as_str());
    for listed in [&["messages", "list"][..], &["messages", "list", "--app", "acme"], &["attempts", "list"]] {
        assert!(said(listed).contains(&id), "{listed:?}");
    }
    assert_eq!(object(&["attempts", "list", "--status", "failed", "--json"])["message_id"], id.as_str());
    // Ids are unique, so that the application is found by them.
    let shown = said(&["messages", "show", &id]);
    assert!(shown.contains("failed") && shown.contains("http_status"), "{shown}");
    let explained = said(&["explain", &id]);
    assert!(explained.contains("attempt 1  "), "{explained}");
    assert_eq!(said(&["explain", &id, "--application", "acme"]).lines().next(), explained.lines().next());
    said(&["messages", "retry", &id, "--endpoint", &endpoint]);
    server.client.until(&id, "delivered").await;

    let counted = said(&["endpoints", "replay", &endpoint, "--app", "acme", "--since", "1h", "--dry-run"]);
    assert!(counted.contains('1'), "{counted}");
    let job = said(&["endpoints", "replay", &endpoint, "--app", "acme", "--since", "1h", "--event-type", "invoice.paid"]);
    let job = job.split_whitespace().nth(3).expect("an id").trim_end_matches(';').to_owned();
    receiver.wait_for(3).await;
    hookstream_testkit::eventually("the job is done", async || {
        (object(&["jobs", "show", &job, "--json"])["status"] == "completed").then_some(())
    })
    .await;
    assert!(said(&["jobs", "list"]).contains(&job));
    said(&["endpoints", "recover", &endpoint, "--app", "acme", "--since", "2026-01-01T00:00:00Z", "--statuses", "exhausted"]);
    for (wrong, told) in [
        (&["messages", "show", "019dc1e2a3b47c5d8e9f001122334455"][..], "there is no message"),
        (&["jobs", "show", "019dc1e2a3b47c5d8e9f001122334455"], "not found"),
        (&["endpoints", "recover", &endpoint, "--app", "acme", "--since", "yesterday"], "must be a time such as"),
        (&["attempts", "list", "--endpoint", &endpoint], "--app"),
    ] {
        let output = run(wrong);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && error.contains(told), "{wrong:?}: {error}");
    }
    let mut tail = {
        let mut command = hookstream();
        command.args(["messages", "tail", "--app", "acme", "--json", "--url", &server.url, "--api-key", KEY]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        Running { child, lines }
    };
    // It shows what is new once it has looked; before that a message is not new to it.
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
    sending.await.expect("it ends");
    assert_eq!(serde_json::from_str::<Value>(&line).expect("JSON")["event_type"], "invoice.paid");
}

#[tokio::test(flavor = "multi_thread")]
async fn login_saves_a_key_that_is_given_and_never_that_of_the_environment() {
    let directory = scratch();
    let home = tempfile::tempdir().expect("a directory");
    let server = Server::start(&directory, &[]);
    let command = |arguments: &[&str]| {
        let mut command = hookstream();
        command.args(arguments).env("XDG_CONFIG_HOME", home.path());
        command
    };
    let told = |mut command: std::process::Command| {
        let output = command.output().expect("it runs");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    // It asks for a key though one is in the environment.
    let mut asking = command(&["login", "--url", &server.url, "--no-browser"]);
    let mut child = asking.env("HOOKSTREAM_API_KEY", KEY).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("confirm the code")));
    child.kill().and_then(|()| child.wait()).expect("ended");
    assert!(!home.path().join("hookstream").exists());
    told(command(&["login", "--url", &server.url, "--api-key", KEY]));
    let who = told(command(&["whoami"]));
    assert!(who.contains(&server.url) && who.contains(&KEY[..12]) && !who.contains(&KEY[..13]) && who.contains("production"), "{who}");
    assert!(told(command(&["logout"])).contains("the key stays valid"));
    assert!(told(command(&["logout"])).contains("nothing was saved"));
    assert!(!command(&["whoami", "--url", &server.url]).output().expect("it runs").status.success());
}

#[test]
fn completions_are_scripts_of_each_shell() {
    for (shell, part) in [("bash", "complete -F _hookstream"), ("zsh", "#compdef hookstream"), ("fish", "complete -c hookstream")] {
        let output = hookstream().args(["completions", shell]).output().expect("it runs");
        let script = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && script.contains(part) && script.contains("create-api-key"), "{shell}");
    }
}
