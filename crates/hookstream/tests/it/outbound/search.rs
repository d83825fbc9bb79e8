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
    let counted = tokio::time::timeout(INDEXED_WITHIN, async {
        loop {
            let (status, counted) = server.client.get("/v1/messages/counts?search=example").await;
            assert_eq!((status, &counted["is_exact"]), (200, &json!(true)), "{counted}");
            if counted["total"] == 2 {
                return counted;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await
    .expect("both messages are found");
    assert!(counted["search"]["lag_s"].is_u64(), "{counted}");
    let (_, answer) = server.client.get(path).await;
    assert_eq!((&answer["messages"][0]["id"], answer["messages"].as_array().map(Vec::len)), (&json!(id), Some(1)), "{answer}");
    let reach = &answer["search"];
    assert!(reach["lag_s"].as_u64().is_some_and(|lag| (9..60).contains(&lag)), "{reach}");
    assert!(reach["complete_since"].as_str() < reach["indexed_until"].as_str(), "{reach}");
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
