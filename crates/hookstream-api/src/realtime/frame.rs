//! Frames that a live stream sends.

use hookstream_engine::Event;
use hookstream_model::identity::tenancy::Tenant;
use serde::Serialize;

use crate::http::error::{ApiError, ErrorBody};

/// Frame: a JSON object with a `type`.
#[derive(Debug)]
pub(crate) struct Frame {
    /// Value of `type`, and name of the server-sent event.
    pub(crate) kind: &'static str,
    /// JSON text.
    pub(crate) text: String,
}

#[derive(Serialize)]
struct Welcome<'a> {
    org_id: String,
    env_id: String,
    /// Application of a portal token.
    #[serde(skip_serializing_if = "Option::is_none")]
    application_id: Option<String>,
    /// `installation`, or `node` if nodes cannot notify each other.
    reach: &'static str,
    /// Maximum number of subscriptions.
    subscriptions_max: usize,
    version: &'a str,
}

#[derive(Serialize)]
struct OfChannel<'a> {
    channel: &'a str,
}

#[derive(Serialize)]
struct Gap {
    dropped: u64,
}

#[derive(Serialize)]
struct Refused<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'a str>,
    #[serde(flatten)]
    body: ErrorBody,
}

#[derive(Serialize)]
struct Tagged<'a, T> {
    r#type: &'a str,
    #[serde(flatten)]
    content: T,
}

impl Frame {
    fn new(kind: &'static str, content: impl Serialize) -> Self {
        Self { kind, text: serde_json::to_string(&Tagged { r#type: kind, content }).expect("texts and numbers are JSON") }
    }

    /// First frame.
    pub(crate) fn welcome(tenant: Tenant, application_id: Option<String>, hears_every_node: bool) -> Self {
        let content = Welcome {
            org_id: tenant.organization.to_string(),
            env_id: tenant.environment.to_string(),
            application_id,
            reach: if hears_every_node { "installation" } else { "node" },
            subscriptions_max: hookstream_engine::SUBSCRIPTIONS_MAX,
            version: env!("CARGO_PKG_VERSION"),
        };
        Self::new("welcome", content)
    }

    /// Event on a channel. The data is JSON already.
    pub(crate) fn event(channel: &str, event: &Event) -> Self {
        let (kind, channel) = (event.topic.as_str(), serde_json::to_string(channel).expect("a text is JSON"));
        Self { kind, text: format!(r#"{{"type":"{kind}","channel":{channel},"data":{}}}"#, event.data) }
    }

    /// Number of events that were left out.
    pub(crate) fn gap(dropped: u64) -> Self {
        Self::new("gap", Gap { dropped })
    }

    pub(crate) fn subscribed(channel: &str) -> Self {
        Self::new("subscribed", OfChannel { channel })
    }

    pub(crate) fn unsubscribed(channel: &str) -> Self {
        Self::new("unsubscribed", OfChannel { channel })
    }

    /// Answer to a `ping` frame.
    pub(crate) fn pong() -> Self {
        Self { kind: "pong", text: r#"{"type":"pong"}"#.to_owned() }
    }

    /// Error, with the fields of every error of the API.
    pub(crate) fn error(error: ApiError, request_id: &str, channel: Option<&str>) -> Self {
        Self::new("error", Refused { channel, body: error.body(request_id) })
    }
}

#[cfg(test)]
mod tests {
    use hookstream_model::{
        base::ids::{EnvironmentId, OriginId},
        operations::stream::Topic,
    };
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn frames_are_json_objects_with_a_type() {
        let check = |frame: Frame, expected: Value| {
            let value: Value = serde_json::from_str(&frame.text).expect("JSON");
            assert_eq!((frame.kind, value), (expected["type"].as_str().expect("a type"), expected.clone()));
        };
        let event = Event {
            environment: EnvironmentId::from_bytes([1; 16]),
            origin: OriginId::from_bytes([2; 16]),
            route: None,
            topic: Topic::Message,
            data: r#"{"id":"a"}"#.into(),
        };
        check(Frame::event("messages:a\"b", &event), json!({ "type": "message", "channel": "messages:a\"b", "data": { "id": "a" } }));
        check(Frame::gap(7), json!({ "type": "gap", "dropped": 7 }));
        check(Frame::subscribed("jobs"), json!({ "type": "subscribed", "channel": "jobs" }));
        check(Frame::pong(), json!({ "type": "pong" }));
        let error = Frame::error(ApiError::not_found("Endpoint"), "req_1", Some("attempts:a")).text;
        let error: Value = serde_json::from_str(&error).expect("JSON");
        assert_eq!(
            (&error["type"], &error["code"], &error["channel"], &error["request_id"]),
            (&json!("error"), &json!("not_found"), &json!("attempts:a"), &json!("req_1"))
        );
    }
}
