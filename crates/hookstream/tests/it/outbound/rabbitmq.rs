//! RabbitMQ endpoints of the real binary, with a real broker.

use hookstream_testkit::broker::{Broker, Topology};
use serde_json::{Value, json};

use crate::support::{Server, scratch};

/// Settings that lead to the exchange of a topology.
fn config(broker: &Broker, topology: &Topology) -> Value {
    let (username, password) = broker.credentials();
    json!({
        "url": broker.url(),
        "exchange": topology.exchange,
        "routing_key": topology.routing_key,
        "username": username,
        "password": password,
    })
}

async fn application(server: &Server) {
    let (status, response) = server.client.post("/v1/applications", json!({ "name": "Acme", "uid": "acme" })).await;
    assert_eq!(status, 201, "{response}");
}

async fn create(server: &Server, config: &Value) -> (u16, Value) {
    server.client.post("/v1/applications/acme/endpoints", json!({ "type": "rabbitmq", "config": config })).await
}

#[tokio::test(flavor = "multi_thread")]
async fn message_reaches_the_queue_and_the_password_stays_inside() {
    let (broker, directory) = (Broker::connect().await, scratch());
    // A user of the test's own, whose password occurs nowhere else.
    let (user, password) = (format!("hookstream_e2e_{}", std::process::id()), "password-of-the-broker");
    let all = json!({ "configure": ".*", "write": ".*", "read": ".*" });
    assert!(broker.manage("PUT", &format!("/api/users/{user}"), &json!({ "password": password, "tags": "" })).await < 300);
    assert!(broker.manage("PUT", &format!("/api/permissions/%2F/{user}"), &all).await < 300);
    let topology = broker.topology("e2e").await;
    let log = directory.path().with_extension("log");
    let arguments = ["--allow-targets", "127.0.0.0/8", "--retry-schedule", "", "--log", "trace"];
    let server = Server::start_with(&directory, &arguments, &[], Some(&log));
    application(&server).await;

    let mut own = config(&broker, &topology);
    (own["username"], own["password"]) = (json!(user), json!(password));
    let (status, created) = create(&server, &own).await;
    assert_eq!(status, 201, "{created}");
    own["password"] = json!("***");
    let shown = &created["endpoint"];
    assert_eq!((&shown["type"], &shown["url"], &shown["config"]), (&json!("rabbitmq"), &json!(broker.url()), &own));
    let path = format!("/v1/applications/acme/endpoints/{}", shown["id"].as_str().expect("an id"));
    assert_eq!(server.client.get(&path).await.1["endpoint"]["config"], own);
    assert_eq!(server.client.get("/v1/applications/acme/endpoints").await.1["endpoints"][0]["config"], own);

    let id = server.client.message(json!({ "amount": 1 })).await;
    let received = broker.next(&topology).await;
    assert_eq!((&received.body[..], received.header("webhook-id")), (&br#"{"amount":1}"#[..], Some(id.clone())));
    let seen = server.client.until(&id, "delivered").await;
    let attempt = &seen["attempts"][0];
    assert_eq!((&attempt["status"], &attempt["response_status"], &attempt["error"]), (&json!("success"), &Value::Null, &Value::Null));
    let secret = standardwebhooks::Webhook::new(shown["signing_secret"].as_str().expect("a secret")).expect("a secret");
    let headers = ["webhook-id", "webhook-timestamp", "webhook-signature"].map(|name| {
        (http::HeaderName::from_static(name), received.header(name).expect("a header").parse::<http::HeaderValue>().expect("a value"))
    });
    secret.verify(&received.body, &headers.into_iter().collect::<http::HeaderMap>()).expect("the signature verifies");

    // A test message takes the same way.
    assert_eq!(server.client.post(&format!("{path}/test"), json!({})).await.0, 201);
    assert_eq!(broker.next(&topology).await.header("x-hookstream-event-type").as_deref(), Some("hookstream.test"));

    // A changed field keeps the others, the password included.
    let (status, changed) = server.client.patch(&path, json!({ "config": { "exchange": "hookstream_test.missing" } })).await;
    own["exchange"] = json!("hookstream_test.missing");
    assert_eq!((status, &changed["endpoint"]["config"]), (200, &own), "{changed}");
    let id = server.client.message(json!({})).await;
    let seen = server.client.until(&id, "failed").await;
    let error = seen["attempts"][0]["error"].as_str().expect("an error");
    assert!(error.starts_with("target_not_found: the broker has no exchange \"hookstream_test.missing\""), "{error}");
    let (_, explained) = server.client.get(&format!("/v1/applications/acme/messages/{id}/explain")).await;
    assert!(explained.to_string().contains("target_not_found"), "{explained}");

    let (_, entries) = server.client.get("/v1/audit-log?limit=100").await;
    let entries = entries.to_string();
    assert!(entries.contains("hookstream_test.missing") && !entries.contains(password), "{entries}");
    server.kill();
    let logged = std::fs::read_to_string(&log).expect("the log");
    assert!(!logged.is_empty() && !logged.contains(password), "the password is in the log");
    assert!(broker.manage("DELETE", &format!("/api/users/{user}"), &json!({})).await < 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_settings_are_refused_by_field() {
    let directory = scratch();
    let server = Server::start(&directory, &[]);
    application(&server).await;
    let good = json!({ "url": "amqp://127.0.0.1:1", "exchange": "e", "routing_key": "k", "username": "u", "password": "sesame" });
    let check = async |endpoint: Value, field: &str, part: &str| {
        let (status, response) = server.client.post("/v1/applications/acme/endpoints", endpoint.clone()).await;
        assert_eq!((status, &response["details"]["field"]), (400, &json!(field)), "{endpoint}: {response}");
        let error = response["error"].as_str().expect("a sentence");
        assert!(error.contains(part) && !error.contains("sesame"), "{error}");
    };
    let with = |field: &str, value: Value| {
        let mut config = good.clone();
        config[field] = value;
        json!({ "type": "rabbitmq", "config": config })
    };
    check(json!({ "type": "kafka", "url": "https://example.com" }), "type", "`http`, `rabbitmq` or `test_receiver`").await;
    check(json!({ "type": "rabbitmq" }), "config", "is required").await;
    check(json!({ "type": "rabbitmq", "config": {} }), "config.url", "is required").await;
    check(json!({ "type": "rabbitmq", "url": "amqp://127.0.0.1", "config": good }), "url", "`config.url`").await;
    check(json!({ "url": "https://example.com", "config": good }), "config", "type `http`").await;
    check(json!({ "config": null }), "url", "is missing").await;
    check(with("url", json!("amqp://u:sesame@127.0.0.1")), "config.url", "`config.username` and `config.password`").await;
    check(with("url", json!("mqtt://127.0.0.1")), "config.url", "amqps://").await;
    check(with("exchange", Value::Null), "config.exchange", "is required").await;
    check(with("exchange", json!(5)), "config", "`exchange`").await;
    check(with("queue", json!("q")), "config", "unknown field").await;
    check(with("password", json!("")), "config.password", "1 to 1024 bytes").await;

    let (status, created) = create(&server, &good).await;
    assert_eq!(status, 201, "{created}");
    let path = format!("/v1/applications/acme/endpoints/{}", created["endpoint"]["id"].as_str().expect("an id"));
    let check = async |change: Value, field: &str| {
        let (status, response) = server.client.patch(&path, change.clone()).await;
        assert_eq!((status, &response["details"]["field"]), (400, &json!(field)), "{change}: {response}");
    };
    check(json!({ "type": "http" }), "type").await;
    check(json!({ "url": "https://example.com" }), "url").await;
    check(json!({ "config": { "exchange": null } }), "config.exchange").await;
    check(json!({ "config": { "password": "***" } }), "config.password").await;
    // The stored password must not go to a server that the caller chooses.
    check(json!({ "config": { "url": "amqp://127.0.0.1:2" } }), "config.password").await;
    let (status, moved) = server.client.patch(&path, json!({ "config": { "url": "amqp://127.0.0.1:2", "password": "basil" } })).await;
    assert_eq!((status, &moved["endpoint"]["url"]), (200, &json!("amqp://127.0.0.1:2")), "{moved}");
}

#[tokio::test(flavor = "multi_thread")]
async fn forbidden_broker_is_refused_on_save_and_on_connection() {
    let (broker, directory) = (Broker::connect().await, scratch());
    let topology = broker.topology("forbidden").await;
    let server = Server::start(&directory, &["--retry-schedule", ""]);
    application(&server).await;
    let config = config(&broker, &topology);
    assert_eq!(create(&server, &config).await.0, 201);
    let address = server.address();
    server.kill();

    let server = Server::start_on(&address, &directory, &["--retry-schedule", ""]);
    let (status, response) = create(&server, &config).await;
    assert_eq!((status, &response["code"], &response["details"]["field"]), (400, &json!("address_not_allowed"), &json!("config.url")));
    let id = server.client.message(json!({})).await;
    let seen = server.client.until(&id, "failed").await;
    let error = seen["attempts"][0]["error"].as_str().expect("an error");
    assert!(error.starts_with("address_not_allowed: the URL leads to 127.0.0.1 (loopback)"), "{error}");
}
