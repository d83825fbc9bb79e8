//! Retry schedule: the delay before a failed delivery is retried.

use std::time::Duration;

use crate::{InvalidField, base::time::Timestamp};

/// Maximum delay that a receiver's `Retry-After` may cause (CONTRACT: Messages).
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 3600);
/// Maximum number of entries in a `retry_schedule`.
pub const SCHEDULE_MAX: usize = 50;
/// Longest delay in a `retry_schedule`, in seconds: 7 days.
pub const DELAY_MAX_S: u32 = 7 * 24 * 3600;

/// Delays after the first attempt, the second, and so on. After the last one, a delivery is exhausted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetrySchedule {
    delays: Vec<u32>,
    is_endless: bool,
}

/// Delay of an endless schedule that has no entries, in seconds.
const ENDLESS_WAIT_S: u32 = 60;

impl Default for RetrySchedule {
    /// 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h: ten attempts over a little more than three days.
    fn default() -> Self {
        Self { delays: vec![5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400], is_endless: false }
    }
}

impl RetrySchedule {
    /// Builds a schedule from delays in seconds: at most 50, each at most 7 days. An empty schedule means a single
    /// attempt.
    ///
    /// # Errors
    /// Names the limit that is exceeded.
    pub fn from_seconds(seconds: Vec<u32>) -> Result<Self, InvalidField> {
        if seconds.len() > SCHEDULE_MAX {
            return Err(InvalidField::new("retry_schedule", format!("must have at most {SCHEDULE_MAX} entries")));
        }
        if seconds.iter().any(|delay| *delay > DELAY_MAX_S) {
            return Err(InvalidField::new("retry_schedule", format!("must have delays of at most {DELAY_MAX_S} seconds (7 days)")));
        }
        Ok(Self { delays: seconds, is_endless: false })
    }

    /// Delays in seconds.
    pub fn as_seconds(&self) -> &[u32] {
        &self.delays
    }

    /// Returns the same schedule with its last delay repeated without end; an empty one repeats 60 seconds.
    #[must_use]
    pub fn without_end(&self) -> Self {
        Self { is_endless: true, ..self.clone() }
    }

    /// Returns the delay after the `failed`-th failure in a row (counted from 1), or `None` if the schedule has
    /// ended.
    ///
    /// Jitter lengthens the scheduled delay by up to 10 %. `Retry-After` can only make the delay longer, up to 24 h.
    pub fn delay_after(&self, failed: u32, retry_after: Option<Duration>, jitter: Jitter) -> Option<Duration> {
        let step = usize::try_from(failed.saturating_sub(1)).unwrap_or(usize::MAX);
        let endless = self.is_endless.then(|| self.delays.last().copied().unwrap_or(ENDLESS_WAIT_S).max(1));
        let wait = self.delays.get(step).copied().or(endless)?;
        let scheduled = jitter.lengthen(Duration::from_secs(u64::from(wait)));
        let asked = retry_after.unwrap_or_default().min(RETRY_AFTER_MAX);
        Some(scheduled.max(asked))
    }
}

/// Random factor, drawn by the caller: the share of the full 10 % by which a delay is lengthened.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Jitter(f64);

impl Jitter {
    /// No lengthening.
    pub const NONE: Self = Self(0.0);

    /// Converts a random number; `0` lengthens by nothing, `u32::MAX` by 10 %.
    pub fn from_random(random: u32) -> Self {
        Self(f64::from(random) / f64::from(u32::MAX))
    }

    fn lengthen(self, wait: Duration) -> Duration {
        wait + wait.mul_f64(0.1 * self.0)
    }
}

/// Wait that a receiver asked for (HTTP: `Retry-After`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryAfter {
    /// Delay in seconds.
    Seconds(u64),
    /// Time of the earliest next attempt.
    At(Timestamp),
}

impl RetryAfter {
    /// Returns the delay from `now`; a date in the past means no delay.
    pub fn from(self, now: Timestamp) -> Duration {
        match self {
            Self::Seconds(seconds) => Duration::from_secs(seconds),
            Self::At(at) => at.since(now),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: u64 = 24 * 3600;

    #[test]
    fn default_schedule_has_ten_attempts_over_three_days() {
        let schedule = RetrySchedule::default();
        let delays: Vec<_> = (1..=10).map(|failed| schedule.delay_after(failed, None, Jitter::NONE).map(|wait| wait.as_secs())).collect();
        let expected: Vec<_> = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400].map(Some).into_iter().chain([None]).collect();
        assert_eq!(delays, expected);
    }

    #[test]
    fn endless_schedule_repeats_its_last_delay() {
        let wait = |delays: Vec<u32>, failed| {
            let schedule = RetrySchedule::from_seconds(delays).expect("a schedule").without_end();
            schedule.delay_after(failed, None, Jitter::NONE).map(|wait| wait.as_secs())
        };
        assert_eq!(
            (wait(vec![5, 9], 1), wait(vec![5, 9], 2), wait(vec![5, 9], 3), wait(vec![5, 9], u32::MAX)),
            (Some(5), Some(9), Some(9), Some(9))
        );
        assert_eq!((wait(vec![], 1), wait(vec![0], 2)), (Some(60), Some(1)));
    }

    #[test]
    fn retry_after_only_lengthens_the_delay_up_to_a_day() {
        let schedule = RetrySchedule::from_seconds(vec![60]).expect("a schedule");
        let check = |asked: u64, expected: u64| {
            let wait = schedule.delay_after(1, Some(Duration::from_secs(asked)), Jitter::NONE);
            assert_eq!(wait, Some(Duration::from_secs(expected)), "asked for {asked} s");
        };
        check(0, 60);
        check(59, 60);
        check(120, 120);
        check(DAY, DAY);
        check(365 * DAY, DAY);
        check(u64::MAX, DAY);
    }

    #[test]
    fn asked_time_in_the_past_means_no_delay() {
        let now = Timestamp::from_millis(1_780_000_000_000);
        assert_eq!(RetryAfter::Seconds(120).from(now), Duration::from_secs(120));
        assert_eq!(RetryAfter::At(now + Duration::from_secs(60)).from(now), Duration::from_secs(60));
        assert_eq!(RetryAfter::At(now - Duration::from_secs(60)).from(now), Duration::ZERO);
    }

    proptest! {
        #[test]
        fn jitter_lengthens_by_at_most_a_tenth(seconds in 0..DELAY_MAX_S, random: u32) {
            let schedule = RetrySchedule::from_seconds(vec![seconds]).expect("a schedule");
            let wait = schedule.delay_after(1, None, Jitter::from_random(random)).expect("one wait").as_secs_f64();
            prop_assert!(wait >= f64::from(seconds) && wait <= f64::from(seconds) * 1.1 + 0.001);
        }
    }
}
