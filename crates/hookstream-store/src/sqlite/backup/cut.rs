//! Cut: the state of all files at one moment between two commits of the writer.
//!
//! A transaction of the store spans one file, and an operation over several files commits one after the other. Between
//! two commits of the writer, the files together are a state that a crash could leave, which the program can continue
//! from. Snapshots of all files that begin in one such moment are therefore a consistent backup. Taking them needs
//! microseconds a file; the copies are made afterwards.

use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
};

use rusqlite::Connection;

use super::{BackupError, fingerprint::Fingerprint};
use crate::{
    db::error::Error,
    sqlite::db::{
        connection::open_reader,
        directory::{core_path, days_directory},
    },
};

/// Path of the configuration file in a backup.
pub(super) const CORE: &str = "core.db";

/// Open files of a data directory, before the cut.
pub struct Prepared {
    directory: PathBuf,
    open: BTreeMap<String, Connection>,
}

/// Files at one moment, newest day first, then `core.db`, then the other days: the busiest snapshot ends first.
pub struct Cut {
    pub(super) directory: PathBuf,
    pub(super) sources: Vec<Source>,
}

/// Snapshot of one file. Its log is kept until this is dropped.
pub(super) struct Source {
    /// Path in the data directory and in a backup: `core.db` or `days/<date>.db`.
    pub(super) path: String,
    pub(super) connection: Connection,
    pub(super) fingerprint: Fingerprint,
}

impl Prepared {
    /// Opens all files of a data directory, whatever the version of their schema. Changes nothing.
    ///
    /// # Errors
    /// A file cannot be opened.
    pub fn open(directory: &Path) -> Result<Self, BackupError> {
        if !core_path(directory).is_file() {
            return Err(BackupError::Refused(format!("there is no store in {}; set --data-dir", directory.display())));
        }
        let mut prepared = Self { directory: directory.to_owned(), open: BTreeMap::new() };
        prepared.open_missing()?;
        Ok(prepared)
    }

    /// Begins the snapshots. Must be called while nothing writes to the files.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn cut(mut self) -> Result<Cut, BackupError> {
        self.open_missing()?;
        let mut sources = Vec::with_capacity(self.open.len());
        for (path, connection) in self.open {
            let full = self.directory.join(&path);
            // The read begins the snapshot.
            let begun = connection.execute_batch("begin; select count(*) from sqlite_schema");
            begun.map_err(BackupError::database("read", &full))?;
            let fingerprint = Fingerprint::of(&full).map_err(BackupError::file("read", &full))?;
            sources.push(Source { path, connection, fingerprint });
        }
        // `days/…` sorts behind `core.db`, oldest first.
        sources.reverse();
        if let Some(core) = sources.pop() {
            sources.insert(1.min(sources.len()), core);
        }
        Ok(Cut { directory: self.directory, sources })
    }

    /// Opens files that are not open yet, and closes those that are gone: a day may begin or expire meanwhile.
    fn open_missing(&mut self) -> Result<(), BackupError> {
        let paths = paths(&self.directory)?;
        self.open.retain(|path, _| paths.contains(path));
        for path in paths {
            if !self.open.contains_key(&path) {
                let full = self.directory.join(&path);
                let connection = open_reader(&full).map_err(|error| BackupError::Refused(crate::sqlite::backup::error::chain(&error)))?;
                self.open.insert(path, connection);
            }
        }
        Ok(())
    }
}

/// Locks a data directory against servers and other commands; returns `None` if a process uses it.
///
/// # Errors
/// There is no store, or the lock cannot be used.
pub fn lock(directory: &Path) -> Result<Option<File>, Error> {
    if !core_path(directory).is_file() {
        return Ok(None);
    }
    match crate::sqlite::db::directory::lock(directory) {
        Ok(lock) => Ok(Some(lock)),
        Err(Error::InUse { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns the paths of all files of a store.
fn paths(directory: &Path) -> Result<Vec<String>, BackupError> {
    let days = days_directory(directory);
    let mut paths = vec![CORE.to_owned()];
    if days.is_dir() {
        for entry in std::fs::read_dir(&days).map_err(BackupError::file("read", &days))? {
            let name = entry.map_err(BackupError::file("read", &days))?.file_name();
            let name = name.to_string_lossy();
            if name.strip_suffix(".db").is_some_and(|day| day.parse::<hookstream_model::base::time::Day>().is_ok()) {
                paths.push(format!("days/{name}"));
            }
        }
    }
    Ok(paths)
}
