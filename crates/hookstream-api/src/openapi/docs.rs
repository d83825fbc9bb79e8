//! `/docs`: the API reference with a console, by Scalar. All files come from this binary, so the page works without
//! the Internet, and its policy lets it load nothing from elsewhere.

use std::sync::OnceLock;

use axum::{
    Router,
    response::{Html, IntoResponse, Response},
    routing,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderValue, header};
use sha2::{Digest, Sha256};

use crate::{http::gzip, state::Api};

/// HTML of the page; its last script configures Scalar.
const PAGE: &str = include_str!("../../assets/reference.html");
/// Scalar's script, compressed by the build script.
const SCRIPT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/scalar.js.gz"));
/// Path of Scalar's script.
const SCRIPT_PATH: &str = "/docs/scalar.js";
/// Browsers must revalidate, because the next version may have another script.
const NOT_UNASKED: HeaderValue = HeaderValue::from_static("no-cache");

/// Returns the routes of the page and its script.
pub(crate) fn routes() -> Router<Api> {
    Router::new().route("/docs", routing::get(page)).route("/docs/", routing::get(page)).route(SCRIPT_PATH, routing::get(script))
}

/// `GET /docs`
async fn page() -> Response {
    static POLICY: OnceLock<HeaderValue> = OnceLock::new();
    let policy = POLICY.get_or_init(|| HeaderValue::try_from(policy_of(PAGE)).expect("hashes are visible ASCII"));
    let mut response = Html(PAGE).into_response();
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy.clone());
    response.headers_mut().insert(header::CACHE_CONTROL, NOT_UNASKED);
    response
}

/// `GET /docs/scalar.js`, compressed if the client accepts it: 1.4 MB instead of 4.9 MB.
async fn script(headers: HeaderMap) -> Response {
    let mut response = gzip::respond(SCRIPT, &headers).await;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/javascript; charset=utf-8"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("max-age=86400"));
    response
}

/// Content security policy of the page: Scalar's script, its own script (by hash), inline styles, and requests to
/// this server (CSP level 3).
fn policy_of(page: &str) -> String {
    let (_, rest) = page.rsplit_once("<script>").expect("the page has a script");
    let (text, _) = rest.split_once("</script>").expect("the script has an end");
    let hash = STANDARD.encode(Sha256::digest(text));
    format!(
        "default-src 'none'; script-src 'self' 'sha256-{hash}'; style-src 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; \
         connect-src 'self'; worker-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_runs_its_own_scripts_only() {
        let policy = policy_of(PAGE);
        assert!(policy.starts_with("default-src 'none'; script-src 'self' 'sha256-"), "{policy}");
        assert!(!policy.contains("http") && !policy.contains("unsafe-eval"), "{policy}");
        assert_eq!(PAGE.matches("<script").count(), 2);
        assert!(PAGE.contains(&format!("src=\"{SCRIPT_PATH}\"")) && !PAGE.contains("://"));
    }

    #[tokio::test]
    async fn scalar_is_in_the_binary() {
        assert!(SCRIPT.len() < 2_000_000, "{} bytes", SCRIPT.len());
        let response = script(HeaderMap::new()).await;
        let text = axum::body::to_bytes(response.into_body(), 20_000_000).await.expect("read");
        assert!(String::from_utf8(text.into()).expect("text").contains("createApiReference"));
    }
}
