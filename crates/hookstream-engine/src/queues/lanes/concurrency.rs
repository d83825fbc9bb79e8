//! Concurrency limit of a target: rises while the target responds well and falls while it is in trouble.
//!
//! Each success adds a little; each sign of trouble halves the limit, at most once for attempts begun before the sign
//! (additive increase, multiplicative decrease). After a hold the limit begins at one and doubles, so that a recovering
//! receiver is not overloaded.

use std::time::Duration;

use hookstream_model::delivery::outcome::Outcome;
use tokio::time::Instant;

/// Ratio to the fastest response time from which a response counts as a sign of trouble, if it also exceeds `FAST`.
const SLOWDOWN: f64 = 8.0;

/// Response time that never counts as slow, in seconds.
const FAST: f64 = 0.25;

/// Lowest limit that slow responses alone can cause.
const MIN_WHEN_SLOW: f64 = 4.0;

/// Load signal of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bearing {
    /// The target responded in this time, with any status.
    Answered(Duration),
    /// The target did not respond, or reported overload.
    Overloaded,
}

impl Bearing {
    /// Returns the signal of an outcome that took this long.
    pub(crate) fn of(outcome: &Outcome, took: Duration) -> Self {
        if outcome.is_overload() { Self::Overloaded } else { Self::Answered(took) }
    }
}

/// Concurrency limit of a target.
#[derive(Debug)]
pub(crate) struct Concurrency {
    most: f64,
    allowed: f64,
    /// Limit below which each response adds one, so that attempts double with each round.
    doubles_below: f64,
    /// Time of the last cut; attempts begun before it carry no new signal.
    cut_at: Option<Instant>,
    /// Approximate fastest response, in seconds; rises slowly, so that a target may become slower.
    fastest: f64,
    /// Approximate latest responses, in seconds.
    latest: f64,
}

impl Concurrency {
    /// Builds a limit that starts at its maximum.
    pub(crate) fn full(most: usize) -> Self {
        let most = most as f64;
        Self { most, allowed: most, doubles_below: 0.0, cut_at: None, fastest: 0.0, latest: 0.0 }
    }

    /// Restarts the limit at one, as after a hold.
    pub(crate) fn begin_slowly(&mut self) {
        (self.allowed, self.doubles_below) = (1.0, self.most / 2.0);
    }

    /// Returns the maximum number of concurrent attempts.
    pub(crate) fn allowed(&self) -> usize {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and the most there may be")]
        let allowed = self.allowed.max(1.0) as usize;
        allowed
    }

    /// Takes the signal of an attempt that began at `begun`.
    pub(crate) fn note(&mut self, bearing: Bearing, begun: Instant, now: Instant) {
        let is_new = self.cut_at.is_none_or(|cut_at| begun >= cut_at);
        match bearing {
            Bearing::Overloaded if is_new => {
                self.allowed = (self.allowed / 2.0).max(1.0);
                self.doubles_below = self.allowed;
                self.cut_at = Some(now);
            }
            Bearing::Overloaded => {}
            Bearing::Answered(took) => {
                self.time(took.as_secs_f64());
                let has_risen = self.latest > FAST && self.latest > self.fastest * SLOWDOWN;
                if has_risen && is_new && self.allowed > MIN_WHEN_SLOW {
                    self.allowed = (self.allowed * 0.8).max(MIN_WHEN_SLOW);
                    self.doubles_below = 0.0;
                    self.cut_at = Some(now);
                } else if !has_risen {
                    let more = if self.allowed < self.doubles_below { 1.0 } else { 1.0 / self.allowed };
                    self.allowed = (self.allowed + more).min(self.most);
                }
            }
        }
    }

    fn time(&mut self, took: f64) {
        if self.fastest == 0.0 {
            (self.fastest, self.latest) = (took, took);
        }
        self.latest += (took - self.latest) / 8.0;
        self.fastest = took.min(self.fastest * 1.001 + 0.000_001);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAST_ANSWER: Bearing = Bearing::Answered(Duration::from_millis(10));

    #[test]
    fn trouble_halves_once_a_round_and_responses_add_a_little() {
        let (mut target, begin) = (Concurrency::full(64), Instant::now());
        let later = begin + Duration::from_secs(1);
        for _ in 0..64 {
            target.note(Bearing::Overloaded, begin, later);
        }
        assert_eq!(target.allowed(), 32, "what was begun together is one sign");
        target.note(Bearing::Overloaded, later, later);
        assert_eq!(target.allowed(), 16);
        for _ in 0..17 {
            target.note(FAST_ANSWER, later, later);
        }
        assert_eq!(target.allowed(), 17);
        for _ in 0..10_000 {
            target.note(FAST_ANSWER, later, later);
        }
        assert_eq!(target.allowed(), 64);
        for round in 0..20 {
            target.note(Bearing::Overloaded, later + Duration::from_secs(round), later + Duration::from_secs(round));
        }
        assert_eq!(target.allowed(), 1);
    }

    #[test]
    fn limit_doubles_each_round_after_a_hold() {
        let (mut target, now) = (Concurrency::full(64), Instant::now());
        target.begin_slowly();
        let mut rounds = Vec::new();
        for _ in 0..6 {
            rounds.push(target.allowed());
            for _ in 0..target.allowed() {
                target.note(FAST_ANSWER, now, now);
            }
        }
        assert_eq!(rounds, [1, 2, 4, 8, 16, 32]);
    }

    #[test]
    fn slower_responses_lower_the_limit() {
        let (mut target, now) = (Concurrency::full(64), Instant::now());
        for _ in 0..100 {
            target.note(FAST_ANSWER, now, now);
        }
        assert_eq!(target.allowed(), 64);
        for round in 0..200 {
            let at = now + Duration::from_secs(round);
            target.note(Bearing::Answered(Duration::from_secs(2)), at, at);
        }
        assert!(target.allowed() < 16, "{}", target.allowed());
        let (mut slow, now) = (Concurrency::full(64), Instant::now());
        for _ in 0..200 {
            slow.note(Bearing::Answered(Duration::from_secs(2)), now, now);
        }
        assert_eq!(slow.allowed(), 64, "one that always was slow is not in trouble");
    }
}
