//! Messages: what a product tells the customer behind an application.

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::{
    InvalidField,
    base::{
        ids::{ApplicationId, MessageId},
        json,
        text::got,
    },
    outbound::{event_type, hops::Hops},
};

/// The longest `event_id`, in characters.
pub const EVENT_ID_MAX: usize = 256;

/// Something that was accepted and is owed to every endpoint that wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its id, and the `webhook-id` of every try.
    pub id: MessageId,
    /// The application it was sent to.
    pub application_id: ApplicationId,
    /// What it is about.
    pub event_type: String,
    /// What its receivers read.
    pub payload: Payload,
    /// How many deliveries led to it.
    pub hops: Hops,
}

/// The body that receivers get, byte for byte as the sender wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// The bytes.
    pub body: Bytes,
    /// What the bytes are.
    pub content_type: ContentType,
}

/// What a payload's bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentType {
    /// JSON, which is the usual case.
    Json,
    /// The text of a string payload that is not itself JSON.
    Text,
}

impl ContentType {
    /// The value of the `content-type` header.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Text => "text/plain; charset=utf-8",
        }
    }
}

impl Payload {
    /// The payload that a sender gave as a JSON value, or `null` for none.
    ///
    /// A string is sent as the text it stands for, anything else exactly as written: white space, key
    /// order, big integers and duplicate keys included.
    ///
    /// # Errors
    /// Where a string's escapes do not stand for text.
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

    /// The body as text; it always is, since it came in as JSON.
    pub fn as_text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a payload is made from text")
    }
}

/// Checks the `event_type` of a message.
///
/// # Errors
/// As [`event_type::check_name`], about a field called `event_type`.
pub fn check_event_type(name: &str) -> Result<(), InvalidField> {
    event_type::check_name(name).map_err(|error| InvalidField { field: "event_type", ..error })
}

/// Checks an `event_id`: 1 to 256 characters, none of them control characters.
///
/// # Errors
/// Says which of these it breaks.
pub fn check_event_id(event_id: &str) -> Result<(), InvalidField> {
    if event_id.is_empty() || event_id.chars().count() > EVENT_ID_MAX || event_id.chars().any(char::is_control) {
        return Err(InvalidField::new("event_id", format!("must have 1 to {EVENT_ID_MAX} characters, without control characters")));
    }
    Ok(())
}

/// How many of a message's deliveries stand in which state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DeliveryCounts {
    /// All of them.
    pub total: u32,
    /// Still owed.
    pub pending: u32,
    /// Given up after their tries.
    pub exhausted: u32,
    /// Not sent, for a reason that is on record; or called off.
    pub skipped_or_cancelled: u32,
}

impl DeliveryCounts {
    /// Those that arrived: whatever is in no other state.
    pub const fn succeeded(&self) -> u32 {
        self.total.saturating_sub(self.pending + self.exhausted + self.skipped_or_cancelled)
    }

    /// What the message's `status` reads.
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

/// How a message stands, over all its deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageStatus {
    /// At least one delivery is owed.
    Pending,
    /// Every delivery that was to be sent arrived.
    Delivered,
    /// At least one was given up, none is owed.
    Failed,
    /// No endpoint wanted it, or none could be sent to.
    Skipped,
}

impl MessageStatus {
    /// Its word in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }

    /// Reads the word.
    ///
    /// # Errors
    /// Names the words there are.
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
    fn a_payload_is_sent_as_it_was_written() {
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
        // Inside an object the bytes pass through, whatever they stand for.
        check(r#"{"a":"\ud800"}"#, r#"{"a":"\ud800"}"#, ContentType::Json);
    }

    #[test]
    fn a_string_that_is_no_text_is_refused() {
        let raw: &RawValue = serde_json::from_str(r#""\ud800""#).expect("JSON as far as a parser that skips can tell");
        assert_eq!(Payload::from_json(Some(raw)).map_err(|error| error.field), Err("payload"));
    }

    #[test]
    fn the_status_follows_from_the_deliveries() {
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
