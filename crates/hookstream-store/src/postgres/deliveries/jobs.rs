//! Deliveries of a job: one transaction requeues a slice and advances the job.
//!
//! The transaction locks the job's row, so that the job is neither cancelled nor taken over meanwhile. It then locks
//! the messages' rows in order, as a manual requeue does: if both work on a delivery, the second finds it pending.

use std::collections::BTreeMap;

use hookstream_model::{
    base::{
        ids::MessageId,
        time::{Day, Timestamp},
    },
    operations::job::{Candidate, DeliveryStatus},
};
use tokio_postgres::{Row, types::Type};
use uuid::Uuid;

use crate::{
    db::{error::Error, page::sql_limit},
    delivery::{counts::Counts, deliveries::Owner, messages::read_channels},
    operations::jobs::{JobSlice, Survey},
    postgres::{
        db::connection::{Connection, Pool, connect},
        history::counts,
    },
};

/// Columns of a candidate, for the message `m` and the route `$1`. The bounds tell the planner which days to read.
/// The columns avoid `exists`, which the planner might answer by reading a whole table once.
macro_rules! candidate {
    () => {
        "select m.id, m.event_type,
            (select true from all_pending p where p.message_id = m.id and p.route_id = $1) is not null,
            (select u.state from undelivered u
                where u.message_id = m.id and u.message_id >= $4 and u.message_id <= $5 and u.route_id = $1),
            (select u.ended_at from undelivered u
                where u.message_id = m.id and u.message_id >= $4 and u.message_id <= $5 and u.route_id = $1),
            (select max(a.created_at) from attempts a
                where a.message_id = m.id and a.message_id >= $4 and a.message_id <= $5 and a.route_id = $1),
            (select true from attempts a
                where a.message_id = m.id and a.message_id >= $4 and a.message_id <= $5 and a.trigger_type = 'test' limit 1) is not null,
            (select true from payloads b
                where b.message_id = m.id and b.message_id >= $4 and b.message_id <= $5) is not null, m.channels"
    };
}

const SURVEY: &str = concat!(
    candidate!(),
    " from (select id, event_type, channels from messages
        where origin_id = $2 and environment_id = $3 and id > $4 and id < $5 order by id limit $6) m order by m.id"
);
const SURVEY_UNDELIVERED: &str = "select u.message_id, m.event_type, false, u.state, u.ended_at, null::int8, false,
        (select true from payloads b where b.message_id = u.message_id and b.message_id > $4 and b.message_id < $5) is not null, m.channels
    from (select message_id, state, ended_at from undelivered
        where route_id = $1 and message_id > $4 and message_id < $5 order by message_id limit $6) u
    join messages m on m.origin_id = $2 and m.id = u.message_id and m.id > $4 and m.id < $5 and m.environment_id = $3
    order by u.message_id";
const CANDIDATES: &str = concat!(
    candidate!(),
    " from messages m where m.origin_id = $2 and m.environment_id = $3 and m.id >= $4 and m.id <= $5 and m.id = any($6)"
);
/// Claims running jobs. A job of an owner whose lease has expired is free.
const TAKE: &str = "update jobs set owner = $1, started_at = coalesce(started_at, $2) where id in (
        select id from jobs where status = 'running' and owner <> $1
            and (owner = any($4) or owner not in (select number from nodes where lapses_at > clock_timestamp()))
        order by id limit $3 for update skip locked)";
const LOCK_JOB: &str = "select 1 from jobs where id = $1 and owner = $2 and status = 'running' and position = $3 for update";
const LOCK_MESSAGES: &str = "select 1 from messages where origin_id = $1 and id >= $2 and id <= $3 and id = any($4) order by id for update";
/// Prevents removal of the payloads: a requeued delivery needs its payload.
const LOCK_PAYLOADS: &str = "select 1 from payloads
    where message_id >= $1 and message_id <= $2 and message_id = any($3) order by message_id for key share";
/// Requeues deliveries, returning the former state of each. A delivery that did not exist before adds to the
/// deliveries of its message.
const REQUEUE: &str = "with given as (
        select g.message_id, (select max(a.number) from attempts a
            where a.message_id = g.message_id and a.message_id >= $5 and a.message_id <= $6 and a.route_id = $2) as last_number
        from unnest($1::uuid[]) as g (message_id)
    ), revived as (
        delete from undelivered u using given g
        where u.message_id = g.message_id and u.route_id = $2 and u.message_id >= $5 and u.message_id <= $6
        returning u.message_id, u.state
    ), added as (
        update messages m set deliveries = m.deliveries + 1 from given g
        where m.origin_id = $3 and m.id = g.message_id and m.id >= $5 and m.id <= $6 and g.last_number is null
            and not exists (select 1 from revived r where r.message_id = g.message_id)
    ), requeued as (
        insert into pending (message_id, route_id, origin_id, owner, due_at, attempts, failed, trigger_type)
        select g.message_id, $2, $3, 0, $4, coalesce(g.last_number, 0), 0, $7 from given g
    )
    select g.message_id, r.state, g.last_number is not null from given g left join revived r on r.message_id = g.message_id";
const ADVANCE: &str = "update jobs set position = $2, requeued = requeued + $3, skipped = skipped + $4, updated_at = $5 where id = $1";

