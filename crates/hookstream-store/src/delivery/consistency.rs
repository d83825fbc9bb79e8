//! Consistency check of a store: compares the counts of deliveries and bytes with the rows, and rows with each other.
//! `hookstream doctor` runs it.
//!
//! Each query is one SQL text for both databases, bounded by a day. A store runs all queries of a day at one moment
//! ([`ConsistencyReport::add`]), so concurrent work does not disturb the result.

use std::collections::BTreeMap;

use hookstream_model::base::{
    ids::{EnvironmentId, MessageId, OriginId, RouteId},
    time::Day,
};

use crate::{
    db::{
        error::Error,
        statement::{Columns, Row},
    },
    delivery::counts::Counts,
};

/// Result of the check.
#[derive(Debug, Default)]
pub struct ConsistencyReport {
    /// Days of each environment, oldest first.
    pub balances: Vec<Balance>,
    /// Contradictions, at most 20 of each kind and day.
    pub findings: Vec<Finding>,
}

/// Counts of one day of an environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Balance {
    /// Day of the messages.
    pub day: Day,
    /// Environment.
    pub environment_id: EnvironmentId,
    /// Counts kept by the commits.
    pub counted: Counts,
    /// Counts computed from the rows.
    pub found: Counts,
}

impl Balance {
    /// Returns whether the kept counts equal the rows.
    pub fn holds(&self) -> bool {
        self.counted == self.found
    }
}

/// Number of pending deliveries, counted in two ways.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PendingBalance {
    /// Pending deliveries by the counts that the commits keep.
    pub counted: i64,
    /// Difference to the rows, summed over the days without sign.
    pub unaccounted: i64,
}

impl PendingBalance {
    /// Pending deliveries by the counts, and by the rows.
    pub(crate) const SQL: &str =
        "select cast(coalesce((select sum(accepted - succeeded - exhausted - skipped - cancelled) from delivery_counts), 0) as bigint),
        (select count(*) from all_pending)";

    /// Adds what was read at one moment.
    pub(crate) fn add(&mut self, counted: i64, found: i64) {
        self.counted += counted;
        self.unaccounted += (counted - found).abs();
    }
}

/// Rows that contradict each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// A message has deliveries without a trace (not pending, not ended, never attempted), or too many of them.
    Untraced {
        /// Origin of the message.
        origin_id: OriginId,
        /// Message.
        message_id: MessageId,
        /// Deliveries according to the message.
        deliveries: i64,
        /// Deliveries with a trace.
        found: i64,
    },
    /// A delivery is pending but its message is missing.
    WithoutMessage(MessageId, RouteId),
    /// A delivery is pending but its payload is missing.
    WithoutPayload(MessageId, RouteId),
    /// A delivery is both pending and ended.
    Twice(MessageId, RouteId),
    /// Deliveries belong to an owner number that no node has.
    OwnerGone {
        /// Owner number.
        owner: i64,
        /// Number of deliveries.
        deliveries: i64,
    },
}

/// Query about one day.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Query {
    Messages,
    Payloads,
    Pending,
    Undelivered,
    Untraced,
    Unsendable,
    Twice,
}

impl Query {
    pub(crate) const ALL: [Self; 7] =
        [Self::Messages, Self::Payloads, Self::Pending, Self::Undelivered, Self::Untraced, Self::Unsendable, Self::Twice];

    /// Returns the query text. `$1` is the first id of the day, `$2` the first id after it.
    pub(crate) const fn sql(self) -> &'static str {
        match self {
            Self::Messages => {
                "select environment_id, count(*), cast(sum(deliveries) as bigint) from messages
                where id >= $1 and id < $2 group by environment_id"
            }
            // The database knows the sizes without reading the bodies.
            Self::Payloads => {
                "select environment_id, cast(sum(octet_length(body)) as bigint) from payloads
                where message_id >= $1 and message_id < $2 group by environment_id"
            }
            Self::Pending => {
                "select m.environment_id, count(*) from all_pending p
                join messages m on m.origin_id = p.origin_id and m.id = p.message_id and m.id >= $1 and m.id < $2
                where p.message_id >= $1 and p.message_id < $2 group by m.environment_id"
            }
            Self::Undelivered => {
                "select m.environment_id, u.state, count(*) from messages m
                join undelivered u on u.message_id = m.id and u.message_id >= $1 and u.message_id < $2
                where m.id >= $1 and m.id < $2 group by m.environment_id, u.state"
            }
            Self::Untraced => {
                "select origin_id, id, cast(deliveries as bigint), found from (
                    select m.origin_id, m.id, m.deliveries, (
                        select count(*) from (
                            select p.route_id from all_pending p where p.message_id = m.id
                            union select u.route_id from undelivered u
                                where u.message_id = m.id and u.message_id >= $1 and u.message_id < $2
                            union select a.route_id from attempts a
                                where a.message_id = m.id and a.message_id >= $1 and a.message_id < $2
                        ) known
                    ) as found
                    from messages m where m.id >= $1 and m.id < $2
                ) traced where deliveries <> found limit 20"
            }
            Self::Unsendable => {
                "select p.message_id, p.route_id, m.id from all_pending p
                left join messages m on m.origin_id = p.origin_id and m.id = p.message_id and m.id >= $1 and m.id < $2
                left join payloads b on b.message_id = p.message_id and b.message_id >= $1 and b.message_id < $2
                where p.message_id >= $1 and p.message_id < $2 and (m.id is null or b.message_id is null) limit 20"
            }
            Self::Twice => {
                "select p.message_id, p.route_id from all_pending p
                join undelivered u on u.message_id = p.message_id and u.route_id = p.route_id
                    and u.message_id >= $1 and u.message_id < $2
                where p.message_id >= $1 and p.message_id < $2 limit 20"
            }
        }
    }
}

