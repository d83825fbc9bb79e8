//! Reads of messages, with their attempts and deliveries.

use std::time::Duration;

use bytes::Bytes;
use hookstream_model::{
    base::{
        ids::{AttemptId, MessageId, OriginId, RouteId},
        time::Timestamp,
    },
    delivery::{
        attempt::Attempt,
        state::{DeliveryState, Trigger},
        timings::Waterfall,
    },
    identity::tenancy::Tenant,
    outbound::message::{DeliveryCounts, Payload},
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::{
    db::error::Error,
    delivery::{
        messages::{Delivery, Message, MessageDetail, PendingDetail, read_channels},
        payloads::StoredPayload,
    },
    sqlite::db::{connection::failed, readers::Days},
};

const FIND: &str = "select m.id, m.origin_id, m.event_type, m.event_id, m.deliveries, m.channels, b.is_text, b.encoding, b.size, b.body
    from messages m left join payloads b on b.message_id = m.id where m.origin_id = ?1 and m.id = ?2 and m.environment_id = ?3";
const COUNTS: &str = "select (select count(*) from all_pending p where p.message_id = ?1),
        (select count(*) from undelivered u where u.message_id = ?1 and u.state = 'exhausted'),
        (select count(*) from undelivered u where u.message_id = ?1 and u.state <> 'exhausted'),
        (select a.created_at from attempts a where a.message_id = ?1 order by a.id desc limit 1)";
const PAYLOAD: &str = "select is_text, encoding, size, body from payloads where message_id = ?1";
const ATTEMPTS: &str =
    "select message_id, id, route_id, number, trigger_type, succeeded, response_status, response_body, duration_ms, error, created_at,
        waterfall, response_headers
    from attempts where message_id = ?1 order by id";
const PENDING: &str =
    "select route_id, coalesce(retry_at, due_at), attempts, failed, trigger_type, owner from all_pending where message_id = ?1";
const UNDELIVERED: &str = "select route_id, state, reason, attempts, ended_at from undelivered where message_id = ?1";
const COUNT: &str = "select messages from message_counts where origin_id = ?1";

pub(crate) fn find(days: &Days<'_>, tenant: Tenant, origin: OriginId, id: MessageId) -> Result<Option<MessageDetail>, Error> {
    let found = days.read(id.timestamp().day(), |connection| {
        // One transaction, so that the message, its attempts and its deliveries are of one moment.
        let moment = connection.unchecked_transaction().map_err(failed("read a message"))?;
        let message = moment
            .prepare_cached(FIND)
            .and_then(|mut find| {
                let key = params![origin.as_bytes(), id.as_bytes(), tenant.environment.as_bytes()];
                find.query_row(key, |row| Ok((read_message(row)?, read_optional_payload(row, 6)?))).optional()
            })
            .map_err(failed("read a message"))?;
        message.map(|message| read_detail(&moment, with_payload(message)?)).transpose()
    })?;
    Ok(found.flatten())
}

pub(crate) fn counts(days: &Days<'_>, applications: &[OriginId]) -> Result<Vec<u64>, Error> {
    let mut totals = vec![0; applications.len()];
    for day in days.newest_first() {
        days.read(day, |connection| {
            let mut count = connection.prepare_cached(COUNT).map_err(failed("count messages"))?;
            for (total, origin) in totals.iter_mut().zip(applications) {
                let found = count.query_row([origin.as_bytes()], |row| row.get::<_, u64>(0)).optional();
                *total += found.map_err(failed("count messages"))?.unwrap_or(0);
            }
            Ok(())
        })?;
    }
    Ok(totals)
}

/// Reads a message without its payload, and without the counts of its deliveries except their total.
pub(crate) fn read_message(row: &Row<'_>) -> rusqlite::Result<Message> {
    let id = MessageId::from_bytes(row.get(0)?);
    Ok(Message {
        id,
        origin_id: OriginId::from_bytes(row.get(1)?),
        event_type: row.get(2)?,
        event_id: row.get(3)?,
        channels: read_channels(row.get::<_, Option<String>>(5)?.as_deref()),
        payload: None,
        counts: DeliveryCounts { total: row.get(4)?, ..DeliveryCounts::default() },
        updated_at: id.timestamp(),
    })
}

/// Adds the delivery counts and the time of the last attempt to a message.
pub(crate) fn add_counts(connection: &Connection, message: &mut Message) -> Result<(), Error> {
    let find = connection.prepare_cached(COUNTS).and_then(|mut find| {
        find.query_row([message.id.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get::<_, Option<i64>>(3)?)))
    });
    let (pending, exhausted, skipped_or_cancelled, last_attempt) = find.map_err(failed("read a message"))?;
    message.counts = DeliveryCounts { pending, exhausted, skipped_or_cancelled, ..message.counts };
    message.updated_at = last_attempt.map_or(message.updated_at, Timestamp::from_millis);
    Ok(())
}

