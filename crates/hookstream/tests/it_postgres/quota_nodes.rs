//! Quotas and portal keys are shared by all nodes.

use hookstream_testkit::eventually;
use http::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::{Server, TestClient, hookstream, scratch};

const MOST: u64 = 40;

/// Sends `number` requests at once, alternating between the nodes. Returns how many responses were 201.
async fn at_once(nodes: [&TestClient; 2], number: usize, path: &str, body: impl Fn(usize) -> Value, refusal: u16) -> u64 {
    let mut requests = JoinSet::new();
    for index in 0..number {
        let (client, path, body) = (nodes[index % 2].clone(), path.to_owned(), body(index));
        requests.spawn(async move { client.post(&path, body).await });
    }
    let mut created = 0;
    while let Some(response) = requests.join_next().await {
        let (status, response) = response.expect("no panic");
        assert!(status == 201 || (status == refusal && response["code"] == "quota_reached"), "{status} {response}");
        created += u64::from(status == 201);
    }
    created
}

#[tokio::test(flavor = "multi_thread")]
async fn quota_is_shared_by_all_nodes() {
    let scratch = scratch();
    let settings = ["--quota-applications", "3", "--quota-events-per-month", "40"];
    let (one, two) = (Server::start(&scratch, &settings), Server::start(&scratch, &settings));
    let nodes = [&one.client, &two.client];
    let named = |index: usize| json!({ "name": "A customer", "uid": format!("customer-{index}") });
    assert_eq!(at_once(nodes, 16, "/v1/applications", named, 403).await, 3);
    let (_, page) = one.client.get("/v1/applications").await;
    let path = format!("/v1/applications/{}/messages", page["applications"][0]["id"].as_str().expect("an id"));
    let message = |_| json!({ "event_type": "invoice.paid", "payload": 1 });
    // Slowly, so that each node learns about the messages accepted by the other.
    let mut accepted = 0;
    for _ in 0..4 {
        accepted += at_once(nodes, 10, &path, message, 429).await;
        tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    }
    assert_eq!(accepted, MOST);
    for node in nodes {
        eventually("the quota is reached on each node", async || (node.post(&path, message(0)).await.0 == 429).then_some(())).await;
    }
    for node in nodes {
        let (_, usage) = node.get("/v1/billing/usage").await;
        assert_eq!((&usage["events"]["used"], &usage["events"]["limit"]), (&json!(accepted), &json!(MOST)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn portal_token_is_valid_on_every_node_and_ends_on_all_at_once() {
    let scratch = scratch();
    let (one, two) = (Server::start(&scratch, &[]), Server::start(&scratch, &[]));
    one.client.acme(json!({}), "http://127.0.0.1:9/").await;
    let token = async |node: &Server| {
        let (status, access) = node.client.post("/v1/applications/acme/portal-access", json!({})).await;
        assert_eq!(status, 200, "{access}");
        access["token"].as_str().expect("a token").to_owned()
    };
    let status = async |node: &Server, token: &str| {
        let bearer = format!("Bearer {token}");
        node.client.with_key("").send(Method::GET, "/v1/portal/application", &[("authorization", &bearer)], "").await.0
    };
    let (first, second) = (token(&one).await, token(&two).await);
    assert_eq!(first.split('.').next(), second.split('.').next(), "both nodes sign with one key");
    for node in [&one, &two] {
        assert_eq!((status(node, &first).await, status(node, &second).await), (200, 200));
    }
    let url = scratch.database.as_ref().expect("these tests are on PostgreSQL").url();
    let output = hookstream().args(["admin", "rotate-portal-key", "--now", "--database-url", &url]).output().expect("the command runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for node in [&one, &two] {
        assert_eq!((status(node, &first).await, status(node, &second).await), (401, 401));
    }
    let third = token(&two).await;
    assert_eq!(status(&one, &third).await, 200);
    // A change on one node ends the token on all nodes.
    assert_eq!(two.client.patch("/v1/applications/acme", json!({ "status": "disabled" })).await.0, 200);
    assert_eq!(status(&one, &third).await, 401);
}
