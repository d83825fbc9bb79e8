//! Applications.

use hookstream_model::{
    base::ids::{ApplicationId, EnvironmentId, OrganizationId},
    identity::tenancy::Tenant,
    operations::{
        audit_log::{Action, AuditContext, Change},
        quota::Quota,
    },
    outbound::application::{Application, ApplicationStatus},
};

use crate::{
    db::{
        changes,
        error::Error,
        page::{ABOVE_ALL, Page, PageRequest, sql_limit},
        sealed_write,
        statement::{Columns, Database, Row, Statement, Value, Written},
    },
    operations::{
        audit_log,
        quotas::{Guard, Reached},
    },
    outbound::idempotency::{self, NewResponse},
};

macro_rules! columns {
    () => {
        "id, organization_id, environment_id, name, uid, description, metadata, status, rate_limit, created_at, updated_at"
    };
}

const INSERT: &str =
    concat!("insert into applications (", columns!(), ", version, search) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 1, $12)");
const FIND: &str = concat!("select ", columns!(), ", version from applications where environment_id = $1 and id = $2");
const FIND_BY_UID: &str = concat!("select ", columns!(), ", version from applications where environment_id = $1 and uid = $2");
const IS_OPEN: &str = "select a.status from applications a join environments e on e.id = a.environment_id
    join organizations o on o.id = e.organization_id
    where a.environment_id = $1 and a.id = $2 and e.organization_id = $3 and e.deleted_at is null and o.deleted_at is null";
const FIND_ANY: &str = concat!("select ", columns!(), ", version, endpoints_deleted_at_version from applications where id = $1");
const LIST: &str =
    concat!("select ", columns!(), ", version from applications where environment_id = $1 and id < $2 order by id desc limit $3");
const SEARCH: &str = concat!(
    "select ",
    columns!(),
    ", version from applications where environment_id = $1 and id < $2 and search like $4 escape '\\' order by id desc limit $3"
);
const UPDATE: &str = "update applications set name = $4, description = $5, metadata = $6, status = $7, rate_limit = $8, updated_at = $9,
    uid = $10, search = $11, version = version + 1 where environment_id = $1 and id = $2 and version = $3";
const DELETE: &str = "delete from applications where environment_id = $1 and id = $2 and version = $3";
const DELETE_ENDPOINTS: &str = "delete from endpoints where environment_id = $1 and application_id = $2";
const COUNT_ENDPOINTS: &str = "select count(*) from endpoints where environment_id = $1 and application_id = $2";

/// Result of creating a resource with unique fields.
#[derive(Debug, PartialEq, Eq)]
pub enum Created {
    /// Stored.
    Stored,
    /// The name or uid is taken.
    NameTaken,
    /// The idempotency key already has a response.
    KeyTaken,
    /// The organization's quota is used up.
    QuotaReached(Reached),
}

/// Runs the statements that create a resource, together with its response, if the quota allows one more.
pub(crate) async fn create_with_response(
    db: &dyn Database,
    operation: &'static str,
    tenant: Tenant,
    inserts: Vec<Statement>,
    guard: Option<Guard>,
    response: Option<NewResponse>,
) -> Result<Created, Error> {
    let stored = response.map(|response| idempotency::store_statements(db, tenant, response)).transpose()?;
    // The key comes first: a repeated request gets its first response again, whatever the quota allows by now.
    let mut statements: Vec<Statement> = stored.into_iter().flatten().collect();
    statements.extend(guard.as_ref().map(Guard::queue));
    statements.extend(inserts);
    let check = statements.len();
    statements.extend(guard.as_ref().map(Guard::checks).into_iter().flatten());
    match (sealed_write::write(db, operation, statements).await, guard) {
        (Ok(Written::Committed(_)), _) => Ok(Created::Stored),
        (Ok(Written::Unmet(index)), Some(guard)) if index >= check => guard.reached(db, index - check).await.map(Created::QuotaReached),
        (Ok(Written::Unmet(_)), _) => Ok(Created::KeyTaken),
        (Err(Error::Conflict { .. }), _) => Ok(Created::NameTaken),
        (Err(error), _) => Err(error),
    }
}

/// Stores an application, unless its `uid` is taken.
///
/// # Errors
/// Fails if the store fails.
pub async fn create(
    db: &dyn Database,
    context: &AuditContext,
    application: &Application,
    response: Option<NewResponse>,
) -> Result<Created, Error> {
    let insert = Statement::new(
        INSERT,
        vec![
            application.id.as_bytes().into(),
            application.tenant.organization.as_bytes().into(),
            application.tenant.environment.as_bytes().into(),
            application.name.as_str().into(),
            application.uid.as_deref().into(),
            application.description.as_deref().into(),
            application.metadata.as_deref().into(),
            application.status.as_str().into(),
            application.rate_limit.into(),
            application.created_at.into(),
            application.updated_at.into(),
            search_text(application).into(),
        ],
    );
    let change = Change::made(application);
    let entry = audit_log::entry(application.tenant, context, Action::ApplicationCreate, application.id.as_bytes(), &change);
    let guard = Guard::of(db, application.tenant.organization, Quota::Applications);
    create_with_response(db, "store an application", application.tenant, vec![insert, entry], Some(guard), response).await
}

