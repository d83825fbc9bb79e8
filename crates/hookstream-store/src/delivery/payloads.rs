//! Stored form of payloads: plain, or compressed if that saves enough.
//!
//! Both databases keep the same bytes, so a transfer copies them. The publishing or reading task does the work, never
//! a writer and never within a transaction. Decoding returns exactly the original bytes; a damaged row is an error.

use std::{ops::Deref, sync::Arc};

use bytes::Bytes;
use hookstream_model::{
    base::{
        ids::{EnvironmentId, MessageId, OriginId, RouteId},
        time::{Day, Timestamp},
        trace_context::TraceContext,
    },
    delivery::{queue::Backlog, state::Trigger},
    outbound::{
        hops::Hops,
        message::{ContentType, Message, Payload},
    },
};

use crate::{
    db::error::Error,
    delivery::deliveries::{Claimed, Owner, Publication},
};

/// Minimum size for compression, in bytes. Smaller JSON saves at most a third, and most messages are smaller.
const COMPRESS_FROM: usize = 1_024;
/// Divisor of the minimum saving: a payload is stored compressed if that saves an eighth or more.
const MIN_SAVING: usize = 8;
/// Size in bytes from which compression runs off the task's thread; it takes about 3 µs for 10 KiB.
const LARGE: usize = 512 * 1024;
/// Maximum expansion of a block. A row with a larger size is damaged.
const RATIO_MAX: usize = 256;

/// Encoding number of a plain body.
const AS_IS: i32 = 0;
/// Encoding number of a body that is one LZ4 block.
const LZ4: i32 = 1;

/// Payloads removed because their retention time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expired {
    /// Day of the messages.
    pub day: Day,
    /// Stored bytes of the removed payloads.
    pub bytes: i64,
    /// Whether the day has no payloads left and their space is released.
    pub is_done: bool,
}

/// Payloads of an environment to be removed, oldest first.
#[derive(Debug, Clone, Copy)]
pub struct Removal {
    /// Environment.
    pub environment: EnvironmentId,
    /// Lower bound: only messages after this one.
    pub after: MessageId,
    /// Upper bound: only messages before this one.
    pub before: MessageId,
    /// Bytes to free; the payload that exceeds the number is removed as well.
    pub bytes: u64,
}

/// Result of one slice of a removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removed {
    /// Freed bytes.
    pub bytes: u64,
    /// Start of the next slice; `None` if nothing more can be removed.
    pub position: Option<MessageId>,
}

/// Maximum number of payloads and approximate maximum of bytes in a slice: about 2 ms of SQLite's writer.
pub(crate) const SLICE: usize = 256;
const SLICE_BYTES: u64 = 512 * 1024;

/// Returns the first items of `found`, at most as many bytes as a slice takes and the removal wants.
pub(crate) fn slice_of<T>(found: Vec<T>, size: impl Fn(&T) -> u64, wanted: u64) -> Vec<T> {
    let mut bytes = 0;
    let fits = |of: &T| {
        let before = bytes;
        bytes += size(of);
        before < wanted.min(SLICE_BYTES)
    };
    found.into_iter().take_while(fits).collect()
}

/// Columns of a payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredPayload {
    /// Whether the payload is text rather than JSON.
    pub(crate) is_text: bool,
    /// Encoding number of the body.
    pub(crate) encoding: i32,
    /// Size of the payload in bytes.
    pub(crate) size: i32,
    /// Stored bytes.
    pub(crate) body: Bytes,
}

impl StoredPayload {
    /// Encodes a payload for storage.
    pub(crate) async fn of(payload: &Payload) -> Result<Self, Error> {
        if payload.body.len() < LARGE {
            return Ok(Self::encode(payload));
        }
        let payload = payload.clone();
        let encoded = tokio::task::spawn_blocking(move || Self::encode(&payload)).await;
        encoded.map_err(|cause| Error::Failed { operation: "compress a payload", cause: cause.into() })
    }

    fn encode(payload: &Payload) -> Self {
        let Payload { body, content_type } = payload;
        let is_text = *content_type == ContentType::Text;
        // The maximum payload size is far below the range of the column.
        let size = i32::try_from(body.len()).unwrap_or(i32::MAX);
        if body.len() >= COMPRESS_FROM {
            let compressed = lz4_flex::block::compress(body);
            if compressed.len() <= body.len() - body.len() / MIN_SAVING {
                return Self { is_text, encoding: LZ4, size, body: compressed.into() };
            }
        }
        Self { is_text, encoding: AS_IS, size, body: body.clone() }
    }

    /// Decodes the payload.
    ///
    /// # Errors
    /// Fails if the row is damaged or was written by a newer version.
    pub(crate) fn decode(self) -> Result<Payload, Error> {
        let damaged = Error::Unreadable { what: "payload" };
        let size = self.size();
        let body = match self.encoding {
            AS_IS => self.body,
            LZ4 if size <= self.body.len().saturating_mul(RATIO_MAX) => {
                let mut body = vec![0; size];
                match lz4_flex::block::decompress_into(&self.body, &mut body) {
                    Ok(written) if written == size => body.into(),
                    Ok(_) | Err(_) => return Err(damaged),
                }
            }
            _ => return Err(damaged),
        };
        if body.len() != size || std::str::from_utf8(&body).is_err() {
            return Err(damaged);
        }
        Ok(Payload { body, content_type: if self.is_text { ContentType::Text } else { ContentType::Json } })
    }

    /// Returns the decoded size in bytes.
    pub(crate) fn size(&self) -> usize {
        usize::try_from(self.size).unwrap_or(0)
    }
}

