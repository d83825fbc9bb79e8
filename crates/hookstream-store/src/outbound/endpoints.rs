//! Endpoints and their signing secrets, which are sealed in their rows ([`vault`]).

use std::collections::BTreeMap;

use hookstream_model::{
    base::{
        ids::{ApplicationId, EndpointId},
        secret::Secret,
        time::Timestamp,
    },
    delivery::{
        batch::BatchPolicy,
        hold::{Hold, HoldReason},
        ordering::{OnFailure, Ordering},
        retry::RetrySchedule,
        state::DisabledReason,
    },
    identity::tenancy::Tenant,
    operations::audit_log::{Action, AuditContext, Change, fields::Fields},
    outbound::{
        endpoint::{Endpoint, EndpointStatus, EndpointUrl},
        signature::{SECRETS_IN_GRACE_MAX, SigningAlgorithm},
    },
};

use crate::{
    db::{
        changes,
        error::Error,
        page::{ABOVE_ALL, Page, PageRequest, sql_limit},
        statement::{Columns, Database, Row, Statement, Value, Written},
        vault::{self, Vault},
    },
    operations::{audit_log, quotas::Guard},
    outbound::{
        applications::{Created, create_with_answer, read_tenant},
        idempotency::{self, StoredAnswer},
    },
};

macro_rules! columns {
    () => {
        "id, organization_id, environment_id, application_id, uid, url, description, signing_algorithm, status, disabled_reason, metadata,
            filter_types, channels, rate_limit_per_second, expires_at, headers, retry_schedule, timeout_ms, ordering, ordering_key, on_failure,
            batch_max_size, batch_max_wait_ms, failing_since, held_until, hold_reason, created_at, updated_at"
    };
}

const INSERT: &str = concat!(
    "insert into endpoints (",
    columns!(),
    ", secret, version, changed_at_version) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19,
        $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, 1, (select version from applications where id = $4))"
);
const FIND: &str =
    concat!("select ", columns!(), ", version, secret from endpoints where environment_id = $1 and application_id = $2 and id = $3");
const LIST: &str = concat!(
    "select ",
    columns!(),
    ", version, secret from endpoints where environment_id = $1 and application_id = $2 and id < $3 order by id desc limit $4"
);
const WITH_SECRETS: &str = concat!(
    "select ",
    columns!(),
    ", version, secret, previous_secret, previous_secret_until from endpoints
        where environment_id = $1 and application_id = $2 and changed_at_version > $3 order by id"
);
const FIND_WITH_SECRETS: &str = concat!(
    "select ",
    columns!(),
    ", version, secret, previous_secret, previous_secret_until from endpoints where environment_id = $1 and application_id = $2 and id = $3"
);
const IDS: &str = "select id from endpoints where environment_id = $1 and application_id = $2 order by id";
/// Ends the list of what a statement sets: see [`changes::touch`].
macro_rules! set_version {
    () => {
        "version = version + 1, changed_at_version = (select a.version from applications a where a.id = endpoints.application_id)"
    };
}
const UPDATE: &str = concat!(
    "update endpoints set url = $5, description = $6, status = $7, disabled_reason = $8, filter_types = $9,
        rate_limit_per_second = $10, expires_at = $11, headers = $12, retry_schedule = $13, timeout_ms = $14, failing_since = $15,
        updated_at = $16, ordering = $17, ordering_key = $18, on_failure = $19, held_until = $20, hold_reason = $21,
        batch_max_size = $22, batch_max_wait_ms = $23, uid = $24, metadata = $25, channels = $26, ",
    set_version!(),
    " where environment_id = $1 and application_id = $2 and id = $3 and version = $4"
);
const ROTATE: &str = concat!(
    "update endpoints set previous_secret = $5, previous_secret_until = $6, secret = $7, updated_at = $8, ",
    set_version!(),
    " where environment_id = $1 and application_id = $2 and id = $3 and version = $4"
);
const DELETE: &str = "delete from endpoints where environment_id = $1 and application_id = $2 and id = $3 and version = $4";
const DISABLE: &str = concat!(
    "update endpoints set status = 'disabled', disabled_reason = $4, updated_at = $5, held_until = null, hold_reason = null, ",
    set_version!(),
    " where environment_id = $1 and application_id = $2 and id = $3 and status <> 'disabled'"
);
const DISABLE_FAILING: &str = concat!(
    "update endpoints set status = 'disabled', disabled_reason = $4, updated_at = $5, held_until = null, hold_reason = null, ",
    set_version!(),
    " where environment_id = $1 and application_id = $2 and id = $3 and status <> 'disabled' and failing_since <= $6"
);
/// One that is disabled is not held: what waits for it is skipped.
const RECORD_HOLD: &str = concat!(
    "update endpoints set held_until = $4, hold_reason = $5, ",
    set_version!(),
    " where environment_id = $1 and application_id = $2 and id = $3 and (status <> 'disabled' or coalesce($5, '') = '')"
);
const RESET_HOLD: &str = concat!(
    "update endpoints set held_until = null, hold_reason = null, ",
    set_version!(),
    " where environment_id = $1 and application_id = $2 and id = $3 and version = $4"
);
const RECORD_HEALTH: &str = "update endpoints set failing_since = $4 where environment_id = $1 and application_id = $2 and id = $3";

