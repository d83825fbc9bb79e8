//! Messages: the notifications that a product sends to the customer behind an application.

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::{
    InvalidField,
    base::{
        ids::{MessageId, OriginId},
        json,
        text::got,
        trace_context::TraceContext,
    },
    outbound::{event_type, hops::Hops},
};

/// Maximum length of `event_id`, in characters.
pub const EVENT_ID_MAX: usize = 256;

/// Accepted message, to be delivered to every endpoint whose filter matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Unique id, and the `webhook-id` of every attempt.
    pub id: MessageId,
    /// Origin that accepted the message.
    pub origin_id: OriginId,
    /// Event type.
    pub event_type: String,
    /// Body for its receivers.
    pub payload: Payload,
    /// Number of deliveries that led to it.
    pub hops: Hops,
    /// Place in the trace of its request: of a recorded trace, or of the sender's if its environment passes it on.
    pub trace: Option<Box<TraceContext>>,
}

/// Body of a message, byte for byte as the sender wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// Bytes of the body.
    pub body: Bytes,
    /// Format of the bytes.
    pub content_type: ContentType,
}

/// Format of a payload's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentType {
    /// JSON, the usual case.
    Json,
    /// Text of a string payload that is not JSON.
    Text,
}

impl ContentType {
    /// Value of the `content-type` header.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Text => "text/plain; charset=utf-8",
        }
    }
}

impl Payload {
    /// Builds the payload from the sender's JSON value; `None` means `null`.
    ///
    /// The content of a JSON string is sent as text. Any other value is sent exactly as written, including white
    /// space, key order, big integers and duplicate keys.
    ///
    /// # Errors
    /// If the escapes of a string are not valid text.
    pub fn from_json(raw: Option<&RawValue>) -> Result<Self, InvalidField> {
        let Some(raw) = raw else {
            return Ok(Self { body: Bytes::from_static(b"null"), content_type: ContentType::Json });
        };
        let text = json::text_of(raw)
            .map_err(|_| InvalidField::new("payload", "contains an escape sequence that is not a character, such as a lone surrogate"))?;
        let is_string = raw.get().starts_with('"');
        let content_type = if is_string && !json::is_json(&text) { ContentType::Text } else { ContentType::Json };
        Ok(Self { body: Bytes::copy_from_slice(text.as_bytes()), content_type })
    }

    /// Body as text; always valid, because the payload arrived as JSON.
    pub fn as_text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a payload is built from text")
    }
}

/// Checks the `event_type` of a message.
///
/// # Errors
/// As [`event_type::check_name`], for a field called `event_type`.
pub fn check_event_type(name: &str) -> Result<(), InvalidField> {
    event_type::check_name(name).map_err(|error| InvalidField { field: "event_type", ..error })
}

/// Checks an `event_id`: 1 to 256 characters, none of them control characters.
///
/// # Errors
/// Names the rule that is broken.
pub fn check_event_id(event_id: &str) -> Result<(), InvalidField> {
    if event_id.is_empty() || event_id.chars().count() > EVENT_ID_MAX || event_id.chars().any(char::is_control) {
        return Err(InvalidField::new("event_id", format!("must have 1 to {EVENT_ID_MAX} characters, without control characters")));
    }
    Ok(())
}

/// Numbers of a message's deliveries by state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DeliveryCounts {
    /// Number of all deliveries.
    pub total: u32,
    /// Number of pending deliveries.
    pub pending: u32,
    /// Number of exhausted deliveries.
    pub exhausted: u32,
    /// Number of skipped and cancelled deliveries.
    pub skipped_or_cancelled: u32,
}

impl DeliveryCounts {
    /// Number of successful deliveries: the total minus all other states.
    pub const fn succeeded(&self) -> u32 {
        self.total.saturating_sub(self.pending + self.exhausted + self.skipped_or_cancelled)
    }

    /// Status of the message.
    pub const fn status(&self) -> MessageStatus {
        if self.pending > 0 {
            MessageStatus::Pending
        } else if self.exhausted > 0 {
            MessageStatus::Failed
        } else if self.succeeded() > 0 {
            MessageStatus::Delivered
        } else {
            MessageStatus::Skipped
        }
    }
}

/// Status of a message over all its deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageStatus {
    /// At least one delivery is pending.
    Pending,
    /// Every delivery that had to be sent succeeded.
    Delivered,
    /// At least one delivery is exhausted, and none is pending.
    Failed,
    /// No endpoint matched, or every delivery was skipped or cancelled.
    Skipped,
}

impl MessageStatus {
    /// Word in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }

    /// Parses the word.
    ///
    /// # Errors
    /// Lists the allowed words.
    pub fn parse(word: &str) -> Result<Self, InvalidField> {
        let all = [Self::Pending, Self::Delivered, Self::Failed, Self::Skipped];
        let found = all.into_iter().find(|status| status.as_str() == word);
        found.ok_or_else(|| InvalidField::new("status", format!("must be `pending`, `delivered`, `failed` or `skipped`{}", got(word))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_is_sent_byte_for_byte() {
        let check = |json: &str, body: &str, content_type: ContentType| {
            let raw: &RawValue = serde_json::from_str(json).expect("JSON");
            let payload = Payload::from_json(Some(raw)).expect("a payload");
            assert_eq!((payload.as_text(), payload.content_type), (body, content_type), "{json}");
        };
        let odd = "{ \"b\" :1,\t\"a\": 12345678901234567890, \"a\":1.0e5, \"ü\":\"\\u00fc\" }";
        check(odd, odd, ContentType::Json);
        check("{}", "{}", ContentType::Json);
        check("null", "null", ContentType::Json);
        check(r#""plain \"text\" é""#, "plain \"text\" é", ContentType::Text);
        check(r#""{\"a\": 1}""#, "{\"a\": 1}", ContentType::Json);
        check(r#""""#, "", ContentType::Text);
        // Inside an object the bytes pass through unchanged, even invalid escapes.
        check(r#"{"a":"\ud800"}"#, r#"{"a":"\ud800"}"#, ContentType::Json);
    }

    #[test]
    fn string_with_invalid_escape_is_rejected() {
        let raw: &RawValue = serde_json::from_str(r#""\ud800""#).expect("a parser that skips strings accepts it");
        assert_eq!(Payload::from_json(Some(raw)).map_err(|error| error.field), Err("payload"));
    }

    #[test]
    fn status_follows_from_the_delivery_counts() {
        let check = |total, pending, exhausted, skipped, expected| {
            let counts = DeliveryCounts { total, pending, exhausted, skipped_or_cancelled: skipped };
            assert_eq!(counts.status(), expected, "{counts:?}");
        };
        check(0, 0, 0, 0, MessageStatus::Skipped);
        check(2, 1, 1, 0, MessageStatus::Pending);
        check(2, 0, 1, 0, MessageStatus::Failed);
        check(2, 0, 0, 0, MessageStatus::Delivered);
        check(2, 0, 0, 1, MessageStatus::Delivered);
        check(2, 0, 0, 2, MessageStatus::Skipped);
    }
}
