//! This store as one side of a transfer.

use std::sync::Arc;

use async_trait::async_trait;
use hookstream_model::base::time::Day;
use tokio_postgres::{
    Row,
    types::{ToSql, Type},
};
use uuid::Uuid;

use super::PostgresStore;
use crate::{
    db::{
        error::Error,
        statement::Value,
        transfer::{
            ADVANCE, Advance, Limits, Side, Slice, TableOrder,
            tables::{Column, ColumnKind, DayBy, Table},
        },
    },
    postgres::{
        db::connection::{Connection, connect},
        retention::days::{self, days_with_rows},
    },
};

const OPERATION: &str = "transfer";
const USER: &str = "select number, name, role, (extract(epoch from lapses_at - clock_timestamp()) * 1000)::int8 from nodes
    where lapses_at > clock_timestamp() order by number limit 1";
const STARTS: &str = "select case when is_called then last_value else 0 end from nodes_number_seq";

/// Value with its type in the table.
type Typed<'a> = (Box<dyn ToSql + Sync + Send + 'a>, Type);

#[async_trait]
impl Side for PostgresStore {
    fn keeps_nul(&self) -> bool {
        false
    }

    async fn user(&self) -> Result<Option<String>, Error> {
        let rows = connect(&self.hot, OPERATION).await?.query(USER, &[]).await?;
        let describe = |row: &Row| {
            let (number, name, role): (i64, String, String) = (row.get(0), row.get(1), row.get(2));
            let seconds = row.get::<_, i64>(3).div_euclid(1_000) + 1;
            format!("node {name:?} (number {number}, role {role}) is registered; its registration ends in {seconds} s unless it is renewed")
        };
        Ok(rows.first().map(describe))
    }

    async fn starts(&self) -> Result<i64, Error> {
        let rows = connect(&self.hot, OPERATION).await?.query(STARTS, &[]).await?;
        rows.first().map(|row| row.get(0)).ok_or(Error::Unreadable { what: "number of nodes" })
    }

    async fn days(&self) -> Result<Vec<Day>, Error> {
        days_with_rows(&connect(&self.hot, OPERATION).await?).await
    }

    async fn rows(&self, step: TableOrder, after: Option<Vec<Value>>, limits: Limits) -> Result<Slice, Error> {
        let (sql, values) = select(step, after.as_deref(), limits)?;
        let connection = connect(&self.hot, OPERATION).await?;
        let found = connection.query(&sql, &borrowed(&values)).await?;
        let read = |row: &Row| (0..).zip(step.table.columns).map(|(index, column)| value_at(row, index, column)).collect();
        let rows = found.iter().map(read).collect::<Result<Vec<Vec<_>>, _>>()?;
        let key_of = |row: &Vec<Value>| step.table.positions(step.table.postgres.key).into_iter().map(|index| row[index].clone()).collect();
        let last = rows.last().map(key_of);
        Ok(Slice { rows, last })
    }

    async fn write_rows(&self, step: TableOrder, rows: Arc<Vec<Vec<Value>>>, advance: Advance) -> Result<bool, Error> {
        let (sql, values) = insert(step, &rows)?;
        let write = async |connection: &Connection| {
            let marks = [(&advance.from as _, Type::TEXT), (&advance.to as _, Type::TEXT)];
            if connection.execute(ADVANCE, &marks).await? == 0 {
                return Ok(false);
            }
            connection.execute(&sql, &borrowed(&values)).await?;
            Ok(true)
        };
        connect(&self.hot, OPERATION).await?.transaction(write, |is_advanced| *is_advanced).await
    }
}

fn borrowed<'a>(values: &'a [Typed<'_>]) -> Vec<(&'a (dyn ToSql + Sync), Type)> {
    values.iter().map(|(value, kind)| (&**value as &(dyn ToSql + Sync), kind.clone())).collect()
}

