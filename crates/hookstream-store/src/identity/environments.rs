//! Environments: their limits, weight, and deletion.

use std::sync::LazyLock;

use hookstream_model::{
    base::{
        ids::{EnvironmentId, OrganizationId},
        time::Timestamp,
    },
    identity::{environment::Environment, portal::PortalTheme, tenancy::Tenant},
    operations::{
        audit_log::{Action, AuditContext, Change},
        quota::{Quota, Quotas},
    },
};

use crate::{
    db::{
        changes,
        error::Error,
        listeners,
        resource::{
            fields::resource_fields,
            optimistic::{self, Updatable, Updated, Versioned},
            table::{Column, ColumnKind, Description, ExtraColumn, Source, Table},
        },
        statement::{Database, Row, Statement, Written},
    },
    operations::{
        audit_log,
        quotas::{self, DayEvents, Guard, Reached},
    },
    outbound::{
        applications::{Created, create_with_response},
        idempotency::NewResponse,
    },
};

resource_fields!(Environment, |environment, columns| {
    fixed id: EnvironmentId;
    fixed organization_id: OrganizationId;
    changing name: String;
    changing slug: String;
    changing retention_days: Option<u32>;
    changing payload_retention_days: Option<u32>;
    changing max_payload_bytes: Option<u64>;
    changing weight: Option<u32>;
    changing portal_reveal_secrets: bool;
    changing is_production: bool;
    changing forward_trace_context: bool;
    changing portal_frame_origins: Vec<String>;
    changing portal_theme: Option<PortalTheme>;
    changing portal_url: Option<String>;
    fixed created_at: Timestamp;
    // Read from other columns ([`read`]).
    later quotas = Quotas::default();
    later deleted_at = None;
});

const DESCRIPTION: Description<Environment> = Description {
    name: "environments",
    key: &["organization_id", "id"],
    fields: FIELDS,
    // The statements that accompany each change increase the version ([`changes::of_environment`]).
    extra: &[
        ExtraColumn::version(Source::Omitted),
        ExtraColumn::unwritten("deleted_at", ColumnKind::Integer),
        ExtraColumn::unwritten("is_system", ColumnKind::Integer),
    ],
};
pub(crate) const COLUMNS: &[Column] = &DESCRIPTION.columns::<{ DESCRIPTION.width() }>();
static TABLE: Table<Environment> = Table::new(DESCRIPTION);

/// Returns the text that selects environments with the quotas of their organizations.
fn select(deleted_at: &str, rest: &str) -> String {
    let fields = TABLE.select_list("e.");
    format!(
        "select {fields}, e.version, {deleted_at}, o.quota_events_per_month, o.quota_applications, o.quota_endpoints_per_application,
            o.quota_event_types, o.quota_environments, o.quota_retention_days
            from environments e join organizations o on o.id = e.organization_id {rest}"
    )
}

/// Maximum number of listed environments of an organization.
const MAX_LISTED: i64 = 1_000;

static LIST: LazyLock<String> =
    LazyLock::new(|| select("e.deleted_at", "where e.organization_id = $1 and e.is_system = 0 order by e.id limit $2"));
static FIND: LazyLock<String> = LazyLock::new(|| select("e.deleted_at", "where e.organization_id = $1 and e.id = $2 and e.is_system = 0"));
static FIND_ANY: LazyLock<String> = LazyLock::new(|| select("e.deleted_at", "where e.id = $1"));
static OLDEST: LazyLock<String> = LazyLock::new(|| {
    select("e.deleted_at", "where e.organization_id = $1 and e.is_system = 0 and e.deleted_at is null order by e.id limit 1")
});
static ALL: LazyLock<String> = LazyLock::new(|| select("coalesce(e.deleted_at, o.deleted_at)", "order by e.id"));
/// Serializes deletions, so that one environment of an organization always remains.
const QUEUE: &str = "update organizations set name = name where id = $1 and deleted_at is null";
const DELETE: &str =
    "update environments set deleted_at = $3 where organization_id = $1 and id = $2 and version = $4 and deleted_at is null
    and (select count(*) from environments e where e.organization_id = $1 and e.is_system = 0 and e.deleted_at is null) > 1";
const RESTORE: &str = "update environments set deleted_at = null where organization_id = $1 and id = $2 and deleted_at is not null";
/// The system environment goes with its environment.
const DELETE_SYSTEM: &str = "update environments set deleted_at = $2 where id = $1";
const RESTORE_SYSTEM: &str = "update environments set deleted_at = null where id = $1";
const RECORD_APPLICATIONS: &str =
    "insert into changes (environment_id, application_id) select environment_id, id from applications where environment_id = $1";
