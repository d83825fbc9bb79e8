//! Transfer of an installation from one store to another, of either kind.
//!
//! The tables are described once (`tables.rs`). A store reads and writes slices of them ([`Side`]); `copy.rs` and
//! `verify.rs` depend on neither table nor database. On PostgreSQL a slice and the progress of the transfer are one
//! transaction. On SQLite they are in different files: the slice is written first, and a slice written twice is
//! stored once.
//!
//! A transfer is [begun](Transfer::begin), [copied](Transfer::copy), [compared](Transfer::verify) and
//! [finished](Transfer::finish). Until then the target has a mark, from which an interrupted transfer continues.

mod checksum;
mod copy;
mod marker;
pub(crate) mod tables;
mod verify;

use std::sync::Arc;

use async_trait::async_trait;
use hookstream_model::base::time::Day;

pub(crate) use self::marker::ADVANCE;
pub use self::{
    checksum::Checksum,
    copy::Moved,
    marker::Advance,
    tables::TableOrder,
    verify::{Difference, Report, TableReport},
};
use self::{marker::Marker, tables::steps};
use crate::{
    Store,
    db::statement::{Database, Value},
    identity::organizations,
};

/// Store on one side of a transfer. A step's rows have the same form in every store.
#[async_trait]
pub trait Side: Store {
    /// Returns whether text may contain NUL.
    fn keeps_nul(&self) -> bool;

    /// Returns a description of another process that uses the store, if there is one.
    async fn user(&self) -> Result<Option<String>, crate::Error>;

    /// Returns the number of server starts on the store.
    async fn starts(&self) -> Result<i64, crate::Error>;

    /// Returns the days that may have rows, oldest first.
    async fn days(&self) -> Result<Vec<Day>, crate::Error>;

    /// Returns the rows of a step after a key, or its first rows.
    async fn rows(&self, step: TableOrder, after: Option<Vec<Value>>, limits: Limits) -> Result<Slice, crate::Error>;

    /// Writes rows of a step and advances the mark. Returns whether the mark had the expected value.
    async fn write_rows(&self, step: TableOrder, rows: Arc<Vec<Vec<Value>>>, advance: Advance) -> Result<bool, crate::Error>;
}

/// Maximum size of one read and one write.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Maximum number of rows.
    pub rows: usize,
    /// Approximate maximum of bytes; the row that exceeds it is still included.
    pub bytes: usize,
}

impl Default for Limits {
    /// Large enough to make the cost of a commit's fsync negligible, and small enough for a small machine: at most
    /// three slices are in memory.
    fn default() -> Self {
        Self { rows: 5_000, bytes: 8 * 1024 * 1024 }
    }
}

/// Rows of a step.
#[derive(Debug)]
pub struct Slice {
    pub(crate) rows: Vec<Vec<Value>>,
    /// Key of the last row read; `None` if there were no more rows.
    pub(crate) last: Option<Vec<Value>>,
}

/// Reason why a transfer is not complete.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A store failed.
    #[error(transparent)]
    Store(#[from] crate::Error),
    /// The source contains no installation.
    #[error("the source contains no installation; a server creates one at its first start")]
    Nothing,
    /// The source is the target of an unfinished transfer.
    #[error("the source is an unfinished transfer from {from}; finish that transfer first")]
    SourceUnfinished {
        /// Source of that transfer.
        from: String,
    },
    /// A server uses one of the stores.
    #[error("the {end} is in use: {user}; stop it first")]
    InUse {
        /// Source or target.
        end: &'static str,
        /// Description of the user.
        user: String,
    },
    /// The target is not empty.
    #[error("the target is not empty: it contains {what}; name an empty one")]
    NotEmpty {
        /// Content of the target.
        what: String,
    },
    /// The target has an unfinished transfer from another source.
    #[error("the target is an unfinished transfer from another source, {from}; continue that transfer, or empty the target")]
    OtherSource {
        /// Source of that transfer.
        from: String,
    },
    /// The source may have changed since the transfer began.
    #[error("a server was started on the source after the transfer began; empty the target and start again")]
    SourceStarted,
    /// Another process moved the mark.
    #[error("another transfer to the same target is running; wait for it, or stop it and start again")]
    Overtaken,
    /// The stores differ.
    #[error("the target differs from the source; empty the target and start again")]
    Different,
}

