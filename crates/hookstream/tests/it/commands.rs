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
    for part in [
        "What is sent:",
        "Answered 201",
        "What the receiver got:",
        "webhook-signature: v1,",
        "signature verified, answered 204",
        "hookstream send",
    ] {
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
        command.args(["send", "--app", "acme", "--type", "a.b"]).args(arguments).env("HOOKSTREAM_URL", url);
        command.envs(key.map(|key| ("HOOKSTREAM_API_KEY", key)));
        let output = command.output().expect("it runs");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && error.contains(said), "{arguments:?}: {error}");
    };
    check(&[], None, &server.url, "HOOKSTREAM_API_KEY");
    check(&[], Some("hs_live_wrong"), &server.url, "Malformed API key");
    check(&[], Some(KEY), &server.url, "Application not found");
    check(&["--data", "{"], Some(KEY), &server.url, "--data is not JSON");
    check(&["--data", "@/nowhere"], Some(KEY), &server.url, "/nowhere");
    check(&[], Some(KEY), "http://127.0.0.1:1", "is `hookstream serve` running there?");
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
