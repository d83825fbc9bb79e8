//! The portal: what a customer may set, and how much.

use std::collections::BTreeSet;

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
    assert_eq!(access["url"], Value::Null, "there is no page yet");
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
    assert_eq!(application, json!({ "application": { "id": own["application_id"], "name": "Acme" } }));
    assert_eq!(customer.get("/v1/portal/messages").await.1["messages"][0]["id"], message.as_str());
    assert_eq!(customer.get(&format!("/v1/portal/endpoints/{}", text(&own, "id"))).await.0, 200);
    refused(&customer.get(&format!("/v1/portal/endpoints/{}", text(&other["endpoint"], "id"))).await, 404, "not_found");
    refused(&customer.get("/v1/portal/endpoints?limit=0").await, 400, "invalid_field");
    refused(&customer.get("/v1/portal/endpoints?org_id=00000000000000000000000000000000").await, 404, "not_found");
    // A token is for the portal only, and a key is not for the portal.
    refused(&customer.get("/v1/applications/acme/endpoints").await, 401, "unauthorized");
    refused(&client.get("/v1/portal/endpoints").await, 401, "unauthorized");
}
