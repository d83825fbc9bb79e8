//! Table of a resource, and the statements that follow from its description.

use std::sync::OnceLock;

use crate::db::statement::{Statement, Value};

/// Type of a column in SQLite and in PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ColumnKind {
    /// Id: blob, uuid.
    Id,
    /// Bytes, or an id of the configuration: blob, bytea.
    Bytes,
    /// 64-bit integer: integer, bigint.
    Integer,
    /// 32-bit integer: integer, integer.
    Small,
    /// Boolean: integer, boolean.
    Boolean,
    /// Text: text, text.
    Text,
}

/// Column, whose name is the same in both databases.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) kind: ColumnKind,
}

/// Column of a resource's field.
#[derive(Debug)]
pub(crate) struct FieldColumn<R> {
    pub(crate) column: Column,
    /// Whether an update writes the column.
    pub(crate) changes: bool,
    /// Value of the column.
    pub(crate) value: fn(&R) -> Value,
}

/// Column that is no field of the resource, such as its version or a sealed secret.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ExtraColumn {
    pub(crate) column: Column,
    pub(crate) insert: Source,
    pub(crate) update: Source,
}

/// Source of an extra column's value in a statement.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Source {
    /// None: the statement leaves the column out.
    Omitted,
    /// SQL expression. In an insert, `{name}` stands for the value of a field's column.
    Sql(&'static str),
    /// Value that the caller gives, in the order of the columns.
    Given,
}

/// Description of a resource's table.
#[derive(Debug)]
pub(crate) struct Description<R: 'static> {
    /// Name of the table.
    pub(crate) name: &'static str,
    /// Fixed columns that identify a row for updates and deletions, besides `version`.
    pub(crate) key: &'static [&'static str],
    /// Columns of the resource's fields, in the order of reading.
    pub(crate) fields: &'static [FieldColumn<R>],
    /// Other columns.
    pub(crate) extra: &'static [ExtraColumn],
}

/// Table of a resource, with the texts of its statements, which are built on first use.
pub(crate) struct Table<R: 'static> {
    description: Description<R>,
    insert: OnceLock<String>,
    update: OnceLock<String>,
    delete: OnceLock<String>,
}

impl<R> Description<R> {
    /// Returns the number of columns.
    pub(crate) const fn width(&self) -> usize {
        self.fields.len() + self.extra.len()
    }

    /// Returns all columns. `WIDTH` is their number.
    pub(crate) const fn columns<const WIDTH: usize>(&self) -> [Column; WIDTH] {
        let mut columns = [Column { name: "", kind: ColumnKind::Text }; WIDTH];
        let mut index = 0;
        while index < WIDTH {
            columns[index] =
                if index < self.fields.len() { self.fields[index].column } else { self.extra[index - self.fields.len()].column };
            index += 1;
        }
        columns
    }

    /// Builds the text of the insert.
    pub(crate) fn insert_text(&self) -> String {
        let fields = self.fields.iter().map(|field| (field.column.name, Source::Given));
        let extra = self.extra.iter().map(|extra| (extra.column.name, extra.insert));
        let (names, values): (Vec<_>, Vec<_>) = numbered(fields.chain(extra)).unzip();
        let mut values = values.join(", ");
        for (field, number) in self.fields.iter().zip(1..) {
            values = values.replace(&format!("{{{}}}", field.column.name), &format!("${number}"));
        }
        format!("insert into {} ({}) values ({values})", self.name, names.join(", "))
    }

    fn update_text(&self) -> String {
        let fields = self.fields.iter().filter(|field| field.changes).map(|field| (field.column.name, Source::Given));
        let extra = self.extra.iter().map(|extra| (extra.column.name, extra.update));
        let given = fields.clone().count() + self.extra.iter().filter(|extra| matches!(extra.update, Source::Given)).count();
        let assignments: Vec<_> = numbered(fields.chain(extra)).map(|(name, value)| format!("{name} = {value}")).collect();
        format!("update {} set {} where {}", self.name, assignments.join(", "), self.condition(given + 1))
    }

    fn delete_text(&self) -> String {
        format!("delete from {} where {}", self.name, self.condition(1))
    }

    /// Returns the condition that a row has this key and version, with parameters from number `first` on.
    fn condition(&self, first: usize) -> String {
        let names = self.key.iter().copied().chain(["version"]);
        names.zip(first..).map(|(name, number)| format!("{name} = ${number}")).collect::<Vec<_>>().join(" and ")
    }

    /// Returns the values of the key's columns.
    fn key_values<'a>(&'a self, resource: &'a R) -> impl Iterator<Item = Value> + 'a {
        let column = |name: &&'static str| self.fields.iter().find(|field| field.column.name == *name);
        self.key.iter().filter_map(column).map(|field| (field.value)(resource))
    }
}

