//! Invitations: who may be invited, and who may accept.

use serde_json::{Value, json};

use crate::tests::{Client, Installation, PASSWORD, invalid_field, refused, text, token};

/// Invites an address, and returns the token of the link.
async fn invite(client: &Client, path: &str, email: &str) -> String {
    let (status, created) = client.post(path, json!({ "email": email, "role": "viewer" })).await;
    assert_eq!(status, 201, "{created}");
    token(text(&created, "url"))
}

async fn path(owner: &Client) -> String {
    format!("/v1/organizations/{}/invitations", owner.organization().await)
}

async fn look(client: &Client, token: &str) -> (u16, Value) {
    client.post("/v1/auth/invitations/look", json!({ "token": token })).await
}

async fn accept(client: &Client, token: &str, password: Option<&str>) -> (u16, Value) {
    client.post("/v1/auth/invitations/accept", json!({ "token": token, "password": password })).await
}

#[tokio::test]
async fn invitation_works_once() {
    let mut installation = Installation::start().await;
    let owner = installation.owner().await;
    let path = path(&owner).await;
    let (first, second) = (invite(&owner, &path, "ada@example.com").await, invite(&owner, &path, "ada@example.com").await);
    let ada = installation.browser();
    // The second link replaces the first.
    refused(&look(&ada, &first).await, 410, "link_over");
    let (_, seen) = look(&ada, &second).await;
    assert_eq!((&seen["invitation"]["email"], &seen["account_exists"]), (&json!("ada@example.com"), &Value::Null), "{seen}");
    invalid_field(&accept(&ada, &second, None).await, "password");
    assert_eq!(accept(&ada, &second, Some(PASSWORD)).await.0, 200);
    refused(&accept(&ada, &second, Some(PASSWORD)).await, 410, "link_over");
    refused(&owner.post(&path, json!({ "email": "Ada@example.com", "role": "viewer" })).await, 409, "is_member");
}

#[tokio::test]
async fn invitation_of_an_account_is_accepted_by_that_account_only() {
    let mut installation = Installation::start().await;
    let owner = installation.owner().await;
    let ada = owner.invite(&installation, "ada@example.com", "developer").await;
    let (status, created) = owner.post("/v1/organizations", json!({ "name": "Other" })).await;
    assert_eq!(status, 201, "{created}");
    let path = format!("/v1/organizations/{}/invitations", text(&created["organization"], "id"));
    let link = invite(&owner, &path, "ada@example.com").await;
    // The link alone is not enough.
    refused(&accept(&installation.browser(), &link, Some(PASSWORD)).await, 409, "sign_in_first");
    refused(&accept(&owner, &link, None).await, 409, "sign_in_first");
    let (status, session) = accept(&ada, &link, None).await;
    assert_eq!((status, session["memberships"].as_array().map(Vec::len)), (200, Some(2)), "{session}");
}

#[tokio::test]
async fn revoked_invitation_is_over() {
    let mut installation = Installation::start().await;
    let owner = installation.owner().await;
    let path = path(&owner).await;
    let link = invite(&owner, &path, "late@example.com").await;
    let (_, list) = owner.get(&path).await;
    let one = format!("{path}/{}", text(&list["invitations"][0], "id"));
    assert_eq!(owner.delete(&one).await.0, 200);
    refused(&owner.delete(&one).await, 404, "not_found");
    refused(&look(&installation.browser(), &link).await, 410, "link_over");
    assert_eq!(owner.get(&path).await.1["invitations"], json!([]));
}

#[tokio::test]
async fn invalid_invitation_fields_are_rejected_by_name() {
    let mut installation = Installation::start().await;
    let owner = installation.owner().await;
    let path = path(&owner).await;
    for (field, body) in [
        ("email", json!({ "role": "viewer" })),
        ("email", json!({ "email": "nobody", "role": "viewer" })),
        ("role", json!({ "email": "x@example.com" })),
        ("role", json!({ "email": "x@example.com", "role": "emperor" })),
    ] {
        invalid_field(&owner.post(&path, body).await, field);
    }
    refused(&owner.post(&path, json!({ "email": "x@example.com", "roll": "viewer" })).await, 400, "unknown_field");
}

#[tokio::test]
async fn key_invites_no_role_beyond_its_scopes() {
    let installation = Installation::start().await;
    let root = &installation.client;
    let path = format!("/v1/organizations/{}/invitations", text(&root.environment().await, "org_id"));
    let (_, members) = root.create_key(json!({ "name": "members", "level": "organization", "scopes": "members:write" })).await;
    let invite = async |client: &Client, role: &str| client.post(&path, json!({ "email": "mallory@example.com", "role": role })).await;
    for role in ["viewer", "developer", "admin"] {
        refused(&invite(&members, role).await, 403, "forbidden");
    }
    assert_eq!(invite(root, "admin").await.0, 201);
}
