//! Settings, keys, envelopes and attempts of the tests.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc, time::Duration};

use hookstream_model::{
    base::{ids::TargetId, secret::Secret, time::Timestamp},
    delivery::outcome::{FailureKind, Outcome},
    outbound::{
        endpoint::EndpointUrl,
        message::ContentType,
        signature::{SigningKey, SigningKeys},
        target::{TargetConfig, TargetKind},
    },
};
use hookstream_testkit::broker::{Broker, Topology};

use crate::{
    Destination, Envelope, Sent, Settings, Target,
    net::{Options, guard::AddressPolicy, network::Network},
    rabbitmq::{RabbitMqDestination, settings::RabbitMqSettings},
};

/// Time limit for attempts that end long before.
pub(super) const AMPLE: Duration = Duration::from_secs(20);

/// Values that are good unless a test replaces one.
const DEFAULTS: [(&str, &str); 4] = [("exchange", "events"), ("routing_key", "key"), ("username", "guest"), ("password", "guest")];

fn config(values: &[(&str, &str)]) -> TargetConfig {
    let values = DEFAULTS.iter().chain(values).map(|(field, value)| ((*field).to_owned(), (*value).to_owned())).collect();
    TargetConfig::new(TargetKind::RabbitMq, values)
}

pub(in super::super) fn settings(url: &str, values: &[(&str, &str)]) -> RabbitMqSettings {
    let url = EndpointUrl::parse_broker(url).expect("a URL");
    let headers = [("x-own".to_owned(), "yes".to_owned())].into();
    let settings = Settings { kind: TargetKind::RabbitMq, url: &url, config: Some(&config(values)), headers: Some(&headers) };
    RabbitMqSettings::read(&settings).expect("good settings")
}

pub(in super::super) fn keys() -> SigningKeys {
    let key = SigningKey::parse(&Secret::new("raw:a secret of the tests")).expect("a key");
    SigningKeys::new(key, Vec::new())
}

pub(in super::super) fn envelope<'a>(keys: &'a SigningKeys, body: &'static str) -> Envelope<'a> {
    Envelope {
        id: Cow::Borrowed("msg_1"),
        target_id: TargetId::from_bytes([7; 16]),
        event_type: Some("invoice.paid"),
        body: body.into(),
        content_type: ContentType::Json,
        attempt: 3,
        hops: 2,
        batch_size: None,
        trace: None,
        keys,
        signed_at: Timestamp::from_millis(1_780_000_000_000),
    }
}

/// Options that allow loopback.
pub(super) fn options() -> Options {
    Options::new(AddressPolicy::allowing(vec!["127.0.0.0/8".parse().expect("a network")]))
}

pub(super) fn destination(options: Options) -> RabbitMqDestination {
    RabbitMqDestination::new(Arc::new(Network::new(options).expect("a network")))
}

/// Values that lead to the exchange of a topology, as the broker's own user.
pub(super) fn values(broker: &Broker, topology: &Topology) -> Vec<(&'static str, String)> {
    let (username, password) = broker.credentials();
    let (exchange, routing_key) = (topology.exchange.clone(), topology.routing_key.clone());
    vec![("exchange", exchange), ("routing_key", routing_key), ("username", username), ("password", password)]
}

/// Prepares a target; later values replace earlier ones.
pub(super) fn target(destination: &RabbitMqDestination, url: &str, values: &[(&'static str, String)]) -> Arc<dyn Target> {
    target_with(destination, url, values, &BTreeMap::new())
}

/// Prepares a target with custom headers.
pub(super) fn target_with(
    destination: &RabbitMqDestination,
    url: &str,
    values: &[(&'static str, String)],
    headers: &BTreeMap<String, String>,
) -> Arc<dyn Target> {
    let url = EndpointUrl::parse_broker(url).expect("a URL");
    let values: Vec<_> = values.iter().map(|(field, value)| (*field, value.as_str())).collect();
    let settings = Settings { kind: TargetKind::RabbitMq, url: &url, config: Some(&config(&values)), headers: Some(headers) };
    destination.check(&settings).expect("good settings")
}

/// Makes one attempt.
pub(super) async fn send(target: &Arc<dyn Target>, timeout: Duration) -> Sent {
    let keys = keys();
    target.send(&envelope(&keys, "{\"a\": 1.0}"), timeout).await
}

/// Makes one attempt that must fail, and returns its word and its sentence.
pub(super) async fn refused(target: &Arc<dyn Target>) -> (FailureKind, String) {
    match send(target, AMPLE).await.outcome {
        Outcome::Retryable(failure) => (failure.kind, failure.detail),
        other => panic!("not a failure that is retried: {other:?}"),
    }
}