/// Pairs each written column with its parameter or expression.
fn numbered<'a>(columns: impl Iterator<Item = (&'a str, Source)>) -> impl Iterator<Item = (&'a str, String)> {
    let mut number = 0;
    columns.filter_map(move |(name, source)| match source {
        Source::Omitted => None,
        Source::Sql(expression) => Some((name, expression.to_owned())),
        Source::Given => {
            number += 1;
            Some((name, format!("${number}")))
        }
    })
}

impl<R> Table<R> {
    /// Makes the table.
    pub(crate) const fn new(description: Description<R>) -> Self {
        Self { description, insert: OnceLock::new(), update: OnceLock::new(), delete: OnceLock::new() }
    }

    /// Returns the select list of the resource's fields, each with a prefix such as `e.`.
    pub(crate) fn select_list(&self, prefix: &str) -> String {
        self.description.fields.iter().map(|field| format!("{prefix}{}", field.column.name)).collect::<Vec<_>>().join(", ")
    }

    /// Returns the text that selects the fields and then the columns `extra`, if any, with the rest of the statement
    /// from its condition on.
    pub(crate) fn select(&self, extra: &str, rest: &str) -> String {
        let comma = if extra.is_empty() { "" } else { ", " };
        format!("select {}{comma}{extra} from {} where {rest}", self.select_list(""), self.description.name)
    }

    /// Returns the statement that inserts a resource, with the values of its given extra columns.
    pub(crate) fn insert(&'static self, resource: &R, given: impl IntoIterator<Item = Value>) -> Statement {
        let mut values: Vec<_> = self.description.fields.iter().map(|field| (field.value)(resource)).collect();
        values.extend(given);
        Statement::new(self.insert.get_or_init(|| self.description.insert_text()), values)
    }

    /// Returns the statement that writes all fields that change, if the row still has this version, with the values of
    /// the given extra columns.
    pub(crate) fn update(&'static self, resource: &R, version: i64, given: impl IntoIterator<Item = Value>) -> Statement {
        let changing = self.description.fields.iter().filter(|field| field.changes);
        let mut values: Vec<_> = changing.map(|field| (field.value)(resource)).collect();
        values.extend(given);
        values.extend(self.description.key_values(resource));
        values.push(version.into());
        Statement::new(self.update.get_or_init(|| self.description.update_text()), values)
    }

    /// Returns the statement that deletes a resource, if its row still has this version.
    pub(crate) fn delete(&'static self, resource: &R, version: i64) -> Statement {
        let mut values: Vec<_> = self.description.key_values(resource).collect();
        values.push(version.into());
        Statement::new(self.delete.get_or_init(|| self.description.delete_text()), values)
    }
}

impl ExtraColumn {
    /// Column that no insert or update of the resource writes.
    pub(crate) const fn unwritten(name: &'static str, kind: ColumnKind) -> Self {
        Self { column: Column { name, kind }, insert: Source::Omitted, update: Source::Omitted }
    }

    /// Column `version`, which starts at 1. The update's expression increases it, unless another statement does.
    pub(crate) const fn version(update: Source) -> Self {
        Self { column: Column { name: "version", kind: ColumnKind::Integer }, insert: Source::Sql("1"), update }
    }

    /// Column whose value the caller gives for an insert, and from `update` for an update.
    pub(crate) const fn given(name: &'static str, kind: ColumnKind, update: Source) -> Self {
        Self { column: Column { name, kind }, insert: Source::Given, update }
    }
}

#[cfg(test)]
mod tests {
    use hookstream_model::{base::time::Timestamp, identity::tenancy::Tenant};

    use super::*;
    use crate::{
        db::{
            error::Error,
            resource::fields::resource_fields,
            statement::{Columns, Row},
        },
        outbound::applications::read_tenant,
    };

    const TENANT: Tenant = Tenant {
        organization: hookstream_model::base::ids::OrganizationId::from_bytes([1; 16]),
        environment: hookstream_model::base::ids::EnvironmentId::from_bytes([2; 16]),
    };

    /// Resource with a field of each form.
    #[derive(Debug, Clone, PartialEq)]
    struct Sample {
        tenant: Tenant,
        kind: String,
        note: Option<String>,
        limit: Option<(u32, u32)>,
        created_at: Timestamp,
        sealed: Option<String>,
    }

    fn read_limit(columns: &mut Columns) -> Result<Option<(u32, u32)>, Error> {
        Ok(columns.optional_u32("limit_size")?.zip(columns.optional_u32("limit_wait")?))
    }

