//! Message of a delivery: the body as it is, with the headers that an HTTP receiver gets too.

use hookstream_model::{
    base::{time::Timestamp, trace_context},
    outbound::hops,
};
use serde_json::{Map, Value, json};

use super::settings::RabbitMqSettings;
use crate::Envelope;

/// Headers of an AMQP message, with the names that HTTP receivers know. The endpoint's own come first.
pub(super) fn headers(settings: &RabbitMqSettings, envelope: &Envelope<'_>) -> Vec<(String, String)> {
    let mut headers = settings.headers.to_vec();
    let mut add = |name: &str, value: String| headers.push((name.to_owned(), value));
    add("webhook-id", envelope.id.to_string());
    add("webhook-timestamp", envelope.signed_at.as_seconds().to_string());
    add("webhook-signature", envelope.signature());
    add("x-hookstream-delivery-attempt", envelope.attempt.to_string());
    add(hops::HEADER, envelope.hops.to_string());
    if let Some(event_type) = envelope.event_type {
        add("x-hookstream-event-type", event_type.to_owned());
    }
    if let Some(size) = envelope.batch_size {
        add("x-hookstream-batch-size", size.to_string());
    }
    if let Some(trace) = envelope.trace {
        add(trace_context::TRACEPARENT, trace.traceparent());
        if let Some(state) = trace.tracestate() {
            add(trace_context::TRACESTATE, state.to_owned());
        }
    }
    headers
}

/// Timestamp of AMQP, in seconds.
pub(super) fn seconds(at: Timestamp) -> u64 {
    u64::try_from(at.as_seconds()).unwrap_or_default()
}

/// Body of a request to the management API.
pub(super) fn management_body(settings: &RabbitMqSettings, envelope: &Envelope<'_>) -> Vec<u8> {
    let mut all: Map<String, Value> = headers(settings, envelope).into_iter().map(|(name, value)| (name, value.into())).collect();
    all.insert("hookstream-event-id".to_owned(), envelope.id.as_ref().into());
    all.insert("hookstream-destination-id".to_owned(), envelope.target_id.to_string().into());
    let mut properties = json!({
        "content_type": envelope.content_type.as_str(),
        "message_id": envelope.id,
        "timestamp": seconds(envelope.signed_at),
        // Stored on disk, if the queue is.
        "delivery_mode": 2,
        "headers": all,
    });
    if let Some(event_type) = envelope.event_type {
        properties["type"] = event_type.into();
    }
    let body = json!({
        "properties": properties,
        "routing_key": settings.routing_key,
        "payload": String::from_utf8_lossy(&envelope.body),
        "payload_encoding": "string",
    });
    body.to_string().into_bytes()
}

/// Path of the management API that publishes to the exchange.
pub(super) fn management_path(settings: &RabbitMqSettings) -> String {
    format!("/api/exchanges/{}/{}/publish", encoded(&settings.vhost), encoded(&settings.exchange))
}

/// Encodes one segment of a path. Dots too, because a segment `..` would mean another path.
fn encoded(segment: &str) -> String {
    let mut text = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{super::tests::support, *};

    #[test]
    fn path_names_virtual_host_and_exchange_in_one_segment_each() {
        let check = |vhost: &str, exchange: &str, expected: &str| {
            let settings = support::settings("http://127.0.0.1", &[("vhost", vhost), ("exchange", exchange)]);
            assert_eq!(management_path(&settings), expected);
        };
        check("/", "events", "/api/exchanges/%2F/events/publish");
        check("a/b", "..", "/api/exchanges/a%2Fb/%2E%2E/publish");
        check("ä", "x?y#z", "/api/exchanges/%C3%A4/x%3Fy%23z/publish");
    }

    #[test]
    fn message_has_the_headers_of_an_http_delivery_and_its_payload_as_it_is() {
        let (settings, keys) = (support::settings("http://127.0.0.1", &[]), support::keys());
        let envelope = support::envelope(&keys, "{\"a\": 1.0}");
        let body: Value = serde_json::from_slice(&management_body(&settings, &envelope)).expect("JSON");
        assert_eq!((&body["payload"], &body["payload_encoding"]), (&"{\"a\": 1.0}".into(), &"string".into()));
        assert_eq!((&body["routing_key"], &body["properties"]["message_id"]), (&"key".into(), &"msg_1".into()));
        let headers = &body["properties"]["headers"];
        assert_eq!(headers["webhook-id"], headers["hookstream-event-id"]);
        assert_eq!(headers["webhook-signature"], Value::from(envelope.signature()));
        assert_eq!(headers["hookstream-destination-id"], Value::from(envelope.target_id.to_string()));
        for (name, value) in
            [("webhook-timestamp", "1780000000"), ("x-hookstream-delivery-attempt", "3"), ("x-hookstream-hops", "2"), ("x-own", "yes")]
        {
            assert_eq!(headers[name], value, "{name}");
        }
        assert_eq!((&headers["x-hookstream-event-type"], &body["properties"]["type"]), (&"invoice.paid".into(), &"invoice.paid".into()));
    }
}
