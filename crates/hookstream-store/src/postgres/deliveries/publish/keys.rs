//! Idempotency keys and event ids: the first message to reserve one owns it.

use std::collections::HashMap;

use hookstream_model::{
    base::{ids::MessageId, time::Timestamp},
    identity::tenancy::Tenant,
    outbound::message::MessageStatus,
};
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::{OPERATION, columns, environment_of, id_of, origin_of};
use crate::{
    db::error::Error,
    delivery::{
        deliveries::{IdempotencyKey, Published},
        payloads::Sealed,
    },
    postgres::{
        db::connection::{Connection, Pool, connect},
        retention::days::first_id_at,
    },
};

/// Reserves keys. A key of a message before the window is free again. Sorted, so that two nodes cannot deadlock.
const RESERVE_KEYS: &str = "insert into message_keys (environment_id, key, fingerprint, origin_id, message_id, first_status)
    select * from unnest($1::uuid[], $2::text[], $3::bytea[], $4::uuid[], $5::uuid[], $6::text[])
        as g (environment_id, key, fingerprint, origin_id, message_id, first_status) order by 1, 2
    on conflict (environment_id, key) do update set fingerprint = excluded.fingerprint, origin_id = excluded.origin_id,
        message_id = excluded.message_id, first_status = excluded.first_status
    where message_keys.message_id < $7";
const RESERVE_EVENT_IDS: &str = "insert into event_ids (origin_id, event_id, message_id)
    select * from unnest($1::uuid[], $2::text[], $3::uuid[]) as g (origin_id, event_id, message_id) order by 1, 2
    on conflict (origin_id, event_id) do update set message_id = excluded.message_id where event_ids.message_id < $4";
const FIND_KEYS: &str = "select k.environment_id, k.key, k.fingerprint, k.message_id, k.first_status
    from unnest($1::uuid[], $2::text[]) as g (environment_id, key)
    join message_keys k on k.environment_id = g.environment_id and k.key = g.key";
const FIND_EVENT_IDS: &str = "select k.origin_id, k.event_id, k.message_id from unnest($1::uuid[], $2::text[]) as g (origin_id, event_id)
    join event_ids k on k.origin_id = g.origin_id and k.event_id = g.event_id";

/// Returns the result of an earlier message with a key.
pub(crate) async fn find_earlier(
    pool: &Pool,
    tenant: Tenant,
    key: &IdempotencyKey,
    window_start: Timestamp,
) -> Result<Option<Published>, Error> {
    let (environments, keys) = (vec![Uuid::from_bytes(*tenant.environment.as_bytes())], vec![key.key.as_str()]);
    let connection = connect(pool, OPERATION).await?;
    let rows = connection.query(FIND_KEYS, &[(&environments, Type::UUID_ARRAY), (&keys, Type::TEXT_ARRAY)]).await?;
    let earlier = rows.first().filter(|row| row.get::<_, Uuid>(3) >= first_id_at(window_start));
    Ok(earlier.map(|row| repeated(row.get(3), row.get(2), row.get(4), &key.fingerprint)))
}

fn repeated(holder: Uuid, fingerprint: &[u8], first_status: &str, requested: &[u8]) -> Published {
    if fingerprint != requested {
        return Published::KeyReused;
    }
    let is_skipped = first_status == MessageStatus::Skipped.as_str();
    Published::Repeated {
        message_id: MessageId::from_bytes(holder.into_bytes()),
        first_status: if is_skipped { MessageStatus::Skipped } else { MessageStatus::Pending },
    }
}

/// Reserves the keys, then stores the messages that own theirs, all in one transaction.
pub(super) async fn store(connection: Connection, publications: &[&Sealed], owner: i64) -> Result<HashMap<Uuid, Published>, Error> {
    let all = async |connection: &Connection| {
        let mut published = HashMap::new();
        reserve(connection, publications, &mut published).await?;
        let winners: Vec<_> = publications.iter().copied().filter(|winner| !published.contains_key(&id_of(winner))).collect();
        if !winners.is_empty() {
            published.extend(columns::store(connection, &winners, owner).await?);
        }
        Ok(published)
    };
    // A message that is stale, or lost one of two keys, must not keep the other. The batch is then rolled back, and
    // each message is stored separately.
    let is_clean = |published: &HashMap<Uuid, Published>| {
        let is_whole = |published: &Published| matches!(published, Published::Stored | Published::Repeated { .. } | Published::KeyReused);
        published.values().all(is_whole) || published.values().all(|published| !matches!(published, Published::Stored))
    };
    let has_stored = |published: &HashMap<Uuid, Published>| published.values().any(|published| matches!(published, Published::Stored));
    let published = connection.transaction(all, |published| is_clean(published) && has_stored(published)).await?;
    if is_clean(&published) {
        return Ok(published);
    }
    Err(Error::Conflict { operation: OPERATION })
}

