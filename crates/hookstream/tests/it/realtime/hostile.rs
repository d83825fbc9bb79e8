//! Hostile clients of the live stream.

use std::time::Duration;

use futures_util::SinkExt;
use hookstream_testkit::eventually;
use http::{Method, header};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_tungstenite::tungstenite::Message;

use super::client::{Events, Live};
use crate::support::{KEY, Server, scratch, visitor::Visitor};

#[tokio::test(flavor = "multi_thread")]
async fn stream_without_valid_credentials_is_refused() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let foreign = format!("hs_test_{}", "0".repeat(64));
    let token = format!("?token={foreign}");
    for query in ["", "?token=", "?token=x", &token, "?token=a.b.c", &format!("?x={KEY}")] {
        assert_eq!(Live::try_open(&server, query, &[]).await.err(), Some(401), "{query}");
        assert_eq!(
            Events::open(&server, &format!("{query}{}channel=jobs", if query.is_empty() { "?" } else { "&" }), &[]).await.status,
            401
        );
    }
    // The key in a header is good, whatever the query says.
    assert!(Live::try_open(&server, &token, &[("x-api-key", KEY)]).await.is_ok());
    // Unknown parameters are named, as everywhere.
    let (status, response) = server.client.get("/v1/stream?chanel=jobs").await;
    assert_eq!((status, &response["code"]), (400, &json!("unknown_parameter")), "{response}");
}

#[tokio::test(flavor = "multi_thread")]
async fn request_without_a_handshake_is_refused() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let response = server.client.try_send(Method::GET, "/v1/ws", &[], "").await.expect("a response");
    assert_eq!((response.status().as_u16(), &response.headers()[header::UPGRADE]), (426, &"websocket".parse().expect("a value")));
    let body: Value = serde_json::from_slice(response.body()).expect("JSON");
    assert_eq!(body["code"], "websocket_needed", "{body}");
    assert_eq!(server.client.post("/v1/ws", json!({})).await.0, 405);
    for (query, code) in [("", "invalid_field"), ("?channel=", "invalid_field"), ("?channel=a:b", "invalid_field")] {
        let (status, response) = server.client.get(&format!("/v1/stream{query}")).await;
        assert_eq!((status, &response["code"]), (400, &json!(code)), "{query}: {response}");
    }
    let many = (0..101).map(|number| format!("c{number}")).collect::<Vec<_>>().join(",");
    let (status, response) = server.client.get(&format!("/v1/stream?channel={many}")).await;
    assert_eq!((status, &response["code"]), (409, &json!("too_many_subscriptions")), "{response}");
}

#[tokio::test(flavor = "multi_thread")]
async fn channels_of_others_and_unknown_ones_are_refused() {
    let scratch = scratch();
    Server::start(&scratch, &[]).kill();
    let stranger = scratch.add_other_organization().await;
    let server = Server::start(&scratch, &[]);
    let endpoint = server.client.acme(json!({}), "http://127.0.0.1:9/").await;
    let (application, endpoint) = (endpoint["application_id"].as_str().expect("an id"), endpoint["id"].as_str().expect("an id"));
    let mut live = Live::with_token(&server, stranger.expose()).await;
    let nothing = "0123456789abcdef0123456789abcdef";
    for channel in [
        &format!("messages:{application}"),
        "messages:acme",
        &format!("messages:{nothing}"),
        &format!("attempts:{endpoint}"),
        &format!("attempts:{nothing}"),
    ] {
        assert_eq!(live.refused(channel).await, "not_found", "{channel}");
    }
    for channel in ["", "messages:", "jobs:1", "a b", "attempts:acme", "../messages", "é", &"a".repeat(129)] {
        assert_eq!(live.refused(channel).await, "invalid_field", "{channel}");
    }
    live.subscribe(&["messages", "attempts", "endpoints", "jobs", "alerts", "live.Orders_1-x"]).await;
    server.client.message(json!({})).await;
    assert_eq!(server.client.patch("/v1/applications/acme", json!({ "name": "New" })).await.0, 200);
    assert_eq!(live.ask(json!({ "type": "ping" })).await, json!({ "type": "pong" }), "nothing of another tenant arrives");
}

