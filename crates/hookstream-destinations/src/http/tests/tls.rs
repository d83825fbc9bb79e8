//! TLS: which certificates are trusted, and how a rejected certificate is reported.

use hookstream_testkit::{
    receiver::{CannedResponse, Receiver},
    tls::Identity,
};
use rustls::ServerConfig;

use super::*;

/// Both protocols; the client prefers HTTP/2.
pub(super) const BOTH: [&str; 2] = ["h2", "http/1.1"];
const HOST: &str = "hooks.receiver.test";

/// Returns the outcome of a delivery to [`HOST`] with this TLS configuration, if the authority is trusted.
async fn outcome_of(authority: &Authority, tls: Arc<ServerConfig>) -> Outcome {
    let receiver = Receiver::secure(tls, |_| CannedResponse::status(204)).await;
    let names = Names::default().with("hooks.receiver.test.", &["127.0.0.1"]);
    let transport = with_names(trusting(authority.certificate()), names);
    let outcome = send(&transport, &receiver.url_at(HOST), AMPLE).await;
    assert_eq!(receiver.received().len(), usize::from(outcome.is_accepted()), "an untrusted receiver gets no request");
    outcome
}

#[tokio::test]
async fn certificate_of_a_trusted_authority_is_accepted() {
    let authority = Authority::new();
    for protocols in [&BOTH[..], &["http/1.1"], &["h2"], &[]] {
        assert_eq!(outcome_of(&authority, authority.issue(&[HOST]).server(protocols)).await, responded(204), "{protocols:?}");
    }
    // A final dot is not part of the certificate's name.
    let receiver = Receiver::secure(authority.issue(&[HOST]).server(&BOTH), |_| CannedResponse::status(204)).await;
    let transport = with_names(trusting(authority.certificate()), Names::default().with("hooks.receiver.test.", &["127.0.0.1"]));
    assert_eq!(send(&transport, &receiver.url_at("hooks.receiver.test."), AMPLE).await, responded(204));
    assert_eq!(outcome_of(&authority, authority.issue(&["*.receiver.test"]).server(&BOTH)).await, responded(204));
}

#[tokio::test]
async fn address_certificate_is_accepted_for_its_address() {
    let authority = Authority::new();
    let receiver = Receiver::secure(authority.issue(&["127.0.0.1"]).server(&BOTH), |_| CannedResponse::status(204)).await;
    let transport = transport(trusting(authority.certificate()));
    assert_eq!(send(&transport, &receiver.url(), AMPLE).await, responded(204));
    let names = Names::default().with("hooks.receiver.test.", &["127.0.0.1"]);
    let transport = with_names(trusting(authority.certificate()), names);
    // If a name leads to that address, the certificate must be for the name.
    for host in [HOST, "hooks.receiver.test."] {
        let expected = failed(FailureKind::TlsWrongHost, "the receiver's certificate is for another host");
        assert_eq!(send(&transport, &receiver.url_at(host), AMPLE).await, expected);
    }
}

#[tokio::test]
async fn handshake_names_the_server() {
    let authority = Authority::new();
    let tls = authority.issue(&[HOST, "127.0.0.1"]).server(&["http/1.1"]);
    let names: Arc<Mutex<Vec<Option<String>>>> = Arc::default();
    let recorder = Arc::clone(&names);
    let receiver = RawReceiver::start(move |stream| {
        let (tls, recorder) = (Arc::clone(&tls), Arc::clone(&recorder));
        async move {
            let hello = tokio_rustls::LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream).await.expect("a hello");
            recorder.lock().expect("not poisoned").push(hello.client_hello().server_name().map(str::to_owned));
            let mut stream = hello.into_stream(tls).await.expect("a handshake");
            read_request(&mut stream).await;
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await;
            until_closed(&mut stream).await;
        }
    })
    .await;
    let transport = with_names(trusting(authority.certificate()), Names::default().with("hooks.receiver.test.", &["127.0.0.1"]));
    let port = receiver.address().port();
    for host in [HOST, "hooks.receiver.test.", "HOOKS.receiver.test", "127.0.0.1"] {
        assert_eq!(send(&transport, &format!("https://{host}:{port}/"), AMPLE).await, responded(204), "{host}");
    }
    // Lower case and without the final dot; an address is not sent as a name (RFC 6066 section 3).
    let name = Some(HOST.to_owned());
    assert_eq!(*names.lock().expect("not poisoned"), [name.clone(), name.clone(), name, None]);
}

