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
        statement::{Columns, Database, Row, Statement, Value, Written},
        vault,
    },
    operations::{
        audit_log,
        quotas::{Guard, Reached},
    },
    outbound::idempotency::{self, StoredAnswer},
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

/// What came of creating something with unique parts.
#[derive(Debug, PartialEq, Eq)]
pub enum Created {
    /// It is stored.
    Stored,
    /// Something of the same name or uid is there.
    NameTaken,
    /// The idempotency key has an answer already.
    KeyTaken,
    /// The organization has as many as it may.
    QuotaReached(Reached),
}

/// Runs the statements that create something, with the answer to keep beside it, where a quota leaves room for it.
pub(crate) async fn create_with_answer(
    db: &dyn Database,
    operation: &'static str,
    tenant: Tenant,
    inserts: Vec<Statement>,
    guard: Option<Guard>,
    answer: Option<StoredAnswer>,
) -> Result<Created, Error> {
    let kept = answer.map(|answer| idempotency::keep(db, tenant, answer)).transpose()?;
    // What is repeated is answered as before, whatever the quota says by now: the key comes first.
    let mut statements: Vec<Statement> = kept.into_iter().flatten().collect();
    statements.extend(guard.as_ref().map(Guard::queue));
    statements.extend(inserts);
    let check = statements.len();
    statements.extend(guard.as_ref().map(Guard::checks).into_iter().flatten());
    match (vault::write(db, operation, statements).await, guard) {
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
/// Where the store fails.
pub async fn create(
    db: &dyn Database,
    act: &AuditContext,
    application: &Application,
    answer: Option<StoredAnswer>,
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
            searched(application).into(),
        ],
    );
    let change = Change::made(application);
    let entry = audit_log::entry(application.tenant, act, Action::ApplicationCreate, application.id.as_bytes(), &change);
    let guard = Guard::of(db, application.tenant.organization, Quota::Applications);
    create_with_answer(db, "store an application", application.tenant, vec![insert, entry], Some(guard), answer).await
}

/// The application with this id.
///
/// # Errors
/// Where the store fails.
pub async fn find(db: &dyn Database, tenant: Tenant, id: ApplicationId) -> Result<Option<Application>, Error> {
    Ok(find_versioned(db, tenant, id).await?.map(|(application, _)| application))
}

/// The application with this `uid`.
///
/// # Errors
/// Where the store fails.
pub async fn find_by_uid(db: &dyn Database, tenant: Tenant, uid: &str) -> Result<Option<Application>, Error> {
    let rows = db.read(Statement::new(FIND_BY_UID, vec![tenant.environment.as_bytes().into(), uid.into()])).await?;
    Ok(rows.into_iter().next().map(read).transpose()?.map(|(application, _)| application))
}

/// An application as the engine reads it.
#[derive(Debug)]
pub struct ForEngine {
    /// The application.
    pub application: Application,
    /// Its version: it grows with each change of the application or one of its endpoints.
    pub version: i64,
    /// The version at which an endpoint was last deleted.
    pub endpoints_deleted_at: i64,
}

/// The application with this id, whosever it is. For the engine, which works for all tenants; never for an answer to
/// one of them.
///
/// # Errors
/// Where the store fails.
pub async fn find_for_engine(db: &dyn Database, id: ApplicationId) -> Result<Option<ForEngine>, Error> {
    let rows = db.read(Statement::new(FIND_ANY, vec![id.as_bytes().into()])).await?;
    let read = |row: Row| {
        let mut columns = row.columns();
        let (application, version) = read_columns(&mut columns)?;
        Ok(ForEngine { application, version, endpoints_deleted_at: columns.integer("endpoints_deleted_at_version")? })
    };
    rows.into_iter().next().map(read).transpose()
}

/// Whether an application is there and on, in an environment that is not deleted.
///
/// # Errors
/// Where the store fails.
pub async fn is_open(db: &dyn Database, tenant: Tenant, id: ApplicationId) -> Result<bool, Error> {
    let values = vec![tenant.environment.as_bytes().into(), id.as_bytes().into(), tenant.organization.as_bytes().into()];
    let rows = db.read(Statement::new(IS_OPEN, values)).await?;
    let status = rows.into_iter().next().map(|row| row.columns().word("status", |word| ApplicationStatus::parse(word).ok())).transpose()?;
    Ok(status == Some(ApplicationStatus::Active))
}

/// A page of an environment's applications, newest first; with `search`, those whose name or uid
/// contains it, upper and lower case alike.
///
/// # Errors
/// Where the store fails.
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
            values.push(contains_pattern(search).into());
            Statement::new(SEARCH, values)
        }
        None => Statement::new(LIST, values),
    };
    let rows = db.read(statement).await?;
    let applications = rows.into_iter().map(|row| read(row).map(|(application, _)| application)).collect::<Result<_, _>>()?;
    Ok(Page::from_overlong(applications, page.limit))
}

