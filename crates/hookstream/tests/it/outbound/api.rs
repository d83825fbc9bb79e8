//! API rules that hold for every operation, and rules of single operations.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{KEY, Server, TestClient, scratch};

/// Checks that a response is an error in the documented form.
fn check_error((status, response): &(u16, Value), expected: u16, code: &str) {
    assert_eq!((*status, &response["status"], &response["code"]), (expected, &json!(expected), &json!(code)), "{response}");
    assert!(response["error"].as_str().is_some_and(|error| error.ends_with(['.', '?'])), "{response}");
    assert!(response["request_id"].as_str().is_some_and(|id| id.len() == 16 && id.starts_with("req_")), "{response}");
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_have_one_form() {
    let directory = scratch();
    let server = Server::start(&directory, &[]);
    let client = &server.client;
    check_error(&client.get("/v1/nothing").await, 404, "unknown_route");
    check_error(&client.send(Method::PUT, "/v1/applications", &[], "").await, 405, "method_not_allowed");
    check_error(&client.send(Method::POST, "/v1/applications", &[], "").await, 400, "invalid_json");
    check_error(&client.send(Method::POST, "/v1/applications", &[], "{\"name\":").await, 400, "invalid_json");
    check_error(&client.send(Method::POST, "/v1/applications", &[], "[]").await, 400, "invalid_json");
    check_error(&client.send(Method::POST, "/v1/applications", &[], "[\"Acme\", \"acme\"]").await, 400, "invalid_json");
    check_error(&client.send(Method::POST, "/v1/auth/api-keys/x/rotate", &[], "[null, null]").await, 400, "invalid_json");
    check_error(&client.send(Method::POST, "/v1/applications", &[], vec![b'"', 0xff, b'"']).await, 400, "invalid_json");
    check_error(&client.post("/v1/applications", json!({ "name": 5, "uid": "a" })).await, 400, "invalid_field");
    check_error(&client.get("/v1/applications?limit=0").await, 400, "invalid_field");
    check_error(&client.get("/v1/applications?limit=101").await, 400, "invalid_field");
    check_error(&client.get("/v1/applications?cursor=x").await, 400, "invalid_field");
    check_error(&client.get("/v1/applications?limit=1&limit=2").await, 400, "invalid_query");
    check_error(&client.get("/v1/applications/%ff").await, 404, "unknown_route");
    check_error(&client.get("/v1/applications?org_id=00000000000000000000000000000000").await, 404, "not_found");
    check_error(&client.send(Method::POST, "/v1/applications", &[], "x".repeat(3_000_000)).await, 413, "body_too_large");

    let response = client.try_send(Method::PUT, "/v1/applications", &[], "").await.expect("a response");
    assert_eq!(response.headers()["allow"], "GET,HEAD,POST");
    let body: Value = serde_json::from_slice(response.body()).expect("JSON");
    assert_eq!(response.headers()["x-request-id"], body["request_id"].as_str().expect("an id"));
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_are_not_readable_by_other_sites() {
    let directory = scratch();
    let server = Server::start(&directory, &[]);
    let stranger = server.client.with_key("");
    let ask = async |client: &TestClient, method: Method, path: &str| {
        let headers = [("origin", "https://elsewhere.example"), ("access-control-request-method", "POST"), ("cookie", "a=b")];
        client.try_send(method, path, &headers, "").await.expect("a response")
    };
    for (client, method, path, status, cache_control) in [
        (&server.client, Method::GET, "/v1/applications", 200, "no-store"),
        (&server.client, Method::POST, "/v1/applications", 400, "no-store"),
        (&stranger, Method::GET, "/v1/applications", 401, "no-store"),
        (&server.client, Method::GET, "/v1/nothing", 404, "no-store"),
        (&server.client, Method::OPTIONS, "/v1/nothing", 404, "no-store"),
        (&server.client, Method::OPTIONS, "/v1/applications", 405, "no-store"),
        (&stranger, Method::OPTIONS, "/v1/applications/acme/messages", 405, "no-store"),
        (&stranger, Method::OPTIONS, "/docs", 405, "no-store"),
        (&stranger, Method::GET, "/v1/health", 200, "no-store"),
        (&stranger, Method::GET, "/v1/openapi.json", 200, "no-cache"),
        (&stranger, Method::GET, "/docs", 200, "no-cache"),
    ] {
        let response = ask(client, method.clone(), path).await;
        let headers = response.headers();
        assert_eq!(response.status().as_u16(), status, "{method} {path}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("cache-control", cache_control),
        ] {
            assert_eq!(headers.get(name).and_then(|value| value.to_str().ok()), Some(value), "{method} {path}: {name}");
        }
        let policy = headers["content-security-policy"].to_str().expect("text");
        assert!(policy.starts_with("default-src 'none';") && policy.ends_with("frame-ancestors 'none'"), "{path}: {policy}");
        assert_eq!(policy.contains("script-src"), path == "/docs" && status == 200, "{path}: {policy}");
        assert_eq!(headers.get("strict-transport-security"), None, "{path}: this server has no TLS");
        let cors: Vec<_> = headers.keys().filter(|name| name.as_str().starts_with("access-control")).collect();
        assert!(cors.is_empty(), "{method} {path}: {cors:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_requires_a_key() {
    let directory = scratch();
    let server = Server::start(&directory, &[]);
    let stranger = server.client.with_key("");
    let (status, document) = stranger.get("/v1/openapi.json").await;
    assert_eq!((status, &document["openapi"]), (200, &json!("3.1.0")));
    let mut checked = 0;
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations").iter().filter(|(method, _)| *method != "parameters") {
            if operation["security"] == json!([{}]) {
                continue;
            }
            let path = path.replace("{appId}", "acme").replace("{id}", "x").replace("{msgId}", "x");
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method");
            if !path.starts_with("/v1/health") {
                check_error(&stranger.send(method.clone(), &path, &[], "").await, 401, "unauthorized");
                let wrong = stranger.with_key(&KEY.replace('0', "1"));
                check_error(&wrong.send(method, &path, &[], "").await, 401, "unauthorized");
                checked += 1;
            }
        }
    }
    assert!(checked > 20, "only {checked} operations were checked");
    let bearer = format!("Bearer {KEY}");
    for header in [("x-api-key", KEY), ("authorization", &bearer)] {
        let (status, _) = stranger.send(Method::GET, "/v1/applications", &[header], "").await;
        assert_eq!(status, 200, "{}", header.0);
    }
    // The cookie carries a session, not a key, so that no other site can use a key in a browser.
    let cookie = format!("a=b; better-auth.session_token={KEY}");
    let (status, _) = stranger.send(Method::GET, "/v1/applications", &[("cookie", &cookie)], "").await;
    assert_eq!(status, 401);
    let response = stranger.try_send(Method::GET, "/docs", &[], "").await.expect("a response");
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn application_is_created_changed_and_deleted() {
    let directory = scratch();
    let server = Server::start(&directory, &[]);
    let client = &server.client;
    let body = json!({
        "name": "Acme", "uid": "acme", "description": "d", "metadata": { "plan": "pro" }, "rate_limit": 10.0,
    });
    let mut mistyped = body.clone();
    mistyped["rate_limits"] = json!(5);
    let (_, refused) = client.post("/v1/applications", mistyped).await;
    assert_eq!(
        (&refused["code"], &refused["details"]),
        (&json!("unknown_field"), &json!({ "field": "rate_limits", "nearest": "rate_limit" }))
    );
    let (_, refused) = client.get("/v1/applications?serach=acme").await;
    assert_eq!(
        (&refused["code"], &refused["details"]),
        (&json!("unknown_parameter"), &json!({ "parameter": "serach", "nearest": "search" }))
    );
    let (status, response) = client.post("/v1/applications", body.clone()).await;
    assert_eq!(status, 201, "{response}");
    let application = &response["application"];
    assert_eq!((&application["metadata"], &application["status"]), (&json!("{\"plan\":\"pro\"}"), &json!("active")));
    check_error(&client.post("/v1/applications", body).await, 409, "uid_taken");
    let id = application["id"].as_str().expect("an id");
    for reference in [id.to_owned(), format!("app_{id}"), id.to_uppercase(), "acme".to_owned()] {
        let (status, response) = client.get(&format!("/v1/applications/{reference}")).await;
        assert_eq!((status, &response["application"]["id"]), (200, &json!(id)), "{reference}");
        assert_eq!((&response["application"]["endpoint_count"], &response["application"]["message_count"]), (&json!(0), &json!(0)));
    }
    check_error(&client.patch("/v1/applications/acme", json!({})).await, 400, "no_fields");
    check_error(&client.patch("/v1/applications/acme", json!({})).await, 400, "no_fields");
    check_error(&client.patch("/v1/applications/acme", json!({ "name": null })).await, 400, "invalid_field");
    check_error(&client.patch("/v1/applications/acme", json!({ "status": "paused" })).await, 400, "invalid_field");
    check_error(&client.patch("/v1/applications/nobody", json!({ "name": "x" })).await, 404, "not_found");
    let change = json!({ "description": null, "metadata": "{\"plan\":\"free\"}", "status": "disabled", "rate_limit": null });
    let (status, response) = client.patch("/v1/applications/acme", change).await;
    assert_eq!(status, 200, "{response}");
    let changed = &response["application"];
    assert_eq!(
        (&changed["description"], &changed["metadata"], &changed["rate_limit"]),
        (&Value::Null, &json!("{\"plan\":\"free\"}"), &Value::Null)
    );
    check_error(
        &client.post("/v1/applications/acme/messages", json!({ "event_type": "a", "payload": 1 })).await,
        400,
        "application_disabled",
    );

    assert_eq!(client.delete("/v1/applications/acme").await, (200, json!({ "success": true })));
    check_error(&client.delete("/v1/applications/acme").await, 404, "not_found");
    check_error(&client.post("/v1/applications/acme/messages", json!({ "event_type": "a", "payload": 1 })).await, 404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_paged_and_searchable() {
    let directory = scratch();
    let server = Server::start(&directory, &[]);
    for n in 0..5 {
        let (status, _) = server.client.post("/v1/applications", json!({ "name": format!("Number {n}"), "uid": format!("n{n}") })).await;
        assert_eq!(status, 201);
    }
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let (_, page) = server.client.get(&format!("/v1/applications?limit=2&cursor={cursor}")).await;
        seen.extend(
            page["applications"]
                .as_array()
                .expect("a page")
                .iter()
                .map(|application| application["uid"].as_str().expect("a uid").to_owned()),
        );
        assert_eq!(page["has_more"], page["cursor"].is_string());
        match page["cursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => break,
        }
    }
    assert_eq!(seen, ["n4", "n3", "n2", "n1", "n0"]);
    let (_, page) = server.client.get("/v1/applications?search=NUMBER%203").await;
    assert_eq!(page["applications"][0]["uid"], "n3");
    assert_eq!(page["applications"].as_array().map(Vec::len), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn event_type_schema_is_enforced_while_active() {
    let directory = scratch();
    let server = Server::start(&directory, &[]);
    let client = &server.client;
    client.post("/v1/applications", json!({ "name": "Acme", "uid": "acme" })).await;
    let schema = json!({ "type": "object", "required": ["id"], "properties": { "amount": { "type": "integer" } } });
    let (status, response) = client.post("/v1/event-types", json!({ "name": "invoice.paid", "json_schema": schema.to_string() })).await;
    assert_eq!(status, 201, "{response}");
    let id = response["event_type"]["id"].as_str().expect("an id").to_owned();
    check_error(&client.post("/v1/event-types", json!({ "name": "invoice.paid" })).await, 409, "name_taken");
    check_error(&client.post("/v1/event-types", json!({ "name": "a b" })).await, 400, "invalid_field");
    check_error(&client.post("/v1/event-types", json!({ "name": "a", "json_schema": "{\"type\":5}" })).await, 400, "invalid_field");

    let send = async |payload: Value| {
        client.post("/v1/applications/acme/messages", json!({ "event_type": "invoice.paid", "payload": payload })).await
    };
    assert_eq!(send(json!({ "id": 1, "amount": 5 })).await.0, 201);
    let refused = send(json!({ "id": 1, "amount": "much" })).await;
    check_error(&refused, 422, "schema_violated");
    let violation = &refused.1["details"]["violations"][0];
    assert_eq!((&violation["path"], &violation["rule"]), (&json!("/amount"), &json!("/properties/amount/type")));

    let (status, _) = client.patch(&format!("/v1/event-types/{id}"), json!({ "status": "archived" })).await;
    assert_eq!(status, 200);
    assert_eq!(send(json!({})).await.0, 201);
    let (_, response) = client.patch(&format!("/v1/event-types/{id}"), json!({ "status": "active", "json_schema": null })).await;
    assert_eq!(response["event_type"]["json_schema"], Value::Null);
    assert_eq!(send(json!({})).await.0, 201);
    let (_, list) = client.get("/v1/event-types").await;
    assert_eq!(list["event_types"][0]["id"], id.as_str());
    assert_eq!(client.delete(&format!("/v1/event-types/{id}")).await.0, 200);
    check_error(&client.get(&format!("/v1/event-types/{id}")).await, 404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn idempotency_key_merges_fifty_requests() {
    let directory = scratch();
    let server = Server::start(&directory, &[]);
    let message = json!({ "event_type": "a.b", "payload": { "n": 1 } }).to_string();
    let application = json!({ "name": "Acme", "uid": "acme" }).to_string();
    for (path, body) in [("/v1/applications", application), ("/v1/applications/acme/messages", message)] {
        let mut running = tokio::task::JoinSet::new();
        for _ in 0..50 {
            let (client, path, body) = (server.client.clone(), path.to_owned(), body.clone());
            running.spawn(async move { client.send(Method::POST, &path, &[("idempotency-key", "\"k-1\"")], body).await });
        }
        let responses = running.join_all().await;
        assert_eq!(responses[0].0, 201, "{}", responses[0].1);
        assert!(responses.iter().all(|response| *response == responses[0]), "{path}: the responses differ");
        let other = server.client.send(Method::POST, path, &[("idempotency-key", "k-1")], format!("{body} ")).await;
        check_error(&other, 422, "idempotency_key_reused");
        check_error(&server.client.send(Method::POST, path, &[("idempotency-key", "")], body.clone()).await, 400, "invalid_field");
    }
    let (_, list) = server.client.get("/v1/applications/acme/messages").await;
    assert_eq!(list["messages"].as_array().map(Vec::len), Some(1));
    let with_event_id = || json!({ "event_type": "a.b", "event_id": "order-1", "payload": null });
    let (status, first) = server.client.post("/v1/applications/acme/messages", with_event_id()).await;
    assert_eq!(status, 201);
    let second = server.client.post("/v1/applications/acme/messages", with_event_id()).await;
    check_error(&second, 409, "duplicate_event_id");
    assert_eq!(second.1["details"]["message_id"], first["message"]["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_endpoint_fields_are_rejected_by_name() {
    let directory = scratch();
    let server = Server::start(&directory, &[]);
    let client: &TestClient = &server.client;
    let endpoint = client.acme(json!({}), "https://receiver.example.test/").await;
    let good = "https://receiver.example.test/";
    for (field, body) in [
        ("url", json!({})),
        ("url", json!({ "url": "string" })),
        ("url", json!({ "url": "https://user:pw@example.test/" })),
        ("url", json!({ "url": 5 })),
        ("filter_types", json!({ "url": good, "filter_types": "all" })),
        ("filter_types", json!({ "url": good, "filter_types": ["a b"] })),
        ("rate_limit_per_second", json!({ "url": good, "rate_limit_per_second": -1 })),
        ("rate_limit_per_second", json!({ "url": good, "rate_limit_per_second": "many" })),
        ("expires_at", json!({ "url": good, "expires_at": "string" })),
        ("signing_algorithm", json!({ "url": good, "signing_algorithm": "md5" })),
        ("signing_secret", json!({ "url": good, "signing_secret": "short" })),
        ("headers", json!({ "url": good, "headers": { "webhook-id": "x" } })),
        ("retry_schedule", json!({ "url": good, "retry_schedule": [99_999_999] })),
        ("timeout_ms", json!({ "url": good, "timeout_ms": 5 })),
        ("batch", json!({ "url": good, "batch": [100, 1000] })),
    ] {
        let refused = client.post("/v1/applications/acme/endpoints", body).await;
        check_error(&refused, 400, "invalid_field");
        assert_eq!(refused.1["details"]["field"], field, "{}", refused.1);
    }
    let id = endpoint["id"].as_str().expect("an id");
    let path = format!("/v1/applications/acme/endpoints/{id}");
    let (_, response) = client.get(&path).await;
    assert!(response["endpoint"].get("signing_secret").is_none(), "{response}");
    check_error(&client.patch(&path, json!({ "url": "http://10.0.0.1/" })).await, 400, "address_not_allowed");
    check_error(&client.patch(&path, json!({})).await, 400, "no_fields");
    check_error(&client.post(&format!("{path}/rotate-secret?grace_seconds=-1"), json!({})).await, 400, "invalid_field");
    check_error(&client.post(&format!("{path}/recover"), json!({ "since": "yesterday" })).await, 400, "invalid_field");
    let change = json!({ "filter_types": ["a.b"], "timeout_ms": 2000, "retry_schedule": "[1,2]", "headers": { "X-A": "b" } });
    let (_, response) = client.patch(&path, change).await;
    let changed = &response["endpoint"];
    assert_eq!(
        (&changed["filter_types"], &changed["timeout_ms"], &changed["retry_schedule"], &changed["headers"]),
        (&json!("[\"a.b\"]"), &json!(2000), &json!("[1,2]"), &json!("{\"X-A\":\"b\"}"))
    );
    let (_, list) = client.get("/v1/applications/acme/endpoints").await;
    assert_eq!((&list["endpoints"][0]["id"], &list["has_more"]), (&json!(id), &json!(false)));
    assert_eq!(client.delete(&path).await.0, 200);
    check_error(&client.get(&path).await, 404, "not_found");

    let (status, response) = client.post("/v1/applications/acme/portal-access", json!({})).await;
    assert_eq!((status, &response["expires_in"], &response["application"]["name"]), (200, &json!(3600), &json!("Acme")));
    assert_eq!(response["url"], Value::Null, "there is no page yet");
}
