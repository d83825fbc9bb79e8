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
use tokio_postgres::{Row, types::Type};
use uuid::Uuid;

use crate::{
    db::error::Error,
    delivery::{
        messages::{Delivery, Message, MessageDetail, PendingDetail, read_channels},
        payloads::StoredPayload,
    },
    postgres::db::connection::{Connection, Pool, connect},
};

const FIND: &str = "select m.id, m.origin_id, m.event_type, m.event_id, m.deliveries, m.channels, b.is_text, b.encoding, b.size, b.body
    from messages m left join payloads b on b.message_id = m.id where m.origin_id = $1 and m.id = $2 and m.environment_id = $3";
/// Delivery counts and time of the last attempt. The bounds tell the planner which days to read.
const DELIVERY_COUNTS: &str = "select g.id,
        (select count(*) from all_pending p where p.message_id = g.id),
        (select count(*) from undelivered u
            where u.message_id = g.id and u.message_id >= $2 and u.message_id <= $3 and u.state = 'exhausted'),
        (select count(*) from undelivered u
            where u.message_id = g.id and u.message_id >= $2 and u.message_id <= $3 and u.state <> 'exhausted'),
        (select a.created_at from attempts a
            where a.message_id = g.id and a.message_id >= $2 and a.message_id <= $3 order by a.id desc limit 1)
    from unnest($1::uuid[]) as g (id)";
const PAYLOADS: &str = "select b.message_id, b.is_text, b.encoding, b.size, b.body from payloads b
    where b.message_id = any($1) and b.message_id >= $2 and b.message_id <= $3";
const ATTEMPTS: &str =
    "select message_id, id, route_id, number, trigger_type, succeeded, response_status, response_body, duration_ms, error, created_at,
        waterfall, response_headers
    from attempts where message_id = $1 order by id";
const PENDING: &str =
    "select route_id, coalesce(retry_at, due_at), attempts, failed, trigger_type, owner from all_pending where message_id = $1";
const UNDELIVERED: &str = "select route_id, state, reason, attempts, ended_at from undelivered where message_id = $1";
const MESSAGE_COUNTS: &str = "select origin_id, sum(messages)::int8 from message_counts where origin_id = any($1) group by origin_id";
/// One snapshot, so that a message, its attempts and its deliveries are of one moment.
const ONE_MOMENT: &str = "set transaction isolation level repeatable read, read only";

pub(crate) async fn find(pool: &Pool, tenant: Tenant, origin: OriginId, id: MessageId) -> Result<Option<MessageDetail>, Error> {
    let connection = connect(pool, "read a message").await?;
    let read = async |connection: &Connection| {
        connection.batch(ONE_MOMENT).await?;
        let (origin, id) = (uuid(origin.as_bytes()), uuid(id.as_bytes()));
        let environment = uuid(tenant.environment.as_bytes());
        let key = [(&origin as _, Type::UUID), (&id as _, Type::UUID), (&environment as _, Type::UUID)];
        let found = connection.query(FIND, &key).await?;
        let Some(row) = found.first() else { return Ok(None) };
        let message = Message { payload: read_optional_payload(row, 6)?, ..read_message(row)? };
        let of = [(&id as _, Type::UUID)];
        let attempts: Vec<_> = connection.query(ATTEMPTS, &of).await?.iter().map(read_attempt).collect();
        let mut deliveries: Vec<_> = connection.query(PENDING, &of).await?.iter().map(read_pending).collect();
        deliveries.extend(connection.query(UNDELIVERED, &of).await?.iter().filter_map(read_undelivered));
        Ok(Some(MessageDetail::assemble(message, attempts, deliveries)))
    };
    connection.transaction(read, |_| true).await
}

/// Adds the delivery counts and the time of the last attempt to the messages.
pub(crate) async fn add_counts(connection: &Connection, mut messages: Vec<Message>) -> Result<Vec<Message>, Error> {
    let ids: Vec<_> = messages.iter().map(|message| uuid(message.id.as_bytes())).collect();
    let (Some(first), Some(last)) = (ids.iter().min(), ids.iter().max()) else { return Ok(messages) };
    let values = [(&ids as _, Type::UUID_ARRAY), (first as _, Type::UUID), (last as _, Type::UUID)];
    let count = |number: i64| u32::try_from(number).map_err(|_| Error::Unreadable { what: "count" });
    for row in &connection.query(DELIVERY_COUNTS, &values).await? {
        let id = MessageId::from_bytes(id_at(row, 0));
        let Some(message) = messages.iter_mut().find(|message| message.id == id) else { continue };
        message.counts.pending = count(row.get(1))?;
        message.counts.exhausted = count(row.get(2))?;
        message.counts.skipped_or_cancelled = count(row.get(3))?;
        let last_attempt: Option<i64> = row.get(4);
        message.updated_at = last_attempt.map_or(message.updated_at, Timestamp::from_millis);
    }
    Ok(messages)
}

