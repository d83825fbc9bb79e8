//! Security headers of every response: no content sniffing, no frames, no referrer, no reading by other sites, and no
//! caching of private content.
//!
//! There is no CORS: no response has an `access-control-…` header, and a preflight (OPTIONS) is answered 405 like any
//! method that a route does not have. Pages of other sites can therefore read nothing.

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Headers of every response. The values are static, so writing them allocates nothing.
const ALWAYS: [(HeaderName, HeaderValue); 3] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
];

/// Headers that a handler may override. By default a response loads nothing, is in no frame and is not cached.
const UNLESS_SAID: [(HeaderName, HeaderValue); 3] = [
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (RESOURCE_POLICY, HeaderValue::from_static("same-origin")),
];

/// Pages of which origins may load a response (Fetch, `Cross-Origin-Resource-Policy`).
pub(crate) const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Rule of a content security policy that forbids frames.
const NO_FRAMES: &str = "frame-ancestors 'none'";

/// HTTPS only, for a year (RFC 6797). Subdomains are not included, because they may belong to others.
const ONLY_HTTPS: (HeaderName, HeaderValue) = (header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));

/// Usual maximum number of headers of a response, reserved once.
const ROOM: usize = 16;

/// Writes the headers into a response. `is_secure` is true if this server itself speaks TLS; a proxy in front of it
/// sends its own headers.
pub(crate) fn write(headers: &mut HeaderMap, is_secure: bool) {
    headers.reserve(ROOM.saturating_sub(headers.len()));
    for (name, value) in ALWAYS {
        headers.insert(name, value);
    }
    for (name, value) in UNLESS_SAID {
        headers.entry(name).or_insert(value);
    }
    // `X-Frame-Options` repeats the rule for old browsers; it cannot name origins.
    if headers.get(header::CONTENT_SECURITY_POLICY).and_then(|policy| policy.to_str().ok()).is_some_and(|policy| policy.contains(NO_FRAMES))
    {
        headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    }
    if is_secure {
        let (name, value) = ONLY_HTTPS;
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(mut headers: HeaderMap, is_secure: bool) -> HeaderMap {
        write(&mut headers, is_secure);
        headers
    }

    #[test]
    fn response_is_closed_unless_the_handler_overrides() {
        let plain = written(HeaderMap::new(), false);
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(plain.get(name).and_then(|value| value.to_str().ok()), Some(value), "{name}");
        }
        assert_eq!(plain.len(), 7);
        let mut said = HeaderMap::new();
        said.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'self'; frame-ancestors https://example.com"));
        said.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        let said = written(said, false);
        assert_eq!(
            (&said["content-security-policy"], &said["cache-control"]),
            (&HeaderValue::from_static("default-src 'self'; frame-ancestors https://example.com"), &HeaderValue::from_static("no-cache"))
        );
        assert_eq!((said.len(), said.get("x-frame-options")), (6, None));
    }

    #[test]
    fn https_only_header_requires_tls() {
        assert_eq!(written(HeaderMap::new(), false).get("strict-transport-security"), None);
        assert_eq!(written(HeaderMap::new(), true)["strict-transport-security"], "max-age=31536000");
    }
}
