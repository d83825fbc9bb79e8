//! Callers of operations.

use http::Method;
use serde_json::json;

use crate::tests::{Installation, refused};

#[tokio::test]
async fn every_operation_requires_credentials() {
    let installation = Installation::start().await;
    let stranger = installation.browser();
    let wrong = stranger.with_key(&format!("hs_test_{}", "1".repeat(64)));
    let mut checked = 0;
    for (path, item) in crate::document_json()["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let is_open = operation["security"] == json!([{}]) || path.starts_with("/v1/health");
            if is_open {
                continue;
            }
            let path = path.replace("{appId}", "acme").replace("{id}", "x").replace("{msgId}", "x");
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method");
            refused(&stranger.send(method.clone(), &path, &[], "").await, 401, "unauthorized");
            refused(&wrong.send(method, &path, &[], "").await, 401, "unauthorized");
            checked += 1;
        }
    }
    assert!(checked > 60, "only {checked} operations were checked");
}

#[tokio::test]
async fn key_is_accepted_in_both_headers_but_not_as_a_cookie() {
    let installation = Installation::start().await;
    let (stranger, key) = (installation.browser(), installation.client.key());
    let bearer = format!("Bearer {key}");
    // The cookie carries a session, not a key, so that no other site can use a key in a browser.
    let cookie = format!("a=b; better-auth.session_token={key}");
    for (header, expected) in [(("x-api-key", key), 200), (("authorization", bearer.as_str()), 200), (("cookie", cookie.as_str()), 401)] {
        assert_eq!(stranger.send(Method::GET, "/v1/applications", &[header], "").await.0, expected, "{}", header.0);
    }
}

#[tokio::test]
async fn nodes_are_shown_to_owners_of_the_first_organization_only() {
    let mut installation = Installation::start().await;
    let owner = installation.owner().await;
    let admin = owner.invite(&installation, "ada@example.com", "admin").await;
    assert_eq!(owner.get("/v1/nodes").await.0, 200);
    refused(&admin.get("/v1/nodes").await, 403, "forbidden");
    // The scope is not the owner's: a key does not get it.
    let named = json!({ "name": "nodes", "scopes": ["operator:nodes"] });
    assert!(matches!(owner.post("/v1/auth/api-keys", named).await.0, 400 | 403));
    let (status, made) = owner.post("/v1/organizations", json!({ "name": "Another" })).await;
    assert_eq!(status, 201, "{made}");
    let another = made["organization"]["id"].as_str().expect("an id");
    refused(&owner.get(&format!("/v1/nodes?org_id={another}")).await, 403, "forbidden");
}
