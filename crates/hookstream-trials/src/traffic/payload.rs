//! Test messages; each carries its number, by which a receiver recognizes it.

use bytes::Bytes;
use serde_json::value::RawValue;

/// Event type of unordered messages.
pub(crate) const EVENT_TYPE: &str = "load.message";
/// Event type of messages ordered by key.
pub(crate) const ORDERED_EVENT_TYPE: &str = "load.ordered";
/// Event type of messages sent in batches.
pub(crate) const BATCHED_EVENT_TYPE: &str = "load.batched";
/// Path of the ordering key in a payload, as an endpoint's `ordering_key`.
pub(crate) const KEY_PATH: &str = "$.line";

/// Text before the number in a payload.
const NUMBER_AFTER: &[u8] = br#"{"n":""#;
/// Number of digits.
const DIGITS: usize = 16;
const END: &[u8] = br#""}"#;

/// Returns the body of message `number` with a payload of this size.
pub(crate) fn body(number: usize, payload_bytes: usize) -> Bytes {
    build(EVENT_TYPE, number, r#"","pad":""#, payload_bytes)
}

/// Returns the body of a message ordered by key.
pub(crate) fn ordered_body(number: usize, key: usize, payload_bytes: usize) -> Bytes {
    build(ORDERED_EVENT_TYPE, number, &format!(r#"","line":{key},"pad":""#), payload_bytes)
}

/// Returns the body of a message for batches.
pub(crate) fn batched_body(number: usize, payload_bytes: usize) -> Bytes {
    build(BATCHED_EVENT_TYPE, number, r#"","pad":""#, payload_bytes)
}

/// Message of a batch, as its receiver sees it.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Batched<'a> {
    pub(crate) id: &'a str,
    #[serde(borrow)]
    payload: &'a RawValue,
}

impl Batched<'_> {
    /// Returns the number in its payload.
    pub(crate) fn number(&self) -> Option<usize> {
        number(self.payload.get().as_bytes())
    }
}

/// Returns the messages in the body of a batch.
pub(crate) fn batch(body: &[u8]) -> Option<Vec<Batched<'_>>> {
    serde_json::from_slice(body).ok()
}

fn build(event_type: &str, number: usize, behind: &str, payload_bytes: usize) -> Bytes {
    let fixed = NUMBER_AFTER.len() + DIGITS + behind.len() + END.len();
    let mut body = format!(r#"{{"event_type":"{event_type}","payload":"#).into_bytes();
    body.reserve_exact(payload_bytes.max(fixed) + 1);
    body.extend_from_slice(NUMBER_AFTER);
    body.extend_from_slice(format!("{number:0DIGITS$}").as_bytes());
    body.extend_from_slice(behind.as_bytes());
    body.resize(body.len() + payload_bytes.saturating_sub(fixed), b'x');
    body.extend_from_slice(END);
    body.push(b'}');
    Bytes::from(body)
}

/// Returns the number in a payload that [`body`] built.
pub(crate) fn number(payload: &[u8]) -> Option<usize> {
    let digits = payload.strip_prefix(NUMBER_AFTER)?.get(..DIGITS)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn payload_has_its_size_and_number() {
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
        let sent: Sent = serde_json::from_slice(&ordered_body(123, 2, 500)).expect("JSON");
        let payload: Value = serde_json::from_str(sent.payload.get()).expect("JSON");
        assert_eq!((sent.payload.get().len(), &payload["line"]), (500, &2.into()));
        assert_eq!(number(sent.payload.get().as_bytes()), Some(123));
        assert_eq!(number(b"{}"), None);
    }

    #[test]
    fn batch_gives_id_and_number_of_each_message() {
        let body = br#"[{"id":"a","event_type":"x","timestamp":"y","payload":{"n":"0000000000000012"}},{"id":"b","payload":{}}]"#;
        let found: Vec<_> = batch(body).expect("a batch").iter().map(|one| (one.id, one.number())).collect();
        assert_eq!(found, [("a", Some(12)), ("b", None)]);
        assert!(batch(b"{}").is_none());
    }
}
