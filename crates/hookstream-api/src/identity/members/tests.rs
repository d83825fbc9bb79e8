//! Members and their roles.

use serde_json::json;

use crate::tests::Installation;

#[tokio::test]
async fn members_are_limited_to_their_role() {
    let mut server = Installation::start().await;
    let owner = server.owner().await;
    let organization = format!("/v1/organizations/{}", owner.organization().await);
    let developer = owner.invite(&server, "dev@example.com", "developer").await;
    let viewer = owner.invite(&server, "viewer@example.com", "viewer").await;
    assert_eq!(developer.post("/v1/applications", json!({ "name": "Acme", "uid": "acme" })).await.0, 201);
    assert_eq!(viewer.get("/v1/applications/acme").await.0, 200);
    let (status, refusal) = viewer.post("/v1/applications", json!({ "name": "Mine" })).await;
    assert_eq!((status, &refusal["code"], &refusal["details"]["scope"]), (403, &json!("forbidden"), &json!("applications:write")));
    // A key has at most the scopes of its creator.
    let (status, key) = developer.post("/v1/auth/api-keys", json!({ "name": "theirs" })).await;
    assert_eq!(status, 201, "{key}");
    assert!(!key["scopes"].as_str().is_some_and(|scopes| scopes == "*" || scopes.contains("members:*")), "{key}");
    assert_eq!(developer.post("/v1/auth/api-keys", json!({ "name": "more", "scopes": "*" })).await.0, 403);
    let invitations = format!("{organization}/invitations");
    assert_eq!(developer.post(&invitations, json!({ "email": "x@example.com", "role": "viewer" })).await.0, 403);

    // A role change takes effect with the next request.
    let member = format!("{organization}/members/{}", viewer.id().await);
    assert_eq!(owner.patch(&member, json!({ "role": "admin" })).await.1["member"]["role"], "admin");
    assert_eq!(viewer.post(&invitations, json!({ "email": "x@example.com", "role": "viewer" })).await.0, 201);
    assert_eq!(
        viewer.post(&invitations, json!({ "email": "y@example.com", "role": "owner" })).await.0,
        403,
        "an admin cannot create an owner"
    );
    let owners = format!("{organization}/members/{}", owner.id().await);
    assert_eq!(viewer.delete(&owners).await.0, 403);
    let (status, refusal) = owner.delete(&owners).await;
    assert_eq!((status, &refusal["code"]), (409, &json!("last_owner")));
    assert_eq!(owner.patch(&owners, json!({ "role": "viewer" })).await.1["code"], "last_owner");

    let transfer = format!("{organization}/transfer-ownership");
    assert_eq!(viewer.post(&transfer, json!({ "user_id": viewer.id().await })).await.0, 403);
    assert_eq!(owner.post(&transfer, json!({ "user_id": viewer.id().await })).await.0, 200);
    let (_, members) = owner.get(&format!("{organization}/members")).await;
    let roles: Vec<_> = members["members"].as_array().expect("members").iter().map(|m| (m["email"].clone(), m["role"].clone())).collect();
    assert!(
        roles.contains(&(json!("viewer@example.com"), json!("owner"))) && roles.contains(&(json!("owner@example.com"), json!("admin")))
    );
    assert_eq!(owner.delete(&owners).await.0, 200, "the member leaves");
    assert_eq!(owner.get("/v1/applications").await.1["code"], "no_organization");
    assert_eq!(owner.get(&organization).await.0, 404);
}
