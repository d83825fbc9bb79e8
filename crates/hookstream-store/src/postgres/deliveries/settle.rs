//! Records attempts and the new states of their deliveries: one statement per batch.
//!
//! If the connection breaks at the commit, the batch is repeated, and may already be settled. A retried delivery may
//! even belong to the same owner again, and the repetition must not lose it.

use hookstream_model::delivery::{
    state::DeliveryState,
    timings::{Packed, Waterfall},
};
use tokio_postgres::{Row, types::Type};
use uuid::Uuid;

use crate::{
    db::error::Error,
    delivery::deliveries::{Next, Owner, PackedIndex, Settled, packed_bits},
    postgres::{
        db::connection::{Connection, Pool, connect},
        outbox,
        retention::days,
    },
};

/// Settled deliveries are columns, numbered in order; `part` is null for a delivery with a row of its own. A delivery
/// that the owner does not have (any more) stays unchanged, and its number is not returned.
///
/// The planner knows the length of the columns and nothing else. `owner + 0` keeps it from reading all rows of the owner
/// for each delivery, and rows are filtered before they are joined: a join of two whole columns would take quadratic time.
const SETTLE: &str = "with given as (
        select * from unnest($2::int8[], $3::uuid[], $4::uuid[], $5::int2[], $6::bool[], $7::int8[], $8::int4[], $9::text[], $10::text[],
                $22::int8[], $23::int8[], $24::uuid[], $25::int8[], $26::int4[])
            as g (number, message_id, route_id, kind, tried, at, failed, state, reason, backlog, retry_at, environment_id, day, part)
    ), bits as (
        select * from unnest($27::uuid[], $28::int4[], $29::int8[]) as b (message_id, part, bits)
    ), emptied as (
        delete from packed_pending p using bits b
        where p.message_id = b.message_id and p.part = b.part and p.owner + 0 = $1 and p.unsettled = b.bits
        returning p.message_id, p.part, p.origin_id, p.due_at, p.trigger_type
    ), reduced as (
        update packed_pending p set unsettled = p.unsettled & ~b.bits from bits b
        where p.message_id = b.message_id and p.part = b.part and p.owner + 0 = $1 and p.unsettled <> b.bits and p.unsettled & b.bits = b.bits
        returning p.message_id, p.part, p.origin_id, p.due_at, p.trigger_type
    ), unpacked as (
        select g.number, g.kind, g.state, g.day, g.environment_id, c.origin_id, c.due_at, c.trigger_type
        from (select * from emptied union all select * from reduced) c join given g on g.message_id = c.message_id and g.part = c.part
    ), removed as (
        delete from pending p using given g
        where g.part is null and g.kind in (0, 3) and p.message_id = g.message_id and p.route_id = g.route_id and p.owner + 0 = $1
        returning g.number, p.origin_id, p.attempts, g.kind, g.state, g.day, g.environment_id
    ), kept as (
        update pending p set owner = g.backlog, backlog = g.backlog, due_at = coalesce(g.at, p.due_at), retry_at = g.retry_at,
            attempts = p.attempts + g.tried::int4, failed = coalesce(g.failed, p.failed),
            trigger_type = case g.kind when 1 then 'automatic' else p.trigger_type end
        from given g
        where g.part is null and g.kind in (1, 2) and p.message_id = g.message_id and p.route_id = g.route_id and p.owner + 0 = $1
        returning g.number
    ), queued as (
        insert into pending
            (message_id, route_id, origin_id, owner, due_at, attempts, failed, trigger_type, backlog, retry_at)
        select g.message_id, g.route_id, u.origin_id, g.backlog, coalesce(g.at, u.due_at), g.tried::int4, coalesce(g.failed, 0),
            case g.kind when 1 then 'automatic' else u.trigger_type end, g.backlog, g.retry_at
        from unpacked u join given g on g.number = u.number where u.kind in (1, 2)
    ), done as (
        select number, origin_id, attempts, kind, state, day, environment_id from removed
        union all select number, origin_id, 0, kind, state, day, environment_id from unpacked where kind in (0, 3)
    ), ended as (
        insert into undelivered (message_id, route_id, origin_id, state, reason, attempts, ended_at)
        select g.message_id, g.route_id, d.origin_id, g.state, g.reason, d.attempts + g.tried::int4, g.at
        from done d join given g on g.number = d.number where d.kind = 3
        on conflict (message_id, route_id) do update
            set state = excluded.state, reason = excluded.reason, attempts = excluded.attempts, ended_at = excluded.ended_at
    ), counted as (
        insert into delivery_counts (day, environment_id, owner, messages, accepted, succeeded, exhausted, skipped, cancelled)
        select day, environment_id, -$1, 0, 0, count(*) filter (where kind = 0), count(*) filter (where state = 'exhausted'),
            count(*) filter (where state = 'skipped'), count(*) filter (where state = 'cancelled')
        from done group by day, environment_id order by day, environment_id
        on conflict (environment_id, day, owner) do update set succeeded = delivery_counts.succeeded + excluded.succeeded,
            exhausted = delivery_counts.exhausted + excluded.exhausted, skipped = delivery_counts.skipped + excluded.skipped,
            cancelled = delivery_counts.cancelled + excluded.cancelled
    ), settled as (
        select number from removed union all select number from kept union all select number from unpacked
    ), recorded as (
        insert into attempts
            (message_id, id, route_id, number, trigger_type, succeeded, response_status, duration_ms, created_at, waterfall, error,
                response_body, response_headers)
        select g.message_id, a.id, g.route_id, a.attempt_number, a.trigger_type, a.succeeded, a.response_status, a.duration_ms,
            a.created_at, a.waterfall, a.error, a.response_body, a.response_headers
        from unnest($11::int8[], $12::uuid[], $13::int4[], $14::text[], $15::bool[], $16::int4[], $17::int8[], $18::int8[],
                $19::bytea[], $20::text[], $21::text[], $30::text[])
            as a (number, id, attempt_number, trigger_type, succeeded, response_status, duration_ms, created_at, waterfall, error,
                response_body, response_headers)
        join settled s on s.number = a.number
        join given g on g.number = a.number
    )
    select number from settled";
