//! Text search: a word of a payload is found once the index has come so far.

use std::time::Duration;

use hookstream_testkit::eventually;
use serde_json::{Value, json};

use crate::support::{Server, scratch};

/// Time until a message is in the index, which is ten seconds behind.
const INDEXED_WITHIN: Duration = Duration::from_secs(40);

#[tokio::test(flavor = "multi_thread")]
async fn word_of_a_payload_is_found_once_it_is_indexed() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    server.client.acme(json!({}), "http://127.0.0.1:9/").await;
    let id = server.client.message(json!({ "customer": { "mail": "ada@example.com" } })).await;
    server.client.message(json!({ "customer": { "mail": "bob@example.com" } })).await;
    let path = "/v1/applications/acme/messages?search=Ada%40Example.com";
    let answer = tokio::time::timeout(INDEXED_WITHIN, async {
        loop {
            let (status, answer) = server.client.get(path).await;
            assert_eq!(status, 200, "{answer}");
            if answer["messages"].as_array().is_some_and(|messages| messages.len() == 1) {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await
    .expect("the message is found");
    assert_eq!(answer["messages"][0]["id"], id.as_str());
    let reach = &answer["search"];
    assert!(reach["lag_s"].as_u64().is_some_and(|lag| (9..60).contains(&lag)), "{reach}");
    assert!(reach["complete_since"].as_str() < reach["indexed_until"].as_str(), "{reach}");
    let (_, counted) = server.client.get("/v1/messages/counts?search=example").await;
    assert_eq!((&counted["total"], &counted["is_exact"]), (&json!(2), &json!(true)), "{counted}");
    assert!(counted["search"]["lag_s"].is_u64(), "{counted}");
    // Without an index, an earlier one is removed.
    server.kill();
    let server = Server::start(&scratch, &["--search-index-days", "0"]);
    let answer = eventually("the index is removed", async || {
        let (_, answer) = server.client.get(path).await;
        (answer["search"] == Value::Null).then_some(answer)
    })
    .await;
    assert_eq!(answer["messages"], json!([]));
}