/// Deletions of an environment's content, except its messages.
const EMPTY: [&str; 8] = [
    "delete from endpoints where environment_id = $1",
    "delete from applications where environment_id = $1",
    "delete from event_types where environment_id = $1",
    "delete from views where environment_id = $1",
    "delete from alert_rules where environment_id = $1",
    "delete from alerts where environment_id = $1",
    "delete from api_keys where environment_id = $1",
    "delete from idempotency_keys where environment_id = $1",
];
const REMOVE: &str = "delete from environments where id = $1";
/// Result of changing an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// Changed, with the new state.
    Done(Box<Environment>),
    /// No such environment.
    NotFound,
    /// Another environment of the organization has the slug.
    SlugTaken,
}

/// Returns an organization's environments, oldest first.
///
/// # Errors
/// Fails if the store fails.
pub async fn list(db: &dyn Database, organization: OrganizationId) -> Result<Vec<Environment>, Error> {
    let rows = db.read(Statement::new(&LIST, vec![organization.as_bytes().into(), MAX_LISTED.into()])).await?;
    rows.into_iter().map(|row| read(db, row).map(|(environment, _)| environment)).collect()
}

/// Returns an environment of any organization. The caller must check that it belongs to the requester.
///
/// # Errors
/// Fails if the store fails.
pub async fn find_any(db: &dyn Database, id: EnvironmentId) -> Result<Option<Environment>, Error> {
    let rows = db.read(Statement::new(&FIND_ANY, vec![id.as_bytes().into()])).await?;
    rows.into_iter().next().map(|row| read(db, row).map(|(environment, _)| environment)).transpose()
}

/// Returns an organization's oldest environment that is not deleted.
///
/// # Errors
/// Fails if the store fails.
pub async fn oldest(db: &dyn Database, organization: OrganizationId) -> Result<Option<Environment>, Error> {
    let rows = db.read(Statement::new(&OLDEST, vec![organization.as_bytes().into()])).await?;
    rows.into_iter().next().map(|row| read(db, row).map(|(environment, _)| environment)).transpose()
}

/// Creates an environment with the installation's limits.
///
/// # Errors
/// Fails if the store fails.
pub async fn create(
    db: &dyn Database,
    context: &AuditContext,
    environment: &Environment,
    tenant: Tenant,
    response: Option<NewResponse>,
) -> Result<Created, Error> {
    let created = Tenant { organization: environment.organization_id, environment: environment.id };
    let entry = audit_log::entry(created, context, Action::EnvironmentCreate, environment.id.as_bytes(), &Change::created(environment));
    let guard = Guard::of(db, created.organization, Quota::Environments);
    create_with_response(db, "create an environment", tenant, vec![TABLE.insert(environment, []), entry], Some(guard), response).await
}

/// Result of deleting an environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// Deleted.
    Done,
    /// No such environment, or it is already deleted.
    NotFound,
    /// The last environment of its organization.
    Last,
}

/// Deletes an environment: access to it ends until it is restored. Accepted messages are still delivered.
///
/// # Errors
/// Fails if the store fails.
pub async fn delete(db: &dyn Database, context: &AuditContext, tenant: Tenant) -> Result<Deleted, Error> {
    let Tenant { organization, environment } = tenant;
    let mut failed_version = None;
    loop {
        let found = Environment::find_versioned(db, tenant).await?;
        let Some((before, version)) = found.filter(|(found, _)| found.deleted_at.is_none()) else { return Ok(Deleted::NotFound) };
        // Unchanged since the deletion failed.
        if failed_version == Some(version) {
            return Ok(Deleted::Last);
        }
        let values = vec![organization.as_bytes().into(), environment.as_bytes().into(), context.at.into(), version.into()];
        let queue = Statement::new(QUEUE, vec![organization.as_bytes().into()]).required();
        let system = Statement::new(DELETE_SYSTEM, vec![environment.counterpart().as_bytes().into(), context.at.into()]);
        let mut statements = vec![queue, Statement::new(DELETE, values).required(), system];
        statements.extend(changes::of_environment(tenant));
        statements.push(audit_log::entry(tenant, context, Action::EnvironmentDelete, environment.as_bytes(), &Change::removed(&before)));
        if db.write("delete an environment", statements).await?.is_committed() {
            return Ok(Deleted::Done);
        }
        failed_version = Some(version);
    }
}

/// Result of restoring an environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restored {
    /// Restored.
    Done,
    /// No such deleted environment.
    NotFound,
    /// The organization's quota leaves no room for the environment.
    QuotaReached(Reached),
}