const RECORDED: &str = "select g.number from unnest($1::int8[], $2::uuid[], $3::uuid[]) as g (number, message_id, id)
    join attempts a on a.message_id = g.message_id and a.id = g.id";
const OPERATION: &str = "record the results of deliveries";

/// Columns of [`SETTLE`].
#[derive(Default)]
struct Columns {
    numbers: Vec<i64>,
    message_ids: Vec<Uuid>,
    route_ids: Vec<Uuid>,
    kinds: Vec<i16>,
    tried: Vec<bool>,
    at: Vec<Option<i64>>,
    failed: Vec<Option<i32>>,
    states: Vec<Option<&'static str>>,
    reasons: Vec<Option<&'static str>>,
    backlogs: Vec<i64>,
    retry_at: Vec<Option<i64>>,
    environments: Vec<Uuid>,
    days: Vec<i64>,
    parts: Vec<Option<i32>>,
    attempts: Attempts,
}

#[derive(Default)]
struct Attempts {
    numbers: Vec<i64>,
    ids: Vec<Uuid>,
    attempt_numbers: Vec<i32>,
    triggers: Vec<&'static str>,
    succeeded: Vec<bool>,
    response_status: Vec<Option<i32>>,
    duration_ms: Vec<i64>,
    created_at: Vec<i64>,
    waterfalls: Vec<Option<Packed>>,
    errors: Vec<Option<String>>,
    response_bodies: Vec<Option<String>>,
    response_headers: Vec<Option<String>>,
}

