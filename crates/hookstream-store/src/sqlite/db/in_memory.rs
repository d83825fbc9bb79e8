//! Store in memory without threads, for simulations.
//!
//! The calling task runs each operation in a commit of its own, so that the same sequence of calls has the same
//! results. Available only with the feature `in-memory`, which the product does not enable.

use std::sync::{Arc, Mutex};

use hookstream_model::base::time::Timestamp;
use tokio::sync::broadcast;

use super::{
    connection::failed,
    files::{Files, KnownDays},
    readers::Readers,
    writer::Writer,
};
use crate::{
    db::{error::Error, installation_quotas::InstallationQuotas, listeners::Listeners, vault::Vault},
    delivery::deliveries::Owner,
    sqlite::{SqliteStore, deliveries::claim},
};

/// Change notifications between processes, which only PostgreSQL needs; a directory has one process.
const CHANGES: &str =
    "create table changes (number integer primary key autoincrement, environment_id blob not null, application_id blob) strict";

impl SqliteStore {
    /// Creates a store in memory, which ends with this handle.
    ///
    /// # Errors
    /// Fails if SQLite cannot be used.
    pub fn in_memory() -> Result<Self, Error> {
        let known = KnownDays::none();
        let mut files = Files::in_memory(Arc::clone(&known))?;
        files.core()?.execute_batch(CHANGES).map_err(failed("prepare a store in memory"))?;
        if let Some((_, error)) = files.commit().into_iter().next() {
            return Err(error);
        }
        let files = Arc::new(Mutex::new(files));
        Ok(Self {
            writer: Writer::of_callers(Arc::clone(&files)),
            readers: Arc::new(Readers::in_memory(files, Arc::clone(&known))),
            known,
            node: Mutex::default(),
            directory: None,
            nudges: broadcast::channel(1).0,
            vault: Vault::default(),
            quotas: InstallationQuotas::default(),
            listeners: Listeners::default(),
            _guards: None,
            space: None,
        })
    }

    /// Enlists one more owner beside the existing ones, which keep their deliveries.
    ///
    /// # Errors
    /// Fails if the store fails.
    pub async fn enlist_beside(&self, now: Timestamp) -> Result<Owner, Error> {
        self.writer.run(move |files| claim::add_owner(files, now)).await
    }
}
