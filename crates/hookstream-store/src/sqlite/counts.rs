//! Reading how many deliveries stand where.

use hookstream_model::tenancy::Tenant;
use rusqlite::{OptionalExtension, Row};

use super::{connection::failed, readers::Days};
use crate::{
    counts::{Counts, DayCounts},
    error::Error,
};

const READ: &str = "select messages, accepted, succeeded, exhausted, skipped, cancelled, payload_bytes
    from delivery_counts where environment_id = ?1";

pub(super) fn read(days: &Days<'_>, tenant: Tenant) -> Result<Vec<DayCounts>, Error> {
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

fn read_counts(row: &Row<'_>) -> rusqlite::Result<Counts> {
    let mut columns = [0; 7];
    for (index, column) in columns.iter_mut().enumerate() {
        *column = row.get(index)?;
    }
    Ok(Counts::of_columns(columns))
}
