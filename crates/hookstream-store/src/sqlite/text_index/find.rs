//! Search in the index: candidates by their words, then the filter on their rows.

use std::path::Path;

use hookstream_model::{
    base::{ids::OriginId, time::Day},
    outbound::text_search::TextQuery,
};
use rusqlite::{Connection, OptionalExtension, params};

use super::file;
use crate::{
    db::error::Error,
    delivery::{
        finding::{CHUNK, Collector, Direction, Found, IdBytes, MessageSearch, Range, behind},
        messages::Message,
        text_index::marks_of,
    },
    sqlite::{
        db::{connection::failed, readers::Days},
        history::{finding::complete, messages::read_message},
    },
};

const OPERATION: &str = "search messages";
/// Entries are numbered in the order of their ids. The bounds are numbers, so that the index skips what is outside.
const OLDER: &str = "select e.message_id, e.origin_id from words w join entries e on e.number = w.rowid
    where words match ?1 and w.rowid >= ?2 and w.rowid < ?3 order by w.rowid desc limit ?4";
const NEWER: &str = "select e.message_id, e.origin_id from words w join entries e on e.number = w.rowid
    where words match ?1 and w.rowid >= ?2 and w.rowid < ?3 order by w.rowid limit ?4";
const NUMBER_FROM: &str = "select number from entries where message_id >= ?1 order by message_id limit 1";
const MESSAGE: &str = "select id, origin_id, event_type, event_id, deliveries, channels from messages
    where origin_id = ?1 and id = ?2 and environment_id = ?3";

/// Returns a page of indexed messages.
pub(super) fn messages(
    days: &Days<'_>,
    directory: &Path,
    search: &MessageSearch,
    query: &TextQuery,
) -> Result<Found<Message, IdBytes>, Error> {
    let (range, direction) = (&search.range, search.range.direction);
    let expression = expression(range, query);
    let (first, last) = range.days();
    let mut in_order: Vec<Day> = file::days(directory).into_iter().filter(|day| (first..=last).contains(day)).collect();
    if direction == Direction::Older {
        in_order.reverse();
    }
    let mut found = Collector::new(search.limit);
    for day in in_order {
        let Some(index) = file::read(directory, day)? else { continue };
        let stopped = days.read(day, |connection| of_day(connection, &index, &expression, search, &mut found))?.flatten();
        if stopped.is_some() {
            return Ok(found.finish(stopped, direction));
        }
    }
    Ok(found.finish(None, direction))
}

/// Visits the candidates of a day. Returns the position at which the search stopped.
fn of_day(
    connection: &Connection,
    index: &Connection,
    expression: &str,
    search: &MessageSearch,
    found: &mut Collector<Message, IdBytes>,
) -> Result<Option<IdBytes>, Error> {
    let direction = search.range.direction;
    let mut left = search.range.clone();
    loop {
        let candidates = candidates(index, expression, &left).map_err(failed(OPERATION))?;
        let is_last = candidates.len() < CHUNK;
        for (id, origin) in candidates {
            let bound = behind(id, direction);
            let environment = search.range.tenant.environment;
            let message = connection
                .prepare_cached(MESSAGE)
                .and_then(|mut read| read.query_row(params![origin.as_bytes(), id, environment.as_bytes()], read_message).optional())
                .map_err(failed(OPERATION))?;
            if let Some(message) = message
                && let Some(message) = complete(connection, message, search)?
                && !found.take(message, bound)
            {
                return Ok(Some(bound));
            }
            if !found.examine() {
                return Ok(Some(bound));
            }
            left = left.behind_bound(bound);
        }
        if is_last {
            return Ok(None);
        }
    }
}

fn candidates(index: &Connection, expression: &str, range: &Range) -> rusqlite::Result<Vec<(IdBytes, OriginId)>> {
    let number = |id: IdBytes| index.prepare_cached(NUMBER_FROM)?.query_row([id], |row| row.get::<_, i64>(0)).optional();
    let (from, below) = (number(range.lowest)?.unwrap_or(i64::MAX), number(range.below)?.unwrap_or(i64::MAX));
    let sql = if range.direction == Direction::Older { OLDER } else { NEWER };
    let most = i64::try_from(CHUNK).unwrap_or(i64::MAX);
    let mut read = index.prepare_cached(sql)?;
    read.query_map(params![expression, from, below, most], |row| Ok((row.get(0)?, OriginId::from_bytes(row.get(1)?))))?.collect()
}

/// Returns the expression of a query. Each word is quoted, and words have no quotes.
fn expression(range: &Range, query: &TextQuery) -> String {
    let marks = marks_of(range).into_iter().map(|mark| format!("\"{mark}\""));
    let words = query.words().iter().map(|word| format!("\"{}\"{}", word.as_str(), if word.is_prefix() { "*" } else { "" }));
    // The words first: they are usually rarer.
    words.chain(marks).collect::<Vec<_>>().join(" AND ")
}

#[cfg(test)]
mod tests {
    use hookstream_model::{
        base::ids::{EnvironmentId, OrganizationId},
        identity::tenancy::Tenant,
    };

    use super::*;

    #[test]
    fn expression_has_quoted_words_only() {
        let tenant = Tenant { organization: OrganizationId::from_bytes([1; 16]), environment: EnvironmentId::from_bytes([0xab; 16]) };
        let range = Range { tenant, origin: None, lowest: [0; 16], below: [0xff; 16], direction: Direction::Older };
        let query = TextQuery::parse("\"ada\" NEAR(bcd*e) inv*").expect("a query").expect("words");
        assert_eq!(expression(&range, &query), format!("\"ada\" AND \"near\" AND \"bcd\"* AND \"inv\"* AND \"~e{}\"", "ab".repeat(16)));
    }
}
