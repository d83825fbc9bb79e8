//! Tables of the index: one for each day of messages, so that an expired day is a dropped table, and the progress. They are
//! derived, so no migration has them and no transfer copies them; the indexing node creates them.

use hookstream_model::base::time::Day;
use tokio_postgres::{error::SqlState, types::Type};
use uuid::Uuid;

use crate::{
    db::error::Error,
    delivery::{finding::IdBytes, text_index::IndexState},
    postgres::{
        db::connection::{Connection, Pool, connect},
        retention::days::{LOCK, LOCK_TIMEOUT, partition},
    },
};

/// Prefix of the days' tables.
const PREFIX: &str = "search_words";

/// Maximum size of the entries that the index has not sorted in yet, in KiB. Each search reads them.
const PENDING_KIB: u32 = 256;

const CREATE_PROGRESS: &str = "create table if not exists search_progress (
    only_row boolean not null primary key default true check (only_row),
    since uuid not null,
    until uuid not null
) with (fillfactor = 50)";
const HAS_PROGRESS: &str = "select to_regclass('search_progress') is not null";
const PROGRESS: &str = "select since, until from search_progress";
const DAYS: &str = "select right(relname, 8) from pg_class
    where relkind = 'r' and relname like 'search\\_words\\_%' and pg_table_is_visible(oid) order by 1";
const SIZE: &str = "select coalesce(pg_total_relation_size(to_regclass($1)), 0)::int8";
const SET_SINCE: &str = "update search_progress set since = greatest(since, $1), until = greatest(until, $1)";
const DROP_PROGRESS: &str = "drop table if exists search_progress";

/// Returns the table of a day.
pub(super) fn table(day: Day) -> String {
    partition(PREFIX, day)
}

/// Creates the table of the progress. The statements of a batch are one transaction, so the lock is held to its end: two nodes
/// that create a table at the same moment would conflict.
pub(super) async fn create_progress(connection: &Connection) -> Result<(), Error> {
    connection.batch(&format!("{LOCK}; {CREATE_PROGRESS}")).await
}

/// Creates the table of a day.
pub(super) async fn create_day(connection: &Connection, day: Day) -> Result<(), Error> {
    let table = table(day);
    let create = format!(
        "{LOCK};
        create table if not exists {table} (message_id uuid not null primary key, origin_id uuid not null, words tsvector not null);
        alter table {table} alter column words set storage main;
        create index if not exists {table}_words on {table} using gin (words) with (gin_pending_list_limit = {PENDING_KIB})"
    );
    connection.batch(&create).await
}

/// Returns the indexed interval.
pub(super) async fn state(connection: &Connection) -> Result<Option<IndexState>, Error> {
    let has_progress = connection.query(HAS_PROGRESS, &[]).await?;
    if !has_progress.first().is_some_and(|row| row.get(0)) {
        return Ok(None);
    }
    let id = |row: &tokio_postgres::Row, column| -> IdBytes { row.get::<_, Uuid>(column).into_bytes() };
    let rows = if_there(connection.query(PROGRESS, &[]).await)?.unwrap_or_default();
    Ok(rows.first().map(|row| IndexState { since: id(row, 0), until: id(row, 1) }))
}

/// Returns `None` if a table of the statement is gone: another node may drop it at any time.
pub(super) fn if_there<T>(result: Result<T, Error>) -> Result<Option<T>, Error> {
    let is_gone = |error: &Error| {
        let Error::Failed { cause, .. } = error else { return false };
        cause.downcast_ref::<tokio_postgres::Error>().and_then(tokio_postgres::Error::code) == Some(&SqlState::UNDEFINED_TABLE)
    };
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Moves the beginning of the interval.
pub(super) async fn set_since(connection: &Connection, since: IdBytes) -> Result<(), Error> {
    connection.execute(SET_SINCE, &[(&Uuid::from_bytes(since), Type::UUID)]).await.map(|_| ())
}

/// Returns the days with a table, oldest first.
pub(super) async fn days(connection: &Connection) -> Result<Vec<Day>, Error> {
    let day = |row: &tokio_postgres::Row| {
        let digits: String = row.get(0);
        let (year, month, of_month) = (digits.get(..4)?, digits.get(4..6)?, digits.get(6..)?);
        format!("{year}-{month}-{of_month}").parse().ok()
    };
    Ok(connection.query(DAYS, &[]).await?.iter().filter_map(day).collect())
}

/// Returns the size of a day's table with its index, in bytes.
pub(super) async fn size(connection: &Connection, day: Day) -> Result<u64, Error> {
    let rows = connection.query(SIZE, &[(&table(day), Type::TEXT)]).await?;
    Ok(rows.first().and_then(|row| u64::try_from(row.get::<_, i64>(0)).ok()).unwrap_or(0))
}

/// Drops the table of a day. A long reader delays it until the next time.
pub(super) async fn drop_day(pool: &Pool, day: Day) -> Result<(), Error> {
    let drop = async |connection: &Connection| {
        connection.batch(LOCK_TIMEOUT).await?;
        connection.batch(&format!("drop table if exists {}", table(day))).await
    };
    connect(pool, "delete a day of the index").await?.transaction(drop, |()| true).await
}

/// Drops the table of the progress.
pub(super) async fn drop_progress(connection: &Connection) -> Result<(), Error> {
    connection.batch(DROP_PROGRESS).await
}