#[tokio::test(flavor = "multi_thread")]
async fn channel_needs_its_scope() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let (_, created) = server.client.post("/v1/auth/api-keys", json!({ "name": "narrow", "scopes": "jobs:read" })).await;
    let key = created["key"].as_str().expect("a key");
    let mut live = Live::with_token(&server, key).await;
    for channel in ["messages", "attempts", "endpoints", "alerts", "custom"] {
        assert_eq!(live.refused(channel).await, "forbidden", "{channel}");
    }
    live.subscribe(&["jobs"]).await;
    assert_eq!(Events::open(&server, &format!("?token={key}&channel=jobs,messages"), &[]).await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_messages_are_answered_or_end_the_stream() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let mut live = Live::open(&server).await;
    for (frame, code) in [
        ("not JSON", "invalid_json"),
        ("[]", "invalid_json"),
        ("{}", "invalid_json"),
        (r#"{"type":"publish","channel":"messages"}"#, "invalid_field"),
        (r#"{"type":"subscribe"}"#, "invalid_field"),
        (r#"{"type":"subscribe","channel":7}"#, "invalid_json"),
    ] {
        live.socket.send(Message::text(frame)).await.expect("sent");
        let answer = live.next().await;
        assert_eq!((&answer["type"], &answer["code"]), (&json!("error"), &json!(code)), "{frame}: {answer}");
    }
    // Binary messages, large ones and floods end it.
    live.socket.send(Message::binary(vec![1, 2, 3])).await.expect("sent");
    assert_eq!(live.closed().await.0, 1003);
    let mut live = Live::open(&server).await;
    live.socket.send(Message::text("x".repeat(1024 * 1024))).await.ok();
    assert_eq!(live.closed().await.0, 1009);
    let mut live = Live::open(&server).await;
    for _ in 0..400 {
        if live.socket.send(Message::text(r#"{"type":"ping"}"#)).await.is_err() {
            break;
        }
    }
    assert_eq!(live.closed().await.0, 1008);
}

#[tokio::test(flavor = "multi_thread")]
async fn page_of_another_site_opens_no_stream_with_the_cookie() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let owner = Visitor::owner(&server).await;
    let cookie = owner.cookie().expect("signed in");
    let open = async |headers: &[(&str, &str)]| Live::try_open(&server, "", headers).await.err();
    assert_eq!(open(&[("cookie", &cookie), ("origin", "https://evil.example")]).await, Some(403));
    assert_eq!(open(&[("cookie", &cookie), ("sec-fetch-site", "cross-site")]).await, Some(403));
    assert_eq!(open(&[("cookie", &cookie), ("origin", "null")]).await, Some(403));
    assert_eq!(open(&[("cookie", &cookie), ("origin", &server.url)]).await, None);
    let crossing = [("cookie", cookie.as_str()), ("origin", "https://evil.example")];
    assert_eq!(Events::open(&server, "?channel=messages", &crossing).await.status, 403);
    // A token is no ambient authority, so its page may be anywhere.
    assert!(Live::try_open(&server, &format!("?token={KEY}"), &[("origin", "https://portal.example")]).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_reader_loses_events_and_is_told_how_many() {
    const SENT: u64 = 1_000;
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let (status, created) = server.client.post("/v1/applications", json!({ "name": "Acme", "uid": "acme" })).await;
    assert_eq!(status, 201);
    let mut live = Live::slow(&server).await;
    // Each message arrives three times: more than the buffers of the system hold.
    live.subscribe(&["messages", "messages:acme", &format!("messages:{}", created["application"]["id"].as_str().expect("an id"))]).await;
    let expected = 3 * SENT;
    let channels: Vec<_> = (0..20).map(|number| format!("{number}-{}", "c".repeat(100))).collect();
    let send = async |from: u64| {
        for number in (from..SENT).step_by(8) {
            let event_id = format!("{number}-{}", "e".repeat(200));
            let body = json!({ "event_type": "a.b", "payload": 1, "event_id": event_id, "channels": channels });
            let (status, response) = server.client.post("/v1/applications/acme/messages", body).await;
            assert_eq!(status, 201, "{response}");
        }
    };
    tokio::join!(send(0), send(1), send(2), send(3), send(4), send(5), send(6), send(7));
    let (mut events, mut dropped) = (0, 0);
    while events + dropped < expected {
        let frame = live.next().await;
        match frame["type"].as_str() {
            Some("message") => events += 1,
            Some("gap") => dropped += frame["dropped"].as_u64().expect("a number"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(events + dropped, expected);
    assert!(dropped > 0 && events > 0, "{events} events, {dropped} dropped");
    // Afterwards the stream goes on.
    let id = server.client.message(json!({})).await;
    assert_eq!(live.next().await["data"]["id"], id.as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn token_appears_in_no_log() {
    let scratch = scratch();
    let log = scratch.files.path().join("log");
    let server = Server::start_with(&scratch, &["--log", "trace"], &[], Some(&log));
    let mut live = Live::open(&server).await;
    live.subscribe(&["messages"]).await;
    let events = Events::open(&server, &format!("?channel=messages&token={KEY}"), &[]).await;
    assert_eq!(events.status, 200);
    let wrong = format!("hs_live_{}", "ab".repeat(32));
    assert_eq!(Live::try_open(&server, &format!("?token={wrong}"), &[]).await.err(), Some(401));
    let text = eventually("the requests are logged", async || {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        (text.contains("/v1/ws") && text.contains("/v1/stream") && text.contains("401")).then_some(text)
    })
    .await;
    for secret in [KEY, &wrong, "token="] {
        assert!(!text.contains(secret), "{secret} is in the log");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_of_a_caller_are_limited() {
    let scratch = scratch();
    let server = Server::start(&scratch, &["--max-streams-per-caller", "2", "--max-streams", "3"]);
    let (one, two) = (Live::open(&server).await, Live::open(&server).await);
    assert_eq!(Live::try_open(&server, &format!("?token={KEY}"), &[]).await.err(), Some(429));
    let (_, created) = server.client.post("/v1/auth/api-keys", json!({ "name": "other" })).await;
    let key = created["key"].as_str().expect("a key");
    let events = Events::open(&server, &format!("?token={key}&channel=jobs"), &[]).await;
    assert_eq!(events.status, 200);
    assert_eq!(Events::open(&server, &format!("?token={key}&channel=jobs"), &[]).await.status, 503);
    drop((one, two, events));
    tokio::time::timeout(Duration::from_secs(20), async {
        while Live::try_open(&server, &format!("?token={KEY}"), &[]).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("closed streams leave room");
}

#[tokio::test(flavor = "multi_thread")]
async fn open_stream_counts_as_a_connection_of_its_address() {
    let scratch = scratch();
    let server = Server::start(&scratch, &["--max-connections-per-address", "2"]);
    let is_closed = async || {
        let mut stream = TcpStream::connect(server.address()).await.expect("the server listens");
        stream.write_all(b"GET /v1/health HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.ok();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.is_err() || answer.is_empty()
    };
    let (one, two) = (Live::open(&server).await, Live::open(&server).await);
    assert!(is_closed().await, "both connections of the address are in use");
    drop((one, two));
    eventually("a connection is free", async || (!is_closed().await).then_some(())).await;
}
