//! The portal: what a customer may set, and how much.

use std::collections::BTreeSet;

use http::Method;
use serde_json::{Value, json};

use crate::tests::{Client, Installation, refused, text};

#[tokio::test]
async fn portal_rejects_fields_reserved_for_the_sender() {
    let installation = Installation::start().await;
    let endpoint = installation.client.acme(json!({ "rate_limit_per_second": 5 }), "http://127.0.0.1:9/").await;
    let customer = installation.client.customer("acme").await;
    let path = format!("/v1/portal/endpoints/{}", text(&endpoint, "id"));
    let reserved = [
        ("type", json!("rabbitmq")),
        ("config", json!({ "url": "amqp://127.0.0.1:9" })),
        ("uid", json!("mine")),
        ("metadata", json!({ "a": 1 })),
        ("channels", json!(["a"])),
        ("rate_limit_per_second", json!(1_000)),
        ("expires_at", json!("2030-01-01T00:00:00Z")),
        ("retry_schedule", json!([1, 1, 1])),
        ("timeout_ms", json!(60_000)),
        ("ordering", json!("strict")),
        ("ordering_key", json!("$.id")),
        ("on_failure", json!("skip")),
        ("batch", json!({ "max_size": 500 })),
    ];
    for (field, value) in &reserved {
        let mut created = json!({ "url": "http://127.0.0.1:9/" });
        created[field] = value.clone();
        let mut changed = json!({ "description": "changed" });
        changed[field] = value.clone();
        for response in [customer.post("/v1/portal/endpoints", created).await, customer.patch(&path, changed).await] {
            refused(&response, 400, "invalid_field");
            assert_eq!(response.1["details"]["field"], *field, "{}", response.1);
        }
    }
    // Reserved fields cannot be removed either.
    refused(&customer.patch(&path, json!({ "rate_limit_per_second": null })).await, 400, "invalid_field");
    let (_, seen) = customer.get(&path).await;
    assert_eq!((&seen["endpoint"]["rate_limit_per_second"], &seen["endpoint"]["description"]), (&json!(5), &Value::Null));
    assert_eq!(customer.get("/v1/portal/endpoints").await.1["endpoints"].as_array().map(Vec::len), Some(1));

    // The document leaves out the same fields.
    let schemas = crate::document_json()["components"]["schemas"].clone();
    let fields = |name: &str| -> BTreeSet<String> { schemas[name]["properties"].as_object().expect("fields").keys().cloned().collect() };
    let left_out: Vec<_> = fields("CreateEndpoint").difference(&fields("CreatePortalEndpoint")).cloned().collect();
    let mut names: Vec<_> = reserved.iter().map(|(field, _)| (*field).to_owned()).collect();
    names.sort_unstable();
    assert_eq!(left_out, names);
}

#[tokio::test]
async fn portal_access_is_given_to_active_applications() {
    let installation = Installation::start().await;
    let client = &installation.client;
    client.post("/v1/applications", json!({ "name": "Acme", "uid": "acme" })).await;
    let give = async || client.post("/v1/applications/acme/portal-access", json!({})).await;
    let (status, access) = give().await;
    assert_eq!((status, &access["expires_in"], &access["application"]["name"]), (200, &json!(3600), &json!("Acme")), "{access}");
    let (token, environment) = (text(&access, "token"), client.environment().await);
    let url = format!("/portal?env_id={}#token={token}", text(&environment, "id"));
    assert!(text(&access, "url").ends_with(&url), "{access}");
    refused(&client.post("/v1/applications/nobody/portal-access", json!({})).await, 404, "not_found");
    assert_eq!(client.patch("/v1/applications/acme", json!({ "status": "disabled" })).await.0, 200);
    refused(&give().await, 400, "application_disabled");
}

