//! Findings of the engine about endpoints: failures, holds, disabling.

use hookstream_model::{
    base::{
        ids::{ApplicationId, EndpointId},
        time::Timestamp,
    },
    delivery::{hold::Hold, state::DisabledReason},
    identity::tenancy::Tenant,
    operations::audit_log::{Action, AuditContext, Change, fields::Fields},
    outbound::endpoint::{Endpoint, EndpointStatus},
};

use super::EndpointKey;
use crate::db::{
    changes,
    error::Error,
    listeners::EndpointChangeKind,
    resource::optimistic,
    statement::{Database, Statement},
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
    key.write(
        db,
        "disable an endpoint",
        EndpointChangeKind::Disabled,
        Statement::new(DISABLE, values),
        Some(disabled(context, key, reason)),
    )
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
        Some(disabled(context, key, reason)),
    )
    .await
}

/// Returns the audit entry of disabling an endpoint that was active, and so had no reason.
fn disabled(context: &AuditContext, key: EndpointKey, reason: DisabledReason) -> Statement {
    let before = Fields::default().with("status", EndpointStatus::Active.as_str());
    let after = Fields::default().with("status", EndpointStatus::Disabled.as_str()).with("disabled_reason", reason.as_str());
    key.entry(context, Action::EndpointDisable, &Change::of(&before, &after).unwrap_or_default())
}

/// Records in one commit the times since which endpoints fail; `None` for a healthy one.
///
/// # Errors
/// Fails if the store fails.
pub async fn record_health(db: &dyn Database, health: &[(EndpointKey, Option<Timestamp>)]) -> Result<(), Error> {
    let record = |(key, failing_since): &(EndpointKey, Option<Timestamp>)| {
        let mut values = key.values();
        values.push((*failing_since).into());
        Statement::new(RECORD_HEALTH, values)
    };
    db.write("record the health of endpoints", health.iter().map(record).collect()).await?;
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
        key.change(
            EndpointChangeKind::CircuitClosed,
            Statement::new(RESET_HOLD, values),
            Some(key.entry(context, Action::EndpointResetCircuit, &change)),
        )
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
) -> Result<(), Error> {
    let record = |&(id, hold): &(EndpointId, Option<Hold>)| {
        let mut values = EndpointKey { tenant, application_id, id }.values();
        values.extend([hold.map(|hold| hold.until).into(), hold.map(|hold| hold.reason.as_str()).into()]);
        values.extend([hold.map(|hold| hold.since).into(), hold.map(|hold| hold.probes).into()]);
        Statement::new(RECORD_HOLD, values)
    };
    let mut statements = vec![changes::touch(tenant, application_id)];
    statements.extend(holds.iter().map(record));
    statements.push(changes::record(tenant, application_id));
    db.write("record the holds of endpoints", statements).await?;
    Ok(())
}
