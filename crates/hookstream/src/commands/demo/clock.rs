//! Clock of a demonstration, which begins in the past and catches up.

use std::sync::atomic::{AtomicI64, Ordering};

use hookstream_cli::clock::ServerClock;
use hookstream_model::base::time::{Clock, Timestamp};

/// Clock that is behind the machine's by an offset.
#[derive(Debug)]
pub(super) struct DemoClock {
    clock: ServerClock,
    behind_ms: AtomicI64,
}

impl DemoClock {
    /// Begins this many milliseconds ago.
    pub(super) fn behind(behind_ms: i64) -> Self {
        Self { clock: ServerClock::start(), behind_ms: AtomicI64::new(behind_ms) }
    }

    /// Goes on to a time this many milliseconds ago; never back.
    pub(super) fn advance_to(&self, behind_ms: i64) {
        self.behind_ms.fetch_min(behind_ms, Ordering::SeqCst);
    }
}

impl Clock for DemoClock {
    fn now(&self) -> Timestamp {
        let behind = self.behind_ms.load(Ordering::SeqCst);
        Timestamp::from_millis(self.clock.now().as_millis() - behind)
    }
}
