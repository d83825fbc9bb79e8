//! Program start: settings, first start, help.

use std::process::Stdio;

use hookstream_model::base::time::Timestamp;
use serde_json::json;

use crate::support::{Server, hookstream, scratch, visitor::Visitor};

/// Checks that a server with these arguments does not start, and that its error contains `named`.
pub(crate) fn refused_start(arguments: &[&str], named: &str) {
    let directory = scratch();
    let mut command = hookstream();
    command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(directory.path()).args(arguments);
    let output = command.output().expect("the command runs");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && stderr.contains(named), "{arguments:?}: {stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn first_start_prints_a_key_and_a_working_curl() {
    use std::io::BufRead;
    let directory = scratch();
    let start = || {
        let mut command = hookstream();
        command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(directory.path());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the process starts");
        let mut printed = Vec::new();
        for line in std::io::BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok) {
            let is_ready = line.contains(" is ready at ");
            printed.push(line);
            if is_ready {
                break;
            }
        }
        (child, printed.join("\n"))
    };
    let (mut child, printed) = start();
    let curl = &printed[printed.find("curl ").expect("a curl")..];
    let curl = &curl[..curl.find("\n\n").expect("the end of the curl")];
    let created = std::process::Command::new("bash").args(["-c", &format!("{curl} -s")]).output().expect("bash and curl run");
    let created: serde_json::Value = serde_json::from_slice(&created.stdout).expect("a response");
    assert_eq!(created["application"]["uid"], "acme", "{created}");
    child.kill().and_then(|()| child.wait()).expect("ended");

    let (mut child, printed) = start();
    assert!(!printed.contains("hs_live_"), "the key is shown once");
    child.kill().and_then(|()| child.wait()).expect("ended");
}

#[test]
fn unknown_or_invalid_setting_is_rejected() {
    let check = |arguments: &[&str], variables: &[(&str, &str)], named: &str| {
        let directory = scratch();
        let mut command = hookstream();
        command.arg("serve").args(arguments).arg("--data-dir").arg(directory.path()).envs(variables.iter().copied());
        let output = command.output().expect("the command runs");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && stderr.contains(named), "{arguments:?} {variables:?}: {stderr}");
    };
    check(&["--listen", "nowhere"], &[], "--listen");
    check(&["--lisen", "127.0.0.1:0"], &[], "--lisen");
    check(
        &[],
        &[("HOOKSTREAM_LISTEN", "nowhere")],
        "HOOKSTREAM_LISTEN is \"nowhere\"; it must be an address and a port such as 0.0.0.0:8484",
    );
    check(
        &[],
        &[("HOOKSTREAM_RETENTION_DAYS", "forever")],
        "HOOKSTREAM_RETENTION_DAYS is \"forever\"; it must be a whole number from 1 to 3650",
    );
    check(&[], &[("HOOKSTREAM_LISEN", "127.0.0.1:0")], "there is no setting HOOKSTREAM_LISEN; did you mean HOOKSTREAM_LISTEN?");
    check(&[], &[("HOOKSTREAM_TIMEOUT_MS", "5")], "HOOKSTREAM_TIMEOUT_MS is \"5\"; it must be a whole number from 1000 to 60000");
    check(&["--config", "/nowhere/hookstream.toml"], &[], "/nowhere/hookstream.toml");
    check(&["--listen", "127.0.0.1:0", "--log", "a=b=c"], &[], "log");
    for word in ["warning", "verbose", "inf"] {
        check(&[], &[("HOOKSTREAM_LOG", word)], "it must be error, warn, info, debug, trace or off");
    }
}

