//! Running of plain statements.

use rusqlite::{
    Connection,
    types::{ToSqlOutput, Value as SqlValue, ValueRef},
};

use super::{connection::failed, files::Files};
use crate::db::{
    error::Error,
    statement::{Row, Statement, Value, Written},
};

impl rusqlite::ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::Owned(SqlValue::Null),
            Self::Integer(number) => ToSqlOutput::Owned(SqlValue::Integer(*number)),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::Blob(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
        })
    }
}

pub(crate) fn read(connection: &Connection, statement: &Statement) -> Result<Vec<Row>, Error> {
    run(connection, statement).map(|(rows, _)| rows).map_err(failed("read"))
}

/// Runs all statements or none: if a required statement changes nothing, a savepoint undoes the others.
pub(crate) fn write(files: &mut Files, operation: &'static str, statements: &[Statement]) -> Result<Written, Error> {
    files.forget_versions();
    let is_single_process = files.is_single_process();
    let core = files.core()?;
    let undo = |core: &Connection| core.execute_batch("rollback to plain; release plain").map_err(failed(operation));
    core.execute_batch("savepoint plain").map_err(failed(operation))?;
    let mut results = Vec::with_capacity(statements.len());
    for (index, statement) in statements.iter().enumerate() {
        if statement.announces.is_some() && is_single_process {
            results.push(Vec::new());
            continue;
        }
        match run(core, statement) {
            Ok((_, 0)) if statement.required => {
                undo(core)?;
                return Ok(Written::Unmet(index));
            }
            Ok((rows, _)) => results.push(rows),
            Err(error) => {
                undo(core)?;
                return Err(failed(operation)(error));
            }
        }
    }
    core.execute_batch("release plain").map_err(failed(operation))?;
    Ok(Written::Committed(results))
}

/// Returns the rows of a statement, and the number of rows returned or changed.
fn run(connection: &Connection, statement: &Statement) -> rusqlite::Result<(Vec<Row>, usize)> {
    // The portable form is `$1`, which is a name to SQLite; `?1` is a number.
    let mut prepared = connection.prepare_cached(&statement.sql.replace('$', "?"))?;
    let columns = prepared.column_count();
    let values = rusqlite::params_from_iter(&statement.values);
    if columns == 0 {
        return Ok((Vec::new(), prepared.execute(values)?));
    }
    let mut found = prepared.query(values)?;
    let mut rows = Vec::new();
    while let Some(row) = found.next()? {
        let read = |column| row.get_ref(column).map(value);
        rows.push(Row((0..columns).map(read).collect::<rusqlite::Result<_>>()?));
    }
    let changed = rows.len();
    Ok((rows, changed))
}

fn value(found: ValueRef<'_>) -> Value {
    match found {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
        // No table has a real column; as text the value is unreadable where a number is expected.
        ValueRef::Real(number) => Value::Text(number.to_string()),
    }
}
