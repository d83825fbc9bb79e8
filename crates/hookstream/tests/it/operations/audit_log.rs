//! Audit log: every changing operation leaves one entry, and permitted readers find it.

use std::{collections::BTreeSet, time::Duration};

use hookstream_testkit::receiver::{CannedResponse, Receiver};
use http::Method;
use serde_json::{Value, json};

use crate::{
    identity::tenancy::{Audience, Operation, operations},
    support::{
        Scratch, Server, TestClient, scratch,
        visitor::{PASSWORD, Visitor},
    },
};

/// Operations that are not GET and leave no entry, with the reason.
const NOT_RECORDED: [(&str, &str); 11] = [
    ("createBackup", "it changes nothing of an organization; the backup itself is listed"),
    ("retryMessages", "each of its jobs has an entry, as that of recovering an endpoint"),
    ("sendMessage", "messages are listed themselves"),
    ("turnSession", "it selects a view and changes nothing"),
    ("beginSecondFactor", "it has no effect until it is confirmed"),
    ("lookAtInvitation", "it changes nothing"),
    ("startDevice", "nothing is allowed yet"),
    ("allowDevice", "the key that the device then fetches has an entry"),
    ("denyDevice", "it has no effect"),
    ("forgotPassword", "anyone may request it; the password change has an entry"),
    ("beginWithProvider", "the sign-in is not complete yet"),
];

/// Operations that need an order of their own, or that end the sessions of the others. `user_actions_leave_entries`
/// and the provider tests cover them.
const SEPARATE: [&str; 19] = [
    "setUp",
    "signIn",
    "signOut",
    "endSession",
    "endAllSessions",
    "updateProfile",
    "changePassword",
    "resetPassword",
    "confirmSecondFactor",
    "replaceRecoveryCodes",
    "disableSecondFactor",
    "acceptInvitation",
    "askDevice",
    "createOrganization",
    "transferOwnership",
    "deleteOrganization",
    "restoreOrganization",
    "endWithProvider",
    "disconnectProvider",
];

const CLOSED_URL: &str = "http://127.0.0.1:9/";

/// One instance of each resource that operations change.
struct Fixture {
    endpoint: String,
    operational_endpoint: String,
    operational_message: String,
    message: String,
    event_type: String,
    view: String,
    channel: String,
    rule: String,
    key: String,
    job: String,
    environment: String,
    /// Another environment, and a deleted one.
    staging: String,
    deleted: String,
    organization: String,
    member: String,
    invitation: String,
}

fn id(value: &Value) -> String {
    value["id"].as_str().unwrap_or_else(|| panic!("no id: {value}")).to_owned()
}

