//! The pages on which people sign in, set themselves up, accept an invitation, and allow a device.
//!
//! They are one document with one script, which speaks to the API as any program does. A link's token stands after the
//! `#`, so that it reaches neither this server nor a log as part of an address.

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

/// Where they are.
pub(crate) const PATHS: [&str; 7] =
    ["/sign-in", "/sign-in/callback/{provider}", "/setup", "/invitation", "/forgot-password", "/reset-password", "/dashboard/cli-auth"];

/// Nothing but what is served here, in no frame, with no base that moves its addresses.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; \
    frame-ancestors 'none'";

/// Their routes.
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
    // Another version of the program has others.
    ([(header::CONTENT_TYPE, content_type), (header::CACHE_CONTROL, "no-cache")], text).into_response()
}
