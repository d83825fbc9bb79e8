//! Environments: their limits, weight, and deletion.

use hookstream_model::{
    base::ids::{EnvironmentId, OrganizationId},
    identity::{environment::Environment, tenancy::Tenant},
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
        statement::{Columns, Database, Row, Statement, Value, Written},
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

macro_rules! columns {
    () => {
        "e.id, e.organization_id, e.name, e.slug, e.retention_days, e.payload_retention_days, e.max_payload_bytes, e.weight,
            e.portal_reveal_secrets, e.created_at, e.version, o.quota_events_per_month, o.quota_applications, o.quota_endpoints_per_application, o.quota_event_types,
            o.quota_environments, o.quota_retention_days"
    };
}

macro_rules! select {
    ($deleted_at:literal, $rest:literal) => {
        concat!("select ", $deleted_at, ", ", columns!(), " from environments e join organizations o on o.id = e.organization_id ", $rest)
    };
}

/// Maximum number of listed environments of an organization.
const MAX_LISTED: i64 = 1_000;

const LIST: &str = select!("e.deleted_at", "where e.organization_id = $1 order by e.id limit $2");
const FIND: &str = select!("e.deleted_at", "where e.organization_id = $1 and e.id = $2");
const FIND_ANY: &str = select!("e.deleted_at", "where e.id = $1");
const OLDEST: &str = select!("e.deleted_at", "where e.organization_id = $1 and e.deleted_at is null order by e.id limit 1");
const ALL: &str = select!("coalesce(e.deleted_at, o.deleted_at)", "order by e.id");
const INSERT: &str = "insert into environments (id, organization_id, name, slug, created_at, version) values ($1, $2, $3, $4, $5, 1)";
/// Serializes deletions, so that one environment of an organization always remains.
const QUEUE: &str = "update organizations set name = name where id = $1 and deleted_at is null";
const DELETE: &str =
    "update environments set deleted_at = $3 where organization_id = $1 and id = $2 and version = $4 and deleted_at is null
    and (select count(*) from environments e where e.organization_id = $1 and e.deleted_at is null) > 1";
const RESTORE: &str = "update environments set deleted_at = null where organization_id = $1 and id = $2 and deleted_at is not null";
const RECORD_APPLICATIONS: &str =
    "insert into changes (environment_id, application_id) select environment_id, id from applications where environment_id = $1";
/// Deletions of an environment's content, except its messages.
const EMPTY: [&str; 5] = [
    "delete from endpoints where environment_id = $1",
    "delete from applications where environment_id = $1",
    "delete from event_types where environment_id = $1",
    "delete from api_keys where environment_id = $1",
    "delete from idempotency_keys where environment_id = $1",
];
const REMOVE: &str = "delete from environments where id = $1";
const UPDATE: &str = "update environments set name = $4, slug = $5, retention_days = $6, payload_retention_days = $7,
        max_payload_bytes = $8, weight = $9, portal_reveal_secrets = $10
    where organization_id = $1 and id = $2 and version = $3";

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
    let rows = db.read(Statement::new(LIST, vec![organization.as_bytes().into(), MAX_LISTED.into()])).await?;
    rows.into_iter().map(|row| read(db, row).map(|(environment, _)| environment)).collect()
}

/// Returns an environment of any organization. The caller must check that it belongs to the requester.
///
/// # Errors
/// Fails if the store fails.
pub async fn find_any(db: &dyn Database, id: EnvironmentId) -> Result<Option<Environment>, Error> {
    let rows = db.read(Statement::new(FIND_ANY, vec![id.as_bytes().into()])).await?;
    rows.into_iter().next().map(|row| read(db, row).map(|(environment, _)| environment)).transpose()
}

