//! Event types: fields, names, schemas.

use serde_json::{Value, json};

use crate::tests::{Client, Installation, invalid_field, refused, text};

const PATH: &str = "/v1/event-types";

async fn send(client: &Client, payload: Value) -> (u16, Value) {
    client.post("/v1/applications/acme/messages", json!({ "event_type": "invoice.paid", "payload": payload })).await
}

#[tokio::test]
async fn event_type_is_found_by_id_and_name() {
    let installation = Installation::start().await;
    let client = &installation.client;
    let (status, created) = client.post(PATH, json!({ "name": "invoice.paid", "description": "d" })).await;
    assert_eq!((status, &created["event_type"]["status"]), (201, &json!("active")), "{created}");
    for reference in ["invoice.paid", text(&created["event_type"], "id")] {
        assert_eq!(client.get(&format!("{PATH}/{reference}")).await, (200, created.clone()), "{reference}");
    }
    assert_eq!(client.get(PATH).await.1["event_types"], json!([created["event_type"]]));
    let (_, changed) = client.patch("/v1/event-types/invoice.paid", json!({ "description": null })).await;
    assert_eq!(changed["event_type"]["description"], Value::Null);
    assert_eq!(client.delete("/v1/event-types/invoice.paid").await, (200, json!({ "success": true })));
    refused(&client.get("/v1/event-types/invoice.paid").await, 404, "not_found");
    refused(&client.delete("/v1/event-types/invoice.paid").await, 404, "not_found");
}

#[tokio::test]
async fn invalid_event_type_fields_are_rejected_by_name() {
    let installation = Installation::start().await;
    let client = &installation.client;
    for (field, body) in [
        ("name", json!({})),
        ("name", json!({ "name": "a b" })),
        ("name", json!({ "name": 5 })),
        ("json_schema", json!({ "name": "a", "json_schema": "{\"type\":5}" })),
    ] {
        invalid_field(&client.post(PATH, body).await, field);
    }
    refused(&client.post(PATH, json!({ "name": "a", "schema": {} })).await, 400, "unknown_field");
    assert_eq!(client.post(PATH, json!({ "name": "a" })).await.0, 201);
    refused(&client.post(PATH, json!({ "name": "a" })).await, 409, "name_taken");
    invalid_field(&client.patch("/v1/event-types/a", json!({ "status": "paused" })).await, "status");
    refused(&client.patch("/v1/event-types/a", json!({})).await, 400, "no_fields");
    refused(&client.patch("/v1/event-types/b", json!({ "description": "x" })).await, 404, "not_found");
}

#[tokio::test]
async fn event_type_schema_is_enforced_while_active() {
    let installation = Installation::start().await;
    let client = &installation.client;
    client.post("/v1/applications", json!({ "name": "Acme", "uid": "acme" })).await;
    let schema = json!({ "type": "object", "required": ["id"], "properties": { "amount": { "type": "integer" } } });
    assert_eq!(client.post(PATH, json!({ "name": "invoice.paid", "json_schema": schema.to_string() })).await.0, 201);
    assert_eq!(send(client, json!({ "id": 1, "amount": 5 })).await.0, 201);
    let response = send(client, json!({ "id": 1, "amount": "much" })).await;
    refused(&response, 422, "schema_violated");
    let violation = &response.1["details"]["violations"][0];
    assert_eq!((&violation["path"], &violation["rule"]), (&json!("/amount"), &json!("/properties/amount/type")));

    let path = "/v1/event-types/invoice.paid";
    assert_eq!(client.patch(path, json!({ "status": "archived" })).await.0, 200);
    assert_eq!(send(client, json!({})).await.0, 201);
    assert_eq!(client.patch(path, json!({ "status": "active" })).await.0, 200);
    refused(&send(client, json!({})).await, 422, "schema_violated");
    let (_, response) = client.patch(path, json!({ "json_schema": null })).await;
    assert_eq!(response["event_type"]["json_schema"], Value::Null);
    assert_eq!(send(client, json!({})).await.0, 201);
}

#[tokio::test]
async fn foreign_event_type_is_reported_as_absent() {
    let mut installation = Installation::start().await;
    let stranger = installation.another_tenant().await;
    let (_, created) = installation.client.post(PATH, json!({ "name": "invoice.paid" })).await;
    for reference in ["invoice.paid", text(&created["event_type"], "id")] {
        let path = format!("{PATH}/{reference}");
        refused(&stranger.get(&path).await, 404, "not_found");
        refused(&stranger.patch(&path, json!({ "description": "x" })).await, 404, "not_found");
        refused(&stranger.delete(&path).await, 404, "not_found");
    }
    assert_eq!(stranger.get(PATH).await, (200, json!({ "event_types": [], "cursor": null, "has_more": false })));
}
