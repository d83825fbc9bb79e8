//! Responses: their contents are reported in the outcome.

use hookstream_model::{
    base::time::Timestamp,
    delivery::{outcome::BODY_KEPT, retry::RetryAfter},
};
use hookstream_testkit::receiver::{CannedResponse, Receiver};

use super::{super::classify::Directive, *};

/// Checks the outcome of a response with these bytes.
async fn check(bytes: impl Into<Bytes>, expected: Outcome) {
    let bytes = bytes.into();
    let receiver = responding_with(bytes.clone()).await;
    let outcome = send(&transport(options()), &receiver.url(), AMPLE).await;
    assert_eq!(outcome, expected, "{}", String::from_utf8_lossy(&bytes[..bytes.len().min(200)]));
}

async fn check_header(status: u16, header: &[u8], expected: HttpResponse) {
    let head = format!("HTTP/1.1 {status} No\r\ncontent-length: 0\r\n");
    let bytes = [head.as_bytes(), header, b"\r\n\r\n"].concat();
    check(bytes, HttpResponse { status, ..expected }.outcome()).await;
}

#[tokio::test]
async fn request_is_a_signed_post_of_the_payload() {
    let receiver = Receiver::start().await;
    let body = "{ \"a\":1,\"a\":\u{1F980}}";
    assert_eq!(send_body(&transport(options()), &receiver.url(), AMPLE, body).await, responded(204));

    let received = receiver.received().remove(0);
    let mut headers: Vec<_> = received.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().expect("text"))).collect();
    headers.sort_unstable();
    let length = body.len().to_string();
    let host = receiver.url().trim_start_matches("http://").trim_end_matches("/hook").to_owned();
    // No accept-encoding: a response then needs no decompression.
    let keys = keys();
    let signature = envelope(&keys, body).signature();
    let expected = [
        ("content-length", length.as_str()),
        ("content-type", "application/json"),
        ("host", host.as_str()),
        ("user-agent", concat!("hookstream/", env!("CARGO_PKG_VERSION"))),
        ("webhook-id", "msg_1"),
        ("webhook-signature", signature.as_str()),
        ("webhook-timestamp", "1780000000"),
        ("x-hookstream-delivery-attempt", "3"),
        ("x-hookstream-event-type", "invoice.paid"),
        ("x-hookstream-hops", "2"),
    ];
    assert_eq!(headers, expected);
    assert_eq!((received.method.as_str(), received.path.as_str(), &received.body[..]), ("POST", "/hook", body.as_bytes()));
}

#[tokio::test]
async fn empty_body_is_sent_with_its_length() {
    let receiver = Receiver::start().await;
    assert_eq!(send_body(&transport(options()), &receiver.url(), AMPLE, "").await, responded(204));
    let received = receiver.received().remove(0);
    let lengths: Vec<_> = received.headers.get_all("content-length").iter().collect();
    assert_eq!(lengths, ["0"]);
    assert!(!received.headers.contains_key("transfer-encoding"));
}

#[tokio::test]
async fn only_2xx_is_accepted() {
    for status in [200, 201, 202, 204, 299, 300, 304, 400, 401, 404, 410, 429, 500, 502, 503, 504, 599, 999] {
        check(format!("HTTP/1.1 {status} Whatever\r\ncontent-length: 0\r\n\r\n"), responded(status)).await;
    }
}

#[tokio::test]
async fn redirects_are_reported_and_not_followed() {
    let elsewhere = Receiver::start().await;
    let receiver = Receiver::start().await;
    let transport = transport(options());
    for location in [
        elsewhere.url().as_str(),
        "http://169.254.169.254/latest/meta-data/",
        "https://127.0.0.1/",
        &receiver.url(),
        "/hook",
        "file:///etc/passwd",
        "",
    ] {
        for status in [301, 302, 303, 307, 308] {
            let to = location.to_owned();
            receiver.respond(move |_| CannedResponse::status(status).header("location", &to));
            let expected = HttpResponse { status, location: Some(location.to_owned()), ..HttpResponse::default() }.outcome();
            assert_eq!(send(&transport, &receiver.url(), AMPLE).await, expected);
        }
    }
    assert_eq!(elsewhere.connections(), 0);
    // One request for each response: none went to a redirect's location.
    assert_eq!(receiver.received().len(), 7 * 5);
}

#[tokio::test]
async fn long_or_binary_location_is_truncated_and_made_text() {
    let located = |location: String| HttpResponse { location: Some(location), ..HttpResponse::default() };
    check_header(302, b"location: http://a.example/\xff\xe4", located("http://a.example/\u{fffd}\u{fffd}".to_owned())).await;
    check_header(302, &[b"location: ", &[b'a'; 10_000][..]].concat(), located("a".repeat(2048))).await;
}