/// Adds the payloads that have not expired.
pub(crate) async fn add_payloads(connection: &Connection, messages: &mut [Message]) -> Result<(), Error> {
    let ids: Vec<_> = messages.iter().map(|message| uuid(message.id.as_bytes())).collect();
    let (Some(first), Some(last)) = (ids.iter().min(), ids.iter().max()) else { return Ok(()) };
    let values = [(&ids as _, Type::UUID_ARRAY), (first as _, Type::UUID), (last as _, Type::UUID)];
    for row in &connection.query(PAYLOADS, &values).await? {
        let id = MessageId::from_bytes(id_at(row, 0));
        if let Some(message) = messages.iter_mut().find(|message| message.id == id) {
            message.payload = Some(read_payload(row, 1).decode()?);
        }
    }
    Ok(())
}

pub(crate) async fn counts(pool: &Pool, applications: &[OriginId]) -> Result<Vec<u64>, Error> {
    let connection = connect(pool, "count messages").await?;
    let ids: Vec<_> = applications.iter().map(|id| uuid(id.as_bytes())).collect();
    let rows = connection.query(MESSAGE_COUNTS, &[(&ids, Type::UUID_ARRAY)]).await?;
    let count_of = |id: &Uuid| rows.iter().find(|row| row.get::<_, Uuid>(0) == *id).map_or(0, |row| row.get::<_, i64>(1));
    Ok(ids.iter().map(|id| u64::try_from(count_of(id)).unwrap_or(0)).collect())
}

pub(crate) fn uuid(id: &[u8; 16]) -> Uuid {
    Uuid::from_bytes(*id)
}

fn id_at(row: &Row, column: usize) -> [u8; 16] {
    row.get::<_, Uuid>(column).into_bytes()
}

/// Reads a message without the counts of its deliveries, except their total.
pub(crate) fn read_message(row: &Row) -> Result<Message, Error> {
    let id = MessageId::from_bytes(id_at(row, 0));
    Ok(Message {
        id,
        origin_id: OriginId::from_bytes(id_at(row, 1)),
        event_type: row.get(2),
        event_id: row.get(3),
        channels: read_channels(row.get(5)),
        payload: None,
        counts: DeliveryCounts {
            total: u32::try_from(row.get::<_, i32>(4)).map_err(|_| Error::Unreadable { what: "count" })?,
            ..DeliveryCounts::default()
        },
        updated_at: id.timestamp(),
    })
}

/// Reads and decodes a payload that may have expired.
fn read_optional_payload(row: &Row, column: usize) -> Result<Option<Payload>, Error> {
    let is_there = row.get::<_, Option<i32>>(column + 1).is_some();
    is_there.then(|| read_payload(row, column).decode()).transpose()
}

/// Reads a payload from four columns, beginning at `column`.
pub(crate) fn read_payload(row: &Row, column: usize) -> StoredPayload {
    StoredPayload {
        is_text: row.get(column),
        encoding: row.get(column + 1),
        size: row.get(column + 2),
        body: Bytes::from(row.get::<_, Vec<u8>>(column + 3)),
    }
}

pub(crate) fn read_attempt(row: &Row) -> Attempt {
    Attempt {
        message_id: MessageId::from_bytes(id_at(row, 0)),
        id: AttemptId::from_bytes(id_at(row, 1)),
        route_id: RouteId::from_bytes(id_at(row, 2)),
        number: u32::try_from(row.get::<_, i32>(3)).unwrap_or(0),
        trigger: Trigger::parse(row.get(4)).unwrap_or(Trigger::Automatic),
        succeeded: row.get(5),
        response_status: row.get::<_, Option<i32>>(6).and_then(|status| u16::try_from(status).ok()),
        response_body: row.get(7),
        response_headers: row.get(12),
        duration: Duration::from_millis(u64::try_from(row.get::<_, i64>(8)).unwrap_or(0)),
        error: row.get(9),
        created_at: Timestamp::from_millis(row.get(10)),
        waterfall: row.get::<_, Option<&[u8]>>(11).and_then(Waterfall::unpack),
    }
}

fn read_pending(row: &Row) -> Delivery {
    let state = DeliveryState::Pending { due_at: Timestamp::from_millis(row.get(1)) };
    let attempts = u32::try_from(row.get::<_, i32>(2)).unwrap_or(0);
    let pending = PendingDetail {
        failed: u32::try_from(row.get::<_, i32>(3)).unwrap_or(0),
        trigger: Trigger::parse(row.get(4)).unwrap_or(Trigger::Automatic),
        is_taken: row.get::<_, i64>(5) > 0,
        is_in_backlog: row.get::<_, i64>(5) < 0,
    };
    Delivery { route_id: RouteId::from_bytes(id_at(row, 0)), state, attempts, ended_at: None, pending: Some(pending) }
}

/// Reads a delivery that ended without success; `None` for a state of a newer version, which this version cannot name.
fn read_undelivered(row: &Row) -> Option<Delivery> {
    let state = DeliveryState::parse_undelivered(row.get(1), row.get(2))?;
    let attempts = u32::try_from(row.get::<_, i32>(3)).unwrap_or(0);
    let ended_at = Some(Timestamp::from_millis(row.get(4)));
    Some(Delivery { route_id: RouteId::from_bytes(id_at(row, 0)), state, attempts, ended_at, pending: None })
}
