//! Claims of due deliveries without an owner.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hookstream_model::{
    base::{
        ids::{EnvironmentId, MessageId, OriginId, RouteId},
        time::Timestamp,
        trace_context::TraceContext,
    },
    delivery::{queue::Backlog, state::Trigger},
    outbound::{hops::Hops, message::Message},
};
use tokio::time::Instant;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::{
    db::error::Error,
    delivery::{
        deliveries::{BacklogHead, BacklogRequest, Claim, ClaimLimits, Claimed, Owner},
        payloads::{self, StoredPayload},
    },
    postgres::{
        db::{
            connection::{Connection, Pool, connect},
            owners::owners,
        },
        history::messages::read_payload,
    },
};

/// Due deliveries in the order of the index; rows that another node is claiming are skipped.
const SELECT_DUE: &str = "select message_id, route_id, origin_id, attempts, failed, trigger_type, due_at, backlog, retry_at
    from pending where owner = 0 and due_at >= $1 and due_at <= $2 order by due_at limit $3 for update skip locked";
/// Deliveries of backlogs, which only this node claims from. Waits for rows that a manual retry locks for a moment,
/// so that no later delivery passes them.
const SELECT_IN_BACKLOGS: &str =
    "select p.* from unnest($1::int8[], $2::int8[], $4::bool[]) with ordinality as want (backlog, deliveries, in_order, number)
    cross join lateral (
        select message_id, route_id, origin_id, attempts, failed, trigger_type, due_at, backlog, retry_at from pending
        where owner = want.backlog and (due_at <= $3 or want.in_order) order by due_at, message_id limit want.deliveries for update
    ) p order by want.number, p.due_at, p.message_id";
/// Tells whether a number without a node owns deliveries. A node that froze during a claim and whose lease has
/// expired can still commit the claim; transactions that waited for its rows then skip them.
const IS_ORPHANED: &str = concat!(owners!(), "select exists (select 1 from all_owners where number not in (select number from nodes))");
/// Payload sizes, without reading the payloads. The bounds, here and below, tell the planner which days to read.
const SIZES: &str = "select b.message_id, b.size from payloads b
    where b.message_id = any($1) and b.message_id >= $2 and b.message_id <= $3";
const TAKE: &str = "update pending p set owner = $1 from unnest($2::uuid[], $3::uuid[]) taken (message_id, route_id)
    where p.message_id = taken.message_id and p.route_id = taken.route_id and p.owner <= 0";
const DROP_ORPHANS: &str = "delete from pending p using unnest($1::uuid[], $2::uuid[]) orphan (message_id, route_id)
    where p.message_id = orphan.message_id and p.route_id = orphan.route_id and p.owner <= 0";
const READ: &str = "select m.id, m.event_type, m.environment_id, b.is_text, b.encoding, b.size, b.body, m.hops, m.trace_context
    from (select distinct * from unnest($1::uuid[], $2::uuid[]) taken (origin_id, id)) taken
    join messages m on m.origin_id = taken.origin_id and m.id = taken.id and m.id >= $3 and m.id <= $4
    join payloads b on b.message_id = m.id and b.message_id >= $3 and b.message_id <= $4";
const NEXT_DUE: &str = "select due_at from pending where owner = 0 and due_at >= $1 order by due_at limit 1";

/// First delivery of each backlog, one index lookup for each.
const BACKLOG_HEADS: &str = "with recursive heads as (
        (select owner, origin_id, route_id, due_at, retry_at from pending
            where owner > $1 and owner <= $2 order by owner, due_at limit 1)
        union all
        select next.* from heads cross join lateral (
            select owner, origin_id, route_id, due_at, retry_at from pending
            where owner > heads.owner and owner <= $2 order by owner, due_at limit 1
        ) next
    )
    select owner, origin_id, route_id, coalesce(retry_at, due_at), retry_at from heads limit $3";

const LENGTHS: &str = "select (select count(*) from (select 1 from pending where owner = backlog.number limit $2) counted)
    from unnest($1::int8[]) with ordinality as backlog (number, place) order by backlog.place";

/// Lowest due time at which claims usually start.
///
/// Claimed rows leave dead entries at the beginning of the index. While an old transaction is open anywhere, they
/// cannot be removed, and each claim would pass over all of them. Deliveries become due in the past only through
/// clock differences and slow commits. Claims therefore start a little before now, and scan everything once in a
/// while.
#[derive(Debug, Default)]
pub(crate) struct Floor(Mutex<State>);

#[derive(Debug)]
struct State {
    at: i64,
    /// Time of the next full scan.
    full_scan_at: Option<Instant>,
}

impl Default for State {
    fn default() -> Self {
        Self { at: i64::MIN, full_scan_at: None }
    }
}

