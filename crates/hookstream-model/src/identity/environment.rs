//! Environments: their settings, the limits of what each may keep, and a forecast of payload size.

use std::time::Duration;

use crate::{
    InvalidField,
    base::{
        ids::{EnvironmentId, OrganizationId},
        time::{Day, Timestamp},
    },
    identity::portal::PortalTheme,
    operations::quota::{Quota, Quotas},
};

/// Maximum length of `name`, in characters.
const NAME_MAX: usize = 255;
/// Maximum length of `slug`, in characters.
const SLUG_MAX: usize = 64;
/// Maximum payload budget, in bytes: 1 PiB, which every database and JSON parser can represent.
const BUDGET_MAX: u64 = 1 << 50;
/// Maximum weight.
const WEIGHT_MAX: u32 = 100;
/// Divisor: a twentieth of the budget is freed at once, so that not every message removes another.
const FREED: u64 = 20;

/// Isolated part of an organization, with its own applications, messages and keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// Unique id.
    pub id: EnvironmentId,
    /// Organization that owns it.
    pub organization_id: OrganizationId,
    /// Display name.
    pub name: String,
    /// Name in URLs, unique in the organization.
    pub slug: String,
    /// Retention of messages, in days; `None` means the installation's.
    pub retention_days: Option<u32>,
    /// Retention of payloads, in days; `None` means the installation's.
    pub payload_retention_days: Option<u32>,
    /// Payload budget, in bytes; `None` means the installation's.
    pub max_payload_bytes: Option<u64>,
    /// Share of the engine relative to other environments; `None` is 1.
    pub weight: Option<u32>,
    /// True if customers may see their endpoints' signing secrets in the portal.
    pub portal_reveal_secrets: bool,
    /// Whether the environment serves customers; others are marked in the dashboard.
    pub is_production: bool,
    /// Whether deliveries pass the sender's trace context on to receivers.
    pub forward_trace_context: bool,
    /// Origins whose pages may embed the portal.
    pub portal_frame_origins: Vec<String>,
    /// Appearance of the portal, where an application has none of its own.
    pub portal_theme: Option<PortalTheme>,
    /// URL of the page of the sender's product that shows the portal, for links in mail to customers.
    pub portal_url: Option<String>,
    /// Quotas of the organization that apply to this environment, or to all its environments together.
    pub quotas: Quotas,
    /// Time of creation.
    pub created_at: Timestamp,
    /// Time at which the environment or its organization was deleted. It can be restored until it is purged.
    pub deleted_at: Option<Timestamp>,
}

/// Limits of stored data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Retention of messages, in days.
    pub retention_days: u32,
    /// Retention of payloads, in days.
    pub payload_retention_days: u32,
    /// Payload budget of an environment, in bytes.
    pub max_payload_bytes: Option<u64>,
}

impl Limits {
    /// Returns the first day whose messages are kept.
    pub fn first_day(&self, now: Timestamp) -> Day {
        (now - days(self.retention_days)).day()
    }

    /// Returns the first day whose payloads are kept.
    pub fn first_payload_day(&self, now: Timestamp) -> Day {
        (now - days(self.payload_retention_days)).day()
    }

    /// Returns the number of bytes to remove if payloads take `payload_bytes`.
    pub fn excess(&self, payload_bytes: u64) -> u64 {
        match self.max_payload_bytes {
            Some(budget) if payload_bytes > budget => payload_bytes - (budget - budget / FREED),
            Some(_) | None => 0,
        }
    }
}

impl Environment {
    /// Returns the effective limits in an installation. Retention never exceeds the installation's or the quota's.
    pub fn limits(&self, installation: Limits) -> Limits {
        let shorter = |own: Option<u32>, all: u32| own.map_or(all, |own| own.min(all));
        let quota = self.quotas.get(Quota::RetentionDays).and_then(|days| u32::try_from(days).ok());
        let retention_days = shorter(self.retention_days, shorter(quota, installation.retention_days));
        Limits {
            retention_days,
            payload_retention_days: shorter(self.payload_retention_days, installation.payload_retention_days).min(retention_days),
            max_payload_bytes: self.max_payload_bytes.or(installation.max_payload_bytes),
        }
    }

