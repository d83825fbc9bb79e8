//! Holds: why nothing is sent to a target for now.
//!
//! A target is on hold while its circuit breaker is open, or until the time it asked for with `Retry-After`. Its
//! deliveries stay pending; nothing is lost and no attempt is counted.

use std::time::Duration;

use crate::{
    base::time::Timestamp,
    delivery::{outcome::Outcome, retry::RETRY_AFTER_MAX},
};

/// Reason and end of a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    /// End of the hold. From then on, an open breaker lets one delivery through as a probe.
    pub until: Timestamp,
    /// Cause of the hold.
    pub reason: HoldReason,
    /// Time since which the target is held for this cause, without a break.
    pub since: Timestamp,
    /// Failed probes since the breaker opened.
    pub probes: u32,
}

/// Cause of a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldReason {
    /// The circuit breaker opened after too many failures in a row.
    Failing,
    /// The target asked for a wait (HTTP: 429 or 503 with `Retry-After`).
    RetryAfter,
}

impl HoldReason {
    /// Word in the API and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failing => "failing",
            Self::RetryAfter => "retry_after",
        }
    }

    /// Parses a word that [`Self::as_str`] returned.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Failing, Self::RetryAfter].into_iter().find(|reason| reason.as_str() == word)
    }
}

/// State of a circuit breaker (CONTRACT 5.11).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Circuit {
    /// Deliveries are sent.
    Closed,
    /// No delivery is sent.
    Open,
    /// One delivery is sent at a time, until one succeeds.
    HalfOpen,
}

impl Circuit {
    /// Returns the breaker state that a hold means.
    pub fn of(hold: Option<Hold>, now: Timestamp) -> Self {
        match hold {
            Some(Hold { reason: HoldReason::Failing, until, .. }) => {
                if until > now {
                    Self::Open
                } else {
                    Self::HalfOpen
                }
            }
            Some(Hold { reason: HoldReason::RetryAfter, .. }) | None => Self::Closed,
        }
    }

    /// Word in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

impl Hold {
    /// Builds a hold that begins at `since`.
    pub const fn new(reason: HoldReason, since: Timestamp, until: Timestamp) -> Self {
        Self { until, reason, since, probes: 0 }
    }

    /// Returns true if deliveries are still held back at `now`: all of them, or all but a probe.
    pub fn holds(self, now: Timestamp) -> bool {
        match self.reason {
            HoldReason::Failing => true,
            HoldReason::RetryAfter => self.until > now,
        }
    }
}

/// Condition under which a circuit breaker opens, and its duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerPolicy {
    /// Number of failures in a row that opens the breaker; 0 disables it.
    pub threshold: u32,
    /// Time the breaker stays open before one delivery is let through.
    pub cooldown: Duration,
}

impl Default for BreakerPolicy {
    /// 5 failures, 60 seconds (CONTRACT 5.11).
    fn default() -> Self {
        Self { threshold: 5, cooldown: Duration::from_secs(60) }
    }
}

/// Shortest `Retry-After` that holds a target: a shorter one would end before it takes effect.
const RETRY_AFTER_MIN: Duration = Duration::from_secs(1);