impl Fixture {
    /// Creates the resources, mostly as the signed-in owner, so that entries name users too.
    async fn make(server: &Server, owner: &Visitor) -> Self {
        let client = &server.client;
        let (status, created) = client.post("/v1/applications", json!({ "name": "Acme", "uid": "acme" })).await;
        assert_eq!(status, 201, "{created}");
        // Sent before the endpoint exists, so that a job which resends them at one per second runs for a while.
        for number in 0..30 {
            client.message(json!(number)).await;
        }
        let (status, endpoint) = client.post("/v1/applications/acme/endpoints", json!({ "url": CLOSED_URL })).await;
        assert_eq!(status, 201, "{endpoint}");
        let endpoint = id(&endpoint["endpoint"]);
        let message = client.message(json!("to be sent again")).await;
        let (status, told) = client.post("/v1/operational-webhooks/endpoints", json!({ "url": CLOSED_URL })).await;
        assert_eq!(status, 201, "{told}");
        let operational_endpoint = id(&told["endpoint"]);
        let (_, test) = client.post(&format!("/v1/operational-webhooks/endpoints/{operational_endpoint}/test"), json!({})).await;
        let operational_message = id(&test["message"]);
        let slow = json!({ "since": "2020-01-01T00:00:00Z", "statuses": ["missing"], "rate_limit": 1 });
        let (status, job) = client.post(&format!("/v1/applications/acme/endpoints/{endpoint}/replay"), slow).await;
        assert_eq!(status, 201, "{job}");
        let (_, event_type) = client.post("/v1/event-types", json!({ "name": "made.before" })).await;
        let (_, key) = client.post("/v1/auth/api-keys", json!({ "name": "made before" })).await;
        let made = json!({ "name": "Made before", "page": "messages", "filters": {}, "shared": 1 });
        let view = id(&client.post("/v1/views", made).await.1["view"]);
        let made = json!({ "name": "Made before", "channel_type": "webhook", "config": { "url": CLOSED_URL } });
        let channel = id(&client.post("/v1/notification-channels", made).await.1["channel"]);
        let made = json!({ "name": "Made before", "rule_type": "problem" });
        let rule = id(&client.post("/v1/alert-rules", made).await.1["alert_rule"]);
        let environment = created["application"]["env_id"].as_str().expect("an id").to_owned();
        let environment_called = async |slug: &str| {
            let (status, created) = owner.post("/v1/environments", json!({ "name": slug, "slug": slug })).await;
            assert_eq!(status, 201, "{created}");
            id(&created["environment"])
        };
        let (staging, deleted) = (environment_called("staging").await, environment_called("deleted").await);
        assert_eq!(owner.delete(&format!("/v1/environments/{deleted}")).await.0, 200);
        let member = owner.invite(server, "grace@example.com", "viewer").await.id().await;
        let organization = owner.organization().await;
        let invited = json!({ "email": "ada@example.com", "role": "viewer" });
        let (_, invitation) = owner.post(&format!("/v1/organizations/{organization}/invitations"), invited).await;
        let (event_type, job) = (id(&event_type["event_type"]), id(&job["job"]));
        let invitation = id(&invitation["invitation"]);
        Self {
            endpoint,
            operational_endpoint,
            operational_message,
            message,
            event_type,
            view,
            channel,
            rule,
            key: id(&key),
            job,
            environment,
            staging,
            deleted,
            organization,
            member,
            invitation,
        }
    }

    fn path(&self, pattern: &str) -> String {
        let last = match pattern {
            pattern if pattern.starts_with("/v1/operational-webhooks/endpoints") => &self.operational_endpoint,
            pattern if pattern.starts_with("/v1/event-types") => &self.event_type,
            pattern if pattern.starts_with("/v1/auth/api-keys") => &self.key,
            pattern if pattern.starts_with("/v1/views") => &self.view,
            pattern if pattern.starts_with("/v1/notification-channels") => &self.channel,
            pattern if pattern.starts_with("/v1/alert-rules") => &self.rule,
            pattern if pattern.starts_with("/v1/jobs") => &self.job,
            pattern if pattern.starts_with("/v1/organizations") => &self.invitation,
            _ => &self.endpoint,
        };
        let message = if pattern.contains("/operational-webhooks/") { &self.operational_message } else { &self.message };
        let environment = if pattern.ends_with("/restore") { &self.deleted } else { &self.staging };
        let path = pattern.replace("{appId}", "acme").replace("{msgId}", message).replace("{envId}", environment);
        path.replace("{orgId}", &self.organization).replace("{userId}", &self.member).replace("{id}", last)
    }
}

