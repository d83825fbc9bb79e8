//! Deliveries: behaviour of receivers, and the resulting state.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use hookstream_testkit::receiver::{CannedResponse, RawReceiver, Receiver, read_request};
use http::HeaderMap;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::support::{Server, scratch};

#[tokio::test(flavor = "multi_thread")]
async fn delivery_verifies_with_the_official_library() {
    let directory = scratch();
    let server = Server::start(&directory, &[]);
    let receiver = Receiver::start().await;
    let endpoint = server.client.acme(json!({ "headers": { "Authorization": "Bearer mine" } }), &receiver.url()).await;
    let id = server.client.message(json!({ "invoice_id": 42 })).await;

    let delivery = &receiver.wait_for(1).await[0];
    let official = standardwebhooks::Webhook::new(endpoint["signing_secret"].as_str().expect("a secret")).expect("a secret");
    let signed: HeaderMap = delivery.headers.clone();
    official.verify(&delivery.body, &signed).expect("the signature verifies");
    assert_eq!((delivery.method.as_str(), delivery.path.as_str(), delivery.id()), ("POST", "/hook", id.clone()));
    assert_eq!(&delivery.body[..], br#"{"invoice_id":42}"#);
    assert_eq!(delivery.header("content-type"), "application/json");
    assert_eq!(delivery.header("user-agent"), concat!("hookstream/", env!("CARGO_PKG_VERSION")));
    assert_eq!(delivery.header("x-hookstream-event-type"), "invoice.paid");
    assert_eq!(delivery.header("x-hookstream-delivery-attempt"), "1");
    assert_eq!(delivery.header("authorization"), "Bearer mine");

    let seen = server.client.until(&id, "delivered").await;
    assert_eq!(seen["attempts"][0]["response_status"], 204);
    assert_eq!(seen["attempts"][0]["trigger_type"], "initial");
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoint_headers_replace_default_headers() {
    let directory = scratch();
    let server = Server::start(&directory, &[]);
    let receiver = Receiver::start().await;
    let own = json!({ "User-Agent": "Acme-Webhooks/1", "ACCEPT": "text/plain", "Date": "x", "X-Own": "1" });
    server.client.acme(json!({ "headers": own }), &receiver.url()).await;
    server.client.message(json!({})).await;
    let delivery = &receiver.wait_for(1).await[0];
    for (name, value) in own.as_object().expect("an object") {
        let lines: Vec<_> = delivery.headers.get_all(name.to_lowercase()).iter().map(|line| line.to_str().expect("text")).collect();
        assert_eq!(lines, [value.as_str().expect("text")], "{name}");
    }
    for name in delivery.headers.keys() {
        assert_eq!(delivery.headers.get_all(name).iter().count(), 1, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_payload_is_sent_with_its_length() {
    let directory = scratch();
    let server = Server::start(&directory, &[]);
    let receiver = Receiver::start().await;
    server.client.acme(json!({}), &receiver.url()).await;
    server.client.message(json!("")).await;
    let delivery = &receiver.wait_for(1).await[0];
    assert_eq!((delivery.header("content-length"), &delivery.body[..]), ("0", &b""[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn status_410_with_a_truncated_body_disables_the_endpoint() {
    let directory = scratch();
    let server = Server::start(&directory, &[]);
    let receiver = RawReceiver::start(|mut stream| async move {
        read_request(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 410 Gone\r\nContent-Length: 40\r\n\r\ngone").await;
    })
    .await;
    let endpoint = server.client.acme(json!({}), &receiver.url()).await;
    let id = server.client.message(json!({})).await;
    let seen = server.client.until(&id, "failed").await;
    assert_eq!((&seen["attempts"][0]["response_status"], &seen["attempts"][0]["response_body"]), (&json!(410), &json!("gone")));
    assert_eq!(seen["deliveries"][0]["reason"], "gone");
    let path = format!("/v1/applications/acme/endpoints/{}", endpoint["id"].as_str().expect("an id"));
    hookstream_testkit::eventually("the endpoint is disabled", async || {
        let (_, response) = server.client.get(&path).await;
        (response["endpoint"]["disabled_reason"] == "gone").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ed25519_delivery_verifies_with_the_public_key() {
    let directory = scratch();
    let server = Server::start(&directory, &[]);
    let receiver = Receiver::start().await;
    let endpoint = server.client.acme(json!({ "signing_algorithm": "ed25519" }), &receiver.url()).await;
    server.client.message(json!({})).await;
    let delivery = &receiver.wait_for(1).await[0];
    let public = hookstream_model::base::secret::Secret::new(endpoint["public_key"].as_str().expect("a public key"));
    let key = hookstream_model::outbound::signature::VerificationKey::parse(&public).expect("a key");
    let seconds: i64 = delivery.header("webhook-timestamp").parse().expect("seconds");
    let now = hookstream_model::base::time::Timestamp::from_millis(seconds * 1_000);
    let [id, timestamp, signature] = ["webhook-id", "webhook-timestamp", "webhook-signature"].map(|name| delivery.header(name));
    key.verify(id, timestamp, signature, &delivery.body, now).expect("the signature verifies");
}

#[tokio::test(flavor = "multi_thread")]
async fn delivery_succeeds_on_the_third_attempt() {
    let directory = scratch();
    let server = Server::start(&directory, &["--retry-schedule", "0,1,60"]);
    let attempts = AtomicU32::new(0);
    let receiver = Receiver::responding(move |_| {
        CannedResponse::status(if attempts.fetch_add(1, Ordering::SeqCst) < 2 { 503 } else { 200 }).body("sorry")
    })
    .await;
    server.client.acme(json!({}), &receiver.url()).await;
    let id = server.client.message(json!({})).await;

    let seen = server.client.until(&id, "delivered").await;
    let field =
        |name: &str| seen["attempts"].as_array().expect("attempts").iter().map(|attempt| attempt[name].clone()).collect::<Vec<Value>>();
    assert_eq!(field("status"), ["failed", "failed", "success"]);
    assert_eq!(field("attempt_number"), [1, 2, 3]);
    assert_eq!(field("trigger_type"), ["initial", "automatic", "automatic"]);
    assert_eq!(field("response_body"), ["sorry", "sorry", "sorry"]);
    assert_eq!(seen["attempts"][0]["error"], "http_status: the receiver responded with 503");
    let received = receiver.received();
    assert!(received.iter().all(|delivery| delivery.id() == id), "the id stays the same");
    assert_eq!(
        received.iter().map(|delivery| delivery.header("x-hookstream-delivery-attempt").to_owned()).collect::<Vec<_>>(),
        ["1", "2", "3"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_end_and_a_manual_retry_restarts_the_schedule() {
    let directory = scratch();
    let server = Server::start(&directory, &["--retry-schedule", "0"]);
    let receiver = Receiver::responding(|_| CannedResponse::status(500)).await;
    server.client.acme(json!({}), &receiver.url()).await;
    let id = server.client.message(json!({})).await;
    let seen = server.client.until(&id, "failed").await;
    assert_eq!(seen["attempts"].as_array().map(Vec::len), Some(2));
    assert_eq!(seen["deliveries"][0]["status"], "exhausted");
    assert_eq!(seen["deliveries"][0]["reason"], "schedule_ended");

    receiver.respond(|_| CannedResponse::status(200));
    let (status, response) = server.client.post(&format!("/v1/applications/acme/messages/{id}/retry"), json!({})).await;
    assert_eq!((status, response), (200, json!({ "retried": true })));
    let seen = server.client.until(&id, "delivered").await;
    assert_eq!(seen["attempts"][2]["trigger_type"], "manual");
    assert_eq!(seen["attempts"][2]["attempt_number"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn status_410_disables_the_endpoint_and_recover_sends_missed_messages() {
    let directory = scratch();
    let server = Server::start(&directory, &[]);
    let receiver = Receiver::responding(|_| CannedResponse::status(410)).await;
    let endpoint = server.client.acme(json!({}), &receiver.url()).await;
    let path = format!("/v1/applications/acme/endpoints/{}", endpoint["id"].as_str().expect("an id"));
    let first = server.client.message(json!({ "n": 1 })).await;
    server.client.until(&first, "failed").await;
    hookstream_testkit::eventually("the endpoint is disabled", async || {
        let (_, response) = server.client.get(&path).await;
        (response["endpoint"]["status"] == "disabled" && response["endpoint"]["disabled_reason"] == "gone").then_some(())
    })
    .await;

    let second = server.client.message(json!({ "n": 2 })).await;
    let seen = server.client.until(&second, "skipped").await;
    assert_eq!(seen["deliveries"][0]["reason"], "endpoint_disabled");
    assert_eq!(receiver.received().len(), 1);
    let recover = json!({ "since": "2020-01-01T00:00:00Z" });
    let (status, response) = server.client.post(&format!("{path}/recover"), recover.clone()).await;
    assert_eq!((status, &response["code"]), (400, &json!("endpoint_disabled")));

    receiver.respond(|_| CannedResponse::status(200));
    let (status, response) = server.client.patch(&path, json!({ "status": "active" })).await;
    assert_eq!((status, &response["endpoint"]["disabled_reason"]), (200, &Value::Null));
    let (status, response) = server.client.post(&format!("{path}/recover"), recover).await;
    assert_eq!((status, &response["job"]["total"]), (201, &json!(2)), "{response}");
    for id in [&first, &second] {
        let seen = server.client.until(id, "delivered").await;
        assert_eq!(
            seen["attempts"].as_array().and_then(|attempts| attempts.last()).map(|attempt| attempt["trigger_type"].clone()),
            Some("recover".into())
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn receiver_may_disable_its_endpoint() {
    let directory = scratch();
    let server = Server::start(&directory, &[]);
    let receiver = Receiver::responding(|_| CannedResponse::status(500).header("webhook-delivery", "abort-message")).await;
    let endpoint = server.client.acme(json!({}), &receiver.url()).await;
    let id = server.client.message(json!({})).await;
    let seen = server.client.until(&id, "failed").await;
    assert_eq!(seen["deliveries"][0]["reason"], "receiver_asked");
    receiver.respond(|_| CannedResponse::status(200).header("webhook-delivery", "disable"));
    let id = server.client.message(json!({})).await;
    server.client.until(&id, "delivered").await;
    let path = format!("/v1/applications/acme/endpoints/{}", endpoint["id"].as_str().expect("an id"));
    hookstream_testkit::eventually("the endpoint is disabled", async || {
        let (_, response) = server.client.get(&path).await;
        (response["endpoint"]["disabled_reason"] == "asked_to_stop").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redirect_is_shown_and_not_followed() {
    let directory = scratch();
    let server = Server::start(&directory, &["--retry-schedule", ""]);
    let elsewhere = Receiver::start().await;
    let url = elsewhere.url();
    let receiver = Receiver::responding(move |_| CannedResponse::status(307).header("location", &url)).await;
    server.client.acme(json!({}), &receiver.url()).await;
    let id = server.client.message(json!({})).await;
    let seen = server.client.until(&id, "failed").await;
    let error = seen["attempts"][0]["error"].as_str().expect("an error");
    assert!(
        error.starts_with("redirect_refused: the receiver responded with 307 with a redirect to ") && error.contains(&elsewhere.url()),
        "{error}"
    );
    assert_eq!(elsewhere.received().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_receiver_times_out_and_delays_no_other() {
    let directory = scratch();
    let server = Server::start(&directory, &["--retry-schedule", ""]);
    let silent = Receiver::responding(|_| CannedResponse::status(200).after(Duration::from_secs(60))).await;
    let prompt = Receiver::start().await;
    server.client.acme(json!({ "timeout_ms": 1000 }), &silent.url()).await;
    let (status, _) = server.client.post("/v1/applications/acme/endpoints", json!({ "url": prompt.url() })).await;
    assert_eq!(status, 201);
    let id = server.client.message(json!({})).await;
    prompt.wait_for(1).await;
    let seen = server.client.until(&id, "failed").await;
    let errors: Vec<_> = seen["attempts"].as_array().expect("attempts").iter().filter_map(|attempt| attempt["error"].as_str()).collect();
    assert_eq!(errors, ["timeout: no response within 1000 ms"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn attempt_shows_the_durations_of_its_parts() {
    let directory = scratch();
    let server = Server::start(&directory, &["--retry-schedule", "2"]);
    let delay = Duration::from_millis(100);
    let receiver = Receiver::responding(move |_| CannedResponse::status(500).after(delay)).await;
    server.client.acme(json!({}), &receiver.url()).await;
    let id = server.client.message(json!({})).await;
    let seen = server.client.until(&id, "failed").await;
    let parts = |attempt: usize| {
        let waterfall = &seen["attempts"][attempt]["waterfall"];
        ["queue_ms", "dns_ms", "connect_ms", "tls_ms", "write_ms", "first_byte_ms", "read_ms"].map(|name| waterfall[name].as_f64())
    };
    let [queue, dns, connect, tls, write, first_byte, read] = parts(0);
    assert!(queue.is_some() && connect.is_some() && write.is_some() && first_byte >= Some(95.0) && read.is_some(), "{seen}");
    assert_eq!((dns, tls), (None, None), "{seen}");
    // The delay between attempts is not part of the queue time, and the connection is reused.
    let [queue, dns, connect, tls, write, first_byte, read] = parts(1);
    assert!(queue.is_some_and(|queue| queue < 1_900.0) && write.is_some() && first_byte >= Some(95.0) && read.is_some(), "{seen}");
    assert_eq!((dns, connect, tls), (None, None, None), "{seen}");
    let sum: f64 = [write, first_byte, read].into_iter().flatten().sum();
    assert!(seen["attempts"][1]["duration_ms"].as_f64().is_some_and(|duration| sum < duration + 1.0), "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn forbidden_address_is_rejected_on_save_and_on_connection() {
    let directory = scratch();
    let receiver = Receiver::start().await;
    let server = Server::start(&directory, &["--retry-schedule", ""]);
    server.client.acme(json!({}), &receiver.url()).await;
    let address = server.address();
    server.kill();

    let server = Server::start_on(&address, &directory, &["--retry-schedule", ""]);
    for url in ["http://127.0.0.1/", "http://localhost:1/", "http://0x7f.1/", "http://[::ffff:10.0.0.1]/", "http://169.254.169.254/latest"]
    {
        let (status, response) = server.client.post("/v1/applications/acme/endpoints", json!({ "url": url })).await;
        assert_eq!((status, &response["code"]), (400, &json!("address_not_allowed")), "{url}");
        assert!(response["error"].as_str().is_some_and(|error| error.contains("--allow-targets")), "{response}");
    }
    let id = server.client.message(json!({})).await;
    let seen = server.client.until(&id, "failed").await;
    assert!(
        seen["attempts"][0]["error"]
            .as_str()
            .is_some_and(|error| error.starts_with("address_not_allowed: the URL leads to 127.0.0.1 (loopback)"))
    );
    assert_eq!(receiver.received().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn filter_selects_endpoints_and_a_test_goes_to_one() {
    let directory = scratch();
    let server = Server::start(&directory, &[]);
    let matching = Receiver::start().await;
    let other = Receiver::start().await;
    server.client.acme(json!({ "filter_types": ["invoice.paid"] }), &matching.url()).await;
    let body = json!({ "url": other.url(), "filter_types": "[\"user.created\"]" });
    let (_, response) = server.client.post("/v1/applications/acme/endpoints", body).await;
    let id = response["endpoint"]["id"].as_str().expect("an id");
    server.client.message(json!({})).await;
    matching.wait_for(1).await;

    let (status, response) = server.client.post(&format!("/v1/applications/acme/endpoints/{id}/test"), json!({})).await;
    assert_eq!(status, 201, "{response}");
    let test = server.client.until(response["message"]["id"].as_str().expect("an id"), "delivered").await;
    assert_eq!(test["attempts"][0]["trigger_type"], "test");
    assert_eq!(other.wait_for(1).await[0].header("x-hookstream-event-type"), "hookstream.test");
    assert_eq!(matching.received().len(), 1);

    let (_, response) =
        server.client.post("/v1/applications/acme/messages", json!({ "event_type": "nobody.cares", "payload": null })).await;
    assert_eq!(response["message"]["status"], "skipped");
}

#[tokio::test(flavor = "multi_thread")]
async fn both_secrets_sign_after_a_rotation_with_grace() {
    let directory = scratch();
    let server = Server::start(&directory, &[]);
    let receiver = Receiver::start().await;
    let endpoint = server.client.acme(json!({}), &receiver.url()).await;
    let path = format!("/v1/applications/acme/endpoints/{}/rotate-secret", endpoint["id"].as_str().expect("an id"));
    let verifies = |delivery: &hookstream_testkit::receiver::Received, secret: &Value| {
        let official = standardwebhooks::Webhook::new(secret.as_str().expect("a secret")).expect("a secret");
        official.verify(&delivery.body, &delivery.headers).is_ok()
    };
    let (status, rotated) = server.client.post(&path, json!({})).await;
    assert_eq!(status, 200, "{rotated}");
    server.client.message(json!({})).await;
    let delivery = receiver.wait_for(1).await[0].clone();
    assert!(verifies(&delivery, &endpoint["signing_secret"]) && verifies(&delivery, &rotated["signing_secret"]));

    let (_, ended) = server.client.post(&format!("{path}?grace_seconds=0"), json!({})).await;
    server.client.message(json!({})).await;
    let delivery = receiver.wait_for(2).await[1].clone();
    assert!(verifies(&delivery, &ended["signing_secret"]) && !verifies(&delivery, &rotated["signing_secret"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_endpoint_receives_nothing() {
    let directory = scratch();
    let server = Server::start(&directory, &[]);
    let receiver = Receiver::start().await;
    let endpoint = server.client.acme(json!({}), &receiver.url()).await;
    let path = format!("/v1/applications/acme/endpoints/{}", endpoint["id"].as_str().expect("an id"));
    let past = json!({ "url": receiver.url(), "expires_at": "2020-01-01T00:00:00Z" });
    for (status, response) in
        [server.client.post("/v1/applications/acme/endpoints", past.clone()).await, server.client.patch(&path, past).await]
    {
        assert_eq!((status, &response["details"]["field"]), (400, &json!("expires_at")), "{response}");
    }
    server.client.expire(&path).await;
    let id = server.client.message(json!({})).await;
    let seen = server.client.until(&id, "skipped").await;
    assert_eq!(seen["deliveries"][0]["reason"], "endpoint_expired");
}

#[tokio::test(flavor = "multi_thread")]
async fn restored_deliveries_are_resent_only_by_recovery() {
    let directory = scratch();
    let receiver = Receiver::responding(|_| CannedResponse::status(500)).await;
    let server = Server::start(&directory, &[]);
    let endpoint = server.client.acme(json!({}), &receiver.url()).await;
    let id = server.client.message(json!({})).await;
    receiver.wait_for(1).await;
    server.kill();
    receiver.respond(|_| CannedResponse::status(200));
    // On PostgreSQL, a lease must expire before deliveries of the old node are taken over.
    let server = hookstream_testkit::eventually("restored deliveries are skipped", async || {
        let server = Server::start(&directory, &["--restored"]);
        let (_, seen) = server.client.get(&format!("/v1/applications/acme/messages/{id}")).await;
        (seen["deliveries"][0]["reason"] == "restored").then_some(server)
    })
    .await;
    let attempts = receiver.received().len();
    let path = format!("/v1/applications/acme/endpoints/{}", endpoint["id"].as_str().expect("an id"));
    let (_, response) = server.client.post(&format!("{path}/recover"), json!({ "since": "2020-01-01T00:00:00Z" })).await;
    assert_eq!(response["job"]["total"], 1, "{response}");
    server.client.until(&id, "delivered").await;
    assert_eq!(receiver.received().len(), attempts + 1);
}
