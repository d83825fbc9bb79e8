//! Opening handshake of a WebSocket (RFC 6455 section 4.2), the server's side.

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderValue, Method, Version, header, request::Parts};
use sha1::{Digest, Sha1};

use crate::http::error::{ApiError, ErrorCode};

/// Text that the server appends to the client's key (RFC 6455 section 1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Number of random bytes in the client's key.
const KEY_BYTES: usize = 16;

/// Checks a handshake. Returns the value of `Sec-WebSocket-Accept`.
///
/// # Errors
/// If the request is no handshake of the supported version.
pub(super) fn accept(parts: &Parts) -> Result<HeaderValue, ApiError> {
    let headers = &parts.headers;
    let is_handshake = parts.method == Method::GET
        && parts.version == Version::HTTP_11
        && has_word(headers, &header::CONNECTION, "upgrade")
        && has_word(headers, &header::UPGRADE, "websocket");
    if !is_handshake {
        return Err(needed("The request is not a WebSocket handshake over HTTP/1.1"));
    }
    if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(needed("The WebSocket handshake has another version than 13"));
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes).unwrap_or_default();
    if STANDARD.decode(key).ok().is_none_or(|key| key.len() != KEY_BYTES) {
        return Err(needed("The WebSocket handshake has no valid Sec-WebSocket-Key"));
    }
    Ok(answer_to(key))
}

fn answer_to(key: &[u8]) -> HeaderValue {
    let hash = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    HeaderValue::from_str(&STANDARD.encode(hash)).expect("base64 is ASCII")
}

fn needed(problem: &str) -> ApiError {
    let message = format!("{problem}. Connect with a WebSocket client, or use GET /v1/stream for server-sent events.");
    ApiError::new(ErrorCode::WebSocketNeeded, message)
}

/// Returns true if a comma-separated header has a word, ignoring case.
fn has_word(headers: &HeaderMap, name: &header::HeaderName, word: &str) -> bool {
    let lines = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|part| part.trim().eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn handshake(headers: &[(&str, &str)]) -> Result<HeaderValue, ApiError> {
        let builder = headers.iter().fold(Request::builder(), |builder, (name, value)| builder.header(*name, *value));
        accept(&builder.body(()).expect("a request").into_parts().0)
    }

    const GOOD: [(&str, &str); 4] = [
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "WebSocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];

    #[test]
    fn handshake_of_the_standard_is_answered() {
        // RFC 6455 section 1.3.
        assert_eq!(handshake(&GOOD).expect("accepted"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn incomplete_handshake_is_refused() {
        for (missing, _) in GOOD {
            let headers: Vec<_> = GOOD.into_iter().filter(|(name, _)| *name != missing).collect();
            assert!(handshake(&headers).is_err(), "without {missing}");
        }
        for (name, value) in
            [("connection", "close"), ("upgrade", "h2c"), ("sec-websocket-version", "8"), ("sec-websocket-key", "c2hvcnQ=")]
        {
            let headers = GOOD.map(|header| if header.0 == name { (name, value) } else { header });
            assert!(handshake(&headers).is_err(), "{name}: {value}");
        }
    }
}