/// Returns a body that changes something, if the operation takes one.
fn body_of(operation: &str) -> Value {
    match operation {
        "createApplication" => json!({ "name": "Other", "uid": "other" }),
        "updateApplication" | "updateEnvironment" => json!({ "name": "Renamed" }),
        "createEndpoint" | "createOperationalEndpoint" => json!({ "url": CLOSED_URL }),
        "updateEndpoint" | "updateOperationalEndpoint" => json!({ "description": "changed" }),
        "recoverEndpoint" => json!({ "since": "2020-01-02T00:00:00Z" }),
        "replayEndpoint" => json!({ "since": "2020-01-03T00:00:00Z", "statuses": ["delivered"] }),
        "sendMessage" => json!({ "event_type": "a.b", "payload": 1 }),
        "createTestReceiver" => json!({ "application_id": "acme" }),
        "createView" => json!({ "name": "New", "page": "messages", "filters": {}, "shared": 1 }),
        "updateView" => json!({ "name": "Renamed" }),
        "createNotificationChannel" => json!({ "name": "New", "channel_type": "webhook", "config": { "url": CLOSED_URL } }),
        "createAlertRule" => json!({ "name": "New", "rule_type": "problem" }),
        "updateNotificationChannel" | "updateAlertRule" => json!({ "name": "Renamed" }),
        "createEventType" => json!({ "name": "made.new" }),
        "updateEventType" => json!({ "description": "changed" }),
        "createApiKey" => json!({ "name": "new" }),
        "createEnvironment" => json!({ "name": "New", "slug": "new" }),
        "updateOrganization" => json!({ "name": "Renamed" }),
        "updateMember" => json!({ "role": "developer" }),
        "createInvitation" => json!({ "email": "new@example.com", "role": "viewer" }),
        _ => Value::Null,
    }
}

async fn entries(client: &TestClient, query: &str) -> Vec<Value> {
    let (status, response) = client.get(&format!("/v1/audit-log?limit=100&{query}")).await;
    assert_eq!(status, 200, "{response}");
    response["audit_log"].as_array().expect("entries").clone()
}

/// Returns the entries that a signed-in user sees.
async fn entries_of(visitor: &Visitor, query: &str) -> Vec<Value> {
    let (status, response) = visitor.get(&format!("/v1/audit-log?limit=100&{query}")).await;
    assert_eq!(status, 200, "{response}");
    response["audit_log"].as_array().expect("entries").clone()
}

