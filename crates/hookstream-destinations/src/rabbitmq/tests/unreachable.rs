//! Brokers that cannot be reached, or are none.

use std::time::Duration;

use hookstream_model::delivery::outcome::FailureKind;
use hookstream_testkit::{
    broker::{Broker, Proxy},
    eventually,
    receiver::RawReceiver,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::TcpStream,
};

use super::support::{AMPLE, destination, options, refused, send, target, values};
use crate::{AddressPolicy, net::Options};

const SHORT: Duration = Duration::from_millis(300);

#[tokio::test]
async fn forbidden_address_is_refused_on_save_and_on_connecting() {
    let broker = Broker::connect().await;
    let proxy = Proxy::start(broker.address()).await;
    let destination = destination(Options::new(AddressPolicy::public_only()));
    for scheme in ["amqp", "amqps", "http"] {
        let target = target(&destination, &format!("{scheme}://{}", proxy.address()), &[]);
        let saved = target.check_address().await.expect_err("refused").to_string();
        assert!(saved.contains("127.0.0.1 (loopback)"), "{saved}");
        let (kind, sentence) = refused(&target).await;
        assert!(kind == FailureKind::AddressNotAllowed && sentence.contains("loopback"), "{scheme}: {kind:?} {sentence}");
    }
    assert_eq!(proxy.opened(), 0);
}

#[tokio::test]
async fn closed_port_and_other_protocols_have_their_words() {
    let destination = destination(options());
    let (kind, _) = refused(&target(&destination, "amqp://127.0.0.1:1", &[])).await;
    assert_eq!(kind, FailureKind::ConnectionRefused);
    let (kind, _) = refused(&target(&destination, "amqp://no-such-name.invalid", &[])).await;
    assert_eq!(kind, FailureKind::DnsFailed);
    let web = RawReceiver::start(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
        let mut nothing = [0; 64];
        while stream.read(&mut nothing).await.is_ok_and(|read| read > 0) {}
    })
    .await;
    let (kind, sentence) = refused(&target(&destination, &format!("amqp://{}", web.address()), &[])).await;
    assert!(kind == FailureKind::ResponseInvalid && sentence.contains("AMQP"), "{kind:?} {sentence}");
}

#[tokio::test]
async fn silent_broker_times_out_and_its_connection_ends() {
    let (report, mut ended) = tokio::sync::mpsc::channel(1);
    let silent = RawReceiver::start(move |mut stream| {
        let report = report.clone();
        async move {
            let mut nothing = [0; 64];
            while stream.read(&mut nothing).await.is_ok_and(|read| read > 0) {}
            let _ = report.send(()).await;
        }
    })
    .await;
    let destination = destination(options());
    let target = target(&destination, &format!("amqp://{}", silent.address()), &[]);
    let sent = send(&target, SHORT).await;
    assert_eq!(sent.outcome.error().as_deref(), Some("timeout: no response within 300 ms"));
    tokio::time::timeout(Duration::from_secs(10), ended.recv()).await.expect("the connection ends").expect("reported");
    eventually("no broker in memory", || async { (destination.brokers.len() == 0).then_some(()) }).await;
}

#[tokio::test]
async fn frame_larger_than_agreed_ends_the_connection() {
    let broker = Broker::connect().await;
    let topology = broker.topology("frame").await;
    let (address, (report, mut ended)) = (broker.address(), tokio::sync::mpsc::channel(1));
    let (inject, injected) = tokio::sync::watch::channel(false);
    let hostile = RawReceiver::start(move |mut client| {
        let (report, mut injected) = (report.clone(), injected.clone());
        async move {
            let mut server = TcpStream::connect(address).await.expect("the broker");
            tokio::select! {
                _ = copy_bidirectional(&mut client, &mut server) => {}
                _ = injected.wait_for(|injected| *injected) => {}
            }
            // A frame of 4 GiB, of which the end never comes.
            let _ = client.write_all(&[3, 0, 1, 0xff, 0xff, 0xff, 0xff]).await;
            while client.write_all(&[b'x'; 4096]).await.is_ok() {}
            let _ = report.send(()).await;
        }
    })
    .await;
    let destination = destination(options());
    let target = target(&destination, &format!("amqp://{}", hostile.address()), &values(&broker, &topology));
    assert!(send(&target, AMPLE).await.outcome.is_accepted());
    inject.send(true).expect("sent");
    tokio::time::timeout(Duration::from_secs(10), ended.recv()).await.expect("the connection ends").expect("reported");
}
