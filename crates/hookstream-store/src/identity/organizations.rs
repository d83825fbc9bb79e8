//! Organizations, each created with its first environment.

use std::sync::LazyLock;

use hookstream_model::{
    base::{
        ids::{EnvironmentId, OrganizationId, UserId},
        time::Timestamp,
    },
    identity::{member::Role, organization::Organization, tenancy::Tenant},
    operations::audit_log::{Action, AuditContext, Change},
};

use crate::{
    db::{
        error::Error,
        listeners,
        page::sql_limit,
        resource::{
            fields::resource_fields,
            table::{Column, ColumnKind, Description, ExtraColumn, Table},
        },
        statement::{Database, Row, Statement},
    },
    identity::members,
    operations::audit_log,
};

resource_fields!(Organization, |organization, columns| {
    fixed id: OrganizationId;
    changing name: String;
    fixed created_at: Timestamp;
    changing deleted_at: Option<Timestamp>;
});

const DESCRIPTION: Description<Organization> = Description {
    name: "organizations",
    key: &["id"],
    fields: FIELDS,
    // The quotas ([`quotas`](crate::operations::quotas)); null means the installation's.
    extra: &[
        ExtraColumn::unwritten("quota_events_per_month", ColumnKind::Integer),
        ExtraColumn::unwritten("quota_applications", ColumnKind::Integer),
        ExtraColumn::unwritten("quota_endpoints_per_application", ColumnKind::Integer),
        ExtraColumn::unwritten("quota_event_types", ColumnKind::Integer),
        ExtraColumn::unwritten("quota_environments", ColumnKind::Integer),
        ExtraColumn::unwritten("quota_retention_days", ColumnKind::Integer),
    ],
};
pub(crate) const COLUMNS: &[Column] = &DESCRIPTION.columns::<{ DESCRIPTION.width() }>();
static TABLE: Table<Organization> = Table::new(DESCRIPTION);

static FIND: LazyLock<String> = LazyLock::new(|| TABLE.select("", "id = $1"));
static OF_USER: LazyLock<String> = LazyLock::new(|| {
    let fields = TABLE.select_list("o.");
    format!(
        "select {fields}, m.role from members m join organizations o on o.id = m.organization_id
            where m.user_id = $1 order by o.id limit 1000"
    )
});
static DELETED_BEFORE: LazyLock<String> = LazyLock::new(|| {
    TABLE.select("", "deleted_at < $1 and not exists (select 1 from environments e where e.organization_id = organizations.id) limit 1000")
});
const INSERT_ENVIRONMENT: &str = "insert into environments (id, organization_id, name, slug, created_at, version, is_production)
    values ($1, $2, $3, $4, $5, 1, 1)";
const TAKE_DEFAULT: &str = "insert into settings (name, value) values ('default_organization', $1) on conflict do nothing";
const VERSION: &str = "select version from environments where id = $1";
const FIRST: &str = "select e.organization_id, e.id from environments e join organizations o on o.id = e.organization_id
    where e.is_system = 0 and e.deleted_at is null and o.deleted_at is null order by e.id limit 1";
const ANY: &str = "select id from organizations limit 1";
const IDS: &str = "select id from organizations where deleted_at is null order by id limit $1";
/// Renames an organization whose name is unchanged since it was read, so that the audit entry shows the former name.
const RENAME: &str = "update organizations set name = $3 where id = $1 and name = $2 and deleted_at is null";
const DELETE: &str = "update organizations set deleted_at = $3 where id = $1 and name = $2 and deleted_at is null";
const RESTORE: &str = "update organizations set deleted_at = null where id = $1 and deleted_at is not null";
/// Records changes of all environments, because cached API keys become invalid or valid again.
const RECORD: &str = "insert into changes (environment_id) select id from environments where organization_id = $1";
const REMOVE: [&str; 4] = [
    "delete from invitations where organization_id = $1",
    "delete from members where organization_id = $1",
    "delete from event_counts where organization_id = $1",
    "delete from organizations where id = $1 and deleted_at is not null",
];

/// Name of the organization that the first start creates.
pub const DEFAULT_ORGANIZATION: &str = "default";
/// Name and slug of its environment.
pub const DEFAULT_ENVIRONMENT: &str = "production";