fn lines(response: &http::Response<bytes::Bytes>) -> Vec<Value> {
    assert_eq!(
        (response.status().as_u16(), &response.headers()["content-type"]),
        (200, &http::HeaderValue::from_static("application/x-ndjson"))
    );
    let text = std::str::from_utf8(response.body()).expect("text");
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

/// Returns the lines of an export.
async fn export(client: &TestClient, query: &str) -> Vec<Value> {
    lines(&client.try_send(Method::GET, &format!("/v1/audit-log/export?{query}"), &[], "").await.expect("a response"))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_changing_operation_leaves_one_entry() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let owner = Visitor::owner(&server).await;
    let fixture = Fixture::make(&server, &owner).await;
    let mut operations = operations(&server.client).await;
    operations.retain(|operation| operation.method != Method::GET && !SEPARATE.contains(&operation.id.as_str()));
    // Operations of customers equal those of the sender; the portal tests cover them.
    operations.retain(|operation| operation.audience != Audience::Customer);
    // Deletions come last, and nested resources are deleted before their parents.
    operations.sort_by_key(|operation| (operation.method == Method::DELETE, std::cmp::Reverse(operation.path.matches('/').count())));
    assert!(operations.len() > 30, "only {} operations", operations.len());
    let mut actions = BTreeSet::new();
    for Operation { id, method, path, .. } in operations {
        if NOT_RECORDED.iter().any(|(unrecorded, _)| *unrecorded == id) {
            continue;
        }
        let body = body_of(&id);
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let before = entries_of(&owner, "").await;
        let response = owner.try_send(method, &fixture.path(&path), &[], text).await;
        assert!(response.status().is_success(), "{id} ({path}): {response:?}");
        let after = entries_of(&owner, "").await;
        // The entry of a test has the time of its message, slightly before the others.
        let new: Vec<_> = after.iter().filter(|entry| !before.contains(entry)).collect();
        let [entry] = new[..] else { panic!("{id} must leave one entry: {new:?}") };
        assert_eq!(entry["actor"]["kind"], "person", "{id}");
        assert_eq!(entry["actor"]["name"], "owner@example.com", "{id}");
        assert_eq!(entry["address"], "127.0.0.1", "{id}");
        assert_eq!(entry["request_id"], response.headers()["x-request-id"].to_str().expect("text"), "{id}");
        assert_eq!(entry["org_id"], fixture.organization.as_str(), "{id}");
        let action = entry["action"].as_str().expect("a word");
        let is_organization_wide = ["organization.", "member.", "invitation."].iter().any(|kind| action.starts_with(kind));
        let environment = match id.as_str() {
            "createEnvironment" => entry["resource_id"].clone(),
            "updateEnvironment" | "deleteEnvironment" => json!(fixture.staging),
            "restoreEnvironment" => json!(fixture.deleted),
            _ if is_organization_wide => Value::Null,
            _ => json!(fixture.environment),
        };
        assert_eq!(entry["env_id"], environment, "{id}");
        actions.insert(action.to_owned());
    }
    assert!(actions.len() > 25, "{actions:?}");
    let exported = lines(&owner.try_send(Method::GET, "/v1/audit-log/export", &[], String::new()).await);
    let mut listed = entries_of(&owner, "").await;
    listed.reverse();
    assert_eq!(exported[exported.len() - listed.len()..], listed);
    // A key sees the entries of its environment, and so does a user who filters by it.
    let of_environment = entries(&server.client, "").await;
    assert!(of_environment.iter().all(|entry| entry["env_id"] == fixture.environment.as_str()));
    assert!(of_environment.len() < listed.len());
    assert_eq!(entries_of(&owner, &format!("env_id={}", fixture.environment)).await, of_environment);
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_without_an_entry_are_listed() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let owner = Visitor::owner(&server).await;
    let known: BTreeSet<_> = operations(&server.client).await.into_iter().map(|operation| operation.id).collect();
    for id in SEPARATE.into_iter().chain(NOT_RECORDED.map(|(id, _)| id)) {
        assert!(known.contains(id), "there is no operation {id}");
    }
    server.client.acme(json!({}), CLOSED_URL).await;
    let before = entries_of(&owner, "").await;
    server.client.message(json!(1)).await;
    assert_eq!(owner.patch("/v1/auth/session", json!({ "org_id": owner.organization().await })).await.0, 200);
    assert_eq!(owner.post("/v1/auth/second-factor", json!({ "password": PASSWORD })).await.0, 200);
    for response in ["allow", "deny"] {
        let (_, started) = Visitor::new(&server).post("/v1/auth/device", json!({})).await;
        let code = started["user_code"].as_str().unwrap_or_else(|| panic!("{started}"));
        let (status, response) = owner.post(&format!("/v1/auth/device/{code}/{response}"), json!({})).await;
        assert_eq!(status, 200, "{response}");
    }
    assert_eq!(entries_of(&owner, "").await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn user_actions_leave_entries() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let owner = Visitor::owner(&server).await;
    let first = owner.organization().await;
    let newest = async |visitor: &Visitor, count: usize| {
        let organization = format!("org_id={first}");
        let entries = entries_of(visitor, &organization).await.into_iter().take(count);
        let entries = entries.map(|entry| (entry["action"].as_str().expect("a word").to_owned(), entry["actor"]["name"].clone()));
        entries.map(|(action, name)| format!("{action} by {}", name.as_str().unwrap_or("no user"))).collect::<Vec<_>>()
    };
    assert_eq!(newest(&owner, 2).await, ["person.sign_in by owner@example.com", "member.make_owner by owner@example.com"]);
    let admin = owner.invite(&server, "ada@example.com", "admin").await;
    let expected = ["person.sign_in by ada@example.com", "invitation.accept by ada@example.com", "invitation.create by owner@example.com"];
    assert_eq!(newest(&owner, 3).await, expected);

    let check = async |(status, response): (u16, Value), expected: &str| {
        assert!(matches!(status, 200 | 201), "{expected}: {response}");
        assert_eq!(newest(&admin, 1).await, [expected]);
        response
    };
    check(owner.patch("/v1/auth/profile", json!({ "name": "Olga" })).await, "person.update by owner@example.com").await;
    let other = Visitor::new(&server);
    assert_eq!(other.sign_in("owner@example.com", "not the password", None).await.0, 401);
    assert_eq!(newest(&admin, 1).await, ["person.update by owner@example.com"], "a failed sign-in leaves no entry");
    check(other.sign_in("owner@example.com", PASSWORD, None).await, "person.sign_in by owner@example.com").await;
    let session = id(&other.get("/v1/auth/session").await.1["session"]);
    check(owner.delete(&format!("/v1/auth/sessions/{session}")).await, "person.end_sessions by owner@example.com").await;
    let entry = entries_of(&admin, "action=person.end_sessions").await.remove(0);
    assert_eq!((&entry["after"], &entry["env_id"]), (&json!({ "session_id": session }), &Value::Null));
    let passwords = json!({ "current_password": PASSWORD, "new_password": "seven gravel teapot plum" });
    check(owner.post("/v1/auth/password", passwords).await, "person.change_password by owner@example.com").await;

    let password = json!({ "password": "seven gravel teapot plum" });
    let (_, factor) = owner.post("/v1/auth/second-factor", password).await;
    let code = crate::identity::people::code(
        &crate::identity::people::totp(factor["secret"].as_str().expect("a secret")),
        crate::identity::people::seconds(),
    );
    let confirmed = owner.post("/v1/auth/second-factor/confirm", json!({ "code": code })).await;
    check(confirmed.clone(), "person.add_second_factor by owner@example.com").await;
    let proof = |code: &Value| json!({ "password": "seven gravel teapot plum", "code": code });
    let codes = owner.post("/v1/auth/recovery-codes", proof(&confirmed.1["recovery_codes"][0])).await;
    let codes = check(codes, "person.replace_recovery_codes by owner@example.com").await;
    let code = codes["recovery_codes"][0].as_str().expect("a code");
    let signed_in = other.sign_in("owner@example.com", "seven gravel teapot plum", Some(code)).await;
    check(signed_in, "person.sign_in by owner@example.com").await;
    check(
        owner.post("/v1/auth/second-factor/disable", proof(&codes["recovery_codes"][1])).await,
        "person.remove_second_factor by owner@example.com",
    )
    .await;
    check(other.post("/v1/auth/sign-out", json!({})).await, "person.end_sessions by owner@example.com").await;

    let (_, started) = Visitor::new(&server).post("/v1/auth/device", json!({})).await;
    let text = |name: &str| started[name].as_str().unwrap_or_else(|| panic!("{started}")).to_owned();
    assert_eq!(owner.post(&format!("/v1/auth/device/{}/allow", text("user_code")), json!({})).await.0, 200);
    let asked = Visitor::new(&server).post("/v1/auth/device/token", json!({ "device_code": text("device_code") })).await;
    check(asked, "api_key.create by owner@example.com").await;

    // Another organization has its own entries, and none of the first.
    let created = check(owner.post("/v1/organizations", json!({ "name": "Second" })).await, "api_key.create by owner@example.com").await;
    let second = id(&created["organization"]);
    let of_second = async || {
        let entries = entries_of(&owner, &format!("org_id={second}")).await;
        entries.into_iter().map(|entry| entry["action"].as_str().expect("a word").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(of_second().await, ["organization.create"]);
    assert_eq!(admin.get(&format!("/v1/audit-log?org_id={second}")).await.0, 404);
    assert_eq!(owner.delete(&format!("/v1/organizations/{second}")).await.0, 200);
    assert_eq!(owner.post(&format!("/v1/organizations/{second}/restore"), json!({})).await.0, 200);
    assert_eq!(of_second().await, ["organization.restore", "organization.delete", "organization.create"]);

    let transfer = json!({ "user_id": admin.id().await });
    let transferred = owner.post(&format!("/v1/organizations/{first}/transfer-ownership"), transfer).await;
    check(transferred, "organization.transfer by owner@example.com").await;
    check(owner.delete("/v1/auth/sessions").await, "person.end_sessions by owner@example.com").await;
    let everything = format!("{:?}", entries_of(&admin, "").await);
    for secret in [PASSWORD, "seven gravel", "#token=", code, factor["secret"].as_str().expect("a secret"), "hs_live_"] {
        assert!(!everything.contains(secret), "{secret} is in the audit log");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_repeated_or_dry_run_request_leaves_no_entry() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let client = &server.client;
    let endpoint = id(&client.acme(json!({}), CLOSED_URL).await);
    let keyed = async |path: &str, body: Value| {
        let body = body.to_string();
        let (status, response) = client.send(Method::POST, path, &[("idempotency-key", path)], body.clone()).await;
        assert_eq!(status, 201, "{response}");
        assert_eq!(client.send(Method::POST, path, &[("idempotency-key", path)], body).await, (status, response));
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
    assert_eq!(client.patch("/v1/applications/acme", json!({ "name": "Acme" })).await.0, 200, "unchanged value");
    assert_eq!(entries(client, "").await, before_refusals);
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_are_filtered_paged_and_visible_to_their_environment_only() {
    let scratch = scratch();
    Server::start(&scratch, &[]).kill();
    let stranger = scratch.add_other_organization().await;
    let server = Server::start(&scratch, &[]);
    let (client, stranger) = (&server.client, server.client.with_key(stranger.expose()));
    let endpoint = client.acme(json!({ "headers": { "authorization": "Bearer sesame" } }), CLOSED_URL).await;
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
    assert_eq!(all.last().map(String::as_str), Some("api_key.create"), "the bootstrap key, created by the system");
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
    assert!(theirs.iter().all(|entry| entry["actor"]["kind"] == "system"), "only the creation of their key: {theirs:?}");
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

/// Adds this many entries to an environment, one after another.
async fn fill(
    scratch: &Scratch,
    tenant: hookstream_model::identity::tenancy::Tenant,
    entries: u32,
    at: hookstream_model::base::time::Timestamp,
) {
    use hookstream_model::{
        base::ids::{EntryId, ResourceId},
        operations::audit_log::{Action, AuditContext, Change, fields::Fields},
    };
    let store = scratch.open_store().await;
    let change = Change::done(&Fields::default().with("note", "x".repeat(1_000)));
    for number in 0..entries {
        let mut id = *EntryId::before_all_at(at).as_bytes();
        id[12..].copy_from_slice(&number.to_be_bytes());
        let context = AuditContext::of_system(EntryId::from_bytes(id), at);
        let resource = ResourceId::from_bytes([1; 16]);
        hookstream_store::operations::audit_log::record(&*store, &context, tenant, Action::EndpointTest, resource, &change)
            .await
            .expect("recorded");
    }
    store.close().await;
}

fn tenant_of(entry: &Value) -> hookstream_model::identity::tenancy::Tenant {
    let id = |name: &str| entry[name].as_str().expect("an id").to_owned();
    hookstream_model::identity::tenancy::Tenant {
        organization: id("org_id").parse().expect("an id"),
        environment: id("env_id").parse().expect("an id"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn old_entries_expire_and_exports_are_unlimited() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let entry = entries(&server.client, "").await.remove(0);
    let created: hookstream_model::base::time::Timestamp = entry["created_at"].as_str().expect("a time").parse().expect("a time");
    server.kill();
    let days = |count: u32| Duration::from_secs(24 * 3600) * count;
    fill(&scratch, tenant_of(&entry), 250, created - days(31)).await;
    fill(&scratch, tenant_of(&entry), 150, created - days(29)).await;
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
async fn automatically_disabled_endpoint_has_an_entry_by_the_system() {
    let scratch = scratch();
    let receiver = Receiver::responding(|_| CannedResponse::status(410)).await;
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
