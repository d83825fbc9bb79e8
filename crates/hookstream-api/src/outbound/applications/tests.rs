//! Applications: fields, names, lists, tenants.

use serde_json::{Value, json};

use crate::tests::{Client, Installation, invalid_field, refused, text};

const PATH: &str = "/v1/applications";

async fn create(client: &Client, body: Value) -> Value {
    let (status, response) = client.post(PATH, body).await;
    assert_eq!(status, 201, "{response}");
    response["application"].clone()
}

#[tokio::test]
async fn created_application_is_found_by_id_and_uid() {
    let installation = Installation::start().await;
    let client = &installation.client;
    let body = json!({ "name": "Acme", "uid": "acme", "description": "d", "metadata": { "plan": "pro" }, "rate_limit": 10.0 });
    let application = create(client, body).await;
    assert_eq!((&application["metadata"], &application["status"]), (&json!("{\"plan\":\"pro\"}"), &json!("active")));
    let id = text(&application, "id");
    for reference in [id.to_owned(), format!("app_{id}"), id.to_uppercase(), "acme".to_owned()] {
        let (status, response) = client.get(&format!("{PATH}/{reference}")).await;
        let found = &response["application"];
        assert_eq!((status, &found["id"], &found["rate_limit"]), (200, &json!(id), &json!(10)), "{reference}: {response}");
        assert_eq!((&found["endpoint_count"], &found["message_count"]), (&json!(0), &json!(0)));
    }
}

#[tokio::test]
async fn invalid_application_fields_are_rejected_by_name() {
    let installation = Installation::start().await;
    let client = &installation.client;
    create(client, json!({ "name": "Acme", "uid": "acme" })).await;
    for (field, body) in [
        ("name", json!({})),
        ("name", json!({ "name": "" })),
        ("name", json!({ "name": 5 })),
        ("uid", json!({ "name": "x", "uid": "a b" })),
        ("rate_limit", json!({ "name": "x", "rate_limit": -1 })),
        ("metadata", json!({ "name": "x", "metadata": [] })),
    ] {
        invalid_field(&client.post(PATH, body).await, field);
    }
    for (field, body) in [("name", json!({ "name": null })), ("status", json!({ "status": "paused" })), ("uid", json!({ "uid": "" }))] {
        invalid_field(&client.patch("/v1/applications/acme", body).await, field);
    }
    let response = client.post(PATH, json!({ "name": "x", "rate_limits": 5 })).await;
    refused(&response, 400, "unknown_field");
    assert_eq!(response.1["details"], json!({ "field": "rate_limits", "nearest": "rate_limit" }));
    let response = client.get("/v1/applications?serach=acme").await;
    refused(&response, 400, "unknown_parameter");
    assert_eq!(response.1["details"], json!({ "parameter": "serach", "nearest": "search" }));
    refused(&client.patch("/v1/applications/acme", json!({})).await, 400, "no_fields");
    refused(&client.patch("/v1/applications/nobody", json!({ "name": "x" })).await, 404, "not_found");
}

#[tokio::test]
async fn changed_application_is_shown() {
    let installation = Installation::start().await;
    let client = &installation.client;
    create(client, json!({ "name": "Acme", "uid": "acme", "description": "d", "rate_limit": 5 })).await;
    let change = json!({ "description": null, "metadata": "{\"plan\":\"free\"}", "status": "disabled", "rate_limit": null });
    let (status, response) = client.patch("/v1/applications/acme", change).await;
    let changed = ["description", "metadata", "status", "rate_limit"].map(|name| response["application"][name].clone());
    assert_eq!((status, changed), (200, [Value::Null, json!("{\"plan\":\"free\"}"), json!("disabled"), Value::Null]), "{response}");
    let message = json!({ "event_type": "a", "payload": 1 });
    refused(&client.post("/v1/applications/acme/messages", message).await, 400, "application_disabled");
}

