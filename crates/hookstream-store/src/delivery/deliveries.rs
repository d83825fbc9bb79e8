//! Inputs and results of the store's hot path.

use std::{collections::BTreeMap, sync::Arc};

use hookstream_model::{
    base::{
        ids::{EnvironmentId, MessageId, OriginId, RouteId},
        time::Timestamp,
    },
    delivery::{
        attempt::Attempt,
        queue::Backlog,
        state::{DeliveryState, SkipReason, Trigger},
    },
    identity::tenancy::Tenant,
    operations::operational_event::OperationalEvent,
    outbound::message::{Message, MessageStatus},
};

/// Process that works on deliveries, identified by a number that grows with each start. Only the owner that claimed a
/// delivery may settle it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Owner(i64);

impl Owner {
    /// Builds the owner with this number; 0 means unowned.
    pub(crate) const fn new(number: i64) -> Self {
        Self(number)
    }

    /// No owner.
    pub const NONE: Self = Self(0);

    /// Returns the owner's number.
    pub const fn number(self) -> i64 {
        self.0
    }
}

/// Message to store, with everything that must become durable together with it.
#[derive(Debug)]
pub struct Publication {
    /// Organization and environment of the message.
    pub tenant: Tenant,
    /// Message, shared with the task that delivers it.
    pub message: Arc<Message>,
    /// Deliveries of the message.
    pub deliveries: Vec<NewDelivery>,
    /// Owner of the deliveries in [`NewState::Owned`].
    pub owner: Owner,
    /// Trigger of the first attempts.
    pub trigger: Trigger,
    /// Versions from which the deliveries were decided.
    pub seen: Versions,
    /// Sender's own id of the message, unique per origin since `window_start`.
    pub event_id: Option<String>,
    /// Channels of the message.
    pub channels: Vec<String>,
    /// Idempotency key of the request, unique per environment since `window_start`.
    pub idempotency: Option<IdempotencyKey>,
    /// Time from which earlier ids and keys count.
    pub window_start: Timestamp,
    /// Whether the message counts as an event of its organization's quota.
    pub is_event: bool,
}

impl Publication {
    /// Returns the stored form of the channels: JSON text, or `None` without channels.
    pub(crate) fn channels_text(&self) -> Option<String> {
        (!self.channels.is_empty()).then(|| serde_json::to_string(&self.channels).expect("texts are JSON"))
    }

    /// Returns the status for the first response about the message.
    pub fn first_status(&self) -> MessageStatus {
        let is_skipped = |delivery: &NewDelivery| matches!(delivery.state, NewState::Skipped(_));
        if self.deliveries.iter().all(is_skipped) { MessageStatus::Skipped } else { MessageStatus::Pending }
    }

    /// Returns the packed rows of the owned deliveries; none for a single one, which has a row of its own.
    pub(crate) fn packed_rows(&self) -> Vec<PackedRow> {
        let owned = self.deliveries.iter().filter(|delivery| matches!(delivery.state, NewState::Owned));
        if owned.clone().count() < PackedIndex::FROM {
            return Vec::new();
        }
        let routes: Vec<_> = owned.map(|delivery| *delivery.route_id.as_bytes()).collect();
        let row = |(part, routes): (i32, &[[u8; 16]])| PackedRow {
            part,
            routes: routes.concat(),
            unsettled: i64::MAX >> (PackedIndex::PER_ROW - routes.len()),
        };
        (0..).zip(routes.chunks(PackedIndex::PER_ROW)).map(row).collect()
    }
}

/// Position of a delivery among the owned deliveries of its message, in the order of [`Publication::deliveries`].
///
/// The first attempts of a message share rows, up to 63 each, with a bit for every delivery that is not settled. A
/// message over ten routes then costs one row in place of ten. A delivery gets a row of its own once it has failed or
/// returns to a backlog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackedIndex(u32);

impl PackedIndex {
    /// Number of deliveries in a row: one bit each, without the sign.
    pub(crate) const PER_ROW: usize = 63;

    /// Number of owned deliveries from which they share rows: a single one costs less in a row of its own.
    const FROM: usize = 2;

    /// Returns the position of an owned delivery by its number among `owned` ones; `None` if it has a row of its own.
    pub fn of(number: usize, owned: usize) -> Option<Self> {
        (owned >= Self::FROM).then(|| Self(u32::try_from(number).unwrap_or(u32::MAX)))
    }

    /// Number of the row within its message.
    pub(crate) fn part(self) -> i32 {
        i32::try_from(self.0 as usize / Self::PER_ROW).unwrap_or(i32::MAX)
    }

