//! Clocks of the nodes, as the faults have shifted them.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hookstream_model::base::time::Timestamp;
use tokio::time::Instant;

/// Time after a jump in which a signature may still have the earlier time.
const LATE: Duration = Duration::from_secs(2);

/// Allowed difference between a signature's time and the clock.
const OFF_MS: i64 = 5_000;

/// Shifts of the nodes' clocks, by which the receiver checks the time of a signature.
#[derive(Debug)]
pub(crate) struct Clocks(Mutex<Vec<Shift>>);

#[derive(Debug, Clone, Copy)]
struct Shift {
    ms: i64,
    before: i64,
    since: Instant,
}

impl Clocks {
    /// Builds unshifted clocks.
    pub(crate) fn new(nodes: u32) -> Self {
        Self(Mutex::new((0..nodes).map(|_| Shift { ms: 0, before: 0, since: Instant::now() }).collect()))
    }

    /// Returns whether a node's clock has recently shown this time in seconds; `now` is the true time.
    pub(crate) fn recently_showed(&self, seconds: i64, now: Timestamp) -> bool {
        self.all().iter().any(|shift| {
            let of_late = shift.since.elapsed() < LATE;
            let fits = |ms: i64| (now.as_millis() + ms - seconds * 1_000).abs() <= OFF_MS;
            fits(shift.ms) || (of_late && fits(shift.before))
        })
    }

    pub(crate) fn shift(&self, node: u32, ms: i64) {
        if let Some(shift) = self.all().get_mut(node as usize) {
            *shift = Shift { ms, before: shift.ms, since: Instant::now() };
        }
    }

    fn all(&self) -> MutexGuard<'_, Vec<Shift>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn current_and_recent_clock_times_are_accepted() {
        let (clocks, now) = (Clocks::new(1), Timestamp::from_millis(10_000_000));
        let check = |shown: &[i64], not: &[i64]| {
            shown.iter().for_each(|seconds| assert!(clocks.recently_showed(*seconds, now), "{seconds}"));
            not.iter().for_each(|seconds| assert!(!clocks.recently_showed(*seconds, now), "{seconds}"));
        };
        check(&[10_000, 9_996, 10_004], &[9_990, 10_010, 13_600]);
        clocks.shift(0, 3_600_000);
        check(&[10_000, 13_600], &[6_400]);
        clocks.all()[0].since = Instant::now().checked_sub(LATE).expect("the machine runs for longer");
        check(&[13_600], &[10_000]);
    }
}
