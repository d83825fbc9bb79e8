//! Receivers that answer too much, too little, or what is not HTTP: an outcome all the same, at once.

use hookstream_model::delivery::{outcome::Directive, retry::RetryAfter};
use hookstream_testkit::receiver::read_head;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
};

use super::*;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// What comes of a message to a receiver that does this to every connection.
async fn outcome_of<F: Future<Output = ()> + Send + 'static>(script: impl Fn(TcpStream) -> F + Send + 'static) -> Outcome {
    let receiver = RawReceiver::start(script).await;
    send(&transport(options()), &receiver.url(), AMPLE).await
}

/// What comes of an answer with these bytes, after which the receiver waits.
async fn outcome_of_saying(bytes: impl Into<Bytes>) -> Outcome {
    let receiver = saying(bytes).await;
    send(&transport(options()), &receiver.url(), AMPLE).await
}

/// What comes of an answer with these bytes, after which the receiver closes.
async fn outcome_of_closing_after(bytes: &'static [u8]) -> Outcome {
    outcome_of(move |mut stream| async move {
        read_request(&mut stream).await;
        let _ = stream.write_all(bytes).await;
    })
    .await
}

#[tokio::test]
async fn a_body_without_end_is_given_up_and_its_status_counts() {
    let closed = Arc::new(Notify::new());
    let noticed = Arc::clone(&closed);
    let outcome = outcome_of(move |mut stream| {
        let noticed = Arc::clone(&noticed);
        async move {
            read_request(&mut stream).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
            while stream.write_all(b"4\r\nabcd\r\n").await.is_ok() {}
            noticed.notify_one();
        }
    });
    let expected = ReceiverResponse { status: 200, body: "abcd".repeat(4096).into(), ..ReceiverResponse::default() };
    assert_eq!(outcome.await, Outcome::Accepted(expected));
    tokio::time::timeout(SLACK, closed.notified()).await.expect("the connection is given up");
}

#[tokio::test]
async fn a_body_of_ten_gigabytes_is_not_waited_for() {
    let head = b"HTTP/1.1 500 No\r\ncontent-length: 10737418240\r\n\r\n".to_vec();
    let outcome = outcome_of_saying([head, vec![b'x'; 80_000]].concat()).await;
    assert_eq!(outcome, Outcome::Refused(ReceiverResponse { status: 500, body: "x".repeat(16_384).into(), ..ReceiverResponse::default() }));
}

#[tokio::test]
async fn a_head_beyond_its_bytes_is_refused_and_the_bound_is_named() {
    let line = ["HTTP/1.1 200 OK\r\nx: ".as_bytes(), &[b'a'; 1_000_000], b"\r\ncontent-length: 0\r\n\r\n"].concat();
    assert_eq!(outcome_of_saying(line).await, head_too_large());
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(100_000));
    assert_eq!(outcome_of_saying(many).await, head_too_large());
    let shortest = format!("HTTP/1.1 200 OK\n{}\n", "a:\n".repeat(100_000));
    assert_eq!(outcome_of_saying(shortest).await, head_too_large());
    let endless = vec![b'a'; 1_000_000];
    assert_eq!(outcome_of_saying(endless).await, not_http());
}

#[tokio::test]
async fn a_head_within_its_bytes_counts_however_many_lines_it_has() {
    for lines in [99, 100, 101, 1_000, 10_000] {
        let many = format!("HTTP/1.1 200 OK\r\n{}content-length: 0\r\n\r\n", "a: b\r\n".repeat(lines));
        assert_eq!(outcome_of_saying(many).await, answered(200), "{lines} lines");
        let names: String = (0..lines).map(|number| format!("{number:x}:\n")).collect();
        assert_eq!(outcome_of_saying(format!("HTTP/1.1 200 OK\n{names}content-length: 0\n\n")).await, answered(200), "{lines} names");
    }
    let long = format!("HTTP/1.1 200 OK\r\nx: {}\r\ncontent-length: 0\r\n\r\n", "b".repeat(60_000));
    assert_eq!(outcome_of_saying(long).await, answered(200));
}

#[tokio::test]
async fn header_lines_that_break_a_rule_of_form_are_no_failure() {
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
        let bytes = format!("HTTP/1.1 200 OK\r\n{line}\r\nretry-after: 3\r\nContent-Length: 2\r\n\r\nok");
        let outcome = outcome_of_saying(bytes).await;
        let Some(answer) = outcome.response() else { panic!("no answer with {line:?}: {outcome:?}") };
        assert_eq!((answer.status, &answer.body[..]), (200, &b"ok"[..]), "{line:?}");
        assert!(answer.retry_after.is_some(), "the line after {line:?} is read");
    }
}

#[tokio::test]
async fn bytes_that_are_no_text_in_a_header_are_no_failure() {
    let outcome = outcome_of_saying(&b"HTTP/1.1 200 \xe4\xf6\xfc\r\nx-a: \xff\xfe\x80\r\ncontent-length: 0\r\n\r\n"[..]).await;
    assert_eq!(outcome, answered(200));
}

#[tokio::test]
async fn what_is_not_http_is_invalid() {
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
        assert_eq!(outcome_of_saying(bytes).await, not_http(), "{}", String::from_utf8_lossy(bytes));
    }
}