/// Returns the statement for the next rows of a step. The database sends only rows within the limits.
fn select(step: TableOrder, after: Option<&[Value]>, limits: Limits) -> Result<(String, Vec<Typed<'static>>), Error> {
    let (table, form) = (step.table, &step.table.postgres);
    let (columns, key) = (table.column_list(), form.key.join(", "));
    let mut values: Vec<Typed<'static>> = Vec::new();
    let mut conditions = Vec::new();
    if let Some(after) = after {
        for (index, value) in table.positions(form.key).into_iter().zip(after) {
            values.push(typed(&table.columns[index], value)?);
        }
        conditions.push(format!("({key}) > ({})", placeholders(1, values.len())));
    }
    let next = values.len() + 1;
    match (form.day, step.day) {
        (DayBy::Id(id), Some(day)) => {
            conditions.push(format!("{id} >= ${next} and {id} < ${}", next + 1));
            values.push((Box::new(days::first_id_at(day.start())), Type::UUID));
            values.push((Box::new(days::first_id_at(day.end())), Type::UUID));
        }
        (DayBy::Number(number), Some(day)) => {
            conditions.push(format!("{number} = ${next}"));
            values.push((Box::new(days::number(day)), Type::INT8));
        }
        (DayBy::File | DayBy::Id(_) | DayBy::Number(_), _) => {}
    }
    let beyond = if conditions.is_empty() { String::new() } else { format!("where {}", conditions.join(" and ")) };
    let (size, Limits { rows, bytes }) = (size(table), limits);
    let sql = format!(
        "select {columns} from (
            select {columns}, sum({size}) over (order by {key} rows unbounded preceding) - ({size}) as bytes_before
            from (select {columns} from {} {beyond} order by {key} limit {rows}) slice
        ) sized where bytes_before < {bytes} order by {key}",
        form.from
    );
    Ok((sql, values))
}

/// Returns the expression for the bytes of a row, which the database computes without reading the values.
fn size(table: &Table) -> String {
    let sized = table.columns.iter().filter(|column| matches!(column.kind, ColumnKind::Text | ColumnKind::Bytes));
    let sizes: Vec<_> = sized.map(|column| format!("coalesce(octet_length({}), 0)", column.name)).collect();
    if sizes.is_empty() { "0".to_owned() } else { sizes.join(" + ") }
}

/// Returns the statement that inserts rows, given by column.
fn insert<'a>(step: TableOrder, rows: &'a [Vec<Value>]) -> Result<(String, Vec<Typed<'a>>), Error> {
    let (table, form) = (step.table, &step.table.postgres);
    let mut columns = table.column_list();
    let mut selected = columns.clone();
    let mut values = Vec::with_capacity(table.columns.len() + 1);
    for (index, column) in table.columns.iter().enumerate() {
        values.push(array(column, index, rows)?);
    }
    let given = placeholders(1, values.len());
    for name in form.zero {
        columns += &format!(", {name}");
        selected += ", 0";
    }
    if let (DayBy::Number(number), Some(day)) = (form.day, step.day) {
        values.push((Box::new(days::number(day)), Type::INT8));
        columns += &format!(", {number}");
        selected += &format!(", ${}", values.len());
    }
    let sql = format!("insert into {} ({columns}) select {selected} from unnest({given}) as given ({})", form.into, table.column_list());
    Ok((sql, values))
}

/// Returns `$1, $2, …`.
fn placeholders(first: usize, count: usize) -> String {
    (first..first + count).map(|number| format!("${number}")).collect::<Vec<_>>().join(", ")
}

fn id(value: &Value) -> Option<Uuid> {
    let Value::Blob(bytes) = value else { return None };
    Uuid::from_slice(bytes).ok()
}

fn bytes(value: &Value) -> Option<&[u8]> {
    let Value::Blob(bytes) = value else { return None };
    Some(bytes)
}

fn text(value: &Value) -> Option<&str> {
    let Value::Text(text) = value else { return None };
    Some(text)
}

fn integer(value: &Value) -> Option<i64> {
    let Value::Integer(number) = value else { return None };
    Some(*number)
}

fn small(value: &Value) -> Option<i32> {
    integer(value).and_then(|number| i32::try_from(number).ok())
}

fn boolean(value: &Value) -> Option<bool> {
    integer(value).map(|number| number != 0)
}

/// Converts one value of a column.
fn typed(column: &Column, value: &Value) -> Result<Typed<'static>, Error> {
    let typed: Option<Typed<'static>> = match column.kind {
        ColumnKind::Id => id(value).map(|id| (Box::new(id) as _, Type::UUID)),
        ColumnKind::Bytes => bytes(value).map(|bytes| (Box::new(bytes.to_vec()) as _, Type::BYTEA)),
        ColumnKind::Text => text(value).map(|text| (Box::new(text.to_owned()) as _, Type::TEXT)),
        ColumnKind::Integer => integer(value).map(|number| (Box::new(number) as _, Type::INT8)),
        ColumnKind::Small => small(value).map(|number| (Box::new(number) as _, Type::INT4)),
        ColumnKind::Boolean => boolean(value).map(|yes| (Box::new(yes) as _, Type::BOOL)),
    };
    typed.ok_or(Error::Unreadable { what: column.name })
}

