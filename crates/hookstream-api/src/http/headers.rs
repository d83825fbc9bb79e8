//! What every answer tells a browser: that it is to be taken for what it says it is, shown in no frame, read by no
//! other site, sent nowhere and, where it may be somebody's, kept nowhere.
//!
//! There is no CORS: no answer has an `access-control-…` header, and a preflight (OPTIONS) is answered 405 like any
//! method that a route does not have. Pages of other sites read nothing here, whatever a browser would send along.

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Stands in every answer as it is. The values are static, so that writing them allocates nothing.
const ALWAYS: [(HeaderName, HeaderValue); 5] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];

/// Stands where a handler says nothing else: an answer loads nothing, is in no frame and is not kept.
const UNLESS_SAID: [(HeaderName, HeaderValue); 2] = [
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

/// A year: from now on this host is asked by HTTPS only (RFC 6797). Not for the hosts below it, which are not ours.
const ONLY_HTTPS: (HeaderName, HeaderValue) = (header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));

/// How many headers an answer has at most, by and large: room for them is made once.
const ROOM: usize = 16;

/// Writes them into an answer. `is_secure` says whether this server itself speaks TLS; what a proxy in front of it
/// speaks, the proxy tells.
pub(crate) fn write(headers: &mut HeaderMap, is_secure: bool) {
    headers.reserve(ROOM.saturating_sub(headers.len()));
    for (name, value) in ALWAYS {
        headers.insert(name, value);
    }
    for (name, value) in UNLESS_SAID {
        headers.entry(name).or_insert(value);
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
    fn an_answer_is_closed_unless_its_handler_says_otherwise() {
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
        said.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'self'"));
        said.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        let said = written(said, false);
        assert_eq!(
            (&said["content-security-policy"], &said["cache-control"]),
            (&HeaderValue::from_static("default-src 'self'"), &HeaderValue::from_static("no-cache"))
        );
        assert_eq!(said.len(), 7);
    }

    #[test]
    fn only_a_server_that_speaks_tls_asks_for_https() {
        assert_eq!(written(HeaderMap::new(), false).get("strict-transport-security"), None);
        assert_eq!(written(HeaderMap::new(), true)["strict-transport-security"], "max-age=31536000");
    }
}
