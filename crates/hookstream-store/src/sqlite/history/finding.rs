//! Search for messages and attempts, day by day and a bounded number of messages at a time ([`crate::delivery::finding`]).

use std::collections::HashSet;

use hookstream_model::{
    base::{
        ids::{MessageId, OriginId},
        time::Day,
    },
    identity::tenancy::Tenant,
};
use rusqlite::{Connection, OptionalExtension, params};

use super::messages::{add_counts, read_attempt, read_message, read_payload_of};
use crate::{
    db::error::Error,
    delivery::{
        finding::{
            AttemptPosition, AttemptSearch, CHUNK, CHUNK_OF_ATTEMPTS, Candidates, Collector, Direction, Found, FoundAttempt, IdBytes,
            MessageSearch, Range, behind, merge,
        },
        messages::Message,
    },
    sqlite::db::{connection::failed, readers::Days},
};

const OPERATION: &str = "find messages";
const OLDER: &str = "select id, origin_id, event_type, event_id, deliveries, channels from messages
    where origin_id = ?1 and id >= ?2 and id < ?3 and environment_id = ?4 order by id desc limit ?5";
const NEWER: &str = "select id, origin_id, event_type, event_id, deliveries, channels from messages
    where origin_id = ?1 and id >= ?2 and id < ?3 and environment_id = ?4 order by id limit ?5";
/// The same of messages with a delivery that ended without success.
const OLDER_UNDELIVERED: &str = "select m.id, m.origin_id, m.event_type, m.event_id, m.deliveries, m.channels from (
        select distinct message_id from undelivered where origin_id = ?1 and message_id >= ?2 and message_id < ?3
        order by message_id desc limit ?5) u
    cross join messages m on m.origin_id = ?1 and m.id = u.message_id where m.environment_id = ?4 order by u.message_id desc";
const NEWER_UNDELIVERED: &str = "select m.id, m.origin_id, m.event_type, m.event_id, m.deliveries, m.channels from (
        select distinct message_id from undelivered where origin_id = ?1 and message_id >= ?2 and message_id < ?3
        order by message_id limit ?5) u
    cross join messages m on m.origin_id = ?1 and m.id = u.message_id where m.environment_id = ?4 order by u.message_id";
const APPLICATIONS: &str = "select origin_id from message_counts order by origin_id";
const IS_FOR: &str = "select exists (select 1 from all_pending where message_id = ?1 and route_id = ?2)
    or exists (select 1 from undelivered where message_id = ?1 and route_id = ?2)
    or exists (select 1 from attempts where message_id = ?1 and route_id = ?2)";
const ATTEMPTS: &str =
    "select message_id, id, route_id, number, trigger_type, succeeded, response_status, response_body, duration_ms, error, created_at,
        waterfall, response_headers
    from attempts where message_id = ?1 and (?2 is null or route_id = ?2) and (?3 is null or succeeded = ?3)
        and (?4 is null or response_status between ?4 and ?5) and (?6 = 0 or response_status is null)
        and (?7 is null or created_at >= ?7) and (?8 is null or created_at < ?8)
    order by id desc";
const APPLICATION_OF: &str = "select m.origin_id from message_counts c
    cross join messages m on m.origin_id = c.origin_id and m.id = ?1 where m.environment_id = ?2 limit 1";

/// Returns the origin of a tenant's message.
pub(crate) fn origin_of(days: &Days<'_>, tenant: Tenant, id: MessageId) -> Result<Option<OriginId>, Error> {
    let read = |connection: &Connection| {
        let mut find = connection.prepare_cached(APPLICATION_OF).map_err(failed(OPERATION))?;
        let found = find.query_row(params![id.as_bytes(), tenant.environment.as_bytes()], |row| row.get(0).map(OriginId::from_bytes));
        found.optional().map_err(failed(OPERATION))
    };
    Ok(days.read(id.timestamp().day(), read)?.flatten())
}

/// Returns a page of messages. `of_environment` lists the applications that an environment-wide search covers.
pub(crate) fn messages(
    days: &Days<'_>,
    of_environment: &HashSet<OriginId>,
    search: &MessageSearch,
) -> Result<Found<Message, IdBytes>, Error> {
    let direction = search.range.direction;
    let mut found = Collector::new(search.limit);
    let stopped_at = walk(days, of_environment, &search.range, search.filter.candidates(), CHUNK, |connection, messages| {
        for message in messages {
            let bound = behind(*message.id.as_bytes(), direction);
            if let Some(message) = complete(connection, message, search)?
                && !found.take(message, bound)
            {
                return Ok(Some(bound));
            }
            if !found.examine() {
                return Ok(Some(bound));
            }
        }
        Ok(None)
    })?;
    Ok(found.finish(stopped_at, direction))
}

/// Returns a message with its counts and payload, if it matches the filter.
pub(crate) fn complete(connection: &Connection, mut message: Message, search: &MessageSearch) -> Result<Option<Message>, Error> {
    if !search.filter.matches_message(&message) {
        return Ok(None);
    }
    if let Some(route) = search.filter.route {
        let mut is_for = connection.prepare_cached(IS_FOR).map_err(failed(OPERATION))?;
        let is_for = is_for.query_row(params![message.id.as_bytes(), route.as_bytes()], |row| row.get::<_, bool>(0));
        if !is_for.map_err(failed(OPERATION))? {
            return Ok(None);
        }
    }
    add_counts(connection, &mut message)?;
    if !search.filter.matches_status(&message) {
        return Ok(None);
    }
    if search.payloads.are_included() {
        message.payload = read_payload_of(connection, message.id)?;
    }
    Ok(Some(message))
}

