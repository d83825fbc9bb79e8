//! How long the parts of a try took, as far as they happened.

use std::sync::atomic::{AtomicUsize, Ordering};

use hookstream_model::delivery::timings::Timings;
use hookstream_testkit::receiver::{CannedResponse as Answers, Receiver};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

use super::*;

const HOST: &str = "hooks.receiver.test";
/// How long a receiver takes to answer where that is to be seen.
const THINKS: Duration = Duration::from_millis(100);

/// Which parts are there, in their order.
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

async fn timings(transport: &HttpTransport, url: &str, limit: Duration) -> Timings {
    send_timed(transport, url, limit, "{}").await.timings
}

#[tokio::test]
async fn a_new_connection_has_all_parts_and_one_used_again_only_the_exchange() {
    for protocols in [&["http/1.1"][..], &["h2"]] {
        let authority = Authority::new();
        let receiver =
            Receiver::secure(authority.issue(&[HOST]).server(protocols), |_| Answers::status(200).body("ok").after(THINKS)).await;
        let transport = with_names(trusting(authority.certificate()), named());
        let began = std::time::Instant::now();
        let first = timings(&transport, &receiver.url_at(HOST), AMPLE).await;
        let took = began.elapsed();
        assert_eq!(parts(&first), ["dns", "connect", "tls", "write", "first_byte", "read"], "{protocols:?}");
        assert!(first.first_byte >= Some(THINKS - Duration::from_millis(5)), "{first:?}");
        assert!(sum(&first) <= took, "{first:?} in {took:?}");
        let second = timings(&transport, &receiver.url_at(HOST), AMPLE).await;
        assert_eq!(parts(&second), ["write", "first_byte", "read"], "{protocols:?}");
        assert_eq!(receiver.connections(), 1);
    }
}

#[tokio::test]
async fn an_address_has_no_name_to_resolve_and_http_has_no_tls() {
    let receiver = Receiver::start().await;
    let found = timings(&transport(options()), &receiver.url(), AMPLE).await;
    assert_eq!(parts(&found), ["connect", "write", "first_byte", "read"]);
}

#[tokio::test]
async fn the_part_in_which_a_try_broke_off_is_not_there() {
    let check = async |transport: HttpTransport, url: &str, expected: &[&str]| {
        assert_eq!(parts(&timings(&transport, url, SHORT).await), expected, "{url}");
    };
    check(transport(options()), "http://nowhere.test/", &[]).await;
    check(with_names(options(), Names::default().saying("slow.test.", vec![super::Says::Stalls])), "http://slow.test/", &[]).await;
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("bound");
    check(with_names(options(), named()), &format!("http://{HOST}:{}/", closed.port()), &["dns"]).await;

    let silent = saying("").await;
    check(transport(options()), &silent.url(), &["connect", "write"]).await;
    // It does not speak TLS.
    let port = silent.address().port();
    check(with_names(options(), named()), &format!("https://{HOST}:{port}/"), &["dns", "connect"]).await;
    let endless = saying("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n").await;
    check(transport(options()), &endless.url(), &["connect", "write", "first_byte"]).await;

    let deaf = RawReceiver::start(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let body = vec![b'x'; 16 * 1024 * 1024];
    let found = send_timed(&transport(options()), &deaf.url(), SHORT, body).await.timings;
    assert_eq!(parts(&found), ["connect"]);
}

#[tokio::test]
async fn an_answer_that_comes_before_all_was_written_has_its_first_byte() {
    let receiver = RawReceiver::start(|mut stream| async move {
        hookstream_testkit::receiver::read_head(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
        std::future::pending::<()>().await;
    })
    .await;
    let body = vec![b'x'; 16 * 1024 * 1024];
    let found = send_timed(&transport(options()), &receiver.url(), AMPLE, body).await;
    assert_eq!((found.outcome, parts(&found.timings)), (answered(413), vec!["connect", "first_byte", "read"]));
}

#[tokio::test]
async fn a_large_body_that_is_read_slowly_shows_as_written_slowly() {
    let receiver = RawReceiver::start(|mut stream| async move {
        tokio::time::sleep(THINKS).await;
        read_request(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    })
    .await;
    let body = vec![b'x'; 16 * 1024 * 1024];
    let found = send_timed(&transport(options()), &receiver.url(), AMPLE, body).await.timings;
    assert!(found.write >= Some(THINKS / 2), "{found:?}");
}

#[tokio::test]
async fn a_connection_that_became_free_first_is_not_told_as_one_that_was_made() {
    let authority = Authority::new();
    let tls = TlsAcceptor::from(authority.issue(&[HOST]).server(&["http/1.1"]));
    let (answers, second_is_made) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (answering, making) = (Arc::clone(&answers), Arc::clone(&second_is_made));
    let connections = AtomicUsize::default();
    let receiver = RawReceiver::start(move |mut stream| {
        let (tls, answering, making) = (tls.clone(), Arc::clone(&answering), Arc::clone(&making));
        let is_first = connections.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            if !is_first {
                // Its handshake goes no further.
                making.notify_one();
                return until_closed(&mut stream).await;
            }
            let mut stream = tls.accept(stream).await.expect("a handshake");
            while read_request(&mut stream).await.is_some() {
                answering.notified().await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
            }
        }
    })
    .await;
    let transport = with_names(trusting(authority.certificate()), named());
    let url = format!("https://{HOST}:{}/", receiver.address().port());
    let answer_both = async {
        second_is_made.notified().await;
        answers.notify_one();
        tokio::time::sleep(THINKS).await;
        answers.notify_one();
    };
    let (first, second, ()) = tokio::join!(timings(&transport, &url, AMPLE), timings(&transport, &url, AMPLE), answer_both);
    let (mut first, mut second) = (parts(&first), parts(&second));
    if first.len() < second.len() {
        std::mem::swap(&mut first, &mut second);
    }
    assert_eq!(first, ["dns", "connect", "tls", "write", "first_byte", "read"]);
    assert_eq!(second, ["write", "first_byte", "read"]);
}
