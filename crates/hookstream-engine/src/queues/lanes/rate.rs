//! Rate limits that hold exactly in every window of one second.

use std::{collections::VecDeque, num::NonZeroU32, time::Duration};

use tokio::time::Instant;

/// A second plus a margin for requests that travel faster than earlier ones, because the receiver counts too.
pub(crate) const SECOND: Duration = Duration::from_millis(1_010);

/// Send times of the last second.
#[derive(Debug, Default)]
pub(crate) struct Window {
    went: VecDeque<Instant>,
    /// Earliest send; the sends of the second before it are unknown.
    not_before: Option<Instant>,
}

impl Window {
    /// Builds a window that begins at `since`; the sends of the second before are unknown.
    pub(crate) fn since(since: Option<Instant>) -> Self {
        Self { went: VecDeque::new(), not_before: since.map(|since| since + SECOND) }
    }

    /// Notes that all sends are known only from `since` on; another node may have sent before.
    pub(crate) fn known_since(&mut self, since: Option<Instant>) {
        self.not_before = self.not_before.max(since.map(|since| since + SECOND));
    }

    /// Returns when the next send is allowed at this rate; it may be past.
    pub(crate) fn next_at(&mut self, rate: NonZeroU32, now: Instant) -> Instant {
        self.forget(now);
        let rate = usize::try_from(rate.get()).unwrap_or(usize::MAX);
        let full_until = self.went.len().checked_sub(rate).map(|before| self.went[before] + SECOND);
        now.max(self.not_before.unwrap_or(now)).max(full_until.unwrap_or(now))
    }

    /// Notes a send at `now`, or at the time of the latest send if the clock was read before that one.
    pub(crate) fn go(&mut self, now: Instant) {
        self.forget(now);
        let latest = self.went.back().copied().unwrap_or(now);
        self.went.push_back(now.max(latest));
    }

    /// Returns until when the sends count.
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
        fn every_second_stays_within_the_rate(rate in 1_u32..20, steps in prop::collection::vec(0_u64..400, 1..200)) {
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
    fn window_allows_the_full_rate() {
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
    fn early_clock_reading_allows_no_more() {
        let rate = NonZeroU32::new(2).expect("not 0");
        let early = Instant::now();
        let late = early + Duration::from_millis(900);
        let mut window = Window::default();
        window.go(late);
        // A thread that read the clock earlier gets the lock only now.
        assert_eq!(window.next_at(rate, early), early);
        window.go(early);
        assert_eq!(window.next_at(rate, late), late + SECOND, "both went when the first did");
    }

    #[test]
    fn changed_rate_applies_at_once() {
        let [slow, fast] = [2, 5].map(|rate| NonZeroU32::new(rate).expect("not 0"));
        let now = Instant::now();
        let mut window = Window::default();
        (0..2).for_each(|_| window.go(now));
        assert_eq!((window.next_at(slow, now), window.next_at(fast, now)), (now + SECOND, now));
        (0..3).for_each(|_| window.go(now));
        assert_eq!(window.next_at(slow, now), now + SECOND);
    }
}
