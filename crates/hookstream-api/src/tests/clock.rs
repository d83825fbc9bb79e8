//! Clock of an installation in process. A day always begins at noon, so no test crosses midnight.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use hookstream_model::base::time::{Clock, Timestamp};
use tokio::time::Instant;

/// Noon at the start of a test, in milliseconds since 1970.
const NOON: i64 = 1_795_521_600_000;

/// Clock that goes on by itself, and that a test can move forward. Clones share the same time.
#[derive(Clone)]
pub(crate) struct TestClock {
    begun: Instant,
    advanced_ms: Arc<AtomicI64>,
}

impl Default for TestClock {
    fn default() -> Self {
        Self { begun: Instant::now(), advanced_ms: Arc::default() }
    }
}

impl TestClock {
    /// Moves the clock forward.
    pub(crate) fn advance(&self, by: Duration) {
        let ms = i64::try_from(by.as_millis()).expect("less than an age");
        self.advanced_ms.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(NOON + self.advanced_ms.load(Ordering::SeqCst)) + self.begun.elapsed()
    }
}
