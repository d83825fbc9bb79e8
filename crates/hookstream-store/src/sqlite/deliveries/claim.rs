//! Claims of due deliveries without an owner.

use hookstream_model::{
    base::{
        ids::{EnvironmentId, MessageId, OriginId, RouteId},
        time::{Day, Timestamp},
        trace_context::TraceContext,
    },
    delivery::{queue::Backlog, state::Trigger},
    outbound::hops::Hops,
};
use rusqlite::{Connection, Row, params};

use crate::{
    db::error::Error,
    delivery::{
        deliveries::{BacklogHead, BacklogRequest, ClaimLimits, Owner},
        payloads::SealedDelivery,
    },
    sqlite::{
        db::{connection::failed, files::Files},
        history::messages::read_payload,
    },
};

const OPERATION: &str = "claim due deliveries";
const ADD_OWNER: &str = "insert into owners (number, started_at) select coalesce(max(number), 0) + 1, ?1 from owners returning number";
const RELEASE_ALL: &str = "update pending set owner = backlog where owner > 0";
const RELEASE: &str = "update pending set owner = backlog where owner = ?1";
/// Gives the deliveries of packed rows rows of their own, without an owner. `?1` is the owner; all without it.
const UNPACK: &str = "insert into pending (message_id, route_id, origin_id, owner, due_at, attempts, failed, trigger_type)
    select message_id, route_id, origin_id, 0, due_at, 0, 0, trigger_type from (
        select p.message_id, substr(p.routes, 16 * n.place + 1, 16) as route_id, p.origin_id, p.due_at, p.trigger_type
        from packed_pending p join packed_places n on (p.unsettled >> n.place) & 1 where ?1 is null or p.owner = ?1
    )";
const REMOVE_UNPACKED: &str = "delete from packed_pending where ?1 is null or owner = ?1";
/// Deliveries of a backlog, or of none, in the order of the index.
const SELECT_DUE: &str = "select p.message_id, p.route_id, p.origin_id, p.attempts, p.failed, p.trigger_type, m.event_type,
        b.is_text, b.encoding, b.size, b.body, p.due_at, p.backlog, p.retry_at, m.environment_id, m.hops, m.trace_context
    from pending p
    join messages m on m.origin_id = p.origin_id and m.id = p.message_id
    join payloads b on b.message_id = p.message_id
    where p.owner = ?3 and p.due_at <= ?1 order by p.due_at, p.message_id limit ?2";
/// First backlog after a number, with its first delivery.
const NEXT_BACKLOG: &str = "select owner, origin_id, route_id, due_at, retry_at from pending
    where owner > ?1 and owner <= ?2 order by owner, due_at limit 1";
const LENGTH: &str = "select count(*) from (select 1 from pending where owner = ?1 limit ?2)";
const TAKE: &str = "update pending set owner = ?1 where message_id = ?2 and route_id = ?3";
const NEXT_DUE: &str = "select due_at from pending where owner = 0 order by due_at limit 1";
pub(crate) const HAS_PENDING: &str = "select exists (select 1 from pending) or exists (select 1 from packed_pending)";

/// Enlists the process. It has the files to itself, so deliveries of any other owner are free again.
pub(crate) fn enlist(files: &mut Files, now: Timestamp) -> Result<Owner, Error> {
    for day in files.days_that_may_have_pending() {
        let connection = files.day(day)?.connection();
        connection.execute(RELEASE_ALL, []).and_then(|_| unpack(connection, None)).map_err(failed("release deliveries"))?;
        note_whether_pending(files, day)?;
    }
    add_owner(files, now)
}

/// Adds an owner with an unused number.
pub(crate) fn add_owner(files: &mut Files, now: Timestamp) -> Result<Owner, Error> {
    let number = files.core()?.query_row(ADD_OWNER, [now.as_millis()], |row| row.get(0));
    number.map(Owner::new).map_err(failed("register a node"))
}

