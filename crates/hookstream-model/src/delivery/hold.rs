//! Holds: why nothing is sent to a target for now.
//!
//! A target is held while its circuit breaker is open, and for as long as it asked for with
//! `Retry-After`. What is owed to it waits; nothing is lost and no try is counted.

use std::time::Duration;

use crate::{
    base::time::Timestamp,
    delivery::{
        outcome::Outcome,
        retry::{RETRY_AFTER_MAX, RetryAfter},
    },
};

/// Why nothing is sent for now, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    /// Until then; from then on a breaker lets one delivery through to see.
    pub until: Timestamp,
    /// Why.
    pub reason: HoldReason,
}

/// Why a target is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldReason {
    /// It failed so often in a row that its circuit breaker opened.
    Failing,
    /// It answered 429 or 503 with `Retry-After`.
    RetryAfter,
}

impl HoldReason {
    /// Its word in the API and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failing => "failing",
            Self::RetryAfter => "retry_after",
        }
    }

    /// Reads a word that [`Self::as_str`] wrote.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Failing, Self::RetryAfter].into_iter().find(|reason| reason.as_str() == word)
    }
}

/// How a circuit breaker stands (CONTRACT 5.11).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Circuit {
    /// Deliveries go.
    Closed,
    /// None goes.
    Open,
    /// One goes at a time, until it arrives.
    HalfOpen,
}

impl Circuit {
    /// What a hold means for the breaker.
    pub fn of(hold: Option<Hold>, now: Timestamp) -> Self {
        match hold {
            Some(Hold { reason: HoldReason::Failing, until }) => {
                if until > now {
                    Self::Open
                } else {
                    Self::HalfOpen
                }
            }
            Some(Hold { reason: HoldReason::RetryAfter, .. }) | None => Self::Closed,
        }
    }

    /// Its word in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

impl Hold {
    /// Whether something is still kept back at `now`: all, or all but one.
    pub fn holds(self, now: Timestamp) -> bool {
        match self.reason {
            HoldReason::Failing => true,
            HoldReason::RetryAfter => self.until > now,
        }
    }
}

/// When a circuit breaker opens, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerPolicy {
    /// Failures in a row that open it; 0 means that it never does.
    pub threshold: u32,
    /// How long it stays open before one delivery is let through.
    pub cooldown: Duration,
}

impl Default for BreakerPolicy {
    /// 5 failures, 60 seconds (CONTRACT 5.11).
    fn default() -> Self {
        Self { threshold: 5, cooldown: Duration::from_secs(60) }
    }
}

/// The shortest `Retry-After` that holds a target: less is over before anybody has noticed.
const RETRY_AFTER_MIN: Duration = Duration::from_secs(1);

/// How a target stands after a try that was its `failures`-th failure in a row, or a success.
pub fn after_try(hold: Option<Hold>, outcome: &Outcome, failures: u32, policy: BreakerPolicy, now: Timestamp) -> Option<Hold> {
    if outcome.is_accepted() {
        return hold.filter(|hold| hold.reason == HoldReason::RetryAfter && hold.until > now);
    }
    let asked = outcome.answer().filter(|answer| matches!(answer.status, 429 | 503)).and_then(|answer| answer.retry_after);
    let asked = asked.map(|asked: RetryAfter| asked.from(now).min(RETRY_AFTER_MAX)).filter(|asked| *asked >= RETRY_AFTER_MIN);
    let is_open = Circuit::of(hold, now) != Circuit::Closed;
    let opens = is_open || (policy.threshold > 0 && failures >= policy.threshold);
    if opens {
        let until = now + policy.cooldown.max(asked.unwrap_or_default());
        // What was under way when it opened does not keep it open for longer.
        let until = if Circuit::of(hold, now) == Circuit::Open { hold.map_or(until, |hold| hold.until) } else { until };
        return Some(Hold { until, reason: HoldReason::Failing });
    }
    match asked {
        Some(asked) => {
            let before = hold.map_or(now, |hold| hold.until);
            Some(Hold { until: before.max(now + asked), reason: HoldReason::RetryAfter })
        }
        None => hold.filter(|hold| hold.holds(now)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::outcome::{Failure, FailureKind, ReceiverResponse};

    const NOW: Timestamp = Timestamp::from_millis(1_780_000_000_000);
    const POLICY: BreakerPolicy = BreakerPolicy { threshold: 5, cooldown: Duration::from_secs(60) };

    fn in_seconds(seconds: u64) -> Timestamp {
        NOW + Duration::from_secs(seconds)
    }

    fn failing(seconds: u64) -> Option<Hold> {
        Some(Hold { until: in_seconds(seconds), reason: HoldReason::Failing })
    }

    fn asked(seconds: u64) -> Option<Hold> {
        Some(Hold { until: in_seconds(seconds), reason: HoldReason::RetryAfter })
    }

    fn answered(status: u16, retry_after: Option<u64>) -> Outcome {
        Outcome::from_answer(ReceiverResponse { status, retry_after: retry_after.map(RetryAfter::Seconds), ..ReceiverResponse::default() })
    }

    #[test]
    fn a_breaker_opens_at_its_threshold_and_closes_with_a_success() {
        let timeout = Outcome::Failed(Failure::new(FailureKind::Timeout, "no answer"));
        let check = |hold, outcome: &Outcome, failures, expected| {
            assert_eq!(after_try(hold, outcome, failures, POLICY, NOW), expected, "{hold:?} {outcome:?} {failures}");
        };
        check(None, &answered(500, None), 4, None);
        check(None, &answered(500, None), 5, failing(60));
        check(None, &timeout, 7, failing(60));
        check(None, &answered(200, None), 0, None);
        // Half open: one failure is enough.
        check(failing(0), &timeout, 1, failing(60));
        check(failing(0), &answered(200, None), 0, None);
        // Open: what was under way changes nothing, unless it arrives.
        check(failing(30), &timeout, 6, failing(30));
        check(failing(30), &answered(200, None), 0, None);
        let never = BreakerPolicy { threshold: 0, ..POLICY };
        assert_eq!(after_try(None, &timeout, 1_000, never, NOW), None);
    }

    #[test]
    fn retry_after_holds_the_whole_target() {
        let check = |hold, outcome: &Outcome, expected| {
            assert_eq!(after_try(hold, outcome, 1, POLICY, NOW), expected, "{hold:?} {outcome:?}");
        };
        check(None, &answered(429, Some(90)), asked(90));
        check(None, &answered(503, Some(90)), asked(90));
        check(None, &answered(500, Some(90)), None);
        check(None, &answered(429, Some(0)), None);
        check(None, &answered(429, Some(u64::MAX)), asked(24 * 3600));
        check(asked(100), &answered(429, Some(90)), asked(100));
        // A success that was under way does not end it.
        check(asked(100), &answered(200, None), asked(100));
        check(asked(0), &answered(500, None), None);
        check(failing(0), &answered(429, Some(90)), failing(90));
    }

    #[test]
    fn what_a_hold_means_is_told_in_one_word() {
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
