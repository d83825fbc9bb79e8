//! Search in the index: candidates by their words, then the filter on their rows.

use std::collections::HashMap;

use hookstream_model::{base::time::Day, outbound::text_search::TextQuery};
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::tables;
use crate::{
    db::error::Error,
    delivery::{
        finding::{CHUNK, Collector, Direction, EXAMINED, Found, IdBytes, MessageSearch, Range, behind},
        messages::Message,
        text_index::marks_of,
    },
    postgres::{
        db::connection::{Connection, Pool, connect},
        history::{
            finding::complete,
            messages::{add_payloads, read_message},
        },
    },
};

const OPERATION: &str = "search messages";
const MESSAGES: &str = "select m.id, m.origin_id, m.event_type, m.event_id, m.deliveries, m.channels
    from unnest($1::uuid[], $2::uuid[]) as n (id, origin) join messages m on m.origin_id = n.origin and m.id = n.id
    where m.id >= $3 and m.id <= $4 and m.environment_id = $5";

/// Returns a page of indexed messages.
pub(super) async fn messages(pool: &Pool, search: &MessageSearch, query: &TextQuery) -> Result<Found<Message, IdBytes>, Error> {
    let (range, direction) = (&search.range, search.range.direction);
    let connection = connect(pool, OPERATION).await?;
    let expression = expression(range, query);
    let (first, last) = range.days();
    let mut days = tables::days(&connection).await?;
    days.retain(|day| (first..=last).contains(day));
    if direction == Direction::Older {
        days.reverse();
    }
    let mut found = Collector::new(search.limit);
    let mut stopped = None;
    for day in days {
        let of_day = of_day(&connection, day, &expression, search, &mut found).await;
        stopped = tables::if_there(of_day)?.flatten();
        if stopped.is_some() {
            break;
        }
    }
    let mut found = found.finish(stopped, direction);
    if search.payloads.are_included() {
        add_payloads(&connection, &mut found.items).await?;
    }
    Ok(found)
}

/// Visits the candidates of a day. Returns the position at which the search stopped.
async fn of_day(
    connection: &Connection,
    day: Day,
    expression: &str,
    search: &MessageSearch,
    found: &mut Collector<Message, IdBytes>,
) -> Result<Option<IdBytes>, Error> {
    let direction = search.range.direction;
    let statements = Statements::of(day, direction);
    let mut left = search.range.clone();
    loop {
        let (candidates, is_last) = statements.candidates(connection, expression, &left, search.limit).await?;
        for part in candidates.chunks(CHUNK) {
            let mut matching = matching(connection, part, search).await?;
            for (id, _) in part {
                let bound = behind(id.into_bytes(), direction);
                if let Some(message) = matching.remove(id.as_bytes())
                    && !found.take(message, bound)
                {
                    return Ok(Some(bound));
                }
                if !found.examine() {
                    return Ok(Some(bound));
                }
                left = left.behind_bound(bound);
            }
        }
        if is_last {
            return Ok(None);
        }
    }
}

/// Statements that find the candidates of a day. They leave the planner one way each, because the table of the current day has
/// no statistics yet: the first reads in the order of the ids from one end, the second may not read all ids of the range.
struct Statements {
    /// Candidates among the first [`NEAR`] messages of a range: few for a rare word, enough for a common one. Reading them
    /// costs the same for any word, and no estimate of the planner decides.
    near: String,
    /// Candidates by the index, which reads and sorts all of the range.
    by_index: String,
}

/// Messages that are looked at before the index: a word in each hundredth of them fills a page.
const NEAR: usize = 5_000;