/// Releases the deliveries of an owner.
pub(crate) fn retire(files: &mut Files, owner: Owner) -> Result<(), Error> {
    for day in files.days_that_may_have_pending() {
        let connection = files.day(day)?.connection();
        let released = connection.execute(RELEASE, [owner.number()]);
        released.and_then(|_| unpack(connection, Some(owner))).map_err(failed("release deliveries"))?;
    }
    Ok(())
}

/// Gives the deliveries of an owner's packed rows rows of their own, without an owner.
pub(crate) fn unpack(connection: &Connection, owner: Option<Owner>) -> rusqlite::Result<()> {
    let owner = owner.map(Owner::number);
    connection.execute(UNPACK, [owner])?;
    connection.execute(REMOVE_UNPACKED, [owner]).map(|_| ())
}

/// Result of a claim from one day.
#[derive(Debug, Default)]
pub(crate) struct FromDay {
    pub(crate) deliveries: Vec<SealedDelivery>,
    /// Due time of the next unowned delivery.
    pub(crate) next_due: Option<Timestamp>,
}

/// Claims from one day only, so that a claim is kept as a whole or not at all.
pub(crate) fn claim_due(files: &mut Files, day: Day, owner: Owner, now: Timestamp, limits: ClaimLimits) -> Result<FromDay, Error> {
    let Some(file) = files.existing_day(day)? else { return Ok(FromDay::default()) };
    let deliveries = claim_from(file.connection(), owner, now, limits).map_err(failed(OPERATION))?;
    let next_due = next_due(file.connection()).map_err(failed(OPERATION))?;
    if next_due.is_none() {
        note_whether_pending(files, day)?;
    }
    Ok(FromDay { deliveries, next_due })
}

fn claim_from(connection: &Connection, owner: Owner, now: Timestamp, limits: ClaimLimits) -> rusqlite::Result<Vec<SealedDelivery>> {
    let mut select = connection.prepare_cached(SELECT_DUE)?;
    let mut rows = select.query(params![now.as_millis(), limits.deliveries, 0])?;
    let mut claimed = Vec::new();
    let mut bytes = 0;
    while bytes <= limits.bytes
        && let Some(row) = rows.next()?
    {
        let delivery = read(row, owner)?;
        bytes += delivery.payload.size();
        claimed.push(delivery);
    }
    drop(rows);
    take(connection, owner, &claimed)?;
    Ok(claimed)
}

fn take(connection: &Connection, owner: Owner, claimed: &[SealedDelivery]) -> rusqlite::Result<()> {
    let mut take = connection.prepare_cached(TAKE)?;
    for delivery in claimed {
        take.execute(params![owner.number(), delivery.message_id.as_bytes(), delivery.route_id.as_bytes()])?;
    }
    Ok(())
}

/// Result of a claim from the backlogs of one day.
#[derive(Debug, Default)]
pub(crate) struct FromBacklogs {
    pub(crate) claimed: Vec<SealedDelivery>,
    /// Backlogs whose deliveries of later days must not be claimed.
    pub(crate) blocked: Vec<Backlog>,
}

/// Claims from the backlogs of one day: a claim is kept as a whole or not at all.
pub(crate) fn claim_backlogs(
    files: &mut Files,
    day: Day,
    owner: Owner,
    now: Timestamp,
    wants: &[BacklogRequest],
    bytes: usize,
) -> Result<FromBacklogs, Error> {
    let Some(file) = files.existing_day(day)? else { return Ok(FromBacklogs::default()) };
    from_backlogs(file.connection(), owner, now, wants, bytes).map_err(failed(OPERATION))
}

