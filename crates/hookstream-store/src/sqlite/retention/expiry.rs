//! Removal of the payloads of a day whose messages stay, and release of their disk space.
//!
//! A slice takes a few milliseconds of the writer. A past day never uses freed pages again, so they are returned to
//! the file system: each slice moves some pages from the end of the file into the gaps and truncates the file.

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
    sqlite::{
        db::{
            connection::{failed, open_checkpointer},
            files::Files,
            readers::Days,
        },
        deliveries::claim::HAS_PENDING,
    },
};

const OPERATION: &str = "remove payloads";
/// Maximum number of pages that a slice moves: about 2 ms of the writer.
const PAGES: u32 = 128;

const OLDEST: &str = "select message_id, environment_id, octet_length(body) from payloads order by message_id limit ?1";
const REMOVE: &str = "delete from payloads where message_id = ?1";
const HAS_ANY: &str = "select 1 from delivery_counts where environment_id = ?1 and payload_bytes > 0";
const REMOVABLE: &str = "select b.message_id, octet_length(b.body) from payloads b
    where b.environment_id = ?1 and b.message_id > ?2 and b.message_id < ?3
        and not exists (select 1 from all_pending p where p.message_id = b.message_id)
    order by b.message_id limit ?4";
const REMOVE_UNLESS_PENDING: &str = "delete from payloads where message_id = ?1
    and not exists (select 1 from all_pending where message_id = ?1) returning octet_length(body)";
const FREE_PAGES: &str = "select freelist_count from pragma_freelist_count";

/// Removes payloads of a day, or moves pages once none are left. Returns `None` if the day has pending deliveries.
pub(crate) fn remove_slice(files: &mut Files, day: Day) -> Result<Option<Expired>, Error> {
    let Some(file) = files.existing_day(day)? else { return Ok(None) };
    let connection = file.connection();
    if connection.query_row(HAS_PENDING, [], |row| row.get(0)).map_err(failed(OPERATION))? {
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

/// Attempts to empty the log of a day's file, and the pause between them.
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

/// Removable payloads of a day.
#[derive(Debug)]
pub(crate) struct Found {
    day: Day,
    messages: Vec<MessageId>,
}

impl Found {
    /// Returns the last message of the slice.
    pub(crate) fn last(&self) -> Option<MessageId> {
        self.messages.last().copied()
    }
}

/// Finds the oldest removable payloads of an environment. The counts tell which days have payloads.
pub(crate) fn find(days: &Days<'_>, removal: Removal) -> Result<Option<Found>, Error> {
    let Removal { environment, after, before, bytes } = removal;
    let (first, last) = (after.timestamp().day(), before.timestamp().day());
    for day in days.newest_first().into_iter().rev().filter(|day| *day >= first && *day <= last) {
        let find_in_day = |connection: &Connection| -> rusqlite::Result<Vec<(MessageId, i64)>> {
            let has_any = connection.prepare_cached(HAS_ANY)?.query_row([environment.as_bytes()], |_| Ok(())).optional()?;
            if has_any.is_none() {
                return Ok(Vec::new());
            }
            let read = |row: &Row<'_>| Ok((MessageId::from_bytes(row.get(0)?), row.get(1)?));
            let values = params![environment.as_bytes(), after.as_bytes(), before.as_bytes(), SLICE];
            connection.prepare_cached(REMOVABLE)?.query_map(values, read)?.collect()
        };
        let found = days.read(day, |connection| find_in_day(connection).map_err(failed(OPERATION)))?.unwrap_or_default();
        if !found.is_empty() {
            let slice = slice_of(found, |(_, size)| bytes_of(*size), bytes);
            return Ok(Some(Found { day, messages: slice.into_iter().map(|(message, _)| message).collect() }));
        }
    }
    Ok(None)
}

/// Removes the payloads that were found, except those with a delivery that has become pending. Returns the freed bytes.
pub(crate) fn remove_found(files: &mut Files, environment: EnvironmentId, found: &Found) -> Result<u64, Error> {
    let Some(file) = files.existing_day(found.day)? else { return Ok(0) };
    let mut bytes = 0;
    for message in &found.messages {
        let remove = file.connection().prepare_cached(REMOVE_UNLESS_PENDING);
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

/// Moves free pages. Returns whether none are left to move, or the file cannot shrink.
pub(crate) fn move_pages(connection: &Connection) -> rusqlite::Result<bool> {
    let free = || connection.query_row(FREE_PAGES, [], |row| row.get::<_, u32>(0));
    let before = free()?;
    let mut vacuum = connection.prepare(&format!("pragma incremental_vacuum({PAGES})"))?;
    let mut steps = vacuum.query([])?;
    while steps.next()?.is_some() {}
    let after = free()?;
    Ok(after == 0 || after == before)
}

/// Moves a day's log into its file, which truncates both. May need several attempts: another checkpoint or a reader may hold
/// the log for a moment, and no later write to an old day would repeat the checkpoint.
pub(crate) fn shrink(path: &Path) {
    let checkpoint = || -> rusqlite::Result<bool> {
        let connection = open_checkpointer(path)?;
        // Do not wait: a waiting checkpoint would block the writer.
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
