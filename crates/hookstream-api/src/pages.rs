//! The dashboard: a web application that uses the API as any client does.
//!
//! Every page is one document; the application reads the address. Pages for signing in, setting up an account and
//! accepting an invitation have paths outside of `/dashboard`, because links in mails lead there. The token of a link is
//! behind the `#`, so the address that reaches this server and its logs does not contain it.

use axum::{
    Router,
    extract::Path,
    response::{IntoResponse, Redirect, Response},
    routing,
};
use hookstream_dashboard::Asset;
use http::{HeaderMap, HeaderValue, header};

use crate::{
    http::{error::ApiError, gzip},
    state::Api,
};

/// Paths of the pages outside of `/dashboard`. The router of the application has the same list.
const PATHS: [&str; 6] = ["/sign-in", "/sign-in/callback/{provider}", "/setup", "/invitation", "/forgot-password", "/reset-password"];

/// Folder of the files whose name contains a hash of the content.
const HASHED: &str = "assets/";

/// Returns the routes of the application.
pub(crate) fn routes() -> Router<Api> {
    let pages = PATHS.into_iter().fold(Router::new(), |router, path| router.route(path, routing::get(page)));
    pages
        .route("/", routing::get(|| async { Redirect::to("/dashboard") }))
        .route("/dashboard", routing::get(page))
        .route("/dashboard/", routing::get(page))
        .route("/dashboard/{*path}", routing::get(file))
}

async fn page(headers: HeaderMap) -> Response {
    respond(hookstream_dashboard::page(), &headers).await
}

/// `GET /dashboard/{path}`: a file of the application, or else its document. A file that this version lacks is 404, so
/// that a browser with an older document does not read HTML as a script.
async fn file(Path(path): Path<String>, headers: HeaderMap) -> Result<Response, ApiError> {
    match hookstream_dashboard::find(&path) {
        Some(asset) => Ok(respond(asset, &headers).await),
        None if path.starts_with(HASHED) => Err(ApiError::unknown_route()),
        None => Ok(respond(hookstream_dashboard::page(), &headers).await),
    }
}

async fn respond(asset: &'static Asset, headers: &HeaderMap) -> Response {
    let mut response = if asset.is_gzip() { gzip::respond(asset.body(), headers).await } else { asset.body().into_response() };
    let caching = if asset.is_immutable() { "public, max-age=31536000, immutable" } else { "no-cache" };
    let head = response.headers_mut();
    head.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.content_type()));
    head.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    head.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(hookstream_dashboard::POLICY));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn got(path: &str, encoding: &'static str) -> Result<Response, ApiError> {
        let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(encoding))]);
        file(Path(path.to_owned()), headers).await
    }

    #[tokio::test]
    async fn unknown_paths_are_pages_and_unknown_files_are_not() {
        let page = got("messages/01a2181977e071d2b8e29f03c41d7f3a", "").await.expect("a page");
        assert_eq!(
            (&page.headers()["content-type"], &page.headers()["cache-control"]),
            (&HeaderValue::from_static("text/html; charset=utf-8"), &HeaderValue::from_static("no-cache"))
        );
        assert!(!page.headers().contains_key("content-encoding"));
        assert!(got("assets/absent-12345678.js", "gzip").await.is_err());
    }

    #[tokio::test]
    async fn pages_have_a_strict_policy_and_are_compressed() {
        let page = got("", "br, gzip").await.expect("a page");
        let policy = page.headers()["content-security-policy"].to_str().expect("text");
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(page.headers().contains_key("content-encoding"), hookstream_dashboard::is_built());
    }
}
