//! Steady clock: a time without jumps, for schedules on a machine whose clock may be changed.
//!
//! The steady clock follows the monotonic clock. A jump of the machine's clock is ignored for one minute, so a jump that
//! is corrected within that time has no effect. Nodes keep agreeing if only one of them had the jump. After a minute, a
//! forward jump is applied at once, as after sleep. A backward jump is approached at half speed: if the time went back at
//! once, due work would wait that long. Small differences, such as clock corrections, are followed the same way.

use crate::base::time::Timestamp;

/// Divisor: the clock may move towards the machine's clock by this part of the elapsed time.
const SHARE: i64 = 2;
/// Maximum elapsed time that counts for one move, so that a long pause between readings does not allow a jump.
const STEP_US: i64 = 1_000_000;
/// Difference above which the machine's clock has jumped.
const JUMP_US: i64 = 2_000_000;
/// Duration after which a jump is applied.
const APPLIED_AFTER_US: i64 = 60_000_000;

/// Readings of both clocks of the machine, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockReading {
    /// Wall clock: time since 1970-01-01T00:00:00Z, as far as the machine knows.
    pub wall_us: i64,
    /// Monotonic clock: time since an arbitrary moment; it never goes back and is never changed.
    pub monotonic_us: i64,
}

/// Time without jumps.
#[derive(Debug, Clone)]
pub struct SteadyClock {
    /// Difference to the monotonic clock.
    ahead_us: i64,
    last_us: i64,
    /// Current jump of the machine's clock.
    jump: Option<Jump>,
}

#[derive(Debug, Clone, Copy)]
struct Jump {
    /// Start of the jump, by the monotonic clock.
    since_us: i64,
    /// Difference of the machine's clock to the monotonic one at that time.
    wall_ahead_us: i64,
}

impl SteadyClock {
    /// Starts at the time of the machine's clock.
    pub const fn new(reading: ClockReading) -> Self {
        Self { ahead_us: reading.wall_us - reading.monotonic_us, last_us: reading.monotonic_us, jump: None }
    }

    /// Returns the steady time for a reading of the clocks.
    pub fn at(&mut self, reading: ClockReading) -> Timestamp {
        // Readings of several threads may arrive out of order.
        let monotonic_us = reading.monotonic_us.max(self.last_us);
        let passed_us = (monotonic_us - self.last_us).min(STEP_US);
        self.last_us = monotonic_us;
        let wall_ahead_us = reading.wall_us - reading.monotonic_us;
        let difference_us = wall_ahead_us - self.ahead_us;
        self.ahead_us += match self.current_jump(difference_us, wall_ahead_us) {
            None => difference_us.clamp(-passed_us / SHARE, passed_us / SHARE),
            Some(jump) if monotonic_us - jump.since_us < APPLIED_AFTER_US => 0,
            Some(_) => difference_us.max(-passed_us / SHARE),
        };
        Timestamp::from_millis((self.ahead_us + monotonic_us).div_euclid(1_000))
    }

    fn current_jump(&mut self, difference_us: i64, wall_ahead_us: i64) -> Option<Jump> {
        let is_same_jump = |jump: &Jump| (jump.wall_ahead_us - wall_ahead_us).abs() <= JUMP_US;
        let known = self.jump.filter(is_same_jump).unwrap_or(Jump { since_us: self.last_us, wall_ahead_us });
        self.jump = (difference_us.abs() > JUMP_US).then_some(known);
        self.jump
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: i64 = 1_000_000;
    const HOUR: i64 = 3_600 * SECOND;
    const START: i64 = 1_000 * HOUR;

    /// Takes ten readings a second for `seconds`, with the machine's clock off by `off_us`. Returns the steady
    /// clock's error, in milliseconds.
    fn run(steady: &mut SteadyClock, monotonic_us: &mut i64, seconds: i64, off_us: i64) -> i64 {
        let mut time = 0;
        for _ in 0..seconds * 10 {
            *monotonic_us += SECOND / 10;
            time = steady.at(ClockReading { wall_us: START + *monotonic_us + off_us, monotonic_us: *monotonic_us }).as_millis();
        }
        time - (START + *monotonic_us) / 1_000
    }

    fn started() -> (SteadyClock, i64) {
        (SteadyClock::new(ClockReading { wall_us: START, monotonic_us: 0 }), 0)
    }

    #[test]
    fn jump_corrected_within_a_minute_is_ignored() {
        for off in [HOUR, -HOUR] {
            let (mut steady, mut now) = started();
            for (seconds, off) in [(10, 0), (59, off), (1, 0), (59, -off), (59, off), (1, 0)] {
                assert_eq!(run(&mut steady, &mut now, seconds, off), 0);
            }
        }
    }

    #[test]
    fn forward_jump_applies_after_a_minute_and_backward_jump_is_approached() {
        let (mut steady, mut now) = started();
        assert_eq!(run(&mut steady, &mut now, 60, HOUR), 0);
        assert_eq!(run(&mut steady, &mut now, 1, HOUR), 3_600_000);
        assert_eq!(run(&mut steady, &mut now, 60, 0), 3_600_000);
        assert_eq!(run(&mut steady, &mut now, 60, 0), 3_570_000);
        assert_eq!(run(&mut steady, &mut now, 7_140, 0), 0);
    }

    #[test]
    fn gradual_correction_is_followed() {
        let (mut steady, mut now) = started();
        for second in 1..100 {
            assert_eq!(run(&mut steady, &mut now, 1, second * 1_000), second);
        }
    }

    #[test]
    fn long_pause_between_readings_does_not_allow_a_jump() {
        let (mut steady, _) = started();
        let mut time =
            |off| steady.at(ClockReading { wall_us: START + HOUR + off, monotonic_us: HOUR }).as_millis() - (START + HOUR) / 1_000;
        assert_eq!(time(SECOND), 500);
        assert_eq!(time(HOUR), 500);
    }

    proptest! {
        #[test]
        fn steady_clock_never_goes_back(readings in prop::collection::vec((-HOUR..HOUR, -SECOND..SECOND), 1..100)) {
            let (mut steady, mut now, mut last) = (started().0, 0, Timestamp::from_millis(START / 1_000));
            for (off, passed) in readings {
                now = (now + passed).max(0);
                let time = steady.at(ClockReading { wall_us: START + now + off, monotonic_us: now });
                prop_assert!(time >= last);
                last = time;
            }
        }
    }
}
