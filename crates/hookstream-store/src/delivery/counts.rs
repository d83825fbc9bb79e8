//! How many deliveries stand where, and how many bytes of payloads there are: counted in the commits that
//! change their rows.
//!
//! Per environment and day of the message, accepted = succeeded + pending + exhausted + skipped + cancelled.
//! What is pending is the rest, so a change that was not counted shows up as a difference to the rows of
//! `pending`. [`audit`](crate::delivery::audit) compares the counts with the rows.

use std::ops::AddAssign;

use hookstream_model::{base::time::Day, delivery::state::DeliveryState};

use crate::delivery::{
    deliveries::{NewState, Next},
    payloads::Sealed,
};

/// Messages and deliveries of an environment, or what a change adds to them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages that were accepted.
    pub messages: i64,
    /// Deliveries that came into being, with their message or by a replay.
    pub accepted: i64,
    /// Those that arrived.
    pub succeeded: i64,
    /// Those that were given up.
    pub exhausted: i64,
    /// Those that were not sent, and can be.
    pub skipped: i64,
    /// Those whose endpoint or application is gone.
    pub cancelled: i64,
    /// The bytes of payloads, as they stand in the store.
    pub payload_bytes: i64,
    /// Messages that were accepted, of which nothing is taken away when they are removed ([`crate::operations::quotas`]). What stands
    /// of them is read by itself, not with the rest.
    pub(crate) events: i64,
}

/// The counts of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayCounts {
    /// The day of the messages.
    pub day: Day,
    /// What stands of it.
    pub counts: Counts,
}

impl Counts {
    /// Those that are still owed.
    pub const fn pending(&self) -> i64 {
        self.accepted - self.succeeded - self.exhausted - self.skipped - self.cancelled
    }

    /// What a message adds.
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

    /// What a settled delivery adds; nothing, where it is owed still.
    pub(crate) fn settled(next: Next) -> Self {
        match next {
            Next::Succeeded => Self::succeeded(1),
            Next::Ended(state, _) => Self::standing(&state, 1),
            Next::Retry { .. } | Next::Postponed { .. } => Self::default(),
        }
    }

    /// What a delivery adds that is made owed again: it stood as `undelivered` says, else it had arrived
    /// where it was tried, else there was none.
    pub(crate) fn owed_again(undelivered: Option<&str>, was_tried: bool) -> Self {
        match undelivered {
            Some("exhausted") => Self { exhausted: -1, ..Self::default() },
            Some("skipped") => Self::skipped(-1),
            Some(_) => Self { cancelled: -1, ..Self::default() },
            None if was_tried => Self::succeeded(-1),
            None => Self { accepted: 1, ..Self::default() },
        }
    }

    /// What a message counted that is removed: its deliveries, of which so many ended in each state, and its payload.
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

    /// What a payload of so many bytes took.
    pub(crate) fn without_payload(bytes: i64) -> Self {
        Self { payload_bytes: -bytes, ..Self::default() }
    }

    /// So many more that are skipped.
    pub(crate) fn skipped(skipped: i64) -> Self {
        Self { skipped, ..Self::default() }
    }

    fn succeeded(succeeded: i64) -> Self {
        Self { succeeded, ..Self::default() }
    }

    fn standing(state: &DeliveryState, number: i64) -> Self {
        match state {
            DeliveryState::Pending { .. } => Self::default(),
            DeliveryState::Succeeded => Self::succeeded(number),
            DeliveryState::Exhausted { .. } => Self { exhausted: number, ..Self::default() },
            DeliveryState::Skipped { .. } => Self::skipped(number),
            DeliveryState::Cancelled { .. } => Self { cancelled: number, ..Self::default() },
        }
    }

    /// In the order of the columns, without `events`.
    pub(crate) const fn columns(&self) -> [i64; 7] {
        [self.messages, self.accepted, self.succeeded, self.exhausted, self.skipped, self.cancelled, self.payload_bytes]
    }

    /// From the order of the columns.
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
