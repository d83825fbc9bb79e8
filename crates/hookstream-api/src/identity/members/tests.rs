//! Members and their roles.

use serde_json::{Value, json};

use crate::tests::{Client, Installation, invalid_field, refused, text};

/// Installation with an owner and another member; the path of their organization.
async fn team(role: &str) -> (Installation, Client, Client, String) {
    let mut installation = Installation::start().await;
    let owner = installation.owner().await;
    let member = owner.invite(&installation, "member@example.com", role).await;
    let organization = format!("/v1/organizations/{}", owner.organization().await);
    (installation, owner, member, organization)
}

async fn path_of(organization: &str, member: &Client) -> String {
    format!("{organization}/members/{}", member.id().await)
}

#[tokio::test]
async fn viewer_reads_and_changes_nothing() {
    let (_installation, owner, viewer, organization) = team("viewer").await;
    assert_eq!(owner.post("/v1/applications", json!({ "name": "Acme", "uid": "acme" })).await.0, 201);
    assert_eq!(viewer.get("/v1/applications/acme").await.0, 200);
    let response = viewer.post("/v1/applications", json!({ "name": "Mine" })).await;
    refused(&response, 403, "forbidden");
    assert_eq!(response.1["details"]["scope"], "applications:write", "{}", response.1);
    assert_eq!(viewer.get(&format!("{organization}/members")).await.1["members"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn key_has_at_most_the_scopes_of_the_member_who_creates_it() {
    let (_installation, _owner, developer, organization) = team("developer").await;
    assert_eq!(developer.post("/v1/applications", json!({ "name": "Acme", "uid": "acme" })).await.0, 201);
    let (status, key) = developer.post("/v1/auth/api-keys", json!({ "name": "theirs" })).await;
    assert_eq!(status, 201, "{key}");
    assert!(text(&key, "scopes") != "*" && !text(&key, "scopes").contains("members:*"), "{key}");
    refused(&developer.post("/v1/auth/api-keys", json!({ "name": "more", "scopes": "*" })).await, 403, "forbidden");
    let invitation = json!({ "email": "x@example.com", "role": "viewer" });
    refused(&developer.post(&format!("{organization}/invitations"), invitation).await, 403, "forbidden");
}

#[tokio::test]
async fn changed_role_applies_from_the_next_request() {
    let (_installation, owner, member, organization) = team("viewer").await;
    let invite = async |role: &str| {
        let body = json!({ "email": format!("{role}@example.com"), "role": role });
        member.post(&format!("{organization}/invitations"), body).await
    };
    refused(&invite("viewer").await, 403, "forbidden");
    let path = path_of(&organization, &member).await;
    assert_eq!(owner.patch(&path, json!({ "role": "admin" })).await.1["member"]["role"], "admin");
    assert_eq!(invite("viewer").await.0, 201);
    // An admin cannot create or remove an owner.
    refused(&invite("owner").await, 403, "forbidden");
    refused(&member.delete(&path_of(&organization, &owner).await).await, 403, "forbidden");
    invalid_field(&owner.patch(&path, json!({ "role": "emperor" })).await, "role");
    refused(&owner.patch(&path, json!({})).await, 400, "invalid_field");
    let absent = format!("{organization}/members/{}", "0".repeat(32));
    refused(&owner.patch(&absent, json!({ "role": "viewer" })).await, 404, "not_found");
}

#[tokio::test]
async fn last_owner_stays_until_ownership_is_transferred() {
    let (_installation, owner, member, organization) = team("admin").await;
    let (own, transfer) = (path_of(&organization, &owner).await, format!("{organization}/transfer-ownership"));
    refused(&owner.delete(&own).await, 409, "last_owner");
    refused(&owner.patch(&own, json!({ "role": "viewer" })).await, 409, "last_owner");
    let to_member = json!({ "user_id": member.id().await });
    refused(&member.post(&transfer, to_member.clone()).await, 403, "owner_needed");
    assert_eq!(owner.post(&transfer, to_member).await.0, 200);
    let (_, members) = owner.get(&format!("{organization}/members")).await;
    let mut roles: Vec<_> =
        members["members"].as_array().expect("members").iter().map(|one| (text(one, "email"), text(one, "role"))).collect();
    roles.sort_unstable();
    assert_eq!(roles, [("member@example.com", "owner"), ("owner@example.com", "admin")]);
}

#[tokio::test]
async fn member_may_leave() {
    let (_installation, owner, member, organization) = team("viewer").await;
    refused(&member.delete(&path_of(&organization, &owner).await).await, 403, "forbidden");
    assert_eq!(member.delete(&path_of(&organization, &member).await).await.0, 200);
    refused(&member.get("/v1/applications").await, 403, "no_organization");
    refused(&member.get(&organization).await, 404, "not_found");
    assert_eq!(owner.get(&format!("{organization}/members")).await.1["members"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn foreign_organization_is_reported_as_absent() {
    let mut installation = Installation::start().await;
    let stranger = installation.another_tenant().await;
    let owner = installation.owner().await;
    let organization = format!("/v1/organizations/{}", owner.organization().await);
    refused(&stranger.get(&format!("{organization}/members")).await, 404, "not_found");
    let path = path_of(&organization, &owner).await;
    refused(&stranger.patch(&path, json!({ "role": "viewer" })).await, 404, "not_found");
    refused(&stranger.delete(&path).await, 404, "not_found");
    refused(
        &stranger.post(&format!("{organization}/invitations"), json!({ "email": "x@example.com", "role": "viewer" })).await,
        404,
        "not_found",
    );
    refused(&stranger.post(&format!("{organization}/transfer-ownership"), json!({ "user_id": owner.id().await })).await, 404, "not_found");
    assert_eq!(owner.get(&organization).await.1["organization"]["deleted_at"], Value::Null);
}
