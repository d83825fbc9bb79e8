//! Connections of HTTP/1.1 are kept and reused, and one that was closed meanwhile causes no failure.

use std::sync::atomic::{AtomicUsize, Ordering};

use hookstream_testkit::receiver::Receiver;
use tokio::sync::Notify;

use super::*;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

#[tokio::test]
async fn one_connection_serves_consecutive_deliveries() {
    let receiver = Receiver::start().await;
    let transport = transport(options());
    for _ in 0..20 {
        assert_eq!(send(&transport, &receiver.url(), AMPLE).await, responded(204));
    }
    assert_eq!((receiver.received().len(), receiver.connections()), (20, 1));
}

#[tokio::test]
async fn connection_close_prevents_reuse() {
    let response = |_: &_| hookstream_testkit::receiver::CannedResponse::status(200).header("connection", "close");
    let receiver = Receiver::responding(response).await;
    let transport = transport(options());
    for _ in 0..3 {
        assert_eq!(send(&transport, &receiver.url(), AMPLE).await, responded(200));
    }
    assert_eq!(receiver.connections(), 3);
}

#[tokio::test]
async fn connection_with_an_abandoned_response_is_not_reused() {
    let receiver = responding_with([b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n".to_vec(), vec![b'x'; 70_000]].concat()).await;
    let transport = transport(options());
    for _ in 0..3 {
        let expected = HttpResponse { status: 200, body: "x".repeat(16_384).into(), ..HttpResponse::default() };
        assert_eq!(send(&transport, &receiver.url(), AMPLE).await, expected.outcome());
    }
}

#[tokio::test]
async fn unrequested_response_is_not_used_for_the_next_request() {
    let smuggled = [OK, b"HTTP/1.1 500 Smuggled\r\ncontent-length: 0\r\n\r\n"].concat();
    let receiver = responding_with(smuggled).await;
    let transport = transport(options());
    for _ in 0..10 {
        assert_eq!(send(&transport, &receiver.url(), AMPLE).await, responded(200));
    }
}

#[tokio::test]
async fn kept_connection_closed_meanwhile_causes_no_failure() {
    let closed = Arc::new(Notify::new());
    let closing = Arc::clone(&closed);
    let receiver = RawReceiver::start(move |mut stream| {
        let closing = Arc::clone(&closing);
        async move {
            read_request(&mut stream).await;
            let _ = stream.write_all(OK).await;
            drop(stream);
            closing.notify_one();
        }
    })
    .await;
    let other = Receiver::start().await;
    let transport = transport(options());
    for round in 0..50 {
        assert_eq!(send(&transport, &receiver.url(), AMPLE).await, responded(200), "round {round}");
        closed.notified().await;
        // The operating system reports events of the first connection before those of the second.
        assert_eq!(send(&transport, &other.url(), AMPLE).await, responded(204));
    }
}

#[tokio::test]
async fn possibly_received_request_is_not_repeated() {
    let requests = Arc::new(AtomicUsize::default());
    let counting = Arc::clone(&requests);
    let receiver = RawReceiver::start(move |mut stream| {
        let counting = Arc::clone(&counting);
        async move {
            // The first request of a connection gets a response, the second is only read.
            for response in [OK, b""] {
                if read_request(&mut stream).await.is_none() {
                    return;
                }
                counting.fetch_add(1, Ordering::SeqCst);
                let _ = stream.write_all(response).await;
            }
        }
    })
    .await;
    let transport = transport(options());
    assert_eq!(send(&transport, &receiver.url(), AMPLE).await, responded(200));
    assert_eq!(send(&transport, &receiver.url(), AMPLE).await, closed_before_response());
    assert_eq!(requests.load(Ordering::SeqCst), 2);
    assert_eq!(send(&transport, &receiver.url(), AMPLE).await, responded(200));
    assert_eq!(requests.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn connections_are_not_shared_between_hosts() {
    let receiver = Receiver::start().await;
    let names = Names::default().with("a.test.", &["127.0.0.1"]).with("b.test.", &["127.0.0.1"]);
    let transport = with_names(options(), names);
    for host in ["a.test", "b.test", "a.test"] {
        assert_eq!(send(&transport, &receiver.url_at(host), AMPLE).await, responded(204));
    }
    assert_eq!(receiver.connections(), 2);
}

#[tokio::test]
async fn idle_connection_is_closed_in_time() {
    let closed = Arc::new(Notify::new());
    let closing = Arc::clone(&closed);
    let receiver = RawReceiver::start(move |mut stream| {
        let closing = Arc::clone(&closing);
        async move {
            read_request(&mut stream).await;
            let _ = stream.write_all(OK).await;
            until_closed(&mut stream).await;
            closing.notify_one();
        }
    })
    .await;
    let transport = transport(Options { idle_timeout: Duration::from_millis(100), ..options() });
    assert_eq!(send(&transport, &receiver.url(), AMPLE).await, responded(200));
    tokio::time::timeout(SLACK, closed.notified()).await.expect("the connection is closed");
}
