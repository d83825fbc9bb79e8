//! Settlement of a delivery: the decision after each attempt.

use std::time::Duration;

use crate::{
    base::time::Timestamp,
    delivery::{
        outcome::Outcome,
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
    let settlement = match outcome {
        Outcome::Accepted { .. } => Settlement::Succeeded,
        Outcome::TargetGone(_, DisabledReason::Gone) => Settlement::Exhausted(ExhaustedReason::Gone),
        Outcome::TargetGone(..) | Outcome::Permanent(_) => Settlement::Exhausted(ExhaustedReason::ReceiverAsked),
        Outcome::Retryable(failure) => {
            let asked = failure.wait.map(|wait| wait.from(now));
            let delay = match trigger {
                Trigger::Test => None,
                Trigger::Initial | Trigger::Automatic | Trigger::Manual | Trigger::Recover | Trigger::Replay => {
                    schedule.delay_after(failed_before + 1, asked, jitter)
                }
            };
            delay.map_or(Settlement::Exhausted(ExhaustedReason::ScheduleEnded), |delay| Settlement::RetryAt(now + delay))
        }
    };
    Verdict { settlement, disable: outcome.disables() }
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

    fn failure() -> Failure {
        Failure::new(FailureKind::HttpStatus, "no")
    }

    fn verdict(trigger: Trigger, failed_before: u32, outcome: &Outcome) -> Verdict {
        settle(trigger, failed_before, outcome, &RetrySchedule::default(), NOW, Jitter::NONE)
    }

    #[test]
    fn delivery_settles_by_its_outcome() {
        let check = |failed_before, outcome: Outcome, settlement, disable| {
            let found = verdict(Trigger::Initial, failed_before, &outcome);
            assert_eq!(found, Verdict { settlement, disable }, "{outcome:?}");
        };
        let retry_in = |seconds| Settlement::RetryAt(NOW + Duration::from_secs(seconds));
        let accepted = |asks_to_stop| Outcome::Accepted { response: Some(ReceiverResponse::default()), asks_to_stop };
        check(0, accepted(false), Settlement::Succeeded, None);
        check(0, accepted(true), Settlement::Succeeded, Some(DisabledReason::AskedToStop));
        check(0, Outcome::Retryable(failure()), retry_in(5), None);
        check(1, Outcome::Retryable(failure()), retry_in(300), None);
        check(9, Outcome::Retryable(failure()), Settlement::Exhausted(ExhaustedReason::ScheduleEnded), None);
        check(0, Outcome::Permanent(failure()), Settlement::Exhausted(ExhaustedReason::ReceiverAsked), None);
        let gone = |reason| Outcome::TargetGone(failure(), reason);
        check(0, gone(DisabledReason::Gone), Settlement::Exhausted(ExhaustedReason::Gone), Some(DisabledReason::Gone));
        let asked = DisabledReason::AskedToStop;
        check(0, gone(asked), Settlement::Exhausted(ExhaustedReason::ReceiverAsked), Some(asked));
    }

    #[test]
    fn asked_wait_only_delays_a_retry_up_to_a_day() {
        let check = |seconds, expected: u64| {
            let outcome = Outcome::Retryable(failure().overloaded(Some(RetryAfter::Seconds(seconds))));
            let expected = Settlement::RetryAt(NOW + Duration::from_secs(expected));
            assert_eq!(verdict(Trigger::Initial, 0, &outcome).settlement, expected, "{seconds}");
        };
        check(90, 90);
        check(1, 5);
        check(365 * 24 * 3600, 24 * 3600);
    }

    #[test]
    fn missing_response_is_retried_except_for_a_test() {
        let outcome = Outcome::Retryable(Failure::new(FailureKind::Timeout, "no response"));
        assert_eq!(verdict(Trigger::Manual, 0, &outcome).settlement, Settlement::RetryAt(NOW + Duration::from_secs(5)));
        assert_eq!(verdict(Trigger::Test, 0, &outcome).settlement, Settlement::Exhausted(ExhaustedReason::ScheduleEnded));
    }
}