/// Time in the past within which deliveries may still appear.
const MARGIN: Duration = Duration::from_secs(30);
/// Interval of full scans while they are fast.
const SCAN_INTERVAL: Duration = Duration::from_secs(10);
/// Longest interval of full scans, however slow they are.
const SCAN_INTERVAL_MAX: Duration = Duration::from_secs(300);
/// Reciprocal of the share of time that full scans may take.
const SCAN_SHARE: u32 = 1_000;

impl Floor {
    /// Returns the due time at which a claim at `now` starts.
    fn next(&self, now: Timestamp) -> i64 {
        let mut state = self.state();
        if now.as_millis() < state.at {
            // The clock was set back.
            *state = State::default();
        }
        let begun = Instant::now();
        if state.full_scan_at.is_none_or(|at| at <= begun) {
            state.full_scan_at = Some(begun + SCAN_INTERVAL);
            return i64::MIN;
        }
        state.at
    }

    /// Notes the duration of a full scan.
    fn full_scan_took(&self, took: Duration) {
        self.state().full_scan_at = Some(Instant::now() + (took * SCAN_SHARE).clamp(SCAN_INTERVAL, SCAN_INTERVAL_MAX));
    }

    /// Notes that everything due until then was claimed.
    fn cleared(&self, until: Timestamp) {
        let mut state = self.state();
        state.at = state.at.max((until - MARGIN).as_millis());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Due delivery whose message has not been read yet.
struct Due {
    message_id: Uuid,
    route_id: Uuid,
    origin_id: Uuid,
    attempts: u32,
    failed: u32,
    trigger: Trigger,
    due_at: Timestamp,
    backlog: Option<Backlog>,
    retry_at: Option<i64>,
    /// Size in bytes; `None` if the message is missing.
    size: Option<usize>,
}

/// Message with a claimed delivery.
struct Found {
    id: MessageId,
    origin_id: OriginId,
    environment_id: EnvironmentId,
    event_type: String,
    payload: StoredPayload,
    hops: Hops,
    trace: Option<Box<TraceContext>>,
}

pub(crate) async fn claim_due(pool: &Pool, floor: &Floor, owner: Owner, now: Timestamp, limits: ClaimLimits) -> Result<Claim, Error> {
    let from = floor.next(now);
    let begun = Instant::now();
    let connection = connect(pool, "claim due deliveries").await?;
    let take = async |connection: &Connection| {
        let due = select(connection, from, now, limits.deliveries).await?;
        let is_complete = due.len() < limits.deliveries;
        let (due, orphans): (Vec<_>, Vec<_>) = due.into_iter().partition(|due| due.size.is_some());
        drop_orphans(connection, &orphans).await?;
        let due = within(due, limits.bytes);
        let messages = take(connection, owner, &due).await?;
        let rows = connection.query(NEXT_DUE, &[(&from, Type::INT8)]).await?;
        let next_due = rows.first().map(|row| Timestamp::from_millis(row.get(0)));
        Ok((due, messages, next_due, is_complete))
    };
    let (due, messages, next_due, is_complete) = connection.transaction(take, |_| true).await?;
    if from == i64::MIN {
        floor.full_scan_took(begun.elapsed());
    }
    if is_complete {
        floor.cleared(now);
    }
    Ok(Claim { deliveries: claimed(owner, due, messages), next_due })
}

/// Builds the claimed deliveries with their payloads. A delivery with a damaged payload is logged and left pending
/// under its owner, so that it blocks no other.
fn claimed(owner: Owner, due: Vec<Due>, messages: Vec<Found>) -> Vec<Claimed> {
    let open = |found: Found| {
        let Found { id, origin_id, environment_id, event_type, payload, hops, trace } = found;
        match payload.decode() {
            Ok(payload) => Some((
                Uuid::from_bytes(*id.as_bytes()),
                (environment_id, Arc::new(Message { id, origin_id, event_type, payload, hops, trace })),
            )),
            Err(error) => {
                payloads::log_damaged(id, &error);
                None
            }
        }
    };
    let messages: HashMap<_, _> = messages.into_iter().filter_map(open).collect();
    let claimed = |due: Due| {
        let (environment_id, message) = messages.get(&due.message_id)?;
        Some(Claimed {
            owner,
            environment_id: *environment_id,
            message: Arc::clone(message),
            route_id: RouteId::from_bytes(due.route_id.into_bytes()),
            backlog: due.backlog,
            attempts: due.attempts,
            failed: due.failed,
            trigger: due.trigger,
            // A delivery that keeps its position stores the position in place of the due time.
            due_at: due.due_at.max(message.id.timestamp()),
            packed: None,
        })
    };
    due.into_iter().filter_map(claimed).collect()
}

/// Returns the backlogs within ranges of numbers.
pub(crate) async fn backlogs(pool: &Pool, ranges: &[(i64, i64)], after: Option<Backlog>, limit: usize) -> Result<Vec<BacklogHead>, Error> {
    let connection = connect(pool, "find backlogs").await?;
    let mut heads = Vec::new();
    for (first, last) in ranges {
        let begin = after.map_or(first.saturating_sub(1), |after| after.number().max(first.saturating_sub(1)));
        if begin >= *last || heads.len() >= limit {
            continue;
        }
        let room = i64::try_from(limit - heads.len()).unwrap_or(i64::MAX);
        let rows = connection.query(BACKLOG_HEADS, &[(&begin, Type::INT8), (last, Type::INT8), (&room, Type::INT8)]).await?;
        let head = |row: &tokio_postgres::Row| {
            Some(BacklogHead {
                backlog: Backlog::from_number(row.get(0))?,
                origin_id: OriginId::from_bytes(row.get::<_, Uuid>(1).into_bytes()),
                route_id: RouteId::from_bytes(row.get::<_, Uuid>(2).into_bytes()),
                due_at: Timestamp::from_millis(row.get(3)),
                retry_at: row.get::<_, Option<i64>>(4).map(Timestamp::from_millis),
            })
        };
        heads.extend(rows.iter().filter_map(head));
    }
    Ok(heads)
}

/// Returns the number of deliveries in each of these backlogs, counted up to a bound.
pub(crate) async fn backlog_lengths(pool: &Pool, backlogs: &[Backlog], at_most: usize) -> Result<Vec<usize>, Error> {
    let numbers: Vec<_> = backlogs.iter().map(|backlog| backlog.number()).collect();
    let at_most = i64::try_from(at_most).unwrap_or(i64::MAX);
    let connection = connect(pool, "count waiting deliveries").await?;
    let rows = connection.query(LENGTHS, &[(&numbers as _, Type::INT8_ARRAY), (&at_most as _, Type::INT8)]).await?;
    Ok(rows.iter().map(|row| usize::try_from(row.get::<_, i64>(0)).unwrap_or(0)).collect())
}

pub(crate) async fn claim_backlogs(
    pool: &Pool,
    owner: Owner,
    now: Timestamp,
    wants: &[BacklogRequest],
    bytes: usize,
) -> Result<Vec<Claimed>, Error> {
    let backlogs: Vec<_> = wants.iter().map(|want| want.backlog.number()).collect();
    let counts: Vec<_> = wants.iter().map(|want| i64::try_from(want.deliveries).unwrap_or(i64::MAX)).collect();
    let in_order: Vec<_> = wants.iter().map(|want| want.in_order).collect();
    let connection = connect(pool, "claim deliveries from backlogs").await?;
    let from_backlogs = async |connection: &Connection| {
        let values = [
            (&backlogs as _, Type::INT8_ARRAY),
            (&counts as _, Type::INT8_ARRAY),
            (&now.as_millis() as _, Type::INT8),
            (&in_order as _, Type::BOOL_ARRAY),
        ];
        let rows = connection.query(SELECT_IN_BACKLOGS, &values).await?;
        let mut due: Vec<_> = rows.iter().map(read_due).collect();
        if in_order.contains(&true) && is_orphaned(connection).await? {
            // The orphaned deliveries may precede these, which wait until the others are back in their backlog.
            due.retain(|due| wants.iter().any(|want| !want.in_order && Some(want.backlog) == due.backlog));
        }
        let due = add_sizes(connection, due).await?;
        let (due, orphans): (Vec<_>, Vec<_>) = due.into_iter().partition(|due| due.size.is_some());
        drop_orphans(connection, &orphans).await?;
        let due = within(without_blocked(due, wants, now), bytes);
        let messages = take(connection, owner, &due).await?;
        Ok((due, messages))
    };
    let (due, messages) = connection.transaction(from_backlogs, |_| true).await?;
    Ok(claimed(owner, due, messages))
}

async fn is_orphaned(connection: &Connection) -> Result<bool, Error> {
    Ok(connection.query(IS_ORPHANED, &[]).await?.first().is_some_and(|row| row.get(0)))
}

/// Removes deliveries that are not due yet and, in ordered backlogs, those behind them.
fn without_blocked(due: Vec<Due>, wants: &[BacklogRequest], now: Timestamp) -> Vec<Due> {
    let keep_order: HashSet<Backlog> = wants.iter().filter(|want| want.in_order).map(|want| want.backlog).collect();
    let mut blocked = HashSet::new();
    let may_go = |due: &Due| {
        let is_due = due.retry_at.is_none_or(|retry_at| retry_at <= now.as_millis());
        if !is_due {
            blocked.extend(due.backlog.filter(|backlog| keep_order.contains(backlog)));
        }
        is_due && due.backlog.is_none_or(|backlog| !blocked.contains(&backlog))
    };
    due.into_iter().filter(may_go).collect()
}

async fn select(connection: &Connection, from: i64, now: Timestamp, limit: usize) -> Result<Vec<Due>, Error> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = connection.query(SELECT_DUE, &[(&from, Type::INT8), (&now.as_millis(), Type::INT8), (&limit, Type::INT8)]).await?;
    add_sizes(connection, rows.iter().map(read_due).collect()).await
}

fn read_due(row: &tokio_postgres::Row) -> Due {
    let count = |column| u32::try_from(row.get::<_, i32>(column)).unwrap_or(0);
    Due {
        message_id: row.get(0),
        route_id: row.get(1),
        origin_id: row.get(2),
        attempts: count(3),
        failed: count(4),
        trigger: Trigger::parse(row.get(5)).unwrap_or(Trigger::Automatic),
        due_at: Timestamp::from_millis(row.get::<_, Option<i64>>(8).unwrap_or_else(|| row.get(6))),
        backlog: Backlog::from_number(row.get(7)),
        retry_at: row.get(8),
        size: None,
    }
}

async fn add_sizes(connection: &Connection, mut due: Vec<Due>) -> Result<Vec<Due>, Error> {
    let ids: Vec<_> = due.iter().map(|due| due.message_id).collect();
    let (Some(first), Some(last)) = (ids.iter().min(), ids.iter().max()) else { return Ok(due) };
    let values = [(&ids as _, Type::UUID_ARRAY), (first as _, Type::UUID), (last as _, Type::UUID)];
    let rows = connection.query(SIZES, &values).await?;
    let sizes: HashMap<Uuid, i32> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    for due in &mut due {
        due.size = sizes.get(&due.message_id).map(|size| usize::try_from(*size).unwrap_or(0));
    }
    Ok(due)
}

/// Returns the first deliveries up to a number of bytes, including the one that exceeds it.
fn within(due: Vec<Due>, bytes: usize) -> Vec<Due> {
    let mut sum = 0;
    let fits = |due: &Due| {
        let before = sum;
        sum += due.size.unwrap_or(0);
        before <= bytes
    };
    due.into_iter().take_while(fits).collect()
}

async fn take(connection: &Connection, owner: Owner, due: &[Due]) -> Result<Vec<Found>, Error> {
    let message_ids: Vec<_> = due.iter().map(|due| due.message_id).collect();
    let routes: Vec<_> = due.iter().map(|due| due.route_id).collect();
    let applications: Vec<_> = due.iter().map(|due| due.origin_id).collect();
    let taken = [(&owner.number() as _, Type::INT8), (&message_ids as _, Type::UUID_ARRAY), (&routes as _, Type::UUID_ARRAY)];
    if due.is_empty() {
        return Ok(Vec::new());
    }
    connection.execute(TAKE, &taken).await?;
    let (Some(first), Some(last)) = (message_ids.iter().min(), message_ids.iter().max()) else { return Ok(Vec::new()) };
    let read =
        [(&applications as _, Type::UUID_ARRAY), (&message_ids as _, Type::UUID_ARRAY), (first as _, Type::UUID), (last as _, Type::UUID)];
    let rows = connection.query(READ, &read).await?;
    let origin_of: HashMap<_, _> = due.iter().map(|due| (due.message_id, due.origin_id)).collect();
    let message = |row: &tokio_postgres::Row| {
        let id: Uuid = row.get(0);
        Some(Found {
            id: MessageId::from_bytes(id.into_bytes()),
            origin_id: OriginId::from_bytes(origin_of.get(&id)?.into_bytes()),
            environment_id: EnvironmentId::from_bytes(row.get::<_, Uuid>(2).into_bytes()),
            event_type: row.get(1),
            payload: read_payload(row, 3),
            hops: Hops::new(u32::try_from(row.get::<_, i32>(7)).unwrap_or_default()),
            trace: row.get::<_, Option<&str>>(8).and_then(TraceContext::from_stored).map(Box::new),
        })
    };
    Ok(rows.iter().filter_map(message).collect())
}

/// Deletes deliveries without a message, which can never be sent. Only a partial restore can create them.
async fn drop_orphans(connection: &Connection, orphans: &[Due]) -> Result<(), Error> {
    if orphans.is_empty() {
        return Ok(());
    }
    tracing::error!(count = orphans.len(), "deleted pending deliveries whose message is missing");
    let message_ids: Vec<_> = orphans.iter().map(|due| due.message_id).collect();
    let routes: Vec<_> = orphans.iter().map(|due| due.route_id).collect();
    connection.execute(DROP_ORPHANS, &[(&message_ids, Type::UUID_ARRAY), (&routes, Type::UUID_ARRAY)]).await.map(|_| ())
}
