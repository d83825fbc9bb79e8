//! Saved views: fields, owners, roles, sharing, limits and tenants.

use http::Method;
use serde_json::{Value, json};

use crate::tests::{Client, Installation, invalid_field, refused, text};

const PATH: &str = "/v1/views";

fn failed(name: &str, shared: u8) -> Value {
    json!({ "name": name, "page": "messages", "filters": { "status": "failed" }, "shared": shared })
}

async fn created(client: &Client, body: Value) -> Value {
    let (status, response) = client.post(PATH, body).await;
    assert_eq!(status, 201, "{response}");
    response["view"].clone()
}

fn path_of(view: &Value) -> String {
    format!("{PATH}/{}", text(view, "id"))
}

/// Returns the names of the views that a client sees.
async fn names(client: &Client, query: &str) -> Vec<String> {
    let (status, response) = client.get(&format!("{PATH}?{query}")).await;
    assert_eq!(status, 200, "{response}");
    response["views"].as_array().expect("views").iter().map(|view| text(view, "name").to_owned()).collect()
}

#[tokio::test]
async fn view_is_created_read_changed_and_deleted() {
    let mut installation = Installation::start().await;
    let owner = installation.owner().await;
    let view = created(&owner, json!({ "name": "Failed", "page": "messages", "filters": { "status": "failed", "channel": "a" } })).await;
    let expected = json!({
        "id": view["id"], "org_id": owner.organization().await, "env_id": owner.environment().await["id"], "name": "Failed",
        "page": "messages", "filters": "{\"channel\":\"a\",\"status\":\"failed\"}", "shared": 0, "owner_id": owner.id().await,
        "created_at": view["created_at"], "updated_at": view["created_at"],
    });
    assert_eq!(view, expected);
    let path = path_of(&view);
    assert_eq!(owner.get(&path).await, (200, json!({ "view": view })));
    assert_eq!(owner.get(PATH).await, (200, json!({ "views": [view], "cursor": null, "has_more": false })));
    let (status, changed) = owner.patch(&path, json!({ "name": "Lost", "filters": "{\"status\":\"skipped\"}" })).await;
    assert_eq!((status, &changed["view"]["name"], &changed["view"]["filters"]), (200, &json!("Lost"), &json!("{\"status\":\"skipped\"}")));
    assert_eq!(owner.delete(&path).await, (200, json!({ "success": true })));
    refused(&owner.get(&path).await, 404, "not_found");
    refused(&owner.delete(&path).await, 404, "not_found");
    refused(&owner.patch(&path, json!({ "name": "a" })).await, 404, "not_found");
    refused(&owner.get("/v1/views/x").await, 404, "not_found");
}

#[tokio::test]
async fn invalid_fields_of_a_view_are_rejected_by_name() {
    let mut installation = Installation::start().await;
    let owner = installation.owner().await;
    for (field, value) in [
        ("name", json!("")),
        ("name", json!("a".repeat(101))),
        ("page", json!("sources")),
        ("page", json!(1)),
        ("filters", json!([])),
        ("filters", json!("[]")),
        ("filters", json!("not json")),
        ("filters", json!({ "status": 1 })),
        ("filters", json!({ "Not a name": "a" })),
        ("filters", json!({ "search": "a".repeat(5_000) })),
        ("shared", json!("yes")),
    ] {
        let mut body = failed("Failed", 0);
        body[field] = value;
        invalid_field(&owner.post(PATH, body).await, field);
    }
    for missing in ["name", "page", "filters"] {
        let mut body = failed("Failed", 0);
        body.as_object_mut().expect("an object").remove(missing);
        invalid_field(&owner.post(PATH, body).await, missing);
    }
    refused(&owner.post(PATH, json!({ "name": "a", "page": "messages", "filters": {}, "sort": "a" })).await, 400, "unknown_field");
    let path = path_of(&created(&owner, failed("Failed", 0)).await);
    refused(&owner.patch(&path, json!({})).await, 400, "no_fields");
    refused(&owner.patch(&path, json!({ "page": "jobs" })).await, 400, "unknown_field");
    for field in ["name", "filters", "shared"] {
        invalid_field(&owner.patch(&path, json!({ field: null })).await, field);
    }
    invalid_field(&owner.get(&format!("{PATH}?page=sources")).await, "page");
}

#[tokio::test]
async fn own_view_is_seen_by_its_owner_alone() {
    let mut installation = Installation::start().await;
    let owner = installation.owner().await;
    let other = owner.invite(&installation, "ada@example.com", "owner").await;
    let path = path_of(&created(&owner, failed("Mine", 0)).await);
    created(&owner, failed("Ours", 1)).await;
    assert_eq!(names(&owner, "").await, ["Ours", "Mine"]);
    for client in [&other, &installation.client] {
        assert_eq!(names(client, "").await, ["Ours"]);
        refused(&client.get(&path).await, 404, "not_found");
        refused(&client.patch(&path, json!({ "name": "Taken" })).await, 404, "not_found");
        refused(&client.patch(&path, json!({ "shared": 1 })).await, 404, "not_found");
        refused(&client.delete(&path).await, 404, "not_found");
    }
    assert_eq!(owner.get(&path).await.0, 200);
}

