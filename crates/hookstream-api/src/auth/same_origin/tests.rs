//! Requests from other sites.

use http::{HeaderValue, Method};
use serde_json::json;

use super::*;
use crate::tests::{Installation, PASSWORD, URL};

#[tokio::test]
async fn cross_site_requests_are_rejected() {
    let mut installation = Installation::start().await;
    let owner = installation.owner().await;
    let body = json!({ "name": "Forged", "uid": "forged" }).to_string();
    for headers in [&[("origin", "https://evil.example")][..], &[("sec-fetch-site", "cross-site")], &[("origin", "null")]] {
        let (status, refusal) = owner.send(Method::POST, "/v1/applications", headers, body.clone()).await;
        assert_eq!((status, &refusal["code"]), (403, &json!("cross_origin")), "{headers:?}");
        let (status, refusal) = owner.send(Method::DELETE, "/v1/auth/sessions", headers, String::new()).await;
        assert_eq!((status, &refusal["code"]), (403, &json!("cross_origin")), "{headers:?}");
        let sign_in = json!({ "email": "owner@example.com", "password": PASSWORD }).to_string();
        assert_eq!(installation.browser().send(Method::POST, "/v1/auth/sign-in", headers, sign_in).await.0, 403, "{headers:?}");
        // A key is not a cookie, so browsers do not send it by themselves.
        assert_eq!(installation.client.send(Method::GET, "/v1/applications", headers, "").await.0, 200);
    }
    assert_eq!(owner.get("/v1/applications/forged").await.0, 404);
    let own = [("origin", URL), ("sec-fetch-site", "same-origin")];
    assert_eq!(owner.send(Method::POST, "/v1/applications", &own, body).await.0, 201);
}

#[test]
fn changing_request_from_another_site_is_refused() {
    let check = |given: &[(&'static str, &'static str)], expected: bool| {
        let mut headers = HeaderMap::new();
        for (name, value) in given {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        assert_eq!(is_own(&headers, &Uri::from_static("/v1/x"), "https://hooks.example.com"), expected, "{given:?}");
    };
    check(&[("host", "hooks.example.com")], true);
    check(&[("sec-fetch-site", "same-origin")], true);
    check(&[("sec-fetch-site", "none")], true);
    check(&[("sec-fetch-site", "same-site"), ("origin", "https://evil.example.com")], false);
    check(&[("sec-fetch-site", "cross-site"), ("host", "hooks.example.com")], false);
    check(&[("sec-fetch-site", "cross-site"), ("origin", "https://hooks.example.com")], true);
    check(&[("origin", "https://hooks.example.com"), ("host", "10.0.0.1:8484")], true);
    check(&[("origin", "http://10.0.0.1:8484"), ("host", "10.0.0.1:8484")], true);
    check(&[("origin", "https://evil.example"), ("host", "hooks.example.com")], false);
    check(&[("origin", "evil://hooks.example.com"), ("host", "hooks.example.com")], false);
    check(&[("origin", "null"), ("host", "hooks.example.com")], false);
    check(&[("origin", "https://hooks.example.com.evil.example"), ("host", "hooks.example.com")], false);
}
