//! Protection against cross-site request forgery: a request with a cookie that changes something must come from a
//! page of this installation.
//!
//! Browsers state the origin of a request, and pages cannot change that: `Sec-Fetch-Site` (W3C Fetch Metadata), else
//! `Origin` (RFC 6454). A client that sends neither header is not a browser that attaches cookies by itself.

use axum::extract::FromRequestParts;
use http::{HeaderMap, Method, Uri, header, request::Parts};

use crate::{
    http::error::{ApiError, ErrorCode},
    state::Api,
};

/// Refuses a changing request from another site.
pub(crate) fn check(parts: &Parts, api: &Api) -> Result<(), ApiError> {
    let is_safe = matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
    if is_safe { Ok(()) } else { check_always(parts, api) }
}

/// Refuses a request from another site, also one that changes nothing: browsers let pages of other sites open a
/// WebSocket with the session cookie and read it.
pub(crate) fn check_always(parts: &Parts, api: &Api) -> Result<(), ApiError> {
    if is_own(&parts.headers, &parts.uri, &api.options.public_url) {
        return Ok(());
    }
    let message = "The request comes from a page of another site. Requests with the session cookie must come from a page of this \
        installation. Behind a proxy, set public_url to the address that browsers show. Programs must use an API key.";
    Err(ApiError::new(ErrorCode::CrossOrigin, message))
}

/// Same check as an extractor, for operations that set the cookie.
pub(crate) struct SameOrigin;

impl FromRequestParts<Api> for SameOrigin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        check(parts, api).map(|()| Self)
    }
}

fn is_own(headers: &HeaderMap, uri: &Uri, public_url: &str) -> bool {
    let text = |name: http::HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let origin = text(header::ORIGIN);
    if let Some(site) = text(http::HeaderName::from_static("sec-fetch-site")) {
        // `none` means that the user typed the address.
        if matches!(site, "same-origin" | "none") {
            return true;
        }
        // The page may be under the public URL, while the request goes to another address of this server.
        return origin.is_some_and(|origin| origin == public_url);
    }
    let Some(origin) = origin else { return true };
    if origin == public_url {
        return true;
    }
    // A proxy may speak TLS where this server does not, so only the part behind the scheme is compared.
    let host = text(header::HOST).or_else(|| uri.authority().map(http::uri::Authority::as_str));
    let of_origin = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    host.is_some() && of_origin == host
}

#[cfg(test)]
mod tests;
