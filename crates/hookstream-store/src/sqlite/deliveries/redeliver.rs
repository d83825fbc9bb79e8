//! Requeuing of settled deliveries, and setting aside of pending ones.

use hookstream_model::{
    base::{
        ids::{EnvironmentId, MessageId, OriginId, RouteId},
        time::Timestamp,
    },
    delivery::state::Trigger,
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::{
    db::error::Error,
    delivery::{
        counts::Counts,
        deliveries::{Redelivered, Redelivery},
    },
    sqlite::{
        db::{connection::failed, files::Files},
        deliveries::claim::unpack,
    },
};

const IS_THERE: &str = "select exists (select 1 from messages where origin_id = ?1 and id = ?2 and environment_id = ?3)";
const HAS_PAYLOAD: &str = "select exists (select 1 from payloads where message_id = ?1)";
/// Makes a delivery due. In an ordered backlog it keeps its position: `due_at` is then no time, and differs from `retry_at`.
const MAKE_DUE: &str = "update pending set
    due_at = case when backlog <> 0 and retry_at is not due_at then due_at else min(due_at, ?3) end, retry_at = null, trigger_type = ?4
    where message_id = ?1 and route_id = ?2 and owner <= 0";
const IS_PENDING: &str = "select exists (select 1 from all_pending where message_id = ?1 and route_id = ?2)";
const LAST_NUMBER: &str = "select max(number) from attempts where message_id = ?1 and route_id = ?2";
const REMOVE_UNDELIVERED: &str = "delete from undelivered where message_id = ?1 and route_id = ?2 returning state";
const ADD_DELIVERY: &str = "update messages set deliveries = deliveries + 1 where origin_id = ?1 and id = ?2";
const ADD_PENDING: &str = "insert into pending (message_id, route_id, origin_id, owner, due_at, attempts, failed, trigger_type)
    values (?1, ?2, ?3, 0, ?4, ?5, 0, ?6)";
const SET_ASIDE: &str = "insert into undelivered (message_id, route_id, origin_id, state, reason, attempts, ended_at)
    select message_id, route_id, origin_id, 'skipped', 'restored', attempts, ?1 from pending where message_id < ?2
    order by message_id, route_id limit ?3";
/// Number of deliveries to set aside, by environment.
const COUNT_SET_ASIDE: &str = "select m.environment_id, count(*)
    from (select message_id, origin_id from pending where message_id < ?1 order by message_id, route_id limit ?2) p
    join messages m on m.origin_id = p.origin_id and m.id = p.message_id group by m.environment_id";
/// Removes the copied rows: no delivery is in both tables otherwise.
const REMOVE_SET_ASIDE: &str = "delete from pending where (message_id, route_id) in (select message_id, route_id from undelivered)";

pub(crate) fn redeliver(files: &mut Files, redelivery: &Redelivery) -> Result<Redelivered, Error> {
    const OPERATION: &str = "requeue a message";
    let day = redelivery.message_id.timestamp().day();
    files.note_pending(day, true);
    let Some(file) = files.existing_day(day)? else { return Ok(Redelivered::NotFound) };
    let connection = file.connection();
    let origin = redelivery.origin_id.as_bytes();
    let key = params![origin, redelivery.message_id.as_bytes(), redelivery.tenant.environment.as_bytes()];
    if !connection.query_row(IS_THERE, key, |row| row.get::<_, bool>(0)).map_err(failed(OPERATION))? {
        return Ok(Redelivered::NotFound);
    }
    let has_payload = connection.query_row(HAS_PAYLOAD, [redelivery.message_id.as_bytes()], |row| row.get::<_, bool>(0));
    if !has_payload.map_err(failed(OPERATION))? {
        return Ok(Redelivered::PayloadExpired);
    }
    let mut moved = Counts::default();
    for route in &redelivery.routes {
        moved += redeliver_to(connection, redelivery, *route).map_err(failed(OPERATION))?;
    }
    file.count_deliveries(redelivery.tenant.environment, moved);
    Ok(Redelivered::Requeued(redelivery.routes.len()))
}

fn redeliver_to(connection: &Connection, redelivery: &Redelivery, route: RouteId) -> rusqlite::Result<Counts> {
    let (message, origin) = (redelivery.message_id, redelivery.origin_id);
    let delivery = params![message.as_bytes(), route.as_bytes()];
    let due_at = redelivery.now.as_millis();
    let trigger = redelivery.trigger.as_str();
    if connection.execute(MAKE_DUE, params![message.as_bytes(), route.as_bytes(), due_at, trigger])? == 1 {
        return Ok(Counts::default());
    }
    if connection.query_row(IS_PENDING, delivery, |row| row.get(0))? {
        // An owned delivery: an attempt is under way or imminent.
        return Ok(Counts::default());
    }
    requeue(connection, message, route, origin, due_at, redelivery.trigger)
}

/// Requeues a delivery that is not pending, whatever its state. Returns the change of the counts.
pub(crate) fn requeue(
    connection: &Connection,
    message: MessageId,
    route: RouteId,
    origin: OriginId,
    due_at: i64,
    trigger: Trigger,
) -> rusqlite::Result<Counts> {
    let delivery = params![message.as_bytes(), route.as_bytes()];
    let last_number: Option<u32> = connection.prepare_cached(LAST_NUMBER)?.query_row(delivery, |row| row.get(0))?;
    let ended: Option<String> = connection.prepare_cached(REMOVE_UNDELIVERED)?.query_row(delivery, |row| row.get(0)).optional()?;
    if last_number.is_none() && ended.is_none() {
        connection.prepare_cached(ADD_DELIVERY)?.execute(params![origin.as_bytes(), message.as_bytes()])?;
    }
    let attempts = last_number.unwrap_or(0);
    let values = params![message.as_bytes(), route.as_bytes(), origin.as_bytes(), due_at, attempts, trigger.as_str()];
    connection.prepare_cached(ADD_PENDING)?.execute(values)?;
    Ok(Counts::requeued(ended.as_deref(), last_number.is_some()))
}

/// Sets aside pending deliveries, oldest day first. Owners do not matter, because none works yet.
pub(crate) fn set_aside(files: &mut Files, until: Timestamp, limit: usize) -> Result<usize, Error> {
    const OPERATION: &str = "skip deliveries of a restored backup";
    let first = first_id_at(until.as_millis());
    let mut set_aside = 0;
    for day in files.days_that_may_have_pending() {
        let room = limit - set_aside;
        let file = files.day(day)?;
        unpack(file.connection(), None).map_err(failed(OPERATION))?;
        for (environment, skipped) in count_to_set_aside(file.connection(), first, room).map_err(failed(OPERATION))? {
            file.count_deliveries(environment, Counts::skipped(skipped));
        }
        let (connection, values) = (file.connection(), params![until.as_millis(), first, room]);
        set_aside += connection.prepare_cached(SET_ASIDE).and_then(|mut copy| copy.execute(values)).map_err(failed(OPERATION))?;
        connection.execute(REMOVE_SET_ASIDE, []).map_err(failed(OPERATION))?;
        if set_aside == limit {
            break;
        }
    }
    Ok(set_aside)
}

fn count_to_set_aside(connection: &Connection, first: [u8; 16], room: usize) -> rusqlite::Result<Vec<(EnvironmentId, i64)>> {
    let read = |row: &Row<'_>| Ok((EnvironmentId::from_bytes(row.get(0)?), row.get(1)?));
    connection.prepare_cached(COUNT_SET_ASIDE)?.query_map(params![first, room], read)?.collect()
}

/// Returns the lowest id that a message accepted in this millisecond can have.
fn first_id_at(ms: i64) -> [u8; 16] {
    let mut id = [0; 16];
    id[..6].copy_from_slice(&ms.max(0).to_be_bytes()[2..]);
    id
}
