//! Publishing over AMQP: properties, confirms, refusals, and reuse of connections.

use std::{collections::BTreeMap, time::Duration};

use hookstream_model::delivery::outcome::{FailureKind, Outcome};
use hookstream_testkit::{
    broker::{Broker, Proxy},
    eventually,
    tls::Authority,
};
use serde_json::json;

use super::support::{AMPLE, destination, envelope, keys, options, refused, send, target, target_with, values};
use crate::{
    Envelope,
    net::{Options, Trust},
};

const ACCEPTED: Outcome = Outcome::Accepted { response: None, asks_to_stop: false };

#[tokio::test]
async fn message_arrives_with_its_properties_and_headers() {
    let broker = Broker::connect().await;
    let topology = broker.topology("properties").await;
    let target = target(&destination(options()), &broker.url(), &values(&broker, &topology));
    let sent = send(&target, AMPLE).await;
    assert_eq!(sent.outcome, ACCEPTED);
    assert!(sent.timings.connect.is_some() && sent.timings.write.is_some() && sent.timings.first_byte.is_some(), "{:?}", sent.timings);

    let received = broker.next(&topology).await;
    assert_eq!(received.body, b"{\"a\": 1.0}");
    let properties = &received.properties;
    let text = |value: &Option<lapin::types::ShortString>| value.as_ref().map(ToString::to_string);
    assert_eq!(text(properties.content_type()).as_deref(), Some("application/json"));
    assert_eq!(text(properties.message_id()).as_deref(), Some("msg_1"));
    assert_eq!(text(properties.kind()).as_deref(), Some("invoice.paid"));
    assert_eq!((*properties.delivery_mode(), *properties.timestamp()), (Some(2), Some(1_780_000_000)));
    let keys = keys();
    let signature = envelope(&keys, "{\"a\": 1.0}").signature();
    for (name, value) in [
        ("webhook-id", "msg_1"),
        ("webhook-timestamp", "1780000000"),
        ("webhook-signature", signature.as_str()),
        ("x-hookstream-event-type", "invoice.paid"),
        ("x-hookstream-delivery-attempt", "3"),
        ("x-hookstream-hops", "2"),
    ] {
        assert_eq!(received.header(name).as_deref(), Some(value), "{name}");
    }
}

#[tokio::test]
async fn largest_headers_and_payload_arrive() {
    let broker = Broker::connect().await;
    let topology = broker.topology("largest").await;
    let headers: BTreeMap<_, _> = (0..6).map(|number| (format!("x-{number:03}"), "x".repeat(4_091))).collect();
    let target = target_with(&destination(options()), &broker.url(), &values(&broker, &topology), &headers);
    let (keys, body) = (keys(), vec![b'1'; 1024 * 1024]);
    let envelope = Envelope { body: body.clone().into(), ..envelope(&keys, "") };
    assert_eq!(target.send(&envelope, AMPLE).await.outcome, ACCEPTED);
    let received = broker.next(&topology).await;
    assert_eq!((received.body == body, received.header("x-005")), (true, headers.get("x-005").cloned()));
}

#[tokio::test]
async fn default_exchange_publishes_to_the_queue_of_the_routing_key() {
    let broker = Broker::connect().await;
    let topology = broker.topology("default_exchange").await;
    let mut values = values(&broker, &topology);
    values.extend([("exchange", "amq.default".to_owned()), ("routing_key", topology.queue.clone())]);
    assert_eq!(send(&target(&destination(options()), &broker.url(), &values), AMPLE).await.outcome, ACCEPTED);
    assert_eq!(broker.next(&topology).await.body, b"{\"a\": 1.0}");
}

