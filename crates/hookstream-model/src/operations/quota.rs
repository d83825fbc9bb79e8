//! Quotas: limits of what an organization may have. None apply unless the operator sets them: for all organizations
//! in the settings, for one organization by a command, which takes precedence.

use std::{fmt, str::FromStr};

use crate::{
    InvalidField,
    base::time::{Day, Timestamp},
};

/// Largest limit: every database and JSON parser can represent it.
const MOST: u64 = 1 << 50;
/// Longest retention, in days.
const DAYS_MOST: u64 = 3_650;

/// Limited quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quota {
    /// Messages accepted in a UTC month, tests included.
    EventsPerMonth,
    /// Applications in all environments.
    Applications,
    /// Endpoints of each application.
    EndpointsPerApplication,
    /// Event types in all environments.
    EventTypes,
    /// Environments.
    Environments,
    /// Retention of messages, in days.
    RetentionDays,
}

impl Quota {
    /// All quotas.
    pub const ALL: [Self; 6] = [
        Self::EventsPerMonth,
        Self::Applications,
        Self::EndpointsPerApplication,
        Self::EventTypes,
        Self::Environments,
        Self::RetentionDays,
    ];

    /// Word in the API and the audit log and, after `quota_`, in settings and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EventsPerMonth => "events_per_month",
            Self::Applications => "applications",
            Self::EndpointsPerApplication => "endpoints_per_application",
            Self::EventTypes => "event_types",
            Self::Environments => "environments",
            Self::RetentionDays => "retention_days",
        }
    }

    /// Parses the word.
    ///
    /// # Errors
    /// Lists the allowed words.
    pub fn parse(word: &str) -> Result<Self, InvalidField> {
        let words = Self::ALL.map(Self::as_str).join(", ");
        Self::ALL
            .into_iter()
            .find(|quota| quota.as_str() == word)
            .ok_or_else(|| InvalidField::new("quota", format!("must be one of {words}")))
    }

    /// Returns the smallest and largest allowed limit. An organization has at least one environment and one day of
    /// retention.
    pub const fn bounds(self) -> (u64, u64) {
        match self {
            Self::EventsPerMonth | Self::Applications | Self::EndpointsPerApplication | Self::EventTypes => (0, MOST),
            Self::Environments => (1, MOST),
            Self::RetentionDays => (1, DAYS_MOST),
        }
    }

    const fn index(self) -> usize {
        self as usize
    }
}

/// Limits of all quotas; `None` means no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quotas([Option<u64>; 6]);

impl Quotas {
    /// Returns the limit of a quota.
    pub const fn get(&self, quota: Quota) -> Option<u64> {
        self.0[quota.index()]
    }

    /// Returns the same limits with one replaced.
    #[must_use]
    pub const fn with(mut self, quota: Quota, most: Option<u64>) -> Self {
        self.0[quota.index()] = most;
        self
    }
}

/// Limit of a quota for one organization.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum QuotaLimit {
    /// No own limit: the installation's applies.
    #[default]
    Default,
    /// No limit.
    Unlimited,
    /// Own limit.
    Most(u64),
}

impl QuotaLimit {
    /// Returns the effective limit, given the installation's.
    pub const fn or(self, installation: Option<u64>) -> Option<u64> {
        match self {
            Self::Default => installation,
            Self::Unlimited => None,
            Self::Most(most) => Some(most),
        }
    }
}

impl fmt::Display for QuotaLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Unlimited => f.write_str("none"),
            Self::Most(most) => most.fmt(f),
        }
    }
}

impl FromStr for QuotaLimit {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "none" => Ok(Self::Unlimited),
            "default" => Ok(Self::Default),
            number => number
                .parse()
                .map(Self::Most)
                .map_err(|_| "must be a whole number, none (no limit) or default (the installation's setting)"),
        }
    }
}

/// Limits of all quotas for one organization.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QuotaLimits([QuotaLimit; 6]);

impl QuotaLimits {
    /// Returns the organization's limit of a quota.
    pub const fn get(&self, quota: Quota) -> QuotaLimit {
        self.0[quota.index()]
    }