/// An endpoint and the secrets that sign for it.
#[derive(Debug)]
pub struct WithSecrets {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// The current secret.
    pub secret: Secret,
    /// The rotated ones and until when each of them signs too; those whose end has come may be among them.
    pub rotated: Vec<(Secret, Timestamp)>,
}

/// Which endpoint, and whose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndpointKey {
    /// Whose it is.
    pub tenant: Tenant,
    /// Its application.
    pub application_id: ApplicationId,
    /// Its id.
    pub id: EndpointId,
}

impl EndpointKey {
    fn values(self) -> Vec<Value> {
        vec![self.tenant.environment.as_bytes().into(), self.application_id.as_bytes().into(), self.id.as_bytes().into()]
    }

    /// The statement that keeps the entry of an act.
    fn entry(self, act: &AuditContext, action: Action, change: &Change) -> Statement {
        audit_log::entry(self.tenant, act, action, self.id.as_bytes(), change)
    }

    /// Runs a statement that changes the endpoint, with the entry of that, and tells of it. Returns whether it
    /// changed it.
    async fn write(
        self,
        db: &dyn Database,
        operation: &'static str,
        statement: Statement,
        entry: Option<Statement>,
    ) -> Result<bool, Error> {
        let touch = changes::touch(self.tenant, self.application_id);
        let mut statements = vec![touch, statement.required(), changes::record(self.tenant, self.application_id)];
        statements.extend(entry);
        Ok(db.write(operation, statements).await?.is_committed())
    }
}

impl From<&Endpoint> for EndpointKey {
    fn from(endpoint: &Endpoint) -> Self {
        Self { tenant: endpoint.tenant, application_id: endpoint.application_id, id: endpoint.id }
    }
}

/// Stores an endpoint with its secret; for a customer, who may create so many of the application.
///
/// # Errors
/// Where the store fails.
pub async fn create(
    db: &dyn Database,
    act: &AuditContext,
    endpoint: &Endpoint,
    secret: &Secret,
    of_customer: Option<u64>,
    answer: Option<StoredAnswer>,
) -> Result<Created, Error> {
    let insert = Statement::new(
        INSERT,
        vec![
            endpoint.id.as_bytes().into(),
            endpoint.tenant.organization.as_bytes().into(),
            endpoint.tenant.environment.as_bytes().into(),
            endpoint.application_id.as_bytes().into(),
            endpoint.uid.as_deref().into(),
            endpoint.url.as_str().into(),
            endpoint.description.as_deref().into(),
            endpoint.signing_algorithm.as_str().into(),
            endpoint.status.as_str().into(),
            endpoint.disabled_reason.map(DisabledReason::as_str).into(),
            endpoint.metadata.as_deref().into(),
            json_text(endpoint.filter_types.as_ref()).into(),
            json_text(endpoint.channels.as_ref()).into(),
            endpoint.rate_limit_per_second.into(),
            endpoint.expires_at.into(),
            json_text(endpoint.headers.as_ref()).into(),
            json_text(endpoint.retry_schedule.as_ref().map(RetrySchedule::as_seconds)).into(),
            endpoint.timeout_ms.into(),
            endpoint.ordering.as_str().into(),
            endpoint.ordering.key_path().map(ToString::to_string).into(),
            endpoint.on_failure.as_str().into(),
            endpoint.batch.map(BatchPolicy::max_size).into(),
            endpoint.batch.map(BatchPolicy::max_wait_ms).into(),
            endpoint.failing_since.into(),
            endpoint.hold.map(|hold| hold.until).into(),
            endpoint.hold.map(|hold| hold.reason.as_str()).into(),
            endpoint.created_at.into(),
            endpoint.updated_at.into(),
            db.vault().seal(&vault::secret_of(endpoint.id), secret.expose())?.into(),
        ],
    );
    let entry = EndpointKey::from(endpoint).entry(act, Action::EndpointCreate, &Change::made(endpoint));
    let (tenant, application) = (endpoint.tenant, endpoint.application_id);
    let statements = vec![changes::touch(tenant, application), insert, changes::record(tenant, application), entry];
    let guard = Guard::of_endpoints(db, endpoint.tenant, endpoint.application_id, of_customer);
    create_with_answer(db, "store an endpoint", endpoint.tenant, statements, Some(guard), answer).await
}