#[tokio::test]
async fn viewer_keeps_own_views_and_only_reads_shared_ones() {
    let mut installation = Installation::start().await;
    let owner = installation.owner().await;
    let viewer = owner.invite(&installation, "ada@example.com", "viewer").await;
    let shared = path_of(&created(&owner, failed("Ours", 1)).await);
    let own = path_of(&created(&viewer, failed("Mine", 0)).await);
    assert_eq!(names(&viewer, "").await, ["Mine", "Ours"]);
    assert_eq!(viewer.get(&shared).await.0, 200);
    let (status, _) = viewer.patch(&own, json!({ "filters": { "status": "pending" }, "shared": false })).await;
    assert_eq!(status, 200);
    for response in [
        viewer.post(PATH, failed("New", 1)).await,
        viewer.patch(&shared, json!({ "name": "Taken" })).await,
        viewer.patch(&own, json!({ "shared": 1 })).await,
        viewer.delete(&shared).await,
    ] {
        refused(&response, 403, "forbidden");
        assert_eq!(response.1["details"]["scope"], "views:write");
    }
    assert_eq!(viewer.delete(&own).await.0, 200);
}

#[tokio::test]
async fn shared_view_is_changed_by_others_and_kept_back_by_its_owner() {
    let mut installation = Installation::start().await;
    let owner = installation.owner().await;
    let developer = owner.invite(&installation, "ada@example.com", "developer").await;
    let path = path_of(&created(&owner, failed("Ours", 1)).await);
    let (status, changed) = developer.patch(&path, json!({ "name": "Everybody's", "shared": true })).await;
    assert_eq!((status, &changed["view"]["owner_id"]), (200, &json!(owner.id().await)));
    refused(&developer.patch(&path, json!({ "shared": 0 })).await, 403, "not_view_owner");
    assert_eq!(owner.patch(&path, json!({ "shared": 0 })).await.0, 200);
    refused(&developer.get(&path).await, 404, "not_found");
    assert_eq!(owner.patch(&path, json!({ "shared": 1 })).await.0, 200);
    assert_eq!(developer.delete(&path).await.0, 200);
}

#[tokio::test]
async fn api_key_creates_shared_views_only() {
    let mut installation = Installation::start().await;
    let owner = installation.owner().await;
    let client = &installation.client;
    refused(&client.post(PATH, failed("Mine", 0)).await, 403, "person_needed");
    let view = created(client, failed("Ours", 1)).await;
    assert_eq!(view["owner_id"], Value::Null);
    refused(&client.patch(&path_of(&view), json!({ "shared": 0 })).await, 403, "person_needed");
    refused(&owner.patch(&path_of(&view), json!({ "shared": 0 })).await, 403, "not_view_owner");
    let (_, reader) = client.create_key(json!({ "name": "reader", "scopes": "views:read" })).await;
    assert_eq!(names(&reader, "").await, ["Ours"]);
    refused(&reader.post(PATH, failed("More", 1)).await, 403, "forbidden");
    refused(&reader.delete(&path_of(&view)).await, 403, "forbidden");
    let (_, stranger) = client.create_key(json!({ "name": "stranger", "scopes": "messages:*" })).await;
    refused(&stranger.get(PATH).await, 403, "forbidden");
}

#[tokio::test]
async fn name_is_unique_among_shared_views_of_a_page_and_among_own_ones() {
    let mut installation = Installation::start().await;
    let owner = installation.owner().await;
    let other = owner.invite(&installation, "ada@example.com", "developer").await;
    let own = path_of(&created(&owner, failed("Failed", 0)).await);
    created(&other, failed("Failed", 0)).await;
    created(&other, failed("Failed", 1)).await;
    created(&owner, json!({ "name": "Failed", "page": "jobs", "filters": {} })).await;
    refused(&owner.post(PATH, failed("Failed", 0)).await, 409, "name_taken");
    refused(&owner.post(PATH, failed("Failed", 1)).await, 409, "name_taken");
    refused(&owner.patch(&own, json!({ "shared": 1 })).await, 409, "name_taken");
    assert_eq!(names(&owner, "page=jobs").await, ["Failed"]);
    assert_eq!(names(&owner, "page=messages").await.len(), 2);
}