    /// Bit of the delivery within its row.
    pub(crate) const fn bit(self) -> i64 {
        1 << (self.0 as usize % Self::PER_ROW)
    }
}

/// Row of up to 63 owned deliveries of one message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PackedRow {
    /// Number of the row within its message.
    pub(crate) part: i32,
    /// Routes, 16 bytes each.
    pub(crate) routes: Vec<u8>,
    /// Bits of the deliveries that are not settled.
    pub(crate) unsettled: i64,
}

/// Numbers that grow with each change of the configuration that decides a message's deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    /// Version of the origin and its routes.
    pub origin: i64,
    /// Version of the environment's event types.
    pub environment: i64,
}

/// Idempotency key and the request that used it.
#[derive(Debug, Clone)]
pub struct IdempotencyKey {
    /// Key as the sender wrote it.
    pub key: String,
    /// Hash of the request.
    pub fingerprint: [u8; 32],
}

/// Delivery created with its message.
#[derive(Debug, Clone, Copy)]
pub struct NewDelivery {
    /// Route of the delivery.
    pub route_id: RouteId,
    /// Initial state.
    pub state: NewState,
}

/// Initial state of a delivery.
#[derive(Debug, Clone, Copy)]
pub enum NewState {
    /// Pending, and delivered from memory by [`Publication::owner`].
    Owned,
    /// Pending and due at once, for any node or for the node of the backlog.
    Waiting {
        /// Backlog in which the delivery waits.
        backlog: Option<Backlog>,
        /// Whether the delivery has a position in the backlog, behind everything stored earlier.
        in_order: bool,
    },
    /// Not sent, but recorded and recoverable.
    Skipped(SkipReason),
}

/// Result of publishing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// The message is stored and scheduled.
    Stored,
    /// The idempotency key belongs to this earlier message, whose first response carried this status.
    Repeated {
        /// Earlier message.
        message_id: MessageId,
        /// Status in the first response about it.
        first_status: MessageStatus,
    },
    /// The idempotency key was used for another request.
    KeyReused,
    /// The origin, its routes or the event types have changed since [`Publication::seen`].
    Stale,
    /// The origin already has a message with this `event_id`.
    DuplicateEventId {
        /// Earlier message.
        message_id: MessageId,
    },
}

/// Limits of one claim.
#[derive(Debug, Clone, Copy)]
pub struct ClaimLimits {
    /// Maximum number of deliveries.
    pub deliveries: usize,
    /// Bytes of payload; the delivery that exceeds the limit is still claimed.
    pub bytes: usize,
}

/// Result of a claim.
#[derive(Debug, Default)]
pub struct Claim {
    /// Deliveries that now belong to the claimer.
    pub deliveries: Vec<Claimed>,
    /// Due time of the next unowned delivery, if known; it may be past.
    pub next_due: Option<Timestamp>,
}

/// First delivery of a backlog that is not empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BacklogHead {
    /// Backlog.
    pub backlog: Backlog,
    /// Origin of the first delivery.
    pub origin_id: OriginId,
    /// Route of the first delivery.
    pub route_id: RouteId,
    /// Due time; it may be past. In an ordered backlog, the position, unless `retry_at` is set.
    pub due_at: Timestamp,
    /// Due time of the next attempt, if the delivery has failed or was postponed.
    pub retry_at: Option<Timestamp>,
}

/// Number of deliveries to take from a backlog.
#[derive(Debug, Clone, Copy)]
pub struct BacklogRequest {
    /// Backlog.
    pub backlog: Backlog,
    /// Maximum number of deliveries.
    pub deliveries: usize,
    /// Whether a delivery whose next attempt is not due blocks those behind it.
    pub in_order: bool,
}

/// Claimed delivery.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// Owner after the claim.
    pub owner: Owner,
    /// Environment of the message, under which the delivery is counted.
    pub environment_id: EnvironmentId,
    /// Message to deliver.
    pub message: Arc<Message>,
    /// Route of the delivery.
    pub route_id: RouteId,
    /// Backlog in which the delivery waited, if any.
    pub backlog: Option<Backlog>,
    /// Attempts made so far, over the whole life of the delivery.
    pub attempts: u32,
    /// Failures since the delivery last became pending; the position in the retry schedule.
    pub failed: u32,
    /// Trigger of the next attempt.
    pub trigger: Trigger,
    /// Due time; for a first attempt, the time at which the message was accepted.
    pub due_at: Timestamp,
    /// Position in a packed row; `None` if the delivery has a row of its own.
    pub packed: Option<PackedIndex>,
}