/// The endpoint, and the secret that its public key may be derived from.
///
/// # Errors
/// Where the store fails.
pub async fn find(db: &dyn Database, key: EndpointKey) -> Result<Option<(Endpoint, Secret)>, Error> {
    let rows = db.read(Statement::new(FIND, key.values())).await?;
    Ok(rows.into_iter().next().map(|row| read(db.vault(), row)).transpose()?.map(|(endpoint, _, secret)| (endpoint, secret)))
}

/// A page of an application's endpoints, newest first.
///
/// # Errors
/// Where the store fails.
pub async fn list(
    db: &dyn Database,
    tenant: Tenant,
    application: ApplicationId,
    page: PageRequest<EndpointId>,
) -> Result<Page<(Endpoint, Secret)>, Error> {
    let after = page.after.map_or(ABOVE_ALL, |id| *id.as_bytes());
    let values =
        vec![tenant.environment.as_bytes().into(), application.as_bytes().into(), (&after).into(), sql_limit(page.limit + 1).into()];
    let rows = db.read(Statement::new(LIST, values)).await?;
    let endpoints =
        rows.into_iter().map(|row| read(db.vault(), row).map(|(endpoint, _, secret)| (endpoint, secret))).collect::<Result<_, _>>()?;
    Ok(Page::from_overlong(endpoints, page.limit))
}

/// The endpoints of an application with their secrets that have changed since a version of the application, oldest
/// first, for the engine's routes; since none, all of them.
///
/// # Errors
/// Where the store fails.
pub async fn with_secrets_since(
    db: &dyn Database,
    tenant: Tenant,
    application: ApplicationId,
    version: Option<i64>,
) -> Result<Vec<WithSecrets>, Error> {
    let values = vec![tenant.environment.as_bytes().into(), application.as_bytes().into(), version.unwrap_or(-1).into()];
    let rows = db.read(Statement::new(WITH_SECRETS, values)).await?;
    rows.into_iter().map(|row| read_with_secrets(db.vault(), row).map(|(found, _)| found)).collect()
}

/// All endpoints of an application with their secrets, oldest first.
///
/// # Errors
/// Where the store fails.
pub async fn all_with_secrets(db: &dyn Database, tenant: Tenant, application: ApplicationId) -> Result<Vec<WithSecrets>, Error> {
    with_secrets_since(db, tenant, application, None).await
}

/// The ids of an application's endpoints, oldest first.
///
/// # Errors
/// Where the store fails.
pub async fn ids(db: &dyn Database, tenant: Tenant, application: ApplicationId) -> Result<Vec<EndpointId>, Error> {
    let rows = db.read(Statement::new(IDS, vec![tenant.environment.as_bytes().into(), application.as_bytes().into()])).await?;
    rows.into_iter().map(|row| row.columns().id("endpoint id", EndpointId::from_bytes)).collect()
}

/// An endpoint with all secrets that sign for it.
///
/// # Errors
/// Where the store fails.
pub async fn find_with_secrets(db: &dyn Database, key: EndpointKey) -> Result<Option<WithSecrets>, Error> {
    Ok(find_versioned_with_secrets(db, key).await?.map(|(found, _)| found))
}