#[tokio::test]
async fn portal_endpoint_limit_applies_to_customers_only() {
    let installation = Installation::with(|options, _| options.portal_endpoints = Some(2)).await;
    let client = &installation.client;
    client.acme(json!({}), "http://127.0.0.1:9/").await;
    let customer = client.customer("acme").await;
    let create = async || customer.post("/v1/portal/endpoints", json!({ "url": "http://127.0.0.1:9/mine" })).await;
    assert_eq!(create().await.0, 201);
    let response = create().await;
    refused(&response, 403, "quota_reached");
    assert_eq!(response.1["details"]["limit"], 2, "{}", response.1);
    assert_eq!(client.post("/v1/applications/acme/endpoints", json!({ "url": "http://127.0.0.1:9/" })).await.0, 201);
}

#[tokio::test]
async fn customer_reaches_only_the_application_of_the_token() {
    let installation = Installation::start().await;
    let client = &installation.client;
    let own = client.acme(json!({}), "http://127.0.0.1:9/").await;
    client.post("/v1/applications", json!({ "name": "Other", "uid": "other" })).await;
    let (_, other) = client.post("/v1/applications/other/endpoints", json!({ "url": "http://127.0.0.1:9/" })).await;
    let (customer, message) = (client.customer("acme").await, client.message(json!(1)).await);
    let (_, application) = customer.get("/v1/portal/application").await;
    let portal = json!({ "theme": {}, "reveals_secrets": true, "read_only": false, "max_endpoints": 50 });
    assert_eq!(application, json!({ "application": { "id": own["application_id"], "name": "Acme" }, "portal": portal }));
    assert_eq!(customer.get("/v1/portal/messages").await.1["messages"][0]["id"], message.as_str());
    assert_eq!(customer.get(&format!("/v1/portal/endpoints/{}", text(&own, "id"))).await.0, 200);
    refused(&customer.get(&format!("/v1/portal/endpoints/{}", text(&other["endpoint"], "id"))).await, 404, "not_found");
    refused(&customer.get("/v1/portal/endpoints?limit=0").await, 400, "invalid_field");
    refused(&customer.get("/v1/portal/endpoints?org_id=00000000000000000000000000000000").await, 404, "not_found");
    let (status, explained) = customer.get(&format!("/v1/portal/messages/{message}/explain")).await;
    assert_eq!((status, &explained["explanation"]["message"]["id"]), (200, &json!(message)), "{explained}");
    // A token is for the portal only, and a key is not for the portal.
    refused(&customer.get("/v1/applications/acme/endpoints").await, 401, "unauthorized");
    refused(&client.get("/v1/portal/endpoints").await, 401, "unauthorized");
}

