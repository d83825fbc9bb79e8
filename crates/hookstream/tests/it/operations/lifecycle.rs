//! Lifecycle of a server: draining before a stop, reloads, log lines at start and stop.

use std::time::Duration;

use hookstream_testkit::eventually;
use http::Method;
use serde_json::json;
use tokio::time::Instant;

use crate::support::{Scratch, Server, hookstream, scratch};

const READY: &str = "/v1/health/ready";

#[tokio::test(flavor = "multi_thread")]
async fn draining_server_is_not_ready_and_serves_requests() {
    let scratch = scratch();
    let log = scratch.files.path().join("log");
    let mut server = Server::start_with(&scratch, &["--shutdown-drain-s", "3", "--log", "info"], &[], Some(&log));
    assert_eq!(server.client.get(READY).await.0, 200);
    let begun = Instant::now();
    server.terminate();
    let refused = eventually("readiness is false", async || {
        let response = server.client.try_send(Method::GET, READY, &[], "").await.expect("the server still serves");
        (response.status() == 503).then_some(response)
    })
    .await;
    let body: serde_json::Value = serde_json::from_slice(refused.body()).expect("JSON");
    assert_eq!((&body["code"], refused.headers()["connection"].to_str().expect("text")), (&json!("draining"), "close"), "{body}");
    let (status, created) = server.client.post("/v1/applications", json!({ "name": "Acme", "uid": "acme" })).await;
    assert_eq!(status, 201, "{created}");
    assert_eq!(server.client.get("/v1/health").await.0, 200, "it is alive");
    assert_eq!(server.ended(Duration::from_secs(20)).await, Some(0));
    assert!(begun.elapsed() >= Duration::from_secs(3), "{:?}", begun.elapsed());
    let log = std::fs::read_to_string(log).expect("a log");
    let line = |words: &str| log.lines().find(|line| line.contains(words)).unwrap_or_else(|| panic!("no line with {words}: {log}"));
    for field in ["version=", "revision=", "data=", "role=\"all\"", "node=", "pid=", "took_ms="] {
        assert!(line("started").contains(field), "{field}: {log}");
    }
    assert!(line("stopped").contains("attempts_unfinished=0"), "{log}");
    assert!(!log.contains("request failed"), "a probe while draining is no error: {log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn second_signal_ends_a_drain() {
    let scratch = scratch();
    let mut server = Server::start(&scratch, &["--shutdown-drain-s", "600"]);
    server.terminate();
    eventually("readiness is false", async || (server.client.get(READY).await.0 == 503).then_some(())).await;
    let begun = Instant::now();
    server.terminate();
    assert_eq!(server.ended(Duration::from_secs(5)).await, Some(1));
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}

/// Writes the configuration file of a server, and returns its path.
fn configure(scratch: &Scratch, text: &str) -> String {
    let path = scratch.files.path().join("hookstream.toml");
    std::fs::write(&path, text).expect("written");
    path.to_str().expect("text").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn hangup_applies_what_can_change_and_names_the_rest() {
    let scratch = scratch();
    let log = scratch.files.path().join("log");
    let file = configure(&scratch, "log = \"info\"\nretention_days = 20");
    let variables = [("HOOKSTREAM_API_RATE_LIMIT", "1000")];
    let server = Server::start_with(&scratch, &["--config", &file, "--trusted-proxies", "10.0.0.0/8"], &variables, Some(&log));
    server.client.post("/v1/applications", json!({ "name": "Acme", "uid": "acme" })).await;
    let create = async || {
        let target = json!({ "url": "http://127.0.0.1:9/" });
        let response = server.client.try_send(Method::POST, "/v1/applications/acme/endpoints", &[], target.to_string()).await;
        response.expect("a response")
    };
    assert_eq!(create().await.status(), 400, "loopback is not allowed yet");
    let logged = async |words: &str| {
        eventually(&format!("the log has {words:?}"), async || {
            let text = std::fs::read_to_string(&log).expect("a log");
            text.contains(words).then_some(text)
        })
        .await
    };

    // A flag and a variable win over the file, so their settings do not change.
    let changed = "log = \"debug\"\nallow_targets = \"127.0.0.0/8\"\nretention_days = 10\napi_rate_limit = 5\ntrusted_proxies = \"::1\"";
    configure(&scratch, changed);
    server.signal("HUP");
    let text = logged("needs a restart").await;
    assert!(text.contains("setting changed: applied setting=\"allow_targets\" from=none to=127.0.0.0/8"), "{text}");
    assert!(text.contains("needs a restart setting=\"retention_days\" from=20 to=10"), "{text}");
    assert!(!text.contains("setting=\"api_rate_limit\"") && !text.contains("setting=\"trusted_proxies\""), "{text}");
    let created = create().await;
    assert_eq!((created.status().as_u16(), created.headers()["ratelimit-limit"].to_str().expect("text")), (201, "1000"));
    logged("DEBUG").await;

    configure(&scratch, "allow_targets = \"everywhere\"");
    server.signal("HUP");
    let text = logged("the settings are invalid").await;
    assert!(text.contains("everywhere"), "{text}");
    assert_eq!(create().await.status(), 201, "nothing has changed");

    configure(&scratch, "allow_targets = \"10.0.0.0/8\"\nretention_days = 10");
    if scratch.database.is_some() {
        server.signal("HUP");
    } else {
        let output = hookstream().args(["admin", "reload", "--data-dir"]).arg(scratch.path()).output().expect("the command runs");
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(printed.contains("allow_targets: applied, from 127.0.0.0/8 to 10.0.0.0/8 (file "), "{output:?}");
        assert!(printed.contains("retention_days: needs a restart, from 20 to 10"), "{printed}");
    }
    eventually("loopback is refused again", async || (create().await.status() == 400).then_some(())).await;
}