/// Restores a deleted environment, if the organization's quotas have room for it and its content.
///
/// # Errors
/// Fails if the store fails.
pub async fn restore(db: &dyn Database, context: &AuditContext, tenant: Tenant) -> Result<Restored, Error> {
    const GUARDED: [Quota; 3] = [Quota::Environments, Quota::Applications, Quota::EventTypes];
    let Tenant { organization, environment } = tenant;
    let guards = GUARDED.map(|quota| Guard::of(db, organization, quota));
    let mut statements: Vec<_> = guards.iter().map(Guard::queue).collect();
    statements.push(Statement::new(RESTORE, vec![organization.as_bytes().into(), environment.as_bytes().into()]).required());
    statements.push(Statement::new(RESTORE_SYSTEM, vec![environment.counterpart().as_bytes().into()]));
    statements.extend(changes::of_environment(tenant));
    statements.push(audit_log::entry(tenant, context, Action::EnvironmentRestore, environment.as_bytes(), &Change::default()));
    let first_guard = statements.len();
    statements.extend(guards.iter().map(Guard::check));
    match db.write("restore an environment", statements).await? {
        Written::Committed(_) => Ok(Restored::Done),
        Written::Unmet(index) if index >= first_guard => Ok(Restored::QuotaReached(guards[index - first_guard].reached(db, 0).await?)),
        Written::Unmet(_) => Ok(Restored::NotFound),
    }
}

/// Deletes an environment's content except its messages; pending deliveries end as cancelled.
///
/// # Errors
/// Fails if the store fails.
pub async fn empty(db: &dyn Database, id: EnvironmentId) -> Result<(), Error> {
    let mut statements = vec![Statement::new(RECORD_APPLICATIONS, vec![id.as_bytes().into()]).announces(listeners::Change::Several)];
    statements.extend(EMPTY.map(|sql| Statement::new(sql, vec![id.as_bytes().into()])));
    db.write("delete the content of an environment", statements).await?;
    Ok(())
}

/// Removes an empty environment. Its `events` of days that a quota may concern stay counted.
///
/// # Errors
/// Fails if the store fails.
pub async fn remove(db: &dyn Database, id: EnvironmentId, events: &[DayEvents]) -> Result<(), Error> {
    let mut statements: Vec<_> = events.iter().filter(|of_day| of_day.environment == id).map(quotas::keep_events).collect();
    statements.push(Statement::new(REMOVE, vec![id.as_bytes().into()]));
    db.write("remove an environment", statements).await?;
    Ok(())
}

/// Returns one of an organization's environments.
///
/// # Errors
/// Fails if the store fails.
pub async fn find(db: &dyn Database, organization: OrganizationId, id: EnvironmentId) -> Result<Option<Environment>, Error> {
    let tenant = Tenant { organization, environment: id };
    Ok(Environment::find_versioned(db, tenant).await?.map(|(environment, _)| environment))
}

/// Returns all environments, for the enforcement of their limits.
///
/// # Errors
/// Fails if the store fails.
pub async fn all(db: &dyn Database) -> Result<Vec<Environment>, Error> {
    db.read(Statement::new(&ALL, vec![])).await?.into_iter().map(|row| read(db, row).map(|(environment, _)| environment)).collect()
}

/// Changes an environment with `change`, which may refuse.
///
/// # Errors
/// Fails if the store fails, or with the error of `change`.
pub async fn update<E: From<Error>>(
    db: &dyn Database,
    context: &AuditContext,
    tenant: Tenant,
    change: impl Fn(&mut Environment) -> Result<(), E>,
) -> Result<Changed, E> {
    match optimistic::update_audited(db, context, tenant, change).await? {
        Updated::Done(environment) => Ok(Changed::Done(Box::new(environment))),
        Updated::NotFound => Ok(Changed::NotFound),
        Updated::Conflict(_) => Ok(Changed::SlugTaken),
    }
}

impl Versioned for Environment {
    type Key = Tenant;

    async fn find_versioned(db: &dyn Database, tenant: Tenant) -> Result<Option<(Self, i64)>, Error> {
        let values = vec![tenant.organization.as_bytes().into(), tenant.environment.as_bytes().into()];
        let rows = db.read(Statement::new(&FIND, values)).await?;
        rows.into_iter().next().map(|row| read(db, row)).transpose()
    }

    fn entry(tenant: Tenant, context: &AuditContext, action: Action, change: &Change) -> Statement {
        audit_log::entry(tenant, context, action, tenant.environment.as_bytes(), change)
    }
}

impl Updatable for Environment {
    const OPERATION: &'static str = "update an environment";
    const ACTION: Action = Action::EnvironmentUpdate;

    fn update(&self, _: &dyn Database, tenant: Tenant, version: i64) -> Result<Vec<Statement>, Error> {
        let mut statements = vec![TABLE.update(self, version, []).required()];
        // The version increases, so that none of two concurrent changes is lost.
        statements.extend(changes::of_environment(tenant));
        Ok(statements)
    }
}

fn read(db: &dyn Database, row: Row) -> Result<(Environment, i64), Error> {
    let mut columns = row.columns();
    let mut environment = read_fields(&mut columns)?;
    let version = columns.integer("version")?;
    environment.deleted_at = columns.optional_time("deleted_at")?;
    environment.quotas = quotas::read(&mut columns)?.or(&db.installation_quotas().get());
    Ok((environment, version))
}
