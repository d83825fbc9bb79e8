//! Settlement of a delivery: the decision after each attempt.

use std::time::Duration;

use crate::{
    base::time::Timestamp,
    delivery::{
        outcome::{Directive, Outcome},
        retry::{Jitter, RetrySchedule},
        state::{DisabledReason, ExhaustedReason, Trigger},
    },
};

/// New state of a delivery after one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settlement {
    /// The message was delivered.
    Succeeded,
    /// The delivery is retried at this time.
    RetryAt(Timestamp),
    /// The delivery is not retried.
    Exhausted(ExhaustedReason),
}

/// Result of an outcome: it decides about the delivery and sometimes about its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// New state of the delivery.
    pub settlement: Settlement,
    /// Reason to disable the target, if the receiver asked for it.
    pub disable: Option<DisabledReason>,
}

/// Decides the new state of a delivery after its `failed_before + 1`-th attempt since it last became pending.
///
/// `failed_before` counts the failures since the message was sent or since an operator last retried it. A test has
/// one attempt only.
pub fn settle(
    trigger: Trigger,
    failed_before: u32,
    outcome: &Outcome,
    schedule: &RetrySchedule,
    now: Timestamp,
    jitter: Jitter,
) -> Verdict {
    let directive = outcome.response().and_then(|response| response.directive);
    let disable = (directive == Some(Directive::Disable)).then_some(DisabledReason::AskedToStop);
    if outcome.is_accepted() {
        return Verdict { settlement: Settlement::Succeeded, disable };
    }
    let response = outcome.response();
    if response.is_some_and(|response| response.status == 410) {
        return Verdict { settlement: Settlement::Exhausted(ExhaustedReason::Gone), disable: Some(DisabledReason::Gone) };
    }
    if directive.is_some() {
        return Verdict { settlement: Settlement::Exhausted(ExhaustedReason::ReceiverAsked), disable };
    }
    let retry_after = response.and_then(|response| retry_after(response.status, response.retry_after.map(|after| after.from(now))));
    let delay = match trigger {
        Trigger::Test => None,
        Trigger::Initial | Trigger::Automatic | Trigger::Manual | Trigger::Recover | Trigger::Replay => {
            schedule.delay_after(failed_before + 1, retry_after, jitter)
        }
    };
    let settlement = delay.map_or(Settlement::Exhausted(ExhaustedReason::ScheduleEnded), |delay| Settlement::RetryAt(now + delay));
    Verdict { settlement, disable: None }
}

/// Returns the `Retry-After` of a receiver that reports being busy (RFC 9110 section 15.6.4, RFC 6585 section 4).
fn retry_after(status: u16, asked: Option<Duration>) -> Option<Duration> {
    if matches!(status, 429 | 503) { asked } else { None }
}

/// Returns true if an endpoint that has been failing since `failing_since` must be disabled now.
pub fn has_failed_too_long(failing_since: Timestamp, now: Timestamp, allowed: Duration) -> bool {
    now.since(failing_since) >= allowed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::{
        outcome::{Failure, FailureKind, ReceiverResponse},
        retry::RetryAfter,
    };

    const NOW: Timestamp = Timestamp::from_millis(1_780_000_000_000);

    fn responded(status: u16) -> ReceiverResponse {
        ReceiverResponse { status, ..ReceiverResponse::default() }
    }

    fn verdict(trigger: Trigger, failed_before: u32, outcome: &Outcome) -> Verdict {
        settle(trigger, failed_before, outcome, &RetrySchedule::default(), NOW, Jitter::NONE)
    }

    #[test]
    fn delivery_settles_by_its_outcome() {
        let check = |failed_before, response: ReceiverResponse, settlement, disable| {
            let found = verdict(Trigger::Initial, failed_before, &Outcome::from_response(response.clone()));
            assert_eq!(found, Verdict { settlement, disable }, "{response:?}");
        };
        let retry_in = |seconds| Settlement::RetryAt(NOW + Duration::from_secs(seconds));
        check(0, responded(204), Settlement::Succeeded, None);
        check(0, responded(500), retry_in(5), None);
        check(1, responded(500), retry_in(300), None);
        check(0, responded(301), retry_in(5), None);
        check(9, responded(500), Settlement::Exhausted(ExhaustedReason::ScheduleEnded), None);
        check(0, responded(410), Settlement::Exhausted(ExhaustedReason::Gone), Some(DisabledReason::Gone));
        let asked = |status, directive| ReceiverResponse { directive: Some(directive), ..responded(status) };
        check(0, asked(500, Directive::AbortMessage), Settlement::Exhausted(ExhaustedReason::ReceiverAsked), None);
        check(0, asked(500, Directive::Disable), Settlement::Exhausted(ExhaustedReason::ReceiverAsked), Some(DisabledReason::AskedToStop));
        check(0, asked(200, Directive::Disable), Settlement::Succeeded, Some(DisabledReason::AskedToStop));
        check(0, asked(200, Directive::AbortMessage), Settlement::Succeeded, None);
    }

    #[test]
    fn retry_after_applies_to_429_and_503_only() {
        let check = |status, seconds, expected: u64| {
            let outcome = Outcome::from_response(ReceiverResponse { retry_after: Some(RetryAfter::Seconds(seconds)), ..responded(status) });
            let expected = Settlement::RetryAt(NOW + Duration::from_secs(expected));
            assert_eq!(verdict(Trigger::Initial, 0, &outcome).settlement, expected, "{status}");
        };
        check(429, 90, 90);
        check(503, 90, 90);
        check(500, 90, 5);
        check(502, 90, 5);
        check(504, 90, 5);
        check(503, 1, 5);
        check(503, 365 * 24 * 3600, 24 * 3600);
    }

    #[test]
    fn missing_response_is_retried_except_for_a_test() {
        let outcome = Outcome::Failed(Failure::new(FailureKind::Timeout, "no response"));
        assert_eq!(verdict(Trigger::Manual, 0, &outcome).settlement, Settlement::RetryAt(NOW + Duration::from_secs(5)));
        assert_eq!(verdict(Trigger::Test, 0, &outcome).settlement, Settlement::Exhausted(ExhaustedReason::ScheduleEnded));
    }
}
