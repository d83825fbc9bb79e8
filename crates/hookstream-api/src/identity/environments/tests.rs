//! Environments: visibility, changes, isolation, deletion.

use serde_json::{Value, json};

use crate::tests::{Client, Installation, invalid_field, refused, text};

/// Creates the environment `staging` and returns its path.
async fn staging(client: &Client) -> String {
    let (status, created) = client.post("/v1/environments", json!({ "name": "Staging", "slug": "staging" })).await;
    assert_eq!(status, 201, "{created}");
    format!("/v1/environments/{}", text(&created["environment"], "id"))
}

async fn own(client: &Client) -> String {
    format!("/v1/environments/{}", text(&client.environment().await, "id"))
}

#[tokio::test]
async fn environment_is_visible_to_its_organization() {
    let mut installation = Installation::start().await;
    let stranger = installation.another_tenant().await;
    let client = &installation.client;
    let (path, other) = (own(client).await, staging(client).await);
    let (_, list) = client.get("/v1/environments").await;
    let slugs: Vec<_> = list["environments"].as_array().expect("a list").iter().map(|it| it["slug"].clone()).collect();
    assert_eq!(slugs, [json!("production"), json!("staging")]);
    let (status, response) = client.get(&path).await;
    let environment = &response["environment"];
    assert_eq!((status, &environment["name"], &environment["weight"]), (200, &json!("production"), &Value::Null), "{response}");
    assert_eq!(client.get(&other).await.0, 200);
    refused(&stranger.get(&path).await, 404, "not_found");
    refused(&stranger.patch(&path, json!({ "name": "Mine" })).await, 404, "not_found");
    refused(&client.patch("/v1/environments/x", json!({ "name": "Mine" })).await, 404, "not_found");
}

#[tokio::test]
async fn invalid_environment_fields_are_rejected_by_name() {
    let installation = Installation::with(|_, engine| (engine.retention_days, engine.payload_retention_days) = (20, 10)).await;
    let client = &installation.client;
    let path = own(client).await;
    staging(client).await;
    for (field, body) in [
        ("name", json!({ "name": null })),
        ("name", json!({ "name": "" })),
        ("slug", json!({ "slug": "Not A Slug" })),
        ("retention_days", json!({ "retention_days": 21 })),
        ("payload_retention_days", json!({ "retention_days": 5, "payload_retention_days": 6 })),
        ("max_payload_bytes", json!({ "max_payload_bytes": 0 })),
        ("max_payload_bytes", json!({ "max_payload_bytes": -1 })),
        ("weight", json!({ "weight": 101 })),
        ("forward_trace_context", json!({ "forward_trace_context": null })),
    ] {
        invalid_field(&client.patch(&path, body).await, field);
    }
    refused(&client.patch(&path, json!({})).await, 400, "no_fields");
    refused(&client.patch(&path, json!({ "wieght": 5 })).await, 400, "unknown_field");
    refused(&client.patch(&path, json!({ "slug": "staging" })).await, 409, "slug_taken");
    refused(&client.post("/v1/environments", json!({ "name": "Twice", "slug": "staging" })).await, 409, "slug_taken");
}

#[tokio::test]
async fn changed_environment_is_shown_with_its_limits() {
    let installation = Installation::start().await;
    let client = &installation.client;
    let path = own(client).await;
    let change = json!({
        "name": "Live", "slug": "live", "retention_days": 9, "payload_retention_days": 3, "max_payload_bytes": 1_000_000, "weight": 5,
    });
    let (status, response) = client.patch(&path, change.clone()).await;
    assert_eq!(status, 200, "{response}");
    let (_, seen) = client.get(&path).await;
    assert_eq!(seen, response);
    for (name, value) in change.as_object().expect("fields") {
        assert_eq!(&seen["environment"][name], value, "{name}");
    }
    let (_, response) = client.patch(&path, json!({ "retention_days": null, "weight": null })).await;
    let limits = ["retention_days", "weight", "payload_retention_days"].map(|name| response["environment"][name].clone());
    assert_eq!(limits, [Value::Null, Value::Null, json!(3)]);
    // A message is accepted under the new settings.
    client.acme(json!({}), "http://127.0.0.1:9/").await;
    client.message(json!({})).await;
}

#[tokio::test]
async fn trace_context_is_passed_on_only_if_asked() {
    let installation = Installation::start().await;
    let client = &installation.client;
    let path = own(client).await;
    assert_eq!(client.get(&path).await.1["environment"]["forward_trace_context"], 0);
    for (given, shown) in [(json!(true), 1), (json!(0), 0), (json!(1), 1)] {
        let (status, response) = client.patch(&path, json!({ "forward_trace_context": given })).await;
        assert_eq!((status, &response["environment"]["forward_trace_context"]), (200, &json!(shown)), "{response}");
    }
}

