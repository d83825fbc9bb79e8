//! Responses of files that the binary contains compressed.

use std::io::Read;

use axum::{
    body::Bytes,
    response::{IntoResponse, Response},
};
use flate2::read::GzDecoder;
use http::{HeaderMap, HeaderValue, header};

/// Returns a response with a file that is compressed with gzip; decompressed if the client does not accept that.
pub(crate) async fn respond(file: &'static [u8], headers: &HeaderMap) -> Response {
    let mut response = if accepts_gzip(headers) {
        let mut response = Bytes::from_static(file).into_response();
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        response
    } else {
        let decompress = move || {
            let mut plain = Vec::new();
            GzDecoder::new(file).read_to_end(&mut plain).map(|_| plain)
        };
        // Apart from the runtime's threads: a large file takes some milliseconds.
        let plain = tokio::task::spawn_blocking(decompress).await;
        plain.expect("it does not panic").expect("a build script compressed it").into_response()
    };
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    response
}

/// Returns whether `Accept-Encoding` allows gzip (RFC 9110, section 12.5.3): by name with a weight above 0.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|coding| {
        let (name, parameters) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = parameters.trim().strip_prefix("q=").map_or(Ok(1.0), str::parse::<f32>);
        name.trim().eq_ignore_ascii_case("gzip") && weight.is_ok_and(|weight| weight > 0.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn file_is_decompressed_for_a_client_without_gzip() {
        // printf hook | gzip -n | xxd -i
        const FILE: &[u8] = &[
            0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x03, 0xcb, 0xc8, 0xcf, 0xcf, 0x06, 0x00, 0x55, 0x43, 0x58, 0xa4, 0x04,
            0x00, 0x00, 0x00,
        ];
        let response = respond(FILE, &HeaderMap::new()).await;
        assert!(!response.headers().contains_key("content-encoding"));
        assert_eq!(axum::body::to_bytes(response.into_body(), 9).await.expect("read"), "hook");
        let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"))]);
        let response = respond(FILE, &headers).await;
        assert_eq!(
            (&response.headers()["content-encoding"], &response.headers()["vary"]),
            (&HeaderValue::from_static("gzip"), &HeaderValue::from_static("accept-encoding"))
        );
    }

    #[test]
    fn gzip_is_accepted_by_name_and_weight() {
        let check = |line: &'static str, expected: bool| {
            let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(line))]);
            assert_eq!(accepts_gzip(&headers), expected, "{line}");
        };
        check("gzip", true);
        check("br, GZIP;q=0.5", true);
        check("gzip;q=0", false);
        check("gzip; q=0.000", false);
        check("gzip;q=much", false);
        check("br, deflate", false);
        check("", false);
        assert!(!accepts_gzip(&HeaderMap::new()));
    }
}