/// Returns the source of a store's unfinished transfer, if there is one. A server must not start on an incomplete store.
///
/// # Errors
/// Fails if the store fails.
pub async fn unfinished(db: &dyn Database) -> Result<Option<String>, crate::Error> {
    Ok(Marker::find(db).await?.map(|marker| marker.source))
}

/// Transfer in progress.
pub struct Transfer<'a> {
    source: &'a dyn Side,
    target: &'a dyn Side,
    limits: Limits,
    marker: Marker,
    is_resumed: bool,
}

impl<'a> Transfer<'a> {
    /// Begins a transfer, or continues an interrupted one. `name` identifies the source and is shown to people.
    ///
    /// # Errors
    /// Fails if a store fails or is in use, the source contains no installation, or the target other data.
    pub async fn begin(source: &'a dyn Side, name: &str, target: &'a dyn Side, limits: Limits) -> Result<Self, Error> {
        check_idle(source, target).await?;
        if let Some(from) = unfinished(source).await? {
            return Err(Error::SourceUnfinished { from });
        }
        if organizations::first(source).await?.is_none() {
            return Err(Error::Nothing);
        }
        let fresh = Marker::new(name.to_owned(), source.starts().await?);
        let found = Marker::find(target).await?;
        let is_resumed = found.is_some();
        let marker = match found {
            Some(found) if found.source != fresh.source => return Err(Error::OtherSource { from: found.source }),
            Some(found) if found.starts != fresh.starts => return Err(Error::SourceStarted),
            Some(found) => found,
            None => {
                check_empty(target).await?;
                fresh.create(target).await?;
                fresh
            }
        };
        // Finds a server that started before it could see the mark.
        check_idle(source, target).await?;
        Ok(Self { source, target, limits, marker, is_resumed })
    }

    /// Returns whether the transfer continues an interrupted one.
    pub const fn is_resumed(&self) -> bool {
        self.is_resumed
    }

    /// Finishes the transfer: from here on a server may start on the target.
    ///
    /// # Errors
    /// Fails if the comparison found a difference, or a store fails or was used meanwhile.
    pub async fn finish(self, report: &Report) -> Result<(), Error> {
        if !report.is_equal() {
            return Err(Error::Different);
        }
        check_idle(self.source, self.target).await?;
        if self.source.starts().await? != self.marker.starts {
            return Err(Error::SourceStarted);
        }
        self.marker.remove(self.target).await
    }
}

async fn check_idle(source: &dyn Side, target: &dyn Side) -> Result<(), Error> {
    for (end, side) in [("source", source), ("target", target)] {
        if let Some(user) = side.user().await? {
            return Err(Error::InUse { end, user });
        }
    }
    Ok(())
}

/// Maximum number of steps named in an error.
const NAMED: usize = 8;

async fn check_empty(target: &dyn Side) -> Result<(), Error> {
    let mut found = Vec::new();
    for step in steps(&target.days().await?) {
        if found.len() < NAMED && target.rows(step, None, Limits { rows: 1, bytes: 1 }).await?.last.is_some() {
            found.push(step.to_string());
        }
    }
    if found.is_empty() { Ok(()) } else { Err(Error::NotEmpty { what: found.join(", ") }) }
}

/// Returns the rows as the target can store them.
fn converted(mut rows: Vec<Vec<Value>>, target: &dyn Side) -> Vec<Vec<Value>> {
    if target.keeps_nul() {
        return rows;
    }
    for value in rows.iter_mut().flatten() {
        if let Value::Text(text) = value
            && text.contains('\0')
        {
            // Same replacement as for responses of receivers.
            *text = text.replace('\0', "\u{fffd}");
        }
    }
    rows
}