    resource_fields!(Sample, |sample, columns| {
        fixed tenant = [
            "organization_id" Bytes = sample.tenant.organization.as_bytes(),
            "environment_id" Bytes = sample.tenant.environment.as_bytes(),
        ] read read_tenant(columns)?;
        fixed kind as "type": String;
        changing note: Option<String>;
        changing limit = [
            "limit_size" Integer = sample.limit.map(|(size, _)| size),
            "limit_wait" Integer = sample.limit.map(|(_, wait)| wait),
        ] read read_limit(columns)?;
        fixed created_at: Timestamp;
        later sealed = None;
    });

    const DESCRIPTION: Description<Sample> = Description {
        name: "samples",
        key: &["environment_id", "type"],
        fields: FIELDS,
        extra: &[
            ExtraColumn::given("sealed", ColumnKind::Text, Source::Given),
            ExtraColumn::given("secret", ColumnKind::Text, Source::Omitted),
            ExtraColumn::version(Source::Sql("version + 1")),
            ExtraColumn {
                column: Column { name: "changed_at", kind: ColumnKind::Integer },
                insert: Source::Sql("(select max(version) from kinds where type = {type})"),
                update: Source::Omitted,
            },
        ],
    };
    static TABLE: Table<Sample> = Table::new(DESCRIPTION);

    fn sample() -> Sample {
        Sample {
            tenant: TENANT,
            kind: "a".to_owned(),
            note: Some("b".to_owned()),
            limit: Some((3, 4)),
            created_at: Timestamp::from_millis(5),
            sealed: None,
        }
    }

    #[test]
    fn columns_are_those_of_the_fields_and_the_extra_ones() {
        let columns = DESCRIPTION.columns::<{ DESCRIPTION.width() }>().map(|column| (column.name, column.kind));
        let expected = [
            ("organization_id", ColumnKind::Bytes),
            ("environment_id", ColumnKind::Bytes),
            ("type", ColumnKind::Text),
            ("note", ColumnKind::Text),
            ("limit_size", ColumnKind::Integer),
            ("limit_wait", ColumnKind::Integer),
            ("created_at", ColumnKind::Integer),
            ("sealed", ColumnKind::Text),
            ("secret", ColumnKind::Text),
            ("version", ColumnKind::Integer),
            ("changed_at", ColumnKind::Integer),
        ];
        assert_eq!(columns, expected);
    }

    #[test]
    fn select_lists_the_fields_and_the_wanted_columns() {
        let expected = "select organization_id, environment_id, type, note, limit_size, limit_wait, created_at, version \
                        from samples where type = $1";
        assert_eq!(TABLE.select("version", "type = $1"), expected);
        assert!(TABLE.select_list("s.").starts_with("s.organization_id, s.environment_id, s.type"));
    }

    #[test]
    fn insert_writes_all_fields_and_the_given_columns() {
        let statement = TABLE.insert(&sample(), ["sealed".into(), "secret".into()]);
        let expected = "insert into samples (organization_id, environment_id, type, note, limit_size, limit_wait, created_at, \
                        sealed, secret, version, changed_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1, \
                        (select max(version) from kinds where type = $3))";
        assert_eq!(statement.sql, expected);
        let tenant = [Value::Blob(vec![1; 16]), Value::Blob(vec![2; 16])];
        let fields = ["a".into(), "b".into(), Value::Integer(3), Value::Integer(4), Value::Integer(5)];
        assert_eq!(statement.values, [&tenant[..], &fields, &["sealed".into(), "secret".into()]].concat());
    }

    #[test]
    fn update_writes_only_what_changes_under_the_key_and_version() {
        let statement = TABLE.update(&sample(), 7, ["sealed".into()]);
        let expected = "update samples set note = $1, limit_size = $2, limit_wait = $3, sealed = $4, version = version + 1 \
                        where environment_id = $5 and type = $6 and version = $7";
        assert_eq!(statement.sql, expected);
        let written = ["b".into(), Value::Integer(3), Value::Integer(4), "sealed".into()];
        assert_eq!(statement.values, [&written[..], &[Value::Blob(vec![2; 16]), "a".into(), Value::Integer(7)]].concat());
    }

    #[test]
    fn deletion_requires_the_key_and_version() {
        let statement = TABLE.delete(&sample(), 7);
        assert_eq!(statement.sql, "delete from samples where environment_id = $1 and type = $2 and version = $3");
        assert_eq!(statement.values, [Value::Blob(vec![2; 16]), "a".into(), Value::Integer(7)]);
    }

    #[test]
    fn resource_is_read_from_its_values() {
        let row = Row(TABLE.insert(&sample(), []).values);
        assert_eq!(read_fields(&mut row.columns()).expect("a row"), sample());
    }
}
