//! Changes of the configuration, for other processes that cache it.
//!
//! A change record is written in the same commit as the change. Its number is assigned before the commit, so a lower
//! number may become visible after a higher one. A reader therefore goes back a little and skips known numbers
//! ([`Feed`]).

use std::collections::BTreeSet;

use hookstream_model::{
    base::ids::{ApplicationId, EnvironmentId},
    identity::tenancy::Tenant,
};

use crate::db::{
    error::Error,
    listeners::{Change, EndpointChange},
    statement::{Database, Row, Statement, Value},
};

const RECORD: &str = "insert into changes (environment_id, application_id) values ($1, $2)";
const LATEST: &str = "select coalesce(max(number), 0) from changes";
const SINCE: &str = "select number, environment_id, application_id from changes where number > $1 order by number limit 10000";
const TOUCH_APPLICATION: &str = "update applications set version = version + 1 where environment_id = $1 and id = $2";
const TOUCH_DELETED: &str = "update applications set version = version + 1, endpoints_deleted_at_version = version + 1
    where environment_id = $1 and id = $2";
const TOUCH_ENVIRONMENT: &str = "update environments set version = version + 1 where id = $1";
const DELETE_OLD: &str = "delete from changes where number < $1";

/// Maximum delay in numbers: at most this many changes are in progress at once.
const OVERLAP: i64 = 1_000;
/// Number of kept changes.
const KEPT: i64 = 20_000;

/// Reader of the changes since the last call.
#[derive(Debug)]
pub struct Feed {
    latest: i64,
    known: BTreeSet<i64>,
}

impl Feed {
    /// Creates a feed that begins now.
    ///
    /// # Errors
    /// Fails if the store fails.
    pub async fn start(db: &dyn Database) -> Result<Self, Error> {
        let rows = db.read(Statement::new(LATEST, vec![])).await?;
        let row = rows.into_iter().next().ok_or(Error::Unreadable { what: "change" })?;
        let mut feed = Self { latest: row.columns().integer("number")?, known: BTreeSet::new() };
        feed.next(db).await?;
        Ok(feed)
    }

    /// Returns the changes since the last call.
    ///
    /// # Errors
    /// Fails if the store fails; the next call then returns the changes.
    pub async fn next(&mut self, db: &dyn Database) -> Result<Vec<Change>, Error> {
        let from = self.latest - OVERLAP;
        let mut changes = Vec::new();
        for row in db.read(Statement::new(SINCE, vec![from.into()])).await? {
            let (number, change) = read(row)?;
            if self.known.insert(number) {
                changes.push(change);
            }
        }
        self.latest = self.known.last().copied().unwrap_or(self.latest);
        self.known = self.known.split_off(&(self.latest - OVERLAP));
        Ok(changes)
    }
}

/// Returns the statements that accompany a change of an application.
pub(crate) fn of_application(tenant: Tenant, application: ApplicationId) -> [Statement; 2] {
    [touch(tenant, application), record(tenant, application)]
}

/// Returns the statement that increments an application's version. For a change of an endpoint this statement comes
/// first: the endpoint's row takes the new version (`changed_at_version`), and a concurrent change of another
/// endpoint waits.
pub(crate) fn touch(tenant: Tenant, application: ApplicationId) -> Statement {
    Statement::new(TOUCH_APPLICATION, vec![tenant.environment.as_bytes().into(), application.as_bytes().into()])
}

/// Returns the statement that increments an application's version for a deleted endpoint, which leaves no row with the version.
pub(crate) fn touch_deleted(tenant: Tenant, application: ApplicationId) -> Statement {
    Statement::new(TOUCH_DELETED, vec![tenant.environment.as_bytes().into(), application.as_bytes().into()])
}

/// Returns the statement that notifies other processes of a change of an application or one of its endpoints.
pub(crate) fn record(tenant: Tenant, application: ApplicationId) -> Statement {
    Statement::new(RECORD, vec![tenant.environment.as_bytes().into(), application.as_bytes().into()])
        .announces(Change::Application(application))
}

/// Returns the statement that notifies other processes of a change of one endpoint.
pub(crate) fn record_endpoint(change: EndpointChange) -> Statement {
    record(change.tenant, change.application_id).announces(Change::Endpoint(change))
}

/// Returns the statements that accompany a change of an environment, its event types or its API keys.
pub(crate) fn of_environment(tenant: Tenant) -> [Statement; 2] {
    let environment: Value = tenant.environment.as_bytes().into();
    [
        Statement::new(TOUCH_ENVIRONMENT, vec![environment.clone()]),
        Statement::new(RECORD, vec![environment, Value::Null]).announces(Change::Environment(tenant.environment)),
    ]
}

/// Deletes changes that every process has read long ago.
///
/// # Errors
/// Fails if the store fails.
pub async fn forget_old(db: &dyn Database) -> Result<(), Error> {
    let rows = db.read(Statement::new(LATEST, vec![])).await?;
    let row = rows.into_iter().next().ok_or(Error::Unreadable { what: "change" })?;
    let before = row.columns().integer("number")? - KEPT;
    db.write("delete old changes", vec![Statement::new(DELETE_OLD, vec![before.into()])]).await?;
    Ok(())
}

fn read(row: Row) -> Result<(i64, Change), Error> {
    let mut columns = row.columns();
    let number = columns.integer("number")?;
    let environment = columns.id("environment id", EnvironmentId::from_bytes)?;
    let application = columns.optional_id("application id", ApplicationId::from_bytes)?;
    Ok((number, application.map_or(Change::Environment(environment), Change::Application)))
}