impl Statements {
    fn of(day: Day, direction: Direction) -> Self {
        let (order, begin, end) = match direction {
            Direction::Older => ("desc", "message_id < $3", "message_id >= $2"),
            Direction::Newer => ("", "message_id >= $2", "message_id < $3"),
        };
        let table = tables::table(day);
        Self {
            near: format!(
                "select message_id, origin_id from (
                    select message_id, origin_id, words from {table} where {begin} order by message_id {order} limit {NEAR}
                ) near where words @@ $1::text::tsquery and {end} order by message_id {order} limit $4"
            ),
            by_index: format!(
                "select message_id, origin_id from (
                    select message_id, origin_id from {table}
                    where words @@ $1::text::tsquery and ({begin}) is true and ({end}) is true offset 0
                ) matching order by message_id {order} limit $4"
            ),
        }
    }

    /// Returns the first candidates of a range, and whether there are no others.
    async fn candidates(
        &self,
        connection: &Connection,
        expression: &str,
        range: &Range,
        wanted: usize,
    ) -> Result<(Vec<(Uuid, Uuid)>, bool), Error> {
        let (lowest, below) = (Uuid::from_bytes(range.lowest), Uuid::from_bytes(range.below));
        let read = async |sql: &str, most: usize| -> Result<Vec<(Uuid, Uuid)>, Error> {
            let most = i64::try_from(most).unwrap_or(i64::MAX);
            let values = [(&expression as _, Type::TEXT), (&lowest as _, Type::UUID), (&below as _, Type::UUID), (&most as _, Type::INT8)];
            Ok(connection.query(sql, &values).await?.iter().map(|row| (row.get(0), row.get(1))).collect())
        };
        let near = read(&self.near, CHUNK).await?;
        if near.len() > wanted.min(CHUNK - 1) {
            return Ok((near, false));
        }
        let all = read(&self.by_index, EXAMINED).await?;
        let is_last = all.len() < EXAMINED;
        Ok((all, is_last))
    }
}

/// Reads the candidates and returns those that match the filter.
async fn matching(
    connection: &Connection,
    candidates: &[(Uuid, Uuid)],
    search: &MessageSearch,
) -> Result<HashMap<IdBytes, Message>, Error> {
    let ids: Vec<Uuid> = candidates.iter().map(|(id, _)| *id).collect();
    let origins: Vec<Uuid> = candidates.iter().map(|(_, origin)| *origin).collect();
    let (Some(first), Some(last)) = (ids.iter().min(), ids.iter().max()) else { return Ok(HashMap::new()) };
    let environment = Uuid::from_bytes(*search.range.tenant.environment.as_bytes());
    let values = [
        (&ids as _, Type::UUID_ARRAY),
        (&origins as _, Type::UUID_ARRAY),
        (first as _, Type::UUID),
        (last as _, Type::UUID),
        (&environment as _, Type::UUID),
    ];
    let messages = connection.query(MESSAGES, &values).await?.iter().map(read_message).collect::<Result<Vec<_>, _>>()?;
    let matching = complete(connection, messages, search).await?;
    Ok(matching.into_iter().map(|message| (*message.id.as_bytes(), message)).collect())
}

/// Returns the expression of a query. Each word is quoted, and words have no quotes and no backslashes.
fn expression(range: &Range, query: &TextQuery) -> String {
    let words = query.words().iter().map(|word| format!("'{}'{}", word.as_str(), if word.is_prefix() { ":*" } else { "" }));
    let marks = marks_of(range).into_iter().map(|mark| format!("'{mark}'"));
    words.chain(marks).collect::<Vec<_>>().join(" & ")
}

#[cfg(test)]
mod tests {
    use hookstream_model::{
        base::ids::{EnvironmentId, OrganizationId, OriginId},
        identity::tenancy::Tenant,
    };

    use super::*;

    #[test]
    fn expression_has_quoted_words_only() {
        let tenant = Tenant { organization: OrganizationId::from_bytes([1; 16]), environment: EnvironmentId::from_bytes([0xab; 16]) };
        let origin = Some(OriginId::from_bytes([0xcd; 16]));
        let range = Range { tenant, origin, lowest: [0; 16], below: [0xff; 16], direction: Direction::Older };
        let query = TextQuery::parse("ada' | !x & inv* \\").expect("a query").expect("words");
        let marks = format!("'~e{}' & '~o{}'", "ab".repeat(16), "cd".repeat(16));
        assert_eq!(expression(&range, &query), format!("'ada' & 'inv':* & {marks}"));
    }
}