/// Returns an organization's oldest environment that is not deleted.
///
/// # Errors
/// Fails if the store fails.
pub async fn oldest(db: &dyn Database, organization: OrganizationId) -> Result<Option<Environment>, Error> {
    let rows = db.read(Statement::new(OLDEST, vec![organization.as_bytes().into()])).await?;
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
    let values = vec![
        environment.id.as_bytes().into(),
        environment.organization_id.as_bytes().into(),
        environment.name.as_str().into(),
        environment.slug.as_str().into(),
        environment.created_at.into(),
    ];
    let created = Tenant { organization: environment.organization_id, environment: environment.id };
    let entry = audit_log::entry(created, context, Action::EnvironmentCreate, environment.id.as_bytes(), &Change::made(environment));
    let guard = Guard::of(db, created.organization, Quota::Environments);
    create_with_response(db, "create an environment", tenant, vec![Statement::new(INSERT, values), entry], Some(guard), response).await
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
        let found = find_versioned(db, organization, environment).await?;
        let Some((before, version)) = found.filter(|(found, _)| found.deleted_at.is_none()) else { return Ok(Deleted::NotFound) };
        // Unchanged since the deletion failed.
        if failed_version == Some(version) {
            return Ok(Deleted::Last);
        }
        let values = vec![organization.as_bytes().into(), environment.as_bytes().into(), context.at.into(), version.into()];
        let queue = Statement::new(QUEUE, vec![organization.as_bytes().into()]).required();
        let mut statements = vec![queue, Statement::new(DELETE, values).required()];
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
    Ok(find_versioned(db, organization, id).await?.map(|(environment, _)| environment))
}

/// Returns all environments, for the enforcement of their limits.
///
/// # Errors
/// Fails if the store fails.
pub async fn all(db: &dyn Database) -> Result<Vec<Environment>, Error> {
    db.read(Statement::new(ALL, vec![])).await?.into_iter().map(|row| read(db, row).map(|(environment, _)| environment)).collect()
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
    let Tenant { organization, environment: id } = tenant;
    loop {
        let Some((before, version)) = find_versioned(db, organization, id).await? else { return Ok(Changed::NotFound) };
        let mut environment = before.clone();
        change(&mut environment)?;
        let values = vec![
            organization.as_bytes().into(),
            id.as_bytes().into(),
            version.into(),
            environment.name.as_str().into(),
            environment.slug.as_str().into(),
            environment.retention_days.into(),
            environment.payload_retention_days.into(),
            environment.max_payload_bytes.map_or(Value::Null, |bytes| Value::Integer(i64::try_from(bytes).unwrap_or(i64::MAX))),
            environment.weight.into(),
            i64::from(environment.portal_reveal_secrets).into(),
        ];
        let mut statements = vec![Statement::new(UPDATE, values).required()];
        // The version increases, so that none of two concurrent changes is lost.
        statements.extend(changes::of_environment(tenant));
        if let Some(change) = Change::between(&before, &environment) {
            statements.push(audit_log::entry(tenant, context, Action::EnvironmentUpdate, id.as_bytes(), &change));
        }
        match db.write("update an environment", statements).await {
            Ok(written) if written.is_committed() => return Ok(Changed::Done(Box::new(environment))),
            // Changed concurrently: start again from the current state.
            Ok(_) => {}
            Err(Error::Conflict { .. }) => return Ok(Changed::SlugTaken),
            Err(error) => return Err(error.into()),
        }
    }
}

async fn find_versioned(db: &dyn Database, organization: OrganizationId, id: EnvironmentId) -> Result<Option<(Environment, i64)>, Error> {
    let rows = db.read(Statement::new(FIND, vec![organization.as_bytes().into(), id.as_bytes().into()])).await?;
    rows.into_iter().next().map(|row| read(db, row)).transpose()
}

fn read(db: &dyn Database, row: Row) -> Result<(Environment, i64), Error> {
    let mut columns: Columns = row.columns();
    let deleted_at = columns.optional_time("deleted_at")?;
    let environment = Environment {
        id: columns.id("environment id", EnvironmentId::from_bytes)?,
        organization_id: columns.id("organization id", OrganizationId::from_bytes)?,
        name: columns.text("name")?,
        slug: columns.text("slug")?,
        retention_days: columns.optional_u32("retention_days")?,
        payload_retention_days: columns.optional_u32("payload_retention_days")?,
        max_payload_bytes: columns
            .optional_integer("max_payload_bytes")?
            .map(|bytes| u64::try_from(bytes).map_err(|_| Error::Unreadable { what: "max_payload_bytes" }))
            .transpose()?,
        weight: columns.optional_u32("weight")?,
        portal_reveal_secrets: columns.integer("portal_reveal_secrets")? != 0,
        created_at: columns.time("created_at")?,
        deleted_at,
        quotas: Quotas::default(),
    };
    let version = columns.integer("version")?;
    let quotas = quotas::read(&mut columns)?.or(&db.installation_quotas().get());
    Ok((Environment { quotas, ..environment }, version))
}
