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
    if is_safe || is_own(&parts.headers, &parts.uri, &api.options.public_url) {
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
mod tests {
    use http::HeaderValue;

    use super::*;

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
}
