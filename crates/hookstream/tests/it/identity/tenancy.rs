//! Tenant isolation: every operation of the OpenAPI document is called without a key, with a key of another
//! organization, by a user who is not a member, with a key that lacks the scope, and by a viewer. A new operation
//! fails here until it has an entry.

use std::collections::BTreeMap;

use http::Method;
use serde_json::{Value, json};

use crate::support::{KEY, Server, TestClient, scratch, visitor::Visitor};

/// Returns a body with an effect for each operation that takes one.
pub(crate) fn body_of(operation: &str) -> Option<Value> {
    let since = "2020-01-01T00:00:00Z";
    Some(match operation {
        "createApplication" => json!({ "name": "Theirs", "uid": "theirs" }),
        "updateApplication" | "updateEnvironment" => json!({ "name": "taken over" }),
        "createEndpoint" | "createPortalEndpoint" | "createOperationalEndpoint" => json!({ "url": "http://127.0.0.1:9/theirs" }),
        "updateEndpoint" | "updatePortalEndpoint" | "updateOperationalEndpoint" => json!({ "url": "http://127.0.0.1:9/taken-over" }),
        "testEndpoint" | "testPortalEndpoint" | "testOperationalEndpoint" | "rotateApiKey" => json!({}),
        "rotateSigningSecret" | "rotatePortalSecret" | "rotateOperationalSecret" => json!({}),
        "retryMessage" | "retryPortalMessage" | "retryOperationalMessage" => json!({}),
        "recoverEndpoint" | "recoverPortalEndpoint" | "replayEndpoint" | "retryMessages" => json!({ "since": since }),
        "sendMessage" => json!({ "event_type": "taken.over", "payload": 1 }),
        "createTestReceiver" => json!({ "application_id": "acme" }),
        "createView" => json!({ "name": "Theirs", "page": "messages", "filters": {}, "shared": 1 }),
        "updateView" | "updateAlertRule" | "updateNotificationChannel" => json!({ "name": "taken over" }),
        "createAlertRule" => json!({ "name": "Theirs", "rule_type": "problem" }),
        "createNotificationChannel" => {
            json!({ "name": "Theirs", "channel_type": "webhook", "config": { "url": "http://127.0.0.1:9/theirs" } })
        }
        "testNotificationChannel" => json!({}),
        "setPortalNotifications" => json!({ "email": "theirs@example.com" }),
        "confirmPortalNotifications" => json!({ "code": "000000" }),
        "createEventType" => json!({ "name": "theirs.made" }),
        "updateEventType" => json!({ "description": "taken over" }),
        "createApiKey" => json!({ "name": "theirs" }),
        "createEnvironment" => json!({ "name": "Theirs", "slug": "theirs" }),
        "createOrganization" | "updateOrganization" | "updateProfile" => json!({ "name": "taken over" }),
        "transferOwnership" => json!({ "user_id": "0123456789abcdef0123456789abcdef" }),
        "updateMember" => json!({ "role": "viewer" }),
        "createInvitation" => json!({ "email": "thief@example.com", "role": "owner" }),
        "turnSession" => json!({ "org_id": "0123456789abcdef0123456789abcdef" }),
        "changePassword" => json!({ "current_password": "x", "new_password": "taken over taken over" }),
        "beginSecondFactor" | "disableSecondFactor" | "replaceRecoveryCodes" => json!({ "password": "wrong" }),
        "confirmSecondFactor" => json!({ "code": "000000" }),
        "allowDevice" | "startDevice" => json!({}),
        "forgotPassword" => json!({ "email": "theirs@example.com" }),
        "setUp" | "signIn" | "resetPassword" | "lookAtInvitation" | "acceptInvitation" | "askDevice" => json!({}),
        "beginWithProvider" => json!({}),
        "createBackup" | "listBackups" => Value::Null,
        "endWithProvider" => json!({ "code": "x", "state": "x" }),
        "deleteApplication"
        | "deleteEndpoint"
        | "deletePortalEndpoint"
        | "deleteOperationalEndpoint"
        | "deleteEventType"
        | "deleteView"
        | "deleteAlertRule"
        | "deleteNotificationChannel"
        | "deletePortalNotifications"
        | "revokeApiKey"
        | "resetCircuit"
        | "resetOperationalCircuit"
        | "createCheckout"
        | "createBillingPortal"
        | "cancelJob"
        | "createPortalAccess"
        | "renewPortalToken"
        | "deleteEnvironment"
        | "restoreEnvironment"
        | "deleteOrganization"
        | "restoreOrganization"
        | "removeMember"
        | "deleteInvitation"
        | "endSession"
        | "endAllSessions"
        | "signOut"
        | "disconnectProvider"
        | "denyDevice" => Value::Null,
        operation if operation.starts_with("list") || operation.starts_with("get") => Value::Null,
        "explainMessage"
        | "explainMessageById"
        | "explainPortalMessage"
        | "explainOperationalMessage"
        | "exportAuditLog"
        | "openWebSocket"
        | "openStream"
        | "countMessages" => Value::Null,
        "revealSigningSecret" | "revealPortalSecret" | "revealOperationalSecret" => Value::Null,
        _ => return None,
    })
}

