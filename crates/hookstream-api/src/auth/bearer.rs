//! API keys and bearer tokens of a request.

use http::{HeaderMap, header};

/// Returns the API keys of a request, in order of precedence.
pub(crate) fn keys(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let key = headers.get("x-api-key").and_then(|value| value.to_str().ok());
    [key, bearer_of(headers)].into_iter().flatten().map(str::trim).filter(|text| !text.is_empty())
}

/// Returns the token of a bearer header. The scheme is case-insensitive (RFC 9110 section 11.1).
pub(crate) fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

/// Returns the bearer token of a request.
pub(crate) fn bearer_of(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(bearer).map(str::trim)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn api_key_header_precedes_bearer_token() {
        let mut headers = HeaderMap::new();
        let check = |headers: &HeaderMap, expected: &[&str]| assert_eq!(keys(headers).collect::<Vec<_>>(), expected);
        check(&headers, &[]);
        headers.insert(header::COOKIE, HeaderValue::from_static("better-auth.session_token=three"));
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static("bEARER two"));
        check(&headers, &["two"]);
        headers.insert("x-api-key", HeaderValue::from_static(" one "));
        check(&headers, &["one", "two"]);
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Basic abc"));
        headers.insert("x-api-key", HeaderValue::from_static(""));
        check(&headers, &[]);
    }
}