#[tokio::test]
async fn a_status_that_is_no_number_is_invalid_and_named() {
    for bytes in [&b"HTTP/1.1 20\r\n\r\n"[..], b"HTTP/1.1 abc OK\r\n\r\n"] {
        let expected = failed(FailureKind::ResponseInvalid, "the response's status is not a number from 100 to 999");
        assert_eq!(outcome_of_saying(bytes).await, expected, "{}", String::from_utf8_lossy(bytes));
    }
}

#[tokio::test]
async fn a_body_that_is_not_http_leaves_its_head_to_decide() {
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
            let outcome = outcome_of_saying(format!("{head}{chunks}")).await;
            assert_eq!(outcome, answered_with(status, arrived), "{}", &chunks[..chunks.len().min(30)]);
        }
    }
}

#[tokio::test]
async fn interim_answers_are_passed_over() {
    let interim = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".repeat(1000);
    assert_eq!(outcome_of_saying(interim + "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await, answered(200));
}

#[tokio::test]
async fn an_upgrade_that_nobody_asked_for_is_refused() {
    let outcome = outcome_of_saying("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n").await;
    assert_eq!(outcome, answered(101));
}

#[tokio::test]
async fn an_answer_before_the_body_was_read_counts() {
    let receiver = RawReceiver::start(|mut stream| async move {
        read_head(&mut stream).await;
        let _ = stream.write_all(OK).await;
        // Nothing of the body is read, and the connection stays.
        std::future::pending::<()>().await;
    })
    .await;
    let body = vec![b'x'; 16 * 1024 * 1024];
    assert_eq!(send_body(&transport(options()), &receiver.url(), AMPLE, body).await, answered(200));
}

#[tokio::test]
async fn an_answer_before_the_body_was_read_and_then_a_reset_is_one_or_the_other() {
    let receiver = RawReceiver::start(|mut stream| async move {
        read_head(&mut stream).await;
        let _ = stream.write_all(OK).await;
        let _ = stream.set_zero_linger();
    })
    .await;
    for _ in 0..20 {
        let body = vec![b'x'; 16 * 1024 * 1024];
        let outcome = send_body(&transport(options()), &receiver.url(), AMPLE, body).await;
        // The reset may overtake the answer, which the system then drops.
        assert!(outcome == answered(200) || outcome == broken(), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_connection_closed_before_the_request_is_a_reset() {
    let outcome = outcome_of(|stream| async move { drop(stream) }).await;
    assert!(outcome == broken() || outcome == broken_before_answer(), "{outcome:?}");
    assert_eq!(outcome_of_closing_after(b"").await, broken_before_answer());
    assert_eq!(outcome_of_closing_after(b"HTTP/1.1 200 O").await, broken_before_answer());
    let outcome = outcome_of(|mut stream| async move {
        read_request(&mut stream).await;
        let _ = stream.set_zero_linger();
    });
    assert_eq!(outcome.await, broken());
}

#[tokio::test]
async fn an_answer_that_ends_before_its_announced_length_counts_with_what_arrived() {
    assert_eq!(outcome_of_closing_after(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc").await, answered_with(200, "abc"));
    assert_eq!(outcome_of_closing_after(b"HTTP/1.1 410 Gone\r\ncontent-length: 40\r\n\r\ngone").await, answered_with(410, "gone"));
    let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\na\r\nabc";
    assert_eq!(outcome_of_closing_after(chunked).await, answered_with(200, "abc"));
    assert_eq!(outcome_of_closing_after(b"HTTP/1.1 500 No\r\ncontent-length: 10\r\n\r\n").await, answered(500));
}

#[tokio::test]
async fn each_header_that_says_something_counts_though_the_body_breaks() {
    let outcome = outcome_of_closing_after(
        b"HTTP/1.1 503 Busy\r\nretry-after: 9\r\nwebhook-delivery: abort-message\r\nlocation: /x\r\ncontent-length: 10\r\n\r\nabc",
    );
    let expected = ReceiverResponse {
        status: 503,
        body: "abc".into(),
        retry_after: Some(RetryAfter::Seconds(9)),
        directive: Some(Directive::AbortMessage),
        location: Some("/x".to_owned()),
    };
    assert_eq!(outcome.await, Outcome::Refused(expected));
}

#[tokio::test]
async fn an_answer_without_a_length_ends_with_the_connection() {
    let expected = ReceiverResponse { status: 200, body: "abc".into(), ..ReceiverResponse::default() };
    for bytes in [&b"HTTP/1.1 200 OK\r\n\r\nabc"[..], b"HTTP/1.0 200 OK\r\n\r\nabc"] {
        assert_eq!(outcome_of_closing_after(bytes).await, Outcome::Accepted(expected.clone()));
    }
}

#[tokio::test]
async fn a_receiver_that_closes_its_half_has_answered_or_not() {
    let half_closed = |bytes: &'static [u8]| {
        outcome_of(move |mut stream| async move {
            read_request(&mut stream).await;
            let _ = stream.write_all(bytes).await;
            let _ = stream.shutdown().await;
            until_closed(&mut stream).await;
        })
    };
    assert_eq!(half_closed(OK).await, answered(200));
    assert_eq!(half_closed(b"").await, broken_before_answer());
}

#[tokio::test]
async fn nobody_listening_is_a_refused_connection() {
    let address = {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port on loopback");
        listener.local_addr().expect("it is bound")
    };
    let outcome = send(&transport(options()), &format!("http://{address}/"), AMPLE).await;
    assert_eq!(outcome, refused_connection());
}
