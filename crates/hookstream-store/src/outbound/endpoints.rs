//! Endpoints and their signing secrets, which are sealed in their rows ([`vault`]).

use std::{collections::BTreeMap, sync::LazyLock};

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
    operations::audit_log::{
        Action, AuditContext, Change,
        fields::{Audited, Fields},
    },
    outbound::{
        endpoint::{Endpoint, EndpointStatus, EndpointUrl},
        signature::{SECRETS_IN_GRACE_MAX, SigningAlgorithm},
        target::{TargetConfig, TargetKind},
    },
};

use crate::{
    db::{
        changes,
        error::Error,
        page::{ABOVE_ALL, Page, PageRequest, sql_limit},
        resource::{
            fields::resource_fields,
            optimistic::{self, Updatable, Updated, Versioned},
            table::{Column, ColumnKind, Description, ExtraColumn, Source, Table},
        },
        sealed_write,
        statement::{Columns, Database, Row, Statement, Value, Written},
        vault::{self, Vault},
    },
    operations::{audit_log, quotas::Guard},
    outbound::{
        applications::{Created, create_with_response, read_tenant},
        idempotency::{self, NewResponse},
    },
};

resource_fields!(Endpoint, |endpoint, columns| {
    fixed id: EndpointId;
    fixed tenant = [
        "organization_id" Bytes = endpoint.tenant.organization.as_bytes(),
        "environment_id" Bytes = endpoint.tenant.environment.as_bytes(),
    ] read read_tenant(columns)?;
    fixed application_id: ApplicationId;
    changing uid: Option<String>;
    fixed kind as "type": TargetKind;
    changing url = ["url" Text = endpoint.url.as_str()] read columns.word("url", |text| EndpointUrl::parse_as(kind, text).ok())?;
    changing description: Option<String>;
    fixed signing_algorithm: SigningAlgorithm;
    changing status: EndpointStatus;
    changing disabled_reason = ["disabled_reason" Text = endpoint.disabled_reason.map(DisabledReason::as_str)]
        read columns.optional_text("disabled_reason")?.and_then(|word| DisabledReason::parse(&word));
    changing disabled_at: Option<Timestamp>;
    changing metadata: Option<String>;
    changing filter_types: Option<Vec<String>>;
    changing channels: Option<Vec<String>>;
    changing rate_limit_per_second: Option<u32>;
    changing expires_at: Option<Timestamp>;
    changing headers: Option<BTreeMap<String, String>>;
    changing retry_schedule: Option<RetrySchedule>;
    changing timeout_ms: Option<u32>;
    changing ordering = [
        "ordering" Text = endpoint.ordering.as_str(),
        "ordering_key" Text = endpoint.ordering.key_path().map(ToString::to_string),
    ] read read_ordering(columns)?;
    changing on_failure: OnFailure;
    changing batch = [
        "batch_max_size" Integer = endpoint.batch.map(BatchPolicy::max_size),
        "batch_max_wait_ms" Integer = endpoint.batch.map(BatchPolicy::max_wait_ms),
    ] read read_batch(columns)?;
    changing failing_since: Option<Timestamp>;
    changing hold = [
        "held_until" Integer = endpoint.hold.map(|hold| hold.until),
        "hold_reason" Text = endpoint.hold.map(|hold| hold.reason.as_str()),
        "hold_since" Integer = endpoint.hold.map(|hold| hold.since),
        "hold_probes" Integer = endpoint.hold.map(|hold| hold.probes),
    ] read read_hold(columns)?;
    fixed created_at: Timestamp;
    changing updated_at: Timestamp;
    // Sealed in a column of its own ([`seal_config`]).
    later config = None;
});

/// Version of an endpoint's application ([`changes::touch`]).
macro_rules! application_version {
    () => {
        "(select a.version from applications a where a.id = endpoints.application_id)"
    };
}