pub(crate) async fn settle(pool: &Pool, owner: Owner, batch: &[Settled]) -> Result<Vec<bool>, Error> {
    let mut columns = Columns::default();
    for (number, settled) in batch.iter().enumerate() {
        columns.push(i64::try_from(number).unwrap_or(i64::MAX), settled);
    }
    let Columns {
        numbers,
        message_ids,
        route_ids,
        kinds,
        tried,
        at,
        failed,
        states,
        reasons,
        backlogs,
        retry_at,
        environments,
        days,
        parts,
        attempts,
    } = &columns;
    let bits = packed_bits(batch);
    let packed_messages: Vec<_> = bits.iter().map(|bits| Uuid::from_bytes(*bits.message_id.as_bytes())).collect();
    let packed_parts: Vec<_> = bits.iter().map(|bits| bits.part).collect();
    let packed_bits: Vec<_> = bits.iter().map(|bits| bits.bits).collect();
    let waterfalls: Vec<_> = attempts.waterfalls.iter().map(|packed| packed.as_ref().map(Packed::as_bytes)).collect();
    let values = [
        (&owner.number() as _, Type::INT8),
        (numbers as _, Type::INT8_ARRAY),
        (message_ids as _, Type::UUID_ARRAY),
        (route_ids as _, Type::UUID_ARRAY),
        (kinds as _, Type::INT2_ARRAY),
        (tried as _, Type::BOOL_ARRAY),
        (at as _, Type::INT8_ARRAY),
        (failed as _, Type::INT4_ARRAY),
        (states as _, Type::TEXT_ARRAY),
        (reasons as _, Type::TEXT_ARRAY),
        (&attempts.numbers as _, Type::INT8_ARRAY),
        (&attempts.ids as _, Type::UUID_ARRAY),
        (&attempts.attempt_numbers as _, Type::INT4_ARRAY),
        (&attempts.triggers as _, Type::TEXT_ARRAY),
        (&attempts.succeeded as _, Type::BOOL_ARRAY),
        (&attempts.response_status as _, Type::INT4_ARRAY),
        (&attempts.duration_ms as _, Type::INT8_ARRAY),
        (&attempts.created_at as _, Type::INT8_ARRAY),
        (&waterfalls as _, Type::BYTEA_ARRAY),
        (&attempts.errors as _, Type::TEXT_ARRAY),
        (&attempts.response_bodies as _, Type::TEXT_ARRAY),
        (backlogs as _, Type::INT8_ARRAY),
        (retry_at as _, Type::INT8_ARRAY),
        (environments as _, Type::UUID_ARRAY),
        (days as _, Type::INT8_ARRAY),
        (parts as _, Type::INT4_ARRAY),
        (&packed_messages as _, Type::UUID_ARRAY),
        (&packed_parts as _, Type::INT4_ARRAY),
        (&packed_bits as _, Type::INT8_ARRAY),
        (&attempts.response_headers as _, Type::TEXT_ARRAY),
    ];
    let connection = connect(pool, OPERATION).await?;
    let result = if batch.iter().all(|settled| settled.event.is_none()) {
        connection.query(SETTLE, &values).await
    } else {
        // Rare: the events become durable with the deliveries that cause them.
        let settle = async |connection: &Connection| {
            let rows = connection.query(SETTLE, &values).await?;
            for (settled, is_counted) in batch.iter().zip(counted(&rows, batch.len())) {
                if let Some(event) = settled.event.as_ref().filter(|_| is_counted) {
                    outbox::write(connection, event, settled.message_id.timestamp().day()).await?;
                }
            }
            Ok(rows)
        };
        connection.transaction(settle, |_| true).await
    };
    match result {
        Ok(rows) => Ok(counted(&rows, batch.len())),
        // An attempt already exists. A batch is one commit, so an earlier commit succeeded without its response arriving.
        Err(Error::Conflict { .. }) => already_settled(pool, batch).await,
        Err(error) => Err(error),
    }
}

