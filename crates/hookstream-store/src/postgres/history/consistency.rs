//! Comparison of the counts with the rows, one day at a time.

use hookstream_model::base::time::Day;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::{
    db::{
        error::Error,
        statement::{Row, Value},
    },
    delivery::consistency::{ConsistencyReport, DayRows, Finding, PendingBalance, Query},
    postgres::{
        db::connection::{Connection, Pool, connect},
        retention::days,
    },
};

const OPERATION: &str = "compare counts with rows";
/// One snapshot for a day. A large day has no time limit.
const ONE_MOMENT: &str = "set transaction isolation level repeatable read, read only; set local statement_timeout = 0";
const COUNTED: &str = "select environment_id, sum(messages)::int8, sum(accepted)::int8, sum(succeeded)::int8, sum(exhausted)::int8,
        sum(skipped)::int8, sum(cancelled)::int8, sum(payload_bytes)::int8
    from delivery_counts where day = $1 group by environment_id";
const OWNERS_GONE: &str = "select owner, count(*) from all_pending
    where owner > 0 and owner not in (select number from nodes) group by owner order by owner limit 20";

pub(crate) async fn check(pool: &Pool) -> Result<ConsistencyReport, Error> {
    let mut report = ConsistencyReport::default();
    for day in days::days_with_rows(&connect(pool, OPERATION).await?).await? {
        let rows = connect(pool, OPERATION).await?.transaction(async |connection| read(connection, day).await, |_| true).await?;
        report.add(day, rows)?;
    }
    for row in connect(pool, OPERATION).await?.query(OWNERS_GONE, &[]).await? {
        report.findings.push(Finding::OwnerGone { owner: row.get(0), deliveries: row.get(1) });
    }
    Ok(report)
}

/// Compares the numbers of pending deliveries in one statement, which sees one moment.
pub(crate) async fn pending_balance(pool: &Pool) -> Result<PendingBalance, Error> {
    let count = async |connection: &Connection| {
        connection.batch(ONE_MOMENT).await?;
        connection.query_without_timeout(PendingBalance::SQL, &[]).await
    };
    let rows = connect(pool, OPERATION).await?.transaction(count, |_| true).await?;
    let mut balance = PendingBalance::default();
    rows.iter().for_each(|row| balance.add(row.get(0), row.get(1)));
    Ok(balance)
}

async fn read(connection: &Connection, day: Day) -> Result<DayRows, Error> {
    connection.batch(ONE_MOMENT).await?;
    let counted = connection.query_without_timeout(COUNTED, &[(&days::number(day), Type::INT8)]).await?;
    let (first, end) = (days::first_id_at(day.start()), days::first_id_at(day.end()));
    let mut results = Vec::new();
    for query in Query::ALL {
        let rows = connection.query_without_timeout(query.sql(), &[(&first, Type::UUID), (&end, Type::UUID)]).await?;
        results.push((query, read_rows(&rows)?));
    }
    Ok(DayRows { counted: read_rows(&counted)?, results })
}

/// Reads ids, integers and text.
fn read_rows(rows: &[tokio_postgres::Row]) -> Result<Vec<Row>, Error> {
    let value = |row: &tokio_postgres::Row, index: usize, kind: &Type| match *kind {
        Type::UUID => row.try_get::<_, Option<Uuid>>(index).map(|id| id.map(|id| Value::Blob(id.into_bytes().to_vec()))),
        Type::INT8 => row.try_get::<_, Option<i64>>(index).map(|number| number.map(Value::Integer)),
        _ => row.try_get::<_, Option<String>>(index).map(|text| text.map(Value::Text)),
    };
    let read = |row: &tokio_postgres::Row| {
        let values = row.columns().iter().enumerate().map(|(index, column)| {
            value(row, index, column.type_()).map(|value| value.unwrap_or(Value::Null)).map_err(|_| Error::Unreadable { what: "column" })
        });
        values.collect::<Result<_, _>>().map(Row)
    };
    rows.iter().map(read).collect()
}