const DESCRIPTION: Description<Endpoint> = Description {
    name: "endpoints",
    key: &["environment_id", "application_id", "id"],
    fields: FIELDS,
    extra: &[
        ExtraColumn::given("config", ColumnKind::Text, Source::Given),
        ExtraColumn::given("secret", ColumnKind::Text, Source::Omitted),
        ExtraColumn::unwritten("previous_secrets", ColumnKind::Text),
        ExtraColumn::version(Source::Sql("version + 1")),
        ExtraColumn {
            column: Column { name: "changed_at_version", kind: ColumnKind::Integer },
            insert: Source::Sql("(select version from applications where id = {application_id})"),
            update: Source::Sql(application_version!()),
        },
    ],
};
pub(crate) const COLUMNS: &[Column] = &DESCRIPTION.columns::<{ DESCRIPTION.width() }>();
static TABLE: Table<Endpoint> = Table::new(DESCRIPTION);

/// Columns of [`read`] after the fields.
const WITH_SECRET: &str = "config, version, secret";
/// Columns of [`read_with_secrets`] after the fields.
const WITH_ALL_SECRETS: &str = "config, version, secret, previous_secrets";

static FIND: LazyLock<String> = LazyLock::new(|| TABLE.select(WITH_SECRET, "environment_id = $1 and application_id = $2 and id = $3"));
static LIST: LazyLock<String> =
    LazyLock::new(|| TABLE.select(WITH_SECRET, "environment_id = $1 and application_id = $2 and id < $3 order by id desc limit $4"));
const COUNT: &str = "select count(*) from endpoints where environment_id = $1";
static FIND_ANYWHERE: LazyLock<String> = LazyLock::new(|| TABLE.select(WITH_SECRET, "environment_id = $1 and id = $2"));
static LIST_ALL: LazyLock<String> = LazyLock::new(|| {
    let shown_status = "case when expires_at <= $4 then 'expired' else status end";
    TABLE.select(WITH_SECRET, &format!("environment_id = $1 and id < $2 and ($3 = '' or {shown_status} = $3) order by id desc limit $5"))
});
/// Condition of the index `endpoints_in_trouble`, which is used only with exactly these words.
const IN_TROUBLE: &str = "(failing_since is not null or hold_reason is not null or disabled_reason is not null)";
static LIST_IN_TROUBLE: LazyLock<String> = LazyLock::new(|| {
    let is_failing = "(failing_since is not null or hold_reason = 'failing' or disabled_reason is not null)";
    let shown_status = "case when expires_at <= $4 then 'expired' else status end";
    TABLE.select(
        WITH_SECRET,
        &format!(
            "environment_id = $1 and id < $2 and ($3 = '' or {shown_status} = $3) and {IN_TROUBLE} and {is_failing} order by id desc limit $5"
        ),
    )
});
static WITH_SECRETS: LazyLock<String> =
    LazyLock::new(|| TABLE.select(WITH_ALL_SECRETS, "environment_id = $1 and application_id = $2 and changed_at_version > $3 order by id"));
static FIND_WITH_SECRETS: LazyLock<String> =
    LazyLock::new(|| TABLE.select(WITH_ALL_SECRETS, "environment_id = $1 and application_id = $2 and id = $3"));
const IDS: &str = "select id from endpoints where environment_id = $1 and application_id = $2 order by id";
/// Last assignments of an update: the endpoint's version and its application's version.
macro_rules! set_version {
    () => {
        concat!("version = version + 1, changed_at_version = ", application_version!())
    };
}
const ROTATE: &str = concat!(
    "update endpoints set previous_secrets = $5, secret = $6, updated_at = $7, ",
    set_version!(),
    " where environment_id = $1 and application_id = $2 and id = $3 and version = $4"
);
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

/// Endpoint with its signing secrets.
#[derive(Debug)]
pub struct WithSecrets {
    /// Endpoint.
    pub endpoint: Endpoint,
    /// Current secret.
    pub secret: Secret,
    /// Rotated secrets with the end of their use; some may have ended.
    pub rotated: Vec<(Secret, Timestamp)>,
}

/// Key of an endpoint, with its tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndpointKey {
    /// Organization and environment of the endpoint.
    pub tenant: Tenant,
    /// Application of the endpoint.
    pub application_id: ApplicationId,
    /// Endpoint id.
    pub id: EndpointId,
}

impl EndpointKey {
    fn values(self) -> Vec<Value> {
        vec![self.tenant.environment.as_bytes().into(), self.application_id.as_bytes().into(), self.id.as_bytes().into()]
    }

    /// Returns the statement that stores an audit entry.
    fn entry(self, context: &AuditContext, action: Action, change: &Change) -> Statement {
        audit_log::entry(self.tenant, context, action, self.id.as_bytes(), change)
    }

