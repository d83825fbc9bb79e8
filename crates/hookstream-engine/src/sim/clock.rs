//! Clock that follows the runtime's paused time and can also be set.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use hookstream_model::base::time::{Clock, Timestamp};
use tokio::time::Instant;

/// Wall clock of a simulation. Clones are the same clock.
#[derive(Debug, Clone)]
pub(super) struct SimClock {
    begun: Instant,
    start: Timestamp,
    /// Difference to the unset clock, in milliseconds.
    set_by: Arc<AtomicI64>,
    furthest: Arc<AtomicI64>,
}

impl SimClock {
    pub(super) fn new(start: Timestamp) -> Self {
        Self { begun: Instant::now(), start, set_by: Arc::default(), furthest: Arc::default() }
    }

    /// Sets the clock forward or back. Returns whether it is behind its furthest time.
    pub(super) fn jump(&self, ms: i64) -> bool {
        let now = self.set_by.fetch_add(ms, Ordering::SeqCst) + ms;
        now < self.furthest.fetch_max(now, Ordering::SeqCst)
    }

    /// Undoes all steps back.
    pub(super) fn repair(&self) {
        self.set_by.store(self.furthest.load(Ordering::SeqCst), Ordering::SeqCst);
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        let elapsed = i64::try_from(self.begun.elapsed().as_millis()).unwrap_or(i64::MAX);
        let now = self.start + Duration::from_millis(elapsed.unsigned_abs());
        Timestamp::from_millis(now.as_millis() + self.set_by.load(Ordering::SeqCst))
    }
}
