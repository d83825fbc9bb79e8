//! Clocks of the nodes, as the faults have shifted them.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hookstream_model::base::time::Timestamp;
use tokio::time::Instant;

/// How long after a jump a signature may still have the time from before it, and how far one may be off.
pub(crate) const LATE: Duration = Duration::from_secs(2);

pub(crate) const OFF_MS: i64 = 5_000;

/// How the nodes' clocks are turned, by which the receiver can tell whether the time of a signature is right.
#[derive(Debug)]
pub(crate) struct Clocks(Mutex<Vec<Turned>>);

#[derive(Debug, Clone, Copy)]
pub(crate) struct Turned {
    ms: i64,
    before: i64,
    since: Instant,
}

impl Clocks {
    /// All of them right.
    pub(crate) fn new(nodes: u32) -> Self {
        Self(Mutex::new((0..nodes).map(|_| Turned { ms: 0, before: 0, since: Instant::now() }).collect()))
    }

    /// Whether a node's clock has shown so many seconds of late, now being the true time.
    pub(crate) fn have_shown(&self, seconds: i64, now: Timestamp) -> bool {
        self.all().iter().any(|turned| {
            let of_late = turned.since.elapsed() < LATE;
            let fits = |ms: i64| (now.as_millis() + ms - seconds * 1_000).abs() <= OFF_MS;
            fits(turned.ms) || (of_late && fits(turned.before))
        })
    }

    pub(crate) fn turn(&self, node: u32, ms: i64) {
        if let Some(turned) = self.all().get_mut(node as usize) {
            *turned = Turned { ms, before: turned.ms, since: Instant::now() };
        }
    }

    fn all(&self) -> MutexGuard<'_, Vec<Turned>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_right_that_a_clock_shows_or_has_shown_a_moment_ago() {
        let (clocks, now) = (Clocks::new(1), Timestamp::from_millis(10_000_000));
        let check = |shown: &[i64], not: &[i64]| {
            shown.iter().for_each(|seconds| assert!(clocks.have_shown(*seconds, now), "{seconds}"));
            not.iter().for_each(|seconds| assert!(!clocks.have_shown(*seconds, now), "{seconds}"));
        };
        check(&[10_000, 9_996, 10_004], &[9_990, 10_010, 13_600]);
        clocks.turn(0, 3_600_000);
        check(&[10_000, 13_600], &[6_400]);
        clocks.all()[0].since = Instant::now().checked_sub(LATE).expect("the machine runs for longer");
        check(&[13_600], &[10_000]);
    }
}
