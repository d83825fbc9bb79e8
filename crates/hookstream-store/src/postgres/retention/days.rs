//! Days as partitions: made ahead, dropped whole.

use hookstream_model::base::time::{Day, Timestamp};
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::{
    db::error::Error,
    postgres::db::connection::{Connection, Pool, connect},
};

/// The tables that are kept by day, the one with the most beside it last.
const TABLES: [(&str, &str); 4] =
    [("payloads", "message_id"), ("attempts", "message_id"), ("undelivered", "message_id"), ("messages", "id")];

/// Held until the end of the transaction: the days are made and dropped by one node at a time.
pub(crate) const LOCK: &str = "select pg_advisory_xact_lock(4853715028)";
const DAYS: &str = "select right(c.relname, 8) from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = $1::text::regclass order by 1";
/// One that is dropped meanwhile takes nothing.
const SIZE: &str = "select coalesce(sum(pg_total_relation_size(to_regclass(part))), 0)::int8 from unnest($1::text[]) as part";
pub(crate) const IS_OWED: &str = "select exists (select 1 from pending where message_id >= $1 and message_id < $2)";
const FORGET_COUNTS: [&str; 2] = ["delete from message_counts where day = $1", "delete from delivery_counts where day = $1"];
/// What a quota may be about stays counted for two months.
const KEEP_EVENTS: [&str; 2] = [
    "insert into event_counts (environment_id, day, organization_id, events)
        select e.id, d.day, e.organization_id, sum(d.events)::int8
        from delivery_counts d join environments e on e.id = uuid_send(d.environment_id) where d.day = $1 group by e.id, d.day
        on conflict (environment_id, day) do update set events = excluded.events",
    "delete from event_counts where day < $1 - 62",
];
/// By age alone: what is looked up is what is younger than the window.
const FORGET_KEYS: [&str; 2] = ["delete from message_keys where message_id < $1", "delete from event_ids where message_id < $1"];
/// A drop that would wait for a long reader gives up, and is tried again later.
pub(crate) const PATIENCE: &str = "set local lock_timeout = '3s'";

/// Makes a day's partitions where they are not there.
pub(crate) async fn prepare(pool: &Pool, day: Day) -> Result<(), Error> {
    let connection = connect(pool, "create the partitions of a day").await?;
    // The first that is made and the first that goes.
    if days_of(&connection, "payloads").await?.contains(&day) {
        return Ok(());
    }
    let make = async |connection: &Connection| {
        connection.query(LOCK, &[]).await?;
        for (table, _) in TABLES {
            if days_of(connection, table).await?.contains(&day) {
                continue;
            }
            // Made and then attached, which others hardly notice; made as a partition, it would lock them out.
            let (part, from, to) = (partition(table, day), first_id_at(day.start()), first_id_at(day.end()));
            let make = format!(
                "create table if not exists {part} (like {table} including defaults including storage);
                alter table {table} attach partition {part} for values from ('{from}') to ('{to}')"
            );
            connection.batch(&make).await?;
        }
        Ok(())
    };
    connection.transaction(make, |()| true).await
}

/// Drops each day before `day`, unless something of it is owed.
pub(crate) async fn drop_before(pool: &Pool, day: Day) -> Result<Vec<Day>, Error> {
    let connection = connect(pool, "delete a day of messages").await?;
    let old: Vec<_> = days(&connection).await?.into_iter().filter(|old| *old < day).collect();
    drop(connection);
    let mut dropped = Vec::new();
    for old in old {
        if drop_day(pool, old).await? {
            dropped.push(old);
        }
    }
    Ok(dropped)
}

/// Forgets idempotency keys and event ids of messages before a moment.
pub(crate) async fn forget_keys(pool: &Pool, before: Timestamp) -> Result<(), Error> {
    let connection = connect(pool, "delete expired idempotency keys").await?;
    for forget in FORGET_KEYS {
        connection.execute(forget, &[(&first_id_at(before), Type::UUID)]).await?;
    }
    Ok(())
}

/// What each day's partitions take on disk, in bytes, oldest first.
pub(crate) async fn sizes(pool: &Pool) -> Result<Vec<(Day, u64)>, Error> {
    let connection = connect(pool, "measure the days").await?;
    let mut sizes = Vec::new();
    for day in days(&connection).await? {
        let parts: Vec<_> = TABLES.iter().map(|(table, _)| partition(table, day)).collect();
        let rows = connection.query(SIZE, &[(&parts, Type::TEXT_ARRAY)]).await?;
        let bytes: i64 = rows.first().map_or(0, |row| row.get(0));
        sizes.push((day, u64::try_from(bytes).unwrap_or(0)));
    }
    Ok(sizes)
}

async fn drop_day(pool: &Pool, day: Day) -> Result<bool, Error> {
    let drop = async |connection: &Connection| {
        connection.query(LOCK, &[]).await?;
        connection.batch(PATIENCE).await?;
        // Nobody can make anything of the day owed again from here on: that reads its message first.
        connection.batch(&format!("lock table {} in access exclusive mode", partition("messages", day))).await?;
        let range = [(&first_id_at(day.start()) as _, Type::UUID), (&first_id_at(day.end()) as _, Type::UUID)];
        let rows = connection.query(IS_OWED, &range).await?;
        if rows.first().is_none_or(|row| row.get(0)) {
            return Ok(false);
        }
        for (table, _) in TABLES {
            // The payloads may have been dropped before.
            connection.batch(&format!("drop table if exists {}", partition(table, day))).await?;
        }
        for keep in KEEP_EVENTS.into_iter().chain(FORGET_COUNTS) {
            connection.execute(keep, &[(&number(day), Type::INT8)]).await?;
        }
        Ok(true)
    };
    connect(pool, "delete a day of messages").await?.transaction(drop, |dropped| *dropped).await
}

/// The days that have partitions, oldest first.
pub(crate) async fn days(connection: &Connection) -> Result<Vec<Day>, Error> {
    days_of(connection, "messages").await
}

/// The days that have a partition of a table, oldest first.
pub(crate) async fn days_of(connection: &Connection, table: &str) -> Result<Vec<Day>, Error> {
    let rows = connection.query(DAYS, &[(&table, Type::TEXT)]).await?;
    let day = |row: &tokio_postgres::Row| {
        let digits: String = row.get(0);
        let (year, month, of_month) = (digits.get(..4)?, digits.get(4..6)?, digits.get(6..)?);
        format!("{year}-{month}-{of_month}").parse().ok()
    };
    Ok(rows.iter().filter_map(day).collect())
}

pub(crate) fn partition(table: &str, day: Day) -> String {
    format!("{table}_{}", day.to_string().replace('-', ""))
}

/// A day as a number, for the counts.
pub(crate) fn number(day: Day) -> i64 {
    day.start().as_millis() / 86_400_000
}

/// The day of a number.
pub(crate) fn of_number(number: i64) -> Day {
    Timestamp::from_millis(number.saturating_mul(86_400_000)).day()
}

/// Whether a table is kept in partitions.
pub(crate) fn is_partitioned(table: &str) -> bool {
    TABLES.iter().any(|(name, _)| *name == table)
}

/// The smallest id that can be made in this millisecond.
pub(crate) fn first_id_at(at: Timestamp) -> Uuid {
    let mut id = [0; 16];
    id[..6].copy_from_slice(&at.as_millis().max(0).to_be_bytes()[2..]);
    Uuid::from_bytes(id)
}
