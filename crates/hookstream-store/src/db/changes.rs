//! What was changed in what is configured, for other processes that remember it.
//!
//! A change stands in the same commit as what it tells of. Numbers are given before the commit, so a
//! lower one may become visible after a higher one: whoever reads on goes back a little and skips what
//! it knows ([`Feed`]).

use std::collections::BTreeSet;

use hookstream_model::{
    base::ids::{ApplicationId, EnvironmentId},
    identity::tenancy::Tenant,
};

use crate::db::{
    error::Error,
    statement::{Database, Row, Statement, Value},
};

const NOTE: &str = "insert into changes (environment_id, application_id) values ($1, $2)";
const LATEST: &str = "select coalesce(max(number), 0) from changes";
const SINCE: &str = "select number, environment_id, application_id from changes where number > $1 order by number limit 10000";
const TOUCH_APPLICATION: &str = "update applications set version = version + 1 where environment_id = $1 and id = $2";
const TOUCH_DELETED: &str = "update applications set version = version + 1, endpoints_deleted_at_version = version + 1
    where environment_id = $1 and id = $2";
const TOUCH_ENVIRONMENT: &str = "update environments set version = version + 1 where id = $1";
const FORGET: &str = "delete from changes where number < $1";

/// How far a number may become visible late: so many changes are under way at once at the most.
const OVERLAP: i64 = 1_000;
/// How many changes are kept.
const KEPT: i64 = 20_000;

/// Something that was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// An application or one of its endpoints.
    Application(ApplicationId),
    /// An environment, its event types or its API keys.
    Environment(EnvironmentId),
}

/// Reads what was changed since it was last asked.
#[derive(Debug)]
pub struct Feed {
    latest: i64,
    known: BTreeSet<i64>,
}

impl Feed {
    /// A feed that begins now.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn start(db: &dyn Database) -> Result<Self, Error> {
        let rows = db.read(Statement::new(LATEST, vec![])).await?;
        let row = rows.into_iter().next().ok_or(Error::Unreadable { what: "change" })?;
        let mut feed = Self { latest: row.columns().integer("number")?, known: BTreeSet::new() };
        feed.next(db).await?;
        Ok(feed)
    }

    /// The changes since the last call.
    ///
    /// # Errors
    /// Where the store fails; the next call tells them all the same.
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

/// The statements that go with a change of an application.
pub(crate) fn of_application(tenant: Tenant, application: ApplicationId) -> [Statement; 2] {
    [touch(tenant, application), note(tenant, application)]
}

/// The statement that gives an application its next version. For a change of an endpoint it comes first: the endpoint's
/// row takes that version (`changed_at_version`), and whoever changes another endpoint at the same time waits for it.
pub(crate) fn touch(tenant: Tenant, application: ApplicationId) -> Statement {
    Statement::new(TOUCH_APPLICATION, vec![tenant.environment.as_bytes().into(), application.as_bytes().into()])
}

/// The same where an endpoint is deleted, of which no row is left that could tell.
pub(crate) fn touch_deleted(tenant: Tenant, application: ApplicationId) -> Statement {
    Statement::new(TOUCH_DELETED, vec![tenant.environment.as_bytes().into(), application.as_bytes().into()])
}

/// The statement that tells other processes of a change of an application or one of its endpoints.
pub(crate) fn note(tenant: Tenant, application: ApplicationId) -> Statement {
    Statement::new(NOTE, vec![tenant.environment.as_bytes().into(), application.as_bytes().into()]).tells_others()
}

/// The statements that go with a change of an environment, its event types or its API keys.
pub(crate) fn of_environment(tenant: Tenant) -> [Statement; 2] {
    let environment: Value = tenant.environment.as_bytes().into();
    [Statement::new(TOUCH_ENVIRONMENT, vec![environment.clone()]), Statement::new(NOTE, vec![environment, Value::Null]).tells_others()]
}

/// Forgets changes that everybody has long read.
///
/// # Errors
/// Where the store fails.
pub async fn forget_old(db: &dyn Database) -> Result<(), Error> {
    let rows = db.read(Statement::new(LATEST, vec![])).await?;
    let row = rows.into_iter().next().ok_or(Error::Unreadable { what: "change" })?;
    let before = row.columns().integer("number")? - KEPT;
    db.write("delete old changes", vec![Statement::new(FORGET, vec![before.into()])]).await?;
    Ok(())
}

fn read(row: Row) -> Result<(i64, Change), Error> {
    let mut columns = row.columns();
    let number = columns.integer("number")?;
    let environment = columns.id("environment id", EnvironmentId::from_bytes)?;
    let application = columns.optional_id("application id", ApplicationId::from_bytes)?;
    Ok((number, application.map_or(Change::Environment(environment), Change::Application)))
}