#[tokio::test]
async fn retry_after_parses_every_form_and_ignores_garbage() {
    let after = |retry_after| HttpResponse { retry_after, ..HttpResponse::default() };
    let at = |millis| Some(RetryAfter::At(Timestamp::from_millis(millis)));
    for (value, expected) in [
        (&b"120"[..], Some(RetryAfter::Seconds(120))),
        (b"0", Some(RetryAfter::Seconds(0))),
        // Absurd, but this is what the receiver sent; the model limits it.
        (b"31536000", Some(RetryAfter::Seconds(31_536_000))),
        (b"99999999999999999999999", Some(RetryAfter::Seconds(u64::MAX))),
        (b"Tue, 24 Nov 2026 08:01:00 GMT", at(1_795_507_260_000)),
        // Long past.
        (b"Sun, 06 Nov 1994 08:49:37 GMT", at(784_111_777_000)),
        (b"-5", None),
        (b"1e3", None),
        (b"soon", None),
        (b"", None),
        (b"\xff\xfe", None),
    ] {
        check_header(503, &[b"retry-after: ", value].concat(), after(expected)).await;
    }
}

#[tokio::test]
async fn webhook_delivery_directives_are_parsed() {
    for (value, expected) in
        [("disable", Some(Directive::Disable)), ("ABORT-message", Some(Directive::AbortMessage)), ("pause", None), ("", None)]
    {
        let directed = HttpResponse { directive: expected, ..HttpResponse::default() };
        check_header(503, format!("Webhook-Delivery: {value}").as_bytes(), directed).await;
    }
}

#[tokio::test]
async fn body_is_kept_up_to_16_kib() {
    let bytes: Vec<u8> = (0..=255).cycle().take(60_000).collect();
    for length in [0, 1, BODY_KEPT - 1, BODY_KEPT, BODY_KEPT + 1, 60_000] {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n").into_bytes();
        let body = Bytes::copy_from_slice(&bytes[..length.min(BODY_KEPT)]);
        check([&head[..], &bytes[..length]].concat(), HttpResponse { status: 200, body, ..HttpResponse::default() }.outcome()).await;
    }
}

#[tokio::test]
async fn compressed_body_is_kept_as_received() {
    for coding in ["gzip", "br", "zstd", "gzip, gzip, gzip"] {
        let packed = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff";
        let head = format!("HTTP/1.1 500 No\r\ncontent-encoding: {coding}\r\ncontent-length: {}\r\n\r\n", packed.len()).into_bytes();
        let expected = HttpResponse { status: 500, body: Bytes::from_static(packed), ..HttpResponse::default() };
        check([&head[..], packed].concat(), expected.outcome()).await;
    }
}

#[tokio::test]
async fn chunked_body_is_joined_and_its_trailers_ignored() {
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nretry-after: 5\r\n\r\n";
    check(chunked, HttpResponse { status: 200, body: "abcde".into(), ..HttpResponse::default() }.outcome()).await;
}

#[tokio::test]
async fn headers_of_a_response_are_recorded_within_limits() {
    let headers_of = async |head: Vec<u8>| {
        let receiver = responding_with([b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n", &head[..], b"\r\n"].concat()).await;
        let sent = send_timed(&transport(options()), &receiver.url(), AMPLE, "{}").await;
        sent.outcome.response().expect("a response").headers.clone()
    };
    let plain = headers_of(b"Server: test\r\nSet-Cookie: session=secret\r\nX-Odd: \xff\x01a\r\n".to_vec()).await;
    let mut lines: Vec<_> = plain.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines[..3], ["content-length: 0", "server: test", "set-cookie: ***"], "{plain}");
    assert!(!plain.contains('\u{1}'));
    let many = headers_of((0..80).flat_map(|n| format!("x-{n}: a\r\n").into_bytes()).collect()).await;
    assert_eq!(many.lines().count(), 64);
    let long = headers_of((0..10).flat_map(|n| format!("x-{n}: {}\r\n", "a".repeat(1_500)).into_bytes()).collect()).await;
    assert!(long.len() <= 8 * 1024 && long.lines().count() >= 4 && long.ends_with('\n'), "{}", long.len());
}

#[tokio::test]
async fn rendered_request_is_the_one_that_is_sent() {
    let receiver = Receiver::start().await;
    let transport = transport(options());
    let (target, keys) = (transport.target(&receiver.url()), keys());
    let envelope = envelope(&keys, "{}");
    target.send(&envelope, AMPLE).await;
    let rendered = target.rendered(&envelope).expect("a request");
    assert_eq!((rendered.method, rendered.url), ("POST", receiver.url()));
    let received = receiver.received().remove(0);
    for (name, value) in &rendered.headers {
        assert_eq!(received.headers.get(name).and_then(|value| value.to_str().ok()), Some(value.as_str()), "{name}");
    }
    let of_transport = ["host", "content-length"];
    let others: Vec<_> = received.headers.keys().map(http::HeaderName::as_str).filter(|name| !of_transport.contains(name)).collect();
    assert_eq!(others.len(), rendered.headers.len(), "{others:?}");
}
