//! Reads of the delivery counts, and changes that are not part of a larger statement.

use hookstream_model::{
    base::{ids::EnvironmentId, time::Day},
    identity::tenancy::Tenant,
};
use tokio_postgres::{Row, types::Type};
use uuid::Uuid;

use crate::{
    db::error::Error,
    delivery::counts::{Counts, DayCounts},
    operations::quotas::DayEvents,
    postgres::{
        db::connection::{Connection, Pool, connect},
        retention::days,
    },
};

const ADD: &str = "insert into delivery_counts
        (environment_id, day, owner, messages, accepted, succeeded, exhausted, skipped, cancelled, payload_bytes)
    values ($1, $2, 0, $3, $4, $5, $6, $7, $8, $9)
    on conflict (environment_id, day, owner) do update set messages = delivery_counts.messages + excluded.messages,
        accepted = delivery_counts.accepted + excluded.accepted, succeeded = delivery_counts.succeeded + excluded.succeeded,
        exhausted = delivery_counts.exhausted + excluded.exhausted, skipped = delivery_counts.skipped + excluded.skipped,
        cancelled = delivery_counts.cancelled + excluded.cancelled,
        payload_bytes = delivery_counts.payload_bytes + excluded.payload_bytes";
const READ: &str = "select day, sum(messages)::int8, sum(accepted)::int8, sum(succeeded)::int8, sum(exhausted)::int8, sum(skipped)::int8,
        sum(cancelled)::int8, sum(payload_bytes)::int8
    from delivery_counts where environment_id = $1 group by day order by day";

const EVENTS: &str = "select environment_id, day, sum(events)::int8 from delivery_counts
    where environment_id = any($1) and day >= $2 and day < $3 group by environment_id, day";
const PAYLOAD_BYTES: &str = "select environment_id, sum(payload_bytes)::int8 from delivery_counts group by environment_id";

/// Counts changes by an operator or a job, in their transaction. A caller with several days must go through them in
/// order, so that two transactions cannot deadlock.
pub(crate) async fn add(connection: &Connection, environment: EnvironmentId, day: Day, moved: Counts) -> Result<(), Error> {
    if moved == Counts::default() {
        return Ok(());
    }
    let (environment, day, counts) = (Uuid::from_bytes(*environment.as_bytes()), days::number(day), moved.columns());
    let mut values = vec![(&environment as _, Type::UUID), (&day as _, Type::INT8)];
    values.extend(counts.iter().map(|count| (count as _, Type::INT8)));
    connection.execute(ADD, &values).await.map(|_| ())
}

/// Returns the bytes of each environment's payloads over all days.
pub(crate) async fn payload_bytes(pool: &Pool) -> Result<Vec<(EnvironmentId, u64)>, Error> {
    let rows = connect(pool, "count the bytes of payloads").await?.query(PAYLOAD_BYTES, &[]).await?;
    let read = |row: &Row| {
        let bytes: i64 = row.get(1);
        (EnvironmentId::from_bytes(row.get::<_, Uuid>(0).into_bytes()), u64::try_from(bytes).unwrap_or(0))
    };
    Ok(rows.iter().map(read).collect())
}

/// Returns the number of accepted messages of some environments by day, from `from` (inclusive) to `before` (exclusive).
pub(crate) async fn events(pool: &Pool, from: Day, before: Day, environments: &[EnvironmentId]) -> Result<Vec<DayEvents>, Error> {
    let environments: Vec<_> = environments.iter().map(|id| Uuid::from_bytes(*id.as_bytes())).collect();
    let values = [(&environments as _, Type::UUID_ARRAY), (&days::number(from) as _, Type::INT8), (&days::number(before) as _, Type::INT8)];
    let rows = connect(pool, "count events").await?.query(EVENTS, &values).await?;
    let read = |row: &Row| DayEvents {
        environment: EnvironmentId::from_bytes(row.get::<_, Uuid>(0).into_bytes()),
        day: days::of_number(row.get(1)),
        events: u64::try_from(row.get::<_, i64>(2)).unwrap_or(0),
    };
    Ok(rows.iter().map(read).collect())
}

pub(crate) async fn read(pool: &Pool, tenant: Tenant) -> Result<Vec<DayCounts>, Error> {
    let environment = Uuid::from_bytes(*tenant.environment.as_bytes());
    let rows = connect(pool, "count deliveries").await?.query(READ, &[(&environment, Type::UUID)]).await?;
    let counts = |row: &Row| Counts::of_columns([1, 2, 3, 4, 5, 6, 7].map(|column| row.get(column)));
    Ok(rows.iter().map(|row| DayCounts { day: days::of_number(row.get(0)), counts: counts(row) }).collect())
}
