//! Organizations: creation.

use serde_json::json;

use crate::{
    AllowOrganizations,
    tests::{Client, Installation, refused},
};

async fn create(client: &Client) -> (u16, serde_json::Value) {
    client.post("/v1/organizations", json!({ "name": "Other" })).await
}

#[tokio::test]
async fn only_permitted_users_create_organizations() {
    let mut installation = Installation::start().await;
    let owner = installation.owner().await;
    let admin = owner.invite(&installation, "ada@example.com", "admin").await;
    assert_eq!(create(&owner).await.0, 201);
    refused(&create(&admin).await, 403, "organizations_not_allowed");
    refused(&create(&installation.client).await, 403, "person_needed");
}

#[tokio::test]
async fn setting_decides_who_creates_organizations() {
    for (allowed, of_owner, of_admin) in [(AllowOrganizations::Anyone, 201, 201), (AllowOrganizations::Nobody, 403, 403)] {
        let mut installation = Installation::with(|options, _| options.allow_organizations = allowed).await;
        let owner = installation.owner().await;
        let admin = owner.invite(&installation, "ada@example.com", "admin").await;
        assert_eq!((create(&owner).await.0, create(&admin).await.0), (of_owner, of_admin), "{allowed:?}");
    }
}