/// Message to store, with its encoded payload.
#[derive(Debug)]
pub(crate) struct Sealed {
    publication: Publication,
    payload: StoredPayload,
}

impl Sealed {
    pub(crate) async fn of(publication: Publication) -> Result<Self, Error> {
        let payload = StoredPayload::of(&publication.message.payload).await?;
        Ok(Self { publication, payload })
    }

    pub(crate) const fn payload(&self) -> &StoredPayload {
        &self.payload
    }
}

impl Deref for Sealed {
    type Target = Publication;

    fn deref(&self) -> &Publication {
        &self.publication
    }
}

/// Claimed delivery with its stored payload.
#[derive(Debug)]
pub(crate) struct SealedDelivery {
    pub(crate) owner: Owner,
    pub(crate) environment_id: EnvironmentId,
    pub(crate) message_id: MessageId,
    pub(crate) origin_id: OriginId,
    pub(crate) event_type: String,
    pub(crate) payload: StoredPayload,
    pub(crate) hops: Hops,
    pub(crate) trace: Option<Box<TraceContext>>,
    pub(crate) route_id: RouteId,
    pub(crate) backlog: Option<Backlog>,
    pub(crate) attempts: u32,
    pub(crate) failed: u32,
    pub(crate) trigger: Trigger,
    pub(crate) due_at: Timestamp,
}

/// Logs that a claimed message cannot be sent.
pub(crate) fn log_damaged(message: MessageId, error: &Error) {
    tracing::error!(message.id = %message, %error, "a pending message cannot be delivered: its row is damaged; send it as a new message");
}

/// Decodes the payloads of claimed deliveries. A delivery with a damaged payload is logged and left pending under its
/// owner, so that it blocks no other.
pub(crate) fn opened(sealed: Vec<SealedDelivery>) -> Vec<Claimed> {
    let open = |sealed: SealedDelivery| {
        let SealedDelivery { owner, environment_id, message_id, origin_id, event_type, payload, hops, trace, .. } = sealed;
        let payload = match payload.decode() {
            Ok(payload) => payload,
            Err(error) => {
                log_damaged(message_id, &error);
                return None;
            }
        };
        let SealedDelivery { route_id, backlog, attempts, failed, trigger, due_at, .. } = sealed;
        let message = Arc::new(Message { id: message_id, origin_id, event_type, payload, hops, trace });
        Some(Claimed { owner, environment_id, message, route_id, backlog, attempts, failed, trigger, due_at, packed: None })
    };
    sealed.into_iter().filter_map(open).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn payload(body: &str) -> Payload {
        Payload { body: Bytes::copy_from_slice(body.as_bytes()), content_type: ContentType::Json }
    }

    fn long() -> Payload {
        payload(&r#"{"line":"invoice","amount":12345678901234567890} "#.repeat(100))
    }

    #[test]
    fn short_or_incompressible_payload_is_stored_plain() {
        let check = |body: String, encoding: i32| {
            let stored = StoredPayload::encode(&payload(&body));
            assert_eq!((stored.encoding, stored.size()), (encoding, body.len()), "{body:.40}");
            assert_eq!(stored.decode().expect("whole").as_text(), body);
        };
        check(String::new(), AS_IS);
        check("{}".to_owned(), AS_IS);
        check("a".repeat(COMPRESS_FROM - 1), AS_IS);
        check("a".repeat(COMPRESS_FROM), LZ4);
        // No substring repeats.
        let unlike: String = (0..600).filter_map(|number| char::from_u32(0x4e00 + number)).collect();
        check(unlike, AS_IS);
    }

    #[tokio::test]
    async fn large_payload_round_trips() {
        let large = payload(&"[\u{1f600} 1.50] ".repeat(LARGE / 8));
        let stored = StoredPayload::of(&large).await.expect("compressed");
        assert!(stored.encoding == LZ4 && stored.body.len() < large.body.len() / 50);
        assert!(stored.decode().expect("whole") == large);
    }

    #[test]
    fn damaged_row_is_an_error() {
        let whole = StoredPayload::encode(&long());
        assert_eq!(whole.encoding, LZ4);
        let check = |damage: &dyn Fn(&mut StoredPayload)| {
            let mut stored = whole.clone();
            damage(&mut stored);
            assert!(matches!(stored.decode(), Err(Error::Unreadable { what: "payload" })));
        };
        check(&|stored| stored.size = -1);
        check(&|stored| stored.size += 1);
        check(&|stored| stored.size -= 1);
        // The size is rejected before memory is allocated.
        check(&|stored| stored.size = i32::MAX);
        check(&|stored| stored.encoding = 7);
        check(&|stored| stored.encoding = AS_IS);
        check(&|stored| stored.body = Bytes::new());
        check(&|stored| stored.body.truncate(40));
        check(&|stored| *stored = StoredPayload { encoding: AS_IS, size: 2, body: Bytes::from_static(&[0xff, 0xfe]), is_text: true });
    }

    proptest! {
        #[test]
        fn payload_round_trips(parts in proptest::collection::vec("\\PC{0,60}", 0..40), times in 1..20_usize) {
            let given = payload(&parts.concat().repeat(times));
            prop_assert_eq!(StoredPayload::encode(&given).decode().expect("whole"), given);
        }

        #[test]
        fn damaged_payload_never_panics(at in 0..400_usize, byte: u8, size in -5..200_000_i32) {
            let mut stored = StoredPayload::encode(&long());
            let mut body = stored.body.to_vec();
            let at = at % body.len();
            body[at] = byte;
            stored.body = body.into();
            let _ = stored.clone().decode();
            stored.size = size;
            let _ = stored.decode();
        }
    }
}
