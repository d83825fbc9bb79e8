//! Metrics and problems of a running server: they are written on stop, shared through the store, and shown by the command.

use std::time::Duration;

use hookstream_testkit::{
    eventually,
    receiver::{CannedResponse, Receiver},
};
use serde_json::{Value, json};

use crate::support::{KEY, Scratch, Server, TestClient, hookstream, scratch};

fn start(scratch: &Scratch) -> Server {
    Server::start(scratch, &["--retry-schedule", "0"])
}

async fn get(client: &TestClient, path: &str) -> Value {
    let (status, response) = client.get(path).await;
    assert_eq!(status, 200, "{path}: {response}");
    response
}

/// Returns the output of `hookstream problems`.
fn problems(server: &Server, arguments: &[&str]) -> String {
    let output = hookstream()
        .arg("problems")
        .args(arguments)
        .envs([("HOOKSTREAM_URL", server.url.as_str()), ("HOOKSTREAM_API_KEY", KEY)])
        .output()
        .expect("the command runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_survive_a_restart_and_problems_are_shown() {
    let scratch = scratch();
    let mut server = start(&scratch);
    let (good, failing) = (Receiver::start().await, Receiver::responding(|_| CannedResponse::status(503)).await);
    server.client.acme(json!({ "uid": "good" }), &good.url()).await;
    assert!(problems(&server, &[]).starts_with("Nothing is wrong: 1 endpoints."));
    let (status, bad) = server.client.post("/v1/applications/acme/endpoints", json!({ "url": failing.url(), "uid": "bad" })).await;
    assert_eq!(status, 201, "{bad}");
    for number in 0..5 {
        server.client.message(json!({ "n": number })).await;
    }
    let path = "/v1/applications/acme/endpoints/bad/health";
    eventually("an open circuit", async || (get(&server.client, path).await["health"]["circuit_state"] == "open").then_some(())).await;
    let shown = problems(&server, &[]);
    assert!(shown.contains("critical  circuit_open") && shown.contains("The receiver answers 503."), "{shown}");
    let object: Value = serde_json::from_str(problems(&server, &["--json"]).trim()).expect("one JSON object");
    assert_eq!((&object["subject"]["id"], &object["remedy"]["action"]), (&bad["endpoint"]["id"], &json!("probe_now")), "{object}");
    let expected = get(&server.client, "/v1/metrics/deliveries").await["total"].clone();
    assert_eq!((&expected["delivery_count"], &expected["success_count"]), (&json!(10), &json!(5)), "{expected}");
    let errors = get(&server.client, "/v1/metrics/errors").await;

    server.terminate();
    assert_eq!(server.ended(Duration::from_secs(30)).await, Some(0));
    let server = start(&scratch);
    let total = get(&server.client, "/v1/metrics/deliveries").await["total"].clone();
    // The circuit breaker may have let a probe through meanwhile.
    for field in ["delivery_count", "success_count", "attempts_succeeded"] {
        assert_eq!(total[field], expected[field], "{field}: {total}");
    }
    let after = get(&server.client, "/v1/metrics/errors").await;
    assert!(after["total"].as_i64() >= errors["total"].as_i64() && errors["total"].as_i64() >= Some(5), "{errors} {after}");
    let health = get(&server.client, path).await["health"].clone();
    assert_eq!((&health["due"], &health["arrived"]), (&json!(5), &json!(0)), "{health}");
    let list = get(&server.client, "/v1/endpoints?failing=1").await;
    assert_eq!(list["endpoints"][0]["id"], bad["endpoint"]["id"], "{list}");
}
