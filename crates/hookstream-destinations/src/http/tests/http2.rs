//! HTTP/2: negotiation by TLS, one connection for many deliveries, and receivers that misuse the protocol.

use std::sync::atomic::{AtomicUsize, Ordering};

use ::http::Version;
use hookstream_testkit::receiver::{CannedResponse, Receiver};
use tokio::{net::TcpStream, sync::Notify};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{tls::BOTH, *};

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
/// `:status: 200` (RFC 7541 appendix A).
const OK: &[u8] = &[0x88];

/// Builds a frame (RFC 9113 section 4.1).
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short payload").to_be_bytes();
    [&length[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
}

/// Default settings of the receiver, and the acknowledgement of ours.
fn settings() -> Vec<u8> {
    [frame(SETTINGS, 0, 0, &[]), frame(SETTINGS, 1, 0, &[])].concat()
}

/// Accepts a connection, sends the settings and reads up to the headers of the first request.
async fn accept(tls: &TlsAcceptor, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
    let mut stream = tls.accept(stream).await.ok()?;
    stream.write_all(&settings()).await.ok()?;
    read_until_headers(&mut stream).await?;
    Some(stream)
}

/// Reads frames up to the headers of a request.
async fn read_until_headers(stream: &mut TlsStream<TcpStream>) -> Option<()> {
    let mut preface = [0; 24];
    stream.read_exact(&mut preface).await.ok()?;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.ok()?;
        let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
        stream.read_exact(&mut payload).await.ok()?;
        if head[3] == HEADERS {
            return Some(());
        }
    }
}

/// Returns the outcome of a response with these bytes, after which the receiver only reads.
async fn outcome_of_response(bytes: Vec<u8>, limit: Duration) -> Outcome {
    outcome_of_sending("{}", bytes, limit).await
}

async fn outcome_of_sending(body: impl Into<Bytes>, response: Vec<u8>, limit: Duration) -> Outcome {
    let authority = Authority::new();
    let tls = TlsAcceptor::from(authority.issue(&["127.0.0.1"]).server(&["h2"]));
    let response = Bytes::from(response);
    let receiver = RawReceiver::start(move |stream| {
        let (tls, response) = (tls.clone(), response.clone());
        async move {
            let Some(stream) = accept(&tls, stream).await else { return };
            let (mut reading, mut writing) = tokio::io::split(stream);
            let responding = async {
                let _ = writing.write_all(&response).await;
                let _ = writing.flush().await;
            };
            tokio::join!(responding, until_closed(&mut reading));
        }
    })
    .await;
    let url = format!("https://{}/", receiver.address());
    send_body(&transport(trusting(authority.certificate())), &url, limit, body).await
}

#[tokio::test]
async fn concurrent_deliveries_share_one_connection() {
    let authority = Authority::new();
    let tls = authority.issue(&["127.0.0.1"]).server(&BOTH);
    let receiver = Receiver::secure(tls, |_| CannedResponse::status(204).after(Duration::from_millis(50))).await;
    let transport = transport(trusting(authority.certificate()));
    let url = receiver.url();
    assert_eq!(send(&transport, &url, AMPLE).await, responded(204));
    let send = || send(&transport, &url, AMPLE);
    let outcomes = tokio::join!(send(), send(), send(), send(), send(), send());
    assert_eq!(<[Outcome; 6]>::from(outcomes), [0; 6].map(|_| responded(204)));
    assert_eq!(receiver.connections(), 1);
    let versions: Vec<_> = receiver.received().iter().map(|received| received.version).collect();
    assert_eq!(versions, [Version::HTTP_2; 7]);
}

#[tokio::test]
async fn first_concurrent_deliveries_all_succeed() {
    let authority = Authority::new();
    let receiver = Receiver::secure(authority.issue(&["127.0.0.1"]).server(&BOTH), |_| CannedResponse::status(204)).await;
    let transport = transport(trusting(authority.certificate()));
    let url = receiver.url();
    let send = || send(&transport, &url, AMPLE);
    let outcomes = tokio::join!(send(), send(), send(), send(), send(), send());
    assert_eq!(<[Outcome; 6]>::from(outcomes), [0; 6].map(|_| responded(204)));
}

