//! API keys and bearer tokens of a request, and the token in the query of the live stream.

use http::{HeaderMap, Uri, header};

/// Paths of the live stream. Only these take a token from the query, because browsers cannot set headers there; the
/// request log has paths without queries.
const STREAM: [&str; 2] = ["/v1/ws", "/v1/stream"];

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

/// Returns true if the path is of the live stream.
pub(crate) fn is_of_stream(path: &str) -> bool {
    STREAM.contains(&path)
}

/// Returns the token in the query of a request to the live stream: an API key or a portal token. Callers check that the
/// request is one.
pub(crate) fn query_token(uri: &Uri) -> Option<String> {
    let (_, token) = url::form_urlencoded::parse(uri.query()?.as_bytes()).find(|(name, _)| name == "token")?;
    Some(token.trim().to_owned()).filter(|token| !token.is_empty())
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

    #[test]
    fn token_is_read_from_the_query() {
        let check = |uri: &str, expected: Option<&str>| {
            assert_eq!(query_token(&uri.parse().expect("an address")).as_deref(), expected, "{uri}");
        };
        check("/v1/ws?token=abc", Some("abc"));
        check("/v1/stream?channel=jobs&token=a%2Ec", Some("a.c"));
        check("/v1/stream?channel=jobs", None);
        check("/v1/ws?token=", None);
        check("/v1/ws", None);
        assert!(is_of_stream("/v1/ws") && is_of_stream("/v1/stream") && !is_of_stream("/v1/messages") && !is_of_stream("/v1/ws/"));
    }
}
