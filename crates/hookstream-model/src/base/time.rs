//! Points in time, to the millisecond, and the one door through which the present comes in.

use std::{
    fmt,
    ops::{Add, Sub},
    str::FromStr,
    time::Duration,
};

use crate::base::text::got;

/// A point in time: milliseconds since 1970-01-01T00:00:00Z.
///
/// Written as ISO 8601 in UTC with milliseconds and `Z`, as every time in the API is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// Where the present comes from. The program has one that reads the system's clock, tests have one
/// that is moved by hand.
pub trait Clock: Send + Sync + 'static {
    /// The present, by which things are stored and scheduled. It may differ from what the machine's clock shows, where
    /// that has jumped.
    fn now(&self) -> Timestamp;

    /// What the machine's clock shows, jumps and all: for what others compare with clocks of their own.
    fn wall(&self) -> Timestamp {
        self.now()
    }
}

/// Why a text is not a time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be an ISO 8601 date and time with an offset, such as 2027-01-31T12:00:00Z{0}")]
pub struct InvalidTime(String);

/// Milliseconds in a day of UTC.
const DAY_MS: i64 = 86_400_000;

/// The last moment that jiff knows, some hours before the end of the year 9999.
const LATEST_MS: i64 = 253_402_207_200_000;

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self::from_millis(0);

    /// The point `ms` milliseconds after 1970-01-01T00:00:00Z.
    pub const fn from_millis(ms: i64) -> Self {
        Self(ms)
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970-01-01T00:00:00Z, rounded down.
    pub const fn as_seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// How long after `earlier` this is; zero where it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0 - earlier.0).unwrap_or(0))
    }

    /// The day of UTC this falls on.
    pub fn day(self) -> Day {
        Day(self.0.div_euclid(DAY_MS))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = jiff::Timestamp::from_millisecond(self.0.clamp(0, LATEST_MS)).expect("clamped to years that jiff knows");
        write!(f, "{time:.3}")
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTime;

    fn from_str(text: &str) -> Result<Self, InvalidTime> {
        let read = |text: &str| text.parse::<jiff::Timestamp>().ok();
        // A plus that was not written as `%2B` in a query is a space by the time it is read (WHATWG URL, section 5.1).
        let with_plus =
            || text.rsplit_once(' ').filter(|(_, offset)| is_offset(offset)).and_then(|(time, offset)| read(&format!("{time}+{offset}")));
        let time = read(text).or_else(with_plus).ok_or_else(|| InvalidTime(got(text)))?;
        Ok(Self(time.as_millisecond()))
    }
}

/// Whether a text has the form `hh:mm`.
fn is_offset(text: &str) -> bool {
    matches!(text.as_bytes(), [a, b, b':', c, d] if [a, b, c, d].into_iter().all(u8::is_ascii_digit))
}

/// A day of UTC; what is kept by day carries one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(i64);

impl Day {
    /// The first moment of the day.
    pub const fn start(self) -> Timestamp {
        Timestamp(self.0 * DAY_MS)
    }

    /// The first moment after the day.
    pub const fn end(self) -> Timestamp {
        self.next().start()
    }

    /// The day after.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// So many days after 1970-01-01.
    pub const fn number(self) -> i64 {
        self.0
    }

    /// The day of a number.
    pub const fn of_number(number: i64) -> Self {
        Self(number)
    }

    /// So many days before.
    pub(crate) const fn back(self, days: i64) -> Self {
        Self(self.0 - days)
    }

    /// Its year, its month and its day of the month. Years are taken to begin with March, so that the day that some
    /// have and others have not is their last.
    pub(crate) const fn civil(self) -> (i64, i64, i64) {
        // The days of 400 years.
        const CYCLE: i64 = 146_097;
        // From 0000-03-01 to 1970-01-01.
        let since = self.0 + 719_468;
        let (cycle, of_cycle) = (since.div_euclid(CYCLE), since.rem_euclid(CYCLE));
        let of_cycles_years = (of_cycle - of_cycle / 1_460 + of_cycle / 36_524 - of_cycle / (CYCLE - 1)) / 365;
        let of_year = of_cycle - (365 * of_cycles_years + of_cycles_years / 4 - of_cycles_years / 100);
        // Five months from March on have 153 days, and so have the next five.
        let from_march = (5 * of_year + 2) / 153;
        let day = of_year - (153 * from_march + 2) / 5 + 1;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        let year = cycle * 400 + of_cycles_years + if month <= 2 { 1 } else { 0 };
        (year, month, day)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.start().to_string()[..10])
    }
}

impl FromStr for Day {
    type Err = InvalidTime;

    fn from_str(text: &str) -> Result<Self, InvalidTime> {
        format!("{text}T00:00:00Z").parse::<Timestamp>().map(Timestamp::day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_with_milliseconds_and_read_with_any_offset() {
        let time: Timestamp = "2026-11-24T10:30:00.05+02:00".parse().expect("a time");
        assert_eq!(time.to_string(), "2026-11-24T08:30:00.050Z");
        assert_eq!(Timestamp::from_millis(0).to_string(), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn a_plus_that_a_query_made_a_space_is_read_as_a_plus() {
        let time: Timestamp = "2026-11-28T15:00:00 02:00".parse().expect("a time");
        assert_eq!(time.to_string(), "2026-11-28T13:00:00.000Z");
        for text in ["2026-11-28 15:00", "2026-11-28T15:00:00 0200", "2026-11-28T15:00:00  02:00", "2026-11-28T15:00:00Z 02:00"] {
            assert_eq!(text.parse::<Timestamp>(), Err(InvalidTime(got(text))), "{text}");
        }
    }

    #[test]
    fn what_lies_beyond_the_years_that_are_written_is_written_as_the_last_of_them() {
        assert_eq!(Timestamp::from_millis(i64::MAX).to_string(), "9999-12-30T22:00:00.000Z");
        assert_eq!(Timestamp::from_millis(i64::MIN).to_string(), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn what_is_no_point_in_time_is_refused() {
        for text in ["string", "", "2026-11-24", "2026-11-24T10:30:00", "24.11.2026", "1764000000"] {
            assert_eq!(text.parse::<Timestamp>(), Err(InvalidTime(got(text))), "{text}");
        }
    }

    #[test]
    fn a_day_starts_and_ends_at_midnight_utc() {
        let time: Timestamp = "2026-11-24T23:59:59.999Z".parse().expect("a time");
        assert_eq!(time.day().to_string(), "2026-11-24");
        assert_eq!(time.day().end().to_string(), "2026-11-25T00:00:00.000Z");
        assert_eq!("2026-11-24".parse::<Day>(), Ok(time.day()));
    }

    #[test]
    fn every_day_of_centuries_has_the_date_that_it_is_written_with() {
        let mut day: Day = "1970-01-01".parse().expect("a day");
        let end: Day = "2401-03-02".parse().expect("a day");
        while day < end {
            let (year, month, of_month) = day.civil();
            assert_eq!(format!("{year:04}-{month:02}-{of_month:02}"), day.to_string());
            day = day.next();
        }
    }
}