fn from_backlogs(
    connection: &Connection,
    owner: Owner,
    now: Timestamp,
    wants: &[BacklogRequest],
    bytes: usize,
) -> rusqlite::Result<FromBacklogs> {
    let mut found = FromBacklogs::default();
    let mut room = bytes;
    for want in wants {
        if room == 0 {
            // The rest was not examined, so later days of the backlog wait for the next claim.
            found.blocked.push(want.backlog);
            continue;
        }
        let mut select = connection.prepare_cached(SELECT_DUE)?;
        // In an ordered backlog the column is a position, which is not compared with a clock.
        let until = if want.in_order { i64::MAX } else { now.as_millis() };
        let mut rows = select.query(params![until, want.deliveries, want.backlog.number()])?;
        while let Some(row) = rows.next()? {
            let retry_at: Option<i64> = row.get(13)?;
            let is_due = retry_at.is_none_or(|retry_at| retry_at <= now.as_millis());
            if room == 0 || (!is_due && want.in_order) {
                found.blocked.push(want.backlog);
                break;
            }
            if is_due {
                let delivery = read(row, owner)?;
                room = room.saturating_sub(delivery.payload.size().max(1));
                found.claimed.push(delivery);
            }
        }
    }
    take(connection, owner, &found.claimed)?;
    Ok(found)
}

/// Returns the length of a backlog within one day.
pub(crate) fn backlog_length(connection: &Connection, backlog: Backlog, at_most: usize) -> rusqlite::Result<usize> {
    connection.prepare_cached(LENGTH)?.query_row(params![backlog.number(), at_most], |row| row.get(0))
}

/// Returns the backlogs of one day within ranges of numbers.
pub(crate) fn backlogs(
    connection: &Connection,
    ranges: &[(i64, i64)],
    after: Option<Backlog>,
    limit: usize,
) -> rusqlite::Result<Vec<BacklogHead>> {
    let mut heads = Vec::new();
    let mut next = connection.prepare_cached(NEXT_BACKLOG)?;
    for (first, last) in ranges {
        let mut number = after.map_or(first.saturating_sub(1), |after| after.number().max(first.saturating_sub(1)));
        while heads.len() < limit && number < *last {
            let mut rows = next.query(params![number, last])?;
            let Some(row) = rows.next()? else { break };
            number = row.get(0)?;
            let (due_at, retry_at): (i64, Option<i64>) = (row.get(3)?, row.get(4)?);
            let Some(backlog) = Backlog::from_number(number) else { break };
            heads.push(BacklogHead {
                backlog,
                origin_id: OriginId::from_bytes(row.get(1)?),
                route_id: RouteId::from_bytes(row.get(2)?),
                due_at: Timestamp::from_millis(retry_at.unwrap_or(due_at)),
                retry_at: retry_at.map(Timestamp::from_millis),
            });
        }
    }
    Ok(heads)
}

fn read(row: &Row<'_>, owner: Owner) -> rusqlite::Result<SealedDelivery> {
    let trigger: String = row.get(5)?;
    Ok(SealedDelivery {
        owner,
        environment_id: EnvironmentId::from_bytes(row.get(14)?),
        message_id: MessageId::from_bytes(row.get(0)?),
        origin_id: OriginId::from_bytes(row.get(2)?),
        event_type: row.get(6)?,
        payload: read_payload(row, 7)?,
        hops: Hops::new(row.get(15)?),
        trace: row.get::<_, Option<String>>(16)?.as_deref().and_then(TraceContext::from_stored).map(Box::new),
        route_id: RouteId::from_bytes(row.get(1)?),
        backlog: Backlog::from_number(row.get(12)?),
        attempts: row.get(3)?,
        failed: row.get(4)?,
        trigger: Trigger::parse(&trigger).unwrap_or(Trigger::Automatic),
        due_at: Timestamp::from_millis(row.get::<_, Option<i64>>(13)?.map_or_else(|| row.get(11), Ok)?),
    })
}

fn next_due(connection: &Connection) -> rusqlite::Result<Option<Timestamp>> {
    let mut statement = connection.prepare_cached(NEXT_DUE)?;
    let mut rows = statement.query([])?;
    rows.next()?.map(|row| row.get(0).map(Timestamp::from_millis)).transpose()
}

fn note_whether_pending(files: &mut Files, day: Day) -> Result<(), Error> {
    let has_pending = files.day(day)?.connection().query_row(HAS_PENDING, [], |row| row.get(0)).map_err(failed(OPERATION))?;
    files.note_pending(day, has_pending);
    Ok(())
}
