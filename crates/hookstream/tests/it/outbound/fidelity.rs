//! Payload fidelity: payloads are delivered byte for byte.

use hookstream_testkit::receiver::{CannedResponse, Receiver};
use http::Method;
use serde_json::json;

use crate::{
    operations::doctor::tamper,
    outbound::expiry::stop,
    support::{Server, scratch},
};

#[tokio::test(flavor = "multi_thread")]
async fn payloads_are_delivered_byte_for_byte_and_verify() {
    let directory = scratch();
    let server = Server::start(&directory, &[]);
    let receiver = Receiver::start().await;
    let endpoint = server.client.acme(json!({}), &receiver.url()).await;
    let official = standardwebhooks::Webhook::new(endpoint["signing_secret"].as_str().expect("a secret")).expect("a secret");
    let large = format!("{{\"text\": \"{}\"}}", "ä".repeat(524_000));
    let largest = format!("\"{}\"", "x".repeat(1024 * 1024));
    let json = "application/json";
    let text = "text/plain; charset=utf-8";
    let cases = [
        ("{ \"b\" :1,\t\"a\" : [ 1 ,2 ]\n}", None, json),
        (r#"{"big":12345678901234567890,"e":1E400,"neg":-0}"#, None, json),
        (r#"{"a":1,"a":2}"#, None, json),
        (r#"{"ü":"日本語 \u00e9 \ud83d\ude00","nul":"\u0000","lone":"\ud800"}"#, None, json),
        ("{}", None, json),
        ("[]", None, json),
        ("null", None, json),
        ("-1.50", None, json),
        (r#""just text, \"quoted\" é""#, Some("just text, \"quoted\" é"), text),
        (r#""{\"a\": 1}""#, Some("{\"a\": 1}"), json),
        (large.as_str(), None, json),
        (largest.as_str(), Some(&largest[1..largest.len() - 1]), text),
    ];
    for (number, (payload, body, content_type)) in cases.into_iter().enumerate() {
        let request = format!("{{\"event_type\":\"a.b\", \"payload\" : {payload} }}");
        let (status, response) = server.client.send(Method::POST, "/v1/applications/acme/messages", &[], request).await;
        assert_eq!(status, 201, "{number}: {}", response["error"]);
        let delivery = receiver.wait_for(number + 1).await[number].clone();
        let expected = body.unwrap_or(payload);
        assert!(delivery.body == expected.as_bytes(), "{number}: the body differs");
        assert_eq!(delivery.header("content-type"), content_type, "{number}");
        official.verify(&delivery.body, &delivery.headers).unwrap_or_else(|error| panic!("{number}: {error}"));
        assert!(response["message"]["payload"] == expected, "{number}: the response differs");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_payload_is_delivered_from_the_store_unchanged() {
    let directory = scratch();
    let server = Server::start(&directory, &["--retry-schedule", "0,0,0", "--circuit-breaker-threshold", "0"]);
    let receiver = Receiver::responding(|request| {
        CannedResponse::status(if request.header("x-hookstream-delivery-attempt") == "3" { 200 } else { 500 })
    })
    .await;
    let endpoint = server.client.acme(json!({}), &receiver.url()).await;
    let official = standardwebhooks::Webhook::new(endpoint["signing_secret"].as_str().expect("a secret")).expect("a secret");
    let payload =
        format!("[{}  ]", r#"{"ü":"日本語 \u00e9 \ud800","big":12345678901234567890,"a":1, "a" :2},"#.repeat(900).trim_end_matches(','));
    let request = format!("{{\"event_type\":\"a.b\", \"payload\" : {payload} }}");
    let (status, response) = server.client.send(Method::POST, "/v1/applications/acme/messages", &[], request).await;
    assert_eq!(status, 201, "{}", response["error"]);
    let id = response["message"]["id"].as_str().expect("an id");
    // The first attempt is sent from memory, the next from the store.
    for delivery in receiver.wait_for(3).await {
        assert!(delivery.body == payload.as_bytes(), "the body differs");
        official.verify(&delivery.body, &delivery.headers).expect("the signature verifies");
    }
    let (_, seen) = server.client.get(&format!("/v1/applications/acme/messages/{id}")).await;
    assert!(seen["message"]["payload"] == payload.as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_payload_does_not_delay_others() {
    let directory = scratch();
    let options = ["--retry-schedule", "0,1,1,1,1,1,1,1,1", "--circuit-breaker-threshold", "0"];
    let server = Server::start(&directory, &options);
    let receiver = Receiver::responding(|_| CannedResponse::status(500)).await;
    server.client.acme(json!({}), &receiver.url()).await;
    let damaged = server.client.message(json!({ "text": "again and ".repeat(500) })).await;
    let whole = server.client.message(json!({ "text": "short" })).await;
    receiver.wait_for(2).await;
    stop(server).await;
    tamper(&directory, "update payloads set size = size + 1 where size > 1000").await;

    receiver.respond(|_| CannedResponse::status(200));
    let server = Server::start(&directory, &options);
    server.client.until(&whole, "delivered").await;
    let (status, response) = server.client.get(&format!("/v1/applications/acme/messages/{damaged}")).await;
    assert_eq!((status, &response["code"]), (500, &json!("internal")), "{response}");
    let (_, usage) = server.client.get("/v1/usage").await;
    assert_eq!(usage["usage"]["pending"], 1, "the delivery is still counted: {usage}");
}
