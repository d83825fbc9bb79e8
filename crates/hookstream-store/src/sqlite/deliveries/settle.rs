//! Records attempts and the new states of their deliveries.

use std::collections::HashMap;

use hookstream_model::{
    base::{ids::MessageId, time::Timestamp},
    delivery::{
        attempt::Attempt,
        state::{DeliveryState, Trigger},
        timings::{Packed, Waterfall},
    },
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::{
    db::error::Error,
    delivery::{
        counts::Counts,
        deliveries::{Next, Owner, PackedBits, Settled, packed_bits},
    },
    sqlite::{
        db::{connection::failed, files::Files},
        outbox,
    },
};

const OPERATION: &str = "record the results of deliveries";
const REMOVE: &str = "delete from pending where message_id = ?1 and route_id = ?2 and owner = ?3";
const REMOVE_COUNTED: &str = "delete from pending where message_id = ?1 and route_id = ?2 and owner = ?3 returning attempts, origin_id";
const RETRY: &str = "update pending
    set owner = ?4, backlog = ?4, due_at = coalesce(?5, due_at), retry_at = ?6, attempts = attempts + 1, failed = ?7, trigger_type = 'automatic'
    where message_id = ?1 and route_id = ?2 and owner = ?3";
const POSTPONE: &str = "update pending set owner = ?4, backlog = ?4, due_at = coalesce(?5, due_at), retry_at = ?6
    where message_id = ?1 and route_id = ?2 and owner = ?3";
const END: &str = "insert or replace into undelivered (message_id, route_id, origin_id, state, reason, attempts, ended_at)
    values (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
const RECORD: &str = "insert into attempts
    (message_id, id, route_id, number, trigger_type, succeeded, response_status, duration_ms, created_at, waterfall, error,
        response_body, response_headers)
    values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";

/// Clears the bits of settled deliveries, and removes the row with the last of them.
const REMOVE_PACKED: &str = "delete from packed_pending where message_id = ?1 and part = ?2 and owner = ?3 and unsettled = ?4
    returning origin_id, due_at, trigger_type";
const CLEAR_PACKED: &str = "update packed_pending set unsettled = unsettled & ~?4
    where message_id = ?1 and part = ?2 and owner = ?3 and unsettled & ?4 = ?4 returning origin_id, due_at, trigger_type";
const ADD_PENDING: &str = "insert into pending
    (message_id, route_id, origin_id, owner, due_at, attempts, failed, trigger_type, backlog, retry_at)
    values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?4, ?9)";

/// Row from which bits were cleared.
struct Cleared {
    origin: [u8; 16],
    due_at: i64,
    trigger: String,
}

/// Cleared rows, by message and number.
type AllCleared = HashMap<(MessageId, i32), Cleared>;

pub(crate) fn settle(files: &mut Files, owner: Owner, batch: &[Settled]) -> Result<Vec<bool>, Error> {
    let mut cleared = AllCleared::new();
    for bits in packed_bits(batch) {
        if let Some(file) = files.existing_day(bits.message_id.timestamp().day())?
            && let Some(row) = clear(file.connection(), owner, bits).map_err(failed(OPERATION))?
        {
            cleared.insert((bits.message_id, bits.part), row);
        }
    }
    let mut counted = Vec::with_capacity(batch.len());
    for settled in batch {
        let counts = match files.existing_day(settled.message_id.timestamp().day())? {
            Some(file) => {
                let counts = settle_one(file.connection(), owner, settled, &cleared).map_err(failed(OPERATION))?;
                if counts {
                    file.count_deliveries(settled.environment_id, Counts::settled(settled.next));
                }
                counts
            }
            None => false,
        };
        counted.push(counts);
    }
    Ok(counted)
}

fn clear(connection: &Connection, owner: Owner, bits: PackedBits) -> rusqlite::Result<Option<Cleared>> {
    let PackedBits { message_id, part, bits } = bits;
    let values = params![message_id.as_bytes(), part, owner.number(), bits];
    let read = |row: &Row<'_>| Ok(Cleared { origin: row.get(0)?, due_at: row.get(1)?, trigger: row.get(2)? });
    let removed = connection.prepare_cached(REMOVE_PACKED)?.query_row(values, read).optional()?;
    match removed {
        Some(removed) => Ok(Some(removed)),
        None => connection.prepare_cached(CLEAR_PACKED)?.query_row(values, read).optional(),
    }
}

fn settle_one(connection: &Connection, owner: Owner, settled: &Settled, cleared: &AllCleared) -> rusqlite::Result<bool> {
    let is_owned = match settled.packed {
        None => settle_own_row(connection, owner.number(), settled)?,
        Some(packed) => match cleared.get(&(settled.message_id, packed.part())) {
            None => false,
            Some(cleared) => settle_packed(connection, settled, cleared).map(|()| true)?,
        },
    };
    if let Some(attempt) = &settled.attempt
        && is_owned
    {
        record(connection, attempt)?;
    }
    if let Some(event) = &settled.event
        && is_owned
    {
        outbox::write(connection, event)?;
    }
    Ok(is_owned)
}

/// Settles a delivery that has a row of its own. Returns whether the owner has it.
fn settle_own_row(connection: &Connection, owner: i64, settled: &Settled) -> rusqlite::Result<bool> {
    let (message, route) = (settled.message_id.as_bytes(), settled.route_id.as_bytes());
    Ok(match settled.next {
        Next::Succeeded => connection.prepare_cached(REMOVE)?.execute(params![message, route, owner])? == 1,
        Next::Retry { wait, failed } => {
            let (due_at, retry_at) = wait.times();
            let values = params![message, route, owner, wait.backlog_number(), due_at, retry_at, failed];
            connection.prepare_cached(RETRY)?.execute(values)? == 1
        }
        Next::Postponed { wait } => {
            let (due_at, retry_at) = wait.times();
            let values = params![message, route, owner, wait.backlog_number(), due_at, retry_at];
            connection.prepare_cached(POSTPONE)?.execute(values)? == 1
        }
        Next::Ended(state, at) => {
            let mut remove = connection.prepare_cached(REMOVE_COUNTED)?;
            let removed = remove.query_row(params![message, route, owner], |row| Ok((row.get::<_, u32>(0)?, row.get(1)?)));
            let Some((attempts, origin)) = removed.optional()? else { return Ok(false) };
            end(connection, settled, origin, attempts, state, at)?;
            true
        }
    })
}

/// Settles a delivery whose bit was cleared.
fn settle_packed(connection: &Connection, settled: &Settled, cleared: &Cleared) -> rusqlite::Result<()> {
    let (wait, failed, trigger) = match settled.next {
        Next::Succeeded => return Ok(()),
        Next::Ended(state, at) => return end(connection, settled, cleared.origin, 0, state, at),
        Next::Retry { wait, failed } => (wait, failed, Trigger::Automatic.as_str()),
        Next::Postponed { wait } => (wait, 0, cleared.trigger.as_str()),
    };
    let (due_at, retry_at) = wait.times();
    let attempts = u32::from(settled.attempt.is_some());
    connection.prepare_cached(ADD_PENDING)?.execute(params![
        settled.message_id.as_bytes(),
        settled.route_id.as_bytes(),
        cleared.origin,
        wait.backlog_number(),
        due_at.unwrap_or(cleared.due_at),
        attempts,
        failed,
        trigger,
        retry_at,
    ])?;
    Ok(())
}

/// Records the end of a delivery after this many attempts, without the last one.
fn end(
    connection: &Connection,
    settled: &Settled,
    origin: [u8; 16],
    attempts: u32,
    state: DeliveryState,
    at: Timestamp,
) -> rusqlite::Result<()> {
    let (message, route) = (settled.message_id.as_bytes(), settled.route_id.as_bytes());
    let attempts = attempts + u32::from(settled.attempt.is_some());
    let reason = state.reason().unwrap_or_default();
    connection.prepare_cached(END)?.execute(params![message, route, origin, state.as_str(), reason, attempts, at.as_millis()])?;
    Ok(())
}

fn record(connection: &Connection, attempt: &Attempt) -> rusqlite::Result<()> {
    let waterfall = attempt.waterfall.as_ref().map(Waterfall::pack);
    let duration_ms = i64::try_from(attempt.duration.as_millis()).unwrap_or(i64::MAX);
    connection.prepare_cached(RECORD)?.execute(params![
        attempt.message_id.as_bytes(),
        attempt.id.as_bytes(),
        attempt.route_id.as_bytes(),
        attempt.number,
        attempt.trigger.as_str(),
        attempt.succeeded,
        attempt.response_status,
        duration_ms,
        attempt.created_at.as_millis(),
        waterfall.as_ref().map(Packed::as_bytes),
        attempt.error,
        attempt.response_body,
        attempt.response_headers,
    ])?;
    Ok(())
}
