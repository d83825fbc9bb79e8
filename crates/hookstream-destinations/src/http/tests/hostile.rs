//! Receivers that respond too much, too little, or not in HTTP: each attempt still has an outcome, at once.

use hookstream_model::delivery::retry::RetryAfter;
use hookstream_testkit::receiver::read_head;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
};

use super::{super::classify::Directive, *};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// Returns the outcome of a delivery to a receiver that runs this script on every connection.
async fn outcome_of<F: Future<Output = ()> + Send + 'static>(script: impl Fn(TcpStream) -> F + Send + 'static) -> Outcome {
    let receiver = RawReceiver::start(script).await;
    send(&transport(options()), &receiver.url(), AMPLE).await
}

/// Returns the outcome of a response with these bytes, after which the receiver waits.
async fn outcome_of_response(bytes: impl Into<Bytes>) -> Outcome {
    let receiver = responding_with(bytes).await;
    send(&transport(options()), &receiver.url(), AMPLE).await
}

/// Returns the outcome of a response with these bytes, after which the receiver closes the connection.
async fn outcome_of_close_after(bytes: &'static [u8]) -> Outcome {
    outcome_of(move |mut stream| async move {
        read_request(&mut stream).await;
        let _ = stream.write_all(bytes).await;
    })
    .await
}

#[tokio::test]
async fn endless_body_is_abandoned_and_its_status_decides() {
    let closed = Arc::new(Notify::new());
    let notification = Arc::clone(&closed);
    let outcome = outcome_of(move |mut stream| {
        let notification = Arc::clone(&notification);
        async move {
            read_request(&mut stream).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
            while stream.write_all(b"4\r\nabcd\r\n").await.is_ok() {}
            notification.notify_one();
        }
    });
    let expected = HttpResponse { status: 200, body: "abcd".repeat(4096).into(), ..HttpResponse::default() };
    assert_eq!(outcome.await, expected.outcome());
    tokio::time::timeout(SLACK, closed.notified()).await.expect("the connection is closed");
}

#[tokio::test]
async fn huge_body_is_not_awaited() {
    let head = b"HTTP/1.1 500 No\r\ncontent-length: 10737418240\r\n\r\n".to_vec();
    let outcome = outcome_of_response([head, vec![b'x'; 80_000]].concat()).await;
    assert_eq!(outcome, HttpResponse { status: 500, body: "x".repeat(16_384).into(), ..HttpResponse::default() }.outcome());
}

#[tokio::test]
async fn oversized_head_is_rejected_and_the_limit_is_named() {
    let line = ["HTTP/1.1 200 OK\r\nx: ".as_bytes(), &[b'a'; 1_000_000], b"\r\ncontent-length: 0\r\n\r\n"].concat();
    assert_eq!(outcome_of_response(line).await, head_too_large());
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(100_000));
    assert_eq!(outcome_of_response(many).await, head_too_large());
    let shortest = format!("HTTP/1.1 200 OK\n{}\n", "a:\n".repeat(100_000));
    assert_eq!(outcome_of_response(shortest).await, head_too_large());
    let endless = vec![b'a'; 1_000_000];
    assert_eq!(outcome_of_response(endless).await, not_http());
}

#[tokio::test]
async fn head_within_its_limit_is_accepted_with_any_number_of_lines() {
    for lines in [99, 100, 101, 1_000, 10_000] {
        let many = format!("HTTP/1.1 200 OK\r\n{}content-length: 0\r\n\r\n", "a: b\r\n".repeat(lines));
        assert_eq!(outcome_of_response(many).await, responded(200), "{lines} lines");
        let names: String = (0..lines).map(|number| format!("{number:x}:\n")).collect();
        assert_eq!(outcome_of_response(format!("HTTP/1.1 200 OK\n{names}content-length: 0\n\n")).await, responded(200), "{lines} names");
    }
    let long = format!("HTTP/1.1 200 OK\r\nx: {}\r\ncontent-length: 0\r\n\r\n", "b".repeat(60_000));
    assert_eq!(outcome_of_response(long).await, responded(200));
}