/// Returns the application with this id.
///
/// # Errors
/// Fails if the store fails.
pub async fn find(db: &dyn Database, tenant: Tenant, id: ApplicationId) -> Result<Option<Application>, Error> {
    Ok(find_versioned(db, tenant, id).await?.map(|(application, _)| application))
}

/// Returns the application with this `uid`.
///
/// # Errors
/// Fails if the store fails.
pub async fn find_by_uid(db: &dyn Database, tenant: Tenant, uid: &str) -> Result<Option<Application>, Error> {
    let rows = db.read(Statement::new(FIND_BY_UID, vec![tenant.environment.as_bytes().into(), uid.into()])).await?;
    Ok(rows.into_iter().next().map(read).transpose()?.map(|(application, _)| application))
}

/// Application with the versions that the engine needs.
#[derive(Debug)]
pub struct ForEngine {
    /// Application.
    pub application: Application,
    /// Version, which increases with each change of the application or one of its endpoints.
    pub version: i64,
    /// Version of the last deletion of an endpoint.
    pub endpoints_deleted_at: i64,
}

/// Returns the application with this id, of any tenant. Only for the engine, which works for all tenants; never for a
/// response to a tenant.
///
/// # Errors
/// Fails if the store fails.
pub async fn find_for_engine(db: &dyn Database, id: ApplicationId) -> Result<Option<ForEngine>, Error> {
    let rows = db.read(Statement::new(FIND_ANY, vec![id.as_bytes().into()])).await?;
    let read = |row: Row| {
        let mut columns = row.columns();
        let (application, version) = read_columns(&mut columns)?;
        Ok(ForEngine { application, version, endpoints_deleted_at: columns.integer("endpoints_deleted_at_version")? })
    };
    rows.into_iter().next().map(read).transpose()
}

/// Returns whether an application exists and is active, in an environment that is not deleted.
///
/// # Errors
/// Fails if the store fails.
pub async fn is_open(db: &dyn Database, tenant: Tenant, id: ApplicationId) -> Result<bool, Error> {
    let values = vec![tenant.environment.as_bytes().into(), id.as_bytes().into(), tenant.organization.as_bytes().into()];
    let rows = db.read(Statement::new(IS_OPEN, values)).await?;
    let status = rows.into_iter().next().map(|row| row.columns().word("status", |word| ApplicationStatus::parse(word).ok())).transpose()?;
    Ok(status == Some(ApplicationStatus::Active))
}

/// Returns a page of an environment's applications, newest first. With `search`, only applications whose name or uid
/// contains the text, ignoring case.
///
/// # Errors
/// Fails if the store fails.
pub async fn list(
    db: &dyn Database,
    tenant: Tenant,
    search: Option<&str>,
    page: PageRequest<ApplicationId>,
) -> Result<Page<Application>, Error> {
    let after = page.after.map_or(ABOVE_ALL, |id| *id.as_bytes());
    let mut values: Vec<Value> = vec![tenant.environment.as_bytes().into(), (&after).into(), sql_limit(page.limit + 1).into()];
    let statement = match search {
        Some(search) => {
            values.push(like_pattern(search).into());
            Statement::new(SEARCH, values)
        }
        None => Statement::new(LIST, values),
    };
    let rows = db.read(statement).await?;
    let applications = rows.into_iter().map(|row| read(row).map(|(application, _)| application)).collect::<Result<_, _>>()?;
    Ok(Page::from_overlong(applications, page.limit))
}

/// Result of changing an application.
#[derive(Debug, PartialEq, Eq)]
pub enum Changed {
    /// Changed, with the new state.
    Done(Box<Application>),
    /// No such application.
    NotFound,
    /// Another application of the environment has the `uid`.
    UidTaken,
}

impl Changed {
    /// Returns the application's new state, if it was changed.
    pub fn done(self) -> Option<Application> {
        match self {
            Self::Done(changed) => Some(*changed),
            Self::NotFound | Self::UidTaken => None,
        }
    }
}

