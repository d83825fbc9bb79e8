//! `GET /v1/usage`: delivery counts and payload size of an environment, and of no other.

use hookstream_testkit::receiver::{CannedResponse, Receiver};
use serde_json::{Value, json};

use crate::support::{Server, scratch};

/// Numbers of messages, and of deliveries accepted, succeeded, pending, exhausted, skipped, cancelled.
fn figures(of: &Value) -> [i64; 7] {
    ["messages", "accepted", "succeeded", "pending", "exhausted", "skipped", "cancelled"]
        .map(|name| of[name].as_i64().unwrap_or_else(|| panic!("no {name} in {of}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_reports_the_callers_deliveries() {
    let directory = scratch();
    drop(Server::start(&directory, &[]));
    let stranger = directory.add_other_organization().await;
    let server = Server::start(
        &directory,
        &[
            "--retry-schedule",
            "0",
            "--circuit-breaker-threshold",
            "0",
            "--retention-days",
            "9",
            "--payload-retention-days",
            "4",
            "--max-payload-bytes",
            "1000000",
        ],
    );
    let (client, stranger) = (&server.client, server.client.with_key(stranger.expose()));
    let usage = async || {
        let (status, response) = client.get("/v1/usage").await;
        assert_eq!(status, 200, "{response}");
        response["usage"].clone()
    };
    assert_eq!(figures(&usage().await), [0; 7]);

    let (good, failing) = (Receiver::start().await, Receiver::responding(|_| CannedResponse::status(500)).await);
    let endpoint = client.acme(json!({}), &good.url()).await;
    client.post("/v1/applications/acme/endpoints", json!({ "url": failing.url() })).await;
    for number in 0..3 {
        let id = client.message(json!({ "number": number })).await;
        client.until(&id, "failed").await;
    }
    assert_eq!(figures(&usage().await), [3, 6, 3, 0, 3, 0, 0]);
    let path = format!("/v1/applications/acme/endpoints/{}", endpoint["id"].as_str().expect("an id"));
    client.patch(&path, json!({ "status": "disabled" })).await;
    let id = client.message(json!({})).await;
    client.until(&id, "failed").await;
    let seen = usage().await;
    assert_eq!(figures(&seen), [4, 8, 3, 0, 4, 1, 0]);
    let days = seen["days"].as_array().expect("days");
    let mut sum = [0; 7];
    for day in days {
        figures(day).iter().zip(&mut sum).for_each(|(figure, sum)| *sum += figure);
        assert_eq!(day["day"].as_str().map(str::len), Some(10), "{day}");
    }
    assert_eq!(sum, figures(&seen));
    assert_eq!(seen["payload_bytes"], json!(r#"{"number":0}"#.len() * 3 + 2));
    assert_eq!(
        seen["storage"],
        json!({
            "payload_bytes": seen["payload_bytes"], "max_payload_bytes": 1_000_000, "retention_days": 9, "payload_retention_days": 4,
            "bytes_per_day": null, "forecast": "unknown", "forecast_in_days": null, "level_bytes": null,
        })
    );
    let disk = &seen["disk"];
    assert!(disk["bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{disk}");
    assert_eq!((&disk["retention_days"], &disk["bytes_per_day"]), (&json!(9), &json!(null)));

    let (status, response) = stranger.get("/v1/usage").await;
    assert_eq!((status, figures(&response["usage"])), (200, [0; 7]), "{response}");
    assert_eq!(response["usage"]["days"], json!([]));
    let environment = "efefefefefefefefefefefefefefefef";
    let (status, response) = client.get(&format!("/v1/usage?env_id={environment}")).await;
    assert_eq!((status, &response["code"]), (404, &json!("not_found")));
    assert_eq!(stranger.get(&format!("/v1/usage?env_id={environment}")).await.0, 200);
    assert_eq!(client.with_key("").get("/v1/usage").await.0, 401);
}