#[tokio::test]
async fn malformed_header_lines_are_ignored() {
    for line in [
        "X-Note: one\r\n two",
        "X-Note: one\r\n\ttwo\r\n three",
        "X-Note: \r\n two",
        "X-Note : one",
        "X-Note\t: one",
        "X Note: one",
        ": one",
        "no colon",
        "X-\u{e4}: one",
        "X-Note: \x01\x7f",
        "X-Note:one",
        "X-Note:",
    ] {
        let bytes = format!("HTTP/1.1 429 Busy\r\n{line}\r\nretry-after: 3\r\nContent-Length: 2\r\n\r\nok");
        let outcome = outcome_of_response(bytes).await;
        let Some(response) = outcome.response() else { panic!("no response with {line:?}: {outcome:?}") };
        assert_eq!((response.status, &response.body[..]), (Some(429), &b"ok"[..]), "{line:?}");
        assert!(outcome.asked_wait().is_some(), "the line after {line:?} is parsed");
    }
}

#[tokio::test]
async fn binary_header_bytes_are_accepted() {
    let outcome = outcome_of_response(&b"HTTP/1.1 200 \xe4\xf6\xfc\r\nx-a: \xff\xfe\x80\r\ncontent-length: 0\r\n\r\n"[..]).await;
    assert_eq!(outcome, responded(200));
}

#[tokio::test]
async fn non_http_response_is_invalid() {
    for bytes in [
        &b"SSH-2.0-OpenSSH_9.9\r\n\r\n"[..],
        b"220 mail.example ESMTP\r\n",
        b"<html>hello</html>\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02\x46",
        b"\x00\x00\x00\x04\x00\x00\x00\x00\x00",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\na\x00b: c\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
    ] {
        assert_eq!(outcome_of_response(bytes).await, not_http(), "{}", String::from_utf8_lossy(bytes));
    }
}

#[tokio::test]
async fn non_numeric_status_is_invalid_and_named() {
    for bytes in [&b"HTTP/1.1 20\r\n\r\n"[..], b"HTTP/1.1 abc OK\r\n\r\n"] {
        let expected = failed(FailureKind::ResponseInvalid, "the response's status is not a number from 100 to 999");
        assert_eq!(outcome_of_response(bytes).await, expected, "{}", String::from_utf8_lossy(bytes));
    }
}

#[tokio::test]
async fn invalid_body_leaves_the_decision_to_the_head() {
    for status in [200, 410, 500] {
        let head = format!("HTTP/1.1 {status} Whatever\r\ntransfer-encoding: chunked\r\n\r\n");
        for (chunks, arrived) in [
            ("xyz\r\n".to_owned(), ""),
            ("-1\r\n".to_owned(), ""),
            ("3\r\nabcdef\r\n".to_owned(), "abc"),
            ("3\r\nabc\r\nxyz\r\n".to_owned(), "abc"),
            ("fffffffffffffffff\r\n".to_owned(), ""),
            (format!("1;{}", "x".repeat(1_000_000)), ""),
            (format!("0\r\n{}", "a: b\r\n".repeat(100_000)), ""),
        ] {
            let outcome = outcome_of_response(format!("{head}{chunks}")).await;
            assert_eq!(outcome, responded_with(status, arrived), "{}", &chunks[..chunks.len().min(30)]);
        }
    }
}