/// Operation of the OpenAPI document.
#[derive(Clone)]
pub(crate) struct Operation {
    pub(crate) id: String,
    pub(crate) method: Method,
    pub(crate) path: String,
    takes_tenant: bool,
    pub(crate) audience: Audience,
}

/// Intended caller of an operation, according to the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// An API key or a signed-in user.
    Caller,
    /// A signed-in user, about their own account.
    User,
    /// A customer with a portal token.
    Customer,
    /// A caller or a customer, on the live stream, which has tests of its own.
    Listener,
    /// A caller without credentials.
    Anonymous,
}

pub(crate) async fn operations(client: &TestClient) -> Vec<Operation> {
    let (_, document) = client.get("/v1/openapi.json").await;
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations").iter().filter(|(method, _)| *method != "parameters") {
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            operations.push(Operation {
                id: operation["operationId"].as_str().expect("an id").to_owned(),
                method: Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method"),
                path: path.clone(),
                takes_tenant: parameters.iter().any(|parameter| parameter["name"] == "env_id"),
                audience: match operation["security"].as_array().map(Vec::as_slice) {
                    None => Audience::Caller,
                    Some([only]) if only == &json!({}) => Audience::Anonymous,
                    Some([only]) if only == &json!({ "session": [] }) => Audience::User,
                    Some([only]) if only == &json!({ "portal": [] }) => Audience::Customer,
                    Some([_, _, _, portal]) if portal == &json!({ "portal": [] }) => Audience::Listener,
                    Some(other) => panic!("{other:?}"),
                },
            });
        }
    }
    operations.retain(|operation| !operation.path.starts_with("/v1/health"));
    assert!(operations.len() > 30, "only {} operations", operations.len());
    operations
}

/// Returns the operations that accept an API key.
async fn of_callers(client: &TestClient) -> Vec<Operation> {
    operations(client).await.into_iter().filter(|operation| operation.audience == Audience::Caller).collect()
}

/// Resources of a victim, by the path segment before their id.
pub(crate) struct Victim {
    ids: BTreeMap<&'static str, String>,
    organization: String,
    environment: String,
    /// Token for the portal of the victim's application.
    pub(crate) portal: String,
    pub(crate) owner: Visitor,
}

impl Victim {
    /// Creates one of each resource.
    pub(crate) async fn make(server: &Server) -> Self {
        Self::make_with(&server.client, Visitor::owner(server).await).await
    }

