//! Removal of one environment's expired messages, while messages of other environments on the same days stay.
//!
//! The readers find the messages, and the writer removes them in slices of a few milliseconds.

use hookstream_model::base::{
    ids::{EnvironmentId, MessageId, OriginId},
    time::Day,
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::expiry::move_pages;
use crate::{
    db::error::Error,
    delivery::{
        counts::Counts,
        messages::{MessageRemoval, Position},
    },
    sqlite::db::{connection::failed, files::Files, readers::Days},
};

const OPERATION: &str = "remove messages";
/// Maximum number of messages in a slice, each with its attempts: about 2 ms of the writer.
const SLICE: usize = 64;

const HAS_ANY: &str = "select 1 from delivery_counts where environment_id = ?1 and messages > 0";
const REMOVABLE: &str = "select m.origin_id, m.id from messages m
    where (m.origin_id, m.id) > (?2, ?3) and m.environment_id = ?1
        and not exists (select 1 from all_pending p where p.message_id = m.id)
    order by m.origin_id, m.id limit ?4";
const REMOVE: &str = "delete from messages where origin_id = ?1 and id = ?2
    and not exists (select 1 from all_pending where message_id = ?2) returning deliveries";
const REMOVE_PAYLOAD: &str = "delete from payloads where message_id = ?1 returning octet_length(body)";
const REMOVE_UNDELIVERED: &str = "delete from undelivered where message_id = ?1 returning state";
const REMOVE_ATTEMPTS: &str = "delete from attempts where message_id = ?1";

/// Removable messages of a day.
#[derive(Debug)]
pub(crate) struct Found {
    day: Day,
    messages: Vec<Position>,
}

impl Found {
    /// Returns the position of the last message.
    pub(crate) fn last(&self) -> Option<Position> {
        self.messages.last().copied()
    }
}

/// Finds removable messages. The counts tell which days have messages.
pub(crate) fn find(days: &Days<'_>, removal: MessageRemoval) -> Result<Option<Found>, Error> {
    let MessageRemoval { environment, before, after } = removal;
    let first = after.map(|after| after.message_id.timestamp().day());
    let in_range = |day: &Day| *day < before && first.is_none_or(|first| *day >= first);
    for day in days.newest_first().into_iter().rev().filter(in_range) {
        let after = after.filter(|after| after.message_id.timestamp().day() == day);
        let (origin, message) = after.map_or(([0; 16], [0; 16]), |after| (*after.origin_id.as_bytes(), *after.message_id.as_bytes()));
        let find_in_day = |connection: &Connection| -> rusqlite::Result<Vec<Position>> {
            let has_any = connection.prepare_cached(HAS_ANY)?.query_row([environment.as_bytes()], |_| Ok(())).optional()?;
            if has_any.is_none() {
                return Ok(Vec::new());
            }
            let read = |row: &Row<'_>| {
                Ok(Position { origin_id: OriginId::from_bytes(row.get(0)?), message_id: MessageId::from_bytes(row.get(1)?) })
            };
            let values = params![environment.as_bytes(), origin, message, SLICE];
            connection.prepare_cached(REMOVABLE)?.query_map(values, read)?.collect()
        };
        let messages = days.read(day, |connection| find_in_day(connection).map_err(failed(OPERATION)))?.unwrap_or_default();
        if !messages.is_empty() {
            return Ok(Some(Found { day, messages }));
        }
    }
    Ok(None)
}

/// Removes the messages that were found, except those with a delivery that has become pending. Returns the number of
/// removed messages.
pub(crate) fn remove(files: &mut Files, environment: EnvironmentId, found: &Found) -> Result<usize, Error> {
    let Some(file) = files.existing_day(found.day)? else { return Ok(0) };
    let mut removed = 0;
    for Position { origin_id, message_id } in &found.messages {
        if let Some(counted) = remove_one(file.connection(), *origin_id, *message_id).map_err(failed(OPERATION))? {
            file.uncount(*origin_id);
            file.count_deliveries(environment, counted);
            removed += 1;
        }
    }
    move_pages(file.connection()).map_err(failed("release disk space"))?;
    Ok(removed)
}

/// Removes one message and returns the change of the counts; `None` if it is gone or has a pending delivery.
fn remove_one(connection: &Connection, origin: OriginId, message: MessageId) -> rusqlite::Result<Option<Counts>> {
    let key = params![origin.as_bytes(), message.as_bytes()];
    let deliveries: Option<i64> = connection.prepare_cached(REMOVE)?.query_row(key, |row| row.get(0)).optional()?;
    let Some(deliveries) = deliveries else { return Ok(None) };
    let id = [message.as_bytes()];
    let bytes: Option<i64> = connection.prepare_cached(REMOVE_PAYLOAD)?.query_row(id, |row| row.get(0)).optional()?;
    let mut ended = [0; 3];
    for state in connection.prepare_cached(REMOVE_UNDELIVERED)?.query_map(id, |row| row.get::<_, String>(0))? {
        match state?.as_str() {
            "exhausted" => ended[0] += 1,
            "skipped" => ended[1] += 1,
            _ => ended[2] += 1,
        }
    }
    connection.prepare_cached(REMOVE_ATTEMPTS)?.execute(id)?;
    Ok(Some(Counts::removed(1, deliveries, ended, bytes.unwrap_or(0))))
}
