//! Quotas: how much an organization may have. There are none unless whoever runs the installation sets them: for all
//! organizations by settings, for one by a command, which counts in place of that.

use std::{fmt, str::FromStr};

use crate::{
    InvalidField,
    base::time::{Day, Timestamp},
};

/// The largest limit: every database and every JSON reader can hold it.
const MOST: u64 = 1 << 50;
/// The longest retention, in days.
const DAYS_MOST: u64 = 3_650;

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quota {
    /// Messages that are accepted in a month of UTC, tests included.
    EventsPerMonth,
    /// Applications, over all environments.
    Applications,
    /// Endpoints of each application.
    EndpointsPerApplication,
    /// Event types, over all environments.
    EventTypes,
    /// Environments.
    Environments,
    /// For how many days an environment may keep messages.
    RetentionDays,
}

impl Quota {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::EventsPerMonth,
        Self::Applications,
        Self::EndpointsPerApplication,
        Self::EventTypes,
        Self::Environments,
        Self::RetentionDays,
    ];

    /// Its word in the API, the audit log and, behind `quota_`, in settings and in the store.
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

    /// Reads its word.
    ///
    /// # Errors
    /// Names those there are.
    pub fn parse(word: &str) -> Result<Self, InvalidField> {
        let words = Self::ALL.map(Self::as_str).join(", ");
        Self::ALL
            .into_iter()
            .find(|quota| quota.as_str() == word)
            .ok_or_else(|| InvalidField::new("quota", format!("must be one of {words}")))
    }

    /// The least and the most that it may be set to. An organization has an environment, and keeps messages for a day.
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

/// The quotas that go where an organization has none of its own; `None` is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quotas([Option<u64>; 6]);

impl Quotas {
    /// What a quota allows.
    pub const fn get(&self, quota: Quota) -> Option<u64> {
        self.0[quota.index()]
    }

    /// These and one more.
    #[must_use]
    pub const fn with(mut self, quota: Quota, most: Option<u64>) -> Self {
        self.0[quota.index()] = most;
        self
    }
}

/// What was decided about a quota of one organization.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum QuotaLimit {
    /// Nothing: the installation's goes.
    #[default]
    Default,
    /// There is no limit.
    Unlimited,
    /// So many.
    Most(u64),
}

impl QuotaLimit {
    /// What goes, where the installation has this.
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

/// What was decided about one organization.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QuotaLimits([QuotaLimit; 6]);

impl QuotaLimits {
    /// What was decided about a quota.
    pub const fn get(&self, quota: Quota) -> QuotaLimit {
        self.0[quota.index()]
    }

    /// Decides about a quota.
    ///
    /// # Errors
    /// Where it cannot be so little or so much.
    pub fn set(&mut self, quota: Quota, allowance: QuotaLimit) -> Result<(), InvalidField> {
        let (least, most) = quota.bounds();
        if let QuotaLimit::Most(given) = allowance
            && !(least..=most).contains(&given)
        {
            return Err(InvalidField::new(quota.as_str(), format!("must be from {least} to {most}, none or default")));
        }
        self.0[quota.index()] = allowance;
        Ok(())
    }

    /// What goes for the organization, where the installation has these.
    #[must_use]
    pub fn or(&self, installation: &Quotas) -> Quotas {
        Quota::ALL.into_iter().fold(Quotas::default(), |all, quota| all.with(quota, self.get(quota).or(installation.get(quota))))
    }
}

/// A month of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Month {
    first: Day,
    number: u16,
}

impl Month {
    /// The month of a moment.
    pub fn of(at: Timestamp) -> Self {
        Self::with(at.day())
    }

    fn with(day: Day) -> Self {
        let (year, month, of_month) = day.civil();
        Self { first: day.back(of_month - 1), number: u16::try_from(year * 12 + month).unwrap_or(u16::MAX) }
    }

    /// Its first day.
    pub const fn first(&self) -> Day {
        self.first
    }

    /// The first day after it.
    pub fn end(&self) -> Day {
        // No month has more days, and none so few that this passes the next one.
        Self::with(self.first.back(-31)).first
    }

    /// Another number for each month.
    pub const fn number(&self) -> u16 {
        self.number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_decided_about_an_organization_counts_in_place_of_the_settings() {
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
    fn a_quota_has_bounds_and_a_word() {
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
        assert!(Quota::parse("sources").expect_err("there is none").problem.contains("events_per_month, applications"));
        for allowance in [QuotaLimit::Default, QuotaLimit::Unlimited, QuotaLimit::Most(7)] {
            assert_eq!(allowance.to_string().parse(), Ok(allowance));
        }
        assert!("-1".parse::<QuotaLimit>().is_err());
    }

    #[test]
    fn a_month_is_of_utc_and_ends_with_its_last_day() {
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