/// Shows the secrets of an endpoint to whoever acts, which its entry tells. The entry is stored before this returns.
///
/// # Errors
/// Where the store fails.
pub async fn reveal_secrets(db: &dyn Database, act: &AuditContext, key: EndpointKey) -> Result<Option<WithSecrets>, Error> {
    let Some(found) = find_with_secrets(db, key).await? else { return Ok(None) };
    let change = Change::done(&Fields::default().with("application_id", key.application_id.to_string()));
    db.write("record the reveal of a secret", vec![key.entry(act, Action::EndpointRevealSecret, &change)]).await?;
    Ok(Some(found))
}

/// What came of changing an endpoint.
#[derive(Debug)]
pub enum Changed {
    /// It is this now.
    Done(Box<(Endpoint, Secret)>),
    /// There is none.
    NotThere,
    /// Another endpoint of the application has the `uid`.
    UidTaken,
}

impl Changed {
    /// What the endpoint has become, if it was changed.
    pub fn done(self) -> Option<(Endpoint, Secret)> {
        match self {
            Self::Done(changed) => Some(*changed),
            Self::NotThere | Self::UidTaken => None,
        }
    }
}

/// Changes an endpoint with `change`, which may refuse.
///
/// # Errors
/// Where the store fails, or with what `change` says.
pub async fn update<E: From<Error>>(
    db: &dyn Database,
    act: &AuditContext,
    key: EndpointKey,
    change: impl Fn(&mut Endpoint) -> Result<(), E>,
) -> Result<Changed, E> {
    loop {
        let rows = db.read(Statement::new(FIND, key.values())).await?;
        let Some((before, version, secret)) = rows.into_iter().next().map(|row| read(db.vault(), row)).transpose()? else {
            return Ok(Changed::NotThere);
        };
        let mut endpoint = before.clone();
        change(&mut endpoint)?;
        let mut values = key.values();
        values.extend([
            version.into(),
            endpoint.url.as_str().into(),
            endpoint.description.as_deref().into(),
            endpoint.status.as_str().into(),
            endpoint.disabled_reason.map(DisabledReason::as_str).into(),
            json_text(endpoint.filter_types.as_ref()).into(),
            endpoint.rate_limit_per_second.into(),
            endpoint.expires_at.into(),
            json_text(endpoint.headers.as_ref()).into(),
            json_text(endpoint.retry_schedule.as_ref().map(RetrySchedule::as_seconds)).into(),
            endpoint.timeout_ms.into(),
            endpoint.failing_since.into(),
            endpoint.updated_at.into(),
            endpoint.ordering.as_str().into(),
            endpoint.ordering.key_path().map(ToString::to_string).into(),
            endpoint.on_failure.as_str().into(),
            endpoint.hold.map(|hold| hold.until).into(),
            endpoint.hold.map(|hold| hold.reason.as_str()).into(),
            endpoint.batch.map(BatchPolicy::max_size).into(),
            endpoint.batch.map(BatchPolicy::max_wait_ms).into(),
            endpoint.uid.as_deref().into(),
            endpoint.metadata.as_deref().into(),
            json_text(endpoint.channels.as_ref()).into(),
        ]);
        let entry = Change::between(&before, &endpoint).map(|change| key.entry(act, Action::EndpointUpdate, &change));
        match key.write(db, "update an endpoint", Statement::new(UPDATE, values), entry).await {
            Ok(true) => return Ok(Changed::Done(Box::new((endpoint, secret)))),
            Ok(false) => {}
            Err(Error::Conflict { .. }) => return Ok(Changed::UidTaken),
            Err(error) => return Err(error.into()),
        }
        // Somebody changed it in between: start from what it is now.
    }
}

/// A new secret for an endpoint.
#[derive(Debug)]
pub struct Rotation<'a> {
    /// The secret.
    pub secret: &'a Secret,
    /// Until when the one before it signs too.
    pub old_until: Timestamp,
}

/// What came of a rotation.
#[derive(Debug, PartialEq, Eq)]
pub enum Rotated {
    /// The endpoint has the new secret.
    Done,
    /// The endpoint is not there.
    NotThere,
    /// The new secret is the one that the endpoint has.
    Same,
    /// As many rotated secrets sign as may at once; the first of them ends then.
    TooMany {
        /// When.
        until: Timestamp,
    },
    /// The idempotency key has an answer already.
    KeyTaken,
}

