//! Request of a delivery: the body as it is, with the headers of Standard Webhooks 1.0.0 and our own.

use hookstream_model::{base::trace_context, outbound::hops};
use http::{
    HeaderMap, HeaderName, HeaderValue, Uri,
    header::{CONTENT_TYPE, USER_AGENT},
};

use super::settings::HttpTarget;
use crate::{Envelope, net::client::Post};

const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
const EVENT_TYPE: HeaderName = HeaderName::from_static("x-hookstream-event-type");
const DELIVERY_ATTEMPT: HeaderName = HeaderName::from_static("x-hookstream-delivery-attempt");
const HOPS: HeaderName = HeaderName::from_static(hops::HEADER);
const TRACEPARENT: HeaderName = HeaderName::from_static(trace_context::TRACEPARENT);
const TRACESTATE: HeaderName = HeaderName::from_static(trace_context::TRACESTATE);
const BATCH_SIZE: HeaderName = HeaderName::from_static("x-hookstream-batch-size");

pub(crate) const AGENT: &str = concat!("hookstream/", env!("CARGO_PKG_VERSION"));
/// Number of headers of a request, without the endpoint's own and including those of the transport.
const HEADERS: usize = 13;

/// Builds the request to `uri`.
pub(super) fn render(target: &HttpTarget, uri: Uri, envelope: &Envelope<'_>) -> Post {
    let mut headers = HeaderMap::with_capacity(HEADERS + target.headers.len());
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(envelope.content_type.as_str()));
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    for (name, value) in &target.headers {
        // Replaces our header: `extend` would append a second one.
        headers.insert(name, value.clone());
    }
    headers.insert(WEBHOOK_ID, header_value(&envelope.id));
    headers.insert(WEBHOOK_TIMESTAMP, HeaderValue::from(envelope.signed_at.as_seconds()));
    headers.insert(WEBHOOK_SIGNATURE, header_value(&envelope.signature()));
    headers.insert(DELIVERY_ATTEMPT, HeaderValue::from(envelope.attempt));
    headers.insert(HOPS, HeaderValue::from(envelope.hops));
    if let Some(event_type) = envelope.event_type {
        headers.insert(EVENT_TYPE, header_value(event_type));
    }
    if let Some(size) = envelope.batch_size {
        headers.insert(BATCH_SIZE, HeaderValue::from(size));
    }
    if let Some(trace) = envelope.trace {
        headers.insert(TRACEPARENT, header_value(&trace.traceparent()));
        if let Some(state) = trace.tracestate() {
            headers.insert(TRACESTATE, header_value(state));
        }
    }
    Post { uri, headers, body: envelope.body.clone() }
}

fn header_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("ids, base64, event types and trace states are visible ASCII")
}
