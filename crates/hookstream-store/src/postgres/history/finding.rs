//! Search for messages and attempts, a bounded number of messages at a time ([`crate::delivery::finding`]).

use std::collections::{BTreeMap, HashMap, HashSet};

use hookstream_model::{
    base::{
        ids::{MessageId, OriginId},
        time::Timestamp,
    },
    delivery::attempt::Attempt,
    identity::tenancy::Tenant,
};
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::messages::{add_counts, add_payloads, read_attempt, read_message, uuid};
use crate::{
    db::error::Error,
    delivery::{
        finding::{
            AttemptPosition, AttemptSearch, CHUNK, CHUNK_OF_ATTEMPTS, Candidates, Collector, Direction, Found, FoundAttempt, IdBytes,
            MessageSearch, Range, StatusClass, behind, merge,
        },
        messages::Message,
    },
    postgres::{
        db::connection::{Connection, Pool, connect},
        retention::days::{number, of_number},
    },
};

const OPERATION: &str = "find messages";
macro_rules! chunk {
    ($order:literal) => {
        concat!(
            "select m.id, m.origin_id, m.event_type, m.event_id, m.deliveries, m.channels
            from unnest($1::uuid[]) as a (id) cross join lateral (
                select m.id, m.origin_id, m.event_type, m.event_id, m.deliveries, m.channels from messages m
                where m.origin_id = a.id and m.id >= $2 and m.id < $3 and m.environment_id = $4 order by m.id",
            $order,
            " limit $5) m"
        )
    };
}
const OLDER: &str = chunk!(" desc");
const NEWER: &str = chunk!("");
/// The same of messages with a delivery that ended without success.
macro_rules! undelivered_chunk {
    ($order:literal) => {
        concat!(
            "select m.id, m.origin_id, m.event_type, m.event_id, m.deliveries, m.channels
            from unnest($1::uuid[]) as a (id) cross join lateral (
                select distinct u.message_id from undelivered u
                where u.origin_id = a.id and u.message_id >= $2 and u.message_id < $3 order by u.message_id",
            $order,
            " limit $5) u join messages m on m.origin_id = a.id and m.id = u.message_id where m.environment_id = $4"
        )
    };
}
const OLDER_UNDELIVERED: &str = undelivered_chunk!(" desc");
const NEWER_UNDELIVERED: &str = undelivered_chunk!("");
/// Makes the planner read rows in the order of the index, and compile nothing. The table of the current day may have no statistics
/// yet: the planner then expects one row, and reads and sorts all of an origin. Where it expects too many rows, it compiles for
/// 130 ms what runs for one.
const IN_ORDER: &str = "set local enable_bitmapscan = off; set local jit = off";
const OF_ENVIRONMENT: &str = "select id from applications where environment_id = $1";
/// Days on which these applications have messages, with the applications of each.
const DAYS: &str = "select day, array_agg(distinct origin_id) from message_counts
    where origin_id = any($1) and day >= $2 and day <= $3 group by day";
const FOR_TARGET: &str = "select message_id from all_pending where message_id = any($1) and route_id = $2
    union select message_id from undelivered where message_id = any($1) and route_id = $2 and message_id >= $3 and message_id <= $4
    union select message_id from attempts where message_id = any($1) and route_id = $2 and message_id >= $3 and message_id <= $4";
const ATTEMPTS: &str =
    "select message_id, id, route_id, number, trigger_type, succeeded, response_status, response_body, duration_ms, error, created_at,
        waterfall, response_headers
    from attempts where message_id = any($1) and message_id >= $2 and message_id <= $3
        and ($4::uuid is null or route_id = $4) and ($5::bool is null or succeeded = $5)
        and ($6::int4 is null or response_status between $6 and $7) and (not $8::bool or response_status is null)
        and ($9::int8 is null or created_at >= $9) and ($10::int8 is null or created_at < $10)
    order by message_id desc, id desc";
const APPLICATION_OF: &str = "select m.origin_id from (select distinct origin_id from message_counts where day = $3) c
    join messages m on m.origin_id = c.origin_id and m.id = $1 where m.environment_id = $2 limit 1";

/// Returns the origin of a tenant's message.
pub(crate) async fn origin_of(pool: &Pool, tenant: Tenant, id: MessageId) -> Result<Option<OriginId>, Error> {
    let connection = connect(pool, OPERATION).await?;
    let (message, environment, day) = (uuid(id.as_bytes()), uuid(tenant.environment.as_bytes()), number(id.timestamp().day()));
    let values = [(&message as _, Type::UUID), (&environment as _, Type::UUID), (&day as _, Type::INT8)];
    let rows = connection.query(APPLICATION_OF, &values).await?;
    Ok(rows.first().map(|row| OriginId::from_bytes(row.get::<_, Uuid>(0).into_bytes())))
}

pub(crate) async fn messages(pool: &Pool, search: &MessageSearch) -> Result<Found<Message, IdBytes>, Error> {
    let read = async |connection: &Connection| {
        connection.batch(IN_ORDER).await?;
        page_of_messages(connection, search).await
    };
    connect(pool, OPERATION).await?.transaction(read, |_| true).await
}

async fn page_of_messages(connection: &Connection, search: &MessageSearch) -> Result<Found<Message, IdBytes>, Error> {
    let direction = search.range.direction;
    let mut walk = Walk::begin(connection, &search.range, search.filter.candidates(), CHUNK).await?;
    let mut found = Collector::new(search.limit);
    let mut examined = None;
    'pages: while let Some(messages) = walk.next(connection).await? {
        let ids: Vec<_> = messages.iter().map(|message| *message.id.as_bytes()).collect();
        let matching = complete(connection, messages, search).await?;
        let mut matching: HashMap<MessageId, Message> = matching.into_iter().map(|message| (message.id, message)).collect();
        for id in ids {
            examined = Some(behind(id, direction));
            if let Some(message) = matching.remove(&MessageId::from_bytes(id))
                && !found.take(message, behind(id, direction))
            {
                break 'pages;
            }
            if !found.examine() {
                break 'pages;
            }
        }
        examined = None;
    }
    let mut found = found.finish(examined, direction);
    if search.payloads.are_included() {
        add_payloads(connection, &mut found.items).await?;
    }
    Ok(found)
}

/// Returns the messages that match the filter, with their counts and without their payloads.
pub(crate) async fn complete(connection: &Connection, messages: Vec<Message>, search: &MessageSearch) -> Result<Vec<Message>, Error> {
    let mut matching: Vec<_> = messages.into_iter().filter(|message| search.filter.matches_message(message)).collect();
    if let Some(route) = search.filter.route {
        let for_target = find_for_target(connection, &matching, uuid(route.as_bytes())).await?;
        matching.retain(|message| for_target.contains(&message.id));
    }
    let mut matching = add_counts(connection, matching).await?;
    matching.retain(|message| search.filter.matches_status(message));
    Ok(matching)
}

pub(crate) async fn attempts(pool: &Pool, search: &AttemptSearch) -> Result<Found<FoundAttempt, AttemptPosition>, Error> {
    let read = async |connection: &Connection| {
        connection.batch(IN_ORDER).await?;
        page_of_attempts(connection, search).await
    };
    connect(pool, "find attempts").await?.transaction(read, |_| true).await
}

async fn page_of_attempts(connection: &Connection, search: &AttemptSearch) -> Result<Found<FoundAttempt, AttemptPosition>, Error> {
    let direction = search.range.direction;
    let mut walk = Walk::begin(connection, &search.range, Candidates::All, CHUNK_OF_ATTEMPTS).await?;
    let mut found = Collector::new(search.limit);
    let mut examined = None;
    'pages: while let Some(messages) = walk.next(connection).await? {
        let types = &search.filter.event_types;
        let matches = |message: &&Message| types.is_empty() || types.contains(&message.event_type);
        let matching: Vec<_> = messages.iter().filter(matches).map(|message| uuid(message.id.as_bytes())).collect();
        let mut attempts: HashMap<MessageId, Vec<Attempt>> = HashMap::new();
        for attempt in read_attempts(connection, &matching, search).await? {
            attempts.entry(attempt.message_id).or_default().push(attempt);
        }
        for message in messages {
            let id = *message.id.as_bytes();
            examined = Some(search.behind_all(id));
            let mut of_message = attempts.remove(&message.id).unwrap_or_default();
            if direction == Direction::Newer {
                of_message.reverse();
            }
            for attempt in of_message.into_iter().filter(|attempt| search.is_ahead(id, *attempt.id.as_bytes())) {
                let position = search.behind(id, *attempt.id.as_bytes());
                let row = FoundAttempt { attempt, origin_id: message.origin_id, event_type: message.event_type.clone() };
                if !found.take(row, position) {
                    break 'pages;
                }
            }
            if !found.examine() {
                break 'pages;
            }
        }
        examined = None;
    }
    Ok(found.finish(examined, direction))
}

