//! Alert rules and alerts: fields, lists, limits, audit entries, and the commit of an evaluation.

use std::{fmt::Debug, sync::Arc};

use hookstream_model::{
    base::{ids::EndpointId, time::Timestamp},
    identity::tenancy::Tenant,
    operations::{
        alerts::{
            alert::{Alert, Subject},
            condition::{Breach, Condition, RuleType},
            decision::{Decision, decide},
            rule::{AlertRule, RULES_MAX},
        },
        operational_event::{OperationalEvent, SystemApplication},
        problems::Severity,
    },
};
use hookstream_store::{
    Error, PageRequest, Store,
    identity::environments,
    operations::{
        alert_rules, alerts,
        audit_log::{self, Filter, Reach},
        system_environment,
    },
    outbound::applications::Created,
};
use serde_json::json;
use tokio::task::JoinSet;

use crate::support::{Fixture, NOON};

/// Stores a rule with an alert.
pub(crate) async fn fill(world: &Fixture) {
    let rule = rule(world, "größe");
    assert_eq!(create(world, &rule).await, Created::Stored);
    let (decision, _) = evaluate(world, &rule, &[], &["größe"]);
    alert_rules::record(&*world.store, &rule, &decision, &[], NOON).await.expect("written");
}

/// Reads what [`fill`] stored.
pub(crate) async fn filled(db: &dyn Store, tenant: Tenant) -> impl Debug {
    let rules = alert_rules::list(db, tenant, PageRequest { after: None, limit: 10 }).await.expect("read");
    (rules, listed(db, tenant, false).await)
}

async fn listed(db: &dyn Store, tenant: Tenant, only_firing: bool) -> Vec<Alert> {
    alerts::list(db, tenant, None, only_firing, PageRequest { after: None, limit: 10 }).await.expect("read").items
}

fn rule(world: &Fixture, name: &str) -> AlertRule {
    let quiet = json!({ "from": "22:00", "to": "07:00", "time_zone": "Europe/Berlin" });
    let config = json!({ "threshold": 0.25, "per": "endpoint", "quiet_hours": quiet });
    AlertRule {
        id: world.new_id(NOON).into(),
        tenant: world.tenant,
        name: name.to_owned(),
        description: Some("größe \"a\"".to_owned()),
        enabled: true,
        condition: Condition::read(RuleType::FailureRate, config.as_object().expect("an object")).expect("a condition"),
        application_id: Some(world.application),
        endpoint_id: Some(world.new_id(NOON).into()),
        channel_ids: vec![EndpointId::from(world.new_id(NOON))],
        cooldown_minutes: 5,
        last_triggered_at: None,
        trigger_count: 0,
        created_at: NOON,
        updated_at: NOON,
    }
}

async fn create(world: &Fixture, rule: &AlertRule) -> Created {
    alert_rules::create(&*world.store, &world.context(), rule, None).await.expect("a result")
}

/// Decides about a rule, and returns the events that tell of it.
fn evaluate(world: &Fixture, rule: &AlertRule, known: &[Alert], subjects: &[&str]) -> (Decision, Vec<OperationalEvent>) {
    let breach = |name: &&str| {
        let subject = Subject { key: (*name).to_owned(), application_id: Some(world.application), ..Subject::environment(name) };
        Breach { subject, severity: Severity::Critical, summary: format!("{name} is bad") }
    };
    let breaches: Vec<_> = subjects.iter().map(breach).collect();
    let decision = decide(rule, known, &breaches, &mut || world.new_id(NOON).into(), false, NOON);
    let events = decision.told.iter().map(|told| OperationalEvent::of_alerts(world.new_id(NOON).into(), rule, told, NOON)).collect();
    (decision, events)
}

pub(crate) async fn rule_is_stored_changed_and_deleted(world: &Fixture) {
    let db = &*world.store;
    let rule = rule(world, "Failures");
    assert_eq!(create(world, &rule).await, Created::Stored);
    assert_eq!(alert_rules::find(db, world.tenant, rule.id).await.expect("read").as_ref(), Some(&rule));
    assert_eq!(alert_rules::find(db, world.stranger, rule.id).await.expect("read"), None);
    let change = |rule: &mut AlertRule| -> Result<(), Error> {
        (rule.name, rule.enabled, rule.channel_ids) = ("Renamed".to_owned(), false, vec![]);
        Ok(())
    };
    assert_eq!(alert_rules::update(db, &world.context(), world.stranger, rule.id, change).await.expect("a result"), None);
    let changed = alert_rules::update(db, &world.context(), world.tenant, rule.id, change).await.expect("a result");
    let expected = AlertRule { name: "Renamed".to_owned(), enabled: false, channel_ids: vec![], ..rule.clone() };
    assert_eq!(changed, Some(expected));
    let delete = async |tenant| alert_rules::delete(db, &world.context(), tenant, rule.id, |_| vec![]).await.expect("a result");
    assert!(!delete(world.stranger).await);
    assert!(delete(world.tenant).await && !delete(world.tenant).await);
    let filter = Filter { resource_type: Some("alert_rule"), ..Filter::default() };
    let entries =
        audit_log::list(db, Reach::Environment(world.tenant), &filter, PageRequest { after: None, limit: 20 }).await.expect("read");
    let actions: Vec<_> = entries.items.iter().rev().map(|entry| entry.action.as_str()).collect();
    assert_eq!(actions, ["alert_rule.create", "alert_rule.update", "alert_rule.delete"]);
}

