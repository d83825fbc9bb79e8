//! Storing a message with everything that becomes durable together with it.

use hookstream_model::{
    base::{
        ids::{EnvironmentId, MessageId},
        time::Timestamp,
    },
    delivery::queue::Backlog,
    identity::tenancy::Tenant,
    outbound::message::MessageStatus,
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::{
    db::error::Error,
    delivery::{
        counts::Counts,
        deliveries::{IdempotencyKey, NewDelivery, NewState, PackedRow, Publication, Published},
        payloads::{Sealed, StoredPayload},
    },
    sqlite::db::{connection::failed, files::Files, readers::Days},
};

const OPERATION: &str = "store a message";
const INSERT_MESSAGE: &str = "insert into messages (origin_id, id, environment_id, event_type, event_id, deliveries, hops, channels,
        trace_context)
    values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
const INSERT_PAYLOAD: &str = "insert into payloads (message_id, environment_id, is_text, encoding, size, body)
    values (?1, ?2, ?3, ?4, ?5, ?6)";
const INSERT_PENDING: &str = "insert into pending
    (message_id, route_id, origin_id, owner, due_at, attempts, failed, trigger_type, backlog) values (?1, ?2, ?3, ?4, ?5, 0, 0, ?6, ?7)";
const INSERT_PACKED: &str = "insert into packed_pending (message_id, part, origin_id, owner, due_at, trigger_type, routes, unsettled)
    values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
const INSERT_SKIPPED: &str = "insert into undelivered (message_id, route_id, origin_id, state, reason, attempts, ended_at) values (?1, ?2, ?3, 'skipped', ?4, 0, ?5)";
const FIND_KEY: &str = "select message_id, fingerprint, first_status from idempotency_keys where environment_id = ?1 and key = ?2";
const KEEP_KEY: &str = "insert or replace into idempotency_keys (environment_id, key, fingerprint, origin_id, message_id, first_status)
    values (?1, ?2, ?3, ?4, ?5, ?6)";
const FIND_EVENT_ID: &str = "select message_id from event_ids where origin_id = ?1 and event_id = ?2";
const KEEP_EVENT_ID: &str = "insert or replace into event_ids (origin_id, event_id, message_id) values (?1, ?2, ?3)";

pub(crate) fn publish(files: &mut Files, publication: &Sealed) -> Result<Published, Error> {
    if let Some(key) = &publication.idempotency
        && let Some(earlier) = find_key(files, publication, key)?
    {
        return Ok(earlier);
    }
    if let Some(event_id) = &publication.event_id
        && let Some(message_id) = find_event_id(files, publication, event_id)?
    {
        return Ok(Published::DuplicateEventId { message_id });
    }
    if files.versions(publication.message.origin_id)? != Some(publication.seen) {
        return Ok(Published::Stale);
    }
    insert(files, publication).map(|()| Published::Stored)
}

fn insert(files: &mut Files, publication: &Sealed) -> Result<(), Error> {
    let message = &publication.message;
    let accepted_at = message.id.timestamp();
    let is_in_order = |delivery: &NewDelivery| matches!(delivery.state, NewState::Waiting { in_order: true, .. });
    let position = if publication.deliveries.iter().any(is_in_order) { files.next_position(accepted_at.day(), accepted_at)? } else { 0 };
    let file = files.day(accepted_at.day())?;
    file.count(message.origin_id);
    file.count_deliveries(publication.tenant.environment, Counts::published(publication));
    write(file.connection(), publication, accepted_at, position).map_err(failed(OPERATION))?;
    files.note_pending(accepted_at.day(), true);
    files.note_payloads(accepted_at.day());
    Ok(())
}

