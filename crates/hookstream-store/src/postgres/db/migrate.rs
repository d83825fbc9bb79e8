//! Migration of a database to the current schema, one node at a time.

use tokio_postgres::types::Type;

use super::connection::{Connection, Pool, connect};
use crate::db::error::Error;

/// Schema, one step per file. A released step never changes. Each step also works with the previous program version,
/// because older nodes keep running while it is applied.
const STEPS: &[&str] = &[
    include_str!("../../db/migrations/postgres/0001_schema.sql"),
    include_str!("../../db/migrations/postgres/0002_operational_events.sql"),
    include_str!("../../db/migrations/postgres/0003_operations.sql"),
];

const CREATE_TABLE: &str = "create table if not exists schema_steps (number bigint primary key, applied_at timestamptz not null)";
/// Number of steps that a program must know to use a database of this version. It grows only when a step removes what an
/// older program needs, in a release after the one that stopped needing it.
const OLDEST_PROGRAM: i64 = 1;
const CREATE_OLDEST: &str = "create table if not exists schema_oldest_program (steps bigint not null)";
const FORGET_OLDEST: &str = "delete from schema_oldest_program";
const SET_OLDEST: &str = "insert into schema_oldest_program (steps) values ($1)";
const HAS_OLDEST: &str = "select to_regclass('schema_oldest_program') is not null";
const OLDEST: &str = "select coalesce(max(steps), 0) from schema_oldest_program";

const EXISTS: &str = "select to_regclass('schema_steps') is not null";
const LAST_STEP: &str = "select coalesce(max(number), 0) from schema_steps";
const ADD_STEP: &str = "insert into schema_steps (number, applied_at) values ($1, now())";
/// Held until the end of the transaction; the number is Hookstream's own.
const LOCK: &str = "select pg_advisory_xact_lock(4853715027)";

const ENCODING: &str =
    "select current_database()::text, pg_encoding_to_char(encoding)::text from pg_database where datname = current_database()";

const SERVER_VERSION: &str = "select current_setting('server_version')";

/// Schema version of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SchemaState {
    /// Last applied step.
    pub found: i64,
    /// Last step that this program knows.
    pub known: i64,
}

/// Returns the schema version of the database. Refuses a database with an encoding other than UTF8, which could not
/// store every text of senders and receivers.
pub(crate) async fn check(pool: &Pool) -> Result<SchemaState, Error> {
    let connection = connect(pool, "read the schema version").await?;
    check_encoding(&connection).await?;
    let known = i64::try_from(STEPS.len()).unwrap_or(i64::MAX);
    let rows = connection.query(EXISTS, &[]).await?;
    let exists: bool = rows.first().ok_or(Error::Unreadable { what: "schema" })?.get(0);
    let found = if exists { found(&connection).await? } else { 0 };
    Ok(SchemaState { found, known })
}

/// Returns the version of the server.
pub(crate) async fn server_version(pool: &Pool) -> Result<String, Error> {
    let connection = connect(pool, "read the server's version").await?;
    let rows = connection.query(SERVER_VERSION, &[]).await?;
    Ok(rows.first().ok_or(Error::Unreadable { what: "server version" })?.get(0))
}

/// Applies the missing steps. Nodes that start at the same time wait for each other.
pub(crate) async fn apply(pool: &Pool) -> Result<SchemaState, Error> {
    let state = check(pool).await?;
    if state.found > state.known && !may_use(pool, state.known).await? {
        return Err(Error::TooNew { what: "the database".to_owned(), found: state.found, known: state.known });
    }
    if state.found >= state.known {
        return Ok(state);
    }
    let connection = connect(pool, "apply migrations").await?;
    let applied = async |connection: &Connection| {
        connection.query(LOCK, &[]).await?;
        connection.batch(CREATE_TABLE).await?;
        let found = found(connection).await?;
        for (number, step) in (1_i64..).zip(STEPS).filter(|(number, _)| *number > found) {
            connection.batch(step).await?;
            connection.execute(ADD_STEP, &[(&number, Type::INT8)]).await?;
        }
        connection.batch(CREATE_OLDEST).await?;
        connection.batch(FORGET_OLDEST).await?;
        connection.execute(SET_OLDEST, &[(&OLDEST_PROGRAM, Type::INT8)]).await?;
        Ok(())
    };
    connection.transaction(applied, |()| true).await?;
    Ok(SchemaState { found: state.known, known: state.known })
}

/// Returns whether a program that knows these steps may use the database of a later one, as that one says.
async fn may_use(pool: &Pool, known: i64) -> Result<bool, Error> {
    let connection = connect(pool, "read the schema version").await?;
    let rows = connection.query(HAS_OLDEST, &[]).await?;
    if !rows.first().is_some_and(|row| row.get::<_, bool>(0)) {
        return Ok(false);
    }
    let rows = connection.query(OLDEST, &[]).await?;
    Ok(rows.first().is_some_and(|row| (1..=known).contains(&row.get::<_, i64>(0))))
}

async fn check_encoding(connection: &Connection) -> Result<(), Error> {
    let rows = connection.query(ENCODING, &[]).await?;
    let row = rows.first().ok_or(Error::Unreadable { what: "encoding" })?;
    let (database, found): (String, String) = (row.get(0), row.get(1));
    if found == "UTF8" { Ok(()) } else { Err(Error::Encoding { database, found }) }
}

async fn found(connection: &Connection) -> Result<i64, Error> {
    let rows = connection.query(LAST_STEP, &[]).await?;
    Ok(rows.first().ok_or(Error::Unreadable { what: "schema step" })?.get(0))
}
