//! Schedule of backups: once a day at a time of day (UTC).

use std::time::Duration;

use crate::base::time::Timestamp;

/// Pause after a failed backup.
const RETRY_AFTER: Duration = Duration::from_secs(15 * 60);
const DAY_MS: i64 = 24 * 3600 * 1000;

/// Time of day in minutes after midnight (UTC).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeOfDay(u16);

impl TimeOfDay {
    /// Creates a time of day; `None` if there is no such time.
    pub fn new(hour: u16, minute: u16) -> Option<Self> {
        (hour < 24 && minute < 60).then_some(Self(hour * 60 + minute))
    }

    /// Hour and minute.
    pub const fn parts(self) -> (u16, u16) {
        (self.0 / 60, self.0 % 60)
    }

    /// Returns the last such time that is not after `now`.
    fn last(self, now: Timestamp) -> Timestamp {
        let today = now.day().start().as_millis() + i64::from(self.0) * 60_000;
        Timestamp::from_millis(if today <= now.as_millis() { today } else { today - DAY_MS })
    }
}

/// Returns the time of the next backup, which may be past: if there is none yet, or one was missed while no server ran.
pub fn next_due(now: Timestamp, at: TimeOfDay, last_success: Option<Timestamp>, last_failure: Option<Timestamp>) -> Timestamp {
    let last_due = at.last(now);
    let due = match last_success {
        Some(success) if success >= last_due => Timestamp::from_millis(last_due.as_millis() + DAY_MS),
        Some(_) | None => last_due,
    };
    let since_success = last_failure.filter(|failure| last_success.is_none_or(|success| success < *failure));
    since_success.map_or(due, |failure| due.max(failure + RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backup_is_due_once_a_day_and_a_missed_one_at_once() {
        let time = |text: &str| text.parse::<Timestamp>().expect("a time");
        let at = TimeOfDay::new(2, 30).expect("a time of day");
        let check = |now: &str, success: Option<&str>, failure: Option<&str>, due: &str| {
            assert_eq!(next_due(time(now), at, success.map(time), failure.map(time)), time(due), "{now} {success:?} {failure:?}");
        };
        check("2026-03-02T12:00:00Z", None, None, "2026-03-02T02:30:00Z");
        check("2026-03-02T12:00:00Z", Some("2026-03-02T02:30:01Z"), None, "2026-03-03T02:30:00Z");
        check("2026-03-02T02:29:59Z", Some("2026-03-01T02:30:01Z"), None, "2026-03-02T02:30:00Z");
        check("2026-03-02T12:00:00Z", Some("2026-02-20T02:30:01Z"), None, "2026-03-02T02:30:00Z");
        // A failure is repeated after a while, and a later success ends that.
        check("2026-03-02T02:31:00Z", Some("2026-03-01T02:30:01Z"), Some("2026-03-02T02:30:30Z"), "2026-03-02T02:45:30Z");
        check("2026-03-02T03:00:00Z", Some("2026-03-02T02:46:00Z"), Some("2026-03-02T02:30:30Z"), "2026-03-03T02:30:00Z");
        assert_eq!((TimeOfDay::new(24, 0), TimeOfDay::new(0, 60)), (None, None));
        assert_eq!(at.parts(), (2, 30));
    }
}