    /// Runs a statement that changes the endpoint, with its audit entry, and notifies other processes. Returns
    /// whether the endpoint was changed.
    async fn write(
        self,
        db: &dyn Database,
        operation: &'static str,
        statement: Statement,
        entry: Option<Statement>,
    ) -> Result<bool, Error> {
        Ok(db.write(operation, self.change(statement, entry)).await?.is_committed())
    }

    /// Returns the statements of [`Self::write`].
    fn change(self, statement: Statement, entry: Option<Statement>) -> Vec<Statement> {
        let touch = changes::touch(self.tenant, self.application_id);
        let mut statements = vec![touch, statement.required(), changes::record(self.tenant, self.application_id)];
        statements.extend(entry);
        statements
    }
}

impl From<&Endpoint> for EndpointKey {
    fn from(endpoint: &Endpoint) -> Self {
        Self { tenant: endpoint.tenant, application_id: endpoint.application_id, id: endpoint.id }
    }
}

/// Stores an endpoint with its secret. `of_customer` limits the endpoints of the application if a customer creates it.
///
/// # Errors
/// Fails if the store fails.
pub async fn create(
    db: &dyn Database,
    context: &AuditContext,
    endpoint: &Endpoint,
    secret: &Secret,
    of_customer: Option<u64>,
    response: Option<NewResponse>,
) -> Result<Created, Error> {
    let sealed = db.vault().seal(&vault::secret_of(endpoint.id), secret.expose())?;
    let insert = TABLE.insert(endpoint, [seal_config(db.vault(), endpoint)?.into(), sealed.into()]);
    let entry = EndpointKey::from(endpoint).entry(context, Action::EndpointCreate, &Change::created(endpoint));
    let (tenant, application) = (endpoint.tenant, endpoint.application_id);
    let statements = vec![changes::touch(tenant, application), insert, changes::record(tenant, application), entry];
    let guard = Guard::of_endpoints(db, endpoint.tenant, endpoint.application_id, of_customer);
    create_with_response(db, "store an endpoint", endpoint.tenant, statements, Some(guard), response).await
}

/// Returns the endpoint, and the secret from which its public key may be derived.
///
/// # Errors
/// Fails if the store fails.
pub async fn find(db: &dyn Database, key: EndpointKey) -> Result<Option<(Endpoint, Secret)>, Error> {
    let rows = db.read(Statement::new(&FIND, key.values())).await?;
    Ok(rows.into_iter().next().map(|row| read(db.vault(), row)).transpose()?.map(|(endpoint, _, secret)| (endpoint, secret)))
}

/// Returns a page of an application's endpoints, newest first.
///
/// # Errors
/// Fails if the store fails.
pub async fn list(
    db: &dyn Database,
    tenant: Tenant,
    application: ApplicationId,
    page: PageRequest<EndpointId>,
) -> Result<Page<(Endpoint, Secret)>, Error> {
    let after = page.after.map_or(ABOVE_ALL, |id| *id.as_bytes());
    let values =
        vec![tenant.environment.as_bytes().into(), application.as_bytes().into(), (&after).into(), sql_limit(page.limit + 1).into()];
    let rows = db.read(Statement::new(&LIST, values)).await?;
    let endpoints =
        rows.into_iter().map(|row| read(db.vault(), row).map(|(endpoint, _, secret)| (endpoint, secret))).collect::<Result<_, _>>()?;
    Ok(Page::from_overlong(endpoints, page.limit))
}

/// Returns the number of an environment's endpoints.
///
/// # Errors
/// Fails if the store fails.
pub async fn count(db: &dyn Database, tenant: Tenant) -> Result<u64, Error> {
    let rows = db.read(Statement::new(COUNT, vec![tenant.environment.as_bytes().into()])).await?;
    let number = rows.into_iter().next().ok_or(Error::Unreadable { what: "count" })?.columns().integer("count")?;
    u64::try_from(number).map_err(|_| Error::Unreadable { what: "count" })
}

