//! Pages for signing in, setting up an account, accepting an invitation and allowing a device.
//!
//! All pages are one document with one script, which uses the API as any client does. The token of a link is behind
//! the `#`, so the address that reaches this server and its logs does not contain it.

use axum::{
    Router,
    response::{IntoResponse, Redirect, Response},
    routing,
};
use http::{HeaderValue, header};

use crate::state::Api;

const PAGE: &str = include_str!("../assets/account.html");
const SCRIPT: &str = include_str!("../assets/account.js");
const STYLE: &str = include_str!("../assets/account.css");

/// Paths of the pages.
pub(crate) const PATHS: [&str; 7] =
    ["/sign-in", "/sign-in/callback/{provider}", "/setup", "/invitation", "/forgot-password", "/reset-password", "/dashboard/cli-auth"];

/// Content security policy: only own resources, no frames, no change of the base address.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; \
    frame-ancestors 'none'";

/// Returns the routes of the pages.
pub(crate) fn routes() -> Router<Api> {
    let pages = PATHS.into_iter().fold(Router::new(), |router, path| router.route(path, routing::get(page)));
    pages
        .route("/", routing::get(|| async { Redirect::to("/sign-in") }))
        .route("/assets/account.js", routing::get(|| async { asset(SCRIPT, "text/javascript; charset=utf-8") }))
        .route("/assets/account.css", routing::get(|| async { asset(STYLE, "text/css; charset=utf-8") }))
}

async fn page() -> Response {
    let mut response = asset(PAGE, "text/html; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}

fn asset(text: &'static str, content_type: &'static str) -> Response {
    // Another version of the program may have other assets.
    ([(header::CONTENT_TYPE, content_type), (header::CACHE_CONTROL, "no-cache")], text).into_response()
}
