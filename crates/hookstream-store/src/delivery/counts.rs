//! Numbers of deliveries in each state and bytes of payloads, counted in the commits that change the rows.
//!
//! Per environment and day of the message, accepted = succeeded + pending + exhausted + skipped + cancelled.
//! The pending number is the remainder, so an uncounted change shows up as a difference to the rows of `pending`.
//! [`audit`](crate::delivery::consistency) compares the counts with the rows.

use std::ops::AddAssign;

use hookstream_model::{base::time::Day, delivery::state::DeliveryState};

use crate::delivery::{
    deliveries::{NewState, Next},
    payloads::Sealed,
};

/// Messages and deliveries of an environment, or the amounts that a change adds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Accepted messages.
    pub messages: i64,
    /// Deliveries created with their message or by a replay.
    pub accepted: i64,
    /// Delivered.
    pub succeeded: i64,
    /// Given up.
    pub exhausted: i64,
    /// Not sent, but recoverable.
    pub skipped: i64,
    /// Endpoint or application deleted.
    pub cancelled: i64,
    /// Stored bytes of payloads.
    pub payload_bytes: i64,
    /// Accepted messages, not reduced by removals ([`crate::operations::quotas`]). Read by a statement of its own,
    /// not with the other counts.
    pub(crate) events: i64,
}

/// Counts of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayCounts {
    /// Day of the messages.
    pub day: Day,
    /// Current counts.
    pub counts: Counts,
}

impl Counts {
    /// Returns the number of pending deliveries.
    pub const fn pending(&self) -> i64 {
        self.accepted - self.succeeded - self.exhausted - self.skipped - self.cancelled
    }

    /// Returns the amounts that a new message adds.
    pub(crate) fn published(publication: &Sealed) -> Self {
        let is_skipped = |state: &NewState| matches!(state, NewState::Skipped(_));
        let skipped = publication.deliveries.iter().filter(|delivery| is_skipped(&delivery.state)).count();
        Self {
            messages: 1,
            accepted: count(publication.deliveries.len()),
            skipped: count(skipped),
            payload_bytes: count(publication.payload().body.len()),
            events: i64::from(publication.is_event),
            ..Self::default()
        }
    }

    /// Returns the amounts that a settled delivery adds; none while the delivery stays pending.
    pub(crate) fn settled(next: Next) -> Self {
        match next {
            Next::Succeeded => Self::succeeded(1),
            Next::Ended(state, _) => Self::ended(&state, 1),
            Next::Retry { .. } | Next::Postponed { .. } => Self::default(),
        }
    }

    /// Returns the amounts that a requeued delivery adds. `undelivered` is its former state; without one, the
    /// delivery had succeeded if it was attempted, and did not exist otherwise.
    pub(crate) fn requeued(undelivered: Option<&str>, was_attempted: bool) -> Self {
        match undelivered {
            Some("exhausted") => Self { exhausted: -1, ..Self::default() },
            Some("skipped") => Self::skipped(-1),
            Some(_) => Self { cancelled: -1, ..Self::default() },
            None if was_attempted => Self::succeeded(-1),
            None => Self { accepted: 1, ..Self::default() },
        }
    }

    /// Returns the amounts that removed messages subtract: their deliveries, with the numbers ended in each state,
    /// and their payloads.
    pub(crate) fn removed(messages: i64, accepted: i64, [exhausted, skipped, cancelled]: [i64; 3], payload_bytes: i64) -> Self {
        Self {
            messages: -messages,
            accepted: -accepted,
            succeeded: -(accepted - exhausted - skipped - cancelled),
            exhausted: -exhausted,
            skipped: -skipped,
            cancelled: -cancelled,
            payload_bytes: -payload_bytes,
            events: 0,
        }
    }

    /// Returns the amount that a removed payload of `bytes` stored bytes subtracts.
    pub(crate) fn without_payload(bytes: i64) -> Self {
        Self { payload_bytes: -bytes, ..Self::default() }
    }

    /// Returns the amount that `skipped` more skipped deliveries add.
    pub(crate) fn skipped(skipped: i64) -> Self {
        Self { skipped, ..Self::default() }
    }

    fn succeeded(succeeded: i64) -> Self {
        Self { succeeded, ..Self::default() }
    }

    fn ended(state: &DeliveryState, number: i64) -> Self {
        match state {
            DeliveryState::Pending { .. } => Self::default(),
            DeliveryState::Succeeded => Self::succeeded(number),
            DeliveryState::Exhausted { .. } => Self { exhausted: number, ..Self::default() },
            DeliveryState::Skipped { .. } => Self::skipped(number),
            DeliveryState::Cancelled { .. } => Self { cancelled: number, ..Self::default() },
        }
    }

    /// Counts in the order of the columns, without `events`.
    pub(crate) const fn columns(&self) -> [i64; 7] {
        [self.messages, self.accepted, self.succeeded, self.exhausted, self.skipped, self.cancelled, self.payload_bytes]
    }

    /// Builds counts from the order of the columns.
    pub(crate) const fn of_columns([messages, accepted, succeeded, exhausted, skipped, cancelled, payload_bytes]: [i64; 7]) -> Self {
        Self { messages, accepted, succeeded, exhausted, skipped, cancelled, payload_bytes, events: 0 }
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, more: Self) {
        self.messages += more.messages;
        self.accepted += more.accepted;
        self.succeeded += more.succeeded;
        self.exhausted += more.exhausted;
        self.skipped += more.skipped;
        self.cancelled += more.cancelled;
        self.payload_bytes += more.payload_bytes;
        self.events += more.events;
    }
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