/// Returns the payload of a message; `None` if it has expired.
pub(crate) fn read_payload_of(connection: &Connection, id: MessageId) -> Result<Option<Payload>, Error> {
    let found =
        connection.prepare_cached(PAYLOAD).and_then(|mut find| find.query_row([id.as_bytes()], |row| read_payload(row, 0)).optional());
    found.map_err(failed("read a payload"))?.map(StoredPayload::decode).transpose()
}

/// Reads a payload from four columns, beginning at `column`.
pub(crate) fn read_payload(row: &Row<'_>, column: usize) -> rusqlite::Result<StoredPayload> {
    Ok(StoredPayload {
        is_text: row.get(column)?,
        encoding: row.get(column + 1)?,
        size: row.get(column + 2)?,
        body: Bytes::from(row.get::<_, Vec<u8>>(column + 3)?),
    })
}

/// Reads a payload that may have expired.
fn read_optional_payload(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<StoredPayload>> {
    let is_there = row.get::<_, Option<i32>>(column + 1)?.is_some();
    is_there.then(|| read_payload(row, column)).transpose()
}

fn with_payload((message, payload): (Message, Option<StoredPayload>)) -> Result<Message, Error> {
    Ok(Message { payload: payload.map(StoredPayload::decode).transpose()?, ..message })
}

fn read_detail(connection: &Connection, message: Message) -> Result<MessageDetail, Error> {
    let read = || -> rusqlite::Result<(Vec<Attempt>, Vec<Delivery>)> {
        let id = message.id.as_bytes();
        let attempts = connection.prepare_cached(ATTEMPTS)?.query_map([id], read_attempt)?.collect::<rusqlite::Result<Vec<_>>>()?;
        let mut deliveries: Vec<Delivery> =
            connection.prepare_cached(PENDING)?.query_map([id], read_pending)?.collect::<rusqlite::Result<_>>()?;
        for undelivered in connection.prepare_cached(UNDELIVERED)?.query_map([id], read_undelivered)? {
            deliveries.extend(undelivered?);
        }
        Ok((attempts, deliveries))
    };
    let (attempts, deliveries) = read().map_err(failed("read a message"))?;
    Ok(MessageDetail::assemble(message, attempts, deliveries))
}

pub(crate) fn read_attempt(row: &Row<'_>) -> rusqlite::Result<Attempt> {
    let trigger: String = row.get(4)?;
    Ok(Attempt {
        message_id: MessageId::from_bytes(row.get(0)?),
        id: AttemptId::from_bytes(row.get(1)?),
        route_id: RouteId::from_bytes(row.get(2)?),
        number: row.get(3)?,
        trigger: Trigger::parse(&trigger).unwrap_or(Trigger::Automatic),
        succeeded: row.get(5)?,
        response_status: row.get(6)?,
        response_body: row.get(7)?,
        response_headers: row.get(12)?,
        duration: Duration::from_millis(row.get(8)?),
        error: row.get(9)?,
        created_at: Timestamp::from_millis(row.get(10)?),
        waterfall: row.get::<_, Option<Vec<u8>>>(11)?.and_then(|packed| Waterfall::unpack(&packed)),
    })
}

fn read_pending(row: &Row<'_>) -> rusqlite::Result<Delivery> {
    let state = DeliveryState::Pending { due_at: Timestamp::from_millis(row.get(1)?) };
    let trigger: String = row.get(4)?;
    let trigger = Trigger::parse(&trigger).unwrap_or(Trigger::Automatic);
    let owner: i64 = row.get(5)?;
    let pending = PendingDetail { failed: row.get(3)?, trigger, is_taken: owner > 0, is_in_backlog: owner < 0 };
    Ok(Delivery { route_id: RouteId::from_bytes(row.get(0)?), state, attempts: row.get(2)?, ended_at: None, pending: Some(pending) })
}

/// Reads a delivery that ended without success; `None` for a state of a newer version, which this version cannot name.
fn read_undelivered(row: &Row<'_>) -> rusqlite::Result<Option<Delivery>> {
    let (state, reason): (String, String) = (row.get(1)?, row.get(2)?);
    let state = DeliveryState::parse_undelivered(&state, &reason);
    let (route_id, attempts, ended_at) = (RouteId::from_bytes(row.get(0)?), row.get(3)?, Timestamp::from_millis(row.get(4)?));
    Ok(state.map(|state| Delivery { route_id, state, attempts, ended_at: Some(ended_at), pending: None }))
}