    /// Creates one of each resource with a client and the owner's browser.
    pub(crate) async fn make_with(client: &TestClient, owner: Visitor) -> Self {
        let endpoint = client.acme(json!({}), "http://127.0.0.1:9/mine").await;
        let id = |value: &Value| value["id"].as_str().expect("an id").to_owned();
        let message = client.message(json!(1)).await;
        let attempt = hookstream_testkit::eventually("an attempt", async || {
            let (_, seen) = client.get(&format!("/v1/messages/{message}")).await;
            seen["attempts"][0]["id"].as_str().map(str::to_owned)
        })
        .await;
        let (_, event_type) = client.post("/v1/event-types", json!({ "name": "mine.made" })).await;
        let (_, key) = client.post("/v1/auth/api-keys", json!({ "name": "mine" })).await;
        let mine = json!({ "name": "Mine", "page": "messages", "filters": { "status": "failed" }, "shared": 1 });
        let (_, view) = client.post("/v1/views", mine).await;
        let channel = json!({ "name": "mine", "channel_type": "webhook", "config": { "url": "http://127.0.0.1:9/mine" } });
        let (_, channel) = client.post("/v1/notification-channels", channel).await;
        let rule = json!({ "name": "mine", "rule_type": "problem", "channel_ids": [channel["channel"]["id"]] });
        let (_, rule) = client.post("/v1/alert-rules", rule).await;
        let path = format!("/v1/applications/acme/endpoints/{}/recover", id(&endpoint));
        let (status, job) = client.post(&path, json!({ "since": "2020-01-01T00:00:00Z" })).await;
        assert_eq!(status, 201, "{job}");
        let told = json!({ "url": "http://127.0.0.1:9/told" });
        let (status, operational) = client.post("/v1/operational-webhooks/endpoints", told).await;
        assert_eq!(status, 201, "{operational}");
        let operational = id(&operational["endpoint"]);
        let (status, test) = client.post(&format!("/v1/operational-webhooks/endpoints/{operational}/test"), json!({})).await;
        assert_eq!(status, 201, "{test}");
        let operational_message = id(&test["message"]);
        let path = format!("/v1/operational-webhooks/messages/{operational_message}");
        let operational_attempt = hookstream_testkit::eventually("an attempt", async || {
            let (_, seen) = client.get(&path).await;
            seen["attempts"][0]["id"].as_str().map(str::to_owned)
        })
        .await;
        let text = |name: &str| endpoint[name].as_str().expect("an id").to_owned();
        let (_, session) = owner.get("/v1/auth/session").await;
        let invitations = format!("/v1/organizations/{}/invitations", text("org_id"));
        let (_, invitation) = owner.post(&invitations, json!({ "email": "ada@example.com", "role": "viewer" })).await;
        let ids = BTreeMap::from([
            ("organizations", text("org_id")),
            ("members", id(&session["user"])),
            ("sessions", id(&session["session"])),
            ("invitations", id(&invitation["invitation"])),
            ("device", "ABCD-EFGH".to_owned()),
            ("providers", "nowhere".to_owned()),
            ("applications", text("application_id")),
            ("endpoints", id(&endpoint)),
            ("messages", message),
            ("attempts", attempt),
            ("event-types", id(&event_type["event_type"])),
            ("api-keys", id(&key)),
            ("jobs", id(&job["job"])),
            ("views", id(&view["view"])),
            ("notification-channels", id(&channel["channel"])),
            ("alert-rules", id(&rule["alert_rule"])),
            ("operational endpoints", operational),
            ("operational messages", operational_message),
            ("operational attempts", operational_attempt),
            ("environments", text("env_id")),
        ]);
        let (_, access) = client.post("/v1/applications/acme/portal-access", json!({})).await;
        let portal = access["token"].as_str().expect("a token").to_owned();
        Self { ids, organization: text("org_id"), environment: text("env_id"), portal, owner }
    }

    /// Returns a path with the victim's ids, or with ids of no resource.
    pub(crate) fn path(&self, pattern: &str, is_theirs: bool) -> String {
        let mut kind = "";
        let parts = pattern.split('/').map(|part| {
            if !part.starts_with('{') {
                kind = part;
                return part.to_owned();
            }
            let operational = format!("operational {kind}");
            let kind = if pattern.contains("/operational-webhooks/") { operational.as_str() } else { kind };
            let id = self.ids.get(kind).unwrap_or_else(|| panic!("{pattern}: no resource of kind {kind}"));
            if is_theirs { id.clone() } else { "0123456789abcdef0123456789abcdef".to_owned() }
        });
        parts.collect::<Vec<_>>().join("/")
    }

