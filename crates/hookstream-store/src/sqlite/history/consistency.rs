//! Comparison of the counts with the rows, one day's file at a time.

use hookstream_model::base::{ids::MessageId, time::Day};
use rusqlite::Connection;

use crate::{
    db::{error::Error, statement::Statement},
    delivery::consistency::{ConsistencyReport, DayRows, PendingBalance, Query},
    sqlite::db::{connection::failed, plain, readers::Days},
};

const COUNTED: &str = "select environment_id, messages, accepted, succeeded, exhausted, skipped, cancelled, payload_bytes
    from delivery_counts";

pub(crate) fn check(days: &Days<'_>) -> Result<ConsistencyReport, Error> {
    let mut report = ConsistencyReport::default();
    for day in days.newest_first().into_iter().rev() {
        if let Some(rows) = days.read(day, |connection| read(connection, day))? {
            report.add(day, rows)?;
        }
    }
    Ok(report)
}

/// Compares the numbers of pending deliveries, one file at a time.
pub(crate) fn pending_balance(days: &Days<'_>) -> Result<PendingBalance, Error> {
    let mut balance = PendingBalance::default();
    for day in days.newest_first() {
        let read = |connection: &Connection| {
            let count = connection.query_row(PendingBalance::SQL, [], |row| Ok((row.get(0)?, row.get(1)?)));
            count.map_err(failed("compare pending deliveries"))
        };
        if let Some((counted, found)) = days.read(day, read)? {
            balance.add(counted, found);
        }
    }
    Ok(balance)
}

fn read(connection: &Connection, day: Day) -> Result<DayRows, Error> {
    let moment = connection.unchecked_transaction().map_err(failed("compare counts with rows"))?;
    let bounds = [MessageId::before_all_at(day.start()), MessageId::before_all_at(day.end())];
    let ask = |query: Query| {
        let values = bounds.iter().map(|bound| bound.as_bytes().into()).collect();
        plain::read(&moment, &Statement::new(query.sql(), values)).map(|rows| (query, rows))
    };
    let counted = plain::read(&moment, &Statement::new(COUNTED, Vec::new()))?;
    Ok(DayRows { counted, results: Query::ALL.into_iter().map(ask).collect::<Result<_, _>>()? })
}
