//! Removing the payloads of a day whose messages stay, and giving back what they took.
//!
//! A slice is a few milliseconds of the writer. What is freed in a day that is over is never used again, so it is
//! given back to the file system: pages from the end of the file move into the gaps, some in each slice, and the
//! file is cut.

use std::path::Path;

use hookstream_model::{
    ids::{EnvironmentId, MessageId},
    time::Day,
};
use rusqlite::{Connection, Row};

use super::{
    connection::{failed, open_checkpointer},
    files::Files,
};
use crate::{counts::Counts, error::Error, payloads::Expired};

const OPERATION: &str = "remove payloads";
/// The most payloads of a slice, and about the most bytes: some 2 ms.
const SLICE: usize = 256;
const SLICE_BYTES: i64 = 512 * 1024;
/// The most pages that move in a slice: some 2 ms as well.
const PAGES: u32 = 128;

const IS_OWED: &str = "select exists (select 1 from pending)";
const OLDEST: &str = "select message_id, environment_id, octet_length(body) from payloads order by message_id limit ?1";
const REMOVE: &str = "delete from payloads where message_id = ?1";
const FREE_PAGES: &str = "select freelist_count from pragma_freelist_count";

/// Removes payloads of a day, or moves pages once there are none left. `None` where something of it is owed.
pub(super) fn remove_slice(files: &mut Files, day: Day) -> Result<Option<Expired>, Error> {
    let Some(file) = files.existing_day(day)? else { return Ok(None) };
    let connection = file.connection();
    if connection.query_row(IS_OWED, [], |row| row.get(0)).map_err(failed(OPERATION))? {
        return Ok(None);
    }
    let removed = remove(connection).map_err(failed(OPERATION))?;
    if removed.is_empty() {
        let is_done = move_pages(connection).map_err(failed("give back disk"))?;
        return Ok(Some(Expired { day, bytes: 0, is_done }));
    }
    let mut bytes = 0;
    for (_, environment, size) in removed {
        file.count_deliveries(environment, Counts::without_payload(size));
        bytes += size;
    }
    Ok(Some(Expired { day, bytes, is_done: false }))
}

fn remove(connection: &Connection) -> rusqlite::Result<Vec<(MessageId, EnvironmentId, i64)>> {
    let read = |row: &Row<'_>| Ok((MessageId::from_bytes(row.get(0)?), EnvironmentId::from_bytes(row.get(1)?), row.get(2)?));
    let mut found: Vec<(MessageId, EnvironmentId, i64)> =
        connection.prepare_cached(OLDEST)?.query_map([SLICE], read)?.collect::<rusqlite::Result<_>>()?;
    let mut bytes = 0;
    found.retain(|(_, _, size)| {
        let fits = bytes < SLICE_BYTES;
        bytes += size;
        fits
    });
    let mut remove = connection.prepare_cached(REMOVE)?;
    for (message, _, _) in &found {
        remove.execute([message.as_bytes()])?;
    }
    Ok(found)
}

/// Whether none is left to move, or the file is one that cannot shrink.
fn move_pages(connection: &Connection) -> rusqlite::Result<bool> {
    let free = || connection.query_row(FREE_PAGES, [], |row| row.get::<_, u32>(0));
    let before = free()?;
    let mut vacuum = connection.prepare(&format!("pragma incremental_vacuum({PAGES})"))?;
    let mut steps = vacuum.query([])?;
    while steps.next()?.is_some() {}
    let after = free()?;
    Ok(after == 0 || after == before)
}

/// Moves a day's log into its file, which is cut by that, and empties the log. Where a reader is at work on it, a
/// later checkpoint does.
pub(super) fn shrink(path: &Path) {
    let checkpoint = || -> rusqlite::Result<()> {
        let connection = open_checkpointer(path)?;
        connection.busy_timeout(std::time::Duration::ZERO)?;
        connection.query_row("pragma wal_checkpoint(passive)", [], |_| Ok(()))?;
        connection.query_row("pragma wal_checkpoint(truncate)", [], |_| Ok(()))
    };
    if let Err(error) = checkpoint() {
        tracing::debug!(%error, "could not cut a day's file yet");
    }
}
