//! How payloads stand in the store: as they are, or compressed where that saves enough.
//!
//! Both databases keep the same bytes, so that a transfer copies them. The work is done by whoever publishes or
//! reads, never by a writer and never within a transaction. What comes back is what was given, byte for byte; a
//! row that was damaged is an error.

use std::{ops::Deref, sync::Arc};

use bytes::Bytes;
use hookstream_model::{
    base::{
        ids::{ApplicationId, EnvironmentId, MessageId, TargetId},
        time::{Day, Timestamp},
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

/// From so many bytes on it is tried: a smaller JSON saves a third at the most, and most messages are smaller.
const WORTH_IT: usize = 1_024;
/// It is kept compressed where that saves an eighth or more.
const SAVED: usize = 8;
/// From so many bytes on it would hold up a task's thread, at about 3 µs for 10 KiB.
const LARGE: usize = 512 * 1024;
/// The bytes of a block stand for at most so many times as many: a larger size in a row is a damage.
const RATIO_MAX: usize = 256;

/// The number of a body that stands as it is.
const AS_IS: i32 = 0;
/// The number of a body that is one LZ4 block.
const LZ4: i32 = 1;

/// Payloads that were removed because their time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expired {
    /// The day of their messages.
    pub day: Day,
    /// What they took.
    pub bytes: i64,
    /// Whether the day has none left and what they took is given back.
    pub is_done: bool,
}

/// Which payloads of an environment are to be removed: the oldest first.
#[derive(Debug, Clone, Copy)]
pub struct Removal {
    /// The environment.
    pub environment: EnvironmentId,
    /// Of messages after this one.
    pub after: MessageId,
    /// Of messages before this one.
    pub before: MessageId,
    /// Until so many bytes are freed; the payload that passes it is removed as well.
    pub bytes: u64,
}

/// What a slice of a removal has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removed {
    /// So many bytes were freed.
    pub bytes: u64,
    /// Where the next slice goes on; `None` where there is nothing more that can be removed.
    pub position: Option<MessageId>,
}

/// The most payloads of a slice, and about the most bytes: some 2 ms of SQLite's writer.
pub(crate) const SLICE: usize = 256;
const SLICE_BYTES: u64 = 512 * 1024;

/// The first of what was found, as many as a slice takes and a removal asks for. Sizes are in bytes.
pub(crate) fn slice_of<T>(found: Vec<T>, size: impl Fn(&T) -> u64, wanted: u64) -> Vec<T> {
    let mut bytes = 0;
    let fits = |of: &T| {
        let before = bytes;
        bytes += size(of);
        before < wanted.min(SLICE_BYTES)
    };
    found.into_iter().take_while(fits).collect()
}

/// The columns of a payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredPayload {
    /// Whether it is text, and not JSON.
    pub(crate) is_text: bool,
    /// How the body is encoded.
    pub(crate) encoding: i32,
    /// The bytes of the payload.
    pub(crate) size: i32,
    /// The bytes in the store.
    pub(crate) body: Bytes,
}

impl StoredPayload {
    /// A payload as it will stand.
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
        // The limit of a payload is far below what the column holds.
        let size = i32::try_from(body.len()).unwrap_or(i32::MAX);
        if body.len() >= WORTH_IT {
            let compressed = lz4_flex::block::compress(body);
            if compressed.len() <= body.len() - body.len() / SAVED {
                return Self { is_text, encoding: LZ4, size, body: compressed.into() };
            }
        }
        Self { is_text, encoding: AS_IS, size, body: body.clone() }
    }

    /// The payload again.
    ///
    /// # Errors
    /// Where the row was damaged, or a newer version wrote it.
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

    /// The bytes of the payload, which it takes in memory.
    pub(crate) fn size(&self) -> usize {
        usize::try_from(self.size).unwrap_or(0)
    }
}

/// A message to store, with its payload as it will stand.
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