#[tokio::test]
async fn views_are_limited_for_each_owner_and_for_the_environment() {
    let mut installation = Installation::start().await;
    let owner = installation.owner().await;
    let viewer = owner.invite(&installation, "ada@example.com", "viewer").await;
    let mut newest = String::new();
    for number in 0..100 {
        newest = path_of(&created(&owner, failed(&number.to_string(), 0)).await);
        created(&owner, failed(&number.to_string(), 1)).await;
    }
    for response in [owner.post(PATH, failed("more", 0)).await, owner.post(PATH, failed("more", 1)).await] {
        refused(&response, 409, "too_many_views");
        assert_eq!(response.1["details"]["limit"], 100);
    }
    // Nor may an own view become shared, and the other way round.
    refused(&owner.patch(&newest, json!({ "shared": 1, "name": "more" })).await, 409, "too_many_views");
    assert_eq!(owner.patch(&newest, json!({ "name": "renamed" })).await.0, 200);
    created(&viewer, failed("first", 0)).await;
    assert_eq!(owner.delete(&newest).await.0, 200);
    created(&owner, failed("more", 0)).await;
}

#[tokio::test]
async fn pages_of_views_are_followed_by_their_cursor() {
    let mut installation = Installation::start().await;
    let owner = installation.owner().await;
    for name in ["a", "b", "c"] {
        created(&owner, failed(name, 0)).await;
    }
    let (_, first) = owner.get(&format!("{PATH}?limit=2")).await;
    assert_eq!((&first["views"][0]["name"], &first["has_more"]), (&json!("c"), &json!(true)));
    assert_eq!(names(&owner, &format!("limit=2&cursor={}", text(&first, "cursor"))).await, ["a"]);
}

#[tokio::test]
async fn repeated_request_creates_one_view() {
    let mut installation = Installation::start().await;
    let owner = installation.owner().await;
    let send = async || owner.send(Method::POST, PATH, &[("idempotency-key", "a")], failed("Failed", 0).to_string()).await;
    let first = send().await;
    assert_eq!((first.0, send().await), (201, first));
    assert_eq!(names(&owner, "").await, ["Failed"]);
}

#[tokio::test]
async fn changes_of_shared_views_are_in_the_audit_log_and_of_own_ones_are_not() {
    let mut installation = Installation::start().await;
    let owner = installation.owner().await;
    let own = path_of(&created(&owner, failed("Mine", 0)).await);
    owner.patch(&own, json!({ "name": "Still mine" })).await;
    let shared = path_of(&created(&owner, failed("Ours", 1)).await);
    owner.patch(&shared, json!({ "name": "All's" })).await;
    owner.patch(&own, json!({ "shared": 1 })).await;
    assert_eq!((owner.delete(&shared).await.0, owner.delete(&own).await.0), (200, 200));
    let (_, log) = owner.get("/v1/audit-log?resource_type=view").await;
    let entries: Vec<_> = log["audit_log"].as_array().expect("entries").iter().rev().map(|entry| text(entry, "action")).collect();
    assert_eq!(entries, ["view.create", "view.update", "view.update", "view.delete", "view.delete"]);
    let sharing = &log["audit_log"][2];
    assert_eq!((&sharing["before"], &sharing["after"]), (&json!({ "shared": false }), &json!({ "shared": true })));
}

#[tokio::test]
async fn own_views_end_with_the_membership_and_shared_ones_stay() {
    let mut installation = Installation::start().await;
    let owner = installation.owner().await;
    let guest = owner.invite(&installation, "ada@example.com", "developer").await;
    created(&guest, failed("Mine", 0)).await;
    created(&guest, failed("Ours", 1)).await;
    let member = format!("/v1/organizations/{}/members/{}", owner.organization().await, guest.id().await);
    assert_eq!(owner.delete(&member).await.0, 200);
    assert_eq!(names(&owner, "").await, ["Ours"]);
    let path = format!("/v1/organizations/{}/invitations", owner.organization().await);
    let (_, invited) = owner.post(&path, json!({ "email": "ada@example.com", "role": "viewer" })).await;
    let accepted = guest.post("/v1/auth/invitations/accept", json!({ "token": crate::tests::token(text(&invited, "url")) })).await;
    assert_eq!(accepted.0, 200, "{}", accepted.1);
    assert_eq!(names(&guest, "").await, ["Ours"]);
}

#[tokio::test]
async fn foreign_view_is_reported_as_absent() {
    let mut installation = Installation::start().await;
    let stranger = installation.another_tenant().await;
    let path = path_of(&created(&installation.client, failed("Ours", 1)).await);
    refused(&stranger.get(&path).await, 404, "not_found");
    refused(&stranger.patch(&path, json!({ "name": "Taken" })).await, 404, "not_found");
    refused(&stranger.delete(&path).await, 404, "not_found");
    assert_eq!(stranger.get(PATH).await, (200, json!({ "views": [], "cursor": null, "has_more": false })));
    let environment = installation.client.environment().await;
    let mut body = failed("Theirs", 1);
    body["env_id"] = environment["id"].clone();
    refused(&stranger.post(PATH, body).await, 404, "not_found");
}
