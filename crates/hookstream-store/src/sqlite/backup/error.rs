//! Errors of backups and restores.

use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use rusqlite::ErrorCode;

/// Reason why a backup or a restore failed.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file or directory cannot be read or written.
    #[error("could not {action} {}", path.display())]
    File {
        /// Verb.
        action: &'static str,
        /// File or directory.
        path: PathBuf,
        /// Reason.
        #[source]
        cause: io::Error,
    },
    /// The disk of the target is full.
    #[error("no space is left for {}: free some, or name a target on another disk; nothing of it was kept", path.display())]
    Full {
        /// File that could not be written.
        path: PathBuf,
    },
    /// A database file cannot be copied or checked.
    #[error("could not {action} {}", path.display())]
    Database {
        /// Verb.
        action: &'static str,
        /// File.
        path: PathBuf,
        /// Reason.
        #[source]
        cause: rusqlite::Error,
    },
    /// A file of a backup is not what was backed up.
    #[error("{} is damaged: {problem}; use another backup", path.display())]
    Damaged {
        /// File.
        path: PathBuf,
        /// Difference.
        problem: String,
    },
    /// The request cannot be done as it is: what is wrong, and what to do.
    #[error("{0}")]
    Refused(String),
    /// The server stops.
    #[error("the backup was interrupted, and nothing of it was kept")]
    Stopped,
}

impl BackupError {
    /// Returns a conversion from the errors of a file.
    pub(super) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |cause| match cause.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::Full { path },
            _ => Self::File { action, path, cause },
        }
    }

    /// Returns a conversion from the errors of a database file.
    pub(super) fn database(action: &'static str, path: &Path) -> impl FnOnce(rusqlite::Error) -> Self {
        let path = path.to_owned();
        move |cause| match cause.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full { path },
            _ => Self::Database { action, path, cause },
        }
    }
}

/// Returns the text of an error and its causes.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
