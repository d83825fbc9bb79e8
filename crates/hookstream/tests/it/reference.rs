//! The reference: each example in the OpenAPI document succeeds when it is pasted with ids put in, and the page that shows
//! it comes from this server alone.

use http::Method;
use serde_json::{Value, json};

use crate::support::*;

/// Operations whose example cannot be pasted: it would need somebody's password, or a link or code that was sent to them.
const OF_PEOPLE: &str = "/v1/auth/";
/// Operation that only a signed-in owner can call.
const OF_OWNERS: &str = "transferOwnership";

#[tokio::test(flavor = "multi_thread")]
async fn every_example_of_a_body_succeeds() {
    let directory = scratch();
    let server = Server::start(&directory, &[]);
    let client = &server.client;
    let (_, document) = client.get("/v1/openapi.json").await;
    let mut pasted = 0;
    for (path, operations) in document["paths"].as_object().expect("paths") {
        for (method, operation) in operations.as_object().expect("operations") {
            let content = &operation["requestBody"]["content"]["application/json"];
            let is_of_people = path.starts_with(OF_PEOPLE) && !path.starts_with("/v1/auth/api-keys");
            let is_by_session = operation["security"][0].get("session").is_some();
            let is_of_owners = operation["operationId"] == OF_OWNERS;
            if content.is_null() || is_of_people || is_by_session || is_of_owners {
                continue;
            }
            let id = operation["operationId"].as_str().expect("an id");
            let example = &content["example"];
            assert!(example.is_object(), "{id} has no example");
            let method: Method = method.to_uppercase().parse().expect("a method");
            let (target, bearer) = prepare(client, path, pasted).await;
            let headers: Vec<(&str, &str)> = bearer.iter().map(|token| ("authorization", token.as_str())).collect();
            let caller = if bearer.is_some() { client.with_key("") } else { client.clone() };
            let (status, answer) = caller.send(method, &target, &headers, example.to_string()).await;
            assert!((200..300).contains(&status), "{id} {target} {example}: {status} {answer}");
            pasted += 1;
        }
    }
    assert!(pasted >= 18, "only {pasted} examples were pasted");
}

/// Creates what the path of an operation is about, anew for each, and puts the ids in. Returns the path, and the portal token
/// where it needs one.
async fn prepare(client: &TestClient, path: &str, number: usize) -> (String, Option<String>) {
    let created = async |target: &str, body: Value| {
        let (status, answer) = client.post(target, body).await;
        assert!(status == 201 || status == 200, "{target}: {answer}");
        answer
    };
    let id = |answer: &Value, of: &str| answer[of]["id"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
    let uid = format!("customer-{number}");
    let application = created("/v1/applications", json!({ "name": "A customer", "uid": uid })).await;
    let application = id(&application, "application");
    let of_application = format!("/v1/applications/{application}");
    let endpoint = created(&format!("{of_application}/endpoints"), json!({ "url": "https://example.com/first" })).await;
    let endpoint = id(&endpoint, "endpoint");
    let mut target = path.replace("{appId}", &application);
    if path.contains("/endpoints/{id}") {
        target = target.replace("{id}", &endpoint);
    }
    if path.contains("{msgId}") {
        let message = created(&format!("{of_application}/messages"), json!({ "event_type": "a.b", "payload": 1 })).await;
        target = target.replace("{msgId}", &id(&message, "message"));
    }
    if path.contains("/event-types/{id}") {
        let event_type = created("/v1/event-types", json!({ "name": format!("a.type-{number}") })).await;
        target = target.replace("{id}", &id(&event_type, "event_type"));
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
async fn the_reference_page_needs_nothing_but_this_server() {
    let directory = scratch();
    let server = Server::start(&directory, &[]);
    let anybody = server.client.with_key("");
    let page = anybody.try_send(Method::GET, "/docs", &[], "").await.expect("an answer");
    let policy = page.headers()["content-security-policy"].to_str().expect("text").to_owned();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("http"), "{policy}");
    let script = anybody.try_send(Method::GET, "/docs/scalar.js", &[("accept-encoding", "gzip")], "").await.expect("an answer");
    assert_eq!((script.status().as_u16(), script.headers()["content-encoding"].to_str().expect("text")), (200, "gzip"));
    assert_eq!(anybody.try_send(Method::GET, "/", &[], "").await.expect("an answer").headers()["location"], "/sign-in");
}
