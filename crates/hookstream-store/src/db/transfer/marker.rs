//! Mark of an unfinished transfer on its target: the source and the progress.
//!
//! The mark is in `settings` from before the first row until the comparison is complete. A server does not start on a
//! marked store.

use serde::{Deserialize, Serialize};

use super::{Error, tables::TableOrder};
use crate::db::{
    settings,
    statement::{Database, Statement, Value},
};

/// Name of the setting.
const NAME: &str = "transfer_from";
const CREATE: &str = "insert into settings (name, value) values ('transfer_from', $1) on conflict do nothing returning name";
/// Advances the mark. A mark with another value was moved by another process.
pub(crate) const ADVANCE: &str = "update settings set value = $2 where name = 'transfer_from' and value = $1";
const REMOVE: &str = "delete from settings where name = 'transfer_from' and value = $1";

/// Source and progress of a transfer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Marker {
    /// Source, without secrets.
    pub(super) source: String,
    /// Number of server starts on the source when the transfer began.
    pub(super) starts: i64,
    /// Current step, and the key of the last row copied from it.
    pub(super) step: Option<String>,
    pub(super) after: Vec<Part>,
}

/// Value of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Part {
    Null,
    Integer(i64),
    Text(String),
    Bytes(Vec<u8>),
}

/// Mark before and after a copied slice, for the write of the slice.
#[derive(Debug, Clone)]
pub struct Advance {
    pub(crate) from: String,
    pub(crate) to: String,
}

impl Marker {
    pub(super) const fn new(source: String, starts: i64) -> Self {
        Self { source, starts, step: None, after: Vec::new() }
    }

    /// Returns the mark of a store.
    pub(super) async fn find(db: &dyn Database) -> Result<Option<Self>, crate::Error> {
        let found = settings::find(db, NAME).await?;
        found.map(|text| serde_json::from_str(&text).map_err(|_| crate::Error::Unreadable { what: "mark of a transfer" })).transpose()
    }

    /// Marks a store that has no mark yet.
    pub(super) async fn create(&self, db: &dyn Database) -> Result<(), Error> {
        run(db, "mark the target", Statement::new(CREATE, vec![self.text().into()])).await
    }

    /// Removes the mark.
    pub(super) async fn remove(&self, db: &dyn Database) -> Result<(), Error> {
        run(db, "remove the mark of the target", Statement::new(REMOVE, vec![self.text().into()])).await
    }

    /// Returns the mark behind a step's rows up to this key.
    pub(super) fn at(&self, step: TableOrder, key: Vec<Value>) -> Self {
        Self { step: Some(step.to_string()), after: key.into_iter().map(Part::from).collect(), ..self.clone() }
    }

    /// Returns the key of the last row copied from the step.
    pub(super) fn key(&self) -> Vec<Value> {
        self.after.iter().cloned().map(Value::from).collect()
    }

    pub(super) fn text(&self) -> String {
        serde_json::to_string(self).expect("numbers, text and bytes are JSON")
    }
}

async fn run(db: &dyn Database, operation: &'static str, statement: Statement) -> Result<(), Error> {
    let written = db.write(operation, vec![statement.required()]).await?;
    if written.is_committed() { Ok(()) } else { Err(Error::Overtaken) }
}

impl From<Value> for Part {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Integer(number) => Self::Integer(number),
            Value::Text(text) => Self::Text(text),
            Value::Blob(bytes) => Self::Bytes(bytes),
        }
    }
}

impl From<Part> for Value {
    fn from(part: Part) -> Self {
        match part {
            Part::Null => Self::Null,
            Part::Integer(number) => Self::Integer(number),
            Part::Text(text) => Self::Text(text),
            Part::Bytes(bytes) => Self::Blob(bytes),
        }
    }
}
