//! Removing the payloads of a day whose messages stay, and giving back what they took.
//!
//! A slice is a few milliseconds of the writer. What is freed in a day that is over is never used again, so it is
//! given back to the file system: pages from the end of the file move into the gaps, some in each slice, and the
//! file is cut.

use std::{path::Path, time::Duration};

use hookstream_model::base::{
    ids::{EnvironmentId, MessageId},
    time::Day,
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::{
    db::error::Error,
    delivery::{
        counts::Counts,
        payloads::{Expired, Removal, SLICE, slice_of},
    },
    sqlite::db::{
        connection::{failed, open_checkpointer},
        files::Files,
        readers::Days,
    },
};

const OPERATION: &str = "remove payloads";
/// The most pages that move in a slice: some 2 ms of the writer.
const PAGES: u32 = 128;

const IS_OWED: &str = "select exists (select 1 from pending)";
const OLDEST: &str = "select message_id, environment_id, octet_length(body) from payloads order by message_id limit ?1";
const REMOVE: &str = "delete from payloads where message_id = ?1";
const HAS_ANY: &str = "select 1 from delivery_counts where environment_id = ?1 and payload_bytes > 0";
const REMOVABLE: &str = "select b.message_id, octet_length(b.body) from payloads b
    where b.environment_id = ?1 and b.message_id > ?2 and b.message_id < ?3
        and not exists (select 1 from pending p where p.message_id = b.message_id)
    order by b.message_id limit ?4";
const REMOVE_UNLESS_OWED: &str = "delete from payloads where message_id = ?1
    and not exists (select 1 from pending where message_id = ?1) returning octet_length(body)";
const FREE_PAGES: &str = "select freelist_count from pragma_freelist_count";

/// Removes payloads of a day, or moves pages once there are none left. `None` where something of it is owed.
pub(crate) fn remove_slice(files: &mut Files, day: Day) -> Result<Option<Expired>, Error> {
    let Some(file) = files.existing_day(day)? else { return Ok(None) };
    let connection = file.connection();
    if connection.query_row(IS_OWED, [], |row| row.get(0)).map_err(failed(OPERATION))? {
        return Ok(None);
    }
    let removed = remove(connection).map_err(failed(OPERATION))?;
    if removed.is_empty() {
        let is_done = move_pages(connection).map_err(failed("release disk space"))?;
        return Ok(Some(Expired { day, bytes: 0, is_done }));
    }
    let mut bytes = 0;
    for (_, environment, size) in removed {
        file.count_deliveries(environment, Counts::without_payload(size));
        bytes += size;
    }
    Ok(Some(Expired { day, bytes, is_done: false }))
}

/// How often the log of a day's file is tried to be emptied, and how long to wait in between.
const SHRINK_ATTEMPTS: u32 = 40;
const SHRINK_PAUSE: Duration = Duration::from_millis(50);

fn remove(connection: &Connection) -> rusqlite::Result<Vec<(MessageId, EnvironmentId, i64)>> {
    let read = |row: &Row<'_>| Ok((MessageId::from_bytes(row.get(0)?), EnvironmentId::from_bytes(row.get(1)?), row.get(2)?));
    let found: Vec<(MessageId, EnvironmentId, i64)> =
        connection.prepare_cached(OLDEST)?.query_map([SLICE], read)?.collect::<rusqlite::Result<_>>()?;
    let found = slice_of(found, |(_, _, size)| bytes_of(*size), u64::MAX);
    let mut remove = connection.prepare_cached(REMOVE)?;
    for (message, _, _) in &found {
        remove.execute([message.as_bytes()])?;
    }
    Ok(found)
}

/// Payloads of a day that can be removed.
#[derive(Debug)]
pub(crate) struct Found {
    day: Day,
    messages: Vec<MessageId>,
}

impl Found {
    /// The last of them.
    pub(crate) fn last(&self) -> Option<MessageId> {
        self.messages.last().copied()
    }
}

/// Looks for the oldest payloads of an environment that can be removed: the counts say where there are any.
pub(crate) fn find(days: &Days<'_>, removal: Removal) -> Result<Option<Found>, Error> {
    let Removal { environment, after, before, bytes } = removal;
    let (first, last) = (after.timestamp().day(), before.timestamp().day());
    for day in days.newest_first().into_iter().rev().filter(|day| *day >= first && *day <= last) {
        let look = |connection: &Connection| -> rusqlite::Result<Vec<(MessageId, i64)>> {
            let has_any = connection.prepare_cached(HAS_ANY)?.query_row([environment.as_bytes()], |_| Ok(())).optional()?;
            if has_any.is_none() {
                return Ok(Vec::new());
            }
            let read = |row: &Row<'_>| Ok((MessageId::from_bytes(row.get(0)?), row.get(1)?));
            let values = params![environment.as_bytes(), after.as_bytes(), before.as_bytes(), SLICE];
            connection.prepare_cached(REMOVABLE)?.query_map(values, read)?.collect()
        };
        let found = days.read(day, |connection| look(connection).map_err(failed(OPERATION)))?.unwrap_or_default();
        if !found.is_empty() {
            let slice = slice_of(found, |(_, size)| bytes_of(*size), bytes);
            return Ok(Some(Found { day, messages: slice.into_iter().map(|(message, _)| message).collect() }));
        }
    }
    Ok(None)
}

/// Removes what was found, unless something of it has become owed. Returns how many bytes that frees.
pub(crate) fn remove_found(files: &mut Files, environment: EnvironmentId, found: &Found) -> Result<u64, Error> {
    let Some(file) = files.existing_day(found.day)? else { return Ok(0) };
    let mut bytes = 0;
    for message in &found.messages {
        let remove = file.connection().prepare_cached(REMOVE_UNLESS_OWED);
        let size = remove.and_then(|mut remove| remove.query_row([message.as_bytes()], |row| row.get::<_, i64>(0)).optional());
        bytes += size.map_err(failed(OPERATION))?.unwrap_or(0);
    }
    file.count_deliveries(environment, Counts::without_payload(bytes));
    move_pages(file.connection()).map_err(failed("release disk space"))?;
    Ok(bytes_of(bytes))
}

fn bytes_of(size: i64) -> u64 {
    u64::try_from(size).unwrap_or(0)
}

/// Whether none is left to move, or the file is one that cannot shrink.
pub(crate) fn move_pages(connection: &Connection) -> rusqlite::Result<bool> {
    let free = || connection.query_row(FREE_PAGES, [], |row| row.get::<_, u32>(0));
    let before = free()?;
    let mut vacuum = connection.prepare(&format!("pragma incremental_vacuum({PAGES})"))?;
    let mut steps = vacuum.query([])?;
    while steps.next()?.is_some() {}
    let after = free()?;
    Ok(after == 0 || after == before)
}

/// Moves a day's log into its file, which is cut by that, and empties the log. Another checkpoint or a reader may be at work
/// on it for a moment, and nothing may be written to an old day again, so this asks more than once.
pub(crate) fn shrink(path: &Path) {
    let checkpoint = || -> rusqlite::Result<bool> {
        let connection = open_checkpointer(path)?;
        // Nobody waits for this: a checkpoint that waited would hold up whoever writes.
        connection.busy_timeout(Duration::ZERO)?;
        connection.query_row("pragma wal_checkpoint(passive)", [], |_| Ok(()))?;
        let is_busy: bool = connection.query_row("pragma wal_checkpoint(truncate)", [], |row| row.get(0))?;
        Ok(!is_busy)
    };
    for _ in 0..SHRINK_ATTEMPTS {
        match checkpoint() {
            Ok(true) => return,
            Ok(false) => {}
            Err(error) => tracing::debug!(%error, "could not shrink the file of a day yet"),
        }
        #[expect(clippy::disallowed_methods, reason = "this is a thread for blocking work")]
        std::thread::sleep(SHRINK_PAUSE);
    }
    tracing::debug!("the log of a day's file is in use and keeps its size for now");
}
