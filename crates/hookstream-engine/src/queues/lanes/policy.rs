//! What is configured about a lane, and what can be seen of one.

use std::{num::NonZeroU32, time::Duration};

use hookstream_model::{
    base::{
        ids::{ApplicationId, EnvironmentId, TargetId},
        time::Timestamp,
    },
    delivery::hold::Hold,
};

/// What is configured that decides when a target's deliveries may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LanePolicy {
    /// Grows with each change; an older one never replaces a newer.
    pub(crate) version: i64,
    pub(crate) environment: EnvironmentId,
    pub(crate) application: ApplicationId,
    /// Deliveries a second to this target.
    pub(crate) rate: Option<NonZeroU32>,
    /// Deliveries a second over all targets of the application.
    pub(crate) application_rate: Option<NonZeroU32>,
    pub(crate) is_ordered: bool,
    /// How deliveries gather into one try, where they do.
    pub(crate) gather: Option<Gather>,
    /// As the store has it.
    pub(crate) hold: Option<Hold>,
    /// Whether nothing goes until somebody says so.
    pub(crate) is_paused: bool,
}

impl LanePolicy {
    /// Whether only the process that has the target's shard of backlogs may send to it.
    pub(crate) fn is_limited(&self, now: Timestamp) -> bool {
        self.has_rate() || self.is_ordered || self.is_held(now)
    }

    pub(crate) fn is_held(&self, now: Timestamp) -> bool {
        self.is_paused || self.hold.is_some_and(|hold| hold.holds(now))
    }

    pub(crate) fn has_rate(&self) -> bool {
        self.rate.is_some() || self.application_rate.is_some()
    }

    /// The most that is of use in memory: what goes in two seconds.
    pub(super) fn queue_of_use(&self) -> usize {
        let rate = self.rate.into_iter().chain(self.application_rate).min().map_or(u32::MAX, NonZeroU32::get);
        usize::try_from(rate).unwrap_or(usize::MAX).saturating_mul(2 * self.together()).max(16)
    }

    /// The most deliveries in one try.
    pub(super) fn together(&self) -> usize {
        self.gather.map_or(1, |gather| gather.most)
    }
}

/// How deliveries gather into one try: it is made once there are `most` of them or so many bytes, or the first
/// has waited long enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gather {
    pub(crate) most: usize,
    pub(crate) bytes: usize,
    pub(crate) wait: Duration,
}

/// A lane as it is seen from outside.
#[derive(Debug, Clone, PartialEq)]
pub struct LaneView {
    /// Its target.
    pub target: TargetId,
    /// The target's application.
    pub application: ApplicationId,
    /// Deliveries in memory that wait for their turn.
    pub queued: usize,
    /// Tries under way or not yet recorded.
    pub in_flight: usize,
    /// How many tries the target is given at once.
    pub at_once: usize,
    /// When the one that waits longest fell due.
    pub oldest_due: Option<Timestamp>,
    /// How many tries it answered in a second lately, where that is known.
    pub per_second: Option<f64>,
    /// Why nothing goes for now.
    pub hold: Option<Hold>,
}