/// What came of changing an application.
#[derive(Debug, PartialEq, Eq)]
pub enum Changed {
    /// It is this now.
    Done(Box<Application>),
    /// There is none.
    NotThere,
    /// Another application of the environment has the `uid`.
    UidTaken,
}

impl Changed {
    /// What the application has become, if it was changed.
    pub fn done(self) -> Option<Application> {
        match self {
            Self::Done(changed) => Some(*changed),
            Self::NotThere | Self::UidTaken => None,
        }
    }
}

/// Changes an application with `change`, which may refuse.
///
/// # Errors
/// Where the store fails, or with what `change` says.
pub async fn update<E: From<Error>>(
    db: &dyn Database,
    act: &AuditContext,
    tenant: Tenant,
    id: ApplicationId,
    change: impl Fn(&mut Application) -> Result<(), E>,
) -> Result<Changed, E> {
    loop {
        let Some((before, version)) = find_versioned(db, tenant, id).await? else { return Ok(Changed::NotThere) };
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
            searched(&application).into(),
        ];
        let mut statements = vec![Statement::new(UPDATE, values).required()];
        statements.extend(changes::of_application(tenant, id));
        if let Some(change) = Change::between(&before, &application) {
            statements.push(audit_log::entry(tenant, act, Action::ApplicationUpdate, id.as_bytes(), &change));
        }
        match db.write("update an application", statements).await {
            Ok(written) if written.is_committed() => return Ok(Changed::Done(Box::new(application))),
            Ok(_) => {}
            Err(Error::Conflict { .. }) => return Ok(Changed::UidTaken),
            Err(error) => return Err(error.into()),
        }
        // Somebody changed it in between: start from what it is now.
    }
}

/// Deletes an application and its endpoints. Returns whether it was there.
///
/// # Errors
/// Where the store fails.
pub async fn delete(db: &dyn Database, act: &AuditContext, tenant: Tenant, id: ApplicationId) -> Result<bool, Error> {
    loop {
        let Some((before, version)) = find_versioned(db, tenant, id).await? else { return Ok(false) };
        let values = || vec![tenant.environment.as_bytes().into(), id.as_bytes().into()];
        let mut versioned = values();
        versioned.push(version.into());
        let mut statements = vec![Statement::new(DELETE, versioned).required(), Statement::new(DELETE_ENDPOINTS, values())];
        statements.extend(changes::of_application(tenant, id));
        statements.push(audit_log::entry(tenant, act, Action::ApplicationDelete, id.as_bytes(), &Change::removed(&before)));
        if db.write("delete an application", statements).await?.is_committed() {
            return Ok(true);
        }
        // Somebody changed it in between: the entry is to tell what it was in the end.
    }
}

/// How many endpoints an application has.
///
/// # Errors
/// Where the store fails.
pub async fn endpoint_count(db: &dyn Database, tenant: Tenant, id: ApplicationId) -> Result<u64, Error> {
    let rows = db.read(Statement::new(COUNT_ENDPOINTS, vec![tenant.environment.as_bytes().into(), id.as_bytes().into()])).await?;
    let row = rows.into_iter().next().ok_or(Error::Unreadable { what: "count" })?;
    row.columns().integer("count")?.try_into().map_err(|_| Error::Unreadable { what: "count" })
}

async fn find_versioned(db: &dyn Database, tenant: Tenant, id: ApplicationId) -> Result<Option<(Application, i64)>, Error> {
    let rows = db.read(Statement::new(FIND, vec![tenant.environment.as_bytes().into(), id.as_bytes().into()])).await?;
    rows.into_iter().next().map(read).transpose()
}

/// A pattern for `like` that finds `text` anywhere; its own wildcards are plain characters.
fn contains_pattern(text: &str) -> String {
    let escaped = lowered(text).replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    format!("%{escaped}%")
}

/// The tenant's two columns.
pub(crate) fn read_tenant(columns: &mut Columns) -> Result<Tenant, Error> {
    Ok(Tenant {
        organization: columns.id("organization id", OrganizationId::from_bytes)?,
        environment: columns.id("environment id", EnvironmentId::from_bytes)?,
    })
}

/// What a search looks in: name and uid, on lines of their own. Letters are lowered here, since databases differ about
/// those beyond ASCII.
fn searched(application: &Application) -> String {
    format!("{}\n{}", lowered(&application.name), lowered(application.uid.as_deref().unwrap_or_default()))
}

/// A text in lower case, letter by letter: what is lowered must not depend on what stands around it.
fn lowered(text: &str) -> String {
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
