//! Removal of one environment's expired messages, while messages of other environments on the same days stay.

use hookstream_model::base::{
    ids::{MessageId, OriginId},
    time::Day,
};
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::days;
use crate::{
    db::error::Error,
    delivery::{
        counts::Counts,
        messages::{MessageRemoval, Position, RemovedMessages},
    },
    postgres::{
        db::connection::{Connection, Pool, connect},
        history::counts,
    },
};

const OPERATION: &str = "remove messages";
/// Maximum number of messages in a slice, each with its attempts.
const SLICE: i64 = 500;

/// Days on which an environment has messages.
const DAYS_OF: &str = "select day from delivery_counts where environment_id = $1 and day >= $2 and day < $3
    group by day having sum(messages) > 0 order by day";
/// Removable messages; those that a requeue holds are left for the next time.
const REMOVABLE: &str = "select m.origin_id, m.id from messages m
    where m.environment_id = $1 and m.id >= $2 and m.id < $3 and (m.origin_id, m.id) > ($4, $5)
        and not exists (select 1 from pending p where p.message_id = m.id)
        and not exists (select 1 from packed_pending p where p.message_id = m.id)
    order by m.origin_id, m.id limit $6 for update of m skip locked";
/// Separate statement: sees deliveries that were requeued until the rows were locked. Returns the change of the counts.
const REMOVE: &str = "with gone as (
        delete from messages m using unnest($1::uuid[], $2::uuid[]) as g (origin_id, id)
        where m.origin_id = g.origin_id and m.id = g.id and m.id >= $3 and m.id <= $4
            and not exists (select 1 from pending p where p.message_id = m.id)
        and not exists (select 1 from packed_pending p where p.message_id = m.id)
        returning m.origin_id, m.id, m.deliveries
    ), payload as (
        delete from payloads b using gone where b.message_id = gone.id and b.message_id >= $3 and b.message_id <= $4
        returning octet_length(b.body) as size
    ), ended as (
        delete from undelivered u using gone where u.message_id = gone.id and u.message_id >= $3 and u.message_id <= $4
        returning u.state
    ), tried as (
        delete from attempts a using gone where a.message_id = gone.id and a.message_id >= $3 and a.message_id <= $4
    ), counted as (
        insert into message_counts (day, origin_id, owner, messages)
        select $5, origin_id, 0, -count(*) from gone group by origin_id order by origin_id
        on conflict (origin_id, day, owner) do update set messages = message_counts.messages + excluded.messages
    )
    select (select count(*) from gone), (select coalesce(sum(deliveries), 0)::int8 from gone),
        (select count(*) from ended where state = 'exhausted'), (select count(*) from ended where state = 'skipped'),
        (select count(*) from ended where state not in ('exhausted', 'skipped')),
        (select coalesce(sum(size), 0)::int8 from payload)";

pub(crate) async fn remove(pool: &Pool, removal: MessageRemoval) -> Result<RemovedMessages, Error> {
    let MessageRemoval { environment, before, after } = removal;
    let environment = Uuid::from_bytes(*environment.as_bytes());
    let first = after.map_or(0, |after| days::number(after.message_id.timestamp().day()));
    let among = [(&environment as _, Type::UUID), (&first as _, Type::INT8), (&days::number(before) as _, Type::INT8)];
    let connection = connect(pool, OPERATION).await?;
    let days: Vec<_> = connection.query(DAYS_OF, &among).await?.iter().map(|row| days::of_number(row.get(0))).collect();
    drop(connection);
    for day in days {
        let slice = async |connection: &Connection| remove_of(connection, environment, day, removal).await;
        let removed = connect(pool, OPERATION).await?.transaction(slice, |removed| removed.messages > 0).await?;
        if removed.position.is_some() {
            return Ok(removed);
        }
    }
    Ok(RemovedMessages { messages: 0, position: None })
}

async fn remove_of(connection: &Connection, environment: Uuid, day: Day, removal: MessageRemoval) -> Result<RemovedMessages, Error> {
    let after = removal.after.filter(|after| after.message_id.timestamp().day() == day);
    let after = after.map_or((Uuid::nil(), Uuid::nil()), |after| {
        (Uuid::from_bytes(*after.origin_id.as_bytes()), Uuid::from_bytes(*after.message_id.as_bytes()))
    });
    let within = [
        (&environment as _, Type::UUID),
        (&days::first_id_at(day.start()) as _, Type::UUID),
        (&days::first_id_at(day.end()) as _, Type::UUID),
        (&after.0 as _, Type::UUID),
        (&after.1 as _, Type::UUID),
        (&SLICE as _, Type::INT8),
    ];
    let rows = connection.query(REMOVABLE, &within).await?;
    let applications: Vec<Uuid> = rows.iter().map(|row| row.get(0)).collect();
    let messages: Vec<Uuid> = rows.iter().map(|row| row.get(1)).collect();
    let nothing = RemovedMessages { messages: 0, position: None };
    let (Some(first), Some(last)) = (messages.iter().min(), messages.iter().max()) else { return Ok(nothing) };
    let these = [
        (&applications as _, Type::UUID_ARRAY),
        (&messages as _, Type::UUID_ARRAY),
        (first as _, Type::UUID),
        (last as _, Type::UUID),
        (&days::number(day) as _, Type::INT8),
    ];
    let removed = connection.query(REMOVE, &these).await?;
    let Some(row) = removed.first() else { return Ok(nothing) };
    let count: i64 = row.get(0);
    let moved = Counts::removed(count, row.get(1), [row.get(2), row.get(3), row.get(4)], row.get(5));
    counts::add(connection, removal.environment, day, moved).await?;
    let position = applications.last().zip(messages.last()).map(|(origin, message)| Position {
        origin_id: OriginId::from_bytes(origin.into_bytes()),
        message_id: MessageId::from_bytes(message.into_bytes()),
    });
    Ok(RemovedMessages { messages: usize::try_from(count).unwrap_or(0), position })
}
