//! Table of a resource, and the statements that follow from its description.

use std::sync::LazyLock;

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
    /// SQL expression.
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

/// Table of a resource, with its statements.
pub(crate) struct Table<R: 'static> {
    description: Description<R>,
    texts: LazyLock<Texts, fn() -> Texts>,
}

/// Texts of the statements.
#[derive(Debug)]
pub(crate) struct Texts {
    insert: String,
    update: String,
    delete: String,
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

    /// Builds the texts of the statements.
    pub(crate) fn texts(&self) -> Texts {
        Texts { insert: self.insert_text(), update: self.update_text(), delete: self.delete_text() }
    }

    fn insert_text(&self) -> String {
        let fields = self.fields.iter().map(|field| (field.column.name, Source::Given));
        let extra = self.extra.iter().map(|extra| (extra.column.name, extra.insert));
        let (names, values): (Vec<_>, Vec<_>) = numbered(fields.chain(extra)).unzip();
        format!("insert into {} ({}) values ({})", self.name, names.join(", "), values.join(", "))
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
    /// Makes the table. `texts` calls [`Description::texts`].
    pub(crate) const fn new(description: Description<R>, texts: fn() -> Texts) -> Self {
        Self { description, texts: LazyLock::new(texts) }
    }

    /// Returns the select list of the resource's fields, each with a prefix such as `e.`.
    pub(crate) fn select_list(&self, prefix: &str) -> String {
        self.description.fields.iter().map(|field| format!("{prefix}{}", field.column.name)).collect::<Vec<_>>().join(", ")
    }

    /// Returns the text that selects the fields and then the columns `extra`, with the rest of the statement from its
    /// condition on.
    pub(crate) fn select(&self, extra: &str, rest: &str) -> String {
        format!("select {}, {extra} from {} where {rest}", self.select_list(""), self.description.name)
    }

    /// Returns the statement that inserts a resource, with the values of its given extra columns.
    pub(crate) fn insert(&'static self, resource: &R, given: impl IntoIterator<Item = Value>) -> Statement {
        let mut values: Vec<_> = self.description.fields.iter().map(|field| (field.value)(resource)).collect();
        values.extend(given);
        Statement::new(&self.texts.insert, values)
    }

    /// Returns the statement that writes all fields that change, if the row still has this version, with the values of
    /// the given extra columns.
    pub(crate) fn update(&'static self, resource: &R, version: i64, given: impl IntoIterator<Item = Value>) -> Statement {
        let changing = self.description.fields.iter().filter(|field| field.changes);
        let mut values: Vec<_> = changing.map(|field| (field.value)(resource)).collect();
        values.extend(given);
        values.extend(self.description.key_values(resource));
        values.push(version.into());
        Statement::new(&self.texts.update, values)
    }

    /// Returns the statement that deletes a resource, if its row still has this version.
    pub(crate) fn delete(&'static self, resource: &R, version: i64) -> Statement {
        let mut values: Vec<_> = self.description.key_values(resource).collect();
        values.push(version.into());
        Statement::new(&self.texts.delete, values)
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