/// Returns which deliveries of a batch an earlier commit settled. A delivery without an attempt counts as not settled.
async fn already_settled(pool: &Pool, batch: &[Settled]) -> Result<Vec<bool>, Error> {
    let attempts = (0..).zip(batch).filter_map(|(number, settled)| Some((number, settled.attempt.as_ref()?)));
    let (mut numbers, mut message_ids, mut ids) = (Vec::<i64>::new(), Vec::new(), Vec::new());
    for (number, attempt) in attempts {
        numbers.push(number);
        message_ids.push(Uuid::from_bytes(*attempt.message_id.as_bytes()));
        ids.push(Uuid::from_bytes(*attempt.id.as_bytes()));
    }
    let values = [(&numbers as _, Type::INT8_ARRAY), (&message_ids as _, Type::UUID_ARRAY), (&ids as _, Type::UUID_ARRAY)];
    let rows = connect(pool, OPERATION).await?.query(RECORDED, &values).await?;
    Ok(counted(&rows, batch.len()))
}

/// Returns for each delivery of a batch whether its number is in a row.
fn counted(rows: &[Row], of: usize) -> Vec<bool> {
    let mut counted = vec![false; of];
    for row in rows {
        let number = usize::try_from(row.get::<_, i64>(0)).unwrap_or(usize::MAX);
        if let Some(counted) = counted.get_mut(number) {
            *counted = true;
        }
    }
    counted
}

impl Columns {
    fn push(&mut self, number: i64, settled: &Settled) {
        let (kind, at, failed, state) = match settled.next {
            Next::Succeeded => (0, None, None, None),
            Next::Retry { wait, failed } => (1, wait.times().0, Some(integer(failed)), None),
            Next::Postponed { wait } => (2, wait.times().0, None, None),
            Next::Ended(state, at) => (3, Some(at.as_millis()), None, Some(state)),
        };
        let (backlog, retry_at) = match settled.next {
            Next::Retry { wait, .. } | Next::Postponed { wait } => (wait.backlog_number(), wait.times().1),
            Next::Succeeded | Next::Ended(..) => (0, None),
        };
        self.backlogs.push(backlog);
        self.retry_at.push(retry_at);
        self.parts.push(settled.packed.map(PackedIndex::part));
        self.environments.push(Uuid::from_bytes(*settled.environment_id.as_bytes()));
        self.days.push(days::number(settled.message_id.timestamp().day()));
        self.numbers.push(number);
        self.message_ids.push(Uuid::from_bytes(*settled.message_id.as_bytes()));
        self.route_ids.push(Uuid::from_bytes(*settled.route_id.as_bytes()));
        self.kinds.push(kind);
        self.tried.push(settled.attempt.is_some());
        self.at.push(at);
        self.failed.push(failed);
        self.states.push(state.as_ref().map(DeliveryState::as_str));
        self.reasons.push(state.as_ref().map(|state| state.reason().unwrap_or_default()));
        if let Some(attempt) = &settled.attempt {
            let into = &mut self.attempts;
            into.numbers.push(number);
            into.ids.push(Uuid::from_bytes(*attempt.id.as_bytes()));
            into.attempt_numbers.push(integer(attempt.number));
            into.triggers.push(attempt.trigger.as_str());
            into.succeeded.push(attempt.succeeded);
            into.response_status.push(attempt.response_status.map(i32::from));
            into.duration_ms.push(i64::try_from(attempt.duration.as_millis()).unwrap_or(i64::MAX));
            into.created_at.push(attempt.created_at.as_millis());
            into.waterfalls.push(attempt.waterfall.as_ref().map(Waterfall::pack));
            into.errors.push(attempt.error.as_deref().map(text));
            into.response_bodies.push(attempt.response_body.as_deref().map(text));
            into.response_headers.push(attempt.response_headers.as_deref().map(text));
        }
    }
}

fn integer(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// Replaces NUL, which PostgreSQL's text cannot store. A receiver may respond with one, and no response may prevent
/// the recording of an attempt.
fn text(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
