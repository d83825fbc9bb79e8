//! Sessions of a user: listed, and ended one by one, all at once, or by a new password.

use serde_json::json;

use crate::tests::{Client, Installation, PASSWORD, refused, text};

const ADDRESS: &str = "owner@example.com";

/// Signs the owner in with another browser.
async fn signed_in(installation: &Installation) -> Client {
    let browser = installation.browser();
    assert_eq!(browser.sign_in(ADDRESS, PASSWORD, None).await.0, 200);
    browser
}

#[tokio::test]
async fn sessions_are_listed_and_ended_one_by_one() {
    let mut installation = Installation::start().await;
    let owner = installation.owner().await;
    let phone = signed_in(&installation).await;
    let (_, listed) = owner.get("/v1/auth/sessions").await;
    let sessions = listed["sessions"].as_array().expect("sessions");
    assert_eq!((sessions.len(), sessions.iter().filter(|session| session["current"] == 1).count()), (2, 1));
    let (_, of_phone) = phone.get("/v1/auth/session").await;
    let path = format!("/v1/auth/sessions/{}", text(&of_phone["session"], "id"));
    assert_eq!(owner.delete(&path).await.0, 200);
    refused(&phone.get("/v1/auth/session").await, 401, "unauthorized");
    refused(&owner.delete(&path).await, 404, "not_found");
    assert_eq!(owner.get("/v1/auth/session").await.0, 200);
}

#[tokio::test]
async fn new_password_ends_other_sessions() {
    let mut installation = Installation::start().await;
    let owner = installation.owner().await;
    let laptop = signed_in(&installation).await;
    let change = |current: &str| json!({ "current_password": current, "new_password": "another gravel teapot eight" });
    refused(&owner.post("/v1/auth/password", change("wrong wrong wrong")).await, 403, "wrong_credentials");
    assert_eq!(owner.post("/v1/auth/password", change(PASSWORD)).await.0, 200);
    refused(&laptop.get("/v1/auth/session").await, 401, "unauthorized");
    assert_eq!(owner.get("/v1/auth/session").await.0, 200);
    refused(&laptop.sign_in(ADDRESS, PASSWORD, None).await, 401, "wrong_credentials");
    assert_eq!(laptop.sign_in(ADDRESS, "another gravel teapot eight", None).await.0, 200);
}

#[tokio::test]
async fn all_sessions_end_at_once() {
    let mut installation = Installation::start().await;
    let owner = installation.owner().await;
    let laptop = signed_in(&installation).await;
    assert_eq!(owner.delete("/v1/auth/sessions").await.0, 200);
    for browser in [&laptop, &owner] {
        refused(&browser.get("/v1/auth/session").await, 401, "unauthorized");
    }
}

#[tokio::test]
async fn session_of_another_user_is_reported_as_absent() {
    let mut installation = Installation::start().await;
    let owner = installation.owner().await;
    let member = owner.invite(&installation, "ada@example.com", "admin").await;
    let (_, of_owner) = owner.get("/v1/auth/session").await;
    refused(&member.delete(&format!("/v1/auth/sessions/{}", text(&of_owner["session"], "id"))).await, 404, "not_found");
    refused(&installation.client.get("/v1/auth/sessions").await, 403, "person_needed");
}
