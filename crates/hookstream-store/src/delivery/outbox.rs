//! Outbox of operational events: an event is written in the commit of its cause, and removed once it is published as a message.
//!
//! Events of the configuration and of deliveries have a table each, because on SQLite a commit spans one file; the trait
//! [`Outbox`] joins both. Nothing is written for an environment without a system environment, which has no one to tell.

use async_trait::async_trait;
use hookstream_model::{
    base::{
        ids::{ApplicationId, EndpointId, EnvironmentId, OrganizationId, ResourceId},
        time::{Day, Timestamp},
    },
    identity::tenancy::Tenant,
    operations::operational_event::{OperationalEvent, OperationalType},
};

use crate::db::{
    error::Error,
    statement::{Database, Row, Statement, Value},
};

/// Condition that the environment of an event has a system environment; its id is the given parameter.
macro_rules! is_told {
    ($system:literal) => {
        concat!("exists (select 1 from environments s where s.id = ", $system, " and s.deleted_at is null)")
    };
}

macro_rules! columns {
    () => {
        "id, event_type, organization_id, environment_id, application_id, endpoint_id, created_at, data"
    };
}

macro_rules! insert {
    ($condition:expr) => {
        concat!(
            "insert into outbox (",
            columns!(),
            ") select $1, $2, $3, $4, $5, $6, $7, $8 where ",
            is_told!("$9"),
            $condition,
            " on conflict do nothing"
        )
    };
}

/// Writes an event, if someone is told.
const INSERT: &str = insert!("");
/// Same, if the endpoint's circuit is not open yet.
const INSERT_OPENED: &str = insert!(
    " and exists (select 1 from endpoints p where p.environment_id = $4 and p.application_id = $5 and p.id = $6
        and p.status <> 'disabled' and coalesce(p.hold_reason, '') <> 'failing')"
);
/// Same, if the endpoint's circuit is open.
const INSERT_CLOSED: &str = insert!(
    " and exists (select 1 from endpoints p where p.environment_id = $4 and p.application_id = $5 and p.id = $6
        and p.hold_reason = 'failing')"
);
/// Same, if there is a mark with this name.
const INSERT_MARKED: &str =
    insert!(" and exists (select 1 from notice_marks m where m.environment_id = $4 and m.name = $10 and m.level > 0)");
/// Raises a mark. Changes nothing if it is as high already, or if no one is told.
const RAISE_MARK: &str = concat!(
    "insert into notice_marks (environment_id, name, level, noted_at) select $1, $2, $3, $4 where ",
    is_told!("$5"),
    " on conflict (environment_id, name) do update set level = excluded.level, noted_at = excluded.noted_at
        where notice_marks.level < excluded.level"
);
const CLEAR_MARK: &str = "delete from notice_marks where environment_id = $1 and name = $2";
const FORGET_MARKS: &str = "delete from notice_marks where noted_at < $1";
const READ: &str = concat!("select ", columns!(), " from outbox order by id, event_type limit $1");
/// Selects events of deliveries.
pub(crate) const READ_OF_DAY: &str = concat!("select ", columns!(), " from day_outbox order by id, event_type limit $1");
/// Writes an event of a delivery, in the file of its day.
pub(crate) const INSERT_OF_DAY: &str =
    concat!("insert into day_outbox (", columns!(), ") values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict do nothing");
/// Removes an event of a delivery.
pub(crate) const REMOVE_OF_DAY: &str = "delete from day_outbox where id = $1 and event_type = $2";
const REMOVE: &str = "delete from outbox where id = $1 and event_type = $2";

/// Event that waits in the outbox.
#[derive(Debug, Clone, PartialEq)]
pub struct Outgoing {
    /// The event.
    pub event: OperationalEvent,
    /// Cause of the event.
    pub cause: Cause,
}

/// Cause of an event, which decides where it waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A change of the configuration.
    Configuration,
    /// A delivery of a message of this day; on PostgreSQL, of any day.
    Delivery(Option<Day>),
}

/// Outbox of all files.
#[async_trait]
pub trait Outbox {
    /// Returns events that wait, oldest first within a file, at most `limit` of each file.
    async fn outbox(&self, limit: usize) -> Result<Vec<Outgoing>, Error>;

    /// Removes published events.
    async fn remove_from_outbox(&self, published: Vec<Outgoing>) -> Result<(), Error>;
}

/// Name of the mark of an endpoint's warnings.
fn endpoint_mark(endpoint: EndpointId) -> String {
    format!("endpoint_failing:{endpoint}")
}

/// Returns the values of an event's row.
pub(crate) fn values(event: &OperationalEvent) -> Vec<Value> {
    let OperationalEvent { id, tenant, kind, at, application, endpoint, data } = event;
    // Not null: PostgreSQL would not know the type of a null in a `select`.
    let bytes = |id: Option<&[u8; 16]>| Value::Blob(id.map_or_else(Vec::new, |id| id.to_vec()));
    vec![
        id.as_bytes().into(),
        kind.as_str().into(),
        tenant.organization.as_bytes().into(),
        tenant.environment.as_bytes().into(),
        bytes(application.as_ref().map(ApplicationId::as_bytes)),
        bytes(endpoint.as_ref().map(EndpointId::as_bytes)),
        (*at).into(),
        serde_json::Value::Object(data.clone()).to_string().into(),
    ]
}