    /// Returns the visible state of the victim's resources.
    async fn state(&self, client: &TestClient) -> Vec<Value> {
        let mut state = Vec::new();
        let endpoints = format!("/v1/applications/{}/endpoints", self.ids["applications"]);
        let message = format!("/v1/applications/{}/messages/{}", self.ids["applications"], self.ids["messages"]);
        let organization = format!("/v1/organizations/{}", self.organization);
        let (members, invitations) = (format!("{organization}/members"), format!("{organization}/invitations"));
        let lists = [
            "/v1/applications",
            &endpoints,
            "/v1/event-types",
            "/v1/views",
            "/v1/alert-rules",
            "/v1/notification-channels",
            "/v1/environments",
            "/v1/auth/api-keys",
            "/v1/jobs",
            &message,
            &organization,
            &members,
            &invitations,
        ];
        for path in lists {
            let (status, mut response) = client.get(path).await;
            assert_eq!(status, 200, "{path}: {response}");
            remove_changing_values(&mut response);
            state.push(response);
        }
        state
    }
}

/// Removes values that change without requests: usage figures, attempts, and the progress of jobs.
fn remove_changing_values(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            let moving = ["request_count", "last_used_at", "attempts", "deliveries", "status", "updated_at", "failing_since"];
            let of_jobs = ["processed", "requeued", "skipped", "started_at", "completed_at", "total"];
            fields.retain(|name, _| !moving.contains(&name.as_str()) && !of_jobs.contains(&name.as_str()));
            fields.values_mut().for_each(remove_changing_values);
        }
        Value::Array(values) => values.iter_mut().for_each(remove_changing_values),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Returns a response without its request id.
fn without_request_id((status, mut response): (u16, Value)) -> (u16, Value) {
    if let Some(fields) = response.as_object_mut() {
        fields.remove("request_id");
    }
    (status, response)
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_resource_is_reported_as_absent() {
    let scratch = scratch();
    Server::start(&scratch, &[]).kill();
    let stranger = scratch.add_other_organization().await;
    let server = Server::start(&scratch, &[]);
    let (owner, stranger) = (&server.client, server.client.with_key(stranger.expose()));
    let victim = Victim::make(&server).await;
    let before = victim.state(owner).await;
    for Operation { id, method, path, takes_tenant, .. } in of_callers(owner).await {
        let body = body_of(&id).unwrap_or_else(|| panic!("{id} has no entry here"));
        let text = if body.is_null() { String::new() } else { body.to_string() };
        if path.contains('{') {
            let theirs = without_request_id(stranger.send(method.clone(), &victim.path(&path, true), &[], text.clone()).await);
            let missing = without_request_id(stranger.send(method.clone(), &victim.path(&path, false), &[], text.clone()).await);
            assert_eq!(theirs.0, 404, "{id}: {}", theirs.1);
            assert_eq!(theirs, missing, "{id}: a foreign resource differs from a missing one");
        }
        if takes_tenant {
            for query in [format!("org_id={}", victim.organization), format!("env_id={}", victim.environment)] {
                let (status, response) = stranger.send(method.clone(), &format!("{}?{query}", victim.path(&path, false)), &[], "").await;
                assert_eq!(status, 404, "{id}: {response}");
            }
        }
        if method == Method::POST
            && body.is_object()
            && matches!(
                id.as_str(),
                "createApplication"
                    | "createEventType"
                    | "createView"
                    | "createAlertRule"
                    | "createNotificationChannel"
                    | "createApiKey"
                    | "sendMessage"
            )
        {
            for (field, value) in [("org_id", &victim.organization), ("env_id", &victim.environment)] {
                let mut body = body.clone();
                body[field] = value.as_str().into();
                let (status, response) = stranger.send(method.clone(), &path, &[], body.to_string()).await;
                assert_eq!(status, 404, "{id} with the victim's {field}: {response}");
            }
        }
    }
    assert_eq!(victim.state(owner).await, before, "the victim's resources are unchanged");
}

/// Operations with the scope `usage:read`.
const OF_USAGE: [&str; 7] =
    ["getUsage", "getBillingUsage", "getMetricsOverview", "getVolume", "getDeliveryMetrics", "getLatency", "getErrorMetrics"];

#[tokio::test(flavor = "multi_thread")]
async fn key_without_the_scope_is_rejected() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let owner = &server.client;
    let victim = Victim::make(&server).await;
    let before = victim.state(owner).await;
    let words = [
        "applications",
        "endpoints",
        "event_types",
        "messages",
        "jobs",
        "portal",
        "environments",
        "api_keys",
        "organization",
        "members",
        "usage",
        "engine",
        "audit",
        "views",
        "alerts",
    ];
    let mut keys = BTreeMap::new();
    for operation in of_callers(owner).await {
        let body = body_of(&operation.id).unwrap_or_else(|| panic!("{} has no entry here", operation.id));
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let path = victim.path(&operation.path, true);
        // The rejection of an almost scopeless key names the scope.
        let of_usage = OF_USAGE.contains(&operation.id.as_str());
        let needed = match keys.get("usage:read") {
            Some(_) if of_usage => "usage:read".to_owned(),
            _ => {
                let almost_scopeless = key(owner, &mut keys, if of_usage { "audit:read" } else { "usage:read" }).await;
                let (status, refusal) = almost_scopeless.send(operation.method.clone(), &path, &[], text.clone()).await;
                assert_eq!((status, &refusal["code"]), (403, &json!("forbidden")), "{}: {refusal}", operation.id);
                refusal["details"]["scope"].as_str().expect("the scope").to_owned()
            }
        };
        // A key with all other scopes is rejected as well.
        let others = words.iter().flat_map(|word| [format!("{word}:read"), format!("{word}:write")]).filter(|scope| *scope != needed);
        let others = others.collect::<Vec<_>>().join(",");
        let all_but_one = key(owner, &mut keys, &others).await;
        let (status, refusal) = all_but_one.send(operation.method.clone(), &path, &[], text).await;
        assert_eq!((status, &refusal["details"]["scope"]), (403, &json!(needed)), "{}: {refusal}", operation.id);
    }
    let after = victim.state(owner).await;
    for (before, mut after) in before.into_iter().zip(after) {
        // Except the keys that this test created.
        if let Some(keys) = after.get_mut("api_keys").and_then(Value::as_array_mut) {
            keys.retain(|key| key["name"] != "narrow");
        }
        assert_eq!(after, before);
    }
}

