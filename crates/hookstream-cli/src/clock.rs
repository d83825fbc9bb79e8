//! The machine's clocks: the only place that reads them.

use std::{
    sync::{Mutex, PoisonError},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use hookstream_model::base::{
    steady_clock::{Look, Steady},
    time::{Clock, Timestamp},
};

/// The time of the machine: for commands, which do their work and end.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(wall_us() / 1_000)
    }
}

/// The time of a server: one that does not jump where the machine's does.
#[derive(Debug)]
pub struct SteadyClock {
    began: Instant,
    steady: Mutex<Steady>,
}

impl SteadyClock {
    /// Begins with what the machine's clock shows.
    pub fn start() -> Self {
        let steady = Steady::new(Look { wall_us: wall_us(), monotonic_us: 0 });
        Self { began: Instant::now(), steady: Mutex::new(steady) }
    }
}

impl Clock for SteadyClock {
    fn now(&self) -> Timestamp {
        let mut steady = self.steady.lock().unwrap_or_else(PoisonError::into_inner);
        let monotonic_us = i64::try_from(self.began.elapsed().as_micros()).unwrap_or(i64::MAX);
        steady.at(Look { wall_us: wall_us(), monotonic_us })
    }

    fn wall(&self) -> Timestamp {
        SystemClock.now()
    }
}

/// Microseconds since 1970.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the system's")]
fn wall_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
