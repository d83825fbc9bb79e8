//! Portal operations: a customer with a token manages their own application, and reaches nothing else.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use hookstream_model::base::{time::Timestamp, vault::Keys};
use hookstream_store::db::vault_keys;
use hookstream_store::identity::portal_keys;
use hookstream_testkit::receiver::Receiver;
use http::Method;
use rand::{SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::{
    identity::tenancy::{Audience, Operation, body_of, operations},
    outbound::expiry::{now, stop},
    support::{KEY, Scratch, Server, TestClient, hookstream, scratch},
};

/// Customer with a portal token.
struct Customer {
    client: TestClient,
    token: String,
}

impl Customer {
    /// Creates a portal token for the customer of an application.
    async fn of(client: &TestClient, application: &str) -> Self {
        let (status, access) = client.post(&format!("/v1/applications/{application}/portal-access"), json!({})).await;
        assert_eq!(status, 200, "{access}");
        Self::with(client, access["token"].as_str().expect("a token"))
    }

    fn with(client: &TestClient, token: &str) -> Self {
        Self { client: client.with_key(""), token: token.to_owned() }
    }

    async fn send(&self, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        self.client.send(method, path, &[("authorization", &format!("Bearer {}", self.token))], text).await
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.send(Method::GET, path, &Value::Null).await
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.send(Method::POST, path, &body).await
    }

    async fn patch(&self, path: &str, body: Value) -> (u16, Value) {
        self.send(Method::PATCH, path, &body).await
    }

    /// Returns the code with which the token is rejected, or `None` if it is accepted.
    async fn refused(&self) -> Option<String> {
        match self.get("/v1/portal/application").await {
            (200, _) => None,
            (401, response) => response["code"].as_str().map(str::to_owned),
            other => panic!("{other:?}"),
        }
    }
}

async fn portal_operations(client: &TestClient) -> Vec<Operation> {
    let all = operations(client).await;
    let of_customers: Vec<_> = all.into_iter().filter(|operation| operation.audience == Audience::Customer).collect();
    assert!(of_customers.len() > 12, "{}", of_customers.len());
    of_customers
}

#[tokio::test(flavor = "multi_thread")]
async fn customer_manages_own_endpoints_and_messages() {
    let scratch = scratch();
    let receiver = Receiver::start().await;
    let server = Server::start(&scratch, &[]);
    let sender = &server.client;
    let theirs = sender.acme(json!({ "headers": { "authorization": "Bearer of-the-receiver" } }), &receiver.url()).await;
    assert_eq!(sender.post("/v1/event-types", json!({ "name": "invoice.paid" })).await.0, 201);
    let customer = Customer::of(sender, "acme").await;

    let (_, application) = customer.get("/v1/portal/application").await;
    let portal = json!({ "theme": {}, "reveals_secrets": true, "read_only": false, "max_endpoints": 50 });
    assert_eq!(application, json!({ "application": { "id": theirs["application_id"], "name": "Acme" }, "portal": portal }));
    let (_, types) = customer.get("/v1/portal/event-types").await;
    assert_eq!(types["event_types"][0]["name"], "invoice.paid");

    // Header names are shown, header values are not.
    let (_, page) = customer.get("/v1/portal/endpoints").await;
    assert_eq!(page["endpoints"].as_array().map(Vec::len), Some(1));
    assert_eq!(page["endpoints"][0]["headers"], r#"{"authorization":"***"}"#);
    assert!(page["endpoints"][0].get("signing_secret").is_none());
    let (status, refused) = customer.post("/v1/portal/endpoints", json!({ "url": receiver.url(), "headers": { "x-own": "***" } })).await;
    assert_eq!((status, &refused["details"]["field"]), (400, &json!("headers")), "{refused}");

    let own = json!({ "url": receiver.url(), "filter_types": ["invoice.paid"], "headers": { "x-own": "1" } });
    let (status, created) = customer.post("/v1/portal/endpoints", own).await;
    assert_eq!(status, 201, "{created}");
    assert!(created["endpoint"]["signing_secret"].as_str().is_some_and(|secret| secret.starts_with("whsec_")));
    assert_eq!(created["endpoint"]["headers"], r#"{"x-own":"***"}"#);
    let id = created["endpoint"]["id"].as_str().expect("an id");
    let path = format!("/v1/portal/endpoints/{id}");
    let (_, changed) = customer.patch(&path, json!({ "description": "ours" })).await;
    assert_eq!(changed["endpoint"]["description"], "ours");
    // The sender sees the header values.
    let (_, seen) = sender.get(&format!("/v1/applications/acme/endpoints/{id}")).await;
    assert_eq!(seen["endpoint"]["headers"], r#"{"x-own":"1"}"#);
    let (status, rotated) = customer.post(&format!("{path}/rotate-secret?grace_seconds=0"), Value::Null).await;
    assert_eq!(status, 200, "{rotated}");
    let (status, tested) = customer.post(&format!("{path}/test"), Value::Null).await;
    assert_eq!(status, 201, "{tested}");

    let message = sender.message(json!({ "invoice": 1 })).await;
    sender.until(&message, "delivered").await;
    let (_, page) = customer.get("/v1/portal/messages?event_type=invoice.paid").await;
    assert_eq!((page["messages"].as_array().map(Vec::len), &page["messages"][0]["payload"]), (Some(1), &json!(r#"{"invoice":1}"#)));
    let path_of_message = format!("/v1/portal/messages/{message}");
    let (_, seen) = customer.get(&path_of_message).await;
    assert_eq!((seen["attempts"].as_array().map(Vec::len), seen["deliveries"].as_array().map(Vec::len)), (Some(2), Some(2)));
    // Retries for one endpoint, and for all.
    let (status, retried) = customer.post(&format!("{path_of_message}/retry?endpoint_id={id}"), Value::Null).await;
    assert_eq!((status, &retried["retried"]), (200, &json!(true)));
    hookstream_testkit::eventually("the message is retried", async || {
        let (_, seen) = customer.get(&path_of_message).await;
        let again: Vec<_> = seen["attempts"].as_array()?.iter().filter(|attempt| attempt["trigger_type"] == "manual").cloned().collect();
        (again.len() == 1 && again[0]["endpoint_id"] == id).then_some(())
    })
    .await;
    assert_eq!(customer.post(&format!("{path_of_message}/retry"), Value::Null).await.1["retried"], true);
    let (status, job) = customer.post(&format!("{path}/recover"), json!({ "since": "2020-01-01T00:00:00Z" })).await;
    assert_eq!(status, 201, "{job}");
    let (status, job) = customer.get(&format!("/v1/portal/jobs/{}", job["job"]["id"].as_str().expect("an id"))).await;
    assert_eq!((status, &job["job"]["endpoint_id"]), (200, &json!(id)));
    assert_eq!(customer.send(Method::DELETE, &path, &Value::Null).await.0, 200);
    assert_eq!(customer.get(&path).await.0, 404);

    // All actions are recorded as the customer's.
    let (_, log) = sender.get("/v1/audit-log?limit=100").await;
    let entries: Vec<_> = log["audit_log"].as_array().expect("entries").iter().filter(|entry| entry["actor"]["kind"] == "portal").collect();
    let actions: Vec<_> = entries.iter().rev().filter_map(|entry| entry["action"].as_str()).collect();
    let expected = [
        "endpoint.create",
        "endpoint.update",
        "endpoint.rotate_secret",
        "endpoint.test",
        "message.retry",
        "message.retry",
        "job.recover",
        "endpoint.delete",
    ];
    let sorted = |words: &[&str]| {
        let mut words: Vec<_> = words.iter().map(ToString::to_string).collect();
        words.sort();
        words
    };
    // The entry of a test has the time of its message, slightly before the others.
    assert_eq!(sorted(&actions), sorted(&expected));
    assert!(entries.iter().all(|entry| entry["actor"]["id"] == theirs["application_id"] && entry["address"] == "127.0.0.1"), "{entries:?}");
}

/// Creates another application in the same environment with one of each resource; returns an id for each kind.
async fn other(client: &TestClient) -> Vec<(&'static str, String)> {
    let id = |value: &Value| value["id"].as_str().expect("an id").to_owned();
    assert_eq!(client.post("/v1/applications", json!({ "name": "Other", "uid": "other" })).await.0, 201);
    let (_, endpoint) = client.post("/v1/applications/other/endpoints", json!({ "url": "http://127.0.0.1:9/other" })).await;
    let endpoint = id(&endpoint["endpoint"]);
    let (_, message) = client.post("/v1/applications/other/messages", json!({ "event_type": "a.b", "payload": 1 })).await;
    let recover = format!("/v1/applications/other/endpoints/{endpoint}/recover");
    let (_, job) = client.post(&recover, json!({ "since": "2020-01-01T00:00:00Z" })).await;
    vec![("endpoints", endpoint), ("messages", id(&message["message"])), ("jobs", id(&job["job"]))]
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_application_is_reported_as_absent() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let sender = &server.client;
    sender.acme(json!({}), "http://127.0.0.1:9/mine").await;
    let others = other(sender).await;
    let customer = Customer::of(sender, "acme").await;
    let state = async || {
        let mut state = vec![sender.get("/v1/applications/other/endpoints").await];
        let (_, mut message) = sender.get(&format!("/v1/applications/other/messages/{}", others[1].1)).await;
        message["attempts"].take();
        message["deliveries"].take();
        message["message"]["updated_at"].take();
        state.push((200, message));
        state
    };
    let before = state().await;
    let mut checked = 0;
    for Operation { id, method, path, .. } in portal_operations(sender).await {
        let body = body_of(&id).unwrap_or_else(|| panic!("{id} has no entry in tenancy.rs"));
        if !path.contains('{') {
            continue;
        }
        let kind = path.split('/').nth(3).expect("a kind");
        let theirs = &others.iter().find(|(name, _)| *name == kind).unwrap_or_else(|| panic!("no resource of kind {kind}")).1;
        let placed = |with: &str| path.replace("{id}", with).replace("{msgId}", with);
        let without_id = |(status, mut response): (u16, Value)| {
            response["request_id"].take();
            (status, response)
        };
        let others = without_id(customer.send(method.clone(), &placed(theirs), &body).await);
        let missing = without_id(customer.send(method, &placed("0123456789abcdef0123456789abcdef"), &body).await);
        assert_eq!((others.0, &others.1), (404, &missing.1), "{id}");
        checked += 1;
    }
    assert!(checked > 8, "{checked}");
    // A foreign endpoint cannot be named in a parameter either.
    let message = sender.message(json!(1)).await;
    let retry = format!("/v1/portal/messages/{message}/retry?endpoint_id={}", others[0].1);
    assert_eq!(customer.post(&retry, Value::Null).await.0, 404);
    let (_, page) = customer.get("/v1/portal/messages").await;
    assert_eq!(page["messages"].as_array().map(Vec::len), Some(1));
    assert_eq!(state().await, before, "the other application is unchanged");

    // An idempotency key of the sender reveals nothing to a customer, and does not block the customer.
    let body = json!({ "url": "http://127.0.0.1:9/mine-too" }).to_string();
    let bearer = format!("Bearer {}", customer.token);
    for (client, headers) in [
        (sender.clone(), vec![("idempotency-key", "one")]),
        (customer.client.clone(), vec![("idempotency-key", "one"), ("authorization", bearer.as_str())]),
    ] {
        let path = if headers.len() == 1 { "/v1/applications/other/endpoints" } else { "/v1/portal/endpoints" };
        let first = client.send(Method::POST, path, &headers, body.clone()).await;
        assert_eq!(first.0, 201, "{}", first.1);
        assert_eq!(client.send(Method::POST, path, &headers, body.clone()).await, first);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn portal_accepts_only_portal_tokens_and_nothing_else_does() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let sender = &server.client;
    sender.acme(json!({}), "http://127.0.0.1:9/").await;
    let customer = Customer::of(sender, "acme").await;
    let bearer = format!("Bearer {}", customer.token);
    let cookie = format!("better-auth.session_token={}", customer.token);
    let key = format!("Bearer {KEY}");
    for Operation { id, method, path, audience, .. } in operations(sender).await {
        let path = ["{appId}", "{id}", "{msgId}", "{envId}", "{orgId}", "{userId}", "{userCode}"]
            .iter()
            .fold(path, |path, name| path.replace(name, "0123456789abcdef0123456789abcdef"));
        let presented: &[(&str, &str)] = match audience {
            Audience::Anonymous | Audience::Listener => continue,
            Audience::Caller | Audience::User => &[("authorization", &bearer), ("x-api-key", &customer.token), ("cookie", &cookie)],
            Audience::Customer => &[("authorization", &key), ("x-api-key", KEY), ("x-api-key", &customer.token), ("cookie", &cookie)],
        };
        for header in presented {
            let (status, refused) = customer.client.send(method.clone(), &path, &[*header], "").await;
            assert_eq!((status, &refused["code"]), (401, &json!("unauthorized")), "{id} with {}: {refused}", header.0);
        }
    }
    // With both credentials, the customer's token applies.
    let (status, _) = sender.send(Method::GET, "/v1/portal/application", &[("authorization", &bearer)], "").await;
    assert_eq!(status, 200);
    // The rate limit is that of the application.
    let response = customer.client.try_send(Method::GET, "/v1/portal/application", &[("authorization", &bearer)], "").await;
    assert_eq!(response.expect("a response").headers()["ratelimit-limit"], "50");
}

#[tokio::test(flavor = "multi_thread")]
async fn token_ends_with_its_application() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let sender = &server.client;
    sender.acme(json!({}), "http://127.0.0.1:9/").await;
    let customer = Customer::of(sender, "acme").await;
    assert_eq!(customer.refused().await, None);
    assert_eq!(sender.patch("/v1/applications/acme", json!({ "status": "disabled" })).await.0, 200);
    assert_eq!(customer.refused().await.as_deref(), Some("portal_closed"));
    let (status, refused) = sender.post("/v1/applications/acme/portal-access", json!({})).await;
    assert_eq!((status, &refused["code"]), (400, &json!("application_disabled")));
    assert_eq!(sender.patch("/v1/applications/acme", json!({ "status": "active" })).await.0, 200);
    assert_eq!(customer.refused().await, None);
    assert_eq!(sender.delete("/v1/applications/acme").await.0, 200);
    assert_eq!(customer.refused().await.as_deref(), Some("portal_closed"));
    // A new application with the same name is a different one.
    sender.acme(json!({}), "http://127.0.0.1:9/").await;
    assert_eq!(customer.refused().await.as_deref(), Some("portal_closed"));
    let customer = Customer::of(sender, "acme").await;
    assert_eq!(customer.refused().await, None);

    assert_eq!(sender.post("/v1/environments", json!({ "name": "Other", "slug": "other" })).await.0, 201);
    let (_, environments) = sender.get("/v1/environments").await;
    let own = environments["environments"][0]["id"].as_str().expect("an id");
    assert_eq!(sender.delete(&format!("/v1/environments/{own}")).await.0, 200);
    assert_eq!(customer.refused().await.as_deref(), Some("portal_closed"));
}

/// Runs `hookstream admin rotate-portal-key` on a store.
fn rotate(scratch: &Scratch, arguments: &[&str]) -> (bool, String) {
    let mut command = hookstream();
    command.args(["admin", "rotate-portal-key"]).args(arguments).env("HOOKSTREAM_ENCRYPTION_KEY", encryption_key());
    match &scratch.database {
        None => command.arg("--data-dir").arg(scratch.path()),
        Some(database) => command.args(["--database-url", &database.url()]),
    };
    let output = command.output().expect("the command runs");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.success(), text)
}

fn encryption_key() -> String {
    "17".repeat(32)
}

/// Starts a server whose secrets are encrypted with a key of the test.
fn start(scratch: &Scratch) -> Server {
    let file = scratch.files.path().join("keys");
    std::fs::write(&file, encryption_key()).expect("written");
    Server::start(scratch, &["--encryption-key-file", file.to_str().expect("text")])
}

#[tokio::test(flavor = "multi_thread")]
async fn key_rotation_keeps_earlier_tokens_unless_ended() {
    let scratch = scratch();
    let server = start(&scratch);
    server.client.acme(json!({}), "http://127.0.0.1:9/").await;
    let first = Customer::of(&server.client, "acme").await.token;
    for (arguments, expected) in [(&[][..], None), (&["--now"], Some("unauthorized"))] {
        // On a database, nodes keep running meanwhile; a data directory has one process.
        rotate_successfully(&scratch, arguments);
        let former = Customer::with(&server.client, &first);
        assert_eq!(former.refused().await.as_deref(), expected);
        let latter = Customer::of(&server.client, "acme").await;
        assert_eq!(latter.refused().await, None);
        assert_ne!(first.split('.').next(), latter.token.split('.').next(), "another key signs");
    }
}

fn rotate_successfully(scratch: &Scratch, arguments: &[&str]) {
    let (is_done, output) = rotate(scratch, arguments);
    assert!(is_done && output.contains("from now on"), "{output}");
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_token_is_reported() {
    let scratch = scratch();
    let server = start(&scratch);
    let endpoint = server.client.acme(json!({}), "http://127.0.0.1:9/").await;
    let token = Customer::of(&server.client, "acme").await.token;
    stop(server).await;
    let store = scratch.open_store().await;
    let keys: Keys = encryption_key().parse().expect("a key");
    vault_keys::unlock(&*store, keys, StdRng::seed_from_u64(1)).await.expect("unlocked");
    let key = portal_keys::current(&*store).await.expect("read").expect("a signing key");
    store.close().await;
    drop(store);

    let server = start(&scratch);
    let signed = |application: &Value, ends: Timestamp| {
        let claims = json!({
            "aud": "portal", "sub": application, "org_id": endpoint["org_id"], "env_id": endpoint["env_id"],
            "auth_time": ends.as_seconds() - 3_600, "iat": ends.as_seconds() - 3_600, "exp": ends.as_seconds(),
        });
        let head = token.split('.').next().expect("a header");
        let text = format!("{head}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
        let mut mac = Hmac::<Sha256>::new_from_slice(key.secret.expose().as_bytes()).expect("any length");
        mac.update(text.as_bytes());
        Customer::with(&server.client, &format!("{text}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())))
    };
    let own = &endpoint["application_id"];
    let minute = std::time::Duration::from_secs(60);
    assert_eq!(signed(own, now() + minute).refused().await, None, "the signature is valid");
    assert_eq!(signed(own, now() - minute).refused().await.as_deref(), Some("token_expired"));
    assert_eq!(signed(own, now() + 100 * minute).refused().await.as_deref(), Some("unauthorized"));
    let missing = json!("0123456789abcdef0123456789abcdef");
    assert_eq!(signed(&missing, now() + minute).refused().await.as_deref(), Some("portal_closed"));
}