fn insert(sql: &'static str, event: &OperationalEvent, further: impl IntoIterator<Item = Value>) -> Statement {
    let mut values = values(event);
    values.push(event.tenant.environment.counterpart().as_bytes().into());
    values.extend(further);
    Statement::new(sql, values)
}

/// Returns the statement that writes an event in the commit of its cause.
pub(crate) fn event(event: &OperationalEvent) -> Statement {
    insert(INSERT, event, [])
}

/// Returns the statement that writes `circuit.opened`; it comes before the statement that records the hold.
pub(crate) fn circuit_opened(event: &OperationalEvent) -> Statement {
    insert(INSERT_OPENED, event, [])
}

/// Returns the statement that writes `circuit.closed`; it comes before the statement that ends the hold.
pub(crate) fn circuit_closed(event: &OperationalEvent) -> Statement {
    insert(INSERT_CLOSED, event, [])
}

/// Returns the statements that write `endpoint.recovered` if there was a warning, and forget the warning.
pub(crate) fn endpoint_recovered(event: &OperationalEvent, endpoint: EndpointId) -> [Statement; 2] {
    let (environment, mark) = (event.tenant.environment, endpoint_mark(endpoint));
    let clear = Statement::new(CLEAR_MARK, vec![environment.as_bytes().into(), mark.clone().into()]);
    [insert(INSERT_MARKED, event, [mark.into()]), clear]
}

/// Writes an event once for each level that a mark reaches, and only if the level is higher than before. Returns whether the
/// event was written.
///
/// # Errors
/// Fails if the store fails.
pub async fn warn(db: &dyn Database, mark: &str, level: u32, noted: &OperationalEvent) -> Result<bool, Error> {
    let environment = noted.tenant.environment;
    let values =
        vec![environment.as_bytes().into(), mark.into(), level.into(), noted.at.into(), environment.counterpart().as_bytes().into()];
    let statements = vec![Statement::new(RAISE_MARK, values).required(), event(noted)];
    Ok(db.write("write an operational event", statements).await?.is_committed())
}

/// Writes the warning that an endpoint heads for being disabled, once for each level. Returns whether it was written.
///
/// # Errors
/// Fails if the store fails.
pub async fn warn_of_endpoint(db: &dyn Database, endpoint: EndpointId, level: u32, event: &OperationalEvent) -> Result<bool, Error> {
    warn(db, &endpoint_mark(endpoint), level, event).await
}

/// Forgets a mark, so that its next level is told again.
///
/// # Errors
/// Fails if the store fails.
pub async fn clear_mark(db: &dyn Database, environment: EnvironmentId, mark: &str) -> Result<(), Error> {
    db.write("forget a warning", vec![Statement::new(CLEAR_MARK, vec![environment.as_bytes().into(), mark.into()])]).await?;
    Ok(())
}

/// Forgets marks that were last raised before this time.
///
/// # Errors
/// Fails if the store fails.
pub async fn forget_marks_before(db: &dyn Database, before: Timestamp) -> Result<(), Error> {
    db.write("forget old warnings", vec![Statement::new(FORGET_MARKS, vec![before.into()])]).await?;
    Ok(())
}

/// Returns the events in the table of the configuration.
pub(crate) async fn configured(db: &dyn Database, limit: usize) -> Result<Vec<Outgoing>, Error> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = db.read(Statement::new(READ, vec![limit.into()])).await?;
    let events = rows.into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
    Ok(events.into_iter().flatten().map(|event| Outgoing { event, cause: Cause::Configuration }).collect())
}

/// Removes events from the table of the configuration.
pub(crate) async fn remove_configured(db: &dyn Database, events: &[Outgoing]) -> Result<(), Error> {
    let remove =
        |outgoing: &Outgoing| Statement::new(REMOVE, vec![outgoing.event.id.as_bytes().into(), outgoing.event.kind.as_str().into()]);
    db.write("remove published events", events.iter().map(remove).collect()).await?;
    Ok(())
}

/// Reads a row; `None` for a type of a later version, which publishes it itself.
pub(crate) fn read(row: Row) -> Result<Option<OperationalEvent>, Error> {
    let mut columns = row.columns();
    let id = columns.id("id", ResourceId::from_bytes)?;
    let kind = columns.text("event type")?;
    let organization = columns.id("organization id", OrganizationId::from_bytes)?;
    let environment = columns.id("environment id", EnvironmentId::from_bytes)?;
    let application = id_or_none(columns.blob("application id")?)?.map(ApplicationId::from_bytes);
    let endpoint = id_or_none(columns.blob("endpoint id")?)?.map(EndpointId::from_bytes);
    let at = Timestamp::from_millis(columns.integer("created_at")?);
    let data = serde_json::from_str(&columns.text("data")?).map_err(|_| Error::Unreadable { what: "data" })?;
    let Some(kind) = OperationalType::parse(&kind) else { return Ok(None) };
    Ok(Some(OperationalEvent { id, tenant: Tenant { organization, environment }, kind, at, application, endpoint, data }))
}

/// Reads an id that may be missing: no bytes.
fn id_or_none(bytes: Vec<u8>) -> Result<Option<[u8; 16]>, Error> {
    if bytes.is_empty() { Ok(None) } else { bytes.try_into().map(Some).map_err(|_| Error::Unreadable { what: "id" }) }
}
