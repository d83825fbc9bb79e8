//! Moving an installation from one store to another, of either kind.
//!
//! What is moved is described once (`tables.rs`); a store reads and writes slices of it ([`Side`]), and
//! `copy.rs` and `verify.rs` know neither table nor database. A slice and how far the transfer is are one
//! transaction on PostgreSQL. On SQLite they stand in different files: the slice is first, and a slice
//! that is written twice is there once.
//!
//! A transfer is [begun](Transfer::begin), [copied](Transfer::copy), [compared](Transfer::verify) and
//! [finished](Transfer::finish). Until it is finished the target has a mark, and begins where it was.

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

/// A store at one end of a transfer. A step's rows have the same form in every store.
#[async_trait]
pub trait Side: Store {
    /// Whether text may have a NUL in it.
    fn keeps_nul(&self) -> bool;

    /// Who works on it besides this process.
    async fn user(&self) -> Result<Option<String>, crate::Error>;

    /// How often a server was started on it.
    async fn starts(&self) -> Result<i64, crate::Error>;

    /// The days of which there may be rows, oldest first.
    async fn days(&self) -> Result<Vec<Day>, crate::Error>;

    /// The rows of a step after a key, or its first.
    async fn rows(&self, step: TableOrder, after: Option<Vec<Value>>, limits: Limits) -> Result<Slice, crate::Error>;

    /// Writes rows of a step and moves the mark on. Returns whether the mark was what it had to be.
    async fn write_rows(&self, step: TableOrder, rows: Arc<Vec<Vec<Value>>>, advance: Advance) -> Result<bool, crate::Error>;
}

/// How much is read and written at once.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The most rows.
    pub rows: usize,
    /// About the most bytes; the row that passes it is still in.
    pub bytes: usize,
}

impl Default for Limits {
    /// Enough that a commit's fsync does not count, and little enough for a small machine: three slices
    /// are in memory at most.
    fn default() -> Self {
        Self { rows: 5_000, bytes: 8 * 1024 * 1024 }
    }
}

/// Rows of a step.
#[derive(Debug)]
pub struct Slice {
    pub(crate) rows: Vec<Vec<Value>>,
    /// The key of the last row that was read; `None` where there was none any more.
    pub(crate) last: Option<Vec<Value>>,
}

/// Why a transfer is not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// One of the stores failed.
    #[error(transparent)]
    Store(#[from] crate::Error),
    /// The source is empty.
    #[error("the source contains no installation; a server creates one at its first start")]
    Nothing,
    /// The source is itself half there.
    #[error("the source is an unfinished transfer from {from}; finish that transfer first")]
    SourceUnfinished {
        /// Where from.
        from: String,
    },
    /// A server works on one of the stores.
    #[error("the {end} is in use: {user}; stop it first")]
    InUse {
        /// Source or target.
        end: &'static str,
        /// Who.
        user: String,
    },
    /// The target has something already.
    #[error("the target is not empty: it contains {what}; name an empty one")]
    NotEmpty {
        /// What.
        what: String,
    },
    /// The target is half there, from elsewhere.
    #[error("the target is an unfinished transfer from another source, {from}; continue that transfer, or empty the target")]
    OtherSource {
        /// Where from.
        from: String,
    },
    /// The source may have changed since the transfer began.
    #[error("a server was started on the source after the transfer began; empty the target and start again")]
    SourceStarted,
    /// Somebody else moved the mark.
    #[error("another transfer to the same target is running; wait for it, or stop it and start again")]
    Overtaken,
    /// What was compared is not equal.
    #[error("the target differs from the source; empty the target and start again")]
    Different,
}

/// Where a store's unfinished transfer comes from; `None` where there is none. A server must not start
/// on what is half there.
///
/// # Errors
/// Where the store fails.
pub async fn unfinished(db: &dyn Database) -> Result<Option<String>, crate::Error> {
    Ok(Marker::find(db).await?.map(|marker| marker.source))
}

/// A transfer under way.
pub struct Transfer<'a> {
    source: &'a dyn Side,
    target: &'a dyn Side,
    limits: Limits,
    marker: Marker,
    is_resumed: bool,
}

impl<'a> Transfer<'a> {
    /// Begins a transfer, or goes on with one that was broken off. `name` tells the source from others
    /// and is shown to people.
    ///
    /// # Errors
    /// Where a store fails or is in use, the source has nothing, or the target something else.
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
                fresh.make(target).await?;
                fresh
            }
        };
        // A server that started before it could see the mark is seen now.
        check_idle(source, target).await?;
        Ok(Self { source, target, limits, marker, is_resumed })
    }

    /// Whether it goes on with one that was broken off.
    pub const fn is_resumed(&self) -> bool {
        self.is_resumed
    }

    /// Finishes it: from here on a server may start on the target.
    ///
    /// # Errors
    /// Where what was compared differs, or a store fails or was used meanwhile.
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

/// The most that is named of what a target holds.
const NAMED: usize = 8;

async fn check_empty(target: &dyn Side) -> Result<(), Error> {
    let mut there = Vec::new();
    for step in steps(&target.days().await?) {
        if there.len() < NAMED && target.rows(step, None, Limits { rows: 1, bytes: 1 }).await?.last.is_some() {
            there.push(step.to_string());
        }
    }
    if there.is_empty() { Ok(()) } else { Err(Error::NotEmpty { what: there.join(", ") }) }
}

/// The rows as the target can have them.
fn converted(mut rows: Vec<Vec<Value>>, target: &dyn Side) -> Vec<Vec<Value>> {
    if target.keeps_nul() {
        return rows;
    }
    for value in rows.iter_mut().flatten() {
        if let Value::Text(text) = value
            && text.contains('\0')
        {
            // As the store itself does with what receivers answer.
            *text = text.replace('\0', "\u{fffd}");
        }
    }
    rows
}
