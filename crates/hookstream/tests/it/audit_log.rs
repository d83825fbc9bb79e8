//! The audit log: every operation that changes something leaves one entry, and those who may read it find it.

use std::{collections::BTreeSet, time::Duration};

use hookstream_testkit::receiver::{Answer, Receiver};
use http::Method;
use serde_json::{Value, json};

use crate::support::{Scratch, Server, TestClient, scratch};

/// Operations that are no GET and leave no entry, with the reason.
const NOT_RECORDED: [(&str, &str); 1] = [("sendMessage", "there are as many as messages, which are listed themselves")];

const NOBODY: &str = "http://127.0.0.1:9/";

/// One of each thing that operations are about.
struct World {
    endpoint: String,
    message: String,
    event_type: String,
    key: String,
    job: String,
    environment: String,
}

fn id(value: &Value) -> String {
    value["id"].as_str().unwrap_or_else(|| panic!("no id: {value}")).to_owned()
}

impl World {
    async fn make(client: &TestClient) -> Self {
        let (status, made) = client.post("/v1/applications", json!({ "name": "Acme", "uid": "acme" })).await;
        assert_eq!(status, 201, "{made}");
        // Sent before there is an endpoint, so that a job which sends them at one a second runs for a while.
        for number in 0..30 {
            client.message(json!(number)).await;
        }
        let (status, endpoint) = client.post("/v1/applications/acme/endpoints", json!({ "url": NOBODY })).await;
        assert_eq!(status, 201, "{endpoint}");
        let endpoint = id(&endpoint["endpoint"]);
        let message = client.message(json!("to be sent again")).await;
        let slow = json!({ "since": "2020-01-01T00:00:00Z", "statuses": ["missing"], "rate_limit": 1 });
        let (status, job) = client.post(&format!("/v1/applications/acme/endpoints/{endpoint}/replay"), slow).await;
        assert_eq!(status, 201, "{job}");
        let (_, event_type) = client.post("/v1/event-types", json!({ "name": "made.before" })).await;
        let (_, key) = client.post("/v1/auth/api-keys", json!({ "name": "made before" })).await;
        let environment = made["application"]["env_id"].as_str().expect("an id").to_owned();
        let (event_type, job) = (id(&event_type["event_type"]), id(&job["job"]));
        Self { endpoint, message, event_type, key: id(&key), job, environment }
    }

    fn path(&self, pattern: &str) -> String {
        let last = match pattern {
            pattern if pattern.starts_with("/v1/event-types") => &self.event_type,
            pattern if pattern.starts_with("/v1/auth/api-keys") => &self.key,
            pattern if pattern.starts_with("/v1/jobs") => &self.job,
            _ => &self.endpoint,
        };
        let path = pattern.replace("{appId}", "acme").replace("{msgId}", &self.message).replace("{envId}", &self.environment);
        path.replace("{id}", last)
    }
}

/// A body that changes something, where the operation takes one.
fn body_of(operation: &str) -> Value {
    match operation {
        "createApplication" => json!({ "name": "Other", "uid": "other" }),
        "updateApplication" | "updateEnvironment" => json!({ "name": "Renamed" }),
        "createEndpoint" => json!({ "url": NOBODY }),
        "updateEndpoint" => json!({ "description": "changed" }),
        "recoverEndpoint" => json!({ "since": "2020-01-02T00:00:00Z" }),
        "replayEndpoint" => json!({ "since": "2020-01-03T00:00:00Z", "statuses": ["delivered"] }),
        "sendMessage" => json!({ "event_type": "a.b", "payload": 1 }),
        "createEventType" => json!({ "name": "made.new" }),
        "updateEventType" => json!({ "description": "changed" }),
        "createApiKey" => json!({ "name": "new" }),
        _ => Value::Null,
    }
}

async fn entries(client: &TestClient, query: &str) -> Vec<Value> {
    let (status, answer) = client.get(&format!("/v1/audit-log?limit=100&{query}")).await;
    assert_eq!(status, 200, "{answer}");
    answer["audit_log"].as_array().expect("entries").clone()
}

