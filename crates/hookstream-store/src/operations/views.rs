//! Saved views: a user's own, and those that an environment shares.
//!
//! Changes of shared views have audit entries, as all configuration has. An own view concerns its owner alone and has
//! none. The number of views is limited in the creating transaction: lock the environment's row, insert, count.

use std::sync::LazyLock;

use hookstream_model::{
    base::{
        ids::{UserId, ViewId},
        time::Timestamp,
    },
    identity::tenancy::Tenant,
    operations::{
        audit_log::{Action, AuditContext, Change},
        view::{Filters, TooManyViews, VIEWS_MAX, View, ViewPage},
    },
};

use crate::{
    db::{
        error::Error,
        page::{ABOVE_ALL, Page, PageRequest, sql_limit},
        resource::{
            fields::resource_fields,
            table::{Column, Description, ExtraColumn, Source, Table},
        },
        sealed_write,
        statement::{Database, Row, Statement, Written},
    },
    operations::audit_log,
    outbound::{
        applications::{Created, read_tenant},
        idempotency::{self, NewResponse},
    },
};

resource_fields!(View, |view, columns| {
    fixed id: ViewId;
    fixed tenant = [
        "organization_id" Bytes = view.tenant.organization.as_bytes(),
        "environment_id" Bytes = view.tenant.environment.as_bytes(),
    ] read read_tenant(columns)?;
    fixed owner_id: Option<UserId>;
    changing name: String;
    fixed page: ViewPage;
    changing filters: Filters;
    changing shared: bool;
    fixed created_at: Timestamp;
    changing updated_at: Timestamp;
});

const DESCRIPTION: Description<View> = Description {
    name: "views",
    key: &["environment_id", "id"],
    fields: FIELDS,
    extra: &[ExtraColumn::version(Source::Sql("version + 1"))],
};
pub(crate) const COLUMNS: &[Column] = &DESCRIPTION.columns::<{ DESCRIPTION.width() }>();
static TABLE: Table<View> = Table::new(DESCRIPTION);

static FIND: LazyLock<String> = LazyLock::new(|| TABLE.select("version", "environment_id = $1 and id = $2"));
/// Selects the views that a user sees; an empty page selects those of all pages.
static LIST: LazyLock<String> = LazyLock::new(|| {
    TABLE.select(
        "version",
        "environment_id = $1 and id < $2 and (shared = 1 or owner_id = $3) and ($4 = '' or page = $4) order by id desc limit $5",
    )
});
/// Serializes additions to an environment's views, so that the second of two counts the first.
const QUEUE: &str = "update environments set name = name where organization_id = $1 and id = $2";
const CHECK_SHARED: &str =
    "select cast(1 as bigint) where (select count(*) from views v where v.environment_id = $1 and v.shared = 1) <= $2";
const CHECK_OWN: &str = "select cast(1 as bigint)
    where (select count(*) from views v where v.environment_id = $1 and v.owner_id = $2 and v.shared = 0) <= $3";

/// Result of changing a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// Changed, with the new state.
    Done(Box<View>),
    /// No such view.
    NotFound,
    /// Another view has the name.
    NameTaken,
    /// There is no room for one more shared view, or for one more of the owner's own.
    TooMany(TooManyViews),
}

/// Stores a view, unless its name is taken or its limit is reached.
///
/// # Errors
/// Fails if the store fails.
pub async fn create(db: &dyn Database, context: &AuditContext, view: &View, response: Option<NewResponse>) -> Result<Created, Error> {
    let stored = response.map(|response| idempotency::store_statements(db, view.tenant, response)).transpose()?;
    // The key comes first: a repeated request gets its first response again, whatever the limit allows by now.
    let mut statements: Vec<Statement> = stored.into_iter().flatten().collect();
    statements.extend([queue(view.tenant), TABLE.insert(view, [])]);
    if view.shared {
        statements.push(entry(view, context, Action::ViewCreate, &Change::created(view)));
    }
    let check_at = statements.len();
    statements.push(check(view));
    match sealed_write::write(db, "store a view", statements).await {
        Ok(Written::Committed(_)) => Ok(Created::Stored),
        Ok(Written::Unmet(index)) if index == check_at => Ok(Created::TooManyViews(TooManyViews { shared: view.shared })),
        Ok(Written::Unmet(_)) => Ok(Created::KeyTaken),
        Err(Error::Conflict { .. }) => Ok(Created::NameTaken),
        Err(error) => Err(error),
    }
}

/// Returns the view with this id, also another user's own. The caller must check the access.
///
/// # Errors
/// Fails if the store fails.
pub async fn find(db: &dyn Database, tenant: Tenant, id: ViewId) -> Result<Option<View>, Error> {
    Ok(find_versioned(db, tenant, id).await?.map(|(view, _)| view))
}

