//! A time that does not jump: what schedules go by, where the machine's clock may be turned.
//!
//! It goes with the monotonic clock. A jump of the machine's clock counts for nothing until it has stood for a minute: one
//! that is put right before changes nothing, and nodes of which one had it go on agreeing. Then a jump forward is believed,
//! as where the machine was asleep. A jump back is approached at half the speed: went the time back at once, what is due
//! would wait for as long. Small differences, as where a clock is kept right, are followed the same way.

use crate::base::time::Timestamp;

/// How much of the time that went by it may move towards the machine's clock.
const SHARE: i64 = 2;
/// It moves for no more than this at once, so that a long time without a look is no licence to jump.
const STEP_US: i64 = 1_000_000;
/// A clock that is off by more than this has jumped.
const JUMP_US: i64 = 2_000_000;
/// A jump that has stood for so long counts.
const COUNTS_AFTER_US: i64 = 60_000_000;

/// What both clocks of the machine show, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Since 1970-01-01T00:00:00Z, as far as the machine knows.
    pub wall_us: i64,
    /// Since any moment; it never goes back and is never turned.
    pub monotonic_us: i64,
}

/// A time that does not jump.
#[derive(Debug, Clone)]
pub struct Steady {
    /// How far it is ahead of the monotonic clock.
    ahead_us: i64,
    last_us: i64,
    /// The jump that stands, where one does.
    jump: Option<Jump>,
}

#[derive(Debug, Clone, Copy)]
struct Jump {
    /// By the monotonic clock.
    since_us: i64,
    /// How far the machine's clock was ahead of the monotonic one then.
    wall_ahead_us: i64,
}

impl Steady {
    /// Begins with what the machine's clock shows.
    pub const fn new(look: Look) -> Self {
        Self { ahead_us: look.wall_us - look.monotonic_us, last_us: look.monotonic_us, jump: None }
    }

    /// The time, after a look at the clocks.
    pub fn at(&mut self, look: Look) -> Timestamp {
        // Looks of several threads may come in another order than they were taken.
        let monotonic_us = look.monotonic_us.max(self.last_us);
        let passed_us = (monotonic_us - self.last_us).min(STEP_US);
        self.last_us = monotonic_us;
        let wall_ahead_us = look.wall_us - look.monotonic_us;
        let difference_us = wall_ahead_us - self.ahead_us;
        self.ahead_us += match self.jump_that_stands(difference_us, wall_ahead_us) {
            None => difference_us.clamp(-passed_us / SHARE, passed_us / SHARE),
            Some(jump) if monotonic_us - jump.since_us < COUNTS_AFTER_US => 0,
            Some(_) => difference_us.max(-passed_us / SHARE),
        };
        Timestamp::from_millis((self.ahead_us + monotonic_us).div_euclid(1_000))
    }

    fn jump_that_stands(&mut self, difference_us: i64, wall_ahead_us: i64) -> Option<Jump> {
        let is_the_same = |jump: &Jump| (jump.wall_ahead_us - wall_ahead_us).abs() <= JUMP_US;
        let known = self.jump.filter(is_the_same).unwrap_or(Jump { since_us: self.last_us, wall_ahead_us });
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

    /// Looks ten times a second for so many seconds, with the machine's clock so far off; returns how far the steady one
    /// is off then, in milliseconds.
    fn run(steady: &mut Steady, monotonic_us: &mut i64, seconds: i64, off_us: i64) -> i64 {
        let mut shown = 0;
        for _ in 0..seconds * 10 {
            *monotonic_us += SECOND / 10;
            shown = steady.at(Look { wall_us: START + *monotonic_us + off_us, monotonic_us: *monotonic_us }).as_millis();
        }
        shown - (START + *monotonic_us) / 1_000
    }

    fn begun() -> (Steady, i64) {
        (Steady::new(Look { wall_us: START, monotonic_us: 0 }), 0)
    }

    #[test]
    fn a_jump_that_is_put_right_within_a_minute_changes_nothing() {
        for off in [HOUR, -HOUR] {
            let (mut steady, mut now) = begun();
            for (seconds, off) in [(10, 0), (59, off), (1, 0), (59, -off), (59, off), (1, 0)] {
                assert_eq!(run(&mut steady, &mut now, seconds, off), 0);
            }
        }
    }

    #[test]
    fn a_jump_forward_is_believed_after_a_minute_and_one_back_is_approached_from_then_on() {
        let (mut steady, mut now) = begun();
        assert_eq!(run(&mut steady, &mut now, 60, HOUR), 0);
        assert_eq!(run(&mut steady, &mut now, 1, HOUR), 3_600_000);
        assert_eq!(run(&mut steady, &mut now, 60, 0), 3_600_000);
        assert_eq!(run(&mut steady, &mut now, 60, 0), 3_570_000);
        assert_eq!(run(&mut steady, &mut now, 7_140, 0), 0);
    }

    #[test]
    fn a_clock_that_is_put_right_bit_by_bit_is_followed() {
        let (mut steady, mut now) = begun();
        for second in 1..100 {
            assert_eq!(run(&mut steady, &mut now, 1, second * 1_000), second);
        }
    }

    #[test]
    fn a_long_time_without_a_look_is_no_reason_to_jump() {
        let (mut steady, _) = begun();
        let mut shown = |off| steady.at(Look { wall_us: START + HOUR + off, monotonic_us: HOUR }).as_millis() - (START + HOUR) / 1_000;
        assert_eq!(shown(SECOND), 500);
        assert_eq!(shown(HOUR), 500);
    }

    proptest! {
        #[test]
        fn it_never_goes_back(looks in prop::collection::vec((-HOUR..HOUR, -SECOND..SECOND), 1..100)) {
            let (mut steady, mut now, mut last) = (begun().0, 0, Timestamp::from_millis(START / 1_000));
            for (off, passed) in looks {
                now = (now + passed).max(0);
                let shown = steady.at(Look { wall_us: START + now + off, monotonic_us: now });
                prop_assert!(shown >= last);
                last = shown;
            }
        }
    }
}
