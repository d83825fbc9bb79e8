//! Check of a written file: it opens as a database, and SQLite finds it intact.

use std::{path::Path, time::Instant};

use rusqlite::{Connection, OpenFlags};

use super::{BackupError, copy::Pace};

/// Pages checked between two rests.
const PAGES: i32 = 200;

/// Checks a database file that nothing writes to. Leaves no other file beside it.
pub(super) fn check_database(path: &Path, pace: Pace) -> Result<(), BackupError> {
    let failed = || BackupError::database("check", path);
    let mut connection = open_immutable(path)?;
    let mut begun = Instant::now();
    let rest = move || {
        pace.rest(begun);
        begun = Instant::now();
        false
    };
    connection.progress_handler(PAGES, Some(rest)).map_err(failed())?;
    let result: String = connection.query_row("pragma integrity_check(1)", [], |row| row.get(0)).map_err(failed())?;
    if result == "ok" {
        return Ok(());
    }
    Err(BackupError::Damaged { path: path.to_owned(), problem: result })
}

/// Returns the version of the schema of a file that nothing writes to.
pub(super) fn schema_of(path: &Path) -> Result<i64, BackupError> {
    let version = open_immutable(path)?.query_row("pragma user_version", [], |row| row.get(0));
    version.map_err(BackupError::database("read", path))
}

/// Opens a file that nothing writes to, without a log.
fn open_immutable(path: &Path) -> Result<Connection, BackupError> {
    let text = path.to_string_lossy();
    let escaped = text.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    Connection::open_with_flags(format!("file:{escaped}?immutable=1"), flags).map_err(BackupError::database("open", path))
}