/// Returns an endpoint, whatever its application.
///
/// # Errors
/// Fails if the store fails.
pub async fn find_in_environment(db: &dyn Database, tenant: Tenant, id: EndpointId) -> Result<Option<Endpoint>, Error> {
    let values = vec![tenant.environment.as_bytes().into(), id.as_bytes().into()];
    let rows = db.read(Statement::new(&FIND_ANYWHERE, values)).await?;
    Ok(rows.into_iter().next().map(|row| read(db.vault(), row)).transpose()?.map(|(endpoint, ..)| endpoint))
}

/// Filter of an environment's endpoints.
#[derive(Debug, Clone, Copy, Default)]
pub struct EndpointFilter {
    /// Status as it is shown: that of the endpoint, or `expired`.
    pub status: Option<&'static str>,
    /// Only endpoints that fail, have an open circuit breaker, or were disabled by Hookstream.
    pub is_failing: bool,
}

/// Returns a page of an environment's endpoints, newest first.
///
/// # Errors
/// Fails if the store fails.
pub async fn list_all(
    db: &dyn Database,
    tenant: Tenant,
    filter: EndpointFilter,
    now: Timestamp,
    page: PageRequest<EndpointId>,
) -> Result<Page<(Endpoint, Secret)>, Error> {
    let after = page.after.map_or(ABOVE_ALL, |id| *id.as_bytes());
    let status = filter.status.unwrap_or_default();
    let values = vec![tenant.environment.as_bytes().into(), (&after).into(), status.into(), now.into(), sql_limit(page.limit + 1).into()];
    let sql: &'static str = if filter.is_failing { &LIST_IN_TROUBLE } else { &LIST_ALL };
    let rows = db.read(Statement::new(sql, values)).await?;
    let endpoints =
        rows.into_iter().map(|row| read(db.vault(), row).map(|(endpoint, _, secret)| (endpoint, secret))).collect::<Result<_, _>>()?;
    Ok(Page::from_overlong(endpoints, page.limit))
}

/// Returns the endpoints of an application with their secrets, oldest first, for the engine's routes. With a version
/// of the application, only endpoints changed since then.
///
/// # Errors
/// Fails if the store fails.
pub async fn with_secrets_since(
    db: &dyn Database,
    tenant: Tenant,
    application: ApplicationId,
    version: Option<i64>,
) -> Result<Vec<WithSecrets>, Error> {
    let values = vec![tenant.environment.as_bytes().into(), application.as_bytes().into(), version.unwrap_or(-1).into()];
    let rows = db.read(Statement::new(&WITH_SECRETS, values)).await?;
    rows.into_iter().map(|row| read_with_secrets(db.vault(), row).map(|(found, _)| found)).collect()
}

/// Returns all endpoints of an application with their secrets, oldest first.
///
/// # Errors
/// Fails if the store fails.
pub async fn all_with_secrets(db: &dyn Database, tenant: Tenant, application: ApplicationId) -> Result<Vec<WithSecrets>, Error> {
    with_secrets_since(db, tenant, application, None).await
}

/// Returns the ids of an application's endpoints, oldest first.
///
/// # Errors
/// Fails if the store fails.
pub async fn ids(db: &dyn Database, tenant: Tenant, application: ApplicationId) -> Result<Vec<EndpointId>, Error> {
    let rows = db.read(Statement::new(IDS, vec![tenant.environment.as_bytes().into(), application.as_bytes().into()])).await?;
    rows.into_iter().map(|row| row.columns().id("endpoint id", EndpointId::from_bytes)).collect()
}

/// Returns an endpoint with all its signing secrets.
///
/// # Errors
/// Fails if the store fails.
pub async fn find_with_secrets(db: &dyn Database, key: EndpointKey) -> Result<Option<WithSecrets>, Error> {
    Ok(find_versioned_with_secrets(db, key).await?.map(|(found, _)| found))
}

/// Returns the secrets of an endpoint for display to the actor. Stores an audit entry about that first.
///
/// # Errors
/// Fails if the store fails.
pub async fn reveal_secrets(db: &dyn Database, context: &AuditContext, key: EndpointKey) -> Result<Option<WithSecrets>, Error> {
    let Some(found) = find_with_secrets(db, key).await? else { return Ok(None) };
    let change = Change::done(&Fields::default().with("application_id", key.application_id.to_string()));
    db.write("record the reveal of a secret", vec![key.entry(context, Action::EndpointRevealSecret, &change)]).await?;
    Ok(Some(found))
}