#[tokio::test]
async fn interim_responses_are_skipped() {
    let interim = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".repeat(1000);
    assert_eq!(outcome_of_response(interim + "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await, responded(200));
}

#[tokio::test]
async fn unrequested_upgrade_is_refused() {
    let outcome = outcome_of_response("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n").await;
    assert_eq!(outcome, responded(101));
}

#[tokio::test]
async fn response_before_the_body_was_read_is_accepted() {
    let receiver = RawReceiver::start(|mut stream| async move {
        read_head(&mut stream).await;
        let _ = stream.write_all(OK).await;
        // The body is not read, and the connection stays open.
        std::future::pending::<()>().await;
    })
    .await;
    let body = vec![b'x'; 16 * 1024 * 1024];
    assert_eq!(send_body(&transport(options()), &receiver.url(), AMPLE, body).await, responded(200));
}

#[tokio::test]
async fn early_response_then_reset_has_either_outcome() {
    let receiver = RawReceiver::start(|mut stream| async move {
        read_head(&mut stream).await;
        let _ = stream.write_all(OK).await;
        let _ = stream.set_zero_linger();
    })
    .await;
    for _ in 0..20 {
        let body = vec![b'x'; 16 * 1024 * 1024];
        let outcome = send_body(&transport(options()), &receiver.url(), AMPLE, body).await;
        // The reset may overtake the response, which the operating system then discards.
        assert!(outcome == responded(200) || outcome == closed_during_response(), "{outcome:?}");
    }
}

#[tokio::test]
async fn connection_closed_before_the_request_is_a_reset() {
    let outcome = outcome_of(|stream| async move { drop(stream) }).await;
    assert!(outcome == closed_during_response() || outcome == closed_before_response(), "{outcome:?}");
    assert_eq!(outcome_of_close_after(b"").await, closed_before_response());
    assert_eq!(outcome_of_close_after(b"HTTP/1.1 200 O").await, closed_before_response());
    let outcome = outcome_of(|mut stream| async move {
        read_request(&mut stream).await;
        let _ = stream.set_zero_linger();
    });
    assert_eq!(outcome.await, closed_during_response());
}

#[tokio::test]
async fn truncated_response_is_accepted_with_its_partial_body() {
    assert_eq!(outcome_of_close_after(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc").await, responded_with(200, "abc"));
    assert_eq!(outcome_of_close_after(b"HTTP/1.1 410 Gone\r\ncontent-length: 40\r\n\r\ngone").await, responded_with(410, "gone"));
    let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\na\r\nabc";
    assert_eq!(outcome_of_close_after(chunked).await, responded_with(200, "abc"));
    assert_eq!(outcome_of_close_after(b"HTTP/1.1 500 No\r\ncontent-length: 10\r\n\r\n").await, responded(500));
}

#[tokio::test]
async fn headers_are_parsed_even_if_the_body_is_truncated() {
    let outcome = outcome_of_close_after(
        b"HTTP/1.1 503 Busy\r\nretry-after: 9\r\nwebhook-delivery: abort-message\r\nlocation: /x\r\ncontent-length: 10\r\n\r\nabc",
    );
    let expected = HttpResponse {
        headers: String::new(),
        status: 503,
        body: "abc".into(),
        retry_after: Some(RetryAfter::Seconds(9)),
        directive: Some(Directive::AbortMessage),
        location: Some("/x".to_owned()),
    };
    assert_eq!(outcome.await, expected.outcome());
}

#[tokio::test]
async fn response_without_a_length_ends_with_the_connection() {
    let expected = HttpResponse { status: 200, body: "abc".into(), ..HttpResponse::default() };
    for bytes in [&b"HTTP/1.1 200 OK\r\n\r\nabc"[..], b"HTTP/1.0 200 OK\r\n\r\nabc"] {
        assert_eq!(outcome_of_close_after(bytes).await, expected.clone().outcome());
    }
}

#[tokio::test]
async fn half_closed_connection_keeps_a_complete_response() {
    let half_closed = |bytes: &'static [u8]| {
        outcome_of(move |mut stream| async move {
            read_request(&mut stream).await;
            let _ = stream.write_all(bytes).await;
            let _ = stream.shutdown().await;
            until_closed(&mut stream).await;
        })
    };
    assert_eq!(half_closed(OK).await, responded(200));
    assert_eq!(half_closed(b"").await, closed_before_response());
}

#[tokio::test]
async fn closed_port_is_a_refused_connection() {
    let address = {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port on loopback");
        listener.local_addr().expect("the listener is bound")
    };
    let outcome = send(&transport(options()), &format!("http://{address}/"), AMPLE).await;
    assert_eq!(outcome, refused_connection());
}