/// Returns a page of attempts, found through their messages.
pub(crate) fn attempts(
    days: &Days<'_>,
    of_environment: &HashSet<OriginId>,
    search: &AttemptSearch,
) -> Result<Found<FoundAttempt, AttemptPosition>, Error> {
    let filter = &search.filter;
    let bounds = filter.class.and_then(crate::delivery::finding::StatusClass::bounds);
    let is_unanswered = filter.class.is_some() && bounds.is_none();
    let mut found = Collector::new(search.limit);
    let mut last = None;
    let stopped_at = walk(days, of_environment, &search.range, Candidates::All, CHUNK_OF_ATTEMPTS, |connection, messages| {
        for message in messages {
            let id = *message.id.as_bytes();
            last = Some(search.behind_all(id));
            let matches = filter.event_types.is_empty() || filter.event_types.contains(&message.event_type);
            if matches {
                let mut read = connection.prepare_cached(ATTEMPTS).map_err(failed("find attempts"))?;
                let values = params![
                    id,
                    filter.route.map(|route| *route.as_bytes()),
                    filter.succeeded,
                    bounds.map(|(from, _)| from),
                    bounds.map(|(_, to)| to),
                    is_unanswered,
                    filter.since.map(hookstream_model::base::time::Timestamp::as_millis),
                    filter.until.map(hookstream_model::base::time::Timestamp::as_millis),
                ];
                let rows = read.query_map(values, read_attempt).map_err(failed("find attempts"))?;
                let mut attempts = rows.collect::<rusqlite::Result<Vec<_>>>().map_err(failed("find attempts"))?;
                if search.range.direction == Direction::Newer {
                    attempts.reverse();
                }
                for attempt in attempts.into_iter().filter(|attempt| search.is_ahead(id, *attempt.id.as_bytes())) {
                    let position = search.behind(id, *attempt.id.as_bytes());
                    let row = FoundAttempt { attempt, origin_id: message.origin_id, event_type: message.event_type.clone() };
                    if !found.take(row, position) {
                        return Ok(Some(id));
                    }
                }
            }
            if !found.examine() {
                return Ok(Some(id));
            }
        }
        Ok(None)
    })?;
    Ok(found.finish(stopped_at.and(last), search.range.direction))
}

/// Visits the messages of a range in order, `chunk` at a time, until `visit` returns a position. Returns that
/// position; `None` at the end of the range.
fn walk(
    days: &Days<'_>,
    of_environment: &HashSet<OriginId>,
    range: &Range,
    candidates: Candidates,
    chunk: usize,
    mut visit: impl FnMut(&Connection, Vec<Message>) -> Result<Option<IdBytes>, Error>,
) -> Result<Option<IdBytes>, Error> {
    if range.is_empty() {
        return Ok(None);
    }
    let (first, last) = range.days();
    let mut in_order: Vec<Day> = days.newest_first().into_iter().filter(|day| (first..=last).contains(day)).collect();
    if range.direction == Direction::Newer {
        in_order.reverse();
    }
    for day in in_order {
        let stopped = days.read(day, |connection| walk_day(connection, of_environment, range, candidates, chunk, &mut visit))?.flatten();
        if stopped.is_some() {
            return Ok(stopped);
        }
    }
    Ok(None)
}

fn walk_day(
    connection: &Connection,
    of_environment: &HashSet<OriginId>,
    range: &Range,
    candidates: Candidates,
    chunk: usize,
    visit: &mut impl FnMut(&Connection, Vec<Message>) -> Result<Option<IdBytes>, Error>,
) -> Result<Option<IdBytes>, Error> {
    let applications = match range.origin {
        Some(origin) => vec![origin],
        None => {
            let mut all = connection.prepare_cached(APPLICATIONS).map_err(failed(OPERATION))?;
            let ids = all.query_map([], |row| row.get(0).map(OriginId::from_bytes)).map_err(failed(OPERATION))?;
            let ids = ids.collect::<rusqlite::Result<Vec<_>>>().map_err(failed(OPERATION))?;
            ids.into_iter().filter(|id| of_environment.contains(id)).collect()
        }
    };
    if applications.is_empty() {
        return Ok(None);
    }
    // With many applications, read fewer rows of each: rows that are read but not examined are read again.
    let of_each = (chunk / applications.len()).max(8);
    let sql = match (candidates, range.direction) {
        (Candidates::All, Direction::Older) => OLDER,
        (Candidates::All, Direction::Newer) => NEWER,
        (Candidates::Undelivered, Direction::Older) => OLDER_UNDELIVERED,
        (Candidates::Undelivered, Direction::Newer) => NEWER_UNDELIVERED,
    };
    let mut left = range.clone();
    loop {
        let mut parts = Vec::with_capacity(applications.len());
        for origin in &applications {
            let mut read = connection.prepare_cached(sql).map_err(failed(OPERATION))?;
            let values = params![
                origin.as_bytes(),
                left.lowest,
                left.below,
                left.tenant.environment.as_bytes(),
                i64::try_from(of_each).unwrap_or(i64::MAX)
            ];
            let rows = read.query_map(values, read_message).map_err(failed(OPERATION))?;
            parts.push(rows.collect::<rusqlite::Result<Vec<_>>>().map_err(failed(OPERATION))?);
        }
        let (messages, continues_at) = merge(parts, of_each, range.direction);
        if let Some(stopped) = visit(connection, messages)? {
            return Ok(Some(stopped));
        }
        let Some(bound) = continues_at else { return Ok(None) };
        left = left.behind_bound(bound);
    }
}