/// Result of changing an endpoint.
#[derive(Debug)]
pub enum Changed {
    /// Changed, with the new state.
    Done(Box<(Endpoint, Secret)>),
    /// No such endpoint.
    NotFound,
    /// Another endpoint of the application has the `uid`.
    UidTaken,
}

impl Changed {
    /// Returns the endpoint's new state, if it was changed.
    pub fn done(self) -> Option<(Endpoint, Secret)> {
        match self {
            Self::Done(changed) => Some(*changed),
            Self::NotFound | Self::UidTaken => None,
        }
    }
}

/// Changes an endpoint with `change`, which may refuse.
///
/// # Errors
/// Fails if the store fails, or with the error of `change`.
pub async fn update<E: From<Error>>(
    db: &dyn Database,
    context: &AuditContext,
    key: EndpointKey,
    change: impl Fn(&mut Endpoint) -> Result<(), E>,
) -> Result<Changed, E> {
    match optimistic::update_audited(db, context, key, |opened: &mut Opened| change(&mut opened.endpoint)).await? {
        Updated::Done(Opened { endpoint, secret }) => Ok(Changed::Done(Box::new((endpoint, secret)))),
        Updated::NotFound => Ok(Changed::NotFound),
        Updated::Conflict(_) => Ok(Changed::UidTaken),
    }
}

/// New secret of an endpoint.
#[derive(Debug)]
pub struct Rotation<'a> {
    /// Secret.
    pub secret: &'a Secret,
    /// End of the previous secret's use.
    pub old_until: Timestamp,
}

/// Result of a rotation.
#[derive(Debug, PartialEq, Eq)]
pub enum Rotated {
    /// The endpoint has the new secret.
    Done,
    /// No such endpoint.
    NotFound,
    /// The endpoint already has this secret.
    Same,
    /// The maximum number of rotated secrets is in use; the first of them ends at `until`.
    TooMany {
        /// End of the first secret's use.
        until: Timestamp,
    },
    /// The idempotency key already has a response.
    KeyTaken,
}

/// Gives an endpoint a new secret. The previous secret and those rotated earlier sign until their ends.
///
/// # Errors
/// Fails if the store fails.
pub async fn rotate_secret(
    db: &dyn Database,
    context: &AuditContext,
    key: EndpointKey,
    rotation: Rotation<'_>,
    response: Option<NewResponse>,
) -> Result<Rotated, Error> {
    let Rotation { secret, old_until } = rotation;
    let change = Change::done(&Fields::default().with("previous_secret_expires_at", old_until.to_string()));
    let stored = response.map(|response| idempotency::store_statements(db, key.tenant, response)).transpose()?;
    let stored: Vec<Statement> = stored.into_iter().flatten().collect();
    let key_index = stored.len().checked_sub(1);
    loop {
        let Some((found, version)) = find_versioned_with_secrets(db, key).await? else { return Ok(Rotated::NotFound) };
        if found.secret == *secret {
            return Ok(Rotated::Same);
        }
        let mut rotated = found.rotated;
        rotated.retain(|(old, until)| *until > context.at && old != secret);
        if old_until > context.at {
            rotated.push((found.secret, old_until));
        }
        if rotated.len() > SECRETS_IN_GRACE_MAX {
            let until = rotated.iter().map(|(_, until)| *until).min().unwrap_or(context.at);
            return Ok(Rotated::TooMany { until });
        }
        // A secret is sealed for its column, so the old secret is sealed again for the other column.
        let sealed = match rotated.as_slice() {
            [] => None,
            rotated => Some(db.vault().seal(&vault::previous_secrets_of(key.id), &write_rotated(rotated))?),
        };
        let new = db.vault().seal(&vault::secret_of(key.id), secret.expose())?;
        let mut values = key.values();
        values.extend([version.into(), sealed.into(), new.into(), context.at.into()]);
        let mut statements = stored.clone();
        statements.extend([
            changes::touch(key.tenant, key.application_id),
            Statement::new(ROTATE, values).required(),
            changes::record(key.tenant, key.application_id),
            key.entry(context, Action::EndpointRotateSecret, &change),
        ]);
        match sealed_write::write(db, "rotate a signing secret", statements).await? {
            Written::Committed(_) => return Ok(Rotated::Done),
            Written::Unmet(index) if Some(index) == key_index => return Ok(Rotated::KeyTaken),
            // Changed concurrently: start again from the current state.
            Written::Unmet(_) => {}
        }
    }
}

