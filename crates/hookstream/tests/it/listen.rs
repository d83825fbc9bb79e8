//! The server's own door: HTTPS, and bounds for whoever comes.

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
    program::refused_start,
    support::{KEY, Server, hookstream, scratch},
};

const ASK: &str = "GET /v1/usage HTTP/1.1\r\nhost: x\r\nx-api-key: ";

fn write(directory: &Path, identity: &Identity) {
    let (certificate, key) = identity.pem();
    std::fs::write(directory.join("server.pem"), certificate).expect("written");
    std::fs::write(directory.join("server.key"), key).expect("written");
}

/// What comes back on a connection until it ends.
async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.expect("written");
    let mut answer = Vec::new();
    // Where the server ends the connection hard, what came before counts.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
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
async fn https_is_served_and_a_renewed_certificate_counts_without_a_restart() {
    let (scratch, files) = (scratch(), tempfile::tempdir().expect("a directory"));
    let (old, new) = (Authority::new(), Authority::new());
    write(files.path(), &old.issue(&["127.0.0.1"]));
    let file = |name: &str| files.path().join(name).to_str().expect("a path that is text").to_owned();
    let data = scratch.path().to_str().expect("a path that is text");
    let mut command = hookstream();
    command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir", data]);
    command.args(["--tls-cert-file", &file("server.pem"), "--tls-key-file", &file("server.key")]);
    command.env("HOOKSTREAM_BOOTSTRAP_API_KEY", KEY).stdout(std::process::Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().expect("piped"))).map_while(Result::ok);
    let mut ready = lines.filter(|line| line.contains(" is ready at "));
    let ready = ready.next().expect("it says that it is ready");
    let address = ready.split_whitespace().find_map(|word| word.strip_prefix("https://")).expect("an https address");
    let address: SocketAddr = address.parse().expect("an address");

    let request = format!("{ASK}{KEY}\r\nconnection: close\r\n\r\n");
    let answer = exchange(secure(address, &old).await.expect("TLS"), &request).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.contains("strict-transport-security: max-age=31536000\r\n"), "{answer}");
    assert!(secure(address, &new).await.is_err(), "nobody knows that authority here");
    let plain = exchange(TcpStream::connect(address).await.expect("connected"), &request).await;
    assert!(!plain.contains("200 OK"), "without TLS there is nothing: {plain}");

    write(files.path(), &new.issue(&["127.0.0.1"]));
    let stream = eventually("the new certificate", async || secure(address, &new).await.ok()).await;
    assert!(exchange(stream, &request).await.starts_with("HTTP/1.1 200 OK"));
    // What makes no sense changes nothing.
    std::fs::write(files.path().join("server.pem"), "hello").expect("written");
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert!(secure(address, &new).await.is_ok());
    child.kill().and_then(|()| child.wait()).expect("ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_bounded_and_the_next_waits() {
    let scratch = scratch();
    let server = Server::start(&scratch, &["--max-connections", "2"]);
    let address: SocketAddr = server.address().parse().expect("an address");
    let connect = async || TcpStream::connect(address).await.expect("connected");
    // Both are served before the third comes, and stay.
    let served = async || {
        let mut stream = connect().await;
        stream.write_all(format!("{ASK}{KEY}\r\n\r\n").as_bytes()).await.expect("written");
        let mut status = [0; 12];
        stream.read_exact(&mut status).await.expect("an answer");
        assert_eq!(&status, b"HTTP/1.1 200");
        stream
    };
    let (first, second) = (served().await, served().await);
    let request = format!("{ASK}{KEY}\r\nconnection: close\r\n\r\n");
    let third = connect().await;
    let mut answer = Box::pin(exchange(third, &request));
    assert!(tokio::time::timeout(Duration::from_millis(500), &mut answer).await.is_err(), "there is no room for it");
    drop(first);
    let answer = tokio::time::timeout(Duration::from_secs(10), answer).await.expect("there is room now");
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    drop(second);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_too_large_is_refused_and_an_idle_connection_does_not_hold_up_a_stop() {
    let scratch = scratch();
    let mut server = Server::start(&scratch, &[]);
    let address: SocketAddr = server.address().parse().expect("an address");
    let connect = async || TcpStream::connect(address).await.expect("connected");
    let many: String = (0..200).map(|n| format!("x-{n}: y\r\n")).collect();
    let large = format!("x-large: {}\r\n", "y".repeat(100_000));
    for headers in [many, large] {
        let answer = exchange(connect().await, &format!("{ASK}{KEY}\r\n{headers}\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }
    let (_idle, mut half) = (connect().await, connect().await);
    half.write_all(ASK.as_bytes()).await.expect("written");
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.terminate();
    assert_eq!(server.ended(Duration::from_secs(15)).await, Some(0));
}

#[test]
fn certificate_files_that_hold_something_else_are_refused_by_their_setting() {
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
