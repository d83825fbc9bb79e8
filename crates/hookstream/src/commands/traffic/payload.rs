//! The messages that are sent: each carries its number, by which a receiver knows it again.

use bytes::Bytes;

const BEFORE: &[u8] = br#"{"event_type":"load.message","payload":"#;
/// What stands before a message's number in its payload.
const NUMBER_AFTER: &[u8] = br#"{"n":""#;
/// The digits of the number.
const DIGITS: usize = 16;
const PAD: &[u8] = br#"","pad":""#;
const END: &[u8] = br#""}"#;

/// The body that sends message `number` with a payload of so many bytes.
pub(crate) fn body(number: usize, payload_bytes: usize) -> Bytes {
    let fixed = NUMBER_AFTER.len() + DIGITS + PAD.len() + END.len();
    let mut body = Vec::with_capacity(BEFORE.len() + payload_bytes + 1);
    body.extend_from_slice(BEFORE);
    body.extend_from_slice(NUMBER_AFTER);
    body.extend_from_slice(format!("{number:0DIGITS$}").as_bytes());
    body.extend_from_slice(PAD);
    body.resize(body.len() + payload_bytes.saturating_sub(fixed), b'x');
    body.extend_from_slice(END);
    body.push(b'}');
    Bytes::from(body)
}

/// The number in a payload that [`body`] made.
pub(crate) fn number(payload: &[u8]) -> Option<usize> {
    let digits = payload.strip_prefix(NUMBER_AFTER)?.get(..DIGITS)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, value::RawValue};

    use super::*;

    #[test]
    fn a_payload_has_its_size_and_its_number() {
        #[derive(serde::Deserialize)]
        struct Sent {
            payload: Box<RawValue>,
        }
        for size in [64, 500, 10_000] {
            let sent: Sent = serde_json::from_slice(&body(123, size)).expect("JSON");
            assert_eq!(sent.payload.get().len(), size);
            let payload: Value = serde_json::from_str(sent.payload.get()).expect("JSON");
            assert_eq!(payload["n"], "0000000000000123");
            assert_eq!(number(sent.payload.get().as_bytes()), Some(123));
        }
        assert_eq!(number(b"{}"), None);
    }
}