#[tokio::test]
async fn unrecognized_name_is_reported() {
    // Alert of a server without a certificate for the name: unrecognized_name.
    let receiver = RawReceiver::start(|mut stream| async move {
        let mut hello = [0; 5];
        let _ = stream.read_exact(&mut hello).await;
        let _ = stream.write_all(b"\x15\x03\x03\x00\x02\x02\x70").await;
        let _ = stream.shutdown().await;
        until_closed(&mut stream).await;
    })
    .await;
    let transport = with_names(options(), Names::default().with("hooks.receiver.test.", &["127.0.0.1"]));
    let outcome = send(&transport, &format!("https://{HOST}:{}/", receiver.address().port()), AMPLE).await;
    assert_eq!(outcome, failed(FailureKind::TlsFailed, "the receiver ended the TLS connection (UnrecognisedName)"));
}

#[tokio::test]
async fn certificate_for_another_host_is_reported() {
    let authority = Authority::new();
    let expected = failed(FailureKind::TlsWrongHost, "the receiver's certificate is for another host");
    for name in ["receiver.test", "*.other.test", "*.hooks.receiver.test", "127.0.0.1"] {
        assert_eq!(outcome_of(&authority, authority.issue(&[name]).server(&BOTH)).await, expected, "{name}");
    }
}

#[tokio::test]
async fn certificate_outside_its_validity_is_reported() {
    let authority = Authority::new();
    let expected = failed(FailureKind::TlsExpired, "the receiver's certificate has expired or is not yet valid");
    for identity in [authority.issue_expired(&[HOST]), authority.issue_for_later(&[HOST])] {
        assert_eq!(outcome_of(&authority, identity.server(&BOTH)).await, expected);
    }
}

#[tokio::test]
async fn untrusted_certificate_is_reported() {
    let authority = Authority::new();
    let expected = failed(FailureKind::TlsUntrusted, "the receiver's certificate is not signed by a trusted authority");
    for identity in [Identity::self_signed(&[HOST]), Authority::new().issue(&[HOST])] {
        assert_eq!(outcome_of(&authority, identity.server(&BOTH)).await, expected);
    }
}

#[tokio::test]
async fn pinned_certificate_is_trusted_for_its_names_while_valid() {
    let outcome = async |shown: &Identity, named: &Identity, host: &str| {
        let receiver = Receiver::secure(shown.server(&BOTH), |_| CannedResponse::status(204)).await;
        let names = Names::default().with("hooks.receiver.test.", &["127.0.0.1"]);
        let extra_roots = crate::net::certificates(named.pem().0.as_bytes()).expect("a certificate");
        let trust = Trust { extra_roots, ..Trust::default() };
        send(&with_names(Options { trust, ..options() }, names), &receiver.url_at(host), AMPLE).await
    };
    for make in [Identity::self_signed, Identity::self_signed_authority] {
        let identity = make(&[HOST, "127.0.0.1"]);
        assert_eq!(outcome(&identity, &identity, HOST).await, responded(204));
        assert_eq!(outcome(&identity, &identity, "127.0.0.1").await, responded(204));
        let elsewhere = make(&["elsewhere.test"]);
        let expected = failed(FailureKind::TlsWrongHost, "the receiver's certificate is for another host");
        assert_eq!(outcome(&elsewhere, &elsewhere, HOST).await, expected);
        // The same names with another key make another certificate.
        assert!(!outcome(&make(&[HOST]), &identity, HOST).await.is_accepted());
    }
    let expired = Identity::self_signed_authority_expired(&[HOST]);
    let expected = failed(FailureKind::TlsExpired, "the receiver's certificate has expired or is not yet valid");
    assert_eq!(outcome(&expired, &expired, HOST).await, expected);
}

#[tokio::test]
async fn required_client_certificate_is_reported() {
    let authority = Authority::new();
    for (protocol, detail) in [
        ("http/1.1", "the receiver ended the TLS connection (CertificateRequired)"),
        ("h2", "the TLS connection failed after the handshake"),
    ] {
        let tls = authority.issue(&[HOST]).server_for_clients_of(&authority, &[protocol]);
        assert_eq!(outcome_of(&authority, tls).await, failed(FailureKind::TlsFailed, detail), "{protocol}");
    }
}

#[tokio::test]
async fn client_certificate_is_sent_and_its_renewal_applies_at_once() {
    let authority = Authority::new();
    let identity = |names: &[&str]| {
        let (chain, key) = authority.issue(names).pem();
        Some(ClientIdentity::from_pem(chain.as_bytes(), key.as_bytes()).expect("PEM"))
    };
    for protocol in ["http/1.1", "h2"] {
        let tls = authority.issue(&[HOST]).server_for_clients_of(&authority, &[protocol]);
        let receiver = Receiver::secure(tls, |_| CannedResponse::status(204)).await;
        let names = || Names::default().with("hooks.receiver.test.", &["127.0.0.1"]);
        let stranger = Authority::new().issue(&["sender.test"]).pem();
        let stranger = ClientIdentity::from_pem(stranger.0.as_bytes(), stranger.1.as_bytes()).ok();
        let trust = |identity| Trust { extra_roots: vec![authority.certificate()], identity, ..Trust::default() };
        let transport = with_names(Options { trust: trust(stranger), ..options() }, names());
        assert!(!send(&transport, &receiver.url_at(HOST), AMPLE).await.is_accepted(), "the client certificate is unknown");
        transport.trust(trust(identity(&["sender.test"]))).expect("valid trust settings");
        assert_eq!(send(&transport, &receiver.url_at(HOST), AMPLE).await, responded(204), "{protocol}");
    }
}