/// Changes an application with `change`, which may refuse.
///
/// # Errors
/// Fails if the store fails, or with the error of `change`.
pub async fn update<E: From<Error>>(
    db: &dyn Database,
    context: &AuditContext,
    tenant: Tenant,
    id: ApplicationId,
    change: impl Fn(&mut Application) -> Result<(), E>,
) -> Result<Changed, E> {
    loop {
        let Some((before, version)) = find_versioned(db, tenant, id).await? else { return Ok(Changed::NotFound) };
        let mut application = before.clone();
        change(&mut application)?;
        let values = vec![
            tenant.environment.as_bytes().into(),
            id.as_bytes().into(),
            version.into(),
            application.name.as_str().into(),
            application.description.as_deref().into(),
            application.metadata.as_deref().into(),
            application.status.as_str().into(),
            application.rate_limit.into(),
            application.updated_at.into(),
            application.uid.as_deref().into(),
            search_text(&application).into(),
        ];
        let mut statements = vec![Statement::new(UPDATE, values).required()];
        statements.extend(changes::of_application(tenant, id));
        if let Some(change) = Change::between(&before, &application) {
            statements.push(audit_log::entry(tenant, context, Action::ApplicationUpdate, id.as_bytes(), &change));
        }
        match db.write("update an application", statements).await {
            Ok(written) if written.is_committed() => return Ok(Changed::Done(Box::new(application))),
            Ok(_) => {}
            Err(Error::Conflict { .. }) => return Ok(Changed::UidTaken),
            Err(error) => return Err(error.into()),
        }
        // Changed concurrently: start again from the current state.
    }
}

/// Deletes an application and its endpoints. Returns whether it existed.
///
/// # Errors
/// Fails if the store fails.
pub async fn delete(db: &dyn Database, context: &AuditContext, tenant: Tenant, id: ApplicationId) -> Result<bool, Error> {
    loop {
        let Some((before, version)) = find_versioned(db, tenant, id).await? else { return Ok(false) };
        let values = || vec![tenant.environment.as_bytes().into(), id.as_bytes().into()];
        let mut versioned = values();
        versioned.push(version.into());
        let mut statements = vec![Statement::new(DELETE, versioned).required(), Statement::new(DELETE_ENDPOINTS, values())];
        statements.extend(changes::of_application(tenant, id));
        statements.push(audit_log::entry(tenant, context, Action::ApplicationDelete, id.as_bytes(), &Change::removed(&before)));
        if db.write("delete an application", statements).await?.is_committed() {
            return Ok(true);
        }
        // Changed concurrently: the audit entry must show the final state.
    }
}

/// Returns the number of an application's endpoints.
///
/// # Errors
/// Fails if the store fails.
pub async fn endpoint_count(db: &dyn Database, tenant: Tenant, id: ApplicationId) -> Result<u64, Error> {
    let rows = db.read(Statement::new(COUNT_ENDPOINTS, vec![tenant.environment.as_bytes().into(), id.as_bytes().into()])).await?;
    let row = rows.into_iter().next().ok_or(Error::Unreadable { what: "count" })?;
    row.columns().integer("count")?.try_into().map_err(|_| Error::Unreadable { what: "count" })
}

async fn find_versioned(db: &dyn Database, tenant: Tenant, id: ApplicationId) -> Result<Option<(Application, i64)>, Error> {
    let rows = db.read(Statement::new(FIND, vec![tenant.environment.as_bytes().into(), id.as_bytes().into()])).await?;
    rows.into_iter().next().map(read).transpose()
}

/// Returns a `like` pattern that matches `text` anywhere; wildcards in the text match literally.
fn like_pattern(text: &str) -> String {
    let escaped = lower_case(text).replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    format!("%{escaped}%")
}

/// Reads the two columns of the tenant.
pub(crate) fn read_tenant(columns: &mut Columns) -> Result<Tenant, Error> {
    Ok(Tenant {
        organization: columns.id("organization id", OrganizationId::from_bytes)?,
        environment: columns.id("environment id", EnvironmentId::from_bytes)?,
    })
}

/// Returns the search text: name and uid on separate lines, in lower case, because databases differ for letters beyond ASCII.
fn search_text(application: &Application) -> String {
    format!("{}\n{}", lower_case(&application.name), lower_case(application.uid.as_deref().unwrap_or_default()))
}

/// Converts a text to lower case letter by letter, because the result must not depend on neighbouring letters.
fn lower_case(text: &str) -> String {
    text.chars().flat_map(char::to_lowercase).collect()
}

fn read(row: Row) -> Result<(Application, i64), Error> {
    read_columns(&mut row.columns())
}

fn read_columns(columns: &mut Columns) -> Result<(Application, i64), Error> {
    let application = Application {
        id: columns.id("application id", ApplicationId::from_bytes)?,
        tenant: read_tenant(columns)?,
        name: columns.text("name")?,
        uid: columns.optional_text("uid")?,
        description: columns.optional_text("description")?,
        metadata: columns.optional_text("metadata")?,
        status: columns.word("status", |word| ApplicationStatus::parse(word).ok())?,
        rate_limit: columns.optional_u32("rate_limit")?,
        created_at: columns.time("created_at")?,
        updated_at: columns.time("updated_at")?,
    };
    Ok((application, columns.integer("version")?))
}