    /// Checks the settings against the limits of the installation.
    ///
    /// # Errors
    /// Names the first field that breaks its rule.
    pub fn check(&self, installation: Limits) -> Result<(), InvalidField> {
        crate::base::text::check_line("name", &self.name, NAME_MAX)?;
        let is_slug = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if self.slug.is_empty() || self.slug.len() > SLUG_MAX || !self.slug.bytes().all(is_slug) {
            let problem = format!("must have 1 to {SLUG_MAX} characters: lower-case letters, digits and `-`");
            return Err(InvalidField::new("slug", problem));
        }
        check_days("retention_days", self.retention_days, installation.retention_days)?;
        let most = self.retention_days.unwrap_or(installation.retention_days).min(installation.payload_retention_days);
        check_days("payload_retention_days", self.payload_retention_days, most)?;
        if self.max_payload_bytes.is_some_and(|bytes| !(1..=BUDGET_MAX).contains(&bytes)) {
            return Err(InvalidField::new(
                "max_payload_bytes",
                format!("must be from 1 to {BUDGET_MAX} bytes, or null for the installation's limit"),
            ));
        }
        if self.weight.is_some_and(|weight| !(1..=WEIGHT_MAX).contains(&weight)) {
            return Err(InvalidField::new("weight", format!("must be from 1 to {WEIGHT_MAX}, or null for 1")));
        }
        Ok(())
    }
}

/// Forecast of the size of stored payloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outlook {
    /// The rate is unknown, because there is no full day yet.
    Unknown,
    /// The oldest payloads expire as new ones arrive, and the size becomes constant.
    Level {
        /// Constant size, in bytes.
        bytes: u64,
        /// Days until then; 0 is now.
        in_days: u32,
    },
    /// The budget is reached first; from then on the oldest payloads are removed early.
    BudgetReached {
        /// Days until then; 0 is now.
        in_days: u32,
    },
}

/// Forecasts the size of an environment's payloads from the rate of its last full days. `per_day` is the number of
/// bytes per day, `bytes` the current size, `age` the age of the oldest payload in days.
pub fn outlook(limits: Limits, bytes: u64, per_day: Option<u64>, age: u32) -> Outlook {
    let Some(per_day) = per_day else { return Outlook::Unknown };
    // All retained days, plus today.
    let level = per_day.saturating_mul(u64::from(limits.payload_retention_days) + 1);
    match limits.max_payload_bytes {
        Some(budget) if bytes >= budget => Outlook::BudgetReached { in_days: 0 },
        Some(budget) if level > budget => {
            let days = (budget - bytes).checked_div(per_day).unwrap_or(u64::MAX);
            Outlook::BudgetReached { in_days: u32::try_from(days).unwrap_or(u32::MAX) }
        }
        Some(_) | None => Outlook::Level { bytes: level, in_days: limits.payload_retention_days.saturating_sub(age) },
    }
}

fn check_days(field: &'static str, given: Option<u32>, most: u32) -> Result<(), InvalidField> {
    match given {
        Some(days) if !(1..=most).contains(&days) => Err(InvalidField::new(
            field,
            format!("must be from 1 to {most} days, or null for {most}. The settings of the installation limit it"),
        )),
        Some(_) | None => Ok(()),
    }
}