/// Reserves the keys, and records the results of messages whose key belongs to another message.
async fn reserve(connection: &Connection, publications: &[&Sealed], published: &mut HashMap<Uuid, Published>) -> Result<(), Error> {
    let keyed: Vec<_> = publications.iter().copied().filter(|publication| publication.idempotency.is_some()).collect();
    let named: Vec<_> = publications.iter().copied().filter(|publication| publication.event_id.is_some()).collect();
    let window = first_id_at(publications.iter().map(|publication| publication.window_start).min().unwrap_or(Timestamp::from_millis(0)));
    if !keyed.is_empty() {
        reserve_keys(connection, &keyed, window, published).await?;
    }
    if !named.is_empty() {
        reserve_event_ids(connection, &named, window, published).await?;
    }
    Ok(())
}

async fn reserve_keys(
    connection: &Connection,
    keyed: &[&Sealed],
    window: Uuid,
    published: &mut HashMap<Uuid, Published>,
) -> Result<(), Error> {
    let key_of = |publication: &Sealed| publication.idempotency.clone().map(|key| (key.key, key.fingerprint)).unwrap_or_default();
    let environments: Vec<_> = keyed.iter().map(|publication| environment_of(publication)).collect();
    let keys: Vec<_> = keyed.iter().map(|publication| key_of(publication).0).collect();
    let fingerprints: Vec<_> = keyed.iter().map(|publication| key_of(publication).1.to_vec()).collect();
    let origins: Vec<_> = keyed.iter().map(|publication| origin_of(publication)).collect();
    let ids: Vec<_> = keyed.iter().map(|publication| id_of(publication)).collect();
    let statuses: Vec<_> = keyed.iter().map(|publication| publication.first_status().as_str()).collect();
    let values = [
        (&environments as _, Type::UUID_ARRAY),
        (&keys as _, Type::TEXT_ARRAY),
        (&fingerprints as _, Type::BYTEA_ARRAY),
        (&origins as _, Type::UUID_ARRAY),
        (&ids as _, Type::UUID_ARRAY),
        (&statuses as _, Type::TEXT_ARRAY),
        (&window as _, Type::UUID),
    ];
    connection.execute(RESERVE_KEYS, &values).await?;
    let rows = connection.query(FIND_KEYS, &[(&environments, Type::UUID_ARRAY), (&keys, Type::TEXT_ARRAY)]).await?;
    for row in &rows {
        let (environment, key, fingerprint): (Uuid, &str, &[u8]) = (row.get(0), row.get(1), row.get(2));
        let (holder, first_status): (Uuid, &str) = (row.get(3), row.get(4));
        let claimant = keyed.iter().find(|publication| environment_of(publication) == environment && key_of(publication).0 == key);
        let Some(claimant) = claimant.filter(|claimant| id_of(claimant) != holder) else { continue };
        published.insert(id_of(claimant), repeated(holder, fingerprint, first_status, &key_of(claimant).1));
    }
    Ok(())
}

async fn reserve_event_ids(
    connection: &Connection,
    named: &[&Sealed],
    window: Uuid,
    published: &mut HashMap<Uuid, Published>,
) -> Result<(), Error> {
    // A repetition needs no event id.
    let named: Vec<_> = named.iter().copied().filter(|publication| !published.contains_key(&id_of(publication))).collect();
    let event_id_of = |publication: &Sealed| publication.event_id.clone().unwrap_or_default();
    let origins: Vec<_> = named.iter().map(|publication| origin_of(publication)).collect();
    let event_ids: Vec<_> = named.iter().map(|publication| event_id_of(publication)).collect();
    let ids: Vec<_> = named.iter().map(|publication| id_of(publication)).collect();
    let values =
        [(&origins as _, Type::UUID_ARRAY), (&event_ids as _, Type::TEXT_ARRAY), (&ids as _, Type::UUID_ARRAY), (&window as _, Type::UUID)];
    connection.execute(RESERVE_EVENT_IDS, &values).await?;
    let rows = connection.query(FIND_EVENT_IDS, &[(&origins, Type::UUID_ARRAY), (&event_ids, Type::TEXT_ARRAY)]).await?;
    for row in &rows {
        let (origin, event_id, holder): (Uuid, &str, Uuid) = (row.get(0), row.get(1), row.get(2));
        let claimant = named.iter().find(|publication| origin_of(publication) == origin && event_id_of(publication) == event_id);
        if let Some(claimant) = claimant.filter(|claimant| id_of(claimant) != holder) {
            published.insert(id_of(claimant), Published::DuplicateEventId { message_id: MessageId::from_bytes(holder.into_bytes()) });
        }
    }
    Ok(())
}
