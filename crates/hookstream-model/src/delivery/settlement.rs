//! Deliveries: one message owed to one target, and what becomes of them.

use std::time::Duration;

use crate::{
    base::time::Timestamp,
    delivery::{
        outcome::{Directive, Outcome},
        retry::{Jitter, RetrySchedule},
        state::{DisabledReason, ExhaustedReason, Trigger},
    },
};

/// What becomes of a delivery after one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settlement {
    /// It arrived.
    Succeeded,
    /// It is tried again then.
    RetryAt(Timestamp),
    /// It is given up.
    Exhausted(ExhaustedReason),
}

/// What is settled: the outcome decides about the delivery and sometimes about its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// What becomes of the delivery.
    pub settlement: Settlement,
    /// Why the target is to be disabled, where the receiver said so.
    pub disable: Option<DisabledReason>,
}

/// What becomes of a delivery after its `failed_before + 1`-th try since it last fell due anew.
///
/// `failed_before` counts the failures since the message was sent, or since an operator asked for it
/// again. A test is tried once.
pub fn settle(
    trigger: Trigger,
    failed_before: u32,
    outcome: &Outcome,
    schedule: &RetrySchedule,
    now: Timestamp,
    jitter: Jitter,
) -> Verdict {
    let directive = outcome.answer().and_then(|answer| answer.directive);
    let asked_to_stop = (directive == Some(Directive::Disable)).then_some(DisabledReason::AskedToStop);
    if outcome.is_accepted() {
        return Verdict { settlement: Settlement::Succeeded, disable: asked_to_stop };
    }
    let answer = outcome.answer();
    if answer.is_some_and(|answer| answer.status == 410) {
        return Verdict { settlement: Settlement::Exhausted(ExhaustedReason::Gone), disable: Some(DisabledReason::Gone) };
    }
    if directive.is_some() {
        return Verdict { settlement: Settlement::Exhausted(ExhaustedReason::ReceiverAsked), disable: asked_to_stop };
    }
    let retry_after = answer.and_then(|answer| retry_after(answer.status, answer.retry_after.map(|after| after.from(now))));
    let delay = match trigger {
        Trigger::Test => None,
        Trigger::Initial | Trigger::Automatic | Trigger::Manual | Trigger::Recover | Trigger::Replay => {
            schedule.delay_after(failed_before + 1, retry_after, jitter)
        }
    };
    let settlement = delay.map_or(Settlement::Exhausted(ExhaustedReason::ScheduleEnded), |delay| Settlement::RetryAt(now + delay));
    Verdict { settlement, disable: None }
}

/// `Retry-After` counts where the receiver says that it is busy (RFC 9110 section 15.6.4, RFC 6585 section 4).
fn retry_after(status: u16, asked: Option<Duration>) -> Option<Duration> {
    if matches!(status, 429 | 503) { asked } else { None }
}

/// Whether an endpoint that has failed since `failing_since` is to be disabled now.
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

    fn answered(status: u16) -> ReceiverResponse {
        ReceiverResponse { status, ..ReceiverResponse::default() }
    }

    fn verdict(trigger: Trigger, failed_before: u32, outcome: &Outcome) -> Verdict {
        settle(trigger, failed_before, outcome, &RetrySchedule::default(), NOW, Jitter::NONE)
    }

    #[test]
    fn a_delivery_settles_by_its_outcome() {
        let check = |failed_before, answer: ReceiverResponse, settlement, disable| {
            let found = verdict(Trigger::Initial, failed_before, &Outcome::from_answer(answer.clone()));
            assert_eq!(found, Verdict { settlement, disable }, "{answer:?}");
        };
        let retry_in = |seconds| Settlement::RetryAt(NOW + Duration::from_secs(seconds));
        check(0, answered(204), Settlement::Succeeded, None);
        check(0, answered(500), retry_in(5), None);
        check(1, answered(500), retry_in(300), None);
        check(0, answered(301), retry_in(5), None);
        check(9, answered(500), Settlement::Exhausted(ExhaustedReason::ScheduleEnded), None);
        check(0, answered(410), Settlement::Exhausted(ExhaustedReason::Gone), Some(DisabledReason::Gone));
        let asked = |status, directive| ReceiverResponse { directive: Some(directive), ..answered(status) };
        check(0, asked(500, Directive::AbortMessage), Settlement::Exhausted(ExhaustedReason::ReceiverAsked), None);
        check(0, asked(500, Directive::Disable), Settlement::Exhausted(ExhaustedReason::ReceiverAsked), Some(DisabledReason::AskedToStop));
        check(0, asked(200, Directive::Disable), Settlement::Succeeded, Some(DisabledReason::AskedToStop));
        check(0, asked(200, Directive::AbortMessage), Settlement::Succeeded, None);
    }

    #[test]
    fn retry_after_counts_for_429_and_503_only() {
        let check = |status, seconds, expected: u64| {
            let outcome = Outcome::from_answer(ReceiverResponse { retry_after: Some(RetryAfter::Seconds(seconds)), ..answered(status) });
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
    fn no_answer_is_retried_and_a_test_is_not() {
        let outcome = Outcome::Failed(Failure::new(FailureKind::Timeout, "no answer"));
        assert_eq!(verdict(Trigger::Manual, 0, &outcome).settlement, Settlement::RetryAt(NOW + Duration::from_secs(5)));
        assert_eq!(verdict(Trigger::Test, 0, &outcome).settlement, Settlement::Exhausted(ExhaustedReason::ScheduleEnded));
    }
}
