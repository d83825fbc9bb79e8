//! Days as partitions: created in advance, dropped as a whole.

use std::collections::BTreeSet;

use hookstream_model::base::{
    ids::MessageId,
    time::{Day, Timestamp},
};
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::{
    db::{
        error::Error,
        transfer::tables::{DayBy, TABLES},
    },
    postgres::{
        db::connection::{Connection, Pool, Values, connect},
        retention::days,
    },
};

/// Tables partitioned by day; the table of messages is last.
const PARTITIONED: [(&str, &str); 4] =
    [("payloads", "message_id"), ("attempts", "message_id"), ("undelivered", "message_id"), ("messages", "id")];

/// Lock until the end of the transaction: one node at a time creates or drops days.
pub(crate) const LOCK: &str = "select pg_advisory_xact_lock(4853715028)";
const DAYS: &str = "select right(c.relname, 8) from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = $1::text::regclass order by 1";
/// Size of partitions; one that is dropped meanwhile counts as 0.
const SIZE: &str = "select coalesce(sum(pg_total_relation_size(to_regclass(part))), 0)::int8 from unnest($1::text[]) as part";
pub(crate) const HAS_PENDING: &str = "select exists (select 1 from all_pending where message_id >= $1 and message_id < $2)";
const FORGET_COUNTS: [&str; 2] = ["delete from message_counts where day = $1", "delete from delivery_counts where day = $1"];
/// Keeps the counts that quotas need for two months.
const KEEP_EVENTS: [&str; 2] = [
    "insert into event_counts (environment_id, day, organization_id, events)
        select e.id, d.day, e.organization_id, sum(d.events)::int8
        from delivery_counts d join environments e on e.id = uuid_send(d.environment_id) where d.day = $1 group by e.id, d.day
        on conflict (environment_id, day) do update set events = excluded.events",
    "delete from event_counts where day < $1 - 62",
];
/// Deletes by age alone: lookups ignore everything older than the window.
const FORGET_KEYS: [&str; 2] = ["delete from message_keys where message_id < $1", "delete from event_ids where message_id < $1"];
/// Limits the wait for a long reader; the drop is then retried later.
pub(crate) const LOCK_TIMEOUT: &str = "set local lock_timeout = '3s'";

/// Creates the missing partitions of a day.
pub(crate) async fn prepare(pool: &Pool, day: Day) -> Result<(), Error> {
    let connection = connect(pool, "create the partitions of a day").await?;
    // The payloads are created first and dropped first.
    if days_of(&connection, "payloads").await?.contains(&day) {
        return Ok(());
    }
    let make = async |connection: &Connection| {
        connection.query(LOCK, &[]).await?;
        for (table, _) in PARTITIONED {
            if days_of(connection, table).await?.contains(&day) {
                continue;
            }
            // Creating and then attaching a table hardly affects others; creating it as a partition would lock them out.
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

/// Drops each day before `day` without pending deliveries.
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

/// Deletes the idempotency keys and event ids of messages before this time.
pub(crate) async fn forget_keys(pool: &Pool, before: Timestamp) -> Result<(), Error> {
    let connection = connect(pool, "delete expired idempotency keys").await?;
    for forget in FORGET_KEYS {
        connection.execute(forget, &[(&first_id_at(before), Type::UUID)]).await?;
    }
    Ok(())
}

/// Returns the disk usage of each day's partitions in bytes, oldest first.
pub(crate) async fn sizes(pool: &Pool) -> Result<Vec<(Day, u64)>, Error> {
    let connection = connect(pool, "measure the days").await?;
    let mut sizes = Vec::new();
    for day in days(&connection).await? {
        let parts: Vec<_> = PARTITIONED.iter().map(|(table, _)| partition(table, day)).collect();
        let rows = connection.query(SIZE, &[(&parts, Type::TEXT_ARRAY)]).await?;
        let bytes: i64 = rows.first().map_or(0, |row| row.get(0));
        sizes.push((day, u64::try_from(bytes).unwrap_or(0)));
    }
    Ok(sizes)
}

async fn drop_day(pool: &Pool, day: Day) -> Result<bool, Error> {
    let drop = async |connection: &Connection| {
        connection.query(LOCK, &[]).await?;
        connection.batch(LOCK_TIMEOUT).await?;
        // Prevents requeuing for this day from here on, because that reads the message first.
        connection.batch(&format!("lock table {} in access exclusive mode", partition("messages", day))).await?;
        let range = [(&first_id_at(day.start()) as _, Type::UUID), (&first_id_at(day.end()) as _, Type::UUID)];
        let rows = connection.query(HAS_PENDING, &range).await?;
        if rows.first().is_none_or(|row| row.get(0)) {
            return Ok(false);
        }
        for (table, _) in PARTITIONED {
            // The payloads may have been dropped earlier.
            connection.batch(&format!("drop table if exists {}", partition(table, day))).await?;
        }
        for keep in KEEP_EVENTS.into_iter().chain(FORGET_COUNTS) {
            connection.execute(keep, &[(&number(day), Type::INT8)]).await?;
        }
        Ok(true)
    };
    connect(pool, "delete a day of messages").await?.transaction(drop, |dropped| *dropped).await
}

/// Returns the days that have partitions, oldest first.
pub(crate) async fn days(connection: &Connection) -> Result<Vec<Day>, Error> {
    days_of(connection, "messages").await
}

/// Returns the days that have a partition of a table, oldest first.
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

/// Returns the number of a day, as the counts store it.
pub(crate) fn number(day: Day) -> i64 {
    day.start().as_millis() / 86_400_000
}

/// Returns the day with a number.
pub(crate) fn of_number(number: i64) -> Day {
    Timestamp::from_millis(number.saturating_mul(86_400_000)).day()
}

/// Returns whether a table is partitioned.
fn is_partitioned(table: &str) -> bool {
    PARTITIONED.iter().any(|(name, _)| *name == table)
}

/// Returns the lowest id possible in this millisecond.
pub(crate) fn first_id_at(at: Timestamp) -> Uuid {
    let mut id = [0; 16];
    id[..6].copy_from_slice(&at.as_millis().max(0).to_be_bytes()[2..]);
    Uuid::from_bytes(id)
}

/// Returns the days that may have rows, oldest first.
pub(crate) async fn days_with_rows(connection: &Connection) -> Result<Vec<Day>, Error> {
    let mut found = BTreeSet::from_iter(days::days(connection).await?);
    for row in connection.query(COUNTED_DAYS, &[]).await? {
        found.insert(days::of_number(row.get(0)));
    }
    for table in TABLES {
        if let DayBy::Id(id) = table.postgres.day
            && !days::is_partitioned(table.postgres.into)
        {
            found.extend(days_in(connection, table.postgres.into, id).await?);
        }
    }
    Ok(found.into_iter().collect())
}

const COUNTED_DAYS: &str = "select day from message_counts union select day from delivery_counts";

/// Returns the days of the ids in an indexed column, with one index lookup for each.
async fn days_in(connection: &Connection, table: &str, id: &str) -> Result<Vec<Day>, Error> {
    let next = format!("select {id} from {table} where {id} >= $1 order by {id} limit 1");
    let mut days: Vec<Day> = Vec::new();
    loop {
        let from = days.last().map_or(Uuid::nil(), |day| days::first_id_at(day.end()));
        let values: &Values<'_> = &[(&from, Type::UUID)];
        let rows = connection.query(&next, values).await?;
        let Some(row) = rows.first() else { return Ok(days) };
        days.push(MessageId::from_bytes(row.get::<_, Uuid>(0).into_bytes()).timestamp().day());
    }
}