/// Writes all rows. `position` applies to deliveries of ordered backlogs.
fn write(connection: &Connection, publication: &Sealed, accepted_at: Timestamp, position: i64) -> rusqlite::Result<()> {
    let message = &publication.message;
    let (id, origin) = (message.id.as_bytes(), message.origin_id.as_bytes());
    let environment = publication.tenant.environment;
    connection.prepare_cached(INSERT_MESSAGE)?.execute(params![
        origin,
        id,
        environment.as_bytes(),
        message.event_type,
        publication.event_id,
        publication.deliveries.len(),
        message.hops.count(),
        publication.channels_text(),
        message.trace.as_ref().map(|trace| trace.to_stored()),
    ])?;
    let StoredPayload { is_text, encoding, size, body } = publication.payload();
    connection.prepare_cached(INSERT_PAYLOAD)?.execute(params![id, environment.as_bytes(), is_text, encoding, size, &body[..]])?;
    let packed_rows = publication.packed_rows();
    let is_packed = !packed_rows.is_empty();
    for PackedRow { part, routes, unsettled } in packed_rows {
        let owner = publication.owner.number();
        let values = params![id, part, origin, owner, accepted_at.as_millis(), publication.trigger.as_str(), routes, unsettled];
        connection.prepare_cached(INSERT_PACKED)?.execute(values)?;
    }
    for delivery in &publication.deliveries {
        let route = delivery.route_id.as_bytes();
        match delivery.state {
            NewState::Owned if is_packed => 0,
            NewState::Owned => {
                let values =
                    params![id, route, origin, publication.owner.number(), accepted_at.as_millis(), publication.trigger.as_str(), 0];
                connection.prepare_cached(INSERT_PENDING)?.execute(values)?
            }
            NewState::Waiting { backlog, in_order } => {
                let backlog = backlog.map_or(0, Backlog::number);
                let due_at = if in_order { position } else { accepted_at.as_millis() };
                let values = params![id, route, origin, backlog, due_at, publication.trigger.as_str(), backlog];
                connection.prepare_cached(INSERT_PENDING)?.execute(values)?
            }
            NewState::Skipped(reason) => {
                connection.prepare_cached(INSERT_SKIPPED)?.execute(params![id, route, origin, reason.as_str(), accepted_at.as_millis()])?
            }
        };
    }
    if let Some(IdempotencyKey { key, fingerprint }) = &publication.idempotency {
        let first_status = publication.first_status().as_str();
        let values = params![environment.as_bytes(), key, fingerprint, origin, id, first_status];
        connection.prepare_cached(KEEP_KEY)?.execute(values)?;
    }
    if let Some(event_id) = &publication.event_id {
        connection.prepare_cached(KEEP_EVENT_ID)?.execute(params![origin, event_id, id])?;
    }
    Ok(())
}

fn find_key(files: &mut Files, publication: &Publication, key: &IdempotencyKey) -> Result<Option<Published>, Error> {
    let environment = publication.tenant.environment;
    let found = find_within_window(files, publication.window_start, |connection| read_key(connection, environment, &key.key))?;
    Ok(found.map(|(message_id, first)| repeated(message_id, &first, key)))
}

/// First use of a key: the fingerprint of its request and the first status of its message.
type First = ([u8; 32], String);

fn read_key(connection: &Connection, environment: EnvironmentId, key: &str) -> rusqlite::Result<Option<(MessageId, First)>> {
    let read = |row: &Row<'_>| Ok((MessageId::from_bytes(row.get(0)?), (row.get(1)?, row.get(2)?)));
    connection.prepare_cached(FIND_KEY)?.query_row(params![environment.as_bytes(), key], read).optional()
}

fn repeated(message_id: MessageId, (fingerprint, first_status): &First, key: &IdempotencyKey) -> Published {
    if *fingerprint != key.fingerprint {
        return Published::KeyReused;
    }
    let is_skipped = first_status == MessageStatus::Skipped.as_str();
    Published::Repeated { message_id, first_status: if is_skipped { MessageStatus::Skipped } else { MessageStatus::Pending } }
}

/// Finds the message of an earlier use of a key, without storing anything.
pub(crate) fn find_earlier(
    days: &Days<'_>,
    tenant: Tenant,
    key: &IdempotencyKey,
    window_start: Timestamp,
) -> Result<Option<Published>, Error> {
    for day in days.newest_first().into_iter().take_while(|day| *day >= window_start.day()) {
        let read = |connection: &Connection| read_key(connection, tenant.environment, &key.key).map_err(failed(OPERATION));
        if let Some((message_id, first)) = days.read(day, read)?.flatten()
            && message_id.timestamp() >= window_start
        {
            return Ok(Some(repeated(message_id, &first, key)));
        }
    }
    Ok(None)
}

fn find_event_id(files: &mut Files, publication: &Publication, event_id: &str) -> Result<Option<MessageId>, Error> {
    let origin = publication.message.origin_id;
    let found = find_within_window(files, publication.window_start, |connection| {
        connection
            .prepare_cached(FIND_EVENT_ID)?
            .query_row(params![origin.as_bytes(), event_id], |row| Ok((MessageId::from_bytes(row.get(0)?), ())))
            .optional()
    })?;
    Ok(found.map(|(id, ())| id))
}

/// Searches each day that overlaps the window, newest first, for a row of a message accepted since the window's start.
fn find_within_window<T>(
    files: &mut Files,
    window_start: Timestamp,
    find: impl Fn(&Connection) -> rusqlite::Result<Option<(MessageId, T)>>,
) -> Result<Option<(MessageId, T)>, Error> {
    let days: Vec<_> = files.days().into_iter().rev().take_while(|day| *day >= window_start.day()).collect();
    for day in days {
        let file = files.day(day)?;
        if let Some(found) = find(file.connection()).map_err(failed(OPERATION))?
            && found.0.timestamp() >= window_start
        {
            return Ok(Some(found));
        }
    }
    Ok(None)
}
