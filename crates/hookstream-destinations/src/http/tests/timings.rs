//! Durations of the parts of an attempt, as far as they happened.

use std::sync::atomic::{AtomicUsize, Ordering};

use hookstream_model::delivery::timings::Timings;
use hookstream_testkit::receiver::{CannedResponse, Receiver};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

use super::*;

const HOST: &str = "hooks.receiver.test";
/// Delay of a receiver's response, if the duration is checked.
const DELAY: Duration = Duration::from_millis(100);

/// Names of the parts that are present, in order.
fn parts(timings: &Timings) -> Vec<&'static str> {
    let Timings { dns, connect, tls, write, first_byte, read } = timings;
    let parts = [("dns", dns), ("connect", connect), ("tls", tls), ("write", write), ("first_byte", first_byte), ("read", read)];
    parts.into_iter().filter(|(_, took)| took.is_some()).map(|(name, _)| name).collect()
}

fn sum(timings: &Timings) -> Duration {
    let Timings { dns, connect, tls, write, first_byte, read } = *timings;
    [dns, connect, tls, write, first_byte, read].into_iter().flatten().sum()
}

fn named() -> Names {
    Names::default().with("hooks.receiver.test.", &["127.0.0.1"])
}

async fn timings(transport: &Http, url: &str, limit: Duration) -> Timings {
    send_timed(transport, url, limit, "{}").await.timings
}

#[tokio::test]
async fn new_connection_has_all_parts_and_a_reused_one_only_the_exchange() {
    for protocols in [&["http/1.1"][..], &["h2"]] {
        let authority = Authority::new();
        let receiver =
            Receiver::secure(authority.issue(&[HOST]).server(protocols), |_| CannedResponse::status(200).body("ok").after(DELAY)).await;
        let transport = with_names(trusting(authority.certificate()), named());
        let began = std::time::Instant::now();
        let first = timings(&transport, &receiver.url_at(HOST), AMPLE).await;
        let took = began.elapsed();
        assert_eq!(parts(&first), ["dns", "connect", "tls", "write", "first_byte", "read"], "{protocols:?}");
        assert!(first.first_byte >= Some(DELAY - Duration::from_millis(5)), "{first:?}");
        assert!(sum(&first) <= took, "{first:?} in {took:?}");
        let second = timings(&transport, &receiver.url_at(HOST), AMPLE).await;
        assert_eq!(parts(&second), ["write", "first_byte", "read"], "{protocols:?}");
        assert_eq!(receiver.connections(), 1);
    }
}

#[tokio::test]
async fn address_has_no_dns_part_and_http_no_tls_part() {
    let receiver = Receiver::start().await;
    let found = timings(&transport(options()), &receiver.url(), AMPLE).await;
    assert_eq!(parts(&found), ["connect", "write", "first_byte", "read"]);
}

#[tokio::test]
async fn failed_part_is_absent() {
    let check = async |transport: Http, url: &str, expected: &[&str]| {
        assert_eq!(parts(&timings(&transport, url, SHORT).await), expected, "{url}");
    };
    check(transport(options()), "http://nowhere.test/", &[]).await;
    check(with_names(options(), Names::default().with_results("slow.test.", vec![super::Resolution::Stalls])), "http://slow.test/", &[])
        .await;
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("bound");
    check(with_names(options(), named()), &format!("http://{HOST}:{}/", closed.port()), &["dns"]).await;

    let silent = responding_with("").await;
    check(transport(options()), &silent.url(), &["connect", "write"]).await;
    // The port does not speak TLS.
    let port = silent.address().port();
    check(with_names(options(), named()), &format!("https://{HOST}:{port}/"), &["dns", "connect"]).await;
    let endless = responding_with("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n").await;
    check(transport(options()), &endless.url(), &["connect", "write", "first_byte"]).await;

    let not_reading = RawReceiver::start(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let body = vec![b'x'; 16 * 1024 * 1024];
    let found = send_timed(&transport(options()), &not_reading.url(), SHORT, body).await.timings;
    assert_eq!(parts(&found), ["connect"]);
}

#[tokio::test]
async fn early_response_has_a_first_byte_part() {
    let receiver = RawReceiver::start(|mut stream| async move {
        hookstream_testkit::receiver::read_head(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
        std::future::pending::<()>().await;
    })
    .await;
    let body = vec![b'x'; 16 * 1024 * 1024];
    let found = send_timed(&transport(options()), &receiver.url(), AMPLE, body).await;
    assert_eq!(found.outcome.response().and_then(|response| response.status), Some(413));
    assert_eq!(parts(&found.timings), ["connect", "first_byte", "read"]);
}

#[tokio::test]
async fn slowly_read_body_has_a_long_write_part() {
    let receiver = RawReceiver::start(|mut stream| async move {
        tokio::time::sleep(DELAY).await;
        read_request(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    })
    .await;
    let body = vec![b'x'; 16 * 1024 * 1024];
    let found = send_timed(&transport(options()), &receiver.url(), AMPLE, body).await.timings;
    assert!(found.write >= Some(DELAY / 2), "{found:?}");
}

#[tokio::test]
async fn reused_connection_has_no_connection_parts() {
    let authority = Authority::new();
    let tls = TlsAcceptor::from(authority.issue(&[HOST]).server(&["http/1.1"]));
    let (respond, second_connected) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (responding, connected) = (Arc::clone(&respond), Arc::clone(&second_connected));
    let connections = AtomicUsize::default();
    let receiver = RawReceiver::start(move |mut stream| {
        let (tls, responding, connected) = (tls.clone(), Arc::clone(&responding), Arc::clone(&connected));
        let is_first = connections.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            if !is_first {
                // The handshake stops here.
                connected.notify_one();
                return until_closed(&mut stream).await;
            }
            let mut stream = tls.accept(stream).await.expect("a handshake");
            while read_request(&mut stream).await.is_some() {
                responding.notified().await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
            }
        }
    })
    .await;
    let transport = with_names(trusting(authority.certificate()), named());
    let url = format!("https://{HOST}:{}/", receiver.address().port());
    let respond_to_both = async {
        second_connected.notified().await;
        respond.notify_one();
        tokio::time::sleep(DELAY).await;
        respond.notify_one();
    };
    let (first, second, ()) = tokio::join!(timings(&transport, &url, AMPLE), timings(&transport, &url, AMPLE), respond_to_both);
    let (mut first, mut second) = (parts(&first), parts(&second));
    if first.len() < second.len() {
        std::mem::swap(&mut first, &mut second);
    }
    assert_eq!(first, ["dns", "connect", "tls", "write", "first_byte", "read"]);
    assert_eq!(second, ["write", "first_byte", "read"]);
}
