//! Sessions.

use serde_json::json;

use crate::tests::{Installation, PASSWORD};

#[tokio::test]
async fn sessions_are_listed_and_ended() {
    let mut installation = Installation::start().await;
    let owner = installation.owner().await;
    let (phone, laptop) = (installation.browser(), installation.browser());
    for visitor in [&phone, &laptop] {
        assert_eq!(visitor.sign_in("owner@example.com", PASSWORD, None).await.0, 200);
    }
    let (_, listed) = owner.get("/v1/auth/sessions").await;
    let sessions = listed["sessions"].as_array().expect("sessions");
    assert_eq!(sessions.len(), 3);
    assert_eq!(sessions.iter().filter(|session| session["current"] == 1).count(), 1);
    let (_, of_phone) = phone.get("/v1/auth/session").await;
    let id = of_phone["session"]["id"].as_str().expect("an id");
    assert_eq!(owner.delete(&format!("/v1/auth/sessions/{id}")).await.0, 200);
    assert_eq!(phone.get("/v1/auth/session").await.0, 401);
    assert_eq!(owner.delete(&format!("/v1/auth/sessions/{id}")).await.0, 404);

    let change = json!({ "current_password": PASSWORD, "new_password": "another gravel teapot eight" });
    assert_eq!(owner.post("/v1/auth/password", change).await.0, 200);
    assert_eq!(laptop.get("/v1/auth/session").await.0, 401, "a new password ends other sessions");
    assert_eq!(laptop.sign_in("owner@example.com", PASSWORD, None).await.0, 401);
    assert_eq!(laptop.sign_in("owner@example.com", "another gravel teapot eight", None).await.0, 200);
    assert_eq!(owner.delete("/v1/auth/sessions").await.0, 200);
    assert_eq!(laptop.get("/v1/auth/session").await.0, 401);
    assert_eq!(owner.get("/v1/auth/session").await.0, 401);
}