#[tokio::test]
async fn environment_key_reaches_neither_other_environments_nor_the_organization() {
    let installation = Installation::start().await;
    let root = &installation.client;
    let environment = root.environment().await;
    let (organization, production) = (text(&environment, "org_id"), text(&environment, "id"));
    let path = staging(root).await;
    let staging = path.rsplit('/').next().expect("an id");

    // An organization key creates keys for each environment; an environment key only for its own.
    let (_, key) = root.create_key(json!({ "name": "all of staging", "env_id": staging })).await;
    refused(&key.post("/v1/auth/api-keys", json!({ "name": "x", "env_id": production })).await, 404, "not_found");
    let of_organization = json!({ "name": "x", "level": "organization" });
    refused(&key.post("/v1/auth/api-keys", of_organization).await, 403, "organization_key_needed");

    for environment in [production, staging].map(|id| format!("/v1/environments/{id}")) {
        refused(&key.delete(&environment).await, 403, "organization_key_needed");
        refused(&key.post(&format!("{environment}/restore"), Value::Null).await, 403, "organization_key_needed");
    }
    refused(&key.patch(&format!("/v1/environments/{production}"), json!({ "name": "x" })).await, 403, "other_environment");
    assert_eq!(key.patch(&path, json!({ "name": "Stage" })).await.0, 200);
    refused(&key.post("/v1/environments", json!({ "name": "x", "slug": "x" })).await, 403, "organization_key_needed");

    let of_organization = format!("/v1/organizations/{organization}");
    assert_eq!(key.get(&of_organization).await.0, 200, "the key may read its organization");
    assert_eq!(key.get("/v1/environments").await.0, 200);
    refused(&key.patch(&of_organization, json!({ "name": "x" })).await, 403, "organization_key_needed");
    for list in ["members", "invitations"] {
        refused(&key.get(&format!("{of_organization}/{list}")).await, 403, "organization_key_needed");
    }
    let invitation = json!({ "email": "mallory@example.com", "role": "admin" });
    refused(&key.post(&format!("{of_organization}/invitations"), invitation).await, 403, "organization_key_needed");
    // No `*` includes operator scopes and secrets.
    refused(&key.get("/v1/nodes").await, 403, "forbidden");
    assert_eq!(key.get("/v1/usage").await.1["usage"]["disk"], Value::Null);
    assert_eq!(root.get("/v1/nodes").await.0, 200);
}

#[tokio::test]
async fn environments_are_isolated() {
    let mut installation = Installation::start().await;
    let owner = installation.owner().await;
    assert_eq!(owner.post("/v1/applications", json!({ "name": "Acme", "uid": "acme" })).await.0, 201);
    let path = staging(&owner).await;
    let staging = path.rsplit('/').next().expect("an id");
    assert_eq!(owner.get(&format!("/v1/applications?env_id={staging}")).await.1["applications"], json!([]));
    // The same uid names another application there.
    let body = json!({ "name": "Acme there", "uid": "acme", "env_id": staging });
    assert_eq!(owner.post("/v1/applications", body).await.0, 201);
    let (_, there) = owner.create_key(json!({ "name": "there", "env_id": staging })).await;
    let name_of_acme = async |client: &Client| client.get("/v1/applications/acme").await.1["application"]["name"].clone();
    assert_eq!((name_of_acme(&there).await, name_of_acme(&owner).await), (json!("Acme there"), json!("Acme")));
    assert_eq!(owner.patch("/v1/auth/session", json!({ "env_id": staging })).await.0, 200);
    assert_eq!(name_of_acme(&owner).await, "Acme there");
}

#[tokio::test]
async fn deleted_environment_is_closed_until_restored() {
    let mut installation = Installation::start().await;
    let owner = installation.owner().await;
    let production = own(&owner).await;
    let path = staging(&owner).await;
    let staging = path.rsplit('/').next().expect("an id");
    let (_, there) = owner.create_key(json!({ "name": "there", "env_id": staging })).await;
    assert_eq!(owner.patch("/v1/auth/session", json!({ "env_id": staging })).await.0, 200);
    assert_eq!(owner.delete(&path).await.0, 200);
    refused(&there.get("/v1/applications").await, 401, "unauthorized");
    let (_, session) = owner.get("/v1/auth/session").await;
    assert!(production.ends_with(text(&session, "env_id")), "the session falls back to another environment: {session}");
    refused(&owner.get(&format!("/v1/applications?env_id={staging}")).await, 404, "not_found");
    refused(&owner.delete(&production).await, 409, "last_environment");
    assert_eq!(owner.post(&format!("{path}/restore"), json!({})).await.0, 200);
    refused(&owner.post(&format!("{path}/restore"), json!({})).await, 409, "not_deleted");
    assert_eq!(there.get("/v1/applications").await.0, 200);
}