pub(crate) async fn survey(pool: &Pool, survey: &Survey) -> Result<Vec<Candidate>, Error> {
    let values = [
        (&uuid(survey.route_id.as_bytes()) as _, Type::UUID),
        (&uuid(survey.origin_id.as_bytes()) as _, Type::UUID),
        (&uuid(survey.tenant.environment.as_bytes()) as _, Type::UUID),
        (&uuid(survey.after.as_bytes()) as _, Type::UUID),
        (&uuid(survey.before.as_bytes()) as _, Type::UUID),
        (&sql_limit(survey.limit) as _, Type::INT8),
    ];
    let sql = if survey.only_undelivered { SURVEY_UNDELIVERED } else { SURVEY };
    let rows = connect(pool, "find deliveries of a job").await?.query(sql, &values).await?;
    Ok(rows.iter().map(read).collect())
}

pub(crate) async fn take(pool: &Pool, owner: Owner, earlier: &[Owner], limit: usize, now: Timestamp) -> Result<(), Error> {
    let earlier: Vec<_> = earlier.iter().map(|owner| owner.number()).collect();
    let values = [
        (&owner.number() as _, Type::INT8),
        (&now.as_millis() as _, Type::INT8),
        (&sql_limit(limit) as _, Type::INT8),
        (&earlier as _, Type::INT8_ARRAY),
    ];
    connect(pool, "claim jobs").await?.execute(TAKE, &values).await.map(|_| ())
}

pub(crate) async fn advance(pool: &Pool, slice: &JobSlice) -> Result<Option<usize>, Error> {
    let connection = connect(pool, "requeue the deliveries of a job").await?;
    let advance = async |connection: &Connection| {
        let job = slice.job.id.as_bytes().as_slice();
        let from = slice.job.progress.position.as_bytes().as_slice();
        let key = [(&job as _, Type::BYTEA), (&slice.owner.number() as _, Type::INT8), (&from as _, Type::BYTEA)];
        if connection.query(LOCK_JOB, &key).await?.is_empty() {
            return Ok(None);
        }
        let requeued = requeue(connection, slice).await?;
        let skipped = slice.messages.len() - requeued;
        let moved = [
            (&job as _, Type::BYTEA),
            (&slice.position.as_bytes().as_slice() as _, Type::BYTEA),
            (&sql_limit(requeued) as _, Type::INT8),
            (&sql_limit(skipped) as _, Type::INT8),
            (&slice.now.as_millis() as _, Type::INT8),
        ];
        connection.execute(ADVANCE, &moved).await?;
        Ok(Some(requeued))
    };
    connection.transaction(advance, Option::is_some).await
}

async fn requeue(connection: &Connection, slice: &JobSlice) -> Result<usize, Error> {
    let messages: Vec<_> = slice.messages.iter().map(|message| uuid(message.as_bytes())).collect();
    let (Some(first), Some(last)) = (messages.iter().min(), messages.iter().max()) else { return Ok(0) };
    let job = &slice.job;
    let origin = uuid(job.application_id.as_bytes());
    let key = [(&origin as _, Type::UUID), (first as _, Type::UUID), (last as _, Type::UUID), (&messages as _, Type::UUID_ARRAY)];
    connection.query(LOCK_MESSAGES, &key).await?;
    let key = [(first as _, Type::UUID), (last as _, Type::UUID), (&messages as _, Type::UUID_ARRAY)];
    connection.query(LOCK_PAYLOADS, &key).await?;
    let route = uuid(job.endpoint_id.as_bytes());
    // Separate statement: sees everything that was committed until the rows were locked.
    let keys = [
        (&route as _, Type::UUID),
        (&origin as _, Type::UUID),
        (&uuid(job.tenant.environment.as_bytes()) as _, Type::UUID),
        (first as _, Type::UUID),
        (last as _, Type::UUID),
        (&messages as _, Type::UUID_ARRAY),
    ];
    let candidates = connection.query(CANDIDATES, &keys).await?;
    // Whether a message without a delivery is wanted was decided when it was found.
    let taken = candidates.iter().map(read).filter(|candidate| job.selection.takes(candidate, true));
    let taken: Vec<_> = taken.map(|candidate| uuid(candidate.message_id.as_bytes())).collect();
    let values = [
        (&taken as _, Type::UUID_ARRAY),
        (&route as _, Type::UUID),
        (&origin as _, Type::UUID),
        (&slice.now.as_millis() as _, Type::INT8),
        (first as _, Type::UUID),
        (last as _, Type::UUID),
        (&job.kind.trigger().as_str() as _, Type::TEXT),
    ];
    let mut moved: BTreeMap<Day, Counts> = BTreeMap::new();
    for row in connection.query(REQUEUE, &values).await? {
        let day = MessageId::from_bytes(row.get::<_, Uuid>(0).into_bytes()).timestamp().day();
        *moved.entry(day).or_default() += Counts::requeued(row.get(1), row.get(2));
    }
    for (day, moved) in moved {
        counts::add(connection, job.tenant.environment, day, moved).await?;
    }
    Ok(taken.len())
}

fn uuid(id: &[u8; 16]) -> Uuid {
    Uuid::from_bytes(*id)
}

fn read(row: &Row) -> Candidate {
    let undelivered: Option<&str> = row.get(3);
    let status = DeliveryStatus::read(row.get(2), undelivered, row.get(4), row.get(5), row.get(6));
    Candidate {
        message_id: MessageId::from_bytes(row.get::<_, Uuid>(0).into_bytes()),
        event_type: row.get(1),
        channels: read_channels(row.get(8)),
        status,
        has_payload: row.get(7),
    }
}
