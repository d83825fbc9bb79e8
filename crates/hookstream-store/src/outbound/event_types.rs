//! Event types.

use std::sync::LazyLock;

use hookstream_model::{
    base::{ids::EventTypeId, time::Timestamp},
    identity::tenancy::Tenant,
    operations::{
        audit_log::{Action, AuditContext, Change},
        quota::Quota,
    },
    outbound::event_type::{EventType, EventTypeStatus},
};

use crate::{
    db::{
        changes,
        error::Error,
        page::{ABOVE_ALL, Page, PageRequest, sql_limit},
        resource::{
            fields::resource_fields,
            optimistic::{self, Updatable, Updated, Versioned},
            table::{Column, Description, ExtraColumn, Source, Table},
        },
        statement::{Database, Row, Statement},
    },
    operations::{audit_log, quotas::Guard},
    outbound::{
        applications::{Created, create_with_response, read_tenant},
        idempotency::NewResponse,
    },
};

resource_fields!(EventType, |event_type, columns| {
    fixed id: EventTypeId;
    fixed tenant = [
        "organization_id" Bytes = event_type.tenant.organization.as_bytes(),
        "environment_id" Bytes = event_type.tenant.environment.as_bytes(),
    ] read read_tenant(columns)?;
    fixed name: String;
    changing description: Option<String>;
    changing json_schema: Option<String>;
    changing status: EventTypeStatus;
    fixed created_at: Timestamp;
    changing updated_at: Timestamp;
});

const DESCRIPTION: Description<EventType> = Description {
    name: "event_types",
    key: &["environment_id", "id"],
    fields: FIELDS,
    extra: &[ExtraColumn::version(Source::Sql("version + 1"))],
};
pub(crate) const COLUMNS: &[Column] = &DESCRIPTION.columns::<{ DESCRIPTION.width() }>();
static TABLE: Table<EventType> = Table::new(DESCRIPTION);

static FIND: LazyLock<String> = LazyLock::new(|| TABLE.select("version", "environment_id = $1 and id = $2"));
static FIND_BY_NAME: LazyLock<String> = LazyLock::new(|| TABLE.select("version", "environment_id = $1 and name = $2"));
static LIST: LazyLock<String> = LazyLock::new(|| TABLE.select("version", "environment_id = $1 and id < $2 order by id desc limit $3"));
const NAMES: &str = "select name from event_types where environment_id = $1 order by id desc limit $2";

/// Stores an event type, unless its name is taken.
///
/// # Errors
/// Fails if the store fails.
pub async fn create(
    db: &dyn Database,
    context: &AuditContext,
    event_type: &EventType,
    response: Option<NewResponse>,
) -> Result<Created, Error> {
    let mut statements = vec![TABLE.insert(event_type, [])];
    statements.extend(changes::of_environment(event_type.tenant));
    let change = Change::created(event_type);
    statements.push(audit_log::entry(event_type.tenant, context, Action::EventTypeCreate, event_type.id.as_bytes(), &change));
    let guard = Guard::of(db, event_type.tenant.organization, Quota::EventTypes);
    create_with_response(db, "store an event type", event_type.tenant, statements, Some(guard), response).await
}

/// Returns the event type with this id.
///
/// # Errors
/// Fails if the store fails.
pub async fn find(db: &dyn Database, tenant: Tenant, id: EventTypeId) -> Result<Option<EventType>, Error> {
    Ok(EventType::find_versioned(db, (tenant, id)).await?.map(|(event_type, _)| event_type))
}

/// Returns the event type with this name.
///
/// # Errors
/// Fails if the store fails.
pub async fn find_by_name(db: &dyn Database, tenant: Tenant, name: &str) -> Result<Option<EventType>, Error> {
    let rows = db.read(Statement::new(&FIND_BY_NAME, vec![tenant.environment.as_bytes().into(), name.into()])).await?;
    Ok(rows.into_iter().next().map(read).transpose()?.map(|(event_type, _)| event_type))
}

/// Returns the names of an environment's event types, at most `limit`, newest first.
///
/// # Errors
/// Fails if the store fails.
pub async fn names(db: &dyn Database, tenant: Tenant, limit: usize) -> Result<Vec<String>, Error> {
    let rows = db.read(Statement::new(NAMES, vec![tenant.environment.as_bytes().into(), sql_limit(limit).into()])).await?;
    rows.into_iter().map(|row| row.columns().text("name")).collect()
}

/// Returns a page of an environment's event types, newest first.
///
/// # Errors
/// Fails if the store fails.
pub async fn list(db: &dyn Database, tenant: Tenant, page: PageRequest<EventTypeId>) -> Result<Page<EventType>, Error> {
    let after = page.after.map_or(ABOVE_ALL, |id| *id.as_bytes());
    let values = vec![tenant.environment.as_bytes().into(), (&after).into(), sql_limit(page.limit + 1).into()];
    let rows = db.read(Statement::new(&LIST, values)).await?;
    let event_types = rows.into_iter().map(|row| read(row).map(|(event_type, _)| event_type)).collect::<Result<_, _>>()?;
    Ok(Page::from_overlong(event_types, page.limit))
}

/// Changes an event type with `change`, which may refuse. Returns the new state.
///
/// # Errors
/// Fails if the store fails, or with the error of `change`.
pub async fn update<E: From<Error>>(
    db: &dyn Database,
    context: &AuditContext,
    tenant: Tenant,
    id: EventTypeId,
    change: impl Fn(&mut EventType) -> Result<(), E>,
) -> Result<Option<EventType>, E> {
    match optimistic::update_audited(db, context, (tenant, id), change).await? {
        Updated::Done(event_type) => Ok(Some(event_type)),
        Updated::NotFound => Ok(None),
        Updated::Conflict(error) => Err(error.into()),
    }
}

/// Deletes an event type. Returns whether it existed.
///
/// # Errors
/// Fails if the store fails.
pub async fn delete(db: &dyn Database, context: &AuditContext, tenant: Tenant, id: EventTypeId) -> Result<bool, Error> {
    let deletion = ("delete an event type", Action::EventTypeDelete);
    optimistic::delete_audited(db, context, deletion, (tenant, id), |before: &EventType, version| {
        let mut statements = vec![TABLE.delete(before, version).required()];
        statements.extend(changes::of_environment(tenant));
        statements
    })
    .await
}

impl Versioned for EventType {
    type Key = (Tenant, EventTypeId);

    async fn find_versioned(db: &dyn Database, (tenant, id): Self::Key) -> Result<Option<(Self, i64)>, Error> {
        let rows = db.read(Statement::new(&FIND, vec![tenant.environment.as_bytes().into(), id.as_bytes().into()])).await?;
        rows.into_iter().next().map(read).transpose()
    }

    fn entry((tenant, id): Self::Key, context: &AuditContext, action: Action, change: &Change) -> Statement {
        audit_log::entry(tenant, context, action, id.as_bytes(), change)
    }
}

impl Updatable for EventType {
    const OPERATION: &'static str = "update an event type";
    const ACTION: Action = Action::EventTypeUpdate;

    fn update(&self, _: &dyn Database, (tenant, _): Self::Key, version: i64) -> Result<Vec<Statement>, Error> {
        let mut statements = vec![TABLE.update(self, version, []).required()];
        statements.extend(changes::of_environment(tenant));
        Ok(statements)
    }
}

fn read(row: Row) -> Result<(EventType, i64), Error> {
    let mut columns = row.columns();
    Ok((read_fields(&mut columns)?, columns.integer("version")?))
}
