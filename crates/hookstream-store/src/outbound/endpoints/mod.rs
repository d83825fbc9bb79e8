//! Endpoints: their columns, creation, changes and deletion. Signing secrets and `config` are sealed in the rows ([`vault`]).

/// Version of an endpoint's application ([`changes::touch`]).
macro_rules! application_version {
    () => {
        "(select a.version from applications a where a.id = endpoints.application_id)"
    };
}

/// Last assignments of an update: the endpoint's version and its application's version.
macro_rules! set_version {
    () => {
        concat!("version = version + 1, changed_at_version = ", application_version!())
    };
}

mod findings;
mod lists;
mod secrets;

use std::{collections::BTreeMap, sync::LazyLock};

use hookstream_model::{
    base::{
        ids::{ApplicationId, EndpointId, ResourceId},
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
    operations::{
        audit_log::{
            Action, AuditContext, Change,
            fields::{Audited, Fields},
        },
        operational_event::EndpointCause,
    },
    outbound::{
        endpoint::{Endpoint, EndpointStatus, EndpointUrl},
        signature::SigningAlgorithm,
        target::{TargetConfig, TargetKind},
    },
};

use crate::{
    db::{
        changes,
        error::Error,
        listeners::{EndpointChange, EndpointChangeKind},
        resource::{
            fields::resource_fields,
            optimistic::{self, Updatable, Updated, Versioned},
            table::{Column, ColumnKind, Description, ExtraColumn, Source, Table},
        },
        statement::{Columns, Database, Row, Statement, Value},
        vault::{self, Vault},
    },
    delivery::outbox,
    operations::{
        audit_log::{self, AboutEndpoint},
        quotas::Guard,
    },
    outbound::{
        applications::{Created, create_with_response, read_tenant},
        idempotency::NewResponse,
    },
};

pub use self::{
    findings::{disable, disable_failing, record_health, record_holds, reset_hold},
    lists::{EndpointFilter, count, find_in_environment, ids, list, list_all},
    secrets::{Rotated, Rotation, WithSecrets, all_with_secrets, find_with_secrets, reveal_secrets, rotate_secret, with_secrets_since},
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

static FIND: LazyLock<String> = LazyLock::new(|| TABLE.select(WITH_SECRET, "environment_id = $1 and application_id = $2 and id = $3"));

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
        let about = AboutEndpoint { application: self.application_id, endpoint: self.id };
        audit_log::entry_of_endpoint(self.tenant, about, context, action, self.id.as_bytes(), change)
    }

    /// Returns the statements that write the operational events of a change.
    fn events(self, context: &AuditContext, action: Action, change: &Change) -> Vec<Statement> {
        let events = self.cause(ResourceId::from_bytes(*context.entry.as_bytes()), context.at).events(action, change);
        events.iter().map(outbox::event).collect()
    }

    /// Returns the cause of operational events about the endpoint.
    pub(crate) const fn cause(self, id: ResourceId, at: Timestamp) -> EndpointCause {
        EndpointCause { id, tenant: self.tenant, application: self.application_id, endpoint: self.id, at }
    }

    /// Runs a statement that changes the endpoint, with its audit entry, and notifies other processes. Returns
    /// whether the endpoint was changed.
    async fn write(
        self,
        db: &dyn Database,
        operation: &'static str,
        kind: EndpointChangeKind,
        statement: Statement,
        further: impl IntoIterator<Item = Statement> + Send,
    ) -> Result<bool, Error> {
        Ok(db.write(operation, self.change(kind, statement, further)).await?.is_committed())
    }

    /// Returns the statements of [`Self::write`].
    fn change(self, kind: EndpointChangeKind, statement: Statement, further: impl IntoIterator<Item = Statement>) -> Vec<Statement> {
        let touch = changes::touch(self.tenant, self.application_id);
        let mut statements = vec![touch, statement.required(), self.record(kind)];
        statements.extend(further);
        statements
    }

    /// Returns the statement that notifies other processes of a change.
    fn record(self, kind: EndpointChangeKind) -> Statement {
        let Self { tenant, application_id, id } = self;
        changes::record_endpoint(EndpointChange { tenant, application_id, id, kind })
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
    let key = EndpointKey::from(endpoint);
    let change = Change::created(endpoint);
    let entry = key.entry(context, Action::EndpointCreate, &change);
    let touch = changes::touch(key.tenant, key.application_id);
    let mut statements = vec![touch, insert, key.record(EndpointChangeKind::Created), entry];
    statements.extend(key.events(context, Action::EndpointCreate, &change));
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
            key.record(EndpointChangeKind::Deleted),
        ]
    })
    .await
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

    fn events(key: EndpointKey, context: &AuditContext, action: Action, change: &Change) -> Vec<Statement> {
        key.events(context, action, change)
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

    fn events(key: EndpointKey, context: &AuditContext, action: Action, change: &Change) -> Vec<Statement> {
        key.events(context, action, change)
    }
}

impl Updatable for Opened {
    const OPERATION: &'static str = "update an endpoint";
    const ACTION: Action = Action::EndpointUpdate;

    fn update(&self, db: &dyn Database, key: EndpointKey, version: i64) -> Result<Vec<Statement>, Error> {
        let config = seal_config(db.vault(), &self.endpoint)?;
        Ok(key.change(EndpointChangeKind::Updated, TABLE.update(&self.endpoint, version, [config.into()]), []))
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
