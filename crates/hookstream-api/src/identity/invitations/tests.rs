//! Invitations.

use serde_json::{Value, json};

use crate::tests::{Client, Installation, PASSWORD, invalid_field, refused, text, token};

#[tokio::test]
async fn invitation_works_once_and_for_its_address() {
    let mut server = Installation::start().await;
    let owner = server.owner().await;
    let invitations = format!("/v1/organizations/{}/invitations", owner.organization().await);
    let invite = async || owner.post(&invitations, json!({ "email": "ada@example.com", "role": "developer" })).await.1;
    let (first, second) = (invite().await, invite().await);
    let link = |created: &Value| token(created["url"].as_str().expect("a link"));
    let ada = server.browser();
    assert_eq!(ada.post("/v1/auth/invitations/look", json!({ "token": link(&first) })).await.0, 410, "the second replaced it");
    let (_, seen) = ada.post("/v1/auth/invitations/look", json!({ "token": link(&second) })).await;
    assert_eq!((&seen["invitation"]["email"], &seen["account_exists"]), (&json!("ada@example.com"), &Value::Null), "{seen}");
    assert_eq!(ada.post("/v1/auth/invitations/accept", json!({ "token": link(&second) })).await.0, 400);
    assert_eq!(ada.post("/v1/auth/invitations/accept", json!({ "token": link(&second), "password": PASSWORD })).await.0, 200);
    assert_eq!(ada.post("/v1/auth/invitations/accept", json!({ "token": link(&second), "password": PASSWORD })).await.0, 410);
    assert_eq!(owner.post(&invitations, json!({ "email": "Ada@example.com", "role": "viewer" })).await.1["code"], "is_member");

    // Invitation into another organization for an existing account: the link alone is not enough.
    let (status, created) = owner.post("/v1/organizations", json!({ "name": "Other" })).await;
    assert_eq!(status, 201, "{created}");
    let other = created["organization"]["id"].as_str().expect("an id");
    let path = format!("/v1/organizations/{other}/invitations");
    let (_, created) = owner.post(&path, json!({ "email": "ada@example.com", "role": "viewer" })).await;
    let thief = server.browser();
    let (status, refusal) = thief.post("/v1/auth/invitations/accept", json!({ "token": link(&created), "password": PASSWORD })).await;
    assert_eq!((status, &refusal["code"]), (409, &json!("sign_in_first")));
    assert_eq!(
        owner.post("/v1/auth/invitations/accept", json!({ "token": link(&created) })).await.0,
        409,
        "the invitation is for another user"
    );
    let (status, session) = ada.post("/v1/auth/invitations/accept", json!({ "token": link(&created) })).await;
    assert_eq!((status, session["memberships"].as_array().map(Vec::len)), (200, Some(2)), "{session}");

    let (_, created) = owner.post(&path, json!({ "email": "late@example.com", "role": "viewer" })).await;
    let id = created["invitation"]["id"].as_str().expect("an id");
    assert_eq!(owner.delete(&format!("{path}/{id}")).await.0, 200);
    assert_eq!(ada.post("/v1/auth/invitations/look", json!({ "token": link(&created) })).await.0, 410);
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
    invalid_field(&invite(root, "emperor").await, "role");
}
