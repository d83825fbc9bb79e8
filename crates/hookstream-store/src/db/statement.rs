//! Plain resources are written once for every database. An operation is a statement in portable SQL with its values
//! and a reading of its rows; a database only runs statements.
//!
//! Portable SQL has `$1` parameters, `returning`, `on conflict do nothing`, 64-bit integers, text and blobs. The hot
//! path (messages, deliveries, attempts) needs features of each database and is written separately for each
//! ([`crate::Store`]).

use async_trait::async_trait;
use hookstream_model::base::time::Timestamp;

use crate::db::{
    error::Error,
    installation_quotas::InstallationQuotas,
    listeners::{Change, Listeners},
    vault::Vault,
};

/// Database that runs plain statements, each call as one transaction.
#[async_trait]
pub trait Database: Send + Sync + 'static {
    /// Returns rows as of the last commit.
    async fn read(&self, statement: Statement) -> Result<Vec<Row>, Error>;

    /// Returns the vault that seals and opens the secrets in rows.
    fn vault(&self) -> &Vault;

    /// Returns the default quotas of organizations.
    fn installation_quotas(&self) -> &InstallationQuotas;

    /// Returns the listeners to changes that this process commits.
    fn listeners(&self) -> &Listeners;

    /// Runs all statements in one transaction and returns the rows of each.
    ///
    /// If a [required](Statement::required) statement changes no row, the transaction is rolled back and the result
    /// is [`Written::Unmet`].
    async fn write(&self, operation: &'static str, statements: Vec<Statement>) -> Result<Written, Error>;
}

/// Result of a write.
#[derive(Debug)]
pub enum Written {
    /// Committed, with the rows that each statement returned.
    Committed(Vec<Vec<Row>>),
    /// Rolled back: the required statement of this index changed no row.
    Unmet(usize),
}

impl Written {
    /// Returns whether a write was committed, or may have been.
    pub fn may_be_committed(written: &Result<Self, Error>) -> bool {
        matches!(written, Ok(Self::Committed(_)) | Err(Error::Unavailable { .. }))
    }

    /// Returns whether the write was committed.
    pub(crate) const fn is_committed(&self) -> bool {
        matches!(self, Self::Committed(_))
    }
}

/// Statement with its values. Only this crate creates statements.
#[derive(Debug, Clone)]
pub struct Statement {
    pub(crate) sql: &'static str,
    pub(crate) values: Vec<Value>,
    pub(crate) required: bool,
    pub(crate) announces: Option<Change>,
}

impl Statement {
    pub(crate) const fn new(sql: &'static str, values: Vec<Value>) -> Self {
        Self { sql, values, required: false, announces: None }
    }

    /// Marks the statement as the record of a change. The commit announces the change to the [`Listeners`] of this process
    /// and nudges other processes. A database with a single process skips the statement.
    pub(crate) const fn announces(mut self, change: Change) -> Self {
        self.announces = Some(change);
        self
    }

    /// Marks the statement as required: the whole write is rolled back if it changes no row.
    pub(crate) const fn required(mut self) -> Self {
        self.required = true;
        self
    }
}

/// Returns the changes that these statements announce.
pub fn announced(statements: &[Statement]) -> Vec<Change> {
    statements.iter().filter_map(|statement| statement.announces).collect()
}

/// Value of a parameter or a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// No value.
    Null,
    /// Integer, time in milliseconds, or boolean as 0 and 1.
    Integer(i64),
    /// Text, or JSON as text.
    Text(String),
    /// Bytes, or an id as 16 bytes.
    Blob(Vec<u8>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Integer(i64::from(number))
    }
}

impl From<Timestamp> for Value {
    fn from(time: Timestamp) -> Self {
        Self::Integer(time.as_millis())
    }
}

impl From<&[u8; 16]> for Value {
    fn from(id: &[u8; 16]) -> Self {
        Self::Blob(id.to_vec())
    }
}

