//! Decision of an evaluation: which alerts open, which resolve, and what is told.

use std::collections::HashSet;

use super::{
    alert::Alert,
    condition::Breach,
    notification::{Notification, State},
    rule::AlertRule,
};
use crate::base::{ids::AlertId, time::Timestamp};

/// Maximum number of unresolved alerts of a rule: beyond it, further subjects wait until others have passed.
pub const ALERTS_MAX: usize = 1_000;

/// Decision about the alerts of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Decision {
    /// New alerts.
    pub opened: Vec<Alert>,
    /// Known alerts with their new state.
    pub changed: Vec<Alert>,
    /// Notifications.
    pub told: Vec<Told>,
}

/// Notification with its alerts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Notification.
    pub notification: Notification,
    /// Alerts that it tells of.
    pub alerts: Vec<Alert>,
}

impl Decision {
    /// Returns whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.opened.is_empty() && self.changed.is_empty()
    }

    /// Returns whether a notification tells of a new alert.
    pub fn triggers(&self) -> bool {
        self.told.iter().any(|told| told.notification.state == State::Firing)
    }
}

/// Decides about a rule. `known` are its alerts that are not closed, `breaches` what meets its condition now. A rule that is to end has
/// no breaches, and `is_last` lets it tell so at any hour.
pub fn decide(
    rule: &AlertRule,
    known: &[Alert],
    breaches: &[Breach],
    new_id: &mut dyn FnMut() -> AlertId,
    is_last: bool,
    now: Timestamp,
) -> Decision {
    let found: HashSet<&str> = breaches.iter().map(|breach| breach.subject.key.as_str()).collect();
    let open: HashSet<&str> = known.iter().filter(|alert| alert.resolved_at.is_none()).map(|alert| alert.subject.key.as_str()).collect();
    let room = ALERTS_MAX.saturating_sub(open.len());
    let opened = breaches.iter().filter(|breach| !open.contains(breach.subject.key.as_str())).take(room).map(|breach| Alert {
        id: new_id(),
        tenant: rule.tenant,
        rule_id: rule.id,
        subject: breach.subject.clone(),
        severity: breach.severity,
        summary: breach.summary.clone(),
        fired_at: now,
        told_at: None,
        resolved_at: None,
        is_closed: false,
    });
    let mut opened: Vec<Alert> = opened.collect();
    let mut after = known.to_vec();
    for alert in &mut after {
        if alert.resolved_at.is_none() && !found.contains(alert.subject.key.as_str()) {
            alert.resolved_at = Some(now);
        }
        // What nobody was told of ends in silence.
        alert.is_closed |= alert.resolved_at.is_some() && alert.told_at.is_none();
    }
    let ongoing = opened.len() + after.iter().filter(|alert| alert.resolved_at.is_none()).count();
    let is_quiet = rule.is_quiet(now) && !is_last;
    let mut told = Vec::new();
    if !is_quiet {
        let passed: Vec<&mut Alert> = after.iter_mut().filter(|alert| alert.resolved_at.is_some() && !alert.is_closed).collect();
        told.extend(tell(rule, State::Resolved, passed, ongoing, |alert| alert.is_closed = true));
        if !rule.is_cooling(now) {
            let new = opened.iter_mut().chain(&mut after);
            let new: Vec<&mut Alert> = new.filter(|alert| alert.resolved_at.is_none() && alert.told_at.is_none()).collect();
            told.extend(tell(rule, State::Firing, new, ongoing, |alert| alert.told_at = Some(now)));
        }
    }
    let changed = after.into_iter().zip(known).filter(|(after, before)| after != *before).map(|(after, _)| after).collect();
    Decision { opened, changed, told }
}

