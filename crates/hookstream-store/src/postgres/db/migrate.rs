//! Bringing a database to the current schema, one node at a time.

use tokio_postgres::types::Type;

use super::connection::{Connection, Pool, connect};
use crate::db::error::Error;

/// The schema, a step a file; a step is never changed once it was released. A step works with the
/// program before it too: older nodes go on serving while it is applied.
const STEPS: &[&str] = &[
    include_str!("../../db/migrations/postgres/0001_tenants_and_outbound.sql"),
    include_str!("../../db/migrations/postgres/0002_people.sql"),
    include_str!("../../db/migrations/postgres/0003_audit_log.sql"),
    include_str!("../../db/migrations/postgres/0004_mail.sql"),
    include_str!("../../db/migrations/postgres/0005_quotas.sql"),
    include_str!("../../db/migrations/postgres/0006_outbound.sql"),
    include_str!("../../db/migrations/postgres/0007_key_levels.sql"),
];

const MAKE_TABLE: &str = "create table if not exists schema_steps (number bigint primary key, applied_at timestamptz not null)";
const IS_THERE: &str = "select to_regclass('schema_steps') is not null";
const FOUND: &str = "select coalesce(max(number), 0) from schema_steps";
const NOTE: &str = "insert into schema_steps (number, applied_at) values ($1, now())";
/// Held until the end of the transaction; the number is Hookstream's own.
const LOCK: &str = "select pg_advisory_xact_lock(4853715027)";

const ENCODING: &str =
    "select current_database()::text, pg_encoding_to_char(encoding)::text from pg_database where datname = current_database()";

/// How far a database is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SchemaState {
    /// The step it is at.
    pub found: i64,
    /// The last step this program knows.
    pub known: i64,
}

/// How far the database is. A database with an encoding other than UTF8 is refused: it could not hold each text that a
/// receiver answers or a sender sends.
pub(crate) async fn check(pool: &Pool) -> Result<SchemaState, Error> {
    let connection = connect(pool, "read the schema version").await?;
    check_encoding(&connection).await?;
    let known = i64::try_from(STEPS.len()).unwrap_or(i64::MAX);
    let rows = connection.query(IS_THERE, &[]).await?;
    let is_there: bool = rows.first().ok_or(Error::Unreadable { what: "schema" })?.get(0);
    let found = if is_there { found(&connection).await? } else { 0 };
    Ok(SchemaState { found, known })
}

/// Applies the steps that are missing. Nodes that start at once wait for each other.
pub(crate) async fn apply(pool: &Pool) -> Result<SchemaState, Error> {
    let state = check(pool).await?;
    if state.found > state.known {
        return Err(Error::TooNew { what: "the database".to_owned(), found: state.found, known: state.known });
    }
    if state.found == state.known {
        return Ok(state);
    }
    let connection = connect(pool, "apply migrations").await?;
    let applied = async |connection: &Connection| {
        connection.query(LOCK, &[]).await?;
        connection.batch(MAKE_TABLE).await?;
        let found = found(connection).await?;
        for (number, step) in (1_i64..).zip(STEPS).filter(|(number, _)| *number > found) {
            connection.batch(step).await?;
            connection.execute(NOTE, &[(&number, Type::INT8)]).await?;
        }
        Ok(())
    };
    connection.transaction(applied, |()| true).await?;
    Ok(SchemaState { found: state.known, known: state.known })
}

async fn check_encoding(connection: &Connection) -> Result<(), Error> {
    let rows = connection.query(ENCODING, &[]).await?;
    let row = rows.first().ok_or(Error::Unreadable { what: "encoding" })?;
    let (database, found): (String, String) = (row.get(0), row.get(1));
    if found == "UTF8" { Ok(()) } else { Err(Error::Encoding { database, found }) }
}

async fn found(connection: &Connection) -> Result<i64, Error> {
    let rows = connection.query(FOUND, &[]).await?;
    Ok(rows.first().ok_or(Error::Unreadable { what: "schema step" })?.get(0))
}
