//! Health of a route, from its metrics: 48 half hours and what is still pending.

use std::{collections::BTreeMap, time::Duration};

use super::{Resolution, Stats};
use crate::base::time::{Day, Timestamp};

/// Number of half hours shown.
pub const HALF_HOURS: u32 = 48;

/// Health of a route.
#[derive(Debug, Clone, PartialEq)]
pub struct Health {
    /// The last 48 half hours, oldest first; the last one is the current one.
    pub half_hours: Vec<(Timestamp, Stats)>,
    /// Sum of the half hours.
    pub total: Stats,
    /// Number of pending deliveries.
    pub pending: i64,
    /// Start of the step in which the oldest of them fell due: a half hour, or a day if it is older than the half hours.
    pub oldest: Option<Timestamp>,
}

/// Returns the start of the first half hour that is shown.
pub fn first_half_hour(now: Timestamp) -> Timestamp {
    Resolution::HalfHour.start(now) - Resolution::HalfHour.length() * (HALF_HOURS - 1)
}

impl Health {
    /// Reads the health from stored half hours and days. `pending_of_all` is the exact number of pending deliveries of the
    /// environment by day: a crash may leave numbers of a route that no longer add up, and a route has no more pending
    /// deliveries than all routes together.
    pub fn read(
        half_hours: &BTreeMap<Timestamp, Stats>,
        days: &BTreeMap<Timestamp, Stats>,
        pending_of_all: &BTreeMap<Day, i64>,
        now: Timestamp,
    ) -> Self {
        let first = first_half_hour(now);
        let most = |start: Timestamp| pending_of_all.get(&start.day()).copied().unwrap_or(0).max(0);
        let half_hours: Vec<_> = (0..HALF_HOURS)
            .map(|number| first + Resolution::HalfHour.length() * number)
            .map(|start| (start, half_hours.get(&start).copied().unwrap_or_default()))
            .collect();
        let mut total = Stats::default();
        half_hours.iter().for_each(|(_, stats)| total += *stats);
        let of_days = || days.iter().map(|(start, stats)| (*start, stats.pending().min(most(*start)))).filter(|(_, pending)| *pending > 0);
        let before = of_days().map(|(start, _)| start).find(|start| *start + Resolution::Day.length() <= first);
        let within = half_hours.iter().find(|(start, stats)| stats.pending().min(most(*start)) > 0).map(|(start, _)| *start);
        let pending = of_days().map(|(_, pending)| pending).sum();
        let oldest = before.or(within).or_else(|| of_days().next().map(|(start, _)| start)).filter(|_| pending > 0);
        Self { half_hours, total, pending, oldest }
    }
}

/// Returns the time until a queue is empty: `waiting` deliveries at `leaving` a second, while `arriving` a second are
/// added. `None` if it does not become empty at this pace, or the pace is not known.
pub fn drained_in(waiting: i64, leaving: Option<f64>, arriving: f64) -> Option<Duration> {
    if waiting <= 0 {
        return Some(Duration::ZERO);
    }
    let leaving = leaving.filter(|leaving| *leaving > 0.0)?;
    // A queue that grows as fast as it shrinks takes forever.
    (leaving > arriving).then(|| Duration::try_from_secs_f64(waiting as f64 / (leaving - arriving)).unwrap_or(Duration::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALF_HOUR: Duration = Resolution::HalfHour.length();

    fn now() -> Timestamp {
        "2027-01-31T12:40:00Z".parse().expect("a time")
    }

    fn due(accepted: i64, arrived: i64) -> Stats {
        Stats { accepted, arrived, ..Stats::default() }
    }

    fn read(half_hours: &[(u32, Stats)], days: &[(&str, Stats)], all: &[(&str, i64)]) -> Health {
        let current = Resolution::HalfHour.start(now());
        let half_hours = half_hours.iter().map(|(back, stats)| (current - HALF_HOUR * *back, *stats)).collect();
        let day = |text: &str| text.parse::<Day>().expect("a day");
        let days = days.iter().map(|(text, stats)| (day(text).start(), *stats)).collect();
        let all = all.iter().map(|(text, number)| (day(text), *number)).collect();
        Health::read(&half_hours, &days, &all, now())
    }

    #[test]
    fn half_hours_end_with_the_current_one() {
        let health = read(&[(0, due(1, 1)), (47, due(2, 2)), (48, due(100, 0))], &[], &[]);
        assert_eq!(health.half_hours.len(), 48);
        let (first, last) = (health.half_hours[0], health.half_hours[47]);
        assert_eq!((first.0.to_string(), last.0.to_string()), ("2027-01-30T13:00:00.000Z".into(), "2027-01-31T12:30:00.000Z".into()));
        assert_eq!((first.1.accepted, last.1.accepted, health.total.accepted), (2, 1, 3));
    }

    #[test]
    fn pending_is_dated_by_the_step_in_which_the_oldest_fell_due() {
        let check = |half_hours: &[(u32, Stats)], days: &[(&str, Stats)], all: &[(&str, i64)], pending, oldest: Option<&str>| {
            let health = read(half_hours, days, all);
            let expected = oldest.map(|text| text.parse().expect("a time"));
            assert_eq!((health.pending, health.oldest), (pending, expected), "{days:?}");
        };
        let today = [("2027-01-31", 9)];
        check(&[], &[], &[], 0, None);
        check(&[(3, due(5, 4)), (1, due(5, 4))], &[("2027-01-31", due(10, 8))], &today, 2, Some("2027-01-31T11:00:00Z"));
        let (old, all) = (("2027-01-20", due(7, 6)), [("2027-01-20", 1), ("2027-01-31", 9)]);
        check(&[(3, due(5, 4))], &[old, ("2027-01-31", due(5, 4))], &all, 2, Some("2027-01-20T00:00:00Z"));
        // Numbers that a crash left, of a day without pending deliveries.
        check(&[(3, due(5, 4))], &[old, ("2027-01-31", due(5, 4))], &today, 1, Some("2027-01-31T11:00:00Z"));
        check(&[(3, due(5, 4))], &[("2027-01-31", due(5, 4))], &[("2027-01-31", 0)], 0, None);
    }

    #[test]
    fn queue_drains_if_more_leaves_than_arrives() {
        let check = |waiting, leaving, arriving, seconds: Option<u64>| {
            assert_eq!(drained_in(waiting, leaving, arriving), seconds.map(Duration::from_secs), "{waiting} {leaving:?} {arriving}");
        };
        check(0, None, 5.0, Some(0));
        check(600, Some(10.0), 0.0, Some(60));
        check(600, Some(10.0), 9.0, Some(600));
        check(600, Some(10.0), 10.0, None);
        check(600, Some(0.0), 0.0, None);
        check(600, None, 0.0, None);
    }
}
