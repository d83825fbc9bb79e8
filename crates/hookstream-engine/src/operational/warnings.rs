//! Warnings about something that grows: an endpoint that heads for being disabled, a quota, a budget. Each height is told once.

use std::{sync::Arc, time::Duration};

use hookstream_model::{
    base::{ids::OrganizationId, time::Timestamp},
    identity::{environment::Environment, tenancy::Tenant},
    operations::{
        operational_event::{self, EndpointCause, OperationalEvent, OperationalType, finding_id},
        quota::{Month, Quota},
    },
};
use hookstream_store::{Error, delivery::outbox};
use serde_json::{Map, Value, json};

use crate::{core::Core, routing::target_state::TargetKey};

/// Height from which a quota or a budget is near, in percent.
pub(crate) const NEAR: u64 = 80;
/// Height below which a budget may be told again.
const FAR: u64 = 70;
/// Notes for how long a target fails, and warns when it has come another part of the way to being disabled.
pub(crate) fn note_failing(core: &Arc<Core>, key: TargetKey, failing_since: Option<Timestamp>, now: Timestamp) {
    if !core.told.contains(key.tenant.environment) {
        return;
    }
    let level = failing_since.and_then(|since| operational_event::warning(now.since(since), core.options.disable_after)).unwrap_or(0);
    if core.heights.is_new(key.id, level)
        && let Some(since) = failing_since
    {
        core.tasks.spawn(warn_of_endpoint(Arc::clone(core), key, since, level, now));
    }
}

async fn warn_of_endpoint(core: Arc<Core>, key: TargetKey, since: Timestamp, level: u32, now: Timestamp) {
    let cause = EndpointCause {
        id: finding_id(key.id.as_bytes(), now),
        tenant: key.tenant,
        application: key.origin.into(),
        endpoint: key.id.into(),
        at: now,
    };
    let data = json!({
        "failing_since": since.to_string(),
        "percent": level,
        "disabled_at_if_nothing_changes": (since + core.options.disable_after).to_string(),
    });
    let event = cause.event(OperationalType::EndpointFailing, object(data));
    let told = outbox::warn_of_endpoint(&*core.store, key.id.into(), level, &event).await;
    core.note_event(told);
    if core.told.contains(key.tenant.environment) {
        tracing::warn!(endpoint.id = %key.id, failing_since = %since, percent = level, "endpoint heads for being disabled");
    }
}

/// Notes the bytes of an environment's payloads, and warns when they come near its budget.
pub(crate) async fn note_budget(core: &Core, environment: &Environment, budget: u64, bytes: u64) {
    let percent = bytes.saturating_mul(100) / budget.max(1);
    let level = match percent {
        NEAR.. => NEAR,
        // Neither near nor far: told already, or not yet.
        FAR.. => 1,
        _ => 0,
    };
    if !core.told.contains(environment.id) || !core.heights.rises(environment.id, "payload_budget", level) {
        return;
    }
    let tenant = Tenant { organization: environment.organization_id, environment: environment.id };
    if level == 0 {
        let cleared = outbox::clear_mark(&*core.store, environment.id, "payload_budget").await;
        core.note_event(cleared.map(|()| false));
    } else if level == NEAR {
        let data = json!({ "bytes": bytes, "budget_bytes": budget, "percent": percent });
        warn(core, tenant, "payload_budget", level, OperationalType::PayloadBudgetNear, data).await;
    }
}

/// Notes the events that an organization has used of its monthly quota, and warns when they come near it or reach it.
pub(crate) async fn note_quota(core: &Core, organization: OrganizationId, used: u64, most: u64) {
    let now = core.now();
    let percent = used.saturating_mul(100) / most.max(1);
    let (level, kind) = match percent {
        100.. => (100, OperationalType::QuotaReached),
        NEAR.. => (NEAR, OperationalType::QuotaNear),
        _ => (0, OperationalType::QuotaNear),
    };
    for environment in core.told.of(organization) {
        if core.heights.rises(environment, "quota", level) && level > 0 {
            let quota = Quota::EventsPerMonth.as_str();
            let data = json!({ "quota": quota, "limit": most, "used": used, "percent": percent });
            let mark = format!("quota:{quota}:{}", Month::of(now).first());
            warn(core, Tenant { organization, environment }, &mark, level, kind, data).await;
        }
    }
}

async fn warn(core: &Core, tenant: Tenant, mark: &str, level: u64, kind: OperationalType, data: Value) {
    let at = core.now();
    let id = finding_id(tenant.environment.as_bytes(), at);
    let event = OperationalEvent { id, tenant, kind, at, application: None, endpoint: None, data: object(data) };
    let level = u32::try_from(level).unwrap_or(u32::MAX);
    core.note_event(outbox::warn(&*core.store, mark, level, &event).await);
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    }
}

impl Core {
    /// Wakes the publishing task if an event was written; logs a failure.
    pub(crate) fn note_event(&self, written: Result<bool, Error>) {
        match written {
            Ok(true) => self.told.written.notify_one(),
            Ok(false) => {}
            Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "could not write an operational event"),
        }
    }
}

/// Time for which a warning is remembered in the store: longer than the month of a quota.
pub(crate) const MARKS_KEPT: Duration = Duration::from_secs(40 * 24 * 3600);