/// Creates the organization `default` with the environment `production`, unless that was done before. Returns whether
/// this call created it: of two nodes that start at the same time, one does.
///
/// # Errors
/// Fails if the store fails.
pub async fn create_default(db: &dyn Database, tenant: Tenant, now: Timestamp) -> Result<bool, Error> {
    let mut statements = vec![Statement::new(TAKE_DEFAULT, vec![now.to_string().into()]).required()];
    statements.extend(inserts(tenant, DEFAULT_ORGANIZATION, DEFAULT_ENVIRONMENT, now));
    Ok(db.write("create the default organization", statements).await?.is_committed())
}

/// Creates an organization with an environment.
///
/// # Errors
/// Fails if the store fails.
pub async fn create(db: &dyn Database, tenant: Tenant, name: &str, environment: &str, now: Timestamp) -> Result<(), Error> {
    db.write("create an organization", inserts(tenant, name, environment, now).into()).await?;
    Ok(())
}

/// Creates an organization with an environment and its first owner.
///
/// # Errors
/// Fails if the store fails.
pub async fn create_owned(
    db: &dyn Database,
    context: &AuditContext,
    tenant: Tenant,
    name: &str,
    owner: UserId,
) -> Result<Organization, Error> {
    let now = context.at;
    let created = Organization { id: tenant.organization, name: name.to_owned(), created_at: now, deleted_at: None };
    let mut statements: Vec<_> = inserts(tenant, name, DEFAULT_ENVIRONMENT, now).into();
    statements.push(members::insert(tenant.organization, owner, Role::Owner, now));
    statements.push(entry(created.id, context, Action::OrganizationCreate, &Change::created(&created)));
    db.write("create an organization", statements).await?;
    Ok(created)
}

fn inserts(tenant: Tenant, name: &str, environment: &str, now: Timestamp) -> [Statement; 2] {
    let Tenant { organization, environment: environment_id } = tenant;
    [
        TABLE.insert(&Organization { id: organization, name: name.to_owned(), created_at: now, deleted_at: None }, []),
        Statement::new(
            INSERT_ENVIRONMENT,
            vec![environment_id.as_bytes().into(), organization.as_bytes().into(), environment.into(), environment.into(), now.into()],
        ),
    ]
}

/// Returns the oldest environment that is not deleted, if any: usually the one of the first start.
///
/// # Errors
/// Fails if the store fails.
pub async fn first(db: &dyn Database) -> Result<Option<Tenant>, Error> {
    let rows = db.read(Statement::new(FIRST, vec![])).await?;
    rows.into_iter().next().map(read_tenant).transpose()
}

/// Returns whether any organization exists, deleted or not.
///
/// # Errors
/// Fails if the store fails.
pub async fn is_any(db: &dyn Database) -> Result<bool, Error> {
    Ok(!db.read(Statement::new(ANY, vec![])).await?.is_empty())
}

/// Returns the ids of the oldest organizations that are not deleted, at most `limit`.
///
/// # Errors
/// Fails if the store fails.
pub async fn ids(db: &dyn Database, limit: usize) -> Result<Vec<OrganizationId>, Error> {
    let rows = db.read(Statement::new(IDS, vec![sql_limit(limit).into()])).await?;
    rows.into_iter().map(|row| row.columns().id("organization id", OrganizationId::from_bytes)).collect()
}

/// Returns an organization, deleted or not.
///
/// # Errors
/// Fails if the store fails.
pub async fn find(db: &dyn Database, id: OrganizationId) -> Result<Option<Organization>, Error> {
    let rows = db.read(Statement::new(&FIND, vec![id.as_bytes().into()])).await?;
    rows.into_iter().next().map(|row| read_fields(&mut row.columns())).transpose()
}

/// Returns the organizations of a user, including deleted ones, with the user's role; oldest first.
///
/// # Errors
/// Fails if the store fails.
pub async fn of_user(db: &dyn Database, user: UserId) -> Result<Vec<(Organization, Role)>, Error> {
    let read = |row: Row| {
        let mut columns = row.columns();
        Ok((read_fields(&mut columns)?, columns.word("role", Role::parse)?))
    };
    db.read(Statement::new(&OF_USER, vec![user.as_bytes().into()])).await?.into_iter().map(read).collect()
}

