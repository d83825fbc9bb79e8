//! End of live streams: credentials that end, and a server that stops.

use std::time::Duration;

use serde_json::json;

use super::client::{Events, Live};
use crate::support::{KEY, Server, scratch, visitor::Visitor};

#[tokio::test(flavor = "multi_thread")]
async fn revoked_key_ends_its_streams() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let (_, created) = server.client.post("/v1/auth/api-keys", json!({ "name": "short" })).await;
    let (id, key) = (created["id"].as_str().expect("an id"), created["key"].as_str().expect("a key"));
    let mut live = Live::with_token(&server, key).await;
    live.subscribe(&["messages"]).await;
    let mut events = Events::open(&server, &format!("?token={key}&channel=messages"), &[]).await;
    let mut other = Live::open(&server).await;
    other.subscribe(&["messages"]).await;
    assert_eq!(server.client.delete(&format!("/v1/auth/api-keys/{id}")).await.0, 200);
    let (code, frames) = live.closed().await;
    assert_eq!(code, 1008);
    assert_eq!((&frames[0]["type"], &frames[0]["code"]), (&json!("error"), &json!("unauthorized")), "{frames:?}");
    let mut last = None;
    while let Some(event) = events.next().await {
        last = Some(event);
    }
    assert_eq!(last.map(|(name, data)| (name, data["code"].clone())), Some(("error".to_owned(), json!("unauthorized"))));
    assert_eq!(other.ask(json!({ "type": "ping" })).await, json!({ "type": "pong" }));
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_key_ends_its_stream() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let (_, made) = server.client.post("/v1/auth/api-keys", json!({ "name": "clock" })).await;
    let now: hookstream_model::base::time::Timestamp = made["created_at"].as_str().expect("a time").parse().expect("a time");
    let soon = (now + Duration::from_secs(2)).to_string();
    let (status, created) = server.client.post("/v1/auth/api-keys", json!({ "name": "short", "expires_at": soon })).await;
    assert_eq!(status, 201, "{created}");
    let mut live = Live::with_token(&server, created["key"].as_str().expect("a key")).await;
    live.subscribe(&["jobs"]).await;
    assert_eq!(live.closed().await.0, 1008);
}

#[tokio::test(flavor = "multi_thread")]
async fn ended_session_and_closed_portal_end_their_streams() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    server.client.acme(json!({}), "http://127.0.0.1:9/").await;
    let owner = Visitor::owner(&server).await;
    let cookie = owner.cookie().expect("signed in");
    let mut of_person = Live::try_open(&server, "", &[("cookie", &cookie)]).await.expect("accepted");
    of_person.subscribe(&["endpoints"]).await;
    let (_, access) = server.client.post("/v1/applications/acme/portal-access", json!({})).await;
    let mut of_customer = Live::with_token(&server, access["token"].as_str().expect("a token")).await;
    of_customer.subscribe(&["messages"]).await;
    assert_eq!(owner.post("/v1/auth/sign-out", json!({})).await.0, 200);
    assert_eq!(server.client.patch("/v1/applications/acme", json!({ "status": "disabled" })).await.0, 200);
    assert_eq!(of_person.closed().await.0, 1008);
    let (code, frames) = of_customer.closed().await;
    assert_eq!((code, frames.last().map(|frame| frame["code"].clone())), (1008, Some(json!("portal_closed"))));
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_server_closes_its_streams() {
    let scratch = scratch();
    let mut server = Server::start(&scratch, &[]);
    let mut live = Live::open(&server).await;
    live.subscribe(&["messages"]).await;
    let mut events = Events::open(&server, &format!("?token={KEY}&channel=messages"), &[]).await;
    server.terminate();
    assert_eq!(live.closed().await.0, 1001);
    while events.next().await.is_some() {}
    drop((live, events));
    assert_eq!(server.ended(Duration::from_secs(10)).await, Some(0));
}
