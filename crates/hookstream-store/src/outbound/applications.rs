//! Applications.

use std::sync::LazyLock;

use hookstream_model::{
    base::{
        ids::{ApplicationId, EnvironmentId, OrganizationId},
        time::Timestamp,
    },
    identity::{portal::PortalTheme, tenancy::Tenant},
    operations::{
        audit_log::{Action, AuditContext, Change},
        quota::Quota,
        view::TooManyViews,
    },
    outbound::application::{Application, ApplicationStatus},
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
    },
    operations::{
        audit_log,
        quotas::{Guard, Reached},
    },
    outbound::idempotency::{self, NewResponse},
};

resource_fields!(Application, |application, columns| {
    fixed id: ApplicationId;
    fixed tenant = [
        "organization_id" Bytes = application.tenant.organization.as_bytes(),
        "environment_id" Bytes = application.tenant.environment.as_bytes(),
    ] read read_tenant(columns)?;
    changing name: String;
    changing uid: Option<String>;
    changing description: Option<String>;
    changing metadata: Option<String>;
    changing status: ApplicationStatus;
    changing rate_limit: Option<u32>;
    changing portal_theme: Option<PortalTheme>;
    fixed created_at: Timestamp;
    changing updated_at: Timestamp;
});

const DESCRIPTION: Description<Application> = Description {
    name: "applications",
    key: &["environment_id", "id"],
    fields: FIELDS,
    extra: &[
        ExtraColumn::version(Source::Sql("version + 1")),
        ExtraColumn::given("search", ColumnKind::Text, Source::Given),
        ExtraColumn::unwritten("endpoints_deleted_at_version", ColumnKind::Integer),
    ],
};
pub(crate) const COLUMNS: &[Column] = &DESCRIPTION.columns::<{ DESCRIPTION.width() }>();
static TABLE: Table<Application> = Table::new(DESCRIPTION);

static FIND: LazyLock<String> = LazyLock::new(|| TABLE.select("version", "environment_id = $1 and id = $2"));
static FIND_BY_UID: LazyLock<String> = LazyLock::new(|| TABLE.select("version", "environment_id = $1 and uid = $2"));
static FIND_ANY: LazyLock<String> = LazyLock::new(|| TABLE.select("version, endpoints_deleted_at_version", "id = $1"));
static LIST: LazyLock<String> = LazyLock::new(|| TABLE.select("version", "environment_id = $1 and id < $2 order by id desc limit $3"));
static SEARCH: LazyLock<String> =
    LazyLock::new(|| TABLE.select("version", "environment_id = $1 and id < $2 and search like $4 escape '\\' order by id desc limit $3"));
const IS_OPEN: &str = "select a.status from applications a join environments e on e.id = a.environment_id
    join organizations o on o.id = e.organization_id
    where a.environment_id = $1 and a.id = $2 and e.organization_id = $3 and e.deleted_at is null and o.deleted_at is null";
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
    /// There is no room for one more view.
    TooManyViews(TooManyViews),
    /// The environment has the maximum number of alert rules.
    TooManyAlertRules,
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
    let insert = insert(application);
    let change = Change::created(application);
    let entry = audit_log::entry(application.tenant, context, Action::ApplicationCreate, application.id.as_bytes(), &change);
    let guard = Guard::of(db, application.tenant.organization, Quota::Applications);
    create_with_response(db, "store an application", application.tenant, vec![insert, entry], Some(guard), response).await
}

/// Returns the statement that stores an application.
pub(crate) fn insert(application: &Application) -> Statement {
    TABLE.insert(application, [search_text(application).into()])
}

/// Returns the application with this id.
///
/// # Errors
/// Fails if the store fails.
pub async fn find(db: &dyn Database, tenant: Tenant, id: ApplicationId) -> Result<Option<Application>, Error> {
    Ok(Application::find_versioned(db, (tenant, id)).await?.map(|(application, _)| application))
}

/// Returns the application with this `uid`.
///
/// # Errors
/// Fails if the store fails.
pub async fn find_by_uid(db: &dyn Database, tenant: Tenant, uid: &str) -> Result<Option<Application>, Error> {
    let rows = db.read(Statement::new(&FIND_BY_UID, vec![tenant.environment.as_bytes().into(), uid.into()])).await?;
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
    let rows = db.read(Statement::new(&FIND_ANY, vec![id.as_bytes().into()])).await?;
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
            Statement::new(&SEARCH, values)
        }
        None => Statement::new(&LIST, values),
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
    match optimistic::update_audited(db, context, (tenant, id), change).await? {
        Updated::Done(application) => Ok(Changed::Done(Box::new(application))),
        Updated::NotFound => Ok(Changed::NotFound),
        Updated::Conflict(_) => Ok(Changed::UidTaken),
    }
}

/// Deletes an application and its endpoints. Returns whether it existed.
///
/// # Errors
/// Fails if the store fails.
pub async fn delete(db: &dyn Database, context: &AuditContext, tenant: Tenant, id: ApplicationId) -> Result<bool, Error> {
    let deletion = ("delete an application", Action::ApplicationDelete);
    optimistic::delete_audited(db, context, deletion, (tenant, id), |before: &Application, version| {
        let endpoints = vec![tenant.environment.as_bytes().into(), id.as_bytes().into()];
        let mut statements = vec![TABLE.delete(before, version).required(), Statement::new(DELETE_ENDPOINTS, endpoints)];
        statements.extend(changes::of_application(tenant, id));
        statements
    })
    .await
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

impl Versioned for Application {
    type Key = (Tenant, ApplicationId);

    async fn find_versioned(db: &dyn Database, (tenant, id): Self::Key) -> Result<Option<(Self, i64)>, Error> {
        let rows = db.read(Statement::new(&FIND, vec![tenant.environment.as_bytes().into(), id.as_bytes().into()])).await?;
        rows.into_iter().next().map(read).transpose()
    }

    fn entry((tenant, id): Self::Key, context: &AuditContext, action: Action, change: &Change) -> Statement {
        audit_log::entry(tenant, context, action, id.as_bytes(), change)
    }
}

impl Updatable for Application {
    const OPERATION: &'static str = "update an application";
    const ACTION: Action = Action::ApplicationUpdate;

    fn update(&self, _: &dyn Database, (tenant, id): Self::Key, version: i64) -> Result<Vec<Statement>, Error> {
        let mut statements = vec![TABLE.update(self, version, [search_text(self).into()]).required()];
        statements.extend(changes::of_application(tenant, id));
        Ok(statements)
    }
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
    Ok((read_fields(columns)?, columns.integer("version")?))
}
