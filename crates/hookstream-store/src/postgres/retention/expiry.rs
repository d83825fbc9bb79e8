//! Removal of payloads whose messages stay: a day's with their partition, an environment's in slices.

use hookstream_model::base::{ids::MessageId, time::Day};
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::days;
use crate::{
    db::{error::Error, page::sql_limit},
    delivery::{
        counts::Counts,
        payloads::{Expired, Removal, Removed, SLICE, slice_of},
    },
    postgres::{
        db::connection::{Connection, Pool, connect},
        history::counts,
    },
};

const OPERATION: &str = "remove payloads";
/// Locks the table before the partition, in the order of readers. This prevents requeuing for the day, which looks
/// for the payload first.
const LOCK_TABLE: &str = "lock table only payloads in access exclusive mode";
const BYTES: &str = "select coalesce(sum(payload_bytes), 0)::int8 from delivery_counts where day = $1";
const FORGET_BYTES: &str = "update delivery_counts set payload_bytes = 0 where day = $1 and payload_bytes <> 0";

/// Days on which an environment has payloads.
const DAYS_OF: &str = "select day from delivery_counts where environment_id = $1 and day >= $2 and day <= $3
    group by day having sum(payload_bytes) > 0 order by day";
/// Removable payloads; those that a requeue holds are left for the next time.
const REMOVABLE: &str = "select b.message_id, octet_length(b.body) from payloads b
    where b.environment_id = $1 and b.message_id > $2 and b.message_id < $3
        and not exists (select 1 from pending p where p.message_id = b.message_id)
        and not exists (select 1 from packed_pending p where p.message_id = b.message_id)
    order by b.message_id limit $4 for update of b skip locked";
/// Separate statement: sees deliveries that were requeued until the rows were locked.
const REMOVE: &str = "delete from payloads b where b.message_id = any($1) and b.message_id >= $2 and b.message_id <= $3
        and not exists (select 1 from pending p where p.message_id = b.message_id)
        and not exists (select 1 from packed_pending p where p.message_id = b.message_id)
    returning octet_length(b.body)";

/// Removes a slice of an environment's oldest payloads.
pub(crate) async fn remove(pool: &Pool, removal: Removal) -> Result<Removed, Error> {
    let connection = connect(pool, OPERATION).await?;
    let environment = Uuid::from_bytes(*removal.environment.as_bytes());
    let (first, last) = (removal.after.timestamp().day(), removal.before.timestamp().day());
    let among = [(&environment as _, Type::UUID), (&days::number(first) as _, Type::INT8), (&days::number(last) as _, Type::INT8)];
    let days: Vec<_> = connection.query(DAYS_OF, &among).await?.iter().map(|row| days::of_number(row.get(0))).collect();
    drop(connection);
    for day in days {
        let slice = async |connection: &Connection| remove_of(connection, environment, day, removal).await;
        let removed = connect(pool, OPERATION).await?.transaction(slice, |removed| removed.bytes > 0).await?;
        if removed.position.is_some() {
            return Ok(removed);
        }
    }
    Ok(Removed { bytes: 0, position: None })
}

async fn remove_of(connection: &Connection, environment: Uuid, day: Day, removal: Removal) -> Result<Removed, Error> {
    let from = Uuid::from_bytes(*removal.after.as_bytes()).max(days::first_id_at(day.start()));
    let to = Uuid::from_bytes(*removal.before.as_bytes()).min(days::first_id_at(day.end()));
    let within = [(&environment as _, Type::UUID), (&from as _, Type::UUID), (&to as _, Type::UUID), (&sql_limit(SLICE) as _, Type::INT8)];
    let rows = connection.query(REMOVABLE, &within).await?;
    let found = rows.iter().map(|row| (row.get::<_, Uuid>(0), row.get::<_, i32>(1))).collect();
    let slice = slice_of(found, |(_, size)| u64::try_from(*size).unwrap_or(0), removal.bytes);
    let messages: Vec<_> = slice.into_iter().map(|(message, _)| message).collect();
    let (Some(first), Some(last)) = (messages.first(), messages.last()) else { return Ok(Removed { bytes: 0, position: None }) };
    let these = [(&messages as _, Type::UUID_ARRAY), (first as _, Type::UUID), (last as _, Type::UUID)];
    let removed = connection.query(REMOVE, &these).await?;
    let bytes: i64 = removed.iter().map(|row| i64::from(row.get::<_, i32>(0))).sum();
    counts::add(connection, removal.environment, day, Counts::without_payload(bytes)).await?;
    Ok(Removed { bytes: u64::try_from(bytes).unwrap_or(0), position: Some(MessageId::from_bytes(last.into_bytes())) })
}

/// Drops the payloads of the oldest day before `before` that has payloads and no pending deliveries.
pub(crate) async fn expire(pool: &Pool, before: Day) -> Result<Option<Expired>, Error> {
    let connection = connect(pool, OPERATION).await?;
    let old: Vec<_> = days::days_of(&connection, "payloads").await?.into_iter().filter(|day| *day < before).collect();
    drop(connection);
    for day in old {
        if has_pending(&connect(pool, OPERATION).await?, day).await? {
            continue;
        }
        let expire = async |connection: &Connection| drop_payloads(connection, day).await;
        let expired = connect(pool, OPERATION).await?.transaction(expire, Option::is_some).await?;
        if expired.is_some() {
            return Ok(expired);
        }
    }
    Ok(None)
}

async fn drop_payloads(connection: &Connection, day: Day) -> Result<Option<Expired>, Error> {
    connection.query(days::LOCK, &[]).await?;
    if !days::days_of(connection, "payloads").await?.contains(&day) {
        // Another node was faster.
        return Ok(None);
    }
    connection.batch(days::LOCK_TIMEOUT).await?;
    connection.batch(LOCK_TABLE).await?;
    let part = days::partition("payloads", day);
    connection.batch(&format!("lock table {part} in access exclusive mode")).await?;
    if has_pending(connection, day).await? {
        return Ok(None);
    }
    connection.batch(&format!("drop table {part}")).await?;
    let number = [(&days::number(day) as _, Type::INT8)];
    let bytes = connection.query(BYTES, &number).await?.first().map_or(0, |row| row.get(0));
    connection.execute(FORGET_BYTES, &number).await?;
    Ok(Some(Expired { day, bytes, is_done: true }))
}

async fn has_pending(connection: &Connection, day: Day) -> Result<bool, Error> {
    let range = [(&days::first_id_at(day.start()) as _, Type::UUID), (&days::first_id_at(day.end()) as _, Type::UUID)];
    Ok(connection.query(days::HAS_PENDING, &range).await?.first().is_none_or(|row| row.get(0)))
}