/// The lines of an export.
async fn export(client: &TestClient, query: &str) -> Vec<Value> {
    let answer = client.try_send(Method::GET, &format!("/v1/audit-log/export?{query}"), &[], "").await.expect("an answer");
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["content-type"]),
        (200, &http::HeaderValue::from_static("application/x-ndjson"))
    );
    let text = std::str::from_utf8(answer.body()).expect("text");
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_that_changes_something_leaves_one_entry() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let client = &server.client;
    let world = World::make(client).await;
    let (_, document) = client.get("/v1/openapi.json").await;
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations").iter().filter(|(method, _)| *method != "parameters") {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method");
            operations.push((method, path.clone(), operation["operationId"].as_str().expect("an id").to_owned()));
        }
    }
    operations.retain(|(method, _, _)| *method != Method::GET);
    // What is deleted is deleted last, and what is in it before it.
    operations.sort_by_key(|(method, path, _)| (*method == Method::DELETE, std::cmp::Reverse(path.matches('/').count())));
    assert!(operations.len() > 20, "only {} operations", operations.len());
    let mut actions = BTreeSet::new();
    for (method, pattern, operation) in operations {
        let body = body_of(&operation);
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let before = entries(client, "").await;
        let response = client.try_send(method, &world.path(&pattern), &[], text).await.expect("an answer");
        assert!(response.status().is_success(), "{operation} ({pattern}): {response:?}");
        let after = entries(client, "").await;
        if NOT_RECORDED.iter().any(|(id, _)| *id == operation) {
            assert_eq!(after, before, "{operation}");
            continue;
        }
        assert_eq!(after.len(), before.len() + 1, "{operation} leaves one entry: {:?}", &after[..2]);
        // A test's entry has the time of its message, which is a moment before others'.
        let new: Vec<_> = after.iter().filter(|entry| !before.contains(entry)).collect();
        let [entry] = new[..] else { panic!("{operation}: {new:?}") };
        assert_eq!(entry["actor"]["kind"], "api_key", "{operation}");
        assert_eq!(entry["actor"]["name"], "bootstrap", "{operation}");
        assert_eq!(entry["address"], "127.0.0.1", "{operation}");
        assert_eq!(entry["env_id"], world.environment.as_str(), "{operation}");
        assert_eq!(entry["request_id"], response.headers()["x-request-id"].to_str().expect("text"), "{operation}");
        actions.insert(entry["action"].as_str().expect("a word").to_owned());
    }
    assert!(actions.len() > 18, "{actions:?}");
    let exported = export(client, "").await;
    let mut listed = entries(client, "").await;
    listed.reverse();
    assert_eq!(exported, listed);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_repeated_or_only_tried_leaves_no_entry() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let client = &server.client;
    let endpoint = id(&client.acme(json!({}), NOBODY).await);
    let keyed = async |path: &str, body: Value| {
        let body = body.to_string();
        let (status, answer) = client.send(Method::POST, path, &[("idempotency-key", path)], body.clone()).await;
        assert_eq!(status, 201, "{answer}");
        assert_eq!(client.send(Method::POST, path, &[("idempotency-key", path)], body).await, (status, answer));
    };
    let test = format!("/v1/applications/acme/endpoints/{endpoint}/test");
    let before = entries(client, "").await.len();
    keyed("/v1/applications", json!({ "name": "Other", "uid": "other" })).await;
    keyed(&test, json!({})).await;
    let before_refusals = entries(client, "").await;
    assert_eq!(before_refusals.len(), before + 2);
    let recover = format!("/v1/applications/acme/endpoints/{endpoint}/recover");
    let refused = [
        client.post("/v1/applications", json!({ "name": "Other", "uid": "other" })).await.0,
        client.post("/v1/applications", json!({ "name": "" })).await.0,
        client.patch("/v1/applications/acme", json!({ "status": "odd" })).await.0,
        client.delete("/v1/applications/nobody").await.0,
        client.delete("/v1/event-types/0123456789abcdef0123456789abcdef").await.0,
        client.post(&recover, json!({ "since": "then" })).await.0,
    ];
    assert_eq!(refused, [409, 400, 400, 404, 404, 400]);
    assert_eq!(client.post(&format!("{recover}?dry_run=1"), json!({ "since": "2020-01-01T00:00:00Z" })).await.0, 200);
    assert_eq!(client.patch("/v1/applications/acme", json!({ "name": "Acme" })).await.0, 200, "as it is already");
    assert_eq!(entries(client, "").await, before_refusals);
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_are_filtered_paged_and_told_to_their_environment_only() {
    let scratch = scratch();
    Server::start(&scratch, &[]).kill();
    let stranger = scratch.add_stranger().await;
    let server = Server::start(&scratch, &[]);
    let (client, stranger) = (&server.client, server.client.with_key(stranger.expose()));
    let endpoint = client.acme(json!({ "headers": { "authorization": "Bearer sesame" } }), NOBODY).await;
    let (endpoint, application) = (id(&endpoint), endpoint["application_id"].as_str().expect("an id").to_owned());
    let (_, rotated) = client.post(&format!("/v1/applications/acme/endpoints/{endpoint}/rotate-secret"), Value::Null).await;
    let (_, portal) = client.post("/v1/applications/acme/portal-access", Value::Null).await;
    client.patch("/v1/applications/acme", json!({ "name": "Acme Inc." })).await;

    let actions = async |query: &str| {
        let found = entries(client, query).await;
        let exported = export(client, query).await;
        assert_eq!(exported.into_iter().rev().collect::<Vec<_>>(), found, "{query}");
        found.into_iter().map(|entry| entry["action"].as_str().expect("a word").to_owned()).collect::<Vec<_>>()
    };
    let all = actions("").await;
    let of_application = ["application.update", "application.give_portal_access", "endpoint.rotate_secret", "endpoint.create"];
    assert_eq!(all[..4], of_application);
    assert_eq!(all.last().map(String::as_str), Some("api_key.create"), "the first key, by Hookstream itself");
    assert_eq!(actions("action=application.update").await, ["application.update"]);
    assert_eq!(actions("resource_type=endpoint").await, ["endpoint.rotate_secret", "endpoint.create"]);
    let resource = format!("resource_id={application}");
    assert_eq!(actions(&resource).await, ["application.update", "application.give_portal_access", "application.create"]);
    let entry = entries(client, "action=application.update").await.remove(0);
    assert_eq!((&entry["before"], &entry["after"]), (&json!({ "name": "Acme" }), &json!({ "name": "Acme Inc." })));
    assert_eq!(entry["resource_id"], application.as_str());
    let actor = format!("actor_id={}&resource_type=application", entry["actor"]["id"].as_str().expect("an id"));
    assert_eq!(actions(&actor).await, ["application.update", "application.give_portal_access", "application.create"]);
    let since = format!("since={}", entry["created_at"].as_str().expect("a time"));
    assert!(actions(&since).await.contains(&"application.update".to_owned()));
    let until = format!("until={}", entry["created_at"].as_str().expect("a time"));
    assert!(!actions(&until).await.contains(&"application.update".to_owned()));
    assert_eq!(actions("since=2999-01-01T00:00:00Z").await, Vec::<String>::new());

    let (mut paged, mut cursor) = (Vec::new(), String::new());
    loop {
        let (_, page) = client.get(&format!("/v1/audit-log?limit=2&cursor={cursor}")).await;
        paged.extend(page["audit_log"].as_array().expect("entries").clone());
        let Some(next) = page["cursor"].as_str() else { break };
        cursor = next.to_owned();
    }
    assert_eq!(paged, entries(client, "").await);

    let text = format!("{paged:?}");
    let shown = [&rotated["signing_secret"], &portal["token"]].map(|secret| secret.as_str().expect("a secret").to_owned());
    for secret in ["sesame", crate::support::KEY].into_iter().chain(shown.iter().map(String::as_str)) {
        assert!(!text.contains(secret), "{secret} is in the audit log");
    }

    let theirs = entries(&stranger, "").await;
    assert!(theirs.iter().all(|entry| entry["actor"]["kind"] == "system"), "only that their key was made: {theirs:?}");
    assert_eq!(entries(&stranger, &resource).await, Vec::<Value>::new());
    assert_eq!(export(&stranger, &resource).await, Vec::<Value>::new());
    for (query, field) in [
        ("action=make", "action"),
        ("resource_type=thing", "resource_type"),
        ("resource_id=acme", "resource_id"),
        ("actor_id=me", "actor_id"),
        ("since=yesterday", "since"),
        ("until=2026-11-24", "until"),
    ] {
        for path in ["/v1/audit-log", "/v1/audit-log/export"] {
            let (status, refusal) = client.get(&format!("{path}?{query}")).await;
            assert_eq!((status, &refusal["details"]["field"]), (400, &json!(field)), "{path}?{query}: {refusal}");
        }
    }
}