/// Returns a page of the views that a user sees, newest first: the environment's shared ones and the user's own. Without
/// a user, the shared ones only.
///
/// # Errors
/// Fails if the store fails.
pub async fn list(
    db: &dyn Database,
    tenant: Tenant,
    user: Option<UserId>,
    of: Option<ViewPage>,
    page: PageRequest<ViewId>,
) -> Result<Page<View>, Error> {
    let after = page.after.map_or(ABOVE_ALL, |id| *id.as_bytes());
    let values = vec![
        tenant.environment.as_bytes().into(),
        (&after).into(),
        user.as_ref().map(UserId::as_bytes).into(),
        of.map_or("", ViewPage::as_str).into(),
        sql_limit(page.limit + 1).into(),
    ];
    let rows = db.read(Statement::new(&LIST, values)).await?;
    let views = rows.into_iter().map(|row| read(row).map(|(view, _)| view)).collect::<Result<_, _>>()?;
    Ok(Page::from_overlong(views, page.limit))
}

/// Changes a view with `change`, which may refuse.
///
/// # Errors
/// Fails if the store fails, or with the error of `change`.
pub async fn update<E: From<Error>>(
    db: &dyn Database,
    context: &AuditContext,
    tenant: Tenant,
    id: ViewId,
    change: impl Fn(&mut View) -> Result<(), E>,
) -> Result<Changed, E> {
    loop {
        let Some((before, version)) = find_versioned(db, tenant, id).await? else { return Ok(Changed::NotFound) };
        let mut after = before.clone();
        change(&mut after)?;
        let mut statements = vec![queue(tenant), TABLE.update(&after, version, []).required()];
        if before.shared || after.shared {
            statements.extend(Change::between(&before, &after).map(|change| entry(&after, context, Action::ViewUpdate, &change)));
        }
        let check_at = statements.len();
        if before.shared != after.shared {
            statements.push(check(&after));
        }
        match db.write("update a view", statements).await {
            Ok(Written::Committed(_)) => return Ok(Changed::Done(Box::new(after))),
            Ok(Written::Unmet(index)) if index == check_at => return Ok(Changed::TooMany(TooManyViews { shared: after.shared })),
            // Changed concurrently: start again from the current state.
            Ok(Written::Unmet(_)) => {}
            Err(Error::Conflict { .. }) => return Ok(Changed::NameTaken),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Deletes a view, unless `permit` refuses. Returns whether it existed.
///
/// # Errors
/// Fails if the store fails, or with the error of `permit`.
pub async fn delete<E: From<Error>>(
    db: &dyn Database,
    context: &AuditContext,
    tenant: Tenant,
    id: ViewId,
    permit: impl Fn(&View) -> Result<(), E>,
) -> Result<bool, E> {
    while let Some((before, version)) = find_versioned(db, tenant, id).await? {
        permit(&before)?;
        let mut statements = vec![TABLE.delete(&before, version).required()];
        if before.shared {
            statements.push(entry(&before, context, Action::ViewDelete, &Change::removed(&before)));
        }
        if db.write("delete a view", statements).await?.is_committed() {
            return Ok(true);
        }
        // Changed concurrently: start again from the current state.
    }
    Ok(false)
}

async fn find_versioned(db: &dyn Database, tenant: Tenant, id: ViewId) -> Result<Option<(View, i64)>, Error> {
    let rows = db.read(Statement::new(&FIND, vec![tenant.environment.as_bytes().into(), id.as_bytes().into()])).await?;
    rows.into_iter().next().map(read).transpose()
}

fn queue(tenant: Tenant) -> Statement {
    Statement::new(QUEUE, vec![tenant.organization.as_bytes().into(), tenant.environment.as_bytes().into()])
}

/// Returns the statement that undoes an addition beyond the limit.
fn check(view: &View) -> Statement {
    let environment = view.tenant.environment.as_bytes().into();
    let most = i64::try_from(VIEWS_MAX).unwrap_or(i64::MAX).into();
    match &view.owner_id {
        Some(owner) if !view.shared => Statement::new(CHECK_OWN, vec![environment, owner.as_bytes().into(), most]).required(),
        Some(_) | None => Statement::new(CHECK_SHARED, vec![environment, most]).required(),
    }
}

fn entry(view: &View, context: &AuditContext, action: Action, change: &Change) -> Statement {
    audit_log::entry(view.tenant, context, action, view.id.as_bytes(), change)
}

fn read(row: Row) -> Result<(View, i64), Error> {
    let mut columns = row.columns();
    Ok((read_fields(&mut columns)?, columns.integer("version")?))
}