#[tokio::test]
async fn endless_body_is_abandoned_and_its_status_decides() {
    let authority = Authority::new();
    let body = vec![b'x'; 1_000_000];
    let receiver =
        Receiver::secure(authority.issue(&["127.0.0.1"]).server(&BOTH), move |_| CannedResponse::status(200).body(body.clone())).await;
    let transport = transport(trusting(authority.certificate()));
    for _ in 0..20 {
        let expected = HttpResponse { status: 200, body: "x".repeat(16_384).into(), ..HttpResponse::default() };
        assert_eq!(send(&transport, &receiver.url(), AMPLE).await, expected.outcome());
    }
    // Aborting a response does not close the connection.
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn response_of_plain_frames_is_accepted() {
    assert_eq!(outcome_of_response(frame(HEADERS, 5, 1, OK), AMPLE).await, responded(200));
}

#[tokio::test]
async fn interim_responses_are_skipped() {
    // `:status: 103` as a literal.
    let interim = frame(HEADERS, 4, 1, b"\x08\x03103");
    let bytes = [interim.repeat(10_000), frame(HEADERS, 5, 1, OK)].concat();
    assert_eq!(outcome_of_response(bytes, AMPLE).await, responded(200));
}

#[tokio::test]
async fn reset_after_the_head_leaves_the_decision_to_the_head() {
    // `:status: 410` as a literal; then part of a body, and INTERNAL_ERROR.
    let head = frame(HEADERS, 4, 1, b"\x08\x03410");
    let bytes = [head, frame(0, 0, 1, b"gone"), frame(RST_STREAM, 0, 1, &[0, 0, 0, 2])].concat();
    let outcome = outcome_of_response(bytes, AMPLE).await;
    let Some(response) = outcome.response() else { panic!("no response: {outcome:?}") };
    assert_eq!(response.status, Some(410));
}

#[tokio::test]
async fn flood_of_resets_is_a_recorded_failure() {
    // INTERNAL_ERROR, REFUSED_STREAM, CANCEL.
    for reason in [2, 7, 8] {
        let bytes = frame(RST_STREAM, 0, 1, &[0, 0, 0, reason]).repeat(10_000);
        assert_eq!(outcome_of_response(bytes, AMPLE).await, closed_before_response(), "reason {reason}");
    }
}

#[tokio::test]
async fn goaway_is_a_recorded_failure() {
    // NO_ERROR, PROTOCOL_ERROR, ENHANCE_YOUR_CALM.
    for reason in [0, 1, 11] {
        let bytes = frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, reason]);
        assert_eq!(outcome_of_response(bytes, AMPLE).await, closed_before_response(), "reason {reason}");
    }
}

#[tokio::test]
async fn kept_connection_after_goaway_causes_no_failure() {
    let authority = Authority::new();
    let identity = authority.issue(&["127.0.0.1"]);
    let tls = TlsAcceptor::from(identity.server(&["h2"]));
    let left = Arc::new(Notify::new());
    let leaving = Arc::clone(&left);
    let receiver = RawReceiver::start(move |stream| {
        let (tls, leaving) = (tls.clone(), Arc::clone(&leaving));
        async move {
            let Some(mut stream) = accept(&tls, stream).await else { return };
            let leave = frame(GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0]);
            let _ = stream.write_all(&[frame(HEADERS, 5, 1, OK), leave].concat()).await;
            let _ = stream.flush().await;
            leaving.notify_one();
            until_closed(&mut stream).await;
        }
    })
    .await;
    let other = Receiver::secure(identity.server(&BOTH), |_| CannedResponse::status(204)).await;
    let transport = transport(trusting(authority.certificate()));
    for round in 0..20 {
        assert_eq!(send(&transport, &format!("https://{}/", receiver.address()), AMPLE).await, responded(200), "round {round}");
        left.notified().await;
        // The operating system reports events of the first connection before those of the second.
        assert_eq!(send(&transport, &other.url(), AMPLE).await, responded(204));
    }
}

#[tokio::test]
async fn non_http2_response_is_a_recorded_failure() {
    for bytes in [b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec(), frame(HEADERS, 5, 1, &[0xff; 100]), frame(HEADERS, 5, 2, OK)] {
        assert_eq!(outcome_of_response(bytes, AMPLE).await, closed_before_response());
    }
}

#[tokio::test]
async fn oversized_headers_are_a_recorded_failure() {
    // A header value with an announced length of 1 MiB, in frames of 16 KiB.
    let begin = [OK, b"\x00\x01a\x7f\x81\xff\x3f"].concat();
    let more = frame(CONTINUATION, 0, 1, &[b'a'; 16_384]).repeat(64);
    let bytes = [frame(HEADERS, 1, 1, &begin), more, frame(CONTINUATION, 4, 1, &[b'a'; 16_384])].concat();
    assert_eq!(outcome_of_response(bytes, AMPLE).await, closed_before_response());
    let many = [OK.to_vec(), b"\x00\x01a\x01b".repeat(3000)].concat();
    assert_eq!(outcome_of_response(frame(HEADERS, 5, 1, &many), AMPLE).await, closed_before_response());
}

