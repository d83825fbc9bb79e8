//! Taking what is due and owned by nobody.

use std::sync::Arc;

use bytes::Bytes;
use hookstream_model::{
    delivery::Trigger,
    ids::{ApplicationId, MessageId, TargetId},
    message::{ContentType, Message, Payload},
    time::{Day, Timestamp},
};
use rusqlite::{Connection, Row, params};

use super::{connection::failed, files::Files};
use crate::{
    deliveries::{Claim, ClaimLimits, Claimed, Owner},
    error::Error,
};

const OPERATION: &str = "claim due deliveries";
const ADD_OWNER: &str = "insert into owners (number, started_at) select coalesce(max(number), 0) + 1, ?1 from owners returning number";
const RELEASE_ALL: &str = "update pending set owner = 0 where owner > 0";
const RELEASE: &str = "update pending set owner = 0 where owner = ?1";
const SELECT_DUE: &str =
    "select p.message_id, p.target_id, p.application_id, p.attempts, p.failed, p.trigger_type, m.event_type, b.is_text, b.body, p.due_at
    from pending p
    join messages m on m.application_id = p.application_id and m.id = p.message_id
    join payloads b on b.message_id = p.message_id
    where p.owner = 0 and p.due_at <= ?1 order by p.due_at limit ?2";
const TAKE: &str = "update pending set owner = ?1 where message_id = ?2 and target_id = ?3";
const NEXT_DUE: &str = "select due_at from pending where owner = 0 order by due_at limit 1";
const IS_OWED: &str = "select exists (select 1 from pending)";

/// The process is alone with its files, so whatever another owner had claimed is free again.
pub(super) fn enlist(files: &mut Files, now: Timestamp) -> Result<Owner, Error> {
    for day in files.days_that_may_be_owed() {
        files.day(day)?.connection().execute(RELEASE_ALL, []).map_err(failed("release deliveries"))?;
        note_whether_owed(files, day)?;
    }
    let number = files.core()?.query_row(ADD_OWNER, [now.as_millis()], |row| row.get(0));
    number.map(Owner::new).map_err(failed("enlist"))
}

/// Gives back what an owner has.
pub(super) fn retire(files: &mut Files, owner: Owner) -> Result<(), Error> {
    for day in files.days_that_may_be_owed() {
        files.day(day)?.connection().execute(RELEASE, [owner.number()]).map_err(failed("release deliveries"))?;
    }
    Ok(())
}

/// Claims from one day, so that a claim is kept whole or not at all.
pub(super) fn claim_due(files: &mut Files, day: Day, owner: Owner, now: Timestamp, limits: ClaimLimits) -> Result<Claim, Error> {
    let Some(file) = files.existing_day(day)? else { return Ok(Claim::default()) };
    let deliveries = claim_from(file.connection(), owner, now, limits).map_err(failed(OPERATION))?;
    let next_due = next_due(file.connection()).map_err(failed(OPERATION))?;
    if next_due.is_none() {
        note_whether_owed(files, day)?;
    }
    Ok(Claim { deliveries, next_due })
}

fn claim_from(connection: &Connection, owner: Owner, now: Timestamp, limits: ClaimLimits) -> rusqlite::Result<Vec<Claimed>> {
    let mut select = connection.prepare_cached(SELECT_DUE)?;
    let mut rows = select.query(params![now.as_millis(), limits.deliveries])?;
    let mut claimed = Vec::new();
    let mut bytes = 0;
    while bytes <= limits.bytes
        && let Some(row) = rows.next()?
    {
        let delivery = read(row, owner)?;
        bytes += delivery.message.payload.body.len();
        claimed.push(delivery);
    }
    drop(rows);
    let mut take = connection.prepare_cached(TAKE)?;
    for delivery in &claimed {
        take.execute(params![owner.number(), delivery.message.id.as_bytes(), delivery.target_id.as_bytes()])?;
    }
    Ok(claimed)
}

fn read(row: &Row<'_>, owner: Owner) -> rusqlite::Result<Claimed> {
    let content_type = if row.get(7)? { ContentType::Text } else { ContentType::Json };
    let trigger: String = row.get(5)?;
    Ok(Claimed {
        owner,
        message: Arc::new(Message {
            id: MessageId::from_bytes(row.get(0)?),
            application_id: ApplicationId::from_bytes(row.get(2)?),
            event_type: row.get(6)?,
            payload: Payload { body: Bytes::from(row.get::<_, Vec<u8>>(8)?), content_type },
        }),
        target_id: TargetId::from_bytes(row.get(1)?),
        attempts: row.get(3)?,
        failed: row.get(4)?,
        trigger: Trigger::parse(&trigger).unwrap_or(Trigger::Automatic),
        due_at: Timestamp::from_millis(row.get(9)?),
    })
}

fn next_due(connection: &Connection) -> rusqlite::Result<Option<Timestamp>> {
    let mut statement = connection.prepare_cached(NEXT_DUE)?;
    let mut rows = statement.query([])?;
    rows.next()?.map(|row| row.get(0).map(Timestamp::from_millis)).transpose()
}

fn note_whether_owed(files: &mut Files, day: Day) -> Result<(), Error> {
    let is_owed = files.day(day)?.connection().query_row(IS_OWED, [], |row| row.get(0)).map_err(failed(OPERATION))?;
    files.note_owed(day, is_owed);
    Ok(())
}
