//! Identifiers: 16 bytes, a UUIDv7 (RFC 9562 section 5.7), written as 32 lower-case hex characters.
//!
//! Ids sort by the time they were made. Each resource has a type of its own, so that one cannot be
//! passed for another. On input a `word_` prefix is tolerated and dropped; none is ever emitted.

use std::{fmt, str::FromStr};

use rand::Rng;
use uuid::{Builder, Uuid};

use crate::base::time::Timestamp;

/// The last millisecond that an id can hold: its time has 48 bits.
const LATEST_ID_MS: i64 = (1 << 48) - 1;

/// Why a text is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 32 hexadecimal characters")]
pub struct InvalidId;

/// Reads 32 hex characters, after an optional `word_`, into 16 bytes.
fn parse(text: &str) -> Result<Uuid, InvalidId> {
    let digits = match text.rsplit_once('_') {
        Some((word, rest)) if !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphabetic()) => rest,
        Some(_) => return Err(InvalidId),
        None => text,
    };
    if digits.len() != 32 {
        return Err(InvalidId);
    }
    Uuid::try_parse_ascii(digits.as_bytes()).map_err(|_| InvalidId)
}

macro_rules! id_types {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// The id with these 16 bytes, as the store keeps them.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// The 16 bytes, in the order that sorts by time.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// When the id was made, to the millisecond.
            pub fn timestamp(&self) -> Timestamp {
                timestamp_of(self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.simple().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0.simple())
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                parse(text).map(Self)
            }
        }

        impl From<NewId> for $name {
            fn from(new: NewId) -> Self {
                Self(new.0)
            }
        }
    )*};
}

id_types! {
    /// An organization: the top container, with members and environments.
    OrganizationId
    /// An environment of an organization; API keys belong to one.
    EnvironmentId
    /// An API key (not the key itself).
    ApiKeyId
    /// An application: one customer of the product that sends.
    ApplicationId
    /// An endpoint of an application.
    EndpointId
    /// An event type in an environment's catalogue.
    EventTypeId
    /// A message, and the `webhook-id` that its receivers see.
    MessageId
    /// One try of a delivery.
    AttemptId
    /// Who owes a delivery to whom: an endpoint, later a destination, as the engine sees it.
    TargetId
    /// A job: sending a set of deliveries again.
    JobId
    /// Somebody who signs in.
    UserId
    /// A session of somebody who signed in.
    SessionId
    /// An invitation into an organization.
    InvitationId
    /// A key that signs portal tokens.
    PortalKeyId
    /// An entry of the audit log.
    EntryId
    /// What an entry of the audit log is about, or who acted, whatever it is.
    ResourceId
}

impl MessageId {
    /// Below every id that is made in this millisecond or later, and above every earlier one.
    pub fn before_all_at(at: Timestamp) -> Self {
        Self::from_bytes(before_all_at(at))
    }
}

impl PortalKeyId {
    /// Below every id that is made in this millisecond or later, and above every earlier one.
    pub fn before_all_at(at: Timestamp) -> Self {
        Self::from_bytes(before_all_at(at))
    }
}

impl EntryId {
    /// Below every id that is made in this millisecond or later, and above every earlier one.
    pub fn before_all_at(at: Timestamp) -> Self {
        Self::from_bytes(before_all_at(at))
    }
}

fn before_all_at(at: Timestamp) -> [u8; 16] {
    let mut id = [0; 16];
    id[..6].copy_from_slice(&at.as_millis().clamp(0, LATEST_ID_MS).to_be_bytes()[2..]);
    id
}

impl From<EndpointId> for TargetId {
    fn from(endpoint: EndpointId) -> Self {
        Self(endpoint.0)
    }
}

impl From<TargetId> for EndpointId {
    fn from(target: TargetId) -> Self {
        Self(target.0)
    }
}

/// A fresh id that has not been given to anything yet; convert it into the type needed.
#[derive(Debug, Clone, Copy)]
pub struct NewId(Uuid);

