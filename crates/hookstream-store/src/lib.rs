//! All SQL of Hookstream, and only that.
//!
//! Two kinds of operations:
//!
//! - **Plain resources** ([`identity`], [`operations`], [`outbound`]) are functions over a [`Database`]. Each
//!   statement is portable and is written once; a database only knows how to run statements. A change of an
//!   organization's resource takes its audit context and adds an audit entry in the same commit
//!   ([`operations::audit_log`]).
//! - **The hot path** (messages, deliveries, attempts) is the trait [`Store`]: whole operations of the domain, one
//!   transaction each, implemented for each database with its own means.
//!
//! Secrets are sealed in their rows ([`db::vault`]).
//!
//! To add a plain resource: a table in each `migrations/` folder and in the list of [`db::transfer`], a file with its
//! description (`db::resource`) and statements beside [`outbound::applications`], and a test in `tests/conformance`. To add a hot operation: a method
//! of [`Store`] that states its atomicity, a test in `tests/conformance`, then the method for each database.

pub mod db;
pub mod delivery;
pub mod identity;
mod instruments;
pub mod operations;
pub mod outbound;
pub mod postgres;
pub mod sqlite;

pub use crate::{
    db::{
        error::Error,
        page::{Page, PageRequest},
        statement::Database,
    },
    delivery::{cluster::Cluster, history::History, hot_path::Deliveries, outbox::Outbox, retention::Retention, text_index::TextIndex},
    instruments::Instruments,
};

use std::path::Path;

use async_trait::async_trait;

/// Whole store: plain resources and the hot path.
#[async_trait]
pub trait Store: Database + Cluster + Deliveries + Outbox + History + Retention + TextIndex {
    /// Returns the instruments of the store, with current gauges.
    fn instruments(&self) -> Instruments;

    /// Finishes running operations and closes the store. Later operations fail.
    async fn close(&self);

    /// Returns the data directory, if the store is in one.
    fn data_directory(&self) -> Option<&Path> {
        None
    }

    /// Returns the free bytes on the disk of the data directory, if the store is in one.
    fn free_bytes(&self) -> Option<u64> {
        let found = rustix::fs::statvfs(self.data_directory()?).ok()?;
        // Not what is reserved for root.
        Some(found.f_bavail.saturating_mul(found.f_frsize))
    }

    /// Runs `work` between two commits, while nothing writes to the files of the data directory. Writing waits for it, so it
    /// must end within milliseconds.
    ///
    /// # Errors
    /// Fails if the store has no data directory or is closed; `work` has not run then.
    async fn between_commits(&self, work: Box<dyn FnOnce() + Send>) -> Result<(), Error> {
        drop(work);
        Err(Error::Failed { operation: "pause writing", cause: "the store is not in a data directory".into() })
    }
}