/// Rows read about one day.
#[derive(Debug, Default)]
pub(crate) struct DayRows {
    /// Rows of an environment and its kept counts.
    pub(crate) counted: Vec<Row>,
    /// Rows of each query.
    pub(crate) results: Vec<(Query, Vec<Row>)>,
}

impl ConsistencyReport {
    /// Returns whether no inconsistency was found.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty() && self.balances.iter().all(Balance::holds)
    }

    /// Adds the rows of one day.
    pub(crate) fn add(&mut self, day: Day, rows: DayRows) -> Result<(), Error> {
        let mut of_day: BTreeMap<EnvironmentId, (Counts, Counts)> = BTreeMap::new();
        for row in rows.counted {
            let mut columns = row.columns();
            let environment = environment(&mut columns)?;
            let mut counts = [0; 7];
            for count in &mut counts {
                *count = columns.integer("count")?;
            }
            of_day.entry(environment).or_default().0 = Counts::of_columns(counts);
        }
        for (query, rows) in rows.results {
            for row in rows {
                let mut columns = row.columns();
                self.add_row(query, &mut columns, &mut of_day)?;
            }
        }
        self.balances.extend(of_day.into_iter().map(|(environment_id, (counted, found))| Balance { day, environment_id, counted, found }));
        Ok(())
    }

    fn add_row(
        &mut self,
        query: Query,
        columns: &mut Columns,
        of_day: &mut BTreeMap<EnvironmentId, (Counts, Counts)>,
    ) -> Result<(), Error> {
        match query {
            // A delivery that is neither pending nor ended has succeeded: the other queries subtract the rest.
            Query::Messages => {
                let found = &mut of_day.entry(environment(columns)?).or_default().1;
                let (messages, accepted) = (columns.integer("messages")?, columns.integer("deliveries")?);
                *found += Counts { messages, accepted, succeeded: accepted, ..Counts::default() };
            }
            Query::Payloads => {
                let found = &mut of_day.entry(environment(columns)?).or_default().1;
                found.payload_bytes += columns.integer("payload bytes")?;
            }
            Query::Pending => {
                let found = &mut of_day.entry(environment(columns)?).or_default().1;
                found.succeeded -= columns.integer("pending")?;
            }
            Query::Undelivered => {
                let found = &mut of_day.entry(environment(columns)?).or_default().1;
                let (state, number) = (columns.text("state")?, columns.integer("undelivered")?);
                found.succeeded -= number;
                match state.as_str() {
                    "exhausted" => found.exhausted += number,
                    "skipped" => found.skipped += number,
                    _ => found.cancelled += number,
                }
            }
            Query::Untraced => {
                let origin_id = columns.id("origin id", OriginId::from_bytes)?;
                let message_id = columns.id("message id", MessageId::from_bytes)?;
                let (deliveries, found) = (columns.integer("deliveries")?, columns.integer("deliveries")?);
                self.findings.push(Finding::Untraced { origin_id, message_id, deliveries, found });
            }
            Query::Unsendable => {
                let (message, route) = delivery(columns)?;
                let has_message = columns.optional_id("message id", MessageId::from_bytes)?.is_some();
                self.findings.push(if has_message {
                    Finding::WithoutPayload(message, route)
                } else {
                    Finding::WithoutMessage(message, route)
                });
            }
            Query::Twice => {
                let (message, route) = delivery(columns)?;
                self.findings.push(Finding::Twice(message, route));
            }
        }
        Ok(())
    }
}

fn environment(columns: &mut Columns) -> Result<EnvironmentId, Error> {
    columns.id("environment id", EnvironmentId::from_bytes)
}

fn delivery(columns: &mut Columns) -> Result<(MessageId, RouteId), Error> {
    Ok((columns.id("message id", MessageId::from_bytes)?, columns.id("route id", RouteId::from_bytes)?))
}
