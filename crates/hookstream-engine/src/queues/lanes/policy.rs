//! Configuration of a lane, and the public view of one.

use std::{num::NonZeroU32, time::Duration};

use hookstream_model::{
    base::{
        ids::{EnvironmentId, LimitScopeId, TargetId},
        time::Timestamp,
    },
    delivery::{hold::Hold, placement::Restrictions},
};

/// Configuration that decides when a target's deliveries may be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LanePolicy {
    /// Grows with each change; an older policy never replaces a newer one.
    pub(crate) version: i64,
    pub(crate) target: TargetId,
    pub(crate) environment: EnvironmentId,
    pub(crate) scope: LimitScopeId,
    /// Deliveries a second to this target.
    pub(crate) rate: Option<NonZeroU32>,
    /// Deliveries a second over all targets of the scope.
    pub(crate) scope_rate: Option<NonZeroU32>,
    pub(crate) is_ordered: bool,
    /// Batching of deliveries, if configured.
    pub(crate) gather: Option<Gather>,
    /// Stored hold.
    pub(crate) hold: Option<Hold>,
    /// Whether nothing is sent until a user resumes the target.
    pub(crate) is_paused: bool,
}

impl LanePolicy {
    /// Returns what restricts a delivery.
    pub(crate) fn restrictions(&self, keeps_position: bool, now: Timestamp) -> Restrictions {
        Restrictions { has_rate: self.has_rate(), is_ordered: self.is_ordered, keeps_position, is_held: self.is_held(now) }
    }

    pub(crate) fn is_held(&self, now: Timestamp) -> bool {
        self.is_paused || self.hold.is_some_and(|hold| hold.holds(now))
    }

    pub(crate) fn has_rate(&self) -> bool {
        self.rate.is_some() || self.scope_rate.is_some()
    }

    /// Returns the number of deliveries that are useful in memory: those of two seconds.
    pub(super) fn useful_queue(&self) -> usize {
        let rate = self.rate.into_iter().chain(self.scope_rate).min().map_or(u32::MAX, NonZeroU32::get);
        usize::try_from(rate).unwrap_or(usize::MAX).saturating_mul(2 * self.batch_size()).max(16)
    }

    /// Returns the maximum number of deliveries in one attempt.
    pub(super) fn batch_size(&self) -> usize {
        self.gather.map_or(1, |gather| gather.most)
    }
}

/// Batching of deliveries: an attempt begins once `most` deliveries or `bytes` bytes wait, or the first has waited for
/// `wait`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gather {
    pub(crate) most: usize,
    pub(crate) bytes: usize,
    pub(crate) wait: Duration,
}

/// Numbers of all lanes of a process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Census {
    /// Lanes with an attempt under way.
    pub(crate) sending: usize,
    /// Lanes whose deliveries wait for a turn, a rate or a free attempt.
    pub(crate) waiting: usize,
    /// Lanes of targets that are paused.
    pub(crate) paused: usize,
    /// Lanes held by an open circuit breaker.
    pub(crate) circuits_open: usize,
    /// Lanes held by a `Retry-After`.
    pub(crate) retry_after: usize,
    /// Deliveries in flight or not yet recorded.
    pub(crate) in_flight: usize,
    /// Greatest number of attempts under way.
    pub(crate) in_flight_limit: usize,
    /// Deliveries that wait.
    pub(crate) queued: usize,
    /// Greatest number of deliveries that wait.
    pub(crate) queued_limit: usize,
    /// Time for which the oldest due delivery has waited that nothing holds back.
    pub(crate) oldest_due: Duration,
}

/// Public view of a lane.
#[derive(Debug, Clone, PartialEq)]
pub struct LaneView {
    /// Target of the lane.
    pub target: TargetId,
    /// Application of the target.
    pub scope: LimitScopeId,
    /// Deliveries waiting in memory.
    pub queued: usize,
    /// Deliveries in flight or not yet recorded.
    pub in_flight: usize,
    /// Maximum number of concurrent attempts.
    pub at_once: usize,
    /// Due time of the delivery that waits longest.
    pub oldest_due: Option<Timestamp>,
    /// Responses a second lately, if known.
    pub per_second: Option<f64>,
    /// Reason why nothing is sent now.
    pub hold: Option<Hold>,
}
