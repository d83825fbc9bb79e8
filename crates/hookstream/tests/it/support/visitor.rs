//! Browser of a user, with its cookies, for tests.

use std::{collections::BTreeMap, sync::Mutex};

use bytes::Bytes;
use http::{Method, Response, header};
use serde_json::{Value, json};

use crate::support::{Server, TestClient};

/// Strong password.
pub(crate) const PASSWORD: &str = "plum teapot gravel seven";

/// Name of the session cookie.
const SESSION: &str = "better-auth.session_token";

/// Browser with its cookies.
pub(crate) struct Visitor {
    client: TestClient,
    cookies: Mutex<BTreeMap<String, String>>,
}

impl Visitor {
    /// Returns a browser without a session.
    pub(crate) fn new(server: &Server) -> Self {
        Self::of(&server.client)
    }

    /// Returns a browser without a session, from a client.
    fn of(client: &TestClient) -> Self {
        Self { client: client.with_key(""), cookies: Mutex::default() }
    }

    /// Signs up the first owner, with the link that the server printed.
    pub(crate) async fn owner(server: &Server) -> Self {
        Self::set_up(&server.client, server.setup_link.as_deref().expect("no user exists yet")).await
    }

    /// Signs up the first owner with a link.
    pub(crate) async fn set_up(client: &TestClient, link: &str) -> Self {
        let owner = Self::of(client);
        let body = json!({ "token": token(link), "email": "owner@example.com", "name": "The Owner", "password": PASSWORD });
        let (status, response) = owner.post("/v1/auth/setup", body).await;
        assert_eq!(status, 200, "{response}");
        owner
    }

    /// Invites a user, who accepts with another browser.
    pub(crate) async fn invite(&self, server: &Server, email: &str, role: &str) -> Self {
        let organization = self.organization().await;
        let (status, response) =
            self.post(&format!("/v1/organizations/{organization}/invitations"), json!({ "email": email, "role": role })).await;
        assert_eq!(status, 201, "{response}");
        let guest = Self::new(server);
        let body = json!({ "token": token(response["url"].as_str().expect("a link")), "password": PASSWORD });
        let (status, response) = guest.post("/v1/auth/invitations/accept", body).await;
        assert_eq!(status, 200, "{response}");
        guest
    }

    /// Id of the session's organization.
    pub(crate) async fn organization(&self) -> String {
        self.get("/v1/auth/session").await.1["org_id"].as_str().expect("a member").to_owned()
    }

    /// Id of the signed-in user.
    pub(crate) async fn id(&self) -> String {
        self.get("/v1/auth/session").await.1["user"]["id"].as_str().expect("an id").to_owned()
    }

    /// Session cookie, as it is sent.
    pub(crate) fn cookie(&self) -> Option<String> {
        self.cookies.lock().expect("not poisoned").get(SESSION).map(|value| format!("{SESSION}={value}"))
    }

    /// Sends a request like a browser, and keeps the cookies that are set.
    pub(crate) async fn try_send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: String) -> Response<Bytes> {
        let pairs = |cookies: &BTreeMap<String, String>| cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
        let cookies = pairs(&self.cookies.lock().expect("not poisoned")).join("; ");
        let mut headers = headers.to_vec();
        if !cookies.is_empty() {
            headers.push(("cookie", &cookies));
        }
        let response = self.client.try_send(method, path, &headers, body).await.expect("the server responds");
        for line in response.headers().get_all(header::SET_COOKIE) {
            let line = line.to_str().expect("text");
            let (name, value) = line.split(';').next().and_then(|pair| pair.split_once('=')).expect("a name and a value");
            let mut cookies = self.cookies.lock().expect("not poisoned");
            if line.contains("Max-Age=0") {
                cookies.remove(name);
            } else {
                cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        response
    }

    pub(crate) async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: String) -> (u16, Value) {
        let response = self.try_send(method, path, headers, body).await;
        let body = serde_json::from_slice(response.body()).unwrap_or_else(|_| panic!("no JSON: {:?}", response.body()));
        (response.status().as_u16(), body)
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        self.send(Method::GET, path, &[], String::new()).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.send(Method::POST, path, &[], body.to_string()).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> (u16, Value) {
        self.send(Method::PATCH, path, &[], body.to_string()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> (u16, Value) {
        self.send(Method::DELETE, path, &[], String::new()).await
    }

    /// Signs in; the result may be a rejection.
    pub(crate) async fn sign_in(&self, email: &str, password: &str, code: Option<&str>) -> (u16, Value) {
        self.post("/v1/auth/sign-in", json!({ "email": email, "password": password, "code": code })).await
    }
}

/// Returns the part after `#token=` of a link.
pub(crate) fn token(link: &str) -> String {
    link.split_once("#token=").expect("a link with a token").1.to_owned()
}
