//! Budget of log lines: at most so many of a kind in a second, and a count of those left out.

use std::{
    num::NonZeroU32,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Budget of the log lines of one kind. Without a limit, every line is written.
#[derive(Debug)]
pub struct LineBudget {
    most: Option<NonZeroU32>,
    second: Mutex<Second>,
}

/// Lines of the present second.
#[derive(Debug, Default)]
struct Second {
    began: Option<Instant>,
    written: u32,
    left_out: u64,
}

/// Decision about a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// The line is written. `left_out` lines of earlier seconds were not, which is 0 in most cases.
    Write {
        /// Number of lines left out since the last line that reported them.
        left_out: u64,
    },
    /// The line is left out.
    LeaveOut,
}

impl LineBudget {
    /// Builds a budget of `most` lines in a second.
    pub const fn new(most: Option<NonZeroU32>) -> Self {
        Self { most, second: Mutex::new(Second { began: None, written: 0, left_out: 0 }) }
    }

    /// Decides about a line at `now`.
    pub fn decide(&self, now: Instant) -> Line {
        let Some(most) = self.most else { return Line::Write { left_out: 0 } };
        let mut second = self.second.lock().unwrap_or_else(PoisonError::into_inner);
        if second.began.is_none_or(|began| now.saturating_duration_since(began) >= Duration::from_secs(1)) {
            let left_out = std::mem::take(&mut second.left_out);
            *second = Second { began: Some(now), written: 1, left_out: 0 };
            return Line::Write { left_out };
        }
        if second.written < most.get() {
            second.written += 1;
            return Line::Write { left_out: 0 };
        }
        second.left_out += 1;
        Line::LeaveOut
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budget_limits_the_lines_of_a_second_and_reports_those_left_out() {
        let budget = LineBudget::new(NonZeroU32::new(2));
        let start = Instant::now();
        let at = |ms| budget.decide(start + Duration::from_millis(ms));
        assert_eq!([at(0), at(1)], [Line::Write { left_out: 0 }; 2]);
        assert_eq!([at(2), at(999)], [Line::LeaveOut; 2]);
        assert_eq!(at(1_000), Line::Write { left_out: 2 });
        assert_eq!(at(5_000), Line::Write { left_out: 0 });
    }

    #[test]
    fn budget_without_a_limit_writes_every_line() {
        let budget = LineBudget::new(None);
        let now = Instant::now();
        assert!((0..1_000).all(|_| budget.decide(now) == Line::Write { left_out: 0 }));
    }
}