/// Returns the form in which rotated secrets are encrypted together.
fn write_rotated(rotated: &[(Secret, Timestamp)]) -> String {
    let pairs: Vec<_> = rotated.iter().map(|(secret, until)| (secret.expose(), until.as_millis())).collect();
    serde_json::to_string(&pairs).expect("texts and numbers are JSON")
}

/// Reads the form of [`write_rotated`].
fn read_rotated(text: &str) -> Result<Vec<(Secret, Timestamp)>, Error> {
    let pairs: Vec<(String, i64)> = serde_json::from_str(text).map_err(|_| Error::Unreadable { what: "previous_secrets" })?;
    Ok(pairs.into_iter().map(|(secret, until)| (Secret::new(secret), Timestamp::from_millis(until))).collect())
}

/// Deletes an endpoint, even if its secret cannot be opened. Returns whether it existed.
///
/// # Errors
/// Fails if the store fails.
pub async fn delete(db: &dyn Database, context: &AuditContext, key: EndpointKey) -> Result<bool, Error> {
    let deletion = ("delete an endpoint", Action::EndpointDelete);
    optimistic::delete_audited(db, context, deletion, key, |before: &Endpoint, version| {
        vec![
            changes::touch_deleted(key.tenant, key.application_id),
            TABLE.delete(before, version).required(),
            changes::record(key.tenant, key.application_id),
        ]
    })
    .await
}

