//! The portal: what a customer may set, and how much.

use std::collections::BTreeSet;

use http::Method;
use serde_json::{Value, json};

use crate::tests::{Installation, refused, text};

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
    let portal = json!({ "theme": {}, "reveals_secrets": true, "max_endpoints": 50 });
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
