//! Mail to customers: the address is confirmed by a code, and failing and disabled endpoints are told with a link.

use hookstream_testkit::{
    receiver::{CannedResponse, Receiver},
    services::{MailServer, ReceivedMail},
};
use http::Method;
use serde_json::{Value, json};

use crate::support::{Server, TestClient, scratch};

const PATH: &str = "/v1/portal/notifications";

/// Customer with a portal token.
struct Customer {
    client: TestClient,
    bearer: String,
}

impl Customer {
    async fn send(&self, method: Method, path: &str, body: &str) -> (u16, Value) {
        self.client.send(method, path, &[("authorization", &self.bearer)], body.to_owned()).await
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.send(Method::GET, path, "").await
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.send(Method::POST, path, &body.to_string()).await
    }

    async fn delete(&self, path: &str) -> (u16, Value) {
        self.send(Method::DELETE, path, "").await
    }
}

async fn customer(client: &TestClient, application: &str) -> Customer {
    let (status, access) = client.post(&format!("/v1/applications/{application}/portal-access"), json!({})).await;
    assert_eq!(status, 200, "{access}");
    Customer { client: client.with_key(""), bearer: format!("Bearer {}", access["token"].as_str().expect("a token")) }
}

/// Returns the code in a mail.
fn code(mail: &ReceivedMail) -> String {
    let is_code = |line: &&str| line.len() == 6 && line.bytes().all(|byte| byte.is_ascii_digit());
    mail.text.lines().find(is_code).unwrap_or_else(|| panic!("no code: {}", mail.text)).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn confirmed_customer_is_told_of_own_endpoints_only() {
    let scratch = scratch();
    let mail = MailServer::start(&json!({}));
    let smtp = format!("smtp://127.0.0.1:{}?tls=none", mail.port());
    let of_mail = [("HOOKSTREAM_SMTP_URL", smtp.as_str()), ("HOOKSTREAM_MAIL_FROM", "hooks@example.com")];
    let server = Server::start_with(&scratch, &["--allow-targets", "127.0.0.0/8"], &of_mail, None);
    let client = &server.client;
    let bad = Receiver::responding(|_| CannedResponse::status(500)).await;
    let endpoint = client.acme(json!({ "uid": "main", "retry_schedule": [0, 0, 0, 0] }), &bad.url()).await;
    let environment = endpoint["env_id"].as_str().expect("an id");
    let page = "https://app.example.com/webhooks/{application_uid}#{endpoint_id}";
    let (status, changed) = client.patch(&format!("/v1/environments/{environment}"), json!({ "portal_url": page })).await;
    assert_eq!((status, &changed["environment"]["portal_url"]), (200, &json!(page)), "{changed}");
    let (status, other) = client.post("/v1/applications", json!({ "name": "Other", "uid": "other" })).await;
    assert_eq!(status, 201, "{other}");

    let acme = customer(client, "acme").await;
    let off = json!({ "email": null, "events": [], "state": "off", "is_available": true });
    assert_eq!(acme.get(PATH).await.1["notifications"], off);
    let (status, set) = acme.post(PATH, json!({ "email": "Dev@acme.example" })).await;
    let state = |answer: &Value| answer["notifications"]["state"].clone();
    assert_eq!((status, state(&set)), (200, json!("unconfirmed")), "{set}");
    assert!(!set.to_string().contains("code"), "{set}");
    let code = code(&mail.wait_for(1).await[0]);
    let confirm = format!("{PATH}/confirm");
    let (status, wrong) = acme.post(&confirm, json!({ "code": "x" })).await;
    assert_eq!((status, &wrong["code"]), (403, &json!("wrong_code")), "{wrong}");
    assert_eq!(customer(client, "other").await.post(&confirm, json!({ "code": code })).await.0, 409);
    let (status, on) = acme.post(&confirm, json!({ "code": code })).await;
    assert_eq!((status, state(&on)), (200, json!("on")), "{on}");
    assert_eq!(on["notifications"]["events"], json!(["endpoint_failing", "endpoint_disabled"]));
    assert_eq!(acme.post(&confirm, json!({ "code": code })).await.0, 409);

    // The fifth failure opens the circuit.
    client.message(json!({ "n": 1 })).await;
    let mails = mail.wait_for(2).await;
    assert_eq!(mails[1].to, ["dev@acme.example"]);
    assert_eq!(mails[1].header("Subject"), Some("Your webhook endpoint fails"));
    let link = format!("https://app.example.com/webhooks/acme#{}", endpoint["id"].as_str().expect("an id"));
    assert!(mails[1].text.contains(&link), "{}", mails[1].text);
    client.patch("/v1/applications/acme/endpoints/main", json!({ "status": "disabled" })).await;
    let mails = mail.wait_for(3).await;
    assert_eq!(mails[2].header("Subject"), Some("Your webhook endpoint is disabled"));

    // The choice is narrowed without another code, and the circuit is told once a day.
    let (_, narrowed) = acme.post(PATH, json!({ "email": "dev@acme.example", "events": ["endpoint_failing"] })).await;
    assert_eq!((state(&narrowed), &narrowed["notifications"]["events"]), (json!("on"), &json!(["endpoint_failing"])), "{narrowed}");
    client.patch("/v1/applications/acme/endpoints/main", json!({ "status": "active" })).await;
    client.message(json!({ "n": 2 })).await;
    hookstream_testkit::eventually("the circuit is open", async || {
        let (_, seen) = client.get("/v1/applications/acme/endpoints/main").await;
        (seen["endpoint"]["circuit_state"] == "open").then_some(())
    })
    .await;
    client.patch("/v1/applications/acme/endpoints/main", json!({ "status": "disabled" })).await;
    assert_eq!(acme.delete(PATH).await.0, 200);
    assert_eq!(acme.get(PATH).await.1["notifications"], off);
    client.patch("/v1/applications/acme/endpoints/main", json!({ "status": "active" })).await;
    client.patch("/v1/applications/acme/endpoints/main", json!({ "status": "disabled" })).await;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let subjects: Vec<_> = mail.received().iter().map(|mail| mail.header("Subject").unwrap_or_default().to_owned()).collect();
    assert_eq!(subjects.len(), 3, "{subjects:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_are_bounded_and_mistakes_are_named() {
    let scratch = scratch();
    let mail = MailServer::start(&json!({}));
    let smtp = format!("smtp://127.0.0.1:{}?tls=none", mail.port());
    let of_mail = [("HOOKSTREAM_SMTP_URL", smtp.as_str()), ("HOOKSTREAM_MAIL_FROM", "hooks@example.com")];
    let server = Server::start_with(&scratch, &["--allow-targets", "127.0.0.0/8"], &of_mail, None);
    server.client.acme(json!({}), "http://127.0.0.1:9/").await;
    let acme = customer(&server.client, "acme").await;
    for (body, field) in [
        (json!({ "email": "nobody" }), "email"),
        (json!({ "email": "dev@acme.example", "events": ["rain"] }), "events"),
        (json!({ "email": "dev@acme.example", "events": [] }), "events"),
    ] {
        let (status, refused) = acme.post(PATH, body).await;
        assert_eq!((status, &refused["details"]["field"]), (400, &json!(field)), "{refused}");
    }
    assert_eq!(acme.post(PATH, json!({ "email": "dev@acme.example" })).await.0, 200);
    let right = code(&mail.wait_for(1).await[0]);
    let confirm = format!("{PATH}/confirm");
    for _ in 0..5 {
        assert_eq!(acme.post(&confirm, json!({ "code": "no" })).await.0, 403);
    }
    let (status, over) = acme.post(&confirm, json!({ "code": right })).await;
    assert_eq!((status, &over["code"]), (409, &json!("none_to_confirm")), "{over}");
    for _ in 0..4 {
        assert_eq!(acme.post(PATH, json!({ "email": "dev@acme.example" })).await.0, 200);
    }
    let (status, limited) = acme.post(PATH, json!({ "email": "dev@acme.example" })).await;
    assert_eq!((status, &limited["code"]), (429, &json!("rate_limited")), "{limited}");
    assert_eq!(mail.received().len(), 5);
}