pub(crate) async fn number_of_rules_is_exact_under_concurrent_creation(world: &Fixture) {
    let mut creations = JoinSet::new();
    for number in 0..RULES_MAX + 5 {
        let (store, context, rule) = (Arc::clone(&world.store), world.context(), rule(world, &number.to_string()));
        creations.spawn(async move { alert_rules::create(&*store, &context, &rule, None).await.expect("a result") });
    }
    let results = creations.join_all().await;
    let stored = results.iter().filter(|result| **result == Created::Stored).count();
    assert_eq!(u64::try_from(stored).expect("few"), RULES_MAX);
    assert!(results.iter().all(|result| matches!(result, Created::Stored | Created::TooManyAlertRules)), "{results:?}");
}

pub(crate) async fn evaluation_commits_alerts_with_their_events_once(world: &Fixture) {
    let db = &*world.store;
    let rule = rule(world, "Failures");
    create(world, &rule).await;
    system_environment::ensure(db, world.tenant, SystemApplication::Channels, NOON).await.expect("made");
    let (fired, events) = evaluate(world, &rule, &[], &["a", "b"]);
    alert_rules::record(db, &rule, &fired, &events, NOON).await.expect("written");
    // Another node that decided the same is too late, and tells nothing.
    let (again, more) = evaluate(world, &rule, &[], &["a"]);
    let conflict = alert_rules::record(db, &rule, &again, &more, NOON).await;
    assert!(matches!(conflict, Err(Error::Conflict { .. })), "{conflict:?}");
    assert_eq!(alert_rules::find(db, world.tenant, rule.id).await.expect("read").map(|rule| rule.trigger_count), Some(1));
    let waiting = db.outbox(10).await.expect("read");
    assert_eq!(waiting.len(), 1, "{waiting:?}");
    assert_eq!(waiting[0].event.notified_channels(), [rule.channel_ids[0].to_string()]);

    let known = alerts::open_of_rule(db, world.tenant, rule.id).await.expect("read");
    assert_eq!(known, fired.opened);
    assert_eq!(listed(db, world.tenant, true).await.len(), 2);
    assert!(listed(db, world.stranger, false).await.is_empty());
    let (passed, events) = evaluate(world, &rule, &known, &["b"]);
    alert_rules::record(db, &rule, &passed, &events, NOON).await.expect("written");
    let firing: Vec<_> = listed(db, world.tenant, true).await.into_iter().map(|alert| alert.subject.name).collect();
    assert_eq!(firing, ["b"]);
    assert_eq!((listed(db, world.tenant, false).await.len(), db.outbox(10).await.expect("read").len()), (2, 2));
    alerts::expire(db, Timestamp::from_millis(NOON.as_millis() + 1)).await.expect("written");
    assert_eq!(listed(db, world.tenant, false).await.len(), 1, "what lasts is kept");

    // A rule that was deleted meanwhile gets no alerts.
    assert!(alert_rules::delete(db, &world.context(), world.tenant, rule.id, |_| vec![]).await.expect("a result"));
    let (late, events) = evaluate(world, &rule, &[], &["c"]);
    alert_rules::record(db, &rule, &late, &events, NOON).await.expect("nothing is written");
    assert!(listed(db, world.tenant, false).await.is_empty());
}

pub(crate) async fn rules_that_are_evaluated_are_the_enabled_ones_and_those_with_open_alerts(world: &Fixture) {
    let db = &*world.store;
    let (enabled, mut disabled, mut idle) = (rule(world, "enabled"), rule(world, "disabled"), rule(world, "idle"));
    (disabled.enabled, idle.enabled) = (false, false);
    for rule in [&enabled, &disabled, &idle] {
        create(world, rule).await;
    }
    let (decision, _) = evaluate(world, &disabled, &[], &["a"]);
    alert_rules::record(db, &disabled, &decision, &[], NOON).await.expect("written");
    let active = async || {
        let rules = alert_rules::active(db, hookstream_model::base::ids::AlertRuleId::from_bytes([0; 16]), 100).await.expect("read");
        rules.into_iter().filter(|rule| rule.tenant == world.tenant).map(|rule| rule.name).collect::<Vec<_>>()
    };
    assert_eq!(active().await, ["enabled", "disabled"]);
    environments::empty(db, world.tenant.environment).await.expect("written");
    assert_eq!(active().await, [""; 0]);
    assert!(listed(db, world.tenant, false).await.is_empty());
}
