//! Recent response rate of a target.

use std::time::Duration;

use tokio::time::Instant;

/// Interval over which responses are counted.
const SPAN: Duration = Duration::from_secs(1);

/// Responses a second of a target.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    since: Option<Instant>,
    responded: u32,
    per_second: Option<f64>,
}

impl Pace {
    pub(crate) fn responded(&mut self, now: Instant) {
        let since = *self.since.get_or_insert(now);
        self.responded += 1;
        let elapsed = now - since;
        if elapsed >= SPAN {
            let latest = f64::from(self.responded) / elapsed.as_secs_f64();
            self.per_second = Some(self.per_second.map_or(latest, |before| f64::midpoint(before, latest)));
            (self.since, self.responded) = (Some(now), 0);
        }
    }

    /// Returns the rate; `None` until enough responses are counted.
    pub(crate) const fn per_second(&self) -> Option<f64> {
        self.per_second
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pace_covers_the_latest_seconds() {
        let (mut pace, begin) = (Pace::default(), Instant::now());
        let mut now = begin;
        pace.responded(now);
        assert_eq!(pace.per_second(), None);
        let mut run = |count: u32, every: u64| {
            for _ in 0..count {
                now += Duration::from_millis(every);
                pace.responded(now);
            }
            pace.per_second().expect("known")
        };
        assert!((run(1_000, 10) - 100.0).abs() < 2.0);
        assert!((run(100, 500) - 2.0).abs() < 0.2);
    }
}