/// A delivery that was claimed, with its payload as it stands in the store.
#[derive(Debug)]
pub(crate) struct SealedDelivery {
    pub(crate) owner: Owner,
    pub(crate) environment_id: EnvironmentId,
    pub(crate) message_id: MessageId,
    pub(crate) application_id: ApplicationId,
    pub(crate) event_type: String,
    pub(crate) payload: StoredPayload,
    pub(crate) hops: Hops,
    pub(crate) target_id: TargetId,
    pub(crate) backlog: Option<Backlog>,
    pub(crate) attempts: u32,
    pub(crate) failed: u32,
    pub(crate) trigger: Trigger,
    pub(crate) due_at: Timestamp,
}

/// Tells the operator that a message was claimed and cannot be sent.
pub(crate) fn tell_damaged(message: MessageId, error: &Error) {
    tracing::error!(message.id = %message, %error, "a pending message cannot be delivered: its row is damaged; send it as a new message");
}

/// Deliveries with their payloads. One whose payload was damaged cannot be sent: it is told, and stays owed to
/// its owner, so that it holds up no other.
pub(crate) fn opened(sealed: Vec<SealedDelivery>) -> Vec<Claimed> {
    let open = |sealed: SealedDelivery| {
        let SealedDelivery { owner, environment_id, message_id, application_id, event_type, payload, hops, .. } = sealed;
        let payload = match payload.decode() {
            Ok(payload) => payload,
            Err(error) => {
                tell_damaged(message_id, &error);
                return None;
            }
        };
        let SealedDelivery { target_id, backlog, attempts, failed, trigger, due_at, .. } = sealed;
        let message = Arc::new(Message { id: message_id, application_id, event_type, payload, hops });
        Some(Claimed { owner, environment_id, message, target_id, backlog, attempts, failed, trigger, due_at })
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
        payload(&r#"{"backlog":"invoice","amount":12345678901234567890} "#.repeat(100))
    }

    #[test]
    fn what_is_short_or_does_not_shrink_stands_as_it_is() {
        let check = |body: String, encoding: i32| {
            let stored = StoredPayload::encode(&payload(&body));
            assert_eq!((stored.encoding, stored.size()), (encoding, body.len()), "{body:.40}");
            assert_eq!(stored.decode().expect("whole").as_text(), body);
        };
        check(String::new(), AS_IS);
        check("{}".to_owned(), AS_IS);
        check("a".repeat(WORTH_IT - 1), AS_IS);
        check("a".repeat(WORTH_IT), LZ4);
        // Nothing in it comes twice.
        let unlike: String = (0..600).filter_map(|number| char::from_u32(0x4e00 + number)).collect();
        check(unlike, AS_IS);
    }

    #[tokio::test]
    async fn a_large_one_comes_back_as_well() {
        let large = payload(&"[\u{1f600} 1.50] ".repeat(LARGE / 8));
        let stored = StoredPayload::of(&large).await.expect("compressed");
        assert!(stored.encoding == LZ4 && stored.body.len() < large.body.len() / 50);
        assert!(stored.decode().expect("whole") == large);
    }

    #[test]
    fn a_damaged_row_is_an_error() {
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
        // No memory is taken for it.
        check(&|stored| stored.size = i32::MAX);
        check(&|stored| stored.encoding = 7);
        check(&|stored| stored.encoding = AS_IS);
        check(&|stored| stored.body = Bytes::new());
        check(&|stored| stored.body.truncate(40));
        check(&|stored| *stored = StoredPayload { encoding: AS_IS, size: 2, body: Bytes::from_static(&[0xff, 0xfe]), is_text: true });
    }

    proptest! {
        #[test]
        fn any_payload_comes_back_as_it_was(parts in proptest::collection::vec("\\PC{0,60}", 0..40), times in 1..20_usize) {
            let given = payload(&parts.concat().repeat(times));
            prop_assert_eq!(StoredPayload::encode(&given).decode().expect("whole"), given);
        }

        #[test]
        fn no_damage_panics(at in 0..400_usize, byte: u8, size in -5..200_000_i32) {
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
