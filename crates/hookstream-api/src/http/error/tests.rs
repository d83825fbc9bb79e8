//! Form of errors.

use http::Method;
use serde_json::{Value, json};

use crate::tests::{Installation, refused};

#[tokio::test]
async fn errors_have_one_form() {
    let installation = Installation::start().await;
    let client = &installation.client;
    refused(&client.get("/v1/nothing").await, 404, "unknown_route");
    refused(&client.send(Method::PUT, "/v1/applications", &[], "").await, 405, "method_not_allowed");
    refused(&client.send(Method::POST, "/v1/applications", &[], "").await, 400, "invalid_json");
    refused(&client.send(Method::POST, "/v1/applications", &[], "{\"name\":").await, 400, "invalid_json");
    refused(&client.send(Method::POST, "/v1/applications", &[], "[]").await, 400, "invalid_json");
    refused(&client.send(Method::POST, "/v1/applications", &[], "[\"Acme\", \"acme\"]").await, 400, "invalid_json");
    refused(&client.send(Method::POST, "/v1/auth/api-keys/x/rotate", &[], "[null, null]").await, 400, "invalid_json");
    refused(&client.send(Method::POST, "/v1/applications", &[], vec![b'"', 0xff, b'"']).await, 400, "invalid_json");
    refused(&client.post("/v1/applications", json!({ "name": 5, "uid": "a" })).await, 400, "invalid_field");
    refused(&client.get("/v1/applications?limit=0").await, 400, "invalid_field");
    refused(&client.get("/v1/applications?limit=101").await, 400, "invalid_field");
    refused(&client.get("/v1/applications?cursor=x").await, 400, "invalid_field");
    refused(&client.get("/v1/applications?limit=1&limit=2").await, 400, "invalid_query");
    refused(&client.get("/v1/applications/%ff").await, 404, "unknown_route");
    refused(&client.get("/v1/applications?org_id=00000000000000000000000000000000").await, 404, "not_found");
    refused(&client.send(Method::POST, "/v1/applications", &[], "x".repeat(3_000_000)).await, 413, "body_too_large");

    let response = client.respond(Method::PUT, "/v1/applications", &[], "").await;
    assert_eq!(response.headers()["allow"], "GET,HEAD,POST");
    let body: Value = serde_json::from_slice(response.body()).expect("JSON");
    assert_eq!(response.headers()["x-request-id"], body["request_id"].as_str().expect("an id"));
}
