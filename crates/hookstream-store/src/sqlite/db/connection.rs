//! Opening of SQLite files with this store's settings, and migration to the current schema.

use std::path::Path;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::db::error::Error;

/// Schema of `core.db`, one step per file. A released step never changes.
pub(crate) const CORE_MIGRATIONS: &[&str] = &[
    include_str!("../../db/migrations/sqlite/core/0001_schema.sql"),
    include_str!("../../db/migrations/sqlite/core/0002_operational_events.sql"),
    include_str!("../../db/migrations/sqlite/core/0003_operations.sql"),
];
/// Schema of a day's file.
pub(crate) const DAY_MIGRATIONS: &[&str] = &[
    include_str!("../../db/migrations/sqlite/day/0001_schema.sql"),
    include_str!("../../db/migrations/sqlite/day/0002_outbox.sql"),
    include_str!("../../db/migrations/sqlite/day/0003_trace_context.sql"),
];

/// Log size in pages (64 MiB) at which the writer itself runs a checkpoint. This bounds the log if the background
/// checkpoints cannot keep up.
const WRITER_CHECKPOINT_PAGES: i64 = 16_384;
/// Page cache of the writing connection to the current day, in KiB.
const WRITER_CACHE_KIB: i64 = 8_192;
/// Page cache of a reading connection, in KiB.
const READER_CACHE_KIB: i64 = 1_024;
/// Statements kept prepared on a connection.
const STATEMENTS_CACHED: usize = 64;

/// Kind of a database file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileKind {
    Core,
    Day,
}

impl FileKind {
    const fn migrations(self) -> &'static [&'static str] {
        match self {
            Self::Core => CORE_MIGRATIONS,
            Self::Day => DAY_MIGRATIONS,
        }
    }
}

/// Opens the only connection that writes to a file.
pub(crate) fn open_writer(path: &Path, kind: FileKind) -> Result<Connection, Error> {
    restrict(path).map_err(|cause| Error::Open { what: path.display().to_string(), cause: cause.into() })?;
    let open = || -> rusqlite::Result<Connection> {
        let connection = Connection::open(path)?;
        if kind == FileKind::Day {
            // Allows the file to release the pages of its payloads. Effective only for a new file; costs an insert 0
            // to 3 % more processor time.
            connection.pragma_update(None, "auto_vacuum", "incremental")?;
        }
        if kind == FileKind::Core {
            // Overwrites removed content, so that secrets that were unsealed, or sealed under a retired key, do not
            // remain in free pages. This file is small and changes rarely.
            connection.pragma_update(None, "secure_delete", true)?;
        }
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "full")?;
        connection.pragma_update(None, "wal_autocheckpoint", WRITER_CHECKPOINT_PAGES)?;
        connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
        connection.pragma_update(None, "temp_store", "memory")?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
        Ok(connection)
    };
    let mut connection = open().map_err(|cause| open_error(path, cause))?;
    migrate(&mut connection, path, kind.migrations())?;
    Ok(connection)
}

/// Opens a file with derived data for writing, with tables that are created if they are missing. Its latest commits may be lost
/// in a power cut, because its content can be derived again.
pub(crate) fn open_derived(path: &Path, schema: &str) -> Result<Connection, Error> {
    restrict(path).map_err(|cause| Error::Open { what: path.display().to_string(), cause: cause.into() })?;
    let open = || -> rusqlite::Result<Connection> {
        let connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "normal")?;
        connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
        connection.pragma_update(None, "temp_store", "memory")?;
        connection.execute_batch(schema)?;
        Ok(connection)
    };
    open().map_err(|cause| open_error(path, cause))
}

/// Creates a file that only its owner may read, or restricts an existing one; SQLite gives its log the same mode. The
/// file of another user stays as it is. An existing file is not opened, because closing it would release the locks
/// that SQLite holds on it in this process.
fn restrict(path: &Path) -> std::io::Result<()> {
    match crate::sqlite::db::directory::private().create_new(true).open(path) {
        Ok(_) => return Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        if std::fs::metadata(path)?.permissions().mode() & 0o077 != 0 {
            let _ = std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600));
        }
    }
    Ok(())
}

/// Opens a file in memory, which lives as long as the connection.
#[cfg(feature = "in-memory")]
pub(crate) fn open_in_memory(kind: FileKind) -> Result<Connection, Error> {
    let path = Path::new(":memory:");
    let mut connection = Connection::open_in_memory().map_err(|cause| open_error(path, cause))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
    migrate(&mut connection, path, kind.migrations())?;
    Ok(connection)
}

/// Opens a read-only connection.
pub(crate) fn open_reader(path: &Path) -> Result<Connection, Error> {
    let open = || -> rusqlite::Result<Connection> {
        let connection = open_existing(path)?;
        connection.pragma_update(None, "query_only", true)?;
        connection.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
        connection.pragma_update(None, "temp_store", "memory")?;
        Ok(connection)
    };
    open().map_err(|cause| open_error(path, cause))
}

/// Opens a connection for checkpoints of a file's log.
pub(crate) fn open_checkpointer(path: &Path) -> rusqlite::Result<Connection> {
    open_existing(path)
}

fn open_existing(path: &Path) -> rusqlite::Result<Connection> {
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)
}

fn open_error(path: &Path, cause: rusqlite::Error) -> Error {
    Error::Open { what: path.display().to_string(), cause: cause.into() }
}

/// Number of steps that a program must know to use a file of this version. It grows only when a step removes what an older
/// program needs, in a release after the one that stopped needing it.
const OLDEST_PROGRAM: i64 = 1;

/// Applies the missing steps, each in a transaction together with its number.
fn migrate(connection: &mut Connection, path: &Path, migrations: &[&str]) -> Result<(), Error> {
    let opened = |cause: rusqlite::Error| open_error(path, cause);
    let found: i64 = connection.query_row("pragma user_version", [], |row| row.get(0)).map_err(opened)?;
    let known = i64::try_from(migrations.len()).unwrap_or(i64::MAX);
    if found > known {
        // A later version wrote the file, and says which versions may still use it.
        let oldest: i64 = connection.query_row("pragma application_id", [], |row| row.get(0)).map_err(opened)?;
        if (1..=known).contains(&oldest) {
            return Ok(());
        }
        return Err(Error::TooNew { what: path.display().to_string(), found, known });
    }
    for (number, step) in (1_i64..).zip(migrations).filter(|(number, _)| *number > found) {
        let transaction = connection.transaction().map_err(opened)?;
        transaction.execute_batch(step).map_err(opened)?;
        transaction.pragma_update(None, "user_version", number).map_err(opened)?;
        transaction.pragma_update(None, "application_id", OLDEST_PROGRAM).map_err(opened)?;
        transaction.commit().map_err(opened)?;
    }
    Ok(())
}

/// Returns a conversion from SQLite errors that names the failed operation.
pub(crate) fn failed(operation: &'static str) -> impl Fn(rusqlite::Error) -> Error + Copy {
    move |cause| match cause.sqlite_error().map(|error| (error.code, error.extended_code)) {
        Some((ErrorCode::DiskFull, _)) => Error::Full { operation },
        Some((ErrorCode::ConstraintViolation, rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE | rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY)) => {
            Error::Conflict { operation }
        }
        Some(_) | None => Error::Failed { operation, cause: cause.into() },
    }
}