fn days(number: u32) -> Duration {
    Duration::from_secs(u64::from(number) * 24 * 3600)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INSTALLATION: Limits = Limits { retention_days: 30, payload_retention_days: 10, max_payload_bytes: Some(1_000) };

    fn environment() -> Environment {
        Environment {
            deleted_at: None,
            id: EnvironmentId::from_bytes([1; 16]),
            organization_id: OrganizationId::from_bytes([2; 16]),
            name: "Production".to_owned(),
            slug: "production".to_owned(),
            retention_days: None,
            payload_retention_days: None,
            max_payload_bytes: None,
            weight: None,
            portal_reveal_secrets: true,
            is_production: true,
            forward_trace_context: false,
            portal_frame_origins: vec![],
            portal_theme: None,
            portal_url: None,
            quotas: Quotas::default(),
            created_at: Timestamp::from_millis(0),
        }
    }

    #[test]
    fn limits_default_to_the_installation_and_never_exceed_it() {
        let check = |retention_days, payload_retention_days, max_payload_bytes, expected: (u32, u32, Option<u64>)| {
            let environment = Environment { retention_days, payload_retention_days, max_payload_bytes, ..environment() };
            let Limits { retention_days, payload_retention_days, max_payload_bytes } = environment.limits(INSTALLATION);
            assert_eq!((retention_days, payload_retention_days, max_payload_bytes), expected);
        };
        check(None, None, None, (30, 10, Some(1_000)));
        check(Some(20), None, Some(5), (20, 10, Some(5)));
        check(Some(7), None, None, (7, 7, Some(1_000)));
        check(Some(7), Some(2), None, (7, 2, Some(1_000)));
        // The installation's settings were lowered since.
        check(Some(90), Some(60), None, (30, 10, Some(1_000)));
    }

    #[test]
    fn quota_caps_retention() {
        let check = |quota, own, expected: (u32, u32)| {
            let quotas = Quotas::default().with(Quota::RetentionDays, quota);
            let limits = Environment { quotas, retention_days: own, ..environment() }.limits(INSTALLATION);
            assert_eq!((limits.retention_days, limits.payload_retention_days), expected);
        };
        check(None, Some(20), (20, 10));
        check(Some(7), None, (7, 7));
        check(Some(7), Some(20), (7, 7));
        check(Some(7), Some(3), (3, 3));
        check(Some(90), None, (30, 10));
    }

    #[test]
    fn invalid_field_is_named() {
        let check = |change: &dyn Fn(&mut Environment), expected: Option<&str>| {
            let mut changed = environment();
            change(&mut changed);
            assert_eq!(changed.check(INSTALLATION).err().map(|error| error.field), expected, "{changed:?}");
        };
        check(&|_| {}, None);
        check(&|changed| changed.name = " ".to_owned(), Some("name"));
        for slug in ["", "Prod", "a b", "ä", &"x".repeat(65)] {
            check(&|changed| slug.clone_into(&mut changed.slug), Some("slug"));
        }
        check(&|changed| changed.retention_days = Some(30), None);
        check(&|changed| changed.retention_days = Some(31), Some("retention_days"));
        check(&|changed| changed.retention_days = Some(0), Some("retention_days"));
        check(&|changed| changed.payload_retention_days = Some(10), None);
        check(&|changed| changed.payload_retention_days = Some(11), Some("payload_retention_days"));
        check(&|changed| (changed.retention_days, changed.payload_retention_days) = (Some(5), Some(6)), Some("payload_retention_days"));
        check(&|changed| changed.max_payload_bytes = Some(0), Some("max_payload_bytes"));
        check(&|changed| changed.weight = Some(100), None);
        check(&|changed| changed.weight = Some(101), Some("weight"));
    }

    #[test]
    fn excess_removes_more_than_the_overrun() {
        let check = |bytes, expected| assert_eq!(INSTALLATION.excess(bytes), expected, "{bytes}");
        check(0, 0);
        check(1_000, 0);
        check(1_001, 51);
        check(5_000, 4_050);
        assert_eq!(Limits { max_payload_bytes: None, ..INSTALLATION }.excess(u64::MAX), 0);
        assert_eq!(Limits { max_payload_bytes: Some(1), ..INSTALLATION }.excess(3), 2);
    }

    #[test]
    fn outlook_is_the_budget_or_the_level() {
        let check = |bytes, per_day, age, expected| assert_eq!(outlook(INSTALLATION, bytes, per_day, age), expected);
        check(500, None, 0, Outlook::Unknown);
        check(500, Some(50), 4, Outlook::Level { bytes: 550, in_days: 6 });
        check(500, Some(50), 40, Outlook::Level { bytes: 550, in_days: 0 });
        check(500, Some(100), 4, Outlook::BudgetReached { in_days: 5 });
        check(1_000, Some(1), 4, Outlook::BudgetReached { in_days: 0 });
        check(0, Some(0), 0, Outlook::Level { bytes: 0, in_days: 10 });
        let unbounded = Limits { max_payload_bytes: None, ..INSTALLATION };
        assert_eq!(outlook(unbounded, 9_000, Some(1_000), 3), Outlook::Level { bytes: 11_000, in_days: 7 });
    }

    #[test]
    fn day_is_kept_until_all_of_it_has_expired() {
        let now: Timestamp = "2027-01-31T12:00:00Z".parse().expect("a time");
        assert_eq!(INSTALLATION.first_day(now).to_string(), "2027-01-01");
        assert_eq!(INSTALLATION.first_payload_day(now).to_string(), "2027-01-21");
    }
}
