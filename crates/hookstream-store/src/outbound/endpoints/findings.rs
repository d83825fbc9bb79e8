//! Findings of the engine about endpoints: failures, holds, disabling.

use hookstream_model::{
    base::{
        ids::{ApplicationId, EndpointId},
        time::Timestamp,
    },
    delivery::{
        hold::{Hold, HoldReason},
        state::DisabledReason,
    },
    identity::tenancy::Tenant,
    operations::{
        audit_log::{Action, AuditContext, Change, fields::Fields},
        operational_event::{self, EndpointCause, OperationalType},
    },
    outbound::endpoint::{Endpoint, EndpointStatus},
};

use serde_json::{Map, Value as Json};

use super::EndpointKey;
use crate::{
    db::{
        changes,
        error::Error,
        listeners::EndpointChangeKind,
        resource::optimistic,
        statement::{Database, Statement},
    },
    delivery::outbox,
};

const DISABLE: &str = concat!(
    "update endpoints set status = 'disabled', disabled_reason = $4, updated_at = $5, disabled_at = $5, held_until = null, hold_reason = null, \
     hold_since = null, hold_probes = null, ",
    set_version!(),
    " where environment_id = $1 and application_id = $2 and id = $3 and status <> 'disabled'"
);

const DISABLE_FAILING: &str = concat!(
    "update endpoints set status = 'disabled', disabled_reason = $4, updated_at = $5, disabled_at = $5, held_until = null, hold_reason = null, \
     hold_since = null, hold_probes = null, ",
    set_version!(),
    " where environment_id = $1 and application_id = $2 and id = $3 and status <> 'disabled' and failing_since <= $6"
);

/// Records a hold. A disabled endpoint gets none, because its deliveries are skipped.
const RECORD_HOLD: &str = concat!(
    "update endpoints set held_until = $4, hold_reason = $5, hold_since = $6, hold_probes = $7, ",
    set_version!(),
    " where environment_id = $1 and application_id = $2 and id = $3 and (status <> 'disabled' or coalesce($5, '') = '')"
);

const RESET_HOLD: &str = concat!(
    "update endpoints set held_until = null, hold_reason = null, hold_since = null, hold_probes = null, ",
    set_version!(),
    " where environment_id = $1 and application_id = $2 and id = $3 and version = $4"
);

const RECORD_HEALTH: &str = "update endpoints set failing_since = $4 where environment_id = $1 and application_id = $2 and id = $3";

/// Disables an active endpoint. Returns whether it was active.
///
/// # Errors
/// Fails if the store fails.
pub async fn disable(db: &dyn Database, context: &AuditContext, key: EndpointKey, reason: DisabledReason) -> Result<bool, Error> {
    let mut values = key.values();
    values.extend([reason.as_str().into(), context.at.into()]);
    key.write(db, "disable an endpoint", EndpointChangeKind::Disabled, Statement::new(DISABLE, values), disabled(context, key, reason))
        .await
}

/// Disables an active endpoint that is recorded as failing since `since` or earlier. Returns whether that held:
/// another process may have had a success meanwhile.
///
/// # Errors
/// Fails if the store fails.
pub async fn disable_failing(db: &dyn Database, context: &AuditContext, key: EndpointKey, since: Timestamp) -> Result<bool, Error> {
    let reason = DisabledReason::KeptFailing;
    let mut values = key.values();
    values.extend([reason.as_str().into(), context.at.into(), since.into()]);
    key.write(
        db,
        "disable an endpoint",
        EndpointChangeKind::Disabled,
        Statement::new(DISABLE_FAILING, values),
        disabled(context, key, reason),
    )
    .await
}

/// Returns the audit entry and the event of disabling an endpoint that was active, and so had no reason.
fn disabled(context: &AuditContext, key: EndpointKey, reason: DisabledReason) -> Vec<Statement> {
    let before = Fields::default().with("status", EndpointStatus::Active.as_str());
    let after = Fields::default().with("status", EndpointStatus::Disabled.as_str()).with("disabled_reason", reason.as_str());
    let change = Change::of(&before, &after).unwrap_or_default();
    let mut statements = key.events(context, Action::EndpointDisable, &change);
    statements.push(key.entry(context, Action::EndpointDisable, &change));
    statements
}

