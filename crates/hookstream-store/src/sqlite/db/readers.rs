//! Read connections, which work beside the writer without blocking it.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use hookstream_model::base::time::Day;
use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::{
    connection::open_reader,
    files::{Key, KnownDays},
};
use crate::{
    db::error::Error,
    sqlite::db::directory::{core_path, day_path},
};

/// Maximum number of concurrent reads; further ones wait.
const MAX_READS: usize = 4;
/// Maximum number of idle connections.
const MAX_IDLE: usize = 32;

/// Pool of read connections.
#[derive(Debug)]
pub(crate) struct Readers {
    directory: PathBuf,
    known: Arc<KnownDays>,
    permits: Semaphore,
    idle: Mutex<HashMap<Key, Vec<Connection>>>,
    /// Connections of a store in memory: the caller reads from the writer's own connections.
    #[cfg(feature = "in-memory")]
    in_memory: Option<Arc<Mutex<super::files::Files>>>,
}

impl Readers {
    pub(crate) fn new(directory: PathBuf, known: Arc<KnownDays>) -> Self {
        Self {
            directory,
            known,
            permits: Semaphore::new(MAX_READS),
            idle: Mutex::new(HashMap::new()),
            #[cfg(feature = "in-memory")]
            in_memory: None,
        }
    }

    /// Creates readers of a store in memory.
    #[cfg(feature = "in-memory")]
    pub(crate) fn in_memory(files: Arc<Mutex<super::files::Files>>, known: Arc<KnownDays>) -> Self {
        Self { in_memory: Some(files), ..Self::new(PathBuf::new(), known) }
    }

    /// Reads from `core.db`.
    pub(crate) async fn core<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.blocking(move |readers| readers.with(None, read)).await
    }

    /// Reads from the days' files.
    pub(crate) async fn days<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&Days<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.blocking(move |readers| read(&Days(readers))).await
    }

    /// Closes the connections to dropped days.
    pub(crate) fn forget(&self, days: &[Day]) {
        let mut idle = self.idle();
        for day in days {
            idle.remove(&Some(*day));
        }
    }

    /// Closes all idle connections.
    pub(crate) fn close(&self) {
        self.idle().clear();
    }

    async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&Self) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        #[cfg(feature = "in-memory")]
        if self.in_memory.is_some() {
            return read(self);
        }
        let _permit = self.permits.acquire().await.map_err(|_| Error::Closed)?;
        let readers = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || read(&readers)).await;
        done.map_err(|cause| Error::Failed { operation: "read", cause: cause.into() })?
    }

    fn with<T>(&self, key: Key, read: impl FnOnce(&Connection) -> Result<T, Error>) -> Result<T, Error> {
        #[cfg(feature = "in-memory")]
        if let Some(files) = &self.in_memory {
            let files = files.lock().unwrap_or_else(PoisonError::into_inner);
            return read(files.committed(key).ok_or(Error::Unreadable { what: "day" })?);
        }
        let kept = self.idle().get_mut(&key).and_then(Vec::pop);
        let connection = match kept {
            Some(connection) => connection,
            None => open_reader(&key.map_or_else(|| core_path(&self.directory), |day| day_path(&self.directory, day)))?,
        };
        let result = read(&connection);
        let mut idle = self.idle();
        if idle.values().map(Vec::len).sum::<usize>() < MAX_IDLE && key.is_none_or(|day| self.known.contains(day)) {
            idle.entry(key).or_default().push(connection);
        }
        result
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Vec<Connection>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Files of the days, for one read.
pub(crate) struct Days<'a>(&'a Readers);

impl Days<'_> {
    /// Returns the days that have a file, newest first.
    pub(crate) fn newest_first(&self) -> Vec<Day> {
        let mut days = self.0.known.all();
        days.reverse();
        days
    }

    /// Returns the disk usage of each day's file with its log in bytes, oldest first.
    pub(crate) fn sizes(&self) -> Vec<(Day, u64)> {
        let size = |path: PathBuf| std::fs::metadata(path).map_or(0, |file| file.len());
        let of_day = |day: Day| {
            let path = day_path(&self.0.directory, day);
            (day, size(path.with_extension("db-wal")) + size(path))
        };
        self.0.known.all().into_iter().map(of_day).collect()
    }

    /// Reads from one day's file; returns `None` if the day has no file.
    pub(crate) fn read<T>(&self, day: Day, read: impl FnOnce(&Connection) -> Result<T, Error>) -> Result<Option<T>, Error> {
        if !self.0.known.contains(day) {
            return Ok(None);
        }
        match self.0.with(Some(day), read) {
            Ok(result) => Ok(Some(result)),
            // The day was dropped between the check and the read.
            Err(Error::Open { .. }) if !self.0.known.contains(day) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
