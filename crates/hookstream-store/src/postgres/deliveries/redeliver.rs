//! Requeuing of settled deliveries, and setting aside of pending ones.

use hookstream_model::base::{ids::RouteId, time::Timestamp};
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::{
    db::error::Error,
    delivery::{
        counts::Counts,
        deliveries::{Redelivered, Redelivery},
    },
    postgres::{
        cluster::release_orphans,
        db::connection::{Connection, Pool, connect},
        history::counts,
        retention::days::first_id_at,
    },
};

const IS_THERE: &str = "select 1 from messages where origin_id = $1 and id = $2 and environment_id = $3 for update";
const HAS_PAYLOAD: &str = "select 1 from payloads where message_id = $1 for key share";
/// Makes a delivery due. In an ordered backlog it keeps its position: `due_at` is then no time, and differs from `retry_at`.
const MAKE_DUE: &str = "update pending set
    due_at = case when backlog <> 0 and retry_at is distinct from due_at then due_at else least(due_at, $3) end, retry_at = null, trigger_type = $4
    where message_id = $1 and route_id = $2 and owner <= 0";
const IS_PENDING: &str = "select 1 from all_pending where message_id = $1 and route_id = $2";
const LAST_NUMBER: &str = "select max(number) from attempts where message_id = $1 and route_id = $2";
const REMOVE_UNDELIVERED: &str = "delete from undelivered where message_id = $1 and route_id = $2 returning state";
const ADD_DELIVERY: &str = "update messages set deliveries = deliveries + 1 where origin_id = $1 and id = $2";
const ADD_PENDING: &str = "insert into pending (message_id, route_id, origin_id, owner, due_at, attempts, failed, trigger_type)
    values ($1, $2, $3, 0, $4, $5, 0, $6)";
/// Sets a slice aside, except deliveries of live nodes.
const SET_ASIDE: &str = "with aside as (
        select message_id, route_id from pending
        where message_id < $2 and owner not in (select number from nodes where lapses_at > clock_timestamp())
        limit $3 for update skip locked
    ), removed as (
        delete from pending p using aside where p.message_id = aside.message_id and p.route_id = aside.route_id
        returning p.message_id, p.route_id, p.origin_id, p.attempts
    ), counted as (
        insert into delivery_counts (day, environment_id, owner, messages, accepted, succeeded, exhausted, skipped, cancelled)
        select ('x' || left(replace(m.id::text, '-', ''), 12))::bit(48)::int8 / 86400000 as day, m.environment_id, 0, 0, 0, 0, 0,
            count(*), 0
        from removed r join messages m on m.origin_id = r.origin_id and m.id = r.message_id
        group by 1, 2 order by 1, 2
        on conflict (environment_id, day, owner) do update set skipped = delivery_counts.skipped + excluded.skipped
    )
    insert into undelivered (message_id, route_id, origin_id, state, reason, attempts, ended_at)
    select message_id, route_id, origin_id, 'skipped', 'restored', attempts, $1 from removed";

pub(crate) async fn redeliver(pool: &Pool, redelivery: &Redelivery) -> Result<Redelivered, Error> {
    let connection = connect(pool, "requeue a message").await?;
    let requeue = async |connection: &Connection| {
        let key = [
            (&Uuid::from_bytes(*redelivery.origin_id.as_bytes()) as _, Type::UUID),
            (&message_of(redelivery) as _, Type::UUID),
            (&Uuid::from_bytes(*redelivery.tenant.environment.as_bytes()) as _, Type::UUID),
        ];
        // Locks the message's row, so that concurrent requests for it run one after the other.
        if connection.query(IS_THERE, &key).await?.is_empty() {
            return Ok(Redelivered::NotFound);
        }
        // Locks the payload until the end: a requeued delivery needs it.
        if connection.query(HAS_PAYLOAD, &[(&message_of(redelivery), Type::UUID)]).await?.is_empty() {
            return Ok(Redelivered::PayloadExpired);
        }
        let mut moved = Counts::default();
        for route in &redelivery.routes {
            moved += redeliver_to(connection, redelivery, *route).await?;
        }
        counts::add(connection, redelivery.tenant.environment, redelivery.message_id.timestamp().day(), moved).await?;
        Ok(Redelivered::Requeued(redelivery.routes.len()))
    };
    connection.transaction(requeue, |result| matches!(result, Redelivered::Requeued(_))).await
}

fn message_of(redelivery: &Redelivery) -> Uuid {
    Uuid::from_bytes(*redelivery.message_id.as_bytes())
}

/// Requeues over one route. Returns the change of the counts.
async fn redeliver_to(connection: &Connection, redelivery: &Redelivery, route: RouteId) -> Result<Counts, Error> {
    let (message, route) = (message_of(redelivery), Uuid::from_bytes(*route.as_bytes()));
    let origin = Uuid::from_bytes(*redelivery.origin_id.as_bytes());
    let (due_at, trigger) = (redelivery.now.as_millis(), redelivery.trigger.as_str());
    let delivery = [(&message as _, Type::UUID), (&route as _, Type::UUID)];
    let values = [(&message as _, Type::UUID), (&route as _, Type::UUID), (&due_at as _, Type::INT8), (&trigger as _, Type::TEXT)];
    if connection.execute(MAKE_DUE, &values).await? == 1 {
        return Ok(Counts::default());
    }
    if !connection.query(IS_PENDING, &delivery).await?.is_empty() {
        // An owned delivery: an attempt is under way or imminent.
        return Ok(Counts::default());
    }
    let last_number: Option<i32> = connection.query(LAST_NUMBER, &delivery).await?.first().and_then(|row| row.get(0));
    let ended = connection.query(REMOVE_UNDELIVERED, &delivery).await?;
    let ended: Option<&str> = ended.first().map(|row| row.get(0));
    if last_number.is_none() && ended.is_none() {
        connection.execute(ADD_DELIVERY, &[(&origin, Type::UUID), (&message, Type::UUID)]).await?;
    }
    let pending = [
        (&message as _, Type::UUID),
        (&route as _, Type::UUID),
        (&origin as _, Type::UUID),
        (&due_at as _, Type::INT8),
        (&last_number.unwrap_or(0) as _, Type::INT4),
        (&trigger as _, Type::TEXT),
    ];
    connection.execute(ADD_PENDING, &pending).await?;
    Ok(Counts::requeued(ended, last_number.is_some()))
}

pub(crate) async fn set_aside(pool: &Pool, until: Timestamp, limit: usize) -> Result<usize, Error> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let values = [(&until.as_millis() as _, Type::INT8), (&first_id_at(until) as _, Type::UUID), (&limit as _, Type::INT8)];
    let connection = connect(pool, "skip deliveries of a restored backup").await?;
    release_orphans(&connection, until).await?;
    let set_aside = connection.execute(SET_ASIDE, &values).await?;
    Ok(usize::try_from(set_aside).unwrap_or(usize::MAX))
}