/// Records in one commit the times since which endpoints fail; `None` for a healthy one, which has recovered if there was a
/// warning.
///
/// # Errors
/// Fails if the store fails.
pub async fn record_health(db: &dyn Database, health: &[(EndpointKey, Option<Timestamp>)], now: Timestamp) -> Result<(), Error> {
    let mut statements = Vec::with_capacity(health.len());
    for (key, failing_since) in health {
        let mut values = key.values();
        values.push((*failing_since).into());
        statements.push(Statement::new(RECORD_HEALTH, values));
        if failing_since.is_none() {
            let recovered = key.found_at(now).event(OperationalType::EndpointRecovered, Map::new());
            statements.extend(outbox::endpoint_recovered(&recovered, key.id));
        }
    }
    db.write("record the health of endpoints", statements).await?;
    Ok(())
}

/// Ends an endpoint's hold manually. Returns whether the endpoint exists.
///
/// # Errors
/// Fails if the store fails.
pub async fn reset_hold(db: &dyn Database, context: &AuditContext, key: EndpointKey) -> Result<bool, Error> {
    optimistic::change_current(db, "release an endpoint's hold", key, |before: &Endpoint, version| {
        let mut values = key.values();
        values.push(version.into());
        // Audited even if the hold has already ended.
        let change = Change::between(&before.hold, &None::<Hold>).unwrap_or_default();
        let closed = data(&[("trigger", "manual".into())]);
        let entry = key.entry(context, Action::EndpointResetCircuit, &change);
        let mut statements = key.change(EndpointChangeKind::CircuitClosed, Statement::new(RESET_HOLD, values), [entry]);
        // Behind the lock of the application, while the row still has the hold.
        statements.insert(1, outbox::circuit_closed(&key.found_at(context.at).event(OperationalType::CircuitClosed, closed)));
        statements
    })
    .await
}

/// Records the holds of one application's endpoints, or their ends. A hold is a finding of the engine and not a
/// change of the configuration. One commit for all, so that the application changes once. Deleted endpoints are
/// skipped, and disabled ones get no hold.
///
/// # Errors
/// Fails if the store fails.
pub async fn record_holds(
    db: &dyn Database,
    tenant: Tenant,
    application_id: ApplicationId,
    holds: &[(EndpointId, Option<Hold>)],
    now: Timestamp,
) -> Result<(), Error> {
    let record = |&(id, hold): &(EndpointId, Option<Hold>)| {
        let key = EndpointKey { tenant, application_id, id };
        let mut values = key.values();
        values.extend([hold.map(|hold| hold.until).into(), hold.map(|hold| hold.reason.as_str()).into()]);
        values.extend([hold.map(|hold| hold.since).into(), hold.map(|hold| hold.probes).into()]);
        // The event first, while the row still has the hold before.
        [circuit_event(key, hold, now), Statement::new(RECORD_HOLD, values)]
    };
    let mut statements = vec![changes::touch(tenant, application_id)];
    statements.extend(holds.iter().flat_map(record));
    statements.push(changes::record(tenant, application_id));
    db.write("record the holds of endpoints", statements).await?;
    Ok(())
}

/// Returns the statement that writes the event of a circuit that a hold opens or its end closes.
fn circuit_event(key: EndpointKey, hold: Option<Hold>, now: Timestamp) -> Statement {
    let cause = key.found_at(now);
    match hold.filter(|hold| hold.reason == HoldReason::Failing) {
        Some(hold) => {
            let opened = data(&[("until", hold.until.to_string().into())]);
            outbox::circuit_opened(&cause.event(OperationalType::CircuitOpened, opened))
        }
        None => {
            let closed = data(&[("trigger", "automatic".into())]);
            outbox::circuit_closed(&cause.event(OperationalType::CircuitClosed, closed))
        }
    }
}

fn data(fields: &[(&str, Json)]) -> Map<String, Json> {
    fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

impl EndpointKey {
    /// Returns the cause of events about something that the engine found at this time.
    pub(crate) fn found_at(self, at: Timestamp) -> EndpointCause {
        self.cause(operational_event::finding_id(self.id.as_bytes(), at), at)
    }
}