async fn read_attempts(connection: &Connection, messages: &[Uuid], search: &AttemptSearch) -> Result<Vec<Attempt>, Error> {
    let (Some(first), Some(last)) = (messages.iter().min(), messages.iter().max()) else { return Ok(Vec::new()) };
    let filter = &search.filter;
    let bounds = filter.class.and_then(StatusClass::bounds);
    let is_unanswered = filter.class.is_some() && bounds.is_none();
    let (from, to) = (bounds.map(|(from, _)| i32::from(from)), bounds.map(|(_, to)| i32::from(to)));
    let route = filter.route.map(|route| uuid(route.as_bytes()));
    let (since, until) = (filter.since.map(Timestamp::as_millis), filter.until.map(Timestamp::as_millis));
    let values = [
        (&messages as _, Type::UUID_ARRAY),
        (first as _, Type::UUID),
        (last as _, Type::UUID),
        (&route as _, Type::UUID),
        (&filter.succeeded as _, Type::BOOL),
        (&from as _, Type::INT4),
        (&to as _, Type::INT4),
        (&is_unanswered as _, Type::BOOL),
        (&since as _, Type::INT8),
        (&until as _, Type::INT8),
    ];
    Ok(connection.query(ATTEMPTS, &values).await?.iter().map(read_attempt).collect())
}

