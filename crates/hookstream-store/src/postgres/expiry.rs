//! Removing the payloads of a day whose messages stay: its partition goes whole.

use hookstream_model::time::Day;
use tokio_postgres::types::Type;

use super::{
    connection::{Connection, Pool, connect},
    days,
};
use crate::{error::Error, payloads::Expired};

const OPERATION: &str = "remove payloads";
/// The table first, as whoever reads from it does. Then nobody can make anything of the day owed again: that looks
/// for the payload first.
const LOCK_TABLE: &str = "lock table only payloads in access exclusive mode";
const BYTES: &str = "select coalesce(sum(payload_bytes), 0)::int8 from delivery_counts where day = $1";
const FORGET_BYTES: &str = "update delivery_counts set payload_bytes = 0 where day = $1 and payload_bytes <> 0";

/// Drops the payloads of the oldest day before `before` that has some and of which nothing is owed.
pub(super) async fn expire(pool: &Pool, before: Day) -> Result<Option<Expired>, Error> {
    let connection = connect(pool, OPERATION).await?;
    let old: Vec<_> = days::days_of(&connection, "payloads").await?.into_iter().filter(|day| *day < before).collect();
    drop(connection);
    for day in old {
        if is_owed(&connect(pool, OPERATION).await?, day).await? {
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
    connection.batch(days::PATIENCE).await?;
    connection.batch(LOCK_TABLE).await?;
    let part = days::partition("payloads", day);
    connection.batch(&format!("lock table {part} in access exclusive mode")).await?;
    if is_owed(connection, day).await? {
        return Ok(None);
    }
    connection.batch(&format!("drop table {part}")).await?;
    let number = [(&days::number(day) as _, Type::INT8)];
    let bytes = connection.query(BYTES, &number).await?.first().map_or(0, |row| row.get(0));
    connection.execute(FORGET_BYTES, &number).await?;
    Ok(Some(Expired { day, bytes, is_done: true }))
}

async fn is_owed(connection: &Connection, day: Day) -> Result<bool, Error> {
    let range = [(&days::first_id_at(day.start()) as _, Type::UUID), (&days::first_id_at(day.end()) as _, Type::UUID)];
    Ok(connection.query(days::IS_OWED, &range).await?.first().is_none_or(|row| row.get(0)))
}