/// Makes ids that grow strictly, also within one millisecond and when the clock steps back.
///
/// The 12 bits after the millisecond count up (RFC 9562 section 6.2, method 1); when they run over,
/// the millisecond runs ahead of the clock by one. The remaining 62 bits are random.
#[derive(Debug)]
pub struct IdSource<R> {
    rng: R,
    last_ms: u64,
    count: u16,
}

impl<R: Rng> IdSource<R> {
    /// A source that takes its random bits from `rng`.
    pub fn new(rng: R) -> Self {
        Self { rng, last_ms: 0, count: 0 }
    }

    /// The next id, made at `now`.
    pub fn next(&mut self, now: Timestamp) -> NewId {
        let ms = u64::try_from(now.as_millis()).unwrap_or(0);
        if ms > self.last_ms {
            self.last_ms = ms;
            // Starts in the lower half, so that 2,048 ids or more fit before the millisecond runs over.
            self.count = (self.rng.next_u32() & 0x7ff) as u16;
        } else if self.count == 0xfff {
            self.last_ms += 1;
            self.count = 0;
        } else {
            self.count += 1;
        }
        let mut tail = [0; 10];
        self.rng.fill_bytes(&mut tail);
        let [high, low] = self.count.to_be_bytes();
        tail[0] = high;
        tail[1] = low;
        NewId(Builder::from_unix_timestamp_millis(self.last_ms, &tail).into_uuid())
    }
}

fn timestamp_of(id: Uuid) -> Timestamp {
    let bytes = id.as_bytes();
    let ms = bytes[..6].iter().fold(0_i64, |sum, byte| sum << 8 | i64::from(*byte));
    Timestamp::from_millis(ms)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    #[test]
    fn ids_grow_within_a_millisecond_and_when_the_clock_steps_back() {
        let mut source = IdSource::new(StdRng::seed_from_u64(7));
        let mut last = MessageId::from(source.next(Timestamp::from_millis(1_000)));
        for step in 0..10_000 {
            let now = if step % 3 == 0 { 999 } else { 1_000 };
            let next = MessageId::from(source.next(Timestamp::from_millis(now)));
            assert!(next > last, "{next} is not after {last}");
            last = next;
        }
    }

    #[test]
    fn an_id_tells_when_it_was_made_and_is_a_uuid_of_version_7() {
        let mut source = IdSource::new(StdRng::seed_from_u64(7));
        let id = source.next(Timestamp::from_millis(1_780_000_000_123));
        assert_eq!(MessageId::from(id).timestamp(), Timestamp::from_millis(1_780_000_000_123));
        assert_eq!(id.0.get_version_num(), 7);
    }

    #[test]
    fn a_moment_has_a_bound_below_its_ids() {
        let mut source = IdSource::new(StdRng::seed_from_u64(7));
        let at = Timestamp::from_millis(1_780_000_000_123);
        let (earlier, id) = (MessageId::from(source.next(at - Duration::from_millis(1))), MessageId::from(source.next(at)));
        assert!(earlier < MessageId::before_all_at(at) && MessageId::before_all_at(at) < id);
        assert_eq!(MessageId::before_all_at(at).timestamp(), at);
    }

    #[test]
    fn a_word_before_an_underscore_is_dropped_and_anything_else_refused() {
        let check = |text: &str, expected: Option<&str>| {
            let read = text.parse::<ApplicationId>().map(|id| id.to_string()).ok();
            assert_eq!(read.as_deref(), expected, "{text}");
        };
        let id = "0198c0de00007000800000000000abcd";
        check(id, Some(id));
        check(&format!("app_{id}"), Some(id));
        check(&id.to_uppercase(), Some(id));
        check(&format!("_{id}"), None);
        check(&format!("a-b_{id}"), None);
        check(&id[1..], None);
        check("0198c0de-0000-7000-8000-00000000abcd", None);
        check("", None);
    }
}