/// Gives an endpoint a new secret. The one before it, and those rotated earlier, sign until the end of each.
///
/// # Errors
/// Where the store fails.
pub async fn rotate_secret(
    db: &dyn Database,
    act: &AuditContext,
    key: EndpointKey,
    rotation: Rotation<'_>,
    answer: Option<StoredAnswer>,
) -> Result<Rotated, Error> {
    let Rotation { secret, old_until } = rotation;
    let change = Change::done(&Fields::default().with("previous_secret_expires_at", old_until.to_string()));
    let kept = answer.map(|answer| idempotency::keep(db, key.tenant, answer)).transpose()?;
    let kept: Vec<Statement> = kept.into_iter().flatten().collect();
    let of_key = kept.len().checked_sub(1);
    loop {
        let Some((found, version)) = find_versioned_with_secrets(db, key).await? else { return Ok(Rotated::NotThere) };
        if found.secret == *secret {
            return Ok(Rotated::Same);
        }
        let mut rotated = found.rotated;
        rotated.retain(|(old, until)| *until > act.at && old != secret);
        if old_until > act.at {
            rotated.push((found.secret, old_until));
        }
        if rotated.len() > SECRETS_IN_GRACE_MAX {
            let until = rotated.iter().map(|(_, until)| *until).min().unwrap_or(act.at);
            return Ok(Rotated::TooMany { until });
        }
        let latest = rotated.iter().map(|(_, until)| *until).max();
        // A secret is sealed for its column, so the old one is sealed anew where it goes.
        let sealed = match latest {
            Some(_) => Some(db.vault().seal(&vault::previous_secret_of(key.id), &write_rotated(&rotated))?),
            None => None,
        };
        let new = db.vault().seal(&vault::secret_of(key.id), secret.expose())?;
        let mut values = key.values();
        values.extend([version.into(), sealed.into(), latest.into(), new.into(), act.at.into()]);
        let mut statements = kept.clone();
        statements.extend([
            changes::touch(key.tenant, key.application_id),
            Statement::new(ROTATE, values).required(),
            changes::record(key.tenant, key.application_id),
            key.entry(act, Action::EndpointRotateSecret, &change),
        ]);
        match vault::write(db, "rotate a signing secret", statements).await? {
            Written::Committed(_) => return Ok(Rotated::Done),
            Written::Unmet(index) if Some(index) == of_key => return Ok(Rotated::KeyTaken),
            // Somebody changed it in between: start from what it is now.
            Written::Unmet(_) => {}
        }
    }
}

/// Rotated secrets as they are encrypted together.
fn write_rotated(rotated: &[(Secret, Timestamp)]) -> String {
    let pairs: Vec<_> = rotated.iter().map(|(secret, until)| (secret.expose(), until.as_millis())).collect();
    serde_json::to_string(&pairs).expect("texts and numbers are JSON")
}

/// Reads what [`write_rotated`] wrote, or the single secret that was kept before there were several.
fn read_rotated(text: String, until: Option<Timestamp>) -> Result<Vec<(Secret, Timestamp)>, Error> {
    if !text.starts_with('[') {
        return Ok(until.map(|until| (Secret::new(text), until)).into_iter().collect());
    }
    let pairs: Vec<(String, i64)> = serde_json::from_str(&text).map_err(|_| Error::Unreadable { what: "previous_secret" })?;
    Ok(pairs.into_iter().map(|(secret, until)| (Secret::new(secret), Timestamp::from_millis(until))).collect())
}

/// Deletes an endpoint, also one whose secret does not open. Returns whether it was there.
///
/// # Errors
/// Where the store fails.
pub async fn delete(db: &dyn Database, act: &AuditContext, key: EndpointKey) -> Result<bool, Error> {
    loop {
        let Some((before, version)) = find_versioned(db, key).await? else { return Ok(false) };
        let mut values = key.values();
        values.push(version.into());
        let statements = vec![
            changes::touch_deleted(key.tenant, key.application_id),
            Statement::new(DELETE, values).required(),
            changes::record(key.tenant, key.application_id),
            key.entry(act, Action::EndpointDelete, &Change::removed(&before)),
        ];
        if db.write("delete an endpoint", statements).await?.is_committed() {
            return Ok(true);
        }
        // Somebody changed it in between: the entry is to tell what it was in the end.
    }
}

