//! Batches: several messages for one endpoint in one signed request.

use bytes::{BufMut, Bytes, BytesMut};
use sha2::{Digest, Sha256};

use crate::{
    InvalidField,
    outbound::message::{ContentType, Message},
};

/// Allowed range of `max_size`, in messages.
pub const SIZE: std::ops::RangeInclusive<u32> = 1..=500;
/// Upper limit of `max_wait_ms`.
pub const WAIT_MS_MAX: u32 = 60_000;
/// Default of `max_wait_ms`.
pub const WAIT_MS_DEFAULT: u32 = 1_000;

/// Batching of an endpoint's messages into one request. A batch is sent when `max_size` messages are waiting, when
/// the waiting ones fill the largest accepted payload, or when the first of them has waited for `max_wait_ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchPolicy {
    max_size: u32,
    max_wait_ms: u32,
}

impl BatchPolicy {
    /// Checks the limits and builds a policy.
    ///
    /// # Errors
    /// Names the limit that is out of range.
    pub fn new(max_size: u32, max_wait_ms: u32) -> Result<Self, InvalidField> {
        if !SIZE.contains(&max_size) {
            return Err(InvalidField::new("batch", format!("must have a `max_size` from {} to {}", SIZE.start(), SIZE.end())));
        }
        if max_wait_ms > WAIT_MS_MAX {
            return Err(InvalidField::new("batch", format!("must have a `max_wait_ms` from 0 to {WAIT_MS_MAX}")));
        }
        Ok(Self { max_size, max_wait_ms })
    }

    /// Maximum number of messages in one request.
    pub const fn max_size(self) -> u32 {
        self.max_size
    }

    /// Maximum wait of the first message, in milliseconds.
    pub const fn max_wait_ms(self) -> u32 {
        self.max_wait_ms
    }
}

/// Returns the `webhook-id` of a batch. The same messages in the same order have the same id, so a receiver that
/// remembers ids recognizes a repeated request.
pub fn id<'a>(messages: impl IntoIterator<Item = &'a Message>) -> String {
    let mut hash = Sha256::new();
    for message in messages {
        hash.update(message.id.as_bytes());
    }
    let digits = hash.finalize().iter().take(16).fold(String::with_capacity(38), |text, byte| text + &format!("{byte:02x}"));
    format!("batch_{digits}")
}

/// Returns the body of a batch: a JSON array with one object for each message. A JSON payload is embedded byte for
/// byte as it was sent, a text payload as a JSON string.
pub fn body<'a>(messages: impl IntoIterator<Item = &'a Message>) -> Bytes {
    let mut body = BytesMut::new();
    for (index, message) in messages.into_iter().enumerate() {
        body.put_u8(if index == 0 { b'[' } else { b',' });
        let Message { id, event_type, payload, .. } = message;
        let event_type = serde_json::to_string(event_type).expect("text is JSON");
        let timestamp = id.timestamp();
        body.put_slice(format!(r#"{{"id":"{id}","event_type":{event_type},"timestamp":"{timestamp}","payload":"#).as_bytes());
        match payload.content_type {
            ContentType::Json => body.put_slice(&payload.body),
            ContentType::Text => body.put_slice(serde_json::to_string(payload.as_text()).expect("text is JSON").as_bytes()),
        }
        body.put_u8(b'}');
    }
    body.put_u8(b']');
    body.freeze()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        base::ids::{MessageId, OriginId},
        outbound::message::Payload,
    };

    fn message(number: u8, body: &'static str, content_type: ContentType) -> Message {
        let id = [0x01, 0x9c, 0x14, 0x4f, 0x5c, 0x00, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, number];
        Message {
            id: MessageId::from_bytes(id),
            origin_id: OriginId::from_bytes([7; 16]),
            event_type: "order.created".to_owned(),
            payload: Payload { body: Bytes::from_static(body.as_bytes()), content_type },
            hops: crate::outbound::hops::Hops::default(),
            trace: None,
        }
    }

    #[test]
    fn batch_embeds_payloads_byte_for_byte() {
        let odd = "{ \"b\" :1, \"a\": 12345678901234567890,\"a\":\"\\ud800\" }";
        let messages = [message(1, odd, ContentType::Json), message(2, "say \"hi\"\n", ContentType::Text)];
        let body = body(&messages);
        let text = std::str::from_utf8(&body).expect("text");
        assert!(text.contains(&format!(r#""payload":{odd}}}"#)), "{text}");
        let (first, second) = (messages[0].id, messages[1].id);
        assert!(text.starts_with(&format!(r#"[{{"id":"{first}","event_type":"order.created","timestamp":"{}","#, first.timestamp())));
        assert!(text.ends_with(r#""payload":"say \"hi\"\n"}]"#), "{text}");
        assert!(text.contains(&second.to_string()));
    }

    #[test]
    fn batch_body_is_a_json_array() {
        let messages = [message(1, "null", ContentType::Json), message(2, "", ContentType::Text), message(3, "[1]", ContentType::Json)];
        let parsed: Vec<Value> = serde_json::from_slice(&body(&messages)).expect("a JSON array");
        assert_eq!(parsed.iter().map(|entry| entry["payload"].clone()).collect::<Vec<_>>(), [json!(null), json!(""), json!([1])]);
    }

    #[test]
    fn batch_id_depends_on_messages_and_their_order() {
        let (one, two) = (message(1, "{}", ContentType::Json), message(2, "{}", ContentType::Json));
        let (forth, back, short) = (id([&one, &two]), id([&two, &one]), id([&one]));
        assert_eq!(forth, id([&one, &two]));
        assert!(forth != back && forth != short, "{forth} {back} {short}");
        assert!(forth.strip_prefix("batch_").is_some_and(|digits| digits.len() == 32), "{forth}");
    }

    #[test]
    fn limits_out_of_range_are_refused() {
        for (max_size, max_wait_ms, is_fine) in [(1, 0, true), (500, 60_000, true), (0, 0, false), (501, 0, false), (1, 60_001, false)] {
            assert_eq!(BatchPolicy::new(max_size, max_wait_ms).is_ok(), is_fine, "{max_size} {max_wait_ms}");
        }
    }
}