    /// Sets the organization's limit of a quota.
    ///
    /// # Errors
    /// If the value is out of bounds.
    pub fn set(&mut self, quota: Quota, limit: QuotaLimit) -> Result<(), InvalidField> {
        let (least, most) = quota.bounds();
        if let QuotaLimit::Most(given) = limit
            && !(least..=most).contains(&given)
        {
            return Err(InvalidField::new(quota.as_str(), format!("must be from {least} to {most}, none or default")));
        }
        self.0[quota.index()] = limit;
        Ok(())
    }

    /// Returns the effective limits of the organization, given the installation's.
    #[must_use]
    pub fn or(&self, installation: &Quotas) -> Quotas {
        Quota::ALL.into_iter().fold(Quotas::default(), |all, quota| all.with(quota, self.get(quota).or(installation.get(quota))))
    }
}

/// Month in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Month {
    first: Day,
    number: u16,
}

impl Month {
    /// Returns the month that contains a time.
    pub fn of(at: Timestamp) -> Self {
        Self::with(at.day())
    }

    fn with(day: Day) -> Self {
        let (year, month, of_month) = day.civil();
        Self { first: day.back(of_month - 1), number: u16::try_from(year * 12 + month).unwrap_or(u16::MAX) }
    }

    /// First day of the month.
    pub const fn first(&self) -> Day {
        self.first
    }

    /// First day after the month.
    pub fn end(&self) -> Day {
        // No month is longer than 31 days, and 31 days never pass the following month.
        Self::with(self.first.back(-31)).first
    }

    /// Number of the month; consecutive months have consecutive numbers.
    pub const fn number(&self) -> u16 {
        self.number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn organization_limits_override_the_settings() {
        let settings = Quotas::default().with(Quota::Applications, Some(3)).with(Quota::EventTypes, Some(4));
        let mut own = QuotaLimits::default();
        assert_eq!(own.or(&settings), settings);
        own.set(Quota::Applications, QuotaLimit::Unlimited).expect("allowed");
        own.set(Quota::EventTypes, QuotaLimit::Most(9)).expect("allowed");
        own.set(Quota::Environments, QuotaLimit::Most(1)).expect("allowed");
        let expected = Quotas::default().with(Quota::EventTypes, Some(9)).with(Quota::Environments, Some(1));
        assert_eq!(own.or(&settings), expected);
    }

    #[test]
    fn quota_has_bounds_and_a_word() {
        let mut own = QuotaLimits::default();
        for (quota, given, allowed) in [
            (Quota::Applications, 0, true),
            (Quota::Environments, 0, false),
            (Quota::RetentionDays, 0, false),
            (Quota::RetentionDays, 3_651, false),
            (Quota::EventsPerMonth, MOST, true),
            (Quota::EventsPerMonth, MOST + 1, false),
        ] {
            assert_eq!(own.set(quota, QuotaLimit::Most(given)).is_ok(), allowed, "{quota:?} {given}");
        }
        for quota in Quota::ALL {
            assert_eq!(Quota::parse(quota.as_str()), Ok(quota));
        }
        assert!(Quota::parse("sources").expect_err("unknown quota").problem.contains("events_per_month, applications"));
        for limit in [QuotaLimit::Default, QuotaLimit::Unlimited, QuotaLimit::Most(7)] {
            assert_eq!(limit.to_string().parse(), Ok(limit));
        }
        assert!("-1".parse::<QuotaLimit>().is_err());
    }

    #[test]
    fn month_is_in_utc_and_ends_with_its_last_day() {
        let check = |at: &str, first: &str, next: &str| {
            let month = Month::of(at.parse().expect("a time"));
            assert_eq!((month.first().to_string(), month.end().to_string()), (first.to_owned(), next.to_owned()), "{at}");
            month.number()
        };
        let december = check("2026-12-31T23:59:59.999Z", "2026-12-01", "2027-01-01");
        let january = check("2027-01-01T00:00:00Z", "2027-01-01", "2027-02-01");
        assert_eq!(january, december + 1);
        check("2028-02-29T12:00:00Z", "2028-02-01", "2028-03-01");
    }
}