/// Disables an active endpoint. Returns whether it was active.
///
/// # Errors
/// Fails if the store fails.
pub async fn disable(db: &dyn Database, context: &AuditContext, key: EndpointKey, reason: DisabledReason) -> Result<bool, Error> {
    let mut values = key.values();
    values.extend([reason.as_str().into(), context.at.into()]);
    key.write(db, "disable an endpoint", Statement::new(DISABLE, values), Some(disabled(context, key, reason))).await
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
    key.write(db, "disable an endpoint", Statement::new(DISABLE_FAILING, values), Some(disabled(context, key, reason))).await
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
        key.change(Statement::new(RESET_HOLD, values), Some(key.entry(context, Action::EndpointResetCircuit, &change)))
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

/// Endpoint without its secrets, found even if they cannot be opened; its `config` is then missing.
impl Versioned for Endpoint {
    type Key = EndpointKey;

    async fn find_versioned(db: &dyn Database, key: EndpointKey) -> Result<Option<(Self, i64)>, Error> {
        let rows = db.read(Statement::new(&FIND, key.values())).await?;
        let read = |row: Row| {
            let mut columns = row.columns();
            let mut endpoint = read_fields(&mut columns)?;
            let config = columns.optional_text("config")?;
            endpoint.config = match config.map(|sealed| open_config(db.vault(), &endpoint, &sealed)).transpose() {
                Err(Error::Unopened { .. }) => None,
                opened => opened?,
            };
            Ok((endpoint, columns.integer("version")?))
        };
        rows.into_iter().next().map(read).transpose()
    }

    fn entry(key: EndpointKey, context: &AuditContext, action: Action, change: &Change) -> Statement {
        key.entry(context, action, change)
    }
}

/// Endpoint with its current secret, both opened.
#[derive(Debug, Clone)]
struct Opened {
    endpoint: Endpoint,
    secret: Secret,
}

impl Audited for Opened {
    fn fields(&self) -> Fields {
        self.endpoint.fields()
    }
}

impl Versioned for Opened {
    type Key = EndpointKey;

    async fn find_versioned(db: &dyn Database, key: EndpointKey) -> Result<Option<(Self, i64)>, Error> {
        let rows = db.read(Statement::new(&FIND, key.values())).await?;
        let read = |row| read(db.vault(), row).map(|(endpoint, version, secret)| (Self { endpoint, secret }, version));
        rows.into_iter().next().map(read).transpose()
    }

    fn entry(key: EndpointKey, context: &AuditContext, action: Action, change: &Change) -> Statement {
        key.entry(context, action, change)
    }
}

impl Updatable for Opened {
    const OPERATION: &'static str = "update an endpoint";
    const ACTION: Action = Action::EndpointUpdate;

    fn update(&self, db: &dyn Database, key: EndpointKey, version: i64) -> Result<Vec<Statement>, Error> {
        let config = seal_config(db.vault(), &self.endpoint)?;
        Ok(key.change(TABLE.update(&self.endpoint, version, [config.into()]), None))
    }

    fn is_sealed(&self) -> bool {
        self.endpoint.config.is_some()
    }
}

/// Returns the sealed `config` of an endpoint.
fn seal_config(vault: &Vault, endpoint: &Endpoint) -> Result<Option<String>, Error> {
    let config = endpoint.config.as_ref().map(TargetConfig::to_stored);
    config.map(|config| vault.seal(&vault::config_of(endpoint.id), config.expose())).transpose()
}

fn open_config(vault: &Vault, endpoint: &Endpoint, sealed: &str) -> Result<TargetConfig, Error> {
    let text = vault.open(&vault::config_of(endpoint.id), sealed)?;
    TargetConfig::from_stored(endpoint.kind, &text).ok_or(Error::Unreadable { what: "config" })
}

/// Reads an endpoint and opens its `config`.
fn read_endpoint(vault: &Vault, columns: &mut Columns) -> Result<Endpoint, Error> {
    let mut endpoint = read_fields(columns)?;
    let config = columns.optional_text("config")?;
    endpoint.config = config.map(|sealed| open_config(vault, &endpoint, &sealed)).transpose()?;
    Ok(endpoint)
}

fn read_ordering(columns: &mut Columns) -> Result<Ordering, Error> {
    let (word, path) = (columns.text("ordering")?, columns.optional_text("ordering_key")?);
    Ordering::from_parts(&word, path.as_deref()).map_err(|_| Error::Unreadable { what: "ordering" })
}

fn read_batch(columns: &mut Columns) -> Result<Option<BatchPolicy>, Error> {
    let (size, wait) = (columns.optional_u32("batch_max_size")?, columns.optional_u32("batch_max_wait_ms")?);
    let policy = size.zip(wait).map(|(size, wait)| BatchPolicy::new(size, wait)).transpose();
    policy.map_err(|_| Error::Unreadable { what: "batch" })
}

fn read_hold(columns: &mut Columns) -> Result<Option<Hold>, Error> {
    let until = columns.optional_time("held_until")?;
    let reason = columns.optional_text("hold_reason")?.and_then(|word| HoldReason::parse(&word));
    let (since, probes) = (columns.optional_time("hold_since")?, columns.optional_u32("hold_probes")?);
    let hold = |(until, reason)| Hold { until, reason, since: since.unwrap_or(until), probes: probes.unwrap_or(0) };
    Ok(until.zip(reason).map(hold))
}

fn read(vault: &Vault, row: Row) -> Result<(Endpoint, i64, Secret), Error> {
    let mut columns = row.columns();
    let endpoint = read_endpoint(vault, &mut columns)?;
    let version = columns.integer("version")?;
    let secret = vault.open(&vault::secret_of(endpoint.id), &columns.text("secret")?)?;
    Ok((endpoint, version, Secret::new(secret)))
}

async fn find_versioned_with_secrets(db: &dyn Database, key: EndpointKey) -> Result<Option<(WithSecrets, i64)>, Error> {
    let rows = db.read(Statement::new(&FIND_WITH_SECRETS, key.values())).await?;
    rows.into_iter().next().map(|row| read_with_secrets(db.vault(), row)).transpose()
}

fn read_with_secrets(vault: &Vault, row: Row) -> Result<(WithSecrets, i64), Error> {
    let mut columns = row.columns();
    let endpoint = read_endpoint(vault, &mut columns)?;
    let version = columns.integer("version")?;
    let secret = Secret::new(vault.open(&vault::secret_of(endpoint.id), &columns.text("secret")?)?);
    let sealed = columns.optional_text("previous_secrets")?;
    let opened = sealed.map(|sealed| vault.open(&vault::previous_secrets_of(endpoint.id), &sealed)).transpose()?;
    let rotated = opened.map_or_else(|| Ok(Vec::new()), |text| read_rotated(&text))?;
    Ok((WithSecrets { endpoint, secret, rotated }, version))
}