/// Renames an organization. Returns whether it exists and is not deleted.
///
/// # Errors
/// Fails if the store fails.
pub async fn rename(db: &dyn Database, context: &AuditContext, id: OrganizationId, name: &str) -> Result<bool, Error> {
    while let Some(before) = find_open(db, id).await? {
        let values = vec![id.as_bytes().into(), before.name.as_str().into(), name.into()];
        let mut statements = vec![Statement::new(RENAME, values).required()];
        let after = Organization { name: name.to_owned(), ..before.clone() };
        statements.extend(Change::between(&before, &after).map(|change| entry(id, context, Action::OrganizationUpdate, &change)));
        if db.write("rename an organization", statements).await?.is_committed() {
            return Ok(true);
        }
        // Changed concurrently: start again from the current state.
    }
    Ok(false)
}

/// Deletes an organization: access to it ends until it is restored. Returns whether it existed.
///
/// # Errors
/// Fails if the store fails.
pub async fn delete(db: &dyn Database, context: &AuditContext, id: OrganizationId) -> Result<bool, Error> {
    while let Some(before) = find_open(db, id).await? {
        let values = vec![id.as_bytes().into(), before.name.as_str().into(), context.at.into()];
        let entry = entry(id, context, Action::OrganizationDelete, &Change::removed(&before));
        let statements = vec![Statement::new(DELETE, values).required(), record(id), entry];
        if db.write("delete an organization", statements).await?.is_committed() {
            return Ok(true);
        }
        // Changed concurrently: the audit entry must show the final state.
    }
    Ok(false)
}

/// Restores a deleted organization. Returns whether it was deleted and still exists.
///
/// # Errors
/// Fails if the store fails.
pub async fn restore(db: &dyn Database, context: &AuditContext, id: OrganizationId) -> Result<bool, Error> {
    let restore = Statement::new(RESTORE, vec![id.as_bytes().into()]).required();
    let entry = entry(id, context, Action::OrganizationRestore, &Change::default());
    Ok(db.write("restore an organization", vec![restore, record(id), entry]).await?.is_committed())
}

async fn find_open(db: &dyn Database, id: OrganizationId) -> Result<Option<Organization>, Error> {
    Ok(find(db, id).await?.filter(|found| found.deleted_at.is_none()))
}

fn entry(id: OrganizationId, context: &AuditContext, action: Action, change: &Change) -> Statement {
    audit_log::entry_of_organization(id, context, action, id.as_bytes(), change)
}

/// Returns the statement that makes other nodes reload an organization.
pub(crate) fn record(id: OrganizationId) -> Statement {
    Statement::new(RECORD, vec![id.as_bytes().into()]).announces(listeners::Change::Several)
}

/// Permanently removes organizations that were deleted before this time and have no environment left. Returns their ids.
///
/// # Errors
/// Fails if the store fails.
pub async fn remove_deleted(db: &dyn Database, before: Timestamp) -> Result<Vec<OrganizationId>, Error> {
    let mut removed = Vec::new();
    for row in db.read(Statement::new(&DELETED_BEFORE, vec![before.into()])).await? {
        let Organization { id, .. } = read_fields(&mut row.columns())?;
        let statements = REMOVE.map(|sql| Statement::new(sql, vec![id.as_bytes().into()]));
        db.write("remove an organization", statements.into()).await?;
        removed.push(id);
    }
    Ok(removed)
}

/// Returns the version of an environment's event types; 0 for an unknown environment.
///
/// # Errors
/// Fails if the store fails.
pub async fn version(db: &dyn Database, environment: EnvironmentId) -> Result<i64, Error> {
    let rows = db.read(Statement::new(VERSION, vec![environment.as_bytes().into()])).await?;
    rows.into_iter().next().map_or(Ok(0), |row| row.columns().integer("version"))
}

fn read_tenant(row: Row) -> Result<Tenant, Error> {
    let mut columns = row.columns();
    Ok(Tenant {
        organization: columns.id("organization id", OrganizationId::from_bytes)?,
        environment: columns.id("environment id", EnvironmentId::from_bytes)?,
    })
}