/// Disables an endpoint that is active. Returns whether it was.
///
/// # Errors
/// Where the store fails.
pub async fn disable(db: &dyn Database, act: &AuditContext, key: EndpointKey, reason: DisabledReason) -> Result<bool, Error> {
    let mut values = key.values();
    values.extend([reason.as_str().into(), act.at.into()]);
    key.write(db, "disable an endpoint", Statement::new(DISABLE, values), Some(disabled(act, key, reason))).await
}

/// Disables an endpoint that is active and on record as failing since then or before. Returns whether it
/// was: another process may have had a success meanwhile.
///
/// # Errors
/// Where the store fails.
pub async fn disable_failing(db: &dyn Database, act: &AuditContext, key: EndpointKey, since: Timestamp) -> Result<bool, Error> {
    let reason = DisabledReason::KeptFailing;
    let mut values = key.values();
    values.extend([reason.as_str().into(), act.at.into(), since.into()]);
    key.write(db, "disable an endpoint", Statement::new(DISABLE_FAILING, values), Some(disabled(act, key, reason))).await
}

/// Of one that was active, and so had no reason to be disabled.
fn disabled(act: &AuditContext, key: EndpointKey, reason: DisabledReason) -> Statement {
    let before = Fields::default().with("status", EndpointStatus::Active.as_str());
    let after = Fields::default().with("status", EndpointStatus::Disabled.as_str()).with("disabled_reason", reason.as_str());
    key.entry(act, Action::EndpointDisable, &Change::of(&before, &after).unwrap_or_default())
}

/// Records since when endpoints fail, or that they are well again, in one commit.
///
/// # Errors
/// Where the store fails.
pub async fn record_health(db: &dyn Database, health: &[(EndpointKey, Option<Timestamp>)]) -> Result<(), Error> {
    let record = |(key, failing_since): &(EndpointKey, Option<Timestamp>)| {
        let mut values = key.values();
        values.push((*failing_since).into());
        Statement::new(RECORD_HEALTH, values)
    };
    db.write("record the health of endpoints", health.iter().map(record).collect()).await?;
    Ok(())
}

/// Ends by hand what keeps an endpoint's deliveries back. Returns whether it is there.
///
/// # Errors
/// Where the store fails.
pub async fn reset_hold(db: &dyn Database, act: &AuditContext, key: EndpointKey) -> Result<bool, Error> {
    loop {
        let Some((before, version)) = find_versioned(db, key).await? else { return Ok(false) };
        let mut values = key.values();
        values.push(version.into());
        // It is an act also where nothing is held any more.
        let entry = key.entry(act, Action::EndpointResetCircuit, &Change::between(&before.hold, &None::<Hold>).unwrap_or_default());
        if key.write(db, "release an endpoint's hold", Statement::new(RESET_HOLD, values), Some(entry)).await? {
            return Ok(true);
        }
        // Somebody changed it in between: start from what it is now.
    }
}

/// Records of endpoints of one application why nothing is sent to them for now, or that they are sent to again: what the
/// engine finds, and no change of how they are configured. One commit for all, so that the application changes once. An
/// endpoint that is gone, or is off and would be held, is passed over.
///
/// # Errors
/// Where the store fails.
pub async fn record_holds(
    db: &dyn Database,
    tenant: Tenant,
    application_id: ApplicationId,
    holds: &[(EndpointId, Option<Hold>)],
) -> Result<(), Error> {
    let record = |&(id, hold): &(EndpointId, Option<Hold>)| {
        let mut values = EndpointKey { tenant, application_id, id }.values();
        values.extend([hold.map(|hold| hold.until).into(), hold.map(|hold| hold.reason.as_str()).into()]);
        Statement::new(RECORD_HOLD, values)
    };
    let mut statements = vec![changes::touch(tenant, application_id)];
    statements.extend(holds.iter().map(record));
    statements.push(changes::record(tenant, application_id));
    db.write("record the holds of endpoints", statements).await?;
    Ok(())
}

/// The endpoint and its version, without opening a secret.
async fn find_versioned(db: &dyn Database, key: EndpointKey) -> Result<Option<(Endpoint, i64)>, Error> {
    let rows = db.read(Statement::new(FIND, key.values())).await?;
    let read = |row: Row| {
        let mut columns = row.columns();
        Ok((read_endpoint(&mut columns)?, columns.integer("version")?))
    };
    rows.into_iter().next().map(read).transpose()
}