/// Converts all values of a column.
fn array<'a>(column: &Column, index: usize, rows: &'a [Vec<Value>]) -> Result<Typed<'a>, Error> {
    fn all<'a, T>(
        what: &'static str,
        index: usize,
        rows: &'a [Vec<Value>],
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Vec<Option<T>>, Error> {
        let read = |row: &'a Vec<Value>| match &row[index] {
            Value::Null => Ok(None),
            value => read(value).map(Some).ok_or(Error::Unreadable { what }),
        };
        rows.iter().map(read).collect()
    }
    let what = column.name;
    Ok(match column.kind {
        ColumnKind::Id => (Box::new(all(what, index, rows, id)?), Type::UUID_ARRAY),
        ColumnKind::Bytes => (Box::new(all(what, index, rows, bytes)?), Type::BYTEA_ARRAY),
        ColumnKind::Text => (Box::new(all(what, index, rows, text)?), Type::TEXT_ARRAY),
        ColumnKind::Integer => (Box::new(all(what, index, rows, integer)?), Type::INT8_ARRAY),
        ColumnKind::Small => (Box::new(all(what, index, rows, small)?), Type::INT4_ARRAY),
        ColumnKind::Boolean => (Box::new(all(what, index, rows, boolean)?), Type::BOOL_ARRAY),
    })
}

fn value_at(row: &Row, index: usize, column: &Column) -> Result<Value, Error> {
    let unreadable = |_| Error::Unreadable { what: column.name };
    let value = match column.kind {
        ColumnKind::Id => row.try_get::<_, Option<Uuid>>(index).map_err(unreadable)?.map(|id| Value::Blob(id.into_bytes().to_vec())),
        ColumnKind::Bytes => row.try_get::<_, Option<Vec<u8>>>(index).map_err(unreadable)?.map(Value::Blob),
        ColumnKind::Text => row.try_get::<_, Option<String>>(index).map_err(unreadable)?.map(Value::Text),
        ColumnKind::Integer => row.try_get::<_, Option<i64>>(index).map_err(unreadable)?.map(Value::Integer),
        ColumnKind::Small => row.try_get::<_, Option<i32>>(index).map_err(unreadable)?.map(|number| Value::Integer(number.into())),
        ColumnKind::Boolean => row.try_get::<_, Option<bool>>(index).map_err(unreadable)?.map(|yes| Value::Integer(yes.into())),
    };
    Ok(value.unwrap_or(Value::Null))
}

#[cfg(test)]
mod tests {
    use std::{
        collections::{BTreeMap, BTreeSet},
        time::Duration,
    };

    use hookstream_model::base::secret::Secret;
    use hookstream_testkit::postgres::ScratchDatabase;

    use super::{super::Options, *};

    const COLUMNS: &str = "select c.table_name::text, c.column_name::text, c.data_type::text from information_schema.columns c
        where c.table_schema = current_schema() and c.table_name not in ('schema_steps', 'schema_oldest_program', 'nodes', 'lost_nodes', 'shards', 'changes', 'packed_pending', 'all_pending', 'origins')";

    const fn type_name(kind: ColumnKind) -> &'static str {
        match kind {
            ColumnKind::Id => "uuid",
            ColumnKind::Bytes => "bytea",
            ColumnKind::Integer => "bigint",
            ColumnKind::Small => "integer",
            ColumnKind::Boolean => "boolean",
            ColumnKind::Text => "text",
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn transfer_covers_every_table_and_column() {
        let database = ScratchDatabase::create().await;
        let options =
            Options { url: Secret::new(database.url()), max_connections: 1, through_pooler: true, lease: Duration::from_secs(10) };
        PostgresStore::migrate(&options).await.expect("a schema");
        let mut tables = BTreeMap::<String, BTreeSet<(String, String)>>::new();
        for row in hookstream_testkit::postgres::connect(&database.url()).await.query(COLUMNS, &[]).await.expect("rows") {
            tables.entry(row.get(0)).or_default().insert((row.get(1), row.get(2)));
        }
        let moved = crate::db::transfer::tables::TABLES.iter().map(|table| {
            let form = &table.postgres;
            let mut columns: BTreeSet<_> =
                table.columns.iter().map(|column| (column.name.to_owned(), type_name(column.kind).to_owned())).collect();
            columns.extend(form.zero.iter().map(|name| ((*name).to_owned(), "bigint".to_owned())));
            if let DayBy::Number(name) = form.day {
                columns.insert((name.to_owned(), "bigint".to_owned()));
            }
            (form.into.to_owned(), columns)
        });
        assert_eq!(tables, moved.collect());
        database.drop().await;
    }
}
