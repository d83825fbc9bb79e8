//! Rates: so many in any second, exactly, whatever second one looks at.

use std::{collections::VecDeque, num::NonZeroU32, time::Duration};

use tokio::time::Instant;

/// A second, and a little for what travels faster than what went before it: the receiver counts too.
pub(crate) const SECOND: Duration = Duration::from_millis(1_010);

/// When things went in the last second.
#[derive(Debug, Default)]
pub(crate) struct Window {
    went: VecDeque<Instant>,
    /// Nothing goes before: it is not known what went in the second before that.
    not_before: Option<Instant>,
}

impl Window {
    /// A window that begins at `since`, of which the second before is not known.
    pub(crate) fn since(since: Option<Instant>) -> Self {
        Self { went: VecDeque::new(), not_before: since.map(|since| since + SECOND) }
    }

    /// Only from then on it is known what goes: somebody else may have sent before.
    pub(crate) fn known_since(&mut self, since: Option<Instant>) {
        self.not_before = self.not_before.max(since.map(|since| since + SECOND));
    }

    /// When the next may go at this rate; it may be past.
    pub(crate) fn next_at(&mut self, rate: NonZeroU32, now: Instant) -> Instant {
        self.forget(now);
        let rate = usize::try_from(rate.get()).unwrap_or(usize::MAX);
        let full_until = self.went.len().checked_sub(rate).map(|before| self.went[before] + SECOND);
        now.max(self.not_before.unwrap_or(now)).max(full_until.unwrap_or(now))
    }

    /// Notes that one goes: now, or with the latest before it, should the clock have been read before that went.
    pub(crate) fn go(&mut self, now: Instant) {
        self.forget(now);
        let latest = self.went.back().copied().unwrap_or(now);
        self.went.push_back(now.max(latest));
    }

    /// Until when something of it counts.
    pub(crate) fn counts_until(&self) -> Option<Instant> {
        self.went.back().map(|last| *last + SECOND).max(self.not_before)
    }

    fn forget(&mut self, now: Instant) {
        while self.went.front().is_some_and(|first| *first + SECOND <= now) {
            self.went.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_second_has_more_than_its_rate(rate in 1_u32..20, steps in prop::collection::vec(0_u64..400, 1..200)) {
            let rate = NonZeroU32::new(rate).expect("at least 1");
            let begin = Instant::now();
            let mut window = Window::since(Some(begin));
            let (mut now, mut went) = (begin, Vec::new());
            for step in steps {
                now += Duration::from_millis(step);
                let at = window.next_at(rate, now);
                prop_assert!(at >= begin + SECOND, "the second before the beginning counts as full");
                if at <= now {
                    window.go(now);
                    went.push(now);
                }
            }
            for (index, first) in went.iter().enumerate() {
                let within = went[index..].iter().take_while(|at| **at < *first + Duration::from_secs(1)).count();
                prop_assert!(within <= usize::try_from(rate.get()).expect("small"));
            }
        }
    }

    #[test]
    fn a_window_lets_through_as_much_as_its_rate() {
        let rate = NonZeroU32::new(10).expect("not 0");
        let begin = Instant::now();
        let (mut window, mut now, mut went) = (Window::default(), begin, 0);
        while now < begin + Duration::from_secs(10) {
            now = window.next_at(rate, now);
            window.go(now);
            went += 1;
        }
        assert_eq!(went, 101, "ten at once and ten more with each second");
        assert_eq!(window.counts_until(), Some(now + SECOND));
    }

    #[test]
    fn a_clock_that_was_read_too_early_lets_no_more_through() {
        let rate = NonZeroU32::new(2).expect("not 0");
        let early = Instant::now();
        let late = early + Duration::from_millis(900);
        let mut window = Window::default();
        window.go(late);
        // The thread that read the clock before has its turn only now.
        assert_eq!(window.next_at(rate, early), early);
        window.go(early);
        assert_eq!(window.next_at(rate, late), late + SECOND, "both went when the first did");
    }

    #[test]
    fn a_rate_that_changes_counts_from_then_on() {
        let [slow, fast] = [2, 5].map(|rate| NonZeroU32::new(rate).expect("not 0"));
        let now = Instant::now();
        let mut window = Window::default();
        (0..2).for_each(|_| window.go(now));
        assert_eq!((window.next_at(slow, now), window.next_at(fast, now)), (now + SECOND, now));
        (0..3).for_each(|_| window.go(now));
        assert_eq!(window.next_at(slow, now), now + SECOND);
    }
}
