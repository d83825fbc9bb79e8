//! Running of plain statements.

use tokio_postgres::types::{IsNull, ToSql, Type, private::BytesMut, to_sql_checked};

use super::connection::{Connection, Pool, Values, connect, is_transient};
use crate::db::{
    error::Error,
    statement::{Row, Statement, Value, Written},
};

/// Maximum number of attempts of a transaction that conflicts with another.
const ATTEMPTS_MAX: usize = 5;
const NUDGE: &str = "select pg_notify('hookstream', 'changed')";

impl ToSql for Value {
    fn to_sql(&self, wanted: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Integer(number) => number.to_sql(wanted, out),
            Self::Text(text) => text.to_sql(wanted, out),
            Self::Blob(bytes) => bytes.to_sql(wanted, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// Returns the type that a value has in the tables of plain resources.
const fn type_of(value: &Value) -> Type {
    match value {
        // The statement decides the type of a null.
        Value::Null => Type::UNKNOWN,
        Value::Integer(_) => Type::INT8,
        Value::Text(_) => Type::TEXT,
        Value::Blob(_) => Type::BYTEA,
    }
}

pub(crate) async fn read(pool: &Pool, statement: &Statement) -> Result<Vec<Row>, Error> {
    if has_nul(statement) {
        // PostgreSQL's text has no NUL, so no stored row can match.
        return Ok(Vec::new());
    }
    let connection = connect(pool, "read").await?;
    run(&connection, statement).await.map(|(rows, _)| rows)
}

pub(crate) async fn write(pool: &Pool, operation: &'static str, statements: &[Statement]) -> Result<Written, Error> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        let connection = connect(pool, operation).await?;
        let written = connection
            .transaction(async |connection| write_all(connection, statements).await, |written| matches!(written, Written::Committed(_)))
            .await;
        match written {
            Err(error) if attempts < ATTEMPTS_MAX && is_transient(&error) => {}
            other => return other,
        }
    }
}

async fn write_all(connection: &Connection, statements: &[Statement]) -> Result<Written, Error> {
    let mut results = Vec::with_capacity(statements.len());
    for (index, statement) in statements.iter().enumerate() {
        let (rows, changed) = run(connection, statement).await?;
        if changed == 0 && statement.required {
            return Ok(Written::Unmet(index));
        }
        results.push(rows);
    }
    if statements.iter().any(|statement| statement.announces.is_some()) {
        // The notification is sent with the commit.
        connection.query(NUDGE, &[]).await?;
    }
    Ok(Written::Committed(results))
}

/// Returns the rows of a statement, and the number of rows returned or changed.
async fn run(connection: &Connection, statement: &Statement) -> Result<(Vec<Row>, u64), Error> {
    let values: Vec<_> = statement.values.iter().map(|value| (value as &(dyn ToSql + Sync), type_of(value))).collect();
    let values: &Values<'_> = &values;
    if !returns_rows(statement.sql) {
        return Ok((Vec::new(), connection.execute(statement.sql, values).await?));
    }
    let found = connection.query(statement.sql, values).await?;
    let rows = found.iter().map(row).collect::<Result<Vec<_>, _>>()?;
    let changed = u64::try_from(rows.len()).unwrap_or(u64::MAX);
    Ok((rows, changed))
}

fn returns_rows(sql: &str) -> bool {
    sql.starts_with("select ") || sql.contains(" returning ")
}

fn has_nul(statement: &Statement) -> bool {
    statement.values.iter().any(|value| matches!(value, Value::Text(text) if text.contains('\0')))
}

fn row(found: &tokio_postgres::Row) -> Result<Row, Error> {
    let unreadable = |_| Error::Unreadable { what: "column" };
    let read = |(index, column): (usize, &tokio_postgres::Column)| match *column.type_() {
        Type::INT8 => found.try_get::<_, Option<i64>>(index).map(|value| value.map_or(Value::Null, Value::Integer)).map_err(unreadable),
        Type::TEXT => found.try_get::<_, Option<String>>(index).map(|value| value.map_or(Value::Null, Value::Text)).map_err(unreadable),
        Type::BYTEA => found.try_get::<_, Option<Vec<u8>>>(index).map(|value| value.map_or(Value::Null, Value::Blob)).map_err(unreadable),
        _ => Err(Error::Unreadable { what: "column type" }),
    };
    found.columns().iter().enumerate().map(read).collect::<Result<_, _>>().map(Row)
}
