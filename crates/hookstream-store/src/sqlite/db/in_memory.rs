//! The same store in memory, without threads: what a simulation works with.
//!
//! Each operation is done by whoever asks for it, in a commit of its own, so that the same questions have the
//! same answers in the same order. Nothing of it is in the product: it is there with the feature `in-memory` only.

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
    db::{error::Error, vault::Vault},
    delivery::deliveries::Owner,
    operations::quotas::InstallationQuotas,
    sqlite::{SqliteStore, deliveries::claim},
};

/// What several processes tell each other on PostgreSQL; a directory has one process and needs no such table.
const CHANGES: &str =
    "create table changes (number integer primary key autoincrement, environment_id blob not null, application_id blob) strict";

impl SqliteStore {
    /// A store in memory; it ends with this handle.
    ///
    /// # Errors
    /// Where SQLite cannot be worked with.
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
            _keepers: None,
            space: None,
        })
    }

    /// One more owner beside those that there are, whose deliveries stay theirs.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn enlist_beside(&self, now: Timestamp) -> Result<Owner, Error> {
        self.writer.run(move |files| claim::add_owner(files, now)).await
    }
}
