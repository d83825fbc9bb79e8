//! Event types.

use hookstream_model::{
    base::ids::EventTypeId,
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
        statement::{Database, Row, Statement},
    },
    operations::{audit_log, quotas::Guard},
    outbound::{
        applications::{Created, create_with_response, read_tenant},
        idempotency::NewResponse,
    },
};

macro_rules! columns {
    () => {
        "id, organization_id, environment_id, name, description, json_schema, status, created_at, updated_at"
    };
}

const INSERT: &str = concat!("insert into event_types (", columns!(), ", version) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1)");
const FIND: &str = concat!("select ", columns!(), ", version from event_types where environment_id = $1 and id = $2");
const FIND_BY_NAME: &str = concat!("select ", columns!(), ", version from event_types where environment_id = $1 and name = $2");
const LIST: &str =
    concat!("select ", columns!(), ", version from event_types where environment_id = $1 and id < $2 order by id desc limit $3");
const NAMES: &str = "select name from event_types where environment_id = $1 order by id desc limit $2";
const UPDATE: &str = "update event_types set description = $4, json_schema = $5, status = $6, updated_at = $7, version = version + 1
    where environment_id = $1 and id = $2 and version = $3";
const DELETE: &str = "delete from event_types where environment_id = $1 and id = $2 and version = $3";

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
    let insert = Statement::new(
        INSERT,
        vec![
            event_type.id.as_bytes().into(),
            event_type.tenant.organization.as_bytes().into(),
            event_type.tenant.environment.as_bytes().into(),
            event_type.name.as_str().into(),
            event_type.description.as_deref().into(),
            event_type.json_schema.as_deref().into(),
            event_type.status.as_str().into(),
            event_type.created_at.into(),
            event_type.updated_at.into(),
        ],
    );
    let mut statements = vec![insert];
    statements.extend(changes::of_environment(event_type.tenant));
    let change = Change::made(event_type);
    statements.push(audit_log::entry(event_type.tenant, context, Action::EventTypeCreate, event_type.id.as_bytes(), &change));
    let guard = Guard::of(db, event_type.tenant.organization, Quota::EventTypes);
    create_with_response(db, "store an event type", event_type.tenant, statements, Some(guard), response).await
}

/// Returns the event type with this id.
///
/// # Errors
/// Fails if the store fails.
pub async fn find(db: &dyn Database, tenant: Tenant, id: EventTypeId) -> Result<Option<EventType>, Error> {
    Ok(find_versioned(db, tenant, id).await?.map(|(event_type, _)| event_type))
}

/// Returns the event type with this name.
///
/// # Errors
/// Fails if the store fails.
pub async fn find_by_name(db: &dyn Database, tenant: Tenant, name: &str) -> Result<Option<EventType>, Error> {
    let rows = db.read(Statement::new(FIND_BY_NAME, vec![tenant.environment.as_bytes().into(), name.into()])).await?;
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
    let rows = db.read(Statement::new(LIST, values)).await?;
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
    loop {
        let Some((before, version)) = find_versioned(db, tenant, id).await? else { return Ok(None) };
        let mut event_type = before.clone();
        change(&mut event_type)?;
        let values = vec![
            tenant.environment.as_bytes().into(),
            id.as_bytes().into(),
            version.into(),
            event_type.description.as_deref().into(),
            event_type.json_schema.as_deref().into(),
            event_type.status.as_str().into(),
            event_type.updated_at.into(),
        ];
        let mut statements = vec![Statement::new(UPDATE, values).required()];
        statements.extend(changes::of_environment(tenant));
        if let Some(change) = Change::between(&before, &event_type) {
            statements.push(audit_log::entry(tenant, context, Action::EventTypeUpdate, id.as_bytes(), &change));
        }
        if db.write("update an event type", statements).await?.is_committed() {
            return Ok(Some(event_type));
        }
        // Changed concurrently: start again from the current state.
    }
}

/// Deletes an event type. Returns whether it existed.
///
/// # Errors
/// Fails if the store fails.
pub async fn delete(db: &dyn Database, context: &AuditContext, tenant: Tenant, id: EventTypeId) -> Result<bool, Error> {
    loop {
        let Some((before, version)) = find_versioned(db, tenant, id).await? else { return Ok(false) };
        let statement = Statement::new(DELETE, vec![tenant.environment.as_bytes().into(), id.as_bytes().into(), version.into()]);
        let mut statements = vec![statement.required()];
        statements.extend(changes::of_environment(tenant));
        statements.push(audit_log::entry(tenant, context, Action::EventTypeDelete, id.as_bytes(), &Change::removed(&before)));
        if db.write("delete an event type", statements).await?.is_committed() {
            return Ok(true);
        }
        // Changed concurrently: the audit entry must show the final state.
    }
}

async fn find_versioned(db: &dyn Database, tenant: Tenant, id: EventTypeId) -> Result<Option<(EventType, i64)>, Error> {
    let rows = db.read(Statement::new(FIND, vec![tenant.environment.as_bytes().into(), id.as_bytes().into()])).await?;
    rows.into_iter().next().map(read).transpose()
}

fn read(row: Row) -> Result<(EventType, i64), Error> {
    let mut columns = row.columns();
    let event_type = EventType {
        id: columns.id("event type id", EventTypeId::from_bytes)?,
        tenant: read_tenant(&mut columns)?,
        name: columns.text("name")?,
        description: columns.optional_text("description")?,
        json_schema: columns.optional_text("json_schema")?,
        status: columns.word("status", |word| EventTypeStatus::parse(word).ok())?,
        created_at: columns.time("created_at")?,
        updated_at: columns.time("updated_at")?,
    };
    Ok((event_type, columns.integer("version")?))
}
