//! The messages that are sent: each carries its number, by which a receiver knows it again.

use bytes::Bytes;
use serde_json::value::RawValue;

/// The type of a message that is in no line.
pub(crate) const EVENT_TYPE: &str = "load.message";
/// The type of one that is.
pub(crate) const ORDERED_EVENT_TYPE: &str = "load.ordered";
/// The type of one that goes in batches.
pub(crate) const BATCHED_EVENT_TYPE: &str = "load.batched";
/// Where a payload says in which line it is, as an endpoint's `ordering_key`.
pub(crate) const LINE_PATH: &str = "$.line";

/// What stands before a message's number in its payload.
const NUMBER_AFTER: &[u8] = br#"{"n":""#;
/// The digits of the number.
const DIGITS: usize = 16;
const END: &[u8] = br#""}"#;

/// The body that sends message `number` with a payload of so many bytes.
pub(crate) fn body(number: usize, payload_bytes: usize) -> Bytes {
    build(EVENT_TYPE, number, r#"","pad":""#, payload_bytes)
}

/// The same for a message that is in a line.
pub(crate) fn ordered_body(number: usize, line: usize, payload_bytes: usize) -> Bytes {
    build(ORDERED_EVENT_TYPE, number, &format!(r#"","line":{line},"pad":""#), payload_bytes)
}

/// The same for one that goes in batches.
pub(crate) fn batched_body(number: usize, payload_bytes: usize) -> Bytes {
    build(BATCHED_EVENT_TYPE, number, r#"","pad":""#, payload_bytes)
}

/// One message of a batch, as a receiver has it.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Batched<'a> {
    pub(crate) id: &'a str,
    #[serde(borrow)]
    payload: &'a RawValue,
}

impl Batched<'_> {
    /// The number in its payload.
    pub(crate) fn number(&self) -> Option<usize> {
        number(self.payload.get().as_bytes())
    }
}

/// The messages in the body of a request that carries a batch.
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

/// The number in a payload that [`body`] made.
pub(crate) fn number(payload: &[u8]) -> Option<usize> {
    let digits = payload.strip_prefix(NUMBER_AFTER)?.get(..DIGITS)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

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
        let sent: Sent = serde_json::from_slice(&ordered_body(123, 2, 500)).expect("JSON");
        let payload: Value = serde_json::from_str(sent.payload.get()).expect("JSON");
        assert_eq!((sent.payload.get().len(), &payload["line"]), (500, &2.into()));
        assert_eq!(number(sent.payload.get().as_bytes()), Some(123));
        assert_eq!(number(b"{}"), None);
    }

    #[test]
    fn a_batch_tells_the_id_and_the_number_of_each() {
        let body = br#"[{"id":"a","event_type":"x","timestamp":"y","payload":{"n":"0000000000000012"}},{"id":"b","payload":{}}]"#;
        let told: Vec<_> = batch(body).expect("a batch").iter().map(|one| (one.id, one.number())).collect();
        assert_eq!(told, [("a", Some(12)), ("b", None)]);
        assert!(batch(b"{}").is_none());
    }
}
