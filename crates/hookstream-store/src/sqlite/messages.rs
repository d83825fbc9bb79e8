//! Reading messages back.

use std::time::Duration;

use bytes::Bytes;
use hookstream_model::{
    attempt::Attempt,
    delivery::{DeliveryState, Trigger},
    ids::{ApplicationId, AttemptId, MessageId, TargetId},
    message::DeliveryCounts,
    tenancy::Tenant,
    time::Timestamp,
    waterfall::Waterfall,
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{connection::failed, readers::Days};
use crate::{
    error::Error,
    messages::{Delivery, Message, MessageDetail, Owed},
    page::{ABOVE_ALL, Page, PageRequest, sql_limit},
    payloads::StoredPayload,
};

const FIND: &str = "select m.id, m.application_id, m.event_type, m.event_id, m.deliveries, b.is_text, b.encoding, b.size, b.body
    from messages m left join payloads b on b.message_id = m.id where m.application_id = ?1 and m.id = ?2 and m.environment_id = ?3";
const LIST: &str = "select m.id, m.application_id, m.event_type, m.event_id, m.deliveries, b.is_text, b.encoding, b.size, b.body,
        (select count(*) from pending p where p.message_id = m.id),
        (select count(*) from undelivered u where u.message_id = m.id and u.state = 'exhausted'),
        (select count(*) from undelivered u where u.message_id = m.id and u.state <> 'exhausted'),
        (select a.created_at from attempts a where a.message_id = m.id order by a.id desc limit 1)
    from messages m left join payloads b on b.message_id = m.id
    where m.application_id = ?1 and m.id < ?2 and m.environment_id = ?3 and (?4 is null or m.event_type = ?4)
    order by m.id desc limit ?5";
const ATTEMPTS: &str =
    "select message_id, id, target_id, number, trigger_type, succeeded, response_status, response_body, duration_ms, error, created_at,
        waterfall
    from attempts where message_id = ?1 order by id";
const PENDING: &str =
    "select target_id, coalesce(retry_at, due_at), attempts, failed, trigger_type, owner from pending where message_id = ?1";
const UNDELIVERED: &str = "select target_id, state, reason, attempts, ended_at from undelivered where message_id = ?1";
const COUNT: &str = "select messages from message_counts where application_id = ?1";

pub(super) fn find(days: &Days<'_>, tenant: Tenant, application: ApplicationId, id: MessageId) -> Result<Option<MessageDetail>, Error> {
    let found = days.read(id.timestamp().day(), |connection| {
        // One transaction, so that the message, its attempts and its deliveries are of one moment.
        let moment = connection.unchecked_transaction().map_err(failed("read a message"))?;
        let message = moment
            .prepare_cached(FIND)
            .and_then(|mut find| {
                let key = params![application.as_bytes(), id.as_bytes(), tenant.environment.as_bytes()];
                find.query_row(key, |row| Ok((read_message(row)?, read_payload_if_there(row, 5)?))).optional()
            })
            .map_err(failed("read a message"))?;
        message.map(|message| read_detail(&moment, with_payload(message)?)).transpose()
    })?;
    Ok(found.flatten())
}

pub(super) fn list(
    days: &Days<'_>,
    tenant: Tenant,
    application: ApplicationId,
    event_type: Option<&str>,
    page: PageRequest<MessageId>,
) -> Result<Page<Message>, Error> {
    let after = page.after.map_or(ABOVE_ALL, |id| *id.as_bytes());
    let newest = page.after.map(|id| id.timestamp().day());
    let mut messages = Vec::new();
    for day in days.newest_first().into_iter().filter(|day| newest.is_none_or(|newest| *day <= newest)) {
        let wanted = page.limit + 1 - messages.len();
        let values = params![application.as_bytes(), after, tenant.environment.as_bytes(), event_type, sql_limit(wanted)];
        let more = days.read(day, |connection| {
            let mut list = connection.prepare_cached(LIST).map_err(failed("list messages"))?;
            let rows = list.query_map(values, read_listed).map_err(failed("list messages"))?;
            rows.map(|row| with_payload(row.map_err(failed("list messages"))?)).collect::<Result<Vec<_>, _>>()
        })?;
        messages.extend(more.into_iter().flatten());
        if messages.len() > page.limit {
            break;
        }
    }
    Ok(Page::from_overlong(messages, page.limit))
}

pub(super) fn counts(days: &Days<'_>, applications: &[ApplicationId]) -> Result<Vec<u64>, Error> {
    let mut totals = vec![0; applications.len()];
    for day in days.newest_first() {
        days.read(day, |connection| {
            let mut count = connection.prepare_cached(COUNT).map_err(failed("count messages"))?;
            for (total, application) in totals.iter_mut().zip(applications) {
                let found = count.query_row([application.as_bytes()], |row| row.get::<_, u64>(0)).optional();
                *total += found.map_err(failed("count messages"))?.unwrap_or(0);
            }
            Ok(())
        })?;
    }
    Ok(totals)
}

/// A message of which nothing is known yet but how many deliveries it has; its payload is still to come.
fn read_message(row: &Row<'_>) -> rusqlite::Result<Message> {
    let id = MessageId::from_bytes(row.get(0)?);
    Ok(Message {
        id,
        application_id: ApplicationId::from_bytes(row.get(1)?),
        event_type: row.get(2)?,
        event_id: row.get(3)?,
        payload: None,
        counts: DeliveryCounts { total: row.get(4)?, ..DeliveryCounts::default() },
        updated_at: id.timestamp(),
    })
}

/// A message with how it stands.
fn read_listed(row: &Row<'_>) -> rusqlite::Result<(Message, Option<StoredPayload>)> {
    let message = read_message(row)?;
    let last_try: Option<i64> = row.get(12)?;
    let message = Message {
        counts: DeliveryCounts { pending: row.get(9)?, exhausted: row.get(10)?, skipped_or_cancelled: row.get(11)?, ..message.counts },
        updated_at: last_try.map_or(message.updated_at, Timestamp::from_millis),
        ..message
    };
    Ok((message, read_payload_if_there(row, 5)?))
}

/// What stands in four columns, the first of them this one.
pub(super) fn read_payload(row: &Row<'_>, column: usize) -> rusqlite::Result<StoredPayload> {
    Ok(StoredPayload {
        is_text: row.get(column)?,
        encoding: row.get(column + 1)?,
        size: row.get(column + 2)?,
        body: Bytes::from(row.get::<_, Vec<u8>>(column + 3)?),
    })
}

/// The same where it may have expired.
fn read_payload_if_there(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<StoredPayload>> {
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

fn read_attempt(row: &Row<'_>) -> rusqlite::Result<Attempt> {
    let trigger: String = row.get(4)?;
    Ok(Attempt {
        message_id: MessageId::from_bytes(row.get(0)?),
        id: AttemptId::from_bytes(row.get(1)?),
        target_id: TargetId::from_bytes(row.get(2)?),
        number: row.get(3)?,
        trigger: Trigger::parse(&trigger).unwrap_or(Trigger::Automatic),
        succeeded: row.get(5)?,
        response_status: row.get(6)?,
        response_body: row.get(7)?,
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
    let owed = Owed { failed: row.get(3)?, trigger, is_taken: owner > 0, is_in_line: owner < 0 };
    Ok(Delivery { target_id: TargetId::from_bytes(row.get(0)?), state, attempts: row.get(2)?, ended_at: None, owed: Some(owed) })
}

/// `None` for a state of a newer version, which this one cannot name.
fn read_undelivered(row: &Row<'_>) -> rusqlite::Result<Option<Delivery>> {
    let (state, reason): (String, String) = (row.get(1)?, row.get(2)?);
    let state = DeliveryState::parse_undelivered(&state, &reason);
    let (target_id, attempts, ended_at) = (TargetId::from_bytes(row.get(0)?), row.get(3)?, Timestamp::from_millis(row.get(4)?));
    Ok(state.map(|state| Delivery { target_id, state, attempts, ended_at: Some(ended_at), owed: None }))
}