#[tokio::test]
async fn theme_of_the_application_precedes_that_of_the_environment() {
    let installation = Installation::start().await;
    let client = &installation.client;
    let environment = format!("/v1/environments/{}", text(&client.environment().await, "id"));
    let theme = json!({ "primary_color": "#2F55E0", "color_scheme": "dark" });
    let (status, changed) = client.patch(&environment, json!({ "portal_theme": theme })).await;
    assert_eq!(status, 200, "{changed}");
    assert_eq!(changed["environment"]["portal_theme"], r#"{"primary_color":"2f55e0","color_scheme":"dark"}"#);
    let own = json!({ "name": "Acme", "uid": "acme", "portal_theme": "{\"primary_color\":\"00aa00\"}" });
    let (status, created) = client.post("/v1/applications", own).await;
    assert_eq!((status, &created["application"]["portal_theme"]), (201, &json!(r#"{"primary_color":"00aa00"}"#)), "{created}");
    let customer = client.customer("acme").await;
    let seen = async || customer.get("/v1/portal/application").await.1["portal"]["theme"].clone();
    assert_eq!(seen().await, json!({ "primary_color": "00aa00", "color_scheme": "dark" }));
    assert_eq!(client.patch("/v1/applications/acme", json!({ "portal_theme": null })).await.0, 200);
    assert_eq!(seen().await, json!({ "primary_color": "2f55e0", "color_scheme": "dark" }));
    for odd in [json!("x"), json!([]), json!({ "primary_color": "red" }), json!({ "primaryColor": "00aa00" }), json!({ "icon": 7 })] {
        refused(&client.patch("/v1/applications/acme", json!({ "portal_theme": odd })).await, 400, "invalid_field");
    }
    for odd in [json!(["*"]), json!(["https://example.com/a"]), json!("https://example.com"), json!(null)] {
        refused(&client.patch(&environment, json!({ "portal_frame_origins": odd })).await, 400, "invalid_field");
    }
}

#[tokio::test]
async fn page_may_be_embedded_by_the_origins_of_its_environment() {
    let installation = Installation::start().await;
    let client = &installation.client;
    let id = text(&client.environment().await, "id").to_owned();
    let origins = json!({ "portal_frame_origins": ["https://app.example.com", "http://localhost:3000/"] });
    let (status, changed) = client.patch(&format!("/v1/environments/{id}"), origins).await;
    assert_eq!(status, 200, "{changed}");
    let ancestors = async |path: &str| {
        let page = client.respond(Method::GET, path, &[], "").await;
        let head = page.headers();
        let policy = head["content-security-policy"].to_str().expect("text").to_owned();
        assert_eq!(head.get("x-frame-options"), None);
        policy.split_once("frame-ancestors ").expect("a rule").1.to_owned()
    };
    assert_eq!(ancestors(&format!("/portal?env_id={id}")).await, "'self' https://app.example.com http://localhost:3000");
    for path in
        ["/portal", "/portal?env_id=x", "/portal?env_id=00000000000000000000000000000000", "/portal?env_id=a&env_id=b", "/portal?%ff"]
    {
        assert_eq!(ancestors(path).await, "'self'", "{path}");
    }
    assert_eq!(client.respond(Method::GET, "/dashboard", &[], "").await.headers()["x-frame-options"], "DENY");
}

#[tokio::test]
async fn token_is_renewed_for_a_day() {
    let installation = Installation::start().await;
    let client = &installation.client;
    client.post("/v1/applications", json!({ "name": "Acme", "uid": "acme" })).await;
    let mut customer = client.customer("acme").await;
    refused(&client.post("/v1/portal/renew", json!({})).await, 401, "unauthorized");
    for hour in 1..=25 {
        installation.clock.advance(std::time::Duration::from_secs(3500));
        let (status, renewed) = customer.post("/v1/portal/renew", json!({})).await;
        if status != 200 {
            refused(&(status, renewed), 401, "token_expired");
            assert_eq!(hour, 25, "a token was not renewed");
            return;
        }
        assert!(renewed["expires_in"].as_i64().is_some_and(|seconds| (1..=3600).contains(&seconds)), "{renewed}");
        customer = customer.with_token(text(&renewed, "token"));
    }
    panic!("a token was renewed for longer than a day");
}

/// Returns the client of a customer with read-only access.
async fn reader(client: &Client, application: &str) -> Client {
    let (status, access) = client.post(&format!("/v1/applications/{application}/portal-access"), json!({ "read_only": true })).await;
    assert_eq!(status, 200, "{access}");
    client.with_token(text(&access, "token"))
}

#[tokio::test]
async fn read_only_customer_sees_everything_and_changes_nothing() {
    let installation = Installation::start().await;
    let client = &installation.client;
    let endpoint = text(&client.acme(json!({}), "http://127.0.0.1:9/").await, "id").to_owned();
    let message = client.message(json!(1)).await;
    let mut reader = reader(client, "acme").await;
    for renewal in 0..2 {
        let (_, seen) = reader.get("/v1/portal/application").await;
        assert_eq!((&seen["portal"]["read_only"], &seen["portal"]["reveals_secrets"]), (&json!(true), &json!(false)), "{renewal}");
        let (status, renewed) = reader.post("/v1/portal/renew", Value::Null).await;
        assert_eq!(status, 200, "{renewed}");
        reader = reader.with_token(text(&renewed, "token"));
    }
    let mut refusals = 0;
    let document = crate::document_json();
    for (pattern, item) in document["paths"].as_object().expect("paths").iter().filter(|(path, _)| path.starts_with("/v1/portal/")) {
        let id = if pattern.contains("/messages/") { &message } else { &endpoint };
        let path = pattern.replace("{msgId}", id).replace("{id}", id);
        for (method, operation) in item.as_object().expect("operations") {
            let method = method.to_uppercase().parse::<Method>().expect("a method");
            let is_reveal = operation["operationId"] == "revealPortalSecret";
            let response = reader.send(method.clone(), &path, &[], "{}").await;
            if (method == Method::GET && !is_reveal) || path == "/v1/portal/renew" {
                assert_ne!(response.0, 403, "{path}: {}", response.1);
            } else {
                refused(&response, 403, "read_only");
                refusals += 1;
            }
        }
    }
    assert_eq!(refusals, 11);
    let (_, seen) = reader.get("/v1/portal/endpoints").await;
    assert_eq!(seen["endpoints"].as_array().map(Vec::len), Some(1));

    // The answer that is stored for a customer with full access is none for a reader.
    let created = json!({ "url": "http://127.0.0.1:9/mine" }).to_string();
    let key = [("idempotency-key", "one")];
    let customer = client.customer("acme").await;
    assert_eq!(customer.send(Method::POST, "/v1/portal/endpoints", &key, created.clone()).await.0, 201);
    refused(&reader.send(Method::POST, "/v1/portal/endpoints", &key, created).await, 403, "read_only");

    let (_, log) = client.get("/v1/audit-log?action=application.give_portal_access").await;
    let read_only: Vec<_> = log["audit_log"].as_array().expect("entries").iter().map(|entry| &entry["after"]["read_only"]).collect();
    assert_eq!(read_only, [&Value::Null, &json!(true)]);
}

#[tokio::test]
async fn portal_access_takes_an_optional_body() {
    let installation = Installation::start().await;
    let client = &installation.client;
    client.post("/v1/applications", json!({ "name": "Acme", "uid": "acme" })).await;
    let path = "/v1/applications/acme/portal-access";
    for body in ["", "null", "{}", r#"{"read_only":false}"#] {
        let (status, access) = client.send(Method::POST, path, &[], body).await;
        assert_eq!(status, 200, "{body}: {access}");
        let (_, seen) = client.with_token(text(&access, "token")).get("/v1/portal/application").await;
        assert_eq!(seen["portal"]["read_only"], false, "{body}");
    }
    refused(&client.post(path, json!({ "read_only": "yes" })).await, 400, "invalid_field");
    refused(&client.post(path, json!({ "readonly": true })).await, 400, "unknown_field");
}

#[tokio::test]
async fn activity_says_what_changed_and_not_which_user_changed_it() {
    let mut installation = Installation::start().await;
    let owner = installation.owner().await;
    let client = &installation.client;
    let endpoint = client.acme(json!({ "headers": { "authorization": "Bearer sesame" } }), "http://127.0.0.1:9/first").await;
    let id = text(&endpoint, "id").to_owned();
    let of_sender = format!("/v1/applications/acme/endpoints/{id}");
    let of_customer = format!("/v1/portal/endpoints/{id}");
    let customer = client.customer("acme").await;
    let check = |response: (u16, Value)| assert!(matches!(response.0, 200 | 201 | 204), "{}", response.1);
    let changed = json!({ "description": "Order sync", "headers": { "authorization": "Bearer basil" }, "metadata": { "secret": 1 } });
    check(owner.patch(&of_sender, changed).await);
    check(client.patch(&of_sender, json!({ "metadata": { "secret": 2 } })).await);
    check(customer.patch(&of_customer, json!({ "status": "disabled" })).await);
    check(customer.patch(&of_customer, json!({ "status": "active" })).await);
    check(customer.post(&format!("{of_customer}/rotate-secret"), Value::Null).await);
    check(client.post(&format!("{of_sender}/recover"), json!({ "since": "2020-01-01T00:00:00Z" })).await);
    check(client.patch("/v1/applications/acme", json!({ "name": "Acme Inc." })).await);
    client.message(json!(1)).await;

    let (status, page) = customer.get("/v1/portal/activity").await;
    assert_eq!(status, 200, "{page}");
    let shown = |page: &Value| -> Vec<(String, String, Value, Value)> {
        let entries = page["activity"].as_array().expect("entries").iter();
        let entries = entries.map(|entry| {
            (text(entry, "action").to_owned(), text(entry, "by").to_owned(), entry["fields"].clone(), entry["status"].clone())
        });
        entries.collect()
    };
    let expected = [
        ("job.recover", "sender", json!([]), Value::Null),
        ("endpoint.rotate_secret", "portal", json!([]), Value::Null),
        ("endpoint.update", "portal", json!(["status"]), json!("active")),
        ("endpoint.update", "portal", json!(["status"]), json!("disabled")),
        ("endpoint.update", "sender", json!([]), Value::Null),
        ("endpoint.update", "sender", json!(["description", "headers"]), Value::Null),
        ("endpoint.create", "sender", json!([]), Value::Null),
    ];
    let expected: Vec<_> = expected.map(|(action, by, fields, status)| (action.to_owned(), by.to_owned(), fields, status)).into();
    assert_eq!(shown(&page), expected);
    let of_endpoint = json!({ "id": id, "name": "Order sync", "is_deleted": false });
    assert!(page["activity"].as_array().expect("entries").iter().all(|entry| entry["endpoint"] == of_endpoint), "{page}");
    let said = page.to_string();
    for hidden in ["sesame", "basil", "***", "owner@example.com", "Acme Inc.", "127.0.0.1", "metadata", "req_"] {
        assert!(!said.contains(hidden), "{hidden}: {page}");
    }

    // In pages, without gap and repetition.
    let (mut paged, mut cursor) = (Vec::new(), String::new());
    loop {
        let (_, part) = customer.get(&format!("/v1/portal/activity?limit=2&cursor={cursor}")).await;
        paged.extend(shown(&part));
        let Some(next) = part["cursor"].as_str() else { break };
        next.clone_into(&mut cursor);
    }
    assert_eq!(paged, expected);

    // A deleted endpoint keeps its last name.
    check(client.delete(&of_sender).await);
    let (_, page) = customer.get("/v1/portal/activity?limit=100").await;
    assert_eq!((page["activity"].as_array().map(Vec::len), &page["activity"][0]["action"]), (Some(8), &json!("endpoint.delete")));
    let of_endpoint = json!({ "id": id, "name": "Order sync", "is_deleted": true });
    assert!(page["activity"].as_array().expect("entries").iter().all(|entry| entry["endpoint"] == of_endpoint), "{page}");
    refused(&customer.get("/v1/portal/activity?limit=0").await, 400, "invalid_field");
    refused(&customer.get("/v1/portal/activity?cursor=x").await, 400, "invalid_field");
}

#[tokio::test]
async fn activity_is_that_of_one_application() {
    let mut installation = Installation::start().await;
    let stranger = installation.another_tenant().await;
    let client = &installation.client;
    client.acme(json!({ "description": "Acme's" }), "http://127.0.0.1:9/").await;
    stranger.acme(json!({ "description": "Stranger's" }), "http://127.0.0.1:9/").await;
    client.post("/v1/applications", json!({ "name": "Other", "uid": "other" })).await;
    let names = async |customer: Client| {
        let (status, page) = customer.get("/v1/portal/activity").await;
        assert_eq!(status, 200, "{page}");
        page["activity"].as_array().expect("entries").iter().map(|entry| entry["endpoint"]["name"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(client.customer("acme").await).await, ["Acme's"]);
    assert_eq!(names(client.customer("other").await).await, Vec::<Value>::new());
    assert_eq!(names(stranger.customer("acme").await).await, ["Stranger's"]);
    refused(&client.get("/v1/portal/activity").await, 401, "unauthorized");
}
