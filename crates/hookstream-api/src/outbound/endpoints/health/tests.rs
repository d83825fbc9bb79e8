//! Health of an endpoint and of a list, in the dashboard and in the portal.

use hookstream_testkit::{
    eventually,
    receiver::{CannedResponse, Receiver},
};
use serde_json::{Value, json};

use crate::tests::{Client, Installation, invalid_field, refused, text};

async fn health(client: &Client, path: &str) -> Value {
    let (status, response) = client.get(path).await;
    assert_eq!(status, 200, "{response}");
    response["health"].clone()
}

fn sum(values: &Value) -> i64 {
    values.as_array().expect("numbers").iter().map(|value| value.as_i64().expect("a number")).sum()
}

#[tokio::test]
async fn healthy_endpoint_shows_its_half_hours() {
    let installation = Installation::start().await;
    let client = &installation.client;
    let receiver = Receiver::start().await;
    let endpoint = client.acme(json!({ "uid": "main" }), &receiver.url()).await;
    for number in 0..3 {
        let id = client.message(json!(number)).await;
        client.until(&id, "delivered").await;
    }
    let found = health(client, "/v1/applications/acme/endpoints/main/health").await;
    assert_eq!(found["half_hours"].as_array().map(Vec::len), Some(48));
    assert_eq!((&found["due"], &found["arrived"], &found["success_rate"]), (&json!(3), &json!(3), &json!(100.0)), "{found}");
    let last = &found["half_hours"][47];
    assert!(last["due"] == 3 || found["half_hours"][46]["due"].as_i64() > Some(0), "{last}");
    assert_eq!((&found["latency"]["count"], &found["circuit_state"], &found["failed_probes"]), (&json!(3), &json!("closed"), &json!(0)));
    assert_eq!(
        (&found["backlog"]["pending"], &found["backlog"]["oldest_at"], &found["next_attempt_at"]),
        (&json!(0), &json!(null), &json!(null))
    );
    assert_eq!((&found["drained_in_s"], &found["disables_at"], &found["errors"]), (&json!(0.0), &json!(null), &json!([])));
    // The customer sees the same of an endpoint.
    let customer = client.customer("acme").await;
    let in_portal = health(&customer, &format!("/v1/portal/endpoints/{}/health", text(&endpoint, "id"))).await;
    assert_eq!((&in_portal["due"], &in_portal["endpoint_id"]), (&json!(3), &endpoint["id"]));
    refused(&customer.get("/v1/portal/endpoints/nobody/health").await, 404, "not_found");
    refused(&client.get("/v1/applications/acme/endpoints/nobody/health").await, 404, "not_found");
}

#[tokio::test]
async fn failing_endpoint_shows_circuit_backlog_and_date_of_disabling() {
    let installation = Installation::start().await;
    let client = &installation.client;
    let receiver = Receiver::responding(|_| CannedResponse::status(503)).await;
    client.acme(json!({ "uid": "main", "retry_schedule": [] }), &receiver.url()).await;
    // One after the other: those that wait when the circuit opens would stay pending.
    for number in 0..5 {
        let id = client.message(json!(number)).await;
        client.until(&id, "failed").await;
    }
    let path = "/v1/applications/acme/endpoints/main/health";
    eventually("an open circuit", async || (health(client, path).await["circuit_state"] == "open").then_some(())).await;
    for number in 0..2 {
        client.message(json!(number)).await;
    }
    let found = health(client, path).await;
    assert_eq!((&found["due"], &found["arrived"], &found["ended"]), (&json!(7), &json!(0), &json!(5)), "{found}");
    assert_eq!((&found["success_rate"], &found["backlog"]["pending"]), (&json!(0.0), &json!(2)));
    assert!(found["backlog"]["oldest_at"].is_string() && found["circuit_open_since"].is_string(), "{found}");
    assert_eq!((&found["hold_reason"], &found["next_attempt_at"]), (&json!("failing"), &found["held_until"]));
    assert_eq!(found["drained_in_s"], json!(null), "without a rate it is not known");
    let error = &found["errors"][0];
    assert_eq!((&error["error"], &error["response_status"], &error["count"]), (&json!("http_status"), &json!(503), &json!(5)), "{found}");
    eventually("a date of disabling", async || health(client, path).await["disables_at"].is_string().then_some(())).await;
}

#[tokio::test]
async fn endpoints_of_all_applications_are_listed_with_health() {
    let mut installation = Installation::start().await;
    let stranger = installation.another_tenant().await;
    let client = &installation.client;
    let receivers = [Receiver::start().await, Receiver::responding(|_| CannedResponse::status(410)).await];
    let good = client.acme(json!({ "uid": "good" }), &receivers[0].url()).await;
    let (_, other) = client.post("/v1/applications", json!({ "name": "Other" })).await;
    let path = format!("/v1/applications/{}/endpoints", text(&other["application"], "id"));
    let (status, idle) = client.post(&path, json!({ "url": receivers[0].url() })).await;
    assert_eq!(status, 201, "{idle}");
    let (_, gone) = client.post("/v1/applications/acme/endpoints", json!({ "url": receivers[1].url() })).await;
    let id = client.message(json!(1)).await;
    client.until(&id, "failed").await;
    let list = async |query: &str| {
        let (status, response) = client.get(&format!("/v1/endpoints{query}")).await;
        assert_eq!(status, 200, "{response}");
        response
    };
    let ids = |response: &Value| -> Vec<Value> {
        response["endpoints"].as_array().expect("endpoints").iter().map(|endpoint| endpoint["id"].clone()).collect()
    };
    let all = list("").await;
    let (good_id, idle_id, gone_id) = (good["id"].clone(), idle["endpoint"]["id"].clone(), gone["endpoint"]["id"].clone());
    assert_eq!(ids(&all), [gone_id.clone(), idle_id.clone(), good_id.clone()], "{all}");
    let (of_gone, of_idle, of_good) = (&all["endpoints"][0], &all["endpoints"][1], &all["endpoints"][2]);
    assert_eq!((&of_good["application_name"], &of_idle["application_name"]), (&json!("Acme"), &json!("Other")));
    assert_eq!((sum(&of_good["health"]["due"]), sum(&of_good["health"]["arrived"])), (1, 1));
    assert_eq!((sum(&of_gone["health"]["due"]), sum(&of_gone["health"]["arrived"])), (1, 0));
    assert_eq!((&of_idle["health"]["success_rate"], &of_good["health"]["success_rate"]), (&json!(null), &json!(100.0)));
    assert!(of_good["health"]["p95_ms"].is_f64() && of_idle["health"]["p95_ms"].is_null());
    eventually("it is disabled", async || (ids(&list("?status=disabled").await) == [gone_id.clone()]).then_some(())).await;
    assert_eq!(ids(&list("?failing=1").await), [gone_id]);
    assert_eq!(ids(&list("?status=active&failing=0").await), [idle_id.clone(), good_id.clone()]);
    let first = list("?limit=1&status=active").await;
    let second = list(&format!("?limit=1&status=active&cursor={}", text(&first, "cursor"))).await;
    assert_eq!((ids(&first), ids(&second)), (vec![idle_id], vec![good_id]));
    for (field, query) in [("status", "status=lost"), ("failing", "failing=maybe"), ("limit", "limit=0"), ("cursor", "cursor=x")] {
        invalid_field(&client.get(&format!("/v1/endpoints?{query}")).await, field);
    }
    refused(&client.get("/v1/endpoints?failed=1").await, 400, "unknown_parameter");
    assert_eq!(stranger.get("/v1/endpoints").await.1["endpoints"], json!([]));
}
