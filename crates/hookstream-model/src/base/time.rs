//! Points in time, in milliseconds, and the clock interface.

use std::{
    fmt,
    ops::{Add, Sub},
    str::FromStr,
    time::Duration,
};

use crate::base::text::got;

/// Point in time: milliseconds since 1970-01-01T00:00:00Z.
///
/// Displayed as ISO 8601 in UTC with milliseconds and `Z`, like every time in the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// Source of the current time. The program reads the system clock; tests move a clock by hand.
pub trait Clock: Send + Sync + 'static {
    /// Current time for storing and scheduling. It may differ from the machine's clock after that clock has jumped.
    fn now(&self) -> Timestamp;

    /// Time of the machine's clock, including jumps: for values that others compare with their own clocks.
    fn wall(&self) -> Timestamp {
        self.now()
    }
}

/// Error: the text is not a time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be an ISO 8601 date and time with an offset, such as 2027-01-31T12:00:00Z{0}")]
pub struct InvalidTime(String);

/// Milliseconds in a UTC day.
const DAY_MS: i64 = 86_400_000;

/// Last time that jiff supports, some hours before the end of the year 9999.
const LATEST_MS: i64 = 253_402_207_200_000;

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self::from_millis(0);

    /// Builds the time `ms` milliseconds after 1970-01-01T00:00:00Z.
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

    /// Returns the duration since `earlier`, or zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0 - earlier.0).unwrap_or(0))
    }

    /// Returns the UTC day that contains this time.
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
        // A plus that was not sent as `%2B` in a query arrives as a space (WHATWG URL, section 5.1).
        let with_plus =
            || text.rsplit_once(' ').filter(|(_, offset)| is_offset(offset)).and_then(|(time, offset)| read(&format!("{time}+{offset}")));
        let time = read(text).or_else(with_plus).ok_or_else(|| InvalidTime(got(text)))?;
        Ok(Self(time.as_millisecond()))
    }
}

/// Returns true if a text has the form `hh:mm`.
fn is_offset(text: &str) -> bool {
    matches!(text.as_bytes(), [a, b, b':', c, d] if [a, b, c, d].into_iter().all(u8::is_ascii_digit))
}

/// Day in UTC; data that is stored by day carries one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(i64);

impl Day {
    /// First millisecond of the day.
    pub const fn start(self) -> Timestamp {
        Timestamp(self.0 * DAY_MS)
    }

    /// First millisecond after the day.
    pub const fn end(self) -> Timestamp {
        self.next().start()
    }

    /// Day after this one.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// Number of days since 1970-01-01.
    pub const fn number(self) -> i64 {
        self.0
    }

    /// Builds the day from its number.
    pub const fn of_number(number: i64) -> Self {
        Self(number)
    }

    /// Returns the day `days` days before.
    pub(crate) const fn back(self, days: i64) -> Self {
        Self(self.0 - days)
    }

    /// Returns the year, the month and the day of the month. The computation starts years in March, so that a leap
    /// day is the last day of its year.
    pub(crate) const fn civil(self) -> (i64, i64, i64) {
        // Number of days in 400 years.
        const CYCLE: i64 = 146_097;
        // Number of days from 0000-03-01 to 1970-01-01.
        let days = self.0 + 719_468;
        let (cycle, day_of_cycle) = (days.div_euclid(CYCLE), days.rem_euclid(CYCLE));
        let year_of_cycle = (day_of_cycle - day_of_cycle / 1_460 + day_of_cycle / 36_524 - day_of_cycle / (CYCLE - 1)) / 365;
        let day_of_year = day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
        // Five months from March on have 153 days, and so do the next five.
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = cycle * 400 + year_of_cycle + if month <= 2 { 1 } else { 0 };
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
    fn times_are_written_with_milliseconds_and_parsed_with_any_offset() {
        let time: Timestamp = "2026-11-24T10:30:00.05+02:00".parse().expect("a time");
        assert_eq!(time.to_string(), "2026-11-24T08:30:00.050Z");
        assert_eq!(Timestamp::from_millis(0).to_string(), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn space_in_place_of_a_plus_is_parsed_as_a_plus() {
        let time: Timestamp = "2026-11-28T15:00:00 02:00".parse().expect("a time");
        assert_eq!(time.to_string(), "2026-11-28T13:00:00.000Z");
        for text in ["2026-11-28 15:00", "2026-11-28T15:00:00 0200", "2026-11-28T15:00:00  02:00", "2026-11-28T15:00:00Z 02:00"] {
            assert_eq!(text.parse::<Timestamp>(), Err(InvalidTime(got(text))), "{text}");
        }
    }

    #[test]
    fn times_outside_the_supported_years_are_clamped() {
        assert_eq!(Timestamp::from_millis(i64::MAX).to_string(), "9999-12-30T22:00:00.000Z");
        assert_eq!(Timestamp::from_millis(i64::MIN).to_string(), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn invalid_time_is_rejected() {
        for text in ["string", "", "2026-11-24", "2026-11-24T10:30:00", "24.11.2026", "1764000000"] {
            assert_eq!(text.parse::<Timestamp>(), Err(InvalidTime(got(text))), "{text}");
        }
    }

    #[test]
    fn day_starts_and_ends_at_midnight_utc() {
        let time: Timestamp = "2026-11-24T23:59:59.999Z".parse().expect("a time");
        assert_eq!(time.day().to_string(), "2026-11-24");
        assert_eq!(time.day().end().to_string(), "2026-11-25T00:00:00.000Z");
        assert_eq!("2026-11-24".parse::<Day>(), Ok(time.day()));
    }

    #[test]
    fn civil_date_matches_the_displayed_date() {
        let mut day: Day = "1970-01-01".parse().expect("a day");
        let end: Day = "2401-03-02".parse().expect("a day");
        while day < end {
            let (year, month, of_month) = day.civil();
            assert_eq!(format!("{year:04}-{month:02}-{of_month:02}"), day.to_string());
            day = day.next();
        }
    }
}
