//! Headers of every response.

use http::Method;

use crate::tests::{Client, Installation};

#[tokio::test]
async fn responses_are_not_readable_by_other_sites() {
    let installation = Installation::start().await;
    let stranger = installation.browser();
    let ask = async |client: &Client, method: Method, path: &str| {
        let headers = [("origin", "https://elsewhere.example"), ("access-control-request-method", "POST"), ("cookie", "a=b")];
        client.respond(method, path, &headers, "").await
    };
    for (client, method, path, status, cache_control) in [
        (&installation.client, Method::GET, "/v1/applications", 200, "no-store"),
        (&installation.client, Method::POST, "/v1/applications", 400, "no-store"),
        (&stranger, Method::GET, "/v1/applications", 401, "no-store"),
        (&installation.client, Method::GET, "/v1/nothing", 404, "no-store"),
        (&installation.client, Method::OPTIONS, "/v1/nothing", 404, "no-store"),
        (&installation.client, Method::OPTIONS, "/v1/applications", 405, "no-store"),
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
        assert_eq!(headers.get("strict-transport-security"), None, "{path}: this installation has no TLS");
        let cors: Vec<_> = headers.keys().filter(|name| name.as_str().starts_with("access-control")).collect();
        assert!(cors.is_empty(), "{method} {path}: {cors:?}");
    }
}