impl From<&[u8; 32]> for Value {
    fn from(hash: &[u8; 32]) -> Self {
        Self::Blob(hash.to_vec())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// Row, read column by column in the order of the statement's list.
#[derive(Debug)]
pub struct Row(pub(crate) Vec<Value>);

/// Reader of a row's columns, one after the other.
pub(crate) struct Columns(std::vec::IntoIter<Value>);

impl Row {
    pub(crate) fn columns(self) -> Columns {
        Columns(self.0.into_iter())
    }
}

impl Columns {
    /// Returns the next column's value.
    pub(crate) fn next(&mut self, what: &'static str) -> Result<Value, Error> {
        self.0.next().ok_or(Error::Unreadable { what })
    }

    pub(crate) fn id<Id>(&mut self, what: &'static str, make: impl FnOnce([u8; 16]) -> Id) -> Result<Id, Error> {
        match self.next(what)? {
            Value::Blob(bytes) => bytes.try_into().map(make).map_err(|_| Error::Unreadable { what }),
            Value::Null | Value::Integer(_) | Value::Text(_) => Err(Error::Unreadable { what }),
        }
    }

    pub(crate) fn optional_id<Id>(&mut self, what: &'static str, make: impl FnOnce([u8; 16]) -> Id) -> Result<Option<Id>, Error> {
        match self.next(what)? {
            Value::Blob(bytes) => bytes.try_into().map(make).map(Some).map_err(|_| Error::Unreadable { what }),
            Value::Null => Ok(None),
            Value::Integer(_) | Value::Text(_) => Err(Error::Unreadable { what }),
        }
    }

    pub(crate) fn blob(&mut self, what: &'static str) -> Result<Vec<u8>, Error> {
        match self.next(what)? {
            Value::Blob(bytes) => Ok(bytes),
            Value::Null | Value::Integer(_) | Value::Text(_) => Err(Error::Unreadable { what }),
        }
    }

    pub(crate) fn text(&mut self, what: &'static str) -> Result<String, Error> {
        self.optional_text(what)?.ok_or(Error::Unreadable { what })
    }

    pub(crate) fn optional_text(&mut self, what: &'static str) -> Result<Option<String>, Error> {
        match self.next(what)? {
            Value::Text(text) => Ok(Some(text)),
            Value::Null => Ok(None),
            Value::Integer(_) | Value::Blob(_) => Err(Error::Unreadable { what }),
        }
    }

    pub(crate) fn integer(&mut self, what: &'static str) -> Result<i64, Error> {
        self.optional_integer(what)?.ok_or(Error::Unreadable { what })
    }

    pub(crate) fn optional_integer(&mut self, what: &'static str) -> Result<Option<i64>, Error> {
        match self.next(what)? {
            Value::Integer(number) => Ok(Some(number)),
            Value::Null => Ok(None),
            Value::Text(_) | Value::Blob(_) => Err(Error::Unreadable { what }),
        }
    }

    pub(crate) fn optional_u32(&mut self, what: &'static str) -> Result<Option<u32>, Error> {
        let number = self.optional_integer(what)?;
        number.map(|number| u32::try_from(number).map_err(|_| Error::Unreadable { what })).transpose()
    }

    pub(crate) fn time(&mut self, what: &'static str) -> Result<Timestamp, Error> {
        self.integer(what).map(Timestamp::from_millis)
    }

    pub(crate) fn optional_time(&mut self, what: &'static str) -> Result<Option<Timestamp>, Error> {
        Ok(self.optional_integer(what)?.map(Timestamp::from_millis))
    }

    /// Reads a text and parses it with `read`.
    pub(crate) fn word<T>(&mut self, what: &'static str, read: impl FnOnce(&str) -> Option<T>) -> Result<T, Error> {
        read(&self.text(what)?).ok_or(Error::Unreadable { what })
    }

    /// Reads optional JSON text into a value.
    pub(crate) fn optional_json<T: serde::de::DeserializeOwned>(&mut self, what: &'static str) -> Result<Option<T>, Error> {
        let text = self.optional_text(what)?;
        text.map(|text| serde_json::from_str(&text).map_err(|_| Error::Unreadable { what })).transpose()
    }
}