fn json_text<T: serde::Serialize>(value: Option<T>) -> Option<String> {
    value.map(|value| serde_json::to_string(&value).expect("lists and maps of text and numbers are JSON"))
}

fn read_endpoint(columns: &mut Columns) -> Result<Endpoint, Error> {
    Ok(Endpoint {
        id: columns.id("endpoint id", EndpointId::from_bytes)?,
        tenant: read_tenant(columns)?,
        application_id: columns.id("application id", ApplicationId::from_bytes)?,
        uid: columns.optional_text("uid")?,
        url: columns.word("url", |text| EndpointUrl::parse(text).ok())?,
        description: columns.optional_text("description")?,
        signing_algorithm: columns.word("signing_algorithm", |word| SigningAlgorithm::parse(word).ok())?,
        status: columns.word("status", |word| EndpointStatus::parse(word).ok())?,
        disabled_reason: columns.optional_text("disabled_reason")?.and_then(|word| DisabledReason::parse(&word)),
        metadata: columns.optional_text("metadata")?,
        filter_types: columns.optional_json::<Vec<String>>("filter_types")?,
        channels: columns.optional_json::<Vec<String>>("channels")?,
        rate_limit_per_second: columns.optional_u32("rate_limit_per_second")?,
        expires_at: columns.optional_time("expires_at")?,
        headers: columns.optional_json::<BTreeMap<String, String>>("headers")?,
        retry_schedule: columns
            .optional_json::<Vec<u32>>("retry_schedule")?
            .map(|seconds| RetrySchedule::from_seconds(seconds).map_err(|_| Error::Unreadable { what: "retry_schedule" }))
            .transpose()?,
        timeout_ms: columns.optional_u32("timeout_ms")?,
        ordering: {
            let word = columns.text("ordering")?;
            let path = columns.optional_text("ordering_key")?;
            Ordering::from_parts(&word, path.as_deref()).map_err(|_| Error::Unreadable { what: "ordering" })?
        },
        on_failure: columns.word("on_failure", |word| OnFailure::parse(word).ok())?,
        batch: {
            let (size, wait) = (columns.optional_u32("batch_max_size")?, columns.optional_u32("batch_max_wait_ms")?);
            let policy = size.zip(wait).map(|(size, wait)| BatchPolicy::new(size, wait)).transpose();
            policy.map_err(|_| Error::Unreadable { what: "batch" })?
        },
        failing_since: columns.optional_time("failing_since")?,
        hold: {
            let until = columns.optional_time("held_until")?;
            let reason = columns.optional_text("hold_reason")?.and_then(|word| HoldReason::parse(&word));
            until.zip(reason).map(|(until, reason)| Hold { until, reason })
        },
        created_at: columns.time("created_at")?,
        updated_at: columns.time("updated_at")?,
    })
}

fn read(vault: &Vault, row: Row) -> Result<(Endpoint, i64, Secret), Error> {
    let mut columns = row.columns();
    let endpoint = read_endpoint(&mut columns)?;
    let version = columns.integer("version")?;
    let secret = vault.open(&vault::secret_of(endpoint.id), &columns.text("secret")?)?;
    Ok((endpoint, version, Secret::new(secret)))
}

async fn find_versioned_with_secrets(db: &dyn Database, key: EndpointKey) -> Result<Option<(WithSecrets, i64)>, Error> {
    let rows = db.read(Statement::new(FIND_WITH_SECRETS, key.values())).await?;
    rows.into_iter().next().map(|row| read_with_secrets(db.vault(), row)).transpose()
}

fn read_with_secrets(vault: &Vault, row: Row) -> Result<(WithSecrets, i64), Error> {
    let mut columns = row.columns();
    let endpoint = read_endpoint(&mut columns)?;
    let version = columns.integer("version")?;
    let secret = Secret::new(vault.open(&vault::secret_of(endpoint.id), &columns.text("secret")?)?);
    let sealed = columns.optional_text("previous_secret")?;
    let opened = sealed.map(|sealed| vault.open(&vault::previous_secret_of(endpoint.id), &sealed)).transpose()?;
    let until = columns.optional_time("previous_secret_until")?;
    let rotated = opened.map_or_else(|| Ok(Vec::new()), |text| read_rotated(text, until))?;
    Ok((WithSecrets { endpoint, secret, rotated }, version))
}
