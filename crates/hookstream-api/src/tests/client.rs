//! Client of an installation in process: a program with a key, or a browser with its cookies.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{Router, body::Body, extract::ConnectInfo};
use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower_service::Service;

use super::Installation;

/// Strong password.
pub(crate) const PASSWORD: &str = "plum teapot gravel seven";

/// Client; clones share their cookies.
#[derive(Clone)]
pub(crate) struct Client {
    router: Router,
    /// Header with an API key or a portal token.
    credentials: Option<(&'static str, String)>,
    cookies: Arc<Mutex<BTreeMap<String, String>>>,
}

impl Client {
    /// Returns a client without credentials.
    pub(super) fn anonymous(router: Router) -> Self {
        Self { router, credentials: None, cookies: Arc::default() }
    }

    /// Returns a client with another key, without cookies.
    pub(crate) fn with_key(&self, key: &str) -> Self {
        Self { credentials: Some(("x-api-key", key.to_owned())), ..Self::anonymous(self.router.clone()) }
    }

    /// Returns the customer of an application, with a portal token.
    pub(crate) async fn customer(&self, application: &str) -> Self {
        let (status, access) = self.post(&format!("/v1/applications/{application}/portal-access"), Value::Null).await;
        assert_eq!(status, 200, "{access}");
        self.with_token(text(&access, "token"))
    }

    /// Returns a client with another portal token, without cookies.
    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self { credentials: Some(("authorization", format!("Bearer {token}"))), ..Self::anonymous(self.router.clone()) }
    }

    /// Creates an API key and returns its id and a client that uses it.
    pub(crate) async fn create_key(&self, body: Value) -> (String, Self) {
        let (status, created) = self.post("/v1/auth/api-keys", body).await;
        assert_eq!(status, 201, "{created}");
        (text(&created, "id").to_owned(), self.with_key(text(&created, "key")))
    }

    /// Text of the API key.
    pub(crate) fn key(&self) -> &str {
        &self.credentials.as_ref().expect("a client with a key").1
    }

    /// Sends a request from loopback and returns the whole response.
    pub(crate) async fn respond(&self, method: Method, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Response<Bytes> {
        let mut request = Request::builder().method(method).uri(path);
        request = request.extension(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 40_000))));
        if let Some((name, value)) = &self.credentials {
            request = request.header(*name, value);
        }
        let cookies: Vec<_> = self.cookies.lock().expect("no panic").iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !cookies.is_empty() {
            request = request.header(header::COOKIE, cookies.join("; "));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.into())).expect("a request");
        let Ok(response) = self.router.clone().call(request).await;
        let (head, body) = response.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        for line in head.headers.get_all(header::SET_COOKIE) {
            let line = line.to_str().expect("text");
            let (name, value) = line.split(';').next().and_then(|pair| pair.split_once('=')).expect("a name and a value");
            let mut cookies = self.cookies.lock().expect("no panic");
            if line.contains("Max-Age=0") {
                cookies.remove(name);
            } else {
                cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        Response::from_parts(head, body)
    }

    /// Sends a request and returns the status and the JSON of the response.
    pub(crate) async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> (u16, Value) {
        let response = self.respond(method, path, headers, body).await;
        let body = serde_json::from_slice(response.body()).unwrap_or_else(|_| panic!("not JSON: {:?}", response.body()));
        (response.status().as_u16(), body)
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        self.send(Method::GET, path, &[], Bytes::new()).await
    }

    /// Sends a POST; `null` stands for no body.
    pub(crate) async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.send(Method::POST, path, &[], if body.is_null() { String::new() } else { body.to_string() }).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> (u16, Value) {
        self.send(Method::PATCH, path, &[], body.to_string()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> (u16, Value) {
        self.send(Method::DELETE, path, &[], Bytes::new()).await
    }

    /// Creates the application `acme` with an endpoint, and returns the endpoint.
    pub(crate) async fn acme(&self, mut endpoint: Value, url: &str) -> Value {
        let (status, response) = self.post("/v1/applications", json!({ "name": "Acme", "uid": "acme" })).await;
        assert_eq!(status, 201, "{response}");
        endpoint["url"] = url.into();
        let (status, response) = self.post("/v1/applications/acme/endpoints", endpoint).await;
        assert_eq!(status, 201, "{response}");
        response["endpoint"].clone()
    }

    /// Sends a message to `acme` and returns its id.
    pub(crate) async fn message(&self, payload: Value) -> String {
        let (status, response) =
            self.post("/v1/applications/acme/messages", json!({ "event_type": "invoice.paid", "payload": payload })).await;
        assert_eq!(status, 201, "{response}");
        text(&response["message"], "id").to_owned()
    }

    /// Waits until a message has this status, and returns it with its attempts.
    pub(crate) async fn until(&self, id: &str, status: &str) -> Value {
        let path = format!("/v1/messages/{id}");
        hookstream_testkit::eventually(&format!("message {status}"), async || {
            let (_, response) = self.get(&path).await;
            (response["message"]["status"] == status).then_some(response)
        })
        .await
    }

    /// Invites a user, who accepts with another browser.
    pub(crate) async fn invite(&self, installation: &Installation, email: &str, role: &str) -> Self {
        let path = format!("/v1/organizations/{}/invitations", self.organization().await);
        let (status, response) = self.post(&path, json!({ "email": email, "role": role })).await;
        assert_eq!(status, 201, "{response}");
        let guest = installation.browser();
        let body = json!({ "token": token(text(&response, "url")), "password": PASSWORD });
        let (status, response) = guest.post("/v1/auth/invitations/accept", body).await;
        assert_eq!(status, 200, "{response}");
        guest
    }

    /// Signs in; the result may be a rejection.
    pub(crate) async fn sign_in(&self, email: &str, password: &str, code: Option<&str>) -> (u16, Value) {
        self.post("/v1/auth/sign-in", json!({ "email": email, "password": password, "code": code })).await
    }

    /// First environment of the caller's organization.
    pub(crate) async fn environment(&self) -> Value {
        self.get("/v1/environments").await.1["environments"][0].clone()
    }

    /// Id of the session's organization.
    pub(crate) async fn organization(&self) -> String {
        text(&self.get("/v1/auth/session").await.1, "org_id").to_owned()
    }

    /// Id of the signed-in user.
    pub(crate) async fn id(&self) -> String {
        text(&self.get("/v1/auth/session").await.1["user"], "id").to_owned()
    }
}

/// Returns a text field.
pub(crate) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("no text {name} in {value}"))
}

/// Returns the part after `#token=` of a link.
pub(crate) fn token(link: &str) -> String {
    link.split_once("#token=").expect("a link with a token").1.to_owned()
}

/// Checks that a response is an error in the documented form.
pub(crate) fn refused((status, response): &(u16, Value), expected: u16, code: &str) {
    assert_eq!((*status, &response["status"], &response["code"]), (expected, &json!(expected), &json!(code)), "{response}");
    assert!(response["error"].as_str().is_some_and(|error| error.ends_with(['.', '?'])), "{response}");
    assert!(response["request_id"].as_str().is_some_and(|id| id.len() == 16 && id.starts_with("req_")), "{response}");
}

/// Checks that a response refuses a field.
pub(crate) fn invalid_field(response: &(u16, Value), field: &str) {
    refused(response, 400, "invalid_field");
    assert_eq!(response.1["details"]["field"], field, "{}", response.1);
}
