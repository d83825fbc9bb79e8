//! Store in memory without threads, for simulations.
//!
//! The calling task runs each operation in a commit of its own, so that the same sequence of calls has the same
//! results. Available only with the feature `in-memory`, which the product does not enable.

use std::sync::{Arc, Mutex};

use hookstream_model::base::{
    ids::{EnvironmentId, OriginId},
    time::Timestamp,
};
use rusqlite::params;
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

/// Origins besides the applications.
const OTHER_ORIGINS: &str =
    "create table other_origins (id blob not null primary key, environment_id blob not null, version integer not null) strict;
    drop view origins;
    create view origins as select id, environment_id, version from applications
        union all select id, environment_id, version from other_origins";
const ADD_ORIGIN: &str = "insert into other_origins (id, environment_id, version) values (?1, ?2, ?3)";

impl SqliteStore {
    /// Creates a store in memory, which ends with this handle.
    ///
    /// # Errors
    /// Fails if SQLite cannot be used.
    pub fn in_memory() -> Result<Self, Error> {
        let known = KnownDays::none();
        let mut files = Files::in_memory(Arc::clone(&known))?;
        for prepare in [CHANGES, OTHER_ORIGINS] {
            files.core()?.execute_batch(prepare).map_err(failed("prepare a store in memory"))?;
        }
        if let Some((_, error)) = files.commit().into_iter().next() {
            return Err(error);
        }
        let files = Arc::new(Mutex::new(files));
        Ok(Self {
            writer: Writer::of_callers(Arc::clone(&files)),
            readers: Arc::new(Readers::in_memory(files, Arc::clone(&known))),
            known,
            node: Mutex::default(),
            instruments: crate::Instruments::default(),
            may_have_events: true.into(),
            directory: None,
            text_index: None,
            nudges: broadcast::channel(1).0,
            vault: Vault::default(),
            quotas: InstallationQuotas::default(),
            listeners: Listeners::default(),
            _guards: None,
            space: None,
        })
    }

    /// Adds an origin that is no application.
    ///
    /// # Errors
    /// Fails if the store fails.
    pub async fn add_origin(&self, id: OriginId, environment: EnvironmentId, version: i64) -> Result<(), Error> {
        let add = move |files: &mut Files| {
            let values = params![id.as_bytes(), environment.as_bytes(), version];
            files.core()?.execute(ADD_ORIGIN, values).map_err(failed("add an origin"))?;
            files.forget_versions();
            Ok(())
        };
        self.writer.run(add).await
    }

    /// Enlists one more owner beside the existing ones, which keep their deliveries.
    ///
    /// # Errors
    /// Fails if the store fails.
    pub async fn enlist_beside(&self, now: Timestamp) -> Result<Owner, Error> {
        self.writer.run(move |files| claim::add_owner(files, now)).await
    }
}