/// Settings whose effect is tested in process, beside the handlers, reach the API.
#[tokio::test(flavor = "multi_thread")]
async fn settings_reach_the_api() {
    let directory = scratch();
    let arguments = ["--reveal-secrets=false", "--portal-endpoints=2", "--payload-limit-bytes=2048", "--allow-organizations=nobody"];
    let limits = ["--trusted-proxies=127.0.0.1", "--retention-days=20", "--payload-retention-days=10", "--secret-grace-hours=1"];
    let server = Server::start(&directory, &[&arguments[..], &limits].concat());
    let client = &server.client;
    let endpoint = client.acme(json!({ "uid": "main" }), "http://127.0.0.1:9/").await;
    let path = "/v1/applications/acme/endpoints/main";
    assert_eq!(client.get(&format!("{path}/secret")).await.1["code"], "reveal_disabled");
    let (_, rotated) = client.post(&format!("{path}/rotate-secret"), json!({})).await;
    let hour =
        |text: &serde_json::Value| text.as_str().and_then(|text| text.parse::<Timestamp>().ok()).expect("a time").as_seconds() / 3_600;
    assert!((1..=2).contains(&(hour(&rotated["previous_secret_expires_at"]) - hour(&endpoint["created_at"]))), "{rotated}");
    let large = json!({ "event_type": "a", "payload": "x".repeat(2_049) });
    assert_eq!(client.post("/v1/applications/acme/messages", large).await.1["code"], "payload_too_large");
    let (_, usage) = client.get("/v1/usage").await;
    let storage = &usage["usage"]["storage"];
    assert_eq!((&storage["retention_days"], &storage["payload_retention_days"]), (&json!(20), &json!(10)), "{usage}");

    let (_, access) = client.post("/v1/applications/acme/portal-access", json!({})).await;
    let bearer = format!("Bearer {}", access["token"].as_str().expect("a token"));
    let create = async || {
        let body = json!({ "url": "http://127.0.0.1:9/" }).to_string();
        client.with_key("").send(http::Method::POST, "/v1/portal/endpoints", &[("authorization", &bearer)], body).await
    };
    assert_eq!((create().await.0, create().await.0), (201, 403));

    let (_, key) = client.post("/v1/auth/api-keys", json!({ "name": "elsewhere", "networks": ["203.0.113.0/24"] })).await;
    let elsewhere = client.with_key(key["key"].as_str().expect("a key"));
    let from = [("x-forwarded-for", "203.0.113.7")];
    assert_eq!((elsewhere.get("/v1/usage").await.0, elsewhere.send(http::Method::GET, "/v1/usage", &from, "").await.0), (403, 200));

    let owner = Visitor::owner(&server).await;
    assert_eq!(owner.post("/v1/organizations", json!({ "name": "Other" })).await.1["code"], "organizations_not_allowed");
}

#[tokio::test(flavor = "multi_thread")]
async fn directory_has_one_server_at_a_time() {
    let directory = scratch();
    let _first = Server::start(&directory, &[]);
    let mut second = hookstream();
    second.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(directory.path());
    let output = second.output().expect("the command runs");
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("is in use by another hookstream process"));
}

#[tokio::test(flavor = "multi_thread")]
async fn health_responds_without_a_key() {
    let directory = scratch();
    let server = Server::start(&directory, &[]);
    let stranger = server.client.with_key("");
    for path in ["/v1/health", "/v1/health/ready"] {
        let (status, response) = stranger.get(path).await;
        assert_eq!((status, &response["status"]), (200, &json!("ok")), "{path}");
    }
}

#[test]
fn every_command_has_help_with_an_example() {
    for command in [
        "serve",
        "quickstart",
        "send",
        "explain",
        "health",
        "config",
        "sink",
        "bench",
        "torture",
        "migrate",
        "transfer",
        "backup",
        "restore",
        "doctor",
        "admin",
        "applications",
        "endpoints",
        "messages",
        "messages list",
        "attempts",
        "jobs",
        "login",
        "logout",
        "whoami",
        "completions",
        "admin create-api-key",
        "admin create-owner",
        "admin forget-secrets",
        "admin quotas",
        "admin reload",
        "admin rotate-portal-key",
        "admin rotate-key",
        "admin test-mail",
        "admin password-link",
    ] {
        let output = hookstream().args(command.split(' ')).arg("--help").env("COLUMNS", "120").output().expect("the command runs");
        let help = String::from_utf8_lossy(&output.stdout).into_owned();
        // Each command has an example, or its parent command does.
        let is_part = command.split_once(' ').is_some_and(|(of, _)| of != "admin");
        assert!(is_part || help.contains(&format!(": hookstream {command}")), "{command}: {help}");
        insta::assert_snapshot!(format!("help_{}", command.replace([' ', '-'], "_")), help);
    }
}