#[tokio::test]
async fn revoked_certificate_is_reported() {
    let authority = Authority::new();
    let (revoked, other) = (authority.issue(&[HOST]), authority.issue(&[HOST]));
    let list = crate::net::revocation_lists(authority.revoke(&[&revoked]).as_bytes()).expect("a list");
    let trust = |roots: &Authority| Trust { extra_roots: vec![roots.certificate()], revoked: list.clone(), ..Trust::default() };
    let outcome = async |authority: &Authority, identity: &Identity| {
        let receiver = Receiver::secure(identity.server(&BOTH), |_| CannedResponse::status(204)).await;
        let names = Names::default().with("hooks.receiver.test.", &["127.0.0.1"]);
        send(&with_names(Options { trust: trust(authority), ..options() }, names), &receiver.url_at(HOST), AMPLE).await
    };
    let expected = failed(FailureKind::TlsRevoked, "the receiver's certificate was revoked");
    assert_eq!(outcome(&authority, &revoked).await, expected);
    assert_eq!(outcome(&authority, &other).await, responded(204));
    // An authority without a revocation list has revoked nothing.
    let elsewhere = Authority::new();
    assert_eq!(outcome(&elsewhere, &elsewhere.issue(&[HOST])).await, responded(204));
}

#[test]
fn invalid_pem_is_rejected() {
    for text in ["", "hello", "-----BEGIN CERTIFICATE-----\nAAAA"] {
        assert!(crate::net::certificates(text.as_bytes()).is_err(), "{text}");
        assert!(crate::net::revocation_lists(text.as_bytes()).is_err(), "{text}");
        assert!(ClientIdentity::from_pem(text.as_bytes(), text.as_bytes()).is_err(), "{text}");
    }
}

#[tokio::test]
async fn stalled_handshake_ends_at_the_attempt_or_connect_limit() {
    let receiver = RawReceiver::start(|mut stream| async move { until_closed(&mut stream).await }).await;
    let url = format!("https://{}/", receiver.address());
    assert_eq!(send(&transport(options()), &url, SHORT).await, timed_out(SHORT));
    let transport = transport(Options { connect_timeout: SHORT, ..options() });
    assert_eq!(send(&transport, &url, AMPLE).await, failed(FailureKind::Timeout, "the connection timed out"));
}

#[tokio::test]
async fn aborted_handshake_is_reported() {
    let aborting = async |bytes: &'static [u8]| {
        let receiver = RawReceiver::start(move |mut stream| async move {
            let mut hello = [0; 5];
            let _ = stream.read_exact(&mut hello).await;
            let _ = stream.write_all(bytes).await;
            let _ = stream.shutdown().await;
            until_closed(&mut stream).await;
        })
        .await;
        send(&transport(options()), &format!("https://{}/", receiver.address()), AMPLE).await
    };
    assert_eq!(aborting(b"").await, closed_during_response());
    // Alert of a server that speaks TLS 1.0 only.
    let expected = failed(FailureKind::TlsFailed, "the receiver ended the TLS connection (ProtocolVersion)");
    assert_eq!(aborting(b"\x15\x03\x01\x00\x02\x02\x46").await, expected);
    let expected = failed(FailureKind::TlsFailed, "no TLS 1.2 or 1.3 connection with the receiver");
    assert_eq!(aborting(b"\x16\x03\x01\xff\xff").await, expected);
}

#[tokio::test]
async fn tls_to_a_plain_receiver_fails_and_the_reverse_is_not_http() {
    let plain = Receiver::start().await;
    let outcome = send(&transport(options()), &plain.url().replace("http://", "https://"), AMPLE).await;
    assert_eq!(outcome, failed(FailureKind::TlsFailed, "no TLS 1.2 or 1.3 connection with the receiver"));

    let authority = Authority::new();
    let secure = Receiver::secure(authority.issue(&["127.0.0.1"]).server(&BOTH), |_| CannedResponse::status(204)).await;
    let outcome = send(&transport(options()), &secure.url().replace("https://", "http://"), AMPLE).await;
    assert_eq!(outcome, not_http());
}
