//! The machine's clocks; only this file reads them.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use hookstream_model::base::{
    steady_clock::{ClockReading, SteadyClock},
    time::{Clock, Timestamp},
};

/// Time of the machine, for short-lived commands.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(wall_us() / 1_000)
    }
}

/// Time of a server, which does not jump with the machine's clock.
#[derive(Debug)]
pub struct ServerClock {
    began: Instant,
    steady: Mutex<SteadyClock>,
}

impl ServerClock {
    /// Starts at the time of the machine's clock.
    pub fn start() -> Self {
        let steady = SteadyClock::new(ClockReading { wall_us: wall_us(), monotonic_us: 0 });
        Self { began: Instant::now(), steady: Mutex::new(steady) }
    }
}

impl Clock for ServerClock {
    fn now(&self) -> Timestamp {
        let mut steady = self.steady.lock().unwrap_or_else(PoisonError::into_inner);
        let monotonic_us = i64::try_from(self.began.elapsed().as_micros()).unwrap_or(i64::MAX);
        steady.at(ClockReading { wall_us: wall_us(), monotonic_us })
    }

    fn wall(&self) -> Timestamp {
        SystemClock.now()
    }
}

/// Returns microseconds since 1970.
fn wall_us() -> i64 {
    i64::try_from(since_1970().as_micros()).unwrap_or(i64::MAX)
}

/// Returns the time of the machine since 1970, as precise as it is, for telemetry.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the system's")]
pub fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
