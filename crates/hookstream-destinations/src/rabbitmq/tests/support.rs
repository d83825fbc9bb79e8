//! Settings, keys and envelopes of the tests.

use std::borrow::Cow;

use hookstream_model::{
    base::{ids::TargetId, secret::Secret, time::Timestamp},
    outbound::{
        endpoint::EndpointUrl,
        message::ContentType,
        signature::{SigningKey, SigningKeys},
        target::{TargetConfig, TargetKind},
    },
};

use crate::{Envelope, Settings, rabbitmq::settings::RabbitMqSettings};

/// Values that are good unless a test replaces one.
const DEFAULTS: [(&str, &str); 4] = [("exchange", "events"), ("routing_key", "key"), ("username", "guest"), ("password", "guest")];

pub(in super::super) fn config(values: &[(&str, &str)]) -> TargetConfig {
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
        keys,
        signed_at: Timestamp::from_millis(1_780_000_000_000),
    }
}
