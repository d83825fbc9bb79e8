//! Indexing of a slice: reads messages from the days' files, and writes words to the index.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use hookstream_model::base::{
    ids::{EnvironmentId, MessageId},
    time::Day,
};
use rusqlite::{Connection, Row, params};

use super::file;
use crate::{
    db::error::Error,
    delivery::{
        finding::IdBytes,
        payloads::StoredPayload,
        text_index::{IndexEntry, IndexSlice, IndexState, Indexed, mark_of_environment},
    },
    sqlite::db::{connection::failed, readers::Days},
};

const OPERATION: &str = "index messages";
const PAYLOADS: &str = "select message_id, environment_id, is_text, encoding, size, body from payloads
    where message_id >= ?1 and message_id < ?2 order by message_id limit ?3";
const MESSAGES: &str = "select m.id, m.origin_id, m.event_type, m.event_id from message_counts c
    cross join messages m on m.origin_id = c.origin_id and m.id >= ?1 and m.id <= ?2";
const ADD_ENTRY: &str = "insert or ignore into entries (message_id, origin_id) values (?1, ?2)";
const ADD_WORDS: &str = "insert into words (rowid, body) values (?1, ?2)";
const FORGET_PROGRESS: &str = "delete from progress";
const SET_PROGRESS: &str = "insert into progress (since, until) values (?1, ?2)";
const OF_ENVIRONMENT: &str = "select rowid from words where words match ?1 limit ?2";
const NUMBERS_BEFORE: &str = "select e.number from words w join entries e on e.number = w.rowid
    where words match ?1 and e.message_id < ?2 limit ?3";
const REMOVE_WORDS: &str = "delete from words where rowid = ?1";
const REMOVE_ENTRY: &str = "delete from entries where number = ?1";

/// Maximum number of messages whose words are removed in one transaction.
const FORGET_SLICE: u32 = 500;

/// Indexing process: the only writer of the index.
#[derive(Debug)]
pub(crate) struct Indexer {
    directory: PathBuf,
    /// Open index, usually of the current day.
    open: Option<(Day, Connection)>,
    state: Arc<Reached>,
    /// Locked while a file is created or removed: SQLite would mix the files of one path.
    files: Arc<RwLock<()>>,
}

/// Indexed interval, once known. It may be ahead of the files when there was nothing to index. Searches read it while a
/// slice is being indexed.
#[derive(Debug, Default)]
pub(crate) struct Reached(Mutex<Option<IndexState>>);

impl Reached {
    pub(crate) fn get(&self) -> Option<IndexState> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, state: Option<IndexState>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}

impl Indexer {
    pub(crate) const fn new(directory: PathBuf, state: Arc<Reached>, files: Arc<RwLock<()>>) -> Self {
        Self { directory, open: None, state, files }
    }

    /// Returns the indexed interval.
    pub(crate) fn state(&mut self) -> Result<Option<IndexState>, Error> {
        if self.state.get().is_none() {
            self.state.set(stored_state(&self.directory)?);
        }
        Ok(self.state.get())
    }

    /// Indexes the next messages.
    pub(crate) fn index(&mut self, days: &Days<'_>, slice: IndexSlice) -> Result<Indexed, Error> {
        let since = *slice.since.as_bytes();
        let state = self.state()?.unwrap_or(IndexState { since, until: since });
        // Nothing is kept from before `since`, so a gap up to there is no loss.
        let state = if state.until < since { IndexState { since, until: since } } else { state };
        let end = *slice.until.as_bytes();
        let first = MessageId::from_bytes(state.until).timestamp().day();
        let mut in_order = days.newest_first();
        in_order.reverse();
        for day in in_order.into_iter().filter(|day| *day >= first) {
            if state.until >= end {
                break;
            }
            let read = |connection: &Connection| entries(connection, state.until, end, slice.most).map_err(failed(OPERATION));
            let entries = days.read(day, read)?.unwrap_or_default();
            let Some(last) = entries.last().map(|entry| entry.id) else { continue };
            let messages = entries.len();
            let until = crate::delivery::finding::successor(last);
            self.write(day, entries, IndexState { until, ..state })?;
            return Ok(Indexed { messages, is_caught_up: false });
        }
        self.state.set(Some(IndexState { until: state.until.max(end), ..state }));
        Ok(Indexed { messages: 0, is_caught_up: true })
    }

    fn write(&mut self, day: Day, entries: Vec<IndexEntry>, state: IndexState) -> Result<(), Error> {
        let connection = self.connection(day)?;
        let write = |connection: &mut Connection| -> rusqlite::Result<()> {
            let transaction = connection.transaction()?;
            for entry in entries {
                let added = transaction.prepare_cached(ADD_ENTRY)?.execute(params![entry.id, entry.origin])?;
                // An entry of an earlier, interrupted index is there with its words.
                if added > 0 {
                    let number = transaction.last_insert_rowid();
                    transaction.prepare_cached(ADD_WORDS)?.execute(params![number, entry.words()])?;
                }
            }
            transaction.prepare_cached(FORGET_PROGRESS)?.execute([])?;
            transaction.prepare_cached(SET_PROGRESS)?.execute(params![state.since, state.until])?;
            transaction.commit()
        };
        write(connection).map_err(failed(OPERATION))?;
        self.state.set(Some(state));
        Ok(())
    }

    fn connection(&mut self, day: Day) -> Result<&mut Connection, Error> {
        if self.open.as_ref().is_none_or(|(open, _)| *open != day) {
            let _files = self.files.write().unwrap_or_else(PoisonError::into_inner);
            self.open = Some((day, file::open(&self.directory, day)?));
        }
        let (_, connection) = self.open.as_mut().expect("opened above");
        Ok(connection)
    }