/// Returns a key with these scopes, created once.
async fn key(owner: &TestClient, keys: &mut BTreeMap<String, String>, scopes: &str) -> TestClient {
    if !keys.contains_key(scopes) {
        let (status, created) = owner.post("/v1/auth/api-keys", json!({ "name": "narrow", "scopes": scopes })).await;
        assert_eq!(status, 201, "{created}");
        keys.insert(scopes.to_owned(), created["key"].as_str().expect("a key").to_owned());
    }
    owner.with_key(&keys[scopes])
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_without_a_key_are_rejected() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let victim = Victim::make(&server).await;
    for operation in operations(&server.client).await {
        if operation.audience == Audience::Anonymous {
            continue;
        }
        for key in ["", "hs_live_x", &KEY.replace('0', "1")] {
            let client = server.client.with_key(key);
            let (status, refusal) = client.send(operation.method.clone(), &victim.path(&operation.path, true), &[], "").await;
            assert_eq!((status, &refusal["code"]), (401, &json!("unauthorized")), "{} with {key:?}: {refusal}", operation.id);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn user_cannot_reach_foreign_resources() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let victim = Victim::make(&server).await;
    // User with their own organization, and no other.
    let stranger = victim.owner.invite(&server, "stranger@example.com", "viewer").await;
    let (status, refused) = stranger.post("/v1/organizations", json!({ "name": "Stranger" })).await;
    assert_eq!((status, &refused["code"]), (403, &json!("organizations_not_allowed")), "{refused}");
    let (status, created) = victim.owner.post("/v1/organizations", json!({ "name": "Stranger" })).await;
    assert_eq!(status, 201, "{created}");
    let theirs = created["organization"]["id"].as_str().expect("an id");
    let members = format!("/v1/organizations/{theirs}/invitations");
    let (_, invited) = victim.owner.post(&members, json!({ "email": "stranger@example.com", "role": "owner" })).await;
    let token = invited["url"].as_str().and_then(|url| url.split_once("#token=")).expect("a link").1;
    assert_eq!(stranger.post("/v1/auth/invitations/accept", json!({ "token": token })).await.0, 200);
    let (_, owner) = victim.owner.get("/v1/auth/session").await;
    let owner = owner["user"]["id"].as_str().expect("an id").to_owned();
    assert_eq!(
        victim.owner.delete(&format!("/v1/organizations/{theirs}/members/{owner}")).await.0,
        200,
        "the organization has no other member"
    );
    let member = format!("/v1/organizations/{}/members/{}", victim.organization, stranger.id().await);
    assert_eq!(victim.owner.delete(&member).await.0, 200);
    let before = victim.state(&server.client).await;
    for Operation { id, method, path, takes_tenant, audience } in operations(&server.client).await {
        if audience == Audience::Customer {
            let (status, refused) = stranger.send(method, &victim.path(&path, true), &[], String::new()).await;
            assert_eq!((status, &refused["code"]), (401, &json!("unauthorized")), "{id}: {refused}");
            continue;
        }
        if audience == Audience::Anonymous || matches!(id.as_str(), "signOut" | "endAllSessions") {
            continue;
        }
        let body = body_of(&id).unwrap_or_else(|| panic!("{id} has no entry here"));
        let text = if body.is_null() { String::new() } else { body.to_string() };
        if path.contains('{') {
            let theirs = without_request_id(stranger.send(method.clone(), &victim.path(&path, true), &[], text.clone()).await);
            let missing = without_request_id(stranger.send(method.clone(), &victim.path(&path, false), &[], text.clone()).await);
            assert_eq!(theirs.0, 404, "{id}: {}", theirs.1);
            assert_eq!(theirs, missing, "{id}: a foreign resource differs from a missing one");
        }
        if takes_tenant {
            for query in [format!("org_id={}", victim.organization), format!("env_id={}", victim.environment)] {
                let path = format!("{}?{query}", victim.path(&path, false));
                let (status, response) = stranger.send(method.clone(), &path, &[], String::new()).await;
                assert_eq!(status, 404, "{id}: {response}");
            }
        }
        if matches!(
            id.as_str(),
            "createApplication"
                | "createEventType"
                | "createView"
                | "createAlertRule"
                | "createNotificationChannel"
                | "createApiKey"
                | "createEnvironment"
                | "turnSession"
        ) {
            for (field, value) in [("org_id", &victim.organization), ("env_id", &victim.environment)] {
                if id == "createEnvironment" && field == "env_id" {
                    continue;
                }
                let mut body = body.clone();
                body[field] = value.as_str().into();
                let (status, response) = stranger.send(method.clone(), &path, &[], body.to_string()).await;
                assert_eq!(status, 404, "{id} with the victim's {field}: {response}");
            }
        }
    }
    assert_eq!(victim.state(&server.client).await, before, "the victim's resources are unchanged");
}

#[tokio::test(flavor = "multi_thread")]
async fn viewer_cannot_write_and_key_is_not_a_user() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let victim = Victim::make(&server).await;
    let viewer = victim.owner.invite(&server, "viewer@example.com", "viewer").await;
    let before = victim.state(&server.client).await;
    for Operation { id, method, path, audience, .. } in operations(&server.client).await {
        let body = body_of(&id).unwrap_or_else(|| panic!("{id} has no entry here"));
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let path = victim.path(&path, true);
        match audience {
            Audience::Anonymous | Audience::Listener => {}
            Audience::Customer => {
                assert_eq!(viewer.try_send(method.clone(), &path, &[], text.clone()).await.status(), 401, "{id}");
                assert_eq!(server.client.send(method, &path, &[], text).await.0, 401, "{id}");
            }
            Audience::Caller if method == Method::GET => {
                // API keys, the audit log and secrets are for administrators.
                let is_for_admins = path.starts_with("/v1/auth/api-keys") || path.starts_with("/v1/audit-log") || path.ends_with("/secret");
                let is_for_operators = ["/v1/nodes", "/metrics", "/v1/backups"].contains(&path.as_str());
                let expected = if is_for_admins || is_for_operators { 403 } else { 200 };
                let status = viewer.try_send(method, &path, &[], text).await.status();
                assert_eq!(status, expected, "{id}");
            }
            Audience::Caller => {
                let (status, refusal) = viewer.send(method, &path, &[], text).await;
                assert_eq!((status, &refusal["code"]), (403, &json!("forbidden")), "{id}: {refusal}");
            }
            Audience::User => {
                let (status, refusal) = server.client.send(method, &path, &[], text).await;
                assert_eq!((status, &refusal["code"]), (403, &json!("person_needed")), "{id}: {refusal}");
            }
        }
    }
    assert_eq!(victim.state(&server.client).await, before, "nothing has changed");
}
