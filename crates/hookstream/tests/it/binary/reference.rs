//! API reference: each example in the OpenAPI document succeeds with real ids, and the reference page is served by
//! this server alone.

use http::Method;
use serde_json::{Value, json};

use crate::support::*;

/// Operations whose example cannot be used as it is: they need a user's password, or a link or code that was sent to
/// them.
const USER_PREFIX: &str = "/v1/auth/";
/// Operation that only a signed-in owner can call.
const OWNER_OPERATION: &str = "transferOwnership";
/// Operations that need a mail server, and their refusals without one.
const WITH_MAIL: [(&str, &str); 2] = [("setPortalNotifications", "no_mail"), ("confirmPortalNotifications", "none_to_confirm")];

#[tokio::test(flavor = "multi_thread")]
async fn every_body_example_succeeds() {
    let directory = scratch();
    let server = Server::start(&directory, &[]);
    let client = &server.client;
    let (_, document) = client.get("/v1/openapi.json").await;
    let mut used = 0;
    for (path, operations) in document["paths"].as_object().expect("paths") {
        for (method, operation) in operations.as_object().expect("operations") {
            let content = &operation["requestBody"]["content"]["application/json"];
            let is_user_operation = path.starts_with(USER_PREFIX) && !path.starts_with("/v1/auth/api-keys");
            let is_by_session = operation["security"][0].get("session").is_some();
            let is_owner_operation = operation["operationId"] == OWNER_OPERATION;
            if content.is_null() || is_user_operation || is_by_session || is_owner_operation {
                continue;
            }
            let id = operation["operationId"].as_str().expect("an id");
            let example = &content["example"];
            assert!(example.is_object(), "{id} has no example");
            let method: Method = method.to_uppercase().parse().expect("a method");
            let (target, bearer) = prepare(client, path, used).await;
            let headers: Vec<(&str, &str)> = bearer.iter().map(|token| ("authorization", token.as_str())).collect();
            let caller = if bearer.is_some() { client.with_key("") } else { client.clone() };
            let (status, response) = caller.send(method, &target, &headers, example.to_string()).await;
            used += 1;
            if let Some((_, code)) = WITH_MAIL.iter().find(|(known, _)| *known == id) {
                assert_eq!((status, response["code"].as_str()), (409, Some(*code)), "{id}: {response}");
                continue;
            }
            assert!((200..300).contains(&status), "{id} {target} {example}: {status} {response}");
        }
    }
    assert!(used >= 18, "only {used} examples were used");
}

/// Creates new resources for the path of an operation and inserts their ids. Returns the path, and the portal token
/// if it needs one.
async fn prepare(client: &TestClient, path: &str, number: usize) -> (String, Option<String>) {
    let created = async |target: &str, body: Value| {
        let (status, response) = client.post(target, body).await;
        assert!(status == 201 || status == 200, "{target}: {response}");
        response
    };
    let id = |response: &Value, of: &str| response[of]["id"].as_str().unwrap_or_else(|| panic!("{response}")).to_owned();
    let uid = format!("customer-{number}");
    let application = created("/v1/applications", json!({ "name": "A customer", "uid": uid })).await;
    let application = id(&application, "application");
    let of_application = format!("/v1/applications/{application}");
    let is_operational = path.starts_with("/v1/operational-webhooks/");
    let of_application = if is_operational { "/v1/operational-webhooks".to_owned() } else { of_application };
    let endpoint = created(&format!("{of_application}/endpoints"), json!({ "url": "https://example.com/first" })).await;
    let endpoint = id(&endpoint, "endpoint");
    let mut target = path.replace("{appId}", &application);
    if path.contains("/endpoints/{id}") {
        target = target.replace("{id}", &endpoint);
    }
    if path.contains("{msgId}") {
        let message = if is_operational {
            created(&format!("{of_application}/endpoints/{endpoint}/test"), json!({})).await
        } else {
            created(&format!("{of_application}/messages"), json!({ "event_type": "a.b", "payload": 1 })).await
        };
        target = target.replace("{msgId}", &id(&message, "message"));
    }
    if path.contains("/event-types/{id}") {
        let event_type = created("/v1/event-types", json!({ "name": format!("a.type-{number}") })).await;
        target = target.replace("{id}", &id(&event_type, "event_type"));
    }
    if path.contains("/views/{id}") {
        let view = json!({ "name": format!("view {number}"), "page": "messages", "filters": {}, "shared": 1 });
        target = target.replace("{id}", &id(&created("/v1/views", view).await, "view"));
    }
    let channel = json!({ "name": "a channel", "channel_type": "slack", "config": { "url": "https://example.com/slack" } });
    if path.contains("/notification-channels/{id}") {
        target = target.replace("{id}", &id(&created("/v1/notification-channels", channel).await, "channel"));
    }
    if path.contains("/alert-rules/{id}") {
        let rule = json!({ "name": "a rule", "rule_type": "failure_rate", "rule_config": { "threshold": 0.5 } });
        target = target.replace("{id}", &id(&created("/v1/alert-rules", rule).await, "alert_rule"));
    }
    if path.contains("/api-keys/{id}") {
        let key = created("/v1/auth/api-keys", json!({ "name": "a key" })).await;
        target = target.replace("{id}", key["id"].as_str().expect("an id"));
    }
    if path.contains("{envId}") {
        let name = format!("environment-{number}");
        let environment = created("/v1/environments", json!({ "name": name, "slug": name })).await;
        target = target.replace("{envId}", &id(&environment, "environment"));
    }
    if path.contains("{orgId}") {
        let (_, environments) = client.get("/v1/environments").await;
        target = target.replace("{orgId}", environments["environments"][0]["org_id"].as_str().expect("an id"));
    }
    if path.contains("{userId}") {
        let members = target.split("/{userId}").next().expect("a path").to_owned();
        let invitations = members.replace("/members", "/invitations");
        let invited = created(&invitations, json!({ "email": "member@example.com", "role": "viewer" })).await;
        let token = invited["url"].as_str().and_then(|url| url.split("#token=").nth(1)).unwrap_or_else(|| panic!("{invited}"));
        let accepted = created("/v1/auth/invitations/accept", json!({ "token": token, "password": "plum teapot gravel seven" })).await;
        target = target.replace("{userId}", accepted["user"]["id"].as_str().expect("an id"));
    }
    let bearer = if path.starts_with("/v1/portal/") {
        let access = created(&format!("{of_application}/portal-access"), Value::Null).await;
        Some(format!("Bearer {}", access["token"].as_str().expect("a token")))
    } else {
        None
    };
    (target, bearer)
}

#[tokio::test(flavor = "multi_thread")]
async fn reference_page_loads_only_from_this_server() {
    let directory = scratch();
    let server = Server::start(&directory, &[]);
    let anonymous = server.client.with_key("");
    let page = anonymous.try_send(Method::GET, "/docs", &[], "").await.expect("a response");
    let policy = page.headers()["content-security-policy"].to_str().expect("text").to_owned();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("http"), "{policy}");
    let script = anonymous.try_send(Method::GET, "/docs/scalar.js", &[("accept-encoding", "gzip")], "").await.expect("a response");
    assert_eq!((script.status().as_u16(), script.headers()["content-encoding"].to_str().expect("text")), (200, "gzip"));
    assert_eq!(anonymous.try_send(Method::GET, "/", &[], "").await.expect("a response").headers()["location"], "/dashboard");
}
