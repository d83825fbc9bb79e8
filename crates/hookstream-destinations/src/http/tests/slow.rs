//! Slow receivers: the time limit applies to the whole exchange.

use hookstream_model::delivery::retry::RetryAfter;
use hookstream_testkit::receiver::Receiver;

use super::*;

/// Starts a receiver that sends `at_once`, then `bit` every 20 ms.
async fn trickling(at_once: &'static [u8], bit: &'static [u8]) -> RawReceiver {
    RawReceiver::start(move |mut stream| async move {
        read_request(&mut stream).await;
        let _ = stream.write_all(at_once).await;
        while stream.write_all(bit).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
}

#[tokio::test]
async fn slow_head_ends_at_the_limit() {
    let receiver = trickling(b"HTTP/1.1 200 OK\r\nx: ", b"a").await;
    assert_eq!(send(&transport(options()), &receiver.url(), SHORT).await, timed_out(SHORT));
}

#[tokio::test]
async fn slow_body_ends_at_the_limit_and_its_head_decides() {
    for head in ["content-length: 1000\r\n\r\n", "\r\n", "transfer-encoding: chunked\r\n\r\nffff\r\n"] {
        for status in [200, 410, 503] {
            let head = format!("HTTP/1.1 {status} Whatever\r\nretry-after: 7\r\n{head}").leak();
            let receiver = trickling(head.as_bytes(), b"a").await;
            let outcome = send(&transport(options()), &receiver.url(), SHORT).await;
            let Some(response) = outcome.response() else { panic!("no response to {head:?}: {outcome:?}") };
            let asked = (status == 503).then_some(RetryAfter::Seconds(7));
            assert_eq!((response.status, outcome.asked_wait()), (Some(status), asked));
            assert_eq!(outcome.is_accepted(), status == 200);
            assert!(!response.body.is_empty() && response.body.iter().all(|byte| *byte == b'a'), "{head}: the partial body is kept");
        }
    }
}

#[tokio::test]
async fn endless_interim_responses_end_at_the_limit() {
    let receiver = RawReceiver::start(|mut stream| async move {
        read_request(&mut stream).await;
        let flood = b"HTTP/1.1 100 Continue\r\n\r\n".repeat(1000);
        while stream.write_all(&flood).await.is_ok() {}
    })
    .await;
    assert_eq!(send(&transport(options()), &receiver.url(), SHORT).await, timed_out(SHORT));
}

#[tokio::test]
async fn silent_receiver_ends_at_the_limit() {
    let receiver = responding_with("").await;
    assert_eq!(send(&transport(options()), &receiver.url(), SHORT).await, timed_out(SHORT));
}

#[tokio::test]
async fn unread_request_ends_at_the_limit() {
    let receiver = RawReceiver::start(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let body = vec![b'x'; 16 * 1024 * 1024];
    assert_eq!(send_body(&transport(options()), &receiver.url(), SHORT, body).await, timed_out(SHORT));
}

#[tokio::test]
async fn one_slow_receiver_does_not_slow_another() {
    let (slow, quick) = (responding_with("").await, Receiver::start().await);
    let transport = transport(options());
    let (slow_url, quick_url) = (slow.url(), quick.url());
    let slowly = async { tokio::join!(send(&transport, &slow_url, SHORT), send(&transport, &slow_url, SHORT)) };
    let quickly = async {
        for _ in 0..20 {
            assert_eq!(send(&transport, &quick_url, AMPLE).await, responded(204));
        }
    };
    let (slowly, ()) = tokio::join!(slowly, quickly);
    assert_eq!(slowly, (timed_out(SHORT), timed_out(SHORT)));
}