async fn find_for_target(connection: &Connection, messages: &[Message], route: Uuid) -> Result<HashSet<MessageId>, Error> {
    let ids: Vec<_> = messages.iter().map(|message| uuid(message.id.as_bytes())).collect();
    let (Some(first), Some(last)) = (ids.iter().min(), ids.iter().max()) else { return Ok(HashSet::new()) };
    let values = [(&ids as _, Type::UUID_ARRAY), (&route as _, Type::UUID), (first as _, Type::UUID), (last as _, Type::UUID)];
    let rows = connection.query(FOR_TARGET, &values).await?;
    Ok(rows.iter().map(|row| MessageId::from_bytes(row.get::<_, Uuid>(0).into_bytes())).collect())
}

/// Walk through the messages of a range in order.
struct Walk {
    candidates: Candidates,
    chunk: usize,
    /// Remaining parts of the range with their applications, the next one last.
    left: Vec<(Range, Vec<Uuid>)>,
}

impl Walk {
    async fn begin(connection: &Connection, range: &Range, candidates: Candidates, chunk: usize) -> Result<Self, Error> {
        if range.is_empty() {
            return Ok(Self { candidates, chunk, left: Vec::new() });
        }
        if let Some(origin) = range.origin {
            return Ok(Self { candidates, chunk, left: vec![(range.clone(), vec![uuid(origin.as_bytes())])] });
        }
        let environment: &[u8] = range.tenant.environment.as_bytes();
        let rows = connection.query(OF_ENVIRONMENT, &[(&environment as _, Type::BYTEA)]).await?;
        let applications: Vec<_> = rows.iter().filter_map(|row| Uuid::from_slice(row.get(0)).ok()).collect();
        let (first, last) = range.days();
        let values = [(&applications as _, Type::UUID_ARRAY), (&number(first) as _, Type::INT8), (&number(last) as _, Type::INT8)];
        let rows = connection.query(DAYS, &values).await?;
        let by_day: BTreeMap<i64, Vec<Uuid>> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        let mut left: Vec<_> = by_day.into_iter().map(|(day, applications)| (of_day(range, day), applications)).collect();
        if range.direction == Direction::Newer {
            left.reverse();
        }
        Ok(Self { candidates, chunk, left })
    }

    /// Returns the next messages; `None` at the end of the range.
    async fn next(&mut self, connection: &Connection) -> Result<Option<Vec<Message>>, Error> {
        let Some((range, applications)) = self.left.pop() else { return Ok(None) };
        // With many applications, read fewer rows of each: rows that are read but not examined are read again.
        let of_each = (self.chunk / applications.len().max(1)).max(8);
        let (lowest, below) = (uuid(&range.lowest), uuid(&range.below));
        let environment = uuid(range.tenant.environment.as_bytes());
        let values = [
            (&applications as _, Type::UUID_ARRAY),
            (&lowest as _, Type::UUID),
            (&below as _, Type::UUID),
            (&environment as _, Type::UUID),
            (&i64::try_from(of_each).unwrap_or(i64::MAX) as _, Type::INT8),
        ];
        let sql = match (self.candidates, range.direction) {
            (Candidates::All, Direction::Older) => OLDER,
            (Candidates::All, Direction::Newer) => NEWER,
            (Candidates::Undelivered, Direction::Older) => OLDER_UNDELIVERED,
            (Candidates::Undelivered, Direction::Newer) => NEWER_UNDELIVERED,
        };
        let mut parts: HashMap<OriginId, Vec<Message>> = HashMap::new();
        for row in &connection.query(sql, &values).await? {
            let message = read_message(row)?;
            parts.entry(message.origin_id).or_default().push(message);
        }
        let mut parts: Vec<_> = parts.into_values().collect();
        for part in &mut parts {
            match range.direction {
                Direction::Older => part.sort_by_key(|message| std::cmp::Reverse(message.id)),
                Direction::Newer => part.sort_by_key(|message| message.id),
            }
        }
        let (messages, continues_at) = merge(parts, of_each, range.direction);
        if let Some(bound) = continues_at {
            self.left.push((range.behind_bound(bound), applications));
        }
        Ok(Some(messages))
    }
}

/// Returns the part of a range within a day.
fn of_day(range: &Range, day: i64) -> Range {
    let day = of_number(day);
    let (start, end) = (MessageId::before_all_at(day.start()), MessageId::before_all_at(day.next().start()));
    Range { lowest: range.lowest.max(*start.as_bytes()), below: range.below.min(*end.as_bytes()), ..range.clone() }
}
