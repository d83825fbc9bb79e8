//! This store as one side of a transfer.

use std::sync::Arc;

use async_trait::async_trait;
use hookstream_model::base::time::Day;
use rusqlite::{Connection, OptionalExtension, types::ValueRef};

use super::SqliteStore;
use crate::{
    db::{
        error::Error,
        statement::{Database, Statement, Value},
        transfer::{ADVANCE, Advance, Limits, Side, Slice, TableOrder, tables::Table},
    },
    sqlite::db::{connection::failed, files::Files, readers::Days},
};

const OPERATION: &str = "transfer";
const STARTS: &str = "select coalesce(max(number), 0) from owners";

#[async_trait]
impl Side for SqliteStore {
    fn keeps_nul(&self) -> bool {
        true
    }

    async fn user(&self) -> Result<Option<String>, Error> {
        // The lock of the directory is held.
        Ok(None)
    }

    async fn starts(&self) -> Result<i64, Error> {
        self.readers.core(|core| core.query_row(STARTS, [], |row| row.get(0)).map_err(failed(OPERATION))).await
    }

    async fn days(&self) -> Result<Vec<Day>, Error> {
        Ok(self.known.all())
    }

    async fn rows(&self, step: TableOrder, after: Option<Vec<Value>>, limits: Limits) -> Result<Slice, Error> {
        let Some(day) = step.day else {
            return self.readers.core(move |core| read(core, step.table, after.as_deref(), limits)).await;
        };
        let read_day = move |days: &Days<'_>| {
            let slice = days.read(day, |connection| read(connection, step.table, after.as_deref(), limits))?;
            let Some(Slice { rows, last }) = slice else { return Ok(Slice { rows: Vec::new(), last: None }) };
            Ok(Slice { rows: drop_replaced(days, day, step.table, rows)?, last })
        };
        self.readers.days(read_day).await
    }

    async fn write_rows(&self, step: TableOrder, rows: Arc<Vec<Vec<Value>>>, advance: Advance) -> Result<bool, Error> {
        self.writer.run(move |files| write(files, step, &rows)).await?;
        let advance = Statement::new(ADVANCE, vec![advance.from.into(), advance.to.into()]).required();
        Ok(self.write(OPERATION, vec![advance]).await?.is_committed())
    }
}

fn read(connection: &Connection, table: &'static Table, after: Option<&[Value]>, limits: Limits) -> Result<Slice, Error> {
    let (columns, form) = (table.column_list(), &table.sqlite);
    let key = form.key.join(", ");
    let beyond = after.map_or_else(String::new, |after| format!("where ({key}) > ({})", placeholders(after.len())));
    let select = format!("select {columns} from {} {beyond} order by {key} limit {}", form.from, limits.rows);
    let mut statement = connection.prepare_cached(&select).map_err(failed(OPERATION))?;
    let mut found = statement.query(rusqlite::params_from_iter(after.unwrap_or_default())).map_err(failed(OPERATION))?;
    let (mut rows, mut bytes) = (Vec::new(), 0);
    while bytes < limits.bytes
        && let Some(row) = found.next().map_err(failed(OPERATION))?
    {
        let mut values = Vec::with_capacity(table.columns.len());
        for (index, column) in table.columns.iter().enumerate() {
            let found = row.get_ref(index).map_err(failed(OPERATION))?;
            let (value, size) = value(found).ok_or(Error::Unreadable { what: column.name })?;
            bytes += size;
            values.push(value);
        }
        rows.push(values);
    }
    let key_of = |row: &Vec<Value>| table.positions(form.key).into_iter().map(|index| row[index].clone()).collect();
    let last = rows.last().map(key_of);
    Ok(Slice { rows, last })
}

/// Returns a value and its size in bytes.
fn value(found: ValueRef<'_>) -> Option<(Value, usize)> {
    match found {
        ValueRef::Null => Some((Value::Null, 0)),
        ValueRef::Integer(number) => Some((Value::Integer(number), 0)),
        ValueRef::Text(text) => Some((Value::Text(std::str::from_utf8(text).ok()?.to_owned()), text.len())),
        ValueRef::Blob(bytes) => Some((Value::Blob(bytes.to_vec()), bytes.len())),
        ValueRef::Real(_) => None,
    }
}