/// Fills an environment with this many entries; they are made one after the other.
async fn fill(scratch: &Scratch, tenant: hookstream_model::tenancy::Tenant, entries: u32, at: hookstream_model::time::Timestamp) {
    use hookstream_model::{
        audit_log::{Act, Action, Change, fields::Fields},
        ids::{EntryId, ResourceId},
    };
    let store = scratch.open_store().await;
    let change = Change::done(&Fields::default().with("note", "x".repeat(1_000)));
    for number in 0..entries {
        let mut id = *EntryId::before_all_at(at).as_bytes();
        id[12..].copy_from_slice(&number.to_be_bytes());
        let act = Act::of_system(EntryId::from_bytes(id), at);
        let resource = ResourceId::from_bytes([1; 16]);
        hookstream_store::audit_log::record(&*store, &act, tenant, Action::EndpointTest, resource, &change).await.expect("recorded");
    }
    store.close().await;
}

fn tenant_of(entry: &Value) -> hookstream_model::tenancy::Tenant {
    let id = |name: &str| entry[name].as_str().expect("an id").to_owned();
    hookstream_model::tenancy::Tenant {
        organization: id("org_id").parse().expect("an id"),
        environment: id("env_id").parse().expect("an id"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn old_entries_go_and_an_export_is_of_any_length() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let entry = entries(&server.client, "").await.remove(0);
    let made: hookstream_model::time::Timestamp = entry["created_at"].as_str().expect("a time").parse().expect("a time");
    server.kill();
    let days = |count: u32| Duration::from_secs(24 * 3600) * count;
    fill(&scratch, tenant_of(&entry), 250, made - days(31)).await;
    fill(&scratch, tenant_of(&entry), 150, made - days(29)).await;
    let server = Server::start(&scratch, &["--audit-retention-days", "32"]);
    let exported = export(&server.client, "action=endpoint.test").await;
    assert_eq!(exported.len(), 400);
    assert!(exported.is_sorted_by_key(|entry| entry["id"].as_str().expect("an id").to_owned()));
    server.kill();
    let server = Server::start(&scratch, &["--audit-retention-days", "30"]);
    let left = hookstream_testkit::eventually("old entries are gone", async || {
        let left = export(&server.client, "action=endpoint.test").await.len();
        (left <= 150).then_some(left)
    })
    .await;
    assert_eq!(left, 150);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_hookstream_disables_has_an_entry_by_the_system() {
    let scratch = scratch();
    let receiver = Receiver::answering(|_| Answer::status(410)).await;
    let server = Server::start(&scratch, &[]);
    let endpoint = id(&server.client.acme(json!({}), &receiver.url()).await);
    server.client.message(json!(1)).await;
    let entry = hookstream_testkit::eventually("the endpoint is disabled", async || {
        entries(&server.client, &format!("resource_id={endpoint}&action=endpoint.disable")).await.pop()
    })
    .await;
    assert_eq!(entry["actor"], json!({ "kind": "system", "id": null, "name": null }));
    assert_eq!((&entry["address"], &entry["request_id"]), (&Value::Null, &Value::Null));
    assert_eq!(entry["after"], json!({ "status": "disabled", "disabled_reason": "gone" }));
}