fn tell(rule: &AlertRule, state: State, alerts: Vec<&mut Alert>, ongoing: usize, note: impl Fn(&mut Alert)) -> Option<Told> {
    if alerts.is_empty() {
        return None;
    }
    let alerts: Vec<Alert> = alerts
        .into_iter()
        .map(|alert| {
            note(alert);
            alert.clone()
        })
        .collect();
    let listed: Vec<&Alert> = alerts.iter().collect();
    Some(Told { notification: Notification::of_rule(rule, state, &listed, ongoing), alerts })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::{
        base::ids::{AlertRuleId, EnvironmentId, OrganizationId},
        identity::tenancy::Tenant,
        operations::{
            alerts::{
                alert::Subject,
                condition::{Condition, RuleType},
            },
            problems::Severity,
        },
    };

    fn now() -> Timestamp {
        "2027-01-31T12:00:00Z".parse().expect("a time")
    }

    fn rule(config: &serde_json::Value) -> AlertRule {
        let tenant = Tenant { organization: OrganizationId::from_bytes([1; 16]), environment: EnvironmentId::from_bytes([2; 16]) };
        AlertRule {
            id: AlertRuleId::from_bytes([3; 16]),
            tenant,
            name: "Failures".to_owned(),
            description: None,
            enabled: true,
            condition: Condition::read(RuleType::Problem, config.as_object().expect("an object")).expect("a condition"),
            application_id: None,
            endpoint_id: None,
            channel_ids: vec![],
            cooldown_minutes: 60,
            last_triggered_at: None,
            trigger_count: 0,
            created_at: now(),
            updated_at: now(),
        }
    }

    fn breach(name: &str) -> Breach {
        let subject = Subject { key: name.to_owned(), ..Subject::environment(name) };
        Breach { subject, severity: Severity::Warning, summary: format!("{name} is bad.") }
    }

    /// Rule with its alerts, as the store keeps them.
    struct World {
        rule: AlertRule,
        alerts: Vec<Alert>,
        ids: u8,
    }

    impl World {
        fn new(config: &serde_json::Value) -> Self {
            Self { rule: rule(config), alerts: vec![], ids: 0 }
        }

        /// Evaluates after some minutes; returns the titles and summaries of what is told.
        fn evaluate(&mut self, minutes: u64, breaches: &[&str]) -> Vec<String> {
            let at = now() + Duration::from_secs(minutes * 60);
            let breaches: Vec<_> = breaches.iter().map(|name| breach(name)).collect();
            let Self { rule, alerts, ids } = self;
            let mut new_id = || {
                *ids += 1;
                AlertId::from_bytes([*ids; 16])
            };
            let decision = decide(rule, alerts, &breaches, &mut new_id, false, at);
            if decision.triggers() {
                rule.last_triggered_at = Some(at);
            }
            for changed in decision.changed {
                let known = alerts.iter_mut().find(|alert| alert.id == changed.id).expect("known");
                *known = changed;
            }
            alerts.extend(decision.opened);
            alerts.retain(|alert| !alert.is_closed);
            decision.told.into_iter().map(|told| format!("{} | {}", told.notification.title, told.notification.summary)).collect()
        }
    }

    #[test]
    fn alert_fires_once_and_resolves_once() {
        let mut world = World::new(&json!({}));
        assert!(world.evaluate(0, &[]).is_empty());
        assert_eq!(world.evaluate(1, &["a"]), ["Failures: a | a is bad."]);
        assert!(world.evaluate(2, &["a"]).is_empty());
        assert!(world.evaluate(200, &["a"]).is_empty());
        assert_eq!(world.evaluate(201, &[]), ["Resolved: Failures: a | The condition is no longer met."]);
        assert!(world.evaluate(202, &[]).is_empty());
        assert!(world.alerts.is_empty());
    }

    #[test]
    fn alerts_of_one_evaluation_are_told_together_and_later_ones_wait_for_the_cooldown() {
        let mut world = World::new(&json!({}));
        assert_eq!(world.evaluate(0, &["a", "b"]), ["Failures: 2 alerts | 2 alerts fire."]);
        assert!(world.evaluate(1, &["a", "b", "c"]).is_empty());
        assert_eq!(world.evaluate(2, &["b", "c"]), ["Resolved: Failures: a | The condition is no longer met. 2 other alerts last."]);
        assert!(world.evaluate(59, &["b", "c", "d"]).is_empty());
        assert_eq!(world.evaluate(60, &["b", "c", "d"]), ["Failures: 2 alerts | 2 alerts fire. 1 other alert lasts."]);
        assert_eq!(world.evaluate(61, &[]), ["Resolved: Failures: 3 alerts | 3 alerts have passed."]);
    }

    #[test]
    fn what_passes_before_it_is_told_is_never_told() {
        let mut world = World::new(&json!({}));
        assert_eq!(world.evaluate(0, &["a"]).len(), 1);
        assert_eq!(world.evaluate(1, &[]).len(), 1);
        // Within the cooldown.
        assert!(world.evaluate(2, &["a"]).is_empty());
        assert!(world.evaluate(3, &[]).is_empty());
        assert!(world.evaluate(90, &[]).is_empty());
    }

    #[test]
    fn quiet_hours_hold_back_what_lasts_until_they_end() {
        let mut world = World::new(&json!({ "quiet_hours": { "from": "12:30", "to": "13:30" } }));
        assert_eq!(world.evaluate(0, &["a"]).len(), 1);
        assert!(world.evaluate(61, &[]).is_empty());
        assert!(world.evaluate(62, &["b"]).is_empty());
        let told = world.evaluate(90, &["b"]);
        assert_eq!(told, ["Resolved: Failures: a | The condition is no longer met. 1 other alert lasts.", "Failures: b | b is bad."]);
    }

    #[test]
    fn rule_that_ends_tells_so_even_in_quiet_hours() {
        let rule = rule(&json!({ "quiet_hours": { "from": "11:00", "to": "13:00" } }));
        let mut new_id = || AlertId::from_bytes([9; 16]);
        let mut known = decide(&rule, &[], &[breach("a")], &mut new_id, false, now()).opened;
        known[0].told_at = Some(now());
        assert!(decide(&rule, &known, &[], &mut new_id, false, now()).told.is_empty());
        let last = decide(&rule, &known, &[], &mut new_id, true, now());
        assert_eq!((last.told.len(), last.changed[0].is_closed, last.triggers()), (1, true, false));
    }

    #[test]
    fn unresolved_alerts_are_bounded_and_a_notification_lists_some() {
        let breaches: Vec<_> = (0..ALERTS_MAX + 5).map(|number| breach(&number.to_string())).collect();
        let mut new_id = || AlertId::from_bytes([9; 16]);
        let decision = decide(&rule(&json!({})), &[], &breaches, &mut new_id, false, now());
        assert_eq!((decision.opened.len(), decision.told.len()), (ALERTS_MAX, 1));
        let notification = &decision.told[0].notification;
        assert_eq!((notification.facts.len(), notification.title.as_str()), (21, "Failures: 1000 alerts"));
        let read = Notification::from_json(&notification.to_json().into());
        assert_eq!(read.as_ref(), Some(notification));
        assert!(decide(&rule(&json!({})), &decision.opened, &breaches[..ALERTS_MAX], &mut new_id, false, now()).opened.is_empty());
    }
}