#[tokio::test]
async fn receiver_without_flow_control_window_ends_at_the_limit() {
    // More than the initial window of 64 KiB.
    assert_eq!(outcome_of_sending(vec![b'x'; 1_000_000], vec![], SHORT).await, timed_out(SHORT));
    // A response is still accepted.
    assert_eq!(outcome_of_sending(vec![b'x'; 1_000_000], frame(HEADERS, 5, 1, OK), AMPLE).await, responded(200));
}

#[tokio::test]
async fn flood_of_pings_and_settings_ends_at_the_limit() {
    let pings = frame(PING, 0, 0, &[0; 8]).repeat(20_000);
    assert_eq!(outcome_of_response(pings, SHORT).await, timed_out(SHORT));
    let settings = frame(SETTINGS, 0, 0, &[]).repeat(20_000);
    assert_eq!(outcome_of_response(settings, SHORT).await, timed_out(SHORT));
}

#[tokio::test]
async fn silent_connection_is_closed() {
    let authority = Authority::new();
    let tls = TlsAcceptor::from(authority.issue(&["127.0.0.1"]).server(&["h2"]));
    let connections = Arc::new(AtomicUsize::default());
    let counting = Arc::clone(&connections);
    let receiver = RawReceiver::start(move |stream| {
        let tls = tls.clone();
        counting.fetch_add(1, Ordering::SeqCst);
        async move {
            // The receiver responds to the first request, then stays silent without closing.
            let Some(mut stream) = accept(&tls, stream).await else { return };
            let _ = stream.write_all(&frame(HEADERS, 5, 1, OK)).await;
            let _ = stream.flush().await;
            std::future::pending::<()>().await;
        }
    })
    .await;
    let transport = transport(Options { ping_interval: SHORT / 3, ..trusting(authority.certificate()) });
    let url = format!("https://{}/", receiver.address());
    assert_eq!(send(&transport, &url, AMPLE).await, responded(200));
    assert_eq!(send(&transport, &url, AMPLE).await, closed_before_response());
    assert_eq!(send(&transport, &url, AMPLE).await, responded(200));
    assert_eq!(connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn receiver_without_stream_capacity_ends_at_the_limit() {
    let authority = Authority::new();
    let tls = TlsAcceptor::from(authority.issue(&["127.0.0.1"]).server(&["h2"]));
    let receiver = RawReceiver::start(move |stream| {
        let tls = tls.clone();
        async move {
            let Some(mut stream) = accept(&tls, stream).await else { return };
            // SETTINGS_MAX_CONCURRENT_STREAMS: 0.
            let none = frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 0]);
            let _ = stream.write_all(&[none, frame(HEADERS, 5, 1, OK)].concat()).await;
            let _ = stream.flush().await;
            until_closed(&mut stream).await;
        }
    })
    .await;
    let other = Receiver::secure(authority.issue(&["127.0.0.1"]).server(&BOTH), |_| CannedResponse::status(204)).await;
    let transport = transport(trusting(authority.certificate()));
    let url = format!("https://{}/", receiver.address());
    assert_eq!(send(&transport, &url, AMPLE).await, responded(200));
    assert_eq!(send(&transport, &url, SHORT).await, timed_out(SHORT));
    assert_eq!(send(&transport, &other.url(), AMPLE).await, responded(204));
}

#[tokio::test]
async fn slow_body_ends_at_the_limit_and_its_head_decides() {
    let authority = Authority::new();
    let tls = TlsAcceptor::from(authority.issue(&["127.0.0.1"]).server(&["h2"]));
    let receiver = RawReceiver::start(move |stream| {
        let tls = tls.clone();
        async move {
            let Some(mut stream) = accept(&tls, stream).await else { return };
            let mut next = frame(HEADERS, 4, 1, OK);
            while stream.write_all(&next).await.is_ok() && stream.flush().await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
                next = frame(0, 0, 1, b"a");
            }
        }
    })
    .await;
    let outcome = send(&transport(trusting(authority.certificate())), &format!("https://{}/", receiver.address()), SHORT).await;
    let Some(response) = outcome.response() else { panic!("no response: {outcome:?}") };
    assert_eq!((response.status, outcome.is_accepted()), (Some(200), true));
    assert!(response.body.starts_with(b"a"), "the partial body is kept");
}