/// Returns a target's hold after an attempt. `failures` is the number of failures in a row including this attempt, 0
/// after a success.
pub fn after_attempt(hold: Option<Hold>, outcome: &Outcome, failures: u32, policy: BreakerPolicy, now: Timestamp) -> Option<Hold> {
    if outcome.is_accepted() {
        return hold.filter(|hold| hold.reason == HoldReason::RetryAfter && hold.until > now);
    }
    let asked = outcome.asked_wait().map(|asked| asked.from(now).min(RETRY_AFTER_MAX)).filter(|asked| *asked >= RETRY_AFTER_MIN);
    let is_open = Circuit::of(hold, now) != Circuit::Closed;
    let opens = is_open || (policy.threshold > 0 && failures >= policy.threshold);
    if opens {
        let until = now + policy.cooldown.max(asked.unwrap_or_default());
        // An attempt that was under way when the breaker opened does not keep it open for longer.
        return Some(match (hold.filter(|hold| hold.reason == HoldReason::Failing), Circuit::of(hold, now)) {
            (Some(open), Circuit::Open) => open,
            (Some(open), Circuit::HalfOpen | Circuit::Closed) => Hold { until, probes: open.probes.saturating_add(1), ..open },
            (None, _) => Hold::new(HoldReason::Failing, now, until),
        });
    }
    match asked {
        Some(asked) => {
            let hold = hold.filter(|hold| hold.holds(now)).unwrap_or(Hold::new(HoldReason::RetryAfter, now, now));
            Some(Hold { until: hold.until.max(now + asked), ..hold })
        }
        None => hold.filter(|hold| hold.holds(now)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::{
        outcome::{Failure, FailureKind, ReceiverResponse},
        retry::RetryAfter,
    };

    const NOW: Timestamp = Timestamp::from_millis(1_780_000_000_000);
    const POLICY: BreakerPolicy = BreakerPolicy { threshold: 5, cooldown: Duration::from_secs(60) };

    fn in_seconds(seconds: u64) -> Timestamp {
        NOW + Duration::from_secs(seconds)
    }

    fn failing(seconds: u64) -> Option<Hold> {
        Some(Hold::new(HoldReason::Failing, NOW, in_seconds(seconds)))
    }

    fn probed(seconds: u64, probes: u32) -> Option<Hold> {
        failing(seconds).map(|hold| Hold { probes, ..hold })
    }

    fn asked(seconds: u64) -> Option<Hold> {
        Some(Hold::new(HoldReason::RetryAfter, NOW, in_seconds(seconds)))
    }

    fn accepted() -> Outcome {
        Outcome::accepted(ReceiverResponse::default())
    }

    fn refused() -> Outcome {
        Outcome::Retryable(Failure::new(FailureKind::HttpStatus, "no"))
    }

    fn busy(seconds: u64) -> Outcome {
        Outcome::Retryable(Failure::new(FailureKind::HttpStatus, "busy").overloaded(Some(RetryAfter::Seconds(seconds))))
    }

    #[test]
    fn breaker_opens_at_its_threshold_and_closes_with_a_success() {
        let timeout = Outcome::Retryable(Failure::new(FailureKind::Timeout, "no response"));
        let check = |hold, outcome: &Outcome, failures, expected| {
            assert_eq!(after_attempt(hold, outcome, failures, POLICY, NOW), expected, "{hold:?} {outcome:?} {failures}");
        };
        check(None, &refused(), 4, None);
        check(None, &refused(), 5, failing(60));
        check(None, &timeout, 7, failing(60));
        check(None, &accepted(), 0, None);
        // Half open: one failure opens it again.
        check(failing(0), &timeout, 1, probed(60, 1));
        check(probed(0, 3), &refused(), 1, probed(60, 4));
        check(failing(0), &accepted(), 0, None);
        // Open: an attempt under way changes nothing, unless it succeeds.
        check(failing(30), &timeout, 6, failing(30));
        check(failing(30), &accepted(), 0, None);
        let never = BreakerPolicy { threshold: 0, ..POLICY };
        assert_eq!(after_attempt(None, &timeout, 1_000, never, NOW), None);
    }

    #[test]
    fn retry_after_holds_the_whole_target() {
        let check = |hold, outcome: &Outcome, expected| {
            assert_eq!(after_attempt(hold, outcome, 1, POLICY, NOW), expected, "{hold:?} {outcome:?}");
        };
        check(None, &busy(90), asked(90));
        check(None, &refused(), None);
        check(None, &busy(0), None);
        check(None, &busy(u64::MAX), asked(24 * 3600));
        check(asked(100), &busy(90), asked(100));
        // A success that was under way does not end the hold.
        check(asked(100), &accepted(), asked(100));
        check(asked(0), &refused(), None);
        check(failing(0), &busy(90), probed(90, 1));
    }

    #[test]
    fn hold_begins_anew_with_another_cause() {
        let earlier = NOW - Duration::from_secs(300);
        let check = |hold: Hold, outcome: &Outcome, failures, since| {
            let after = after_attempt(Some(hold), outcome, failures, POLICY, NOW).expect("a hold");
            assert_eq!(after.since, since, "{hold:?} {outcome:?}");
        };
        check(Hold::new(HoldReason::Failing, earlier, NOW), &refused(), 6, earlier);
        check(Hold::new(HoldReason::RetryAfter, earlier, in_seconds(9)), &busy(60), 1, earlier);
        check(Hold::new(HoldReason::RetryAfter, earlier, in_seconds(9)), &refused(), 5, NOW);
        // A hold that has ended is over.
        check(Hold::new(HoldReason::RetryAfter, earlier, NOW), &busy(60), 1, NOW);
    }

    #[test]
    fn circuit_state_follows_from_the_hold() {
        let check = |hold, word| assert_eq!(Circuit::of(hold, NOW).as_str(), word);
        check(None, "closed");
        check(asked(9), "closed");
        check(failing(9), "open");
        check(failing(0), "half_open");
        for reason in [HoldReason::Failing, HoldReason::RetryAfter] {
            assert_eq!(HoldReason::parse(reason.as_str()), Some(reason));
        }
    }
}
