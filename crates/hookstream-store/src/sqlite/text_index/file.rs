//! Files of the index, `search/<date>.db`: one for each day of messages, so that an expired day is a deleted file. They are
//! derived from the days' files, and may be deleted while the server is stopped.

use std::path::{Path, PathBuf};

use hookstream_model::base::time::Day;
use rusqlite::{Connection, OptionalExtension};

use crate::{
    db::error::Error,
    delivery::finding::IdBytes,
    sqlite::db::{
        connection::{failed, open_derived, open_reader},
        directory::search_directory,
    },
};

/// Words without positions, and without their text. Deleting a row needs no text. The tokenizer splits what the model has
/// split, and nothing else: letters beyond ASCII belong to words. One transaction creates all of it, so a reader finds all or
/// nothing.
const SCHEMA: &str = "begin immediate;
create table if not exists entries (
    number integer primary key,
    message_id blob not null unique,
    origin_id blob not null
) strict;
create virtual table if not exists words using fts5 (
    body, content = '', contentless_delete = 1, detail = none, tokenize = \"ascii tokenchars '_~'\"
);
-- Lowest id and highest id, exclusive, of the index when this file was last written; the lowest one is that of its first file.
create table if not exists progress (since blob not null, until blob not null) strict;
commit";
const IS_CREATED: &str = "select exists (select 1 from sqlite_schema where name = 'progress')";
const PROGRESS: &str = "select since, until from progress";

/// Returns the path of a day's index.
fn path(directory: &Path, day: Day) -> PathBuf {
    search_directory(directory).join(format!("{day}.db"))
}

/// Returns the days with an index, oldest first.
pub(super) fn days(directory: &Path) -> Vec<Day> {
    let Ok(entries) = std::fs::read_dir(search_directory(directory)) else { return Vec::new() };
    let day = |entry: std::fs::DirEntry| entry.file_name().to_str()?.strip_suffix(".db")?.parse().ok();
    let mut days: Vec<Day> = entries.flatten().filter_map(day).collect();
    days.sort_unstable();
    days
}

/// Opens a day's index for writing; creates a missing one.
pub(super) fn open(directory: &Path, day: Day) -> Result<Connection, Error> {
    crate::sqlite::db::directory::create_private(&search_directory(directory))
        .map_err(|cause| Error::Open { what: search_directory(directory).display().to_string(), cause: cause.into() })?;
    open_derived(&path(directory, day), SCHEMA)
}

/// Opens a day's index for reading; `None` if it was removed or is not created yet.
pub(super) fn read(directory: &Path, day: Day) -> Result<Option<Connection>, Error> {
    let path = path(directory, day);
    match open_reader(&path) {
        Ok(connection) => {
            let is_created: bool = connection.query_row(IS_CREATED, [], |row| row.get(0)).map_err(failed("read a day of the index"))?;
            Ok(is_created.then_some(connection))
        }
        Err(_) if !path.exists() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns the interval of the index as a file has it.
pub(super) fn progress(connection: &Connection) -> Result<Option<(IdBytes, IdBytes)>, Error> {
    connection.query_row(PROGRESS, [], |row| Ok((row.get(0)?, row.get(1)?))).optional().map_err(failed("read the progress of the index"))
}

/// Returns the size of a day's index, in bytes.
pub(super) fn size(directory: &Path, day: Day) -> u64 {
    let size = |path: PathBuf| std::fs::metadata(path).map_or(0, |file| file.len());
    size(path(directory, day)) + size(path(directory, day).with_extension("db-wal"))
}

/// Deletes a day's index.
pub(super) fn remove(directory: &Path, day: Day) -> Result<(), Error> {
    let path = path(directory, day);
    std::fs::remove_file(&path).map_err(|cause| Error::Failed { operation: "delete a day of the index", cause: cause.into() })?;
    for suffix in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(path.with_extension(format!("db{suffix}")));
    }
    Ok(())
}
