//! Alert rule: a condition, where it looks, and whom it tells.

use std::time::Duration;

use super::condition::Condition;
use crate::{
    InvalidField,
    base::{
        ids::{AlertRuleId, ApplicationId, EndpointId},
        text::check_line,
        time::Timestamp,
    },
    identity::tenancy::Tenant,
};

/// Maximum number of rules of an environment. Each is evaluated by itself.
pub const RULES_MAX: u64 = 100;
/// Maximum number of channels of a rule: a notification is a message with these channels.
pub const CHANNELS_MAX: usize = crate::outbound::endpoint::CHANNELS_MAX;
/// Default of `cooldown_minutes` (CONTRACT 4.5).
pub const COOLDOWN_DEFAULT: u32 = 60;
/// Maximum of `cooldown_minutes`: 30 days.
pub const COOLDOWN_MAX: u32 = 30 * 24 * 60;
/// Maximum length of `name`, in characters.
const NAME_MAX: usize = 100;
/// Maximum length of `description`, in characters.
const DESCRIPTION_MAX: usize = 500;

/// Alert rule.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertRule {
    /// Unique id.
    pub id: AlertRuleId,
    /// Tenant that owns it.
    pub tenant: Tenant,
    /// Name.
    pub name: String,
    /// Free text for people.
    pub description: Option<String>,
    /// Whether it is evaluated.
    pub enabled: bool,
    /// Condition.
    pub condition: Condition,
    /// Application that it looks at; `None` for all.
    pub application_id: Option<ApplicationId>,
    /// Endpoint that it looks at; `None` for all.
    pub endpoint_id: Option<EndpointId>,
    /// Notification channels that it tells.
    pub channel_ids: Vec<EndpointId>,
    /// Time after a notification in which it tells of no further alerts, in minutes.
    pub cooldown_minutes: u32,
    /// Time of its last notification of a new alert.
    pub last_triggered_at: Option<Timestamp>,
    /// Number of these notifications.
    pub trigger_count: u64,
    /// Time of creation.
    pub created_at: Timestamp,
    /// Time of the last change.
    pub updated_at: Timestamp,
}

impl AlertRule {
    /// Returns whether the time after its last notification is not over.
    pub fn is_cooling(&self, now: Timestamp) -> bool {
        let cooldown = Duration::from_secs(u64::from(self.cooldown_minutes) * 60);
        self.last_triggered_at.is_some_and(|last| last + cooldown > now)
    }

    /// Returns whether it tells nothing now.
    pub fn is_quiet(&self, now: Timestamp) -> bool {
        self.condition.quiet_hours.as_ref().is_some_and(|quiet| quiet.contain(now))
    }

    /// Checks the parts that depend on each other.
    ///
    /// # Errors
    /// Names the field and the rule that it breaks.
    pub fn check(&self) -> Result<(), InvalidField> {
        check_name(&self.name)?;
        if let Some(description) = &self.description {
            check_line("description", description, DESCRIPTION_MAX)?;
        }
        if self.cooldown_minutes > COOLDOWN_MAX {
            return Err(InvalidField::new("cooldown_minutes", format!("must be from 0 to {COOLDOWN_MAX} minutes (30 days)")));
        }
        if self.channel_ids.len() > CHANNELS_MAX {
            return Err(InvalidField::new(
                "channel_ids",
                format!("must have at most {CHANNELS_MAX} channels; got {}", self.channel_ids.len()),
            ));
        }
        let given = if self.endpoint_id.is_some() { "endpoint_id" } else { "application_id" };
        let is_narrow = self.application_id.is_some() || self.endpoint_id.is_some();
        let kind = self.condition.kind();
        if is_narrow && !kind.has_subjects() {
            return Err(InvalidField::new(given, format!("cannot be set for `{}`, which looks at the whole environment", kind.as_str())));
        }
        Ok(())
    }
}

/// Checks the name of a rule or a channel.
///
/// # Errors
/// Names the rule that is broken.
pub fn check_name(name: &str) -> Result<(), InvalidField> {
    check_line("name", name, NAME_MAX)
}
