//! Backups that the server makes by itself: their settings, and what is known of the last one.

use std::{
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hookstream_model::{base::time::Timestamp, operations::backup::TimeOfDay};
use tokio::sync::Notify;

/// Settings of backups.
#[derive(Debug, Clone)]
pub struct BackupSettings {
    /// Directory of the backups.
    pub directory: PathBuf,
    /// Time of day at which one is made.
    pub at: TimeOfDay,
    /// Age at which one is removed.
    pub keep: Duration,
    /// Version of the program.
    pub program: &'static str,
}

/// State of the backups.
#[derive(Debug, Clone, Default)]
pub struct BackupStatus {
    /// Begin of the backup that is being made.
    pub running_since: Option<Timestamp>,
    /// Moment that the last backup shows.
    pub last_success: Option<Timestamp>,
    /// Size of the last backup in bytes.
    pub last_bytes: u64,
    /// Duration of the last backup.
    pub last_duration: Duration,
    /// Last failure since the start, and its cause.
    pub last_failure: Option<(Timestamp, String)>,
    /// Failures since the start.
    pub failures: u64,
}

/// Backups of this server.
#[derive(Debug)]
pub(crate) struct Backups {
    pub(crate) settings: BackupSettings,
    status: Mutex<BackupStatus>,
    /// Request to make one now.
    pub(crate) asked: Notify,
}

impl Backups {
    pub(crate) fn new(settings: BackupSettings) -> Self {
        Self { settings, status: Mutex::default(), asked: Notify::new() }
    }

    /// Returns the state.
    pub(crate) fn status(&self) -> BackupStatus {
        self.lock().clone()
    }

    /// Changes the state.
    pub(crate) fn note(&self, change: impl FnOnce(&mut BackupStatus)) {
        change(&mut self.lock());
    }

    fn lock(&self) -> MutexGuard<'_, BackupStatus> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
