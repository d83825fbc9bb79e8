//! Plain resources are written once for every database: their operations are statements in portable
//! SQL with their values and a reading of their rows, and a database only has to run those.
//!
//! Portable means: `$1` parameters, `returning`, `on conflict do nothing`, integers of 64 bits, text
//! and blobs. What is hot or needs a database's own strength (messages, deliveries, attempts) does
//! not go through here; it is written for each database apart, see [`crate::Store`].

use async_trait::async_trait;
use hookstream_model::base::time::Timestamp;

use crate::{
    db::{error::Error, vault::Vault},
    operations::quotas::InstallationQuotas,
};

/// A database that runs plain statements, each call as one transaction.
#[async_trait]
pub trait Database: Send + Sync + 'static {
    /// Rows as of the last commit.
    async fn read(&self, statement: Statement) -> Result<Vec<Row>, Error>;

    /// What seals and opens what is secret in its rows.
    fn vault(&self) -> &Vault;

    /// What organizations may have that have no quotas of their own.
    fn installation_quotas(&self) -> &InstallationQuotas;

    /// Runs all statements in one transaction and returns the rows of each.
    ///
    /// The transaction is rolled back, and [`Written::Unmet`] says so, where a statement that is
    /// [required](Statement::required) changes no row.
    async fn write(&self, operation: &'static str, statements: Vec<Statement>) -> Result<Written, Error>;
}

/// What came of a write.
#[derive(Debug)]
pub enum Written {
    /// It was committed; the rows that each statement returned.
    Committed(Vec<Vec<Row>>),
    /// The statement of this index changed no row though it had to; nothing was kept.
    Unmet(usize),
}

impl Written {
    /// Whether it was committed.
    pub(crate) const fn is_committed(&self) -> bool {
        matches!(self, Self::Committed(_))
    }
}

/// A statement and its values. Only this crate makes any.
#[derive(Debug, Clone)]
pub struct Statement {
    pub(crate) sql: &'static str,
    pub(crate) values: Vec<Value>,
    pub(crate) required: bool,
    pub(crate) tells_others: bool,
}

impl Statement {
    pub(crate) const fn new(sql: &'static str, values: Vec<Value>) -> Self {
        Self { sql, values, required: false, tells_others: false }
    }

    /// It is there for other processes on the same database, which are nudged once it is committed. A
    /// database that has only one process skips it.
    pub(crate) const fn tells_others(mut self) -> Self {
        self.tells_others = true;
        self
    }

    /// The whole write is undone where this statement changes no row.
    pub(crate) const fn required(mut self) -> Self {
        self.required = true;
        self
    }
}

/// A value that goes into a statement or comes out of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// No value.
    Null,
    /// A whole number, a time in milliseconds, or 0 and 1 for no and yes.
    Integer(i64),
    /// Text, and JSON as text.
    Text(String),
    /// Bytes, and ids as 16 of them.
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

/// A row, read column by column in the order of the statement's list.
#[derive(Debug)]
pub struct Row(pub(crate) Vec<Value>);

/// Reads the columns of a row one after the other.
pub(crate) struct Columns(std::vec::IntoIter<Value>);

impl Row {
    pub(crate) fn columns(self) -> Columns {
        Columns(self.0.into_iter())
    }
}

impl Columns {
    fn next(&mut self, what: &'static str) -> Result<Value, Error> {
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

    /// A text that `read` turns into what it stands for.
    pub(crate) fn word<T>(&mut self, what: &'static str, read: impl FnOnce(&str) -> Option<T>) -> Result<T, Error> {
        read(&self.text(what)?).ok_or(Error::Unreadable { what })
    }

    /// JSON text, where there is any, read into a value.
    pub(crate) fn optional_json<T: serde::de::DeserializeOwned>(&mut self, what: &'static str) -> Result<Option<T>, Error> {
        let text = self.optional_text(what)?;
        text.map(|text| serde_json::from_str(&text).map_err(|_| Error::Unreadable { what })).transpose()
    }
}