/// Result of a claimed delivery.
#[derive(Debug, Clone)]
pub struct Settled {
    /// Environment of the message, under which the delivery is counted.
    pub environment_id: EnvironmentId,
    /// Message.
    pub message_id: MessageId,
    /// Route.
    pub route_id: RouteId,
    /// Position in a packed row; `None` if the delivery has a row of its own.
    pub packed: Option<PackedIndex>,
    /// Attempt that was made, if any.
    pub attempt: Option<Attempt>,
    /// Next state.
    pub next: Next,
    /// Operational event that it causes, for an environment where someone is told.
    pub event: Option<Box<OperationalEvent>>,
}

/// Bits of settled deliveries in one packed row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PackedBits {
    pub(crate) message_id: MessageId,
    pub(crate) part: i32,
    pub(crate) bits: i64,
}

/// Collects the bits of settled deliveries by packed row, in the order of the keys.
pub(crate) fn packed_bits(batch: &[Settled]) -> Vec<PackedBits> {
    let mut rows: BTreeMap<(MessageId, i32), i64> = BTreeMap::new();
    for settled in batch {
        if let Some(packed) = settled.packed {
            *rows.entry((settled.message_id, packed.part())).or_default() |= packed.bit();
        }
    }
    rows.into_iter().map(|((message_id, part), bits)| PackedBits { message_id, part, bits }).collect()
}

/// State of a delivery after it was settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Delivered.
    Succeeded,
    /// Still pending, after `failed` failures.
    Retry {
        /// Backlog and end of the wait.
        wait: Wait,
        /// Failures since the delivery last became pending.
        failed: u32,
    },
    /// Still pending, without an attempt.
    Postponed {
        /// Backlog and end of the wait.
        wait: Wait,
    },
    /// Ended at that time without a delivery: exhausted, skipped or cancelled.
    Ended(DeliveryState, Timestamp),
}

/// Wait of a pending delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// Time at which the delivery is due again. For a delivery that keeps its position, the epoch means at once,
    /// whatever a clock says later.
    pub due_at: Timestamp,
    /// Backlog in which the delivery waits; without one, any node may claim it when due.
    pub backlog: Option<Backlog>,
    /// Whether the delivery keeps its position in the backlog and blocks those behind it.
    pub keeps_position: bool,
}

impl Wait {
    /// Waits until this time, for any node to claim.
    pub const fn until(due_at: Timestamp) -> Self {
        Self { due_at, backlog: None, keeps_position: false }
    }

    /// Returns the value of the columns `owner` and `backlog`.
    pub(crate) fn backlog_number(self) -> i64 {
        self.backlog.map_or(0, Backlog::number)
    }

    /// Returns the values of the columns `due_at`, if it changes, and `retry_at`. In an ordered backlog `due_at` is a
    /// position that no clock is compared with: only `retry_at` decides whether the delivery is due.
    pub(crate) fn times(self) -> (Option<i64>, Option<i64>) {
        let at = Some(self.due_at.as_millis());
        match (self.keeps_position, self.backlog) {
            (true, _) => (None, at.filter(|_| self.due_at > Timestamp::EPOCH)),
            (false, Some(_)) => (at, at),
            (false, None) => (at, None),
        }
    }
}

/// Result of requeuing a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redelivered {
    /// Number of routes over which the message is pending now.
    Requeued(usize),
    /// No such message.
    NotFound,
    /// The payload has expired, so there is nothing to send.
    PayloadExpired,
}

/// Request to requeue a message.
#[derive(Debug)]
pub struct Redelivery {
    /// Organization and environment of the message.
    pub tenant: Tenant,
    /// Origin.
    pub origin_id: OriginId,
    /// Message.
    pub message_id: MessageId,
    /// Routes to deliver over.
    pub routes: Vec<RouteId>,
    /// Trigger of the attempt.
    pub trigger: Trigger,
    /// Due time.
    pub now: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_positions_share_rows_of_63() {
        let check = |number, row, bit| {
            let index = PackedIndex::of(number, 200).expect("several are owned");
            assert_eq!((index.part(), index.bit()), (row, bit), "{number}");
        };
        check(0, 0, 1);
        check(1, 0, 2);
        check(62, 0, 1 << 62);
        check(63, 1, 1);
        check(130, 2, 1 << 4);
        assert_eq!(PackedIndex::of(0, 1), None);
    }
}
