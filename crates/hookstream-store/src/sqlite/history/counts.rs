//! Reads of the delivery counts.

use std::collections::BTreeMap;

use hookstream_model::{
    base::{ids::EnvironmentId, time::Day},
    identity::tenancy::Tenant,
};
use rusqlite::{Connection, OptionalExtension, Row};

use crate::{
    db::error::Error,
    delivery::counts::{Counts, DayCounts},
    operations::quotas::DayEvents,
    sqlite::db::{connection::failed, readers::Days},
};

const READ: &str = "select messages, accepted, succeeded, exhausted, skipped, cancelled, payload_bytes
    from delivery_counts where environment_id = ?1";
const PAYLOAD_BYTES: &str = "select environment_id, payload_bytes from delivery_counts where payload_bytes > 0";
const EVENTS: &str = "select environment_id, events from delivery_counts";

pub(crate) fn read(days: &Days<'_>, tenant: Tenant) -> Result<Vec<DayCounts>, Error> {
    let mut all = Vec::new();
    for day in days.newest_first().into_iter().rev() {
        let found = days.read(day, |connection| {
            let find = connection.prepare_cached(READ);
            find.and_then(|mut find| find.query_row([tenant.environment.as_bytes()], read_counts).optional())
                .map_err(failed("count deliveries"))
        })?;
        all.extend(found.flatten().map(|counts| DayCounts { day, counts }));
    }
    Ok(all)
}

/// Returns the bytes of each environment's payloads over all days.
pub(crate) fn payload_bytes(days: &Days<'_>) -> Result<Vec<(EnvironmentId, u64)>, Error> {
    let mut sums: BTreeMap<EnvironmentId, u64> = BTreeMap::new();
    for day in days.newest_first() {
        let read = |row: &Row<'_>| Ok((EnvironmentId::from_bytes(row.get(0)?), row.get::<_, i64>(1)?));
        let of_day = |connection: &Connection| -> rusqlite::Result<Vec<_>> {
            connection.prepare_cached(PAYLOAD_BYTES)?.query_map([], read)?.collect()
        };
        let found = days.read(day, |connection| of_day(connection).map_err(failed("count the bytes of payloads")))?;
        for (environment, bytes) in found.into_iter().flatten() {
            *sums.entry(environment).or_default() += u64::try_from(bytes).unwrap_or(0);
        }
    }
    Ok(sums.into_iter().collect())
}

/// Returns the number of accepted messages by environment and day, from `from` (inclusive) to `before` (exclusive).
pub(crate) fn events(days: &Days<'_>, from: Day, before: Day) -> Result<Vec<DayEvents>, Error> {
    let mut all = Vec::new();
    for day in days.newest_first().into_iter().filter(|day| (from..before).contains(day)) {
        let of_day = |connection: &Connection| -> rusqlite::Result<Vec<_>> {
            let read = |row: &Row<'_>| {
                let (environment, events) = (EnvironmentId::from_bytes(row.get(0)?), row.get::<_, i64>(1)?);
                Ok(DayEvents { environment, day, events: u64::try_from(events).unwrap_or(0) })
            };
            connection.prepare_cached(EVENTS)?.query_map([], read)?.collect()
        };
        let found = days.read(day, |connection| of_day(connection).map_err(failed("count events")))?;
        all.extend(found.into_iter().flatten());
    }
    Ok(all)
}

fn read_counts(row: &Row<'_>) -> rusqlite::Result<Counts> {
    let mut columns = [0; 7];
    for (index, column) in columns.iter_mut().enumerate() {
        *column = row.get(index)?;
    }
    Ok(Counts::of_columns(columns))
}