/// Removes rows that a row of a newer day replaces. Days have separate tables here but share one table in the other database.
fn drop_replaced(days: &Days<'_>, day: Day, table: &'static Table, mut rows: Vec<Vec<Value>>) -> Result<Vec<Vec<Value>>, Error> {
    if table.newest_of.is_empty() {
        return Ok(rows);
    }
    let conditions: Vec<_> = table.newest_of.iter().zip(1..).map(|(name, number)| format!("{name} = ?{number}")).collect();
    let find = format!("select 1 from {} where {}", table.sqlite.into, conditions.join(" and "));
    let positions = table.positions(table.newest_of);
    for newer in days.newest_first().into_iter().take_while(|newer| *newer > day) {
        let keep = |connection: &Connection| {
            let mut kept = Vec::with_capacity(rows.len());
            let mut statement = connection.prepare_cached(&find).map_err(failed(OPERATION))?;
            for row in rows.drain(..) {
                let key = positions.iter().map(|index| &row[*index]);
                let found = statement.query_row(rusqlite::params_from_iter(key), |_| Ok(())).optional().map_err(failed(OPERATION))?;
                if found.is_none() {
                    kept.push(row);
                }
            }
            Ok(kept)
        };
        if let Some(kept) = days.read(newer, keep)? {
            rows = kept;
        }
    }
    Ok(rows)
}

/// Writes rows. A row that exists already was written by a slice whose progress mark was not stored.
fn write(files: &mut Files, step: TableOrder, rows: &[Vec<Value>]) -> Result<(), Error> {
    let connection = match step.day {
        None => files.core()?,
        Some(day) => files.day(day)?.connection(),
    };
    let form = &step.table.sqlite;
    let zero_names: String = form.zero.iter().map(|name| format!(", {name}")).collect();
    let zeros = ", 0".repeat(form.zero.len());
    let (columns, placeholders) = (step.table.column_list(), placeholders(step.table.columns.len()));
    let insert = format!("insert into {} ({columns}{zero_names}) values ({placeholders}{zeros}) on conflict do nothing", form.into);
    let mut insert = connection.prepare_cached(&insert).map_err(failed(OPERATION))?;
    for row in rows {
        insert.execute(rusqlite::params_from_iter(row)).map_err(failed(OPERATION))?;
    }
    Ok(())
}

/// Returns `?1, ?2, …`.
fn placeholders(count: usize) -> String {
    (1..=count).map(|number| format!("?{number}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::db::transfer::tables::TABLES;
    use crate::sqlite::db::connection::{CORE_MIGRATIONS, DAY_MIGRATIONS};

    /// Returns the tables of a schema with their columns.
    fn schema(migrations: &[&str]) -> BTreeMap<String, BTreeSet<String>> {
        let connection = Connection::open_in_memory().expect("in memory");
        migrations.iter().for_each(|step| connection.execute_batch(step).expect("a schema"));
        let mut columns = connection
            .prepare("select t.name, c.name from sqlite_schema t join pragma_table_info(t.name) c where t.type = 'table'")
            .expect("a query");
        let mut schema = BTreeMap::<String, BTreeSet<String>>::new();
        for row in columns.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows") {
            let (table, column) = row.expect("a row");
            schema.entry(table).or_default().insert(column);
        }
        schema
    }

    #[test]
    fn transfer_covers_every_table_and_column() {
        for (by_day, migrations) in [(false, CORE_MIGRATIONS), (true, DAY_MIGRATIONS)] {
            let mut tables = schema(migrations);
            tables.remove("owners");
            tables.remove("job_slices");
            tables.remove("backlog_places");
            tables.remove("packed_pending");
            tables.remove("packed_places");
            let moved = TABLES.iter().filter(|table| table.by_day == by_day).map(|table| {
                let names = table.columns.iter().map(|column| column.name).chain(table.sqlite.zero.iter().copied());
                (table.sqlite.into.to_owned(), names.map(str::to_owned).collect())
            });
            assert_eq!(tables, moved.collect());
        }
    }
}
