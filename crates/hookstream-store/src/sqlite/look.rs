//! Look at a data directory from outside: without a lock, and without a change.

use std::{
    fs::{File, TryLockError},
    io::{Read, Seek, SeekFrom},
    path::Path,
};

use super::db::{connection::CORE_MIGRATIONS, directory::core_path};

/// Place of the schema version in a database file: the header's field `user_version`.
const VERSION_AT: u64 = 60;

/// State of a data directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirectoryState {
    /// Schema version of `core.db`; `None` if there is no store. A version that is only in the log is not seen.
    pub found: Option<i64>,
    /// Newest schema version that this program knows.
    pub known: i64,
    /// Whether another process uses the directory.
    pub is_in_use: bool,
}

/// Looks at a directory.
///
/// # Errors
/// A file of the store cannot be read.
pub fn look(directory: &Path) -> std::io::Result<DirectoryState> {
    let known = i64::try_from(CORE_MIGRATIONS.len()).unwrap_or(i64::MAX);
    let found = if core_path(directory).exists() { Some(version(&core_path(directory))?) } else { None };
    let is_in_use = match File::open(directory.join("lock")) {
        Ok(lock) => matches!(lock.try_lock(), Err(TryLockError::WouldBlock)),
        Err(_) => false,
    };
    Ok(DirectoryState { found, known, is_in_use })
}

/// Reads the schema version of a database file that this process does not have open: closing the file would release
/// SQLite's locks.
fn version(path: &Path) -> std::io::Result<i64> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(VERSION_AT))?;
    let mut bytes = [0; 4];
    match file.read_exact(&mut bytes) {
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(0),
        done => done.map(|()| i64::from(u32::from_be_bytes(bytes))),
    }
}
