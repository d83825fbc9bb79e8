//! Records attempts and the new states of their deliveries.

use hookstream_model::{
    base::time::Timestamp,
    delivery::{
        attempt::Attempt,
        state::DeliveryState,
        timings::{Packed, Waterfall},
    },
};
use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    db::error::Error,
    delivery::{
        counts::Counts,
        deliveries::{Next, Owner, Settled},
    },
    sqlite::db::{connection::failed, files::Files},
};

const OPERATION: &str = "record the results of deliveries";
const REMOVE: &str = "delete from pending where message_id = ?1 and target_id = ?2 and owner = ?3";
const REMOVE_COUNTED: &str = "delete from pending where message_id = ?1 and target_id = ?2 and owner = ?3 returning attempts";
const RETRY: &str = "update pending
    set owner = ?4, backlog = ?4, due_at = coalesce(?5, due_at), retry_at = ?6, attempts = attempts + 1, failed = ?7, trigger_type = 'automatic'
    where message_id = ?1 and target_id = ?2 and owner = ?3";
const POSTPONE: &str = "update pending set owner = ?4, backlog = ?4, due_at = coalesce(?5, due_at), retry_at = ?6
    where message_id = ?1 and target_id = ?2 and owner = ?3";
const END: &str =
    "insert or replace into undelivered (message_id, target_id, state, reason, attempts, ended_at) values (?1, ?2, ?3, ?4, ?5, ?6)";
const RECORD: &str = "insert into attempts
    (message_id, id, target_id, number, trigger_type, succeeded, response_status, duration_ms, created_at, waterfall, error,
        response_body)
    values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";

pub(crate) fn settle(files: &mut Files, owner: Owner, batch: &[Settled]) -> Result<Vec<bool>, Error> {
    let mut counted = Vec::with_capacity(batch.len());
    for settled in batch {
        let counts = match files.existing_day(settled.message_id.timestamp().day())? {
            Some(file) => {
                let counts = settle_one(file.connection(), owner, settled).map_err(failed(OPERATION))?;
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

fn settle_one(connection: &Connection, owner: Owner, settled: &Settled) -> rusqlite::Result<bool> {
    let (message, target, owner) = (settled.message_id.as_bytes(), settled.target_id.as_bytes(), owner.number());
    let is_owned = match settled.next {
        Next::Succeeded => connection.prepare_cached(REMOVE)?.execute(params![message, target, owner])? == 1,
        Next::Retry { wait, failed } => {
            let (due_at, retry_at) = wait.times();
            let values = params![message, target, owner, wait.backlog_number(), due_at, retry_at, failed];
            connection.prepare_cached(RETRY)?.execute(values)? == 1
        }
        Next::Postponed { wait } => {
            let (due_at, retry_at) = wait.times();
            let values = params![message, target, owner, wait.backlog_number(), due_at, retry_at];
            connection.prepare_cached(POSTPONE)?.execute(values)? == 1
        }
        Next::Ended(state, at) => end(connection, owner, settled, state, at)?,
    };
    if let Some(attempt) = &settled.attempt
        && is_owned
    {
        record(connection, attempt)?;
    }
    Ok(is_owned)
}

fn end(connection: &Connection, owner: i64, settled: &Settled, state: DeliveryState, at: Timestamp) -> rusqlite::Result<bool> {
    let (message, target) = (settled.message_id.as_bytes(), settled.target_id.as_bytes());
    let mut remove = connection.prepare_cached(REMOVE_COUNTED)?;
    let removed: Option<u32> = remove.query_row(params![message, target, owner], |row| row.get(0)).optional()?;
    let Some(attempts) = removed else { return Ok(false) };
    let attempts = attempts + u32::from(settled.attempt.is_some());
    let reason = state.reason().unwrap_or_default();
    connection.prepare_cached(END)?.execute(params![message, target, state.as_str(), reason, attempts, at.as_millis()])?;
    Ok(true)
}

fn record(connection: &Connection, attempt: &Attempt) -> rusqlite::Result<()> {
    let waterfall = attempt.waterfall.as_ref().map(Waterfall::pack);
    let duration_ms = i64::try_from(attempt.duration.as_millis()).unwrap_or(i64::MAX);
    connection.prepare_cached(RECORD)?.execute(params![
        attempt.message_id.as_bytes(),
        attempt.id.as_bytes(),
        attempt.target_id.as_bytes(),
        attempt.number,
        attempt.trigger.as_str(),
        attempt.succeeded,
        attempt.response_status,
        duration_ms,
        attempt.created_at.as_millis(),
        waterfall.as_ref().map(Packed::as_bytes),
        attempt.error,
        attempt.response_body,
    ])?;
    Ok(())
}