#[tokio::test]
async fn refusals_have_their_own_words() {
    let broker = Broker::connect().await;
    let topology = broker.topology("refusals").await;
    let destination = destination(options());
    let with = |changes: &[(&'static str, &str)]| {
        let mut values = values(&broker, &topology);
        values.extend(changes.iter().map(|(field, value)| (*field, (*value).to_owned())));
        target(&destination, &broker.url(), &values)
    };
    let check = async |changes: &[(&'static str, &str)], kind: FailureKind, part: &str| {
        let (found, sentence) = refused(&with(changes)).await;
        assert!(found == kind && sentence.contains(part), "{changes:?}: {found:?} {sentence}");
    };
    check(&[("routing_key", "nobody")], FailureKind::Unroutable, "no queue is bound").await;
    check(&[("exchange", "hookstream_test.missing")], FailureKind::TargetNotFound, "\"hookstream_test.missing\"").await;
    check(&[("password", "wrong")], FailureKind::AccessRefused, "user name or the password").await;
    check(&[("vhost", "hookstream_test.missing")], FailureKind::TargetNotFound, "virtual host").await;
    // The connection of the good endpoint is open; the wrong password must not use it.
    assert_eq!(send(&with(&[]), AMPLE).await.outcome, ACCEPTED);
    check(&[("password", "wrong")], FailureKind::AccessRefused, "user name or the password").await;
    // An error on one channel leaves the connection of the others in order.
    let (good, missing) = (with(&[]), with(&[("exchange", "hookstream_test.missing")]));
    let outcomes = tokio::join!(send(&good, AMPLE), refused(&missing), send(&good, AMPLE));
    assert_eq!((outcomes.0.outcome, outcomes.1.0, outcomes.2.outcome), (ACCEPTED, FailureKind::TargetNotFound, ACCEPTED));
}

#[tokio::test]
async fn user_without_permission_is_refused() {
    let broker = Broker::connect().await;
    let topology = broker.topology("permission").await;
    let user = format!("hookstream_test_{}", std::process::id());
    assert!(broker.manage("PUT", &format!("/api/users/{user}"), &json!({ "password": "sesame", "tags": "" })).await < 300);
    let mut values = values(&broker, &topology);
    values.extend([("username", user.clone()), ("password", "sesame".to_owned())]);
    let target = target(&destination(options()), &broker.url(), &values);
    let (kind, sentence) = refused(&target).await;
    assert!(kind == FailureKind::AccessRefused && sentence.contains("virtual host"), "{kind:?} {sentence}");
    let permissions = json!({ "configure": "", "write": "nothing", "read": "" });
    assert!(broker.manage("PUT", &format!("/api/permissions/%2F/{user}"), &permissions).await < 300);
    let (kind, sentence) = refused(&target).await;
    assert!(kind == FailureKind::AccessRefused && sentence.contains("publish to exchange"), "{kind:?} {sentence}");
    assert!(broker.manage("DELETE", &format!("/api/users/{user}"), &json!({})).await < 300);
}

#[tokio::test]
async fn negative_confirm_is_retried_and_counts_as_overload() {
    let broker = Broker::connect().await;
    let topology = broker.full_topology("nack").await;
    let target = target(&destination(options()), &broker.url(), &values(&broker, &topology));
    assert_eq!(send(&target, AMPLE).await.outcome, ACCEPTED);
    let outcome = send(&target, AMPLE).await.outcome;
    assert!(outcome.is_overload(), "{outcome:?}");
    assert_eq!(outcome.failure().map(|failure| failure.kind), Some(FailureKind::MessageRefused));
}

#[tokio::test]
async fn connection_is_shared_and_opened_again_after_a_break() {
    let broker = Broker::connect().await;
    let topology = broker.topology("break").await;
    let proxy = Proxy::start(broker.address()).await;
    let destination = destination(options());
    let target = target(&destination, &format!("amqp://{}", proxy.address()), &values(&broker, &topology));
    let outcomes = tokio::join!(send(&target, AMPLE), send(&target, AMPLE), send(&target, AMPLE));
    assert_eq!([outcomes.0.outcome, outcomes.1.outcome, outcomes.2.outcome], [ACCEPTED, ACCEPTED, ACCEPTED]);
    let again = send(&target, AMPLE).await;
    assert_eq!((again.outcome, again.timings.connect, proxy.opened()), (ACCEPTED, None, 1));
    proxy.cut();
    eventually("a new connection", || async { (send(&target, AMPLE).await.outcome == ACCEPTED).then_some(()) }).await;
    assert_eq!(proxy.opened(), 2);
}

#[tokio::test]
async fn idle_connection_is_closed() {
    let broker = Broker::connect().await;
    let topology = broker.topology("idle").await;
    let proxy = Proxy::start(broker.address()).await;
    let destination = destination(Options { idle_timeout: Duration::from_millis(100), ..options() });
    let target = target(&destination, &format!("amqp://{}", proxy.address()), &values(&broker, &topology));
    assert_eq!(send(&target, AMPLE).await.outcome, ACCEPTED);
    eventually("the end of the connection", || async { (proxy.open() == 0 && destination.brokers.len() == 0).then_some(()) }).await;
    assert_eq!(send(&target, AMPLE).await.outcome, ACCEPTED);
    assert_eq!(proxy.opened(), 2);
}

#[tokio::test]
async fn certificate_of_the_broker_is_verified() {
    let broker = Broker::connect().await;
    let topology = broker.topology("tls").await;
    let authority = Authority::new();
    let check = async |names: &[&str], trusted: bool, expected: Option<FailureKind>| {
        let proxy = Proxy::start_tls(broker.address(), authority.issue(names).server(&[])).await;
        let extra_roots = if trusted { vec![authority.certificate()] } else { vec![] };
        let destination = destination(Options { trust: Trust { extra_roots, ..Trust::default() }, ..options() });
        let target = target(&destination, &format!("amqps://{}", proxy.address()), &values(&broker, &topology));
        let sent = send(&target, AMPLE).await;
        assert_eq!(sent.outcome.failure().map(|failure| failure.kind), expected, "{names:?}");
        assert_eq!(sent.timings.tls.is_some(), expected.is_none());
    };
    check(&["127.0.0.1"], true, None).await;
    check(&["127.0.0.1"], false, Some(FailureKind::TlsUntrusted)).await;
    check(&["elsewhere.test"], true, Some(FailureKind::TlsWrongHost)).await;
    assert_eq!(broker.next(&topology).await.body, b"{\"a\": 1.0}");
}
