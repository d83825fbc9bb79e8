//! Listener of the server: HTTPS, and limits for connections and requests.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use hookstream_testkit::{
    eventually,
    tls::{Authority, Identity},
};
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use crate::{
    binary::program::refused_start,
    support::{KEY, Server, hookstream, scratch},
};

const REQUEST_PREFIX: &str = "GET /v1/usage HTTP/1.1\r\nhost: x\r\nx-api-key: ";

fn write(directory: &Path, identity: &Identity) {
    let (certificate, key) = identity.pem();
    std::fs::write(directory.join("server.pem"), certificate).expect("written");
    std::fs::write(directory.join("server.key"), key).expect("written");
}

/// Sends a request and returns everything received until the connection ends.
async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.expect("written");
    let mut response = Vec::new();
    // If the server resets the connection, the bytes before that count.
    let _ = stream.read_to_end(&mut response).await;
    String::from_utf8_lossy(&response).into_owned()
}

async fn secure(address: SocketAddr, authority: &Authority) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate()).expect("an authority");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("TLS");
    let config = builder.with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::IpAddress(address.ip().into());
    TlsConnector::from(Arc::new(config)).connect(name, TcpStream::connect(address).await?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn renewed_certificate_applies_without_a_restart() {
    let (scratch, files) = (scratch(), tempfile::tempdir().expect("a directory"));
    let (old, new) = (Authority::new(), Authority::new());
    write(files.path(), &old.issue(&["127.0.0.1"]));
    let file = |name: &str| files.path().join(name).to_str().expect("a path that is text").to_owned();
    let data = scratch.path().to_str().expect("a path that is text");
    let mut command = hookstream();
    command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir", data]);
    command.args(["--tls-cert-file", &file("server.pem"), "--tls-key-file", &file("server.key")]);
    let log = files.path().join("log");
    command.env("HOOKSTREAM_BOOTSTRAP_API_KEY", KEY).stdout(std::process::Stdio::piped());
    command.stderr(std::fs::File::create(&log).expect("a file"));
    let mut child = command.spawn().expect("the process starts");
    let lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().expect("piped"))).map_while(Result::ok);
    let mut ready = lines.filter(|line| line.contains(" is ready at "));
    let ready = ready.next().expect("the ready line");
    let address = ready.split_whitespace().find_map(|word| word.strip_prefix("https://")).expect("an https address");
    let address: SocketAddr = address.parse().expect("an address");

    let request = format!("{REQUEST_PREFIX}{KEY}\r\nconnection: close\r\n\r\n");
    let response = exchange(secure(address, &old).await.expect("TLS"), &request).await;
    assert!(response.starts_with("HTTP/1.1 200 OK"), "{response}");
    assert!(response.contains("strict-transport-security: max-age=31536000\r\n"), "{response}");
    assert!(secure(address, &new).await.is_err(), "the new authority has not signed the certificate yet");
    let plain = exchange(TcpStream::connect(address).await.expect("connected"), &request).await;
    assert!(!plain.contains("200 OK"), "no response without TLS: {plain}");

    write(files.path(), &new.issue(&["127.0.0.1"]));
    let stream = eventually("the new certificate", async || secure(address, &new).await.ok()).await;
    assert!(exchange(stream, &request).await.starts_with("HTTP/1.1 200 OK"));
    // An invalid certificate file changes nothing.
    std::fs::write(files.path().join("server.pem"), "hello").expect("written");
    let refused = "a changed file is invalid; the previous content stays in use";
    eventually("the invalid file is read", async || std::fs::read_to_string(&log).ok()?.contains(refused).then_some(())).await;
    assert!(secure(address, &new).await.is_ok());
    child.kill().and_then(|()| child.wait()).expect("ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_limited_and_the_next_one_waits() {
    let scratch = scratch();
    let server = Server::start(&scratch, &["--max-connections", "2"]);
    let address: SocketAddr = server.address().parse().expect("an address");
    let connect = async || TcpStream::connect(address).await.expect("connected");
    // Both are served before the third connects, and stay open.
    let served = async || {
        let mut stream = connect().await;
        stream.write_all(format!("{REQUEST_PREFIX}{KEY}\r\n\r\n").as_bytes()).await.expect("written");
        let mut status = [0; 12];
        stream.read_exact(&mut status).await.expect("a response");
        assert_eq!(&status, b"HTTP/1.1 200");
        stream
    };
    let (first, second) = (served().await, served().await);
    let request = format!("{REQUEST_PREFIX}{KEY}\r\nconnection: close\r\n\r\n");
    let third = connect().await;
    let mut response = Box::pin(exchange(third, &request));
    assert!(tokio::time::timeout(Duration::from_millis(500), &mut response).await.is_err(), "the connection limit is reached");
    drop(first);
    let response = tokio::time::timeout(Duration::from_secs(10), response).await.expect("the third connection is served");
    assert!(response.starts_with("HTTP/1.1 200 OK"), "{response}");
    drop(second);
}

#[tokio::test(flavor = "multi_thread")]
async fn oversized_head_is_rejected_and_idle_connections_do_not_delay_shutdown() {
    let scratch = scratch();
    let mut server = Server::start(&scratch, &[]);
    let address: SocketAddr = server.address().parse().expect("an address");
    let connect = async || TcpStream::connect(address).await.expect("connected");
    let many: String = (0..200).map(|n| format!("x-{n}: y\r\n")).collect();
    let large = format!("x-large: {}\r\n", "y".repeat(100_000));
    for headers in [many, large] {
        let response = exchange(connect().await, &format!("{REQUEST_PREFIX}{KEY}\r\n{headers}\r\n")).await;
        assert!(response.starts_with("HTTP/1.1 431 "), "{response}");
    }
    let (_idle, mut half) = (connect().await, connect().await);
    half.write_all(REQUEST_PREFIX.as_bytes()).await.expect("written");
    // Connections are accepted in their order, so both are once a later one is served.
    let response = exchange(connect().await, &format!("{REQUEST_PREFIX}{KEY}\r\nconnection: close\r\n\r\n")).await;
    assert!(response.starts_with("HTTP/1.1 200 OK"), "{response}");
    server.terminate();
    assert_eq!(server.ended(Duration::from_secs(15)).await, Some(0));
}

#[test]
fn invalid_certificate_files_are_rejected_by_setting() {
    let files = tempfile::tempdir().expect("a directory");
    let path = files.path().join("some.pem");
    std::fs::write(&path, "hello").expect("written");
    let some = path.to_str().expect("a path that is text");
    write(files.path(), &Authority::new().issue(&["127.0.0.1"]));
    let (good, good_key) = (files.path().join("server.pem"), files.path().join("server.key"));
    let (good, good_key) = (good.to_str().expect("text"), good_key.to_str().expect("text"));
    let (_, other_key) = Authority::new().issue(&["127.0.0.1"]).pem();
    let other = files.path().join("other.key");
    std::fs::write(&other, other_key).expect("written");
    refused_start(&["--tls-cert-file", good], "belong together: set both or neither");
    refused_start(&["--tls-cert-file", some, "--tls-key-file", good_key], "holds no certificates in PEM");
    refused_start(&["--tls-cert-file", good, "--tls-key-file", some], "holds no private key in PEM");
    refused_start(&["--tls-cert-file", good, "--tls-key-file", other.to_str().expect("text")], "is not the key of the first certificate");
}