#[tokio::test]
async fn deleted_application_is_absent() {
    let installation = Installation::start().await;
    let client = &installation.client;
    create(client, json!({ "name": "Acme", "uid": "acme" })).await;
    assert_eq!(client.delete("/v1/applications/acme").await, (200, json!({ "success": true })));
    refused(&client.delete("/v1/applications/acme").await, 404, "not_found");
    refused(&client.get("/v1/applications/acme").await, 404, "not_found");
    refused(&client.post("/v1/applications/acme/messages", json!({ "event_type": "a", "payload": 1 })).await, 404, "not_found");
}

#[tokio::test]
async fn uid_names_one_application_at_a_time() {
    let installation = Installation::start().await;
    let client = &installation.client;
    let unnamed = create(client, json!({ "name": "Nameless" })).await;
    assert_eq!(unnamed["uid"], Value::Null);
    let unnamed = format!("{PATH}/{}", text(&unnamed, "id"));
    let acme = create(client, json!({ "name": "Acme", "uid": "acme" })).await;
    // Paths accept ids as well, so a uid cannot be the id of another application.
    for uid in ["acme", text(&acme, "id"), &format!("app_{}", text(&acme, "id"))] {
        refused(&client.patch(&unnamed, json!({ "uid": uid })).await, 409, "uid_taken");
        refused(&client.post(PATH, json!({ "name": "x", "uid": uid })).await, 409, "uid_taken");
    }
    assert_eq!(client.patch("/v1/applications/acme", json!({ "uid": "acme-2" })).await.1["application"]["uid"], "acme-2");
    refused(&client.get("/v1/applications/acme").await, 404, "not_found");
    assert_eq!(client.patch(&unnamed, json!({ "uid": "acme" })).await.0, 200);
    assert_eq!(client.get("/v1/applications/acme").await.1["application"]["name"], "Nameless");
    assert_eq!(client.patch(&unnamed, json!({ "uid": null })).await.1["application"]["uid"], Value::Null);
    refused(&client.get("/v1/applications/acme").await, 404, "not_found");
}

#[tokio::test]
async fn lists_are_paged_and_searchable() {
    let installation = Installation::start().await;
    let client = &installation.client;
    for n in 0..5 {
        create(client, json!({ "name": format!("Number {n}"), "uid": format!("n{n}") })).await;
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let (_, page) = client.get(&format!("{PATH}?limit=2&cursor={cursor}")).await;
        seen.extend(page["applications"].as_array().expect("a page").iter().map(|application| text(application, "uid").to_owned()));
        assert_eq!(page["has_more"], page["cursor"].is_string());
        match page["cursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => break,
        }
    }
    assert_eq!(seen, ["n4", "n3", "n2", "n1", "n0"]);
    let (_, page) = client.get("/v1/applications?search=NUMBER%203").await;
    let found: Vec<_> = page["applications"].as_array().expect("a page").iter().map(|application| text(application, "uid")).collect();
    assert_eq!(found, ["n3"]);
    invalid_field(&client.get("/v1/applications?limit=0").await, "limit");
    invalid_field(&client.get("/v1/applications?cursor=x").await, "cursor");
}

#[tokio::test]
async fn foreign_application_is_reported_as_absent() {
    let mut installation = Installation::start().await;
    let stranger = installation.another_tenant().await;
    let application = create(&installation.client, json!({ "name": "Acme", "uid": "acme" })).await;
    for reference in ["acme", text(&application, "id")] {
        let path = format!("{PATH}/{reference}");
        refused(&stranger.get(&path).await, 404, "not_found");
        refused(&stranger.patch(&path, json!({ "name": "Mine" })).await, 404, "not_found");
        refused(&stranger.delete(&path).await, 404, "not_found");
    }
    let tenant = text(&application, "org_id");
    refused(&stranger.get(&format!("{PATH}?org_id={tenant}")).await, 404, "not_found");
    assert_eq!(stranger.get(PATH).await.1["applications"], json!([]));
    create(&stranger, json!({ "name": "Mine", "uid": "acme" })).await;
    assert_eq!(installation.client.get("/v1/applications/acme").await.1["application"]["name"], "Acme");
}
