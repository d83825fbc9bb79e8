//! Identifiers: 16 bytes, a UUIDv7 (RFC 9562 section 5.7), written as 32 lower-case hex characters.
//!
//! Ids sort by creation time. Each resource has its own id type, so that ids cannot be mixed up. On input a `word_`
//! prefix is accepted and dropped; none is ever emitted.

use std::{fmt, str::FromStr};

use rand::Rng;
use uuid::{Builder, Uuid};

use crate::base::time::Timestamp;

/// Last millisecond that an id can hold: its time has 48 bits.
const LATEST_ID_MS: i64 = (1 << 48) - 1;

/// Error: the text is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 32 hexadecimal characters")]
pub struct InvalidId;

/// Parses 32 hex characters, after an optional `word_`, into 16 bytes.
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
            /// Builds the id from its 16 bytes, as the store keeps them.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// The 16 bytes, in the order that sorts by time.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// Creation time of the id, in milliseconds.
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
    /// Id of an organization, the top container with members and environments.
    OrganizationId
    /// Id of an environment of an organization; API keys belong to one.
    EnvironmentId
    /// Id of an API key (not the key itself).
    ApiKeyId
    /// Id of an application, which is one customer of the sending product.
    ApplicationId
    /// Id of an endpoint of an application.
    EndpointId
    /// Id of an event type in an environment's catalogue.
    EventTypeId
    /// Id of a message, and the `webhook-id` that its receivers see.
    MessageId
    /// Id of one attempt of a delivery.
    AttemptId
    /// Id of an origin: where a message was accepted, such as an application.
    OriginId
    /// Id of a route: one origin's way to one target. An endpoint is its own route.
    RouteId
    /// Id of a delivery target in the engine: an endpoint, later a destination.
    TargetId
    /// Id of the scope of a target's limits: targets of one scope share a rate, turns and a shard. The application of an
    /// endpoint.
    LimitScopeId
    /// Id of a job, which sends a set of deliveries again.
    JobId
    /// Id of a user.
    UserId
    /// Id of a saved view.
    ViewId
    /// Id of an alert rule.
    AlertRuleId
    /// Id of an alert.
    AlertId
    /// Id of a user's session.
    SessionId
    /// Id of an invitation into an organization.
    InvitationId
    /// Id of a key that signs portal tokens.
    PortalKeyId
    /// Id of an entry of the audit log.
    EntryId
    /// Id of any resource or actor that an entry of the audit log names.
    ResourceId
}

impl MessageId {
    /// Returns a bound below every id of this millisecond or later, and above every earlier id.
    pub fn before_all_at(at: Timestamp) -> Self {
        Self::from_bytes(before_all_at(at))
    }
}

impl PortalKeyId {
    /// Returns a bound below every id of this millisecond or later, and above every earlier id.
    pub fn before_all_at(at: Timestamp) -> Self {
        Self::from_bytes(before_all_at(at))
    }
}

impl EntryId {
    /// Returns a bound below every id of this millisecond or later, and above every earlier id.
    pub fn before_all_at(at: Timestamp) -> Self {
        Self::from_bytes(before_all_at(at))
    }
}

fn before_all_at(at: Timestamp) -> [u8; 16] {
    let mut id = [0; 16];
    id[..6].copy_from_slice(&at.as_millis().clamp(0, LATEST_ID_MS).to_be_bytes()[2..]);
    id
}

impl From<ApplicationId> for OriginId {
    fn from(application: ApplicationId) -> Self {
        Self(application.0)
    }
}

impl From<ApplicationId> for LimitScopeId {
    fn from(application: ApplicationId) -> Self {
        Self(application.0)
    }
}

impl From<LimitScopeId> for ApplicationId {
    fn from(scope: LimitScopeId) -> Self {
        Self(scope.0)
    }
}

impl From<OriginId> for ApplicationId {
    fn from(origin: OriginId) -> Self {
        Self(origin.0)
    }
}

impl From<EndpointId> for RouteId {
    fn from(endpoint: EndpointId) -> Self {
        Self(endpoint.0)
    }
}

impl From<RouteId> for EndpointId {
    fn from(route: RouteId) -> Self {
        Self(route.0)
    }
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

/// New id without a type; convert it into the type needed.
#[derive(Debug, Clone, Copy)]
pub struct NewId(Uuid);

/// Generator of strictly increasing ids, also within one millisecond and if the clock steps back.
///
/// The 12 bits after the millisecond are a counter (RFC 9562 section 6.2, method 1). If the counter overflows, the
/// millisecond runs ahead of the clock by one. The remaining 62 bits are random.
#[derive(Debug)]
pub struct IdSource<R> {
    rng: R,
    last_ms: u64,
    count: u16,
}

impl<R: Rng> IdSource<R> {
    /// Builds a generator that takes its random bits from `rng`.
    pub fn new(rng: R) -> Self {
        Self { rng, last_ms: 0, count: 0 }
    }

    /// Generates the next id, at the time `now`.
    pub fn next(&mut self, now: Timestamp) -> NewId {
        let ms = u64::try_from(now.as_millis()).unwrap_or(0);
        if ms > self.last_ms {
            self.last_ms = ms;
            // Starts in the lower half, so that at least 2,048 ids fit before the counter overflows.
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
    fn id_contains_its_creation_time_and_is_a_uuid_v7() {
        let mut source = IdSource::new(StdRng::seed_from_u64(7));
        let id = source.next(Timestamp::from_millis(1_780_000_000_123));
        assert_eq!(MessageId::from(id).timestamp(), Timestamp::from_millis(1_780_000_000_123));
        assert_eq!(id.0.get_version_num(), 7);
    }

    #[test]
    fn bound_is_below_the_ids_of_its_millisecond() {
        let mut source = IdSource::new(StdRng::seed_from_u64(7));
        let at = Timestamp::from_millis(1_780_000_000_123);
        let (earlier, id) = (MessageId::from(source.next(at - Duration::from_millis(1))), MessageId::from(source.next(at)));
        assert!(earlier < MessageId::before_all_at(at) && MessageId::before_all_at(at) < id);
        assert_eq!(MessageId::before_all_at(at).timestamp(), at);
    }

    #[test]
    fn prefix_before_an_underscore_is_dropped() {
        let check = |text: &str, expected: Option<&str>| {
            let parsed = text.parse::<ApplicationId>().map(|id| id.to_string()).ok();
            assert_eq!(parsed.as_deref(), expected, "{text}");
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
