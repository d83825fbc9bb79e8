//! API rules that hold for every operation, and rules of single operations.

use http::Method;
use serde_json::{Value, json};

use crate::support::{Server, scratch};

/// Checks that a response is an error in the documented form.
fn check_error((status, response): &(u16, Value), expected: u16, code: &str) {
    assert_eq!((*status, &response["status"], &response["code"]), (expected, &json!(expected), &json!(code)), "{response}");
    assert!(response["error"].as_str().is_some_and(|error| error.ends_with(['.', '?'])), "{response}");
    assert!(response["request_id"].as_str().is_some_and(|id| id.len() == 16 && id.starts_with("req_")), "{response}");
}

#[tokio::test(flavor = "multi_thread")]
async fn idempotency_key_merges_fifty_requests() {
    let directory = scratch();
    let server = Server::start(&directory, &[]);
    let message = json!({ "event_type": "a.b", "payload": { "n": 1 } }).to_string();
    let application = json!({ "name": "Acme", "uid": "acme" }).to_string();
    for (path, body) in [("/v1/applications", application), ("/v1/applications/acme/messages", message)] {
        let mut running = tokio::task::JoinSet::new();
        for _ in 0..50 {
            let (client, path, body) = (server.client.clone(), path.to_owned(), body.clone());
            running.spawn(async move { client.send(Method::POST, &path, &[("idempotency-key", "\"k-1\"")], body).await });
        }
        let responses = running.join_all().await;
        assert_eq!(responses[0].0, 201, "{}", responses[0].1);
        assert!(responses.iter().all(|response| *response == responses[0]), "{path}: the responses differ");
        let other = server.client.send(Method::POST, path, &[("idempotency-key", "k-1")], format!("{body} ")).await;
        check_error(&other, 422, "idempotency_key_reused");
        check_error(&server.client.send(Method::POST, path, &[("idempotency-key", "")], body.clone()).await, 400, "invalid_field");
    }
    let (_, list) = server.client.get("/v1/applications/acme/messages").await;
    assert_eq!(list["messages"].as_array().map(Vec::len), Some(1));
    let with_event_id = || json!({ "event_type": "a.b", "event_id": "order-1", "payload": null });
    let (status, first) = server.client.post("/v1/applications/acme/messages", with_event_id()).await;
    assert_eq!(status, 201);
    let second = server.client.post("/v1/applications/acme/messages", with_event_id()).await;
    check_error(&second, 409, "duplicate_event_id");
    assert_eq!(second.1["details"]["message_id"], first["message"]["id"]);
}
