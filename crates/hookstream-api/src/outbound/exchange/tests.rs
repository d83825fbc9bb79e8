//! Attempts with their request and response.

use hookstream_testkit::{eventually, receiver::Receiver};
use serde_json::{Value, json};

use crate::tests::{Installation, refused, text};

#[tokio::test]
async fn attempt_shows_the_request_that_was_sent_and_the_response() {
    let mut installation = Installation::start().await;
    let stranger = installation.another_tenant().await;
    let client = &installation.client;
    let receiver = Receiver::start().await;
    let endpoint = client.acme(json!({ "headers": { "Authorization": "Bearer s3cret", "X-Team": "a" } }), &receiver.url()).await;
    let message = client.message(json!({ "total": 5 })).await;
    let detail = client.until(&message, "delivered").await;
    let path = format!("/messages/{message}/attempts/{}", text(&detail["attempts"][0], "id"));
    let (status, seen) = client.get(&format!("/v1/applications/acme{path}")).await;
    assert_eq!(status, 200, "{seen}");
    assert_eq!(client.get(&format!("/v1{path}")).await.1, seen);
    let received = receiver.received().remove(0);
    let request = &seen["request"];
    assert_eq!((&request["method"], &request["url"], &request["body"]), (&json!("POST"), &json!(receiver.url()), &json!(r#"{"total":5}"#)));
    assert_eq!(request["endpoint_changed_at"], Value::Null);
    for (name, value) in request["headers"].as_object().expect("headers") {
        let is_own = matches!(name.as_str(), "authorization" | "x-team");
        let sent = received.headers.get(name).and_then(|value| value.to_str().ok()).expect("sent");
        assert_eq!(value, if is_own { "***" } else { sent }, "{name}");
    }
    assert!(request["headers"]["webhook-signature"].as_str().is_some_and(|value| value.starts_with("v1,")), "{request}");
    assert_eq!(seen["response"]["status"], 204);
    assert!(seen["response"]["headers"].as_array().is_some_and(|headers| !headers.is_empty()), "{seen}");
    assert!(!seen.to_string().contains("s3cret"));

    let customer = client.customer("acme").await;
    assert_eq!(customer.get(&format!("/v1/portal{path}")).await.1, seen);
    for other in [format!("/v1{path}"), format!("/v1/applications/acme{path}")] {
        refused(&stranger.get(&other).await, 404, "not_found");
    }
    for absent in ["x", "0198c0de00007000800000000000abcd"] {
        refused(&client.get(&format!("/v1/messages/{message}/attempts/{absent}")).await, 404, "not_found");
    }
    installation.advance(std::time::Duration::from_secs(5));
    let of_endpoint = format!("/v1/applications/acme/endpoints/{}", text(&endpoint, "id"));
    assert_eq!(client.patch(&of_endpoint, json!({ "description": "changed" })).await.0, 200);
    assert!(client.get(&format!("/v1{path}")).await.1["request"]["endpoint_changed_at"].is_string());
    assert_eq!(client.delete(&of_endpoint).await.0, 200);
    assert_eq!(client.get(&format!("/v1{path}")).await.1["request"], Value::Null);
}

#[tokio::test]
async fn attempt_without_a_response_has_none() {
    let installation = Installation::start().await;
    let client = &installation.client;
    client.acme(json!({}), "http://127.0.0.1:9/").await;
    let message = client.message(json!({})).await;
    let attempt = eventually("an attempt", async || {
        let (_, detail) = client.get(&format!("/v1/messages/{message}")).await;
        detail["attempts"][0]["id"].as_str().map(str::to_owned)
    })
    .await;
    let (_, seen) = client.get(&format!("/v1/messages/{message}/attempts/{attempt}")).await;
    assert_eq!((&seen["response"], &seen["request"]["method"]), (&Value::Null, &json!("POST")), "{seen}");
}