    /// Removes the days before `from`, and more until the index is small enough; the newest day stays then.
    pub(crate) fn trim(&mut self, from: Day, bytes: u64) -> Result<(), Error> {
        let state = self.state()?;
        let days = file::days(&self.directory);
        let newest = days.last().copied();
        let mut size: u64 = days.iter().map(|day| file::size(&self.directory, *day)).sum();
        let mut kept_from = from;
        for day in days {
            let is_too_large = size > bytes && Some(day) != newest;
            if day >= from && !is_too_large {
                break;
            }
            size = size.saturating_sub(file::size(&self.directory, day));
            kept_from = kept_from.max(day.next());
            // The interval first: a search must not rely on a day that is gone.
            self.move_since(state, kept_from);
            self.remove(day)?;
        }
        self.move_since(state, kept_from);
        Ok(())
    }

    fn move_since(&self, state: Option<IndexState>, day: Day) {
        let since = *MessageId::before_all_at(day.start()).as_bytes();
        self.state.set(state.map(|state| IndexState { since: state.since.max(since), until: state.until.max(since) }));
    }

    /// Removes the whole index.
    pub(crate) fn drop_all(&mut self) -> Result<(), Error> {
        for day in file::days(&self.directory) {
            self.remove(day)?;
        }
        self.state.set(None);
        Ok(())
    }

    fn remove(&mut self, day: Day) -> Result<(), Error> {
        let _files = self.files.write().unwrap_or_else(PoisonError::into_inner);
        self.open.take_if(|(open, _)| *open == day);
        file::remove(&self.directory, day)
    }

    /// Removes the words of an environment's messages before `before`.
    pub(crate) fn forget(&mut self, environment: EnvironmentId, before: MessageId) -> Result<(), Error> {
        let last = before.timestamp().day();
        let mark = format!("\"{}\"", mark_of_environment(*environment.as_bytes()));
        for day in file::days(&self.directory).into_iter().filter(|day| *day <= last) {
            let connection = self.connection(day)?;
            while forget_slice(connection, &mark, before, day == last).map_err(failed("remove words from the index"))? > 0 {}
        }
        Ok(())
    }
}

fn forget_slice(connection: &mut Connection, mark: &str, before: MessageId, is_last: bool) -> rusqlite::Result<usize> {
    let transaction = connection.transaction()?;
    let numbers: Vec<i64> = {
        let mut find = transaction.prepare_cached(if is_last { NUMBERS_BEFORE } else { OF_ENVIRONMENT })?;
        let read = |row: &Row<'_>| row.get(0);
        let found = match is_last {
            true => find.query_map(params![mark, before.as_bytes(), FORGET_SLICE], read)?,
            false => find.query_map(params![mark, FORGET_SLICE], read)?,
        };
        found.collect::<rusqlite::Result<_>>()?
    };
    for number in &numbers {
        transaction.prepare_cached(REMOVE_WORDS)?.execute([number])?;
        transaction.prepare_cached(REMOVE_ENTRY)?.execute([number])?;
    }
    transaction.commit()?;
    Ok(numbers.len())
}

/// Returns the interval that the files have.
pub(super) fn stored_state(directory: &Path) -> Result<Option<IndexState>, Error> {
    let days = file::days(directory);
    let of = |day: Option<&Day>| match day {
        None => Ok(None),
        Some(day) => file::read(directory, *day)?.map_or(Ok(None), |connection| file::progress(&connection)),
    };
    let (Some(oldest), Some((since, until))) = (days.first(), of(days.last())?) else { return Ok(None) };
    // Days before the oldest file were removed, or had no messages when the index began.
    let since = if days.len() > 1 || oldest.start() > MessageId::from_bytes(since).timestamp() {
        of(Some(oldest))?.map_or(since, |(of_oldest, _)| of_oldest.max(since))
    } else {
        since
    };
    Ok(Some(IndexState { since, until }))
}

/// Reads messages with their payloads, in the order of their ids.
fn entries(connection: &Connection, from: IdBytes, end: IdBytes, most: usize) -> rusqlite::Result<Vec<IndexEntry>> {
    let read = |row: &Row<'_>| {
        let payload =
            StoredPayload { is_text: row.get(2)?, encoding: row.get(3)?, size: row.get(4)?, body: row.get::<_, Vec<u8>>(5)?.into() };
        Ok(IndexEntry { id: row.get(0)?, environment: row.get(1)?, origin: [0; 16], event_type: String::new(), event_id: None, payload })
    };
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let mut entries: Vec<IndexEntry> =
        connection.prepare_cached(PAYLOADS)?.query_map(params![from, end, most], read)?.collect::<rusqlite::Result<_>>()?;
    let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return Ok(entries) };
    type Rest = (IdBytes, String, Option<String>);
    let read = |row: &Row<'_>| Ok((row.get(0)?, (row.get(1)?, row.get(2)?, row.get(3)?)));
    let mut messages: HashMap<IdBytes, Rest> =
        connection.prepare_cached(MESSAGES)?.query_map(params![first.id, last.id], read)?.collect::<rusqlite::Result<_>>()?;
    for entry in &mut entries {
        if let Some((origin, event_type, event_id)) = messages.remove(&entry.id) {
            (entry.origin, entry.event_type, entry.event_id) = (origin, event_type, event_id);
        }
    }
    Ok(entries)
}
