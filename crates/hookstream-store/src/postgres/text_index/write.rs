//! Indexing of a slice: words and position in one transaction.

use std::collections::HashMap;

use hookstream_model::base::{
    ids::{EnvironmentId, MessageId},
    time::Day,
};
use tokio_postgres::{Row, types::Type};
use uuid::Uuid;

use super::tables;
use crate::{
    db::error::Error,
    delivery::{
        finding::{IdBytes, successor},
        text_index::{IndexEntry, IndexSlice, IndexState, Indexed, mark_of_environment},
    },
    postgres::{
        db::connection::{Connection, Pool, connect},
        history::messages::read_payload,
        retention::days::{first_id_at, number},
    },
};

const OPERATION: &str = "index messages";
const PAYLOADS: &str = "select message_id, environment_id, is_text, encoding, size, body from payloads
    where message_id >= $1 and message_id < $2 order by message_id limit $3";
/// One lookup for each origin of the day, because messages have no index by id alone.
const MESSAGES: &str = "select m.id, m.origin_id, m.event_type, m.event_id
    from (select distinct origin_id from message_counts where day = $3) c cross join lateral (
        select id, origin_id, event_type, event_id from messages
        where origin_id = c.origin_id and id >= $1 and id <= $2 offset 0
    ) m";
const BEGIN: &str = "insert into search_progress (since, until) values ($1, $1) on conflict (only_row) do nothing";
const ADVANCE: &str = "update search_progress set since = $1, until = $2 where until = $3";

/// Maximum number of rows that one statement removes.
const FORGET_SLICE: i64 = 500;

/// Indexes the next messages.
pub(super) async fn index(pool: &Pool, slice: IndexSlice) -> Result<Indexed, Error> {
    let connection = connect(pool, OPERATION).await?;
    let since = *slice.since.as_bytes();
    let Some(stored) = tables::state(&connection).await? else {
        tables::create_progress(&connection).await?;
        connection.execute(BEGIN, &[(&Uuid::from_bytes(since), Type::UUID)]).await?;
        return Ok(Indexed { messages: 0, is_caught_up: false });
    };
    // Nothing is kept from before `since`, so a gap up to there is no loss.
    let state = if stored.until < since { IndexState { since, until: since } } else { stored };
    let end = *slice.until.as_bytes();
    if state.until >= end {
        return Ok(Indexed { messages: 0, is_caught_up: true });
    }
    let day = MessageId::from_bytes(state.until).timestamp().day();
    let end_of_day = first_id_at(day.end()).into_bytes();
    let entries = entries(&connection, day, state.until, end.min(end_of_day), slice.most).await?;
    let messages = entries.len();
    let until = match entries.last() {
        Some(last) => successor(last.id),
        None => end.min(end_of_day),
    };
    let words: Vec<_> =
        entries.into_iter().map(|entry| (Uuid::from_bytes(entry.id), Uuid::from_bytes(entry.origin), entry.words())).collect();
    if messages > 0 {
        tables::create_day(&connection, day).await?;
    }
    let to = IndexState { until, ..state };
    let write = async |connection: &Connection| write(connection, day, &words, stored, to).await;
    connection.transaction(write, |is_ours| *is_ours).await?;
    Ok(Indexed { messages, is_caught_up: messages == 0 && until >= end })
}

/// Message with its origin and its words.
type WordsOf = (Uuid, Uuid, String);

/// Stores words and position. Returns false if another node has advanced meanwhile.
async fn write(connection: &Connection, day: Day, words: &[WordsOf], from: IndexState, to: IndexState) -> Result<bool, Error> {
    let id = Uuid::from_bytes;
    let values = [(&id(to.since) as _, Type::UUID), (&id(to.until) as _, Type::UUID), (&id(from.until) as _, Type::UUID)];
    if connection.execute(ADVANCE, &values).await? == 0 {
        return Ok(false);
    }
    if words.is_empty() {
        return Ok(true);
    }
    let ids: Vec<Uuid> = words.iter().map(|(id, ..)| *id).collect();
    let origins: Vec<Uuid> = words.iter().map(|(_, origin, _)| *origin).collect();
    let texts: Vec<&str> = words.iter().map(|(.., words)| words.as_str()).collect();
    let add = format!(
        "insert into {} (message_id, origin_id, words) select id, origin, array_to_tsvector(string_to_array(words, ' '))
            from unnest($1::uuid[], $2::uuid[], $3::text[]) as n (id, origin, words) on conflict (message_id) do nothing",
        tables::table(day)
    );
    let values = [(&ids as _, Type::UUID_ARRAY), (&origins as _, Type::UUID_ARRAY), (&texts as _, Type::TEXT_ARRAY)];
    connection.execute(&add, &values).await?;
    Ok(true)
}

/// Reads messages of a day with their payloads, in the order of their ids.
async fn entries(connection: &Connection, day: Day, from: IdBytes, end: IdBytes, most: usize) -> Result<Vec<IndexEntry>, Error> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let values = [(&Uuid::from_bytes(from) as _, Type::UUID), (&Uuid::from_bytes(end) as _, Type::UUID), (&most as _, Type::INT8)];
    let read = |row: &Row| IndexEntry {
        id: row.get::<_, Uuid>(0).into_bytes(),
        environment: row.get::<_, Uuid>(1).into_bytes(),
        origin: [0; 16],
        event_type: String::new(),
        event_id: None,
        payload: read_payload(row, 2),
    };
    let mut entries: Vec<_> = connection.query(PAYLOADS, &values).await?.iter().map(read).collect();
    let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return Ok(entries) };
    let values =
        [(&Uuid::from_bytes(first.id) as _, Type::UUID), (&Uuid::from_bytes(last.id) as _, Type::UUID), (&number(day) as _, Type::INT8)];
    let rows = connection.query(MESSAGES, &values).await?;
    let mut messages: HashMap<IdBytes, &Row> = rows.iter().map(|row| (row.get::<_, Uuid>(0).into_bytes(), row)).collect();
    for entry in &mut entries {
        if let Some(row) = messages.remove(&entry.id) {
            entry.origin = row.get::<_, Uuid>(1).into_bytes();
            (entry.event_type, entry.event_id) = (row.get(2), row.get(3));
        }
    }
    Ok(entries)
}

/// Removes the days before `from`, and more until the index is small enough; the newest day stays then.
pub(super) async fn trim(pool: &Pool, from: Day, bytes: u64) -> Result<(), Error> {
    let connection = connect(pool, OPERATION).await?;
    let Some(state) = tables::state(&connection).await? else { return Ok(()) };
    let mut sizes = Vec::new();
    for day in tables::days(&connection).await? {
        sizes.push((day, tables::size(&connection, day).await?));
    }
    let mut total: u64 = sizes.iter().map(|(_, size)| size).sum();
    let newest = sizes.last().map(|(day, _)| *day);
    let mut kept_from = from;
    for (day, size) in sizes {
        let is_too_large = total > bytes && Some(day) != newest;
        if day >= from && !is_too_large {
            break;
        }
        // The interval first: a search must not rely on a day that is gone.
        kept_from = kept_from.max(day.next());
        tables::set_since(&connection, first_id_at(kept_from.start()).into_bytes()).await?;
        tables::drop_day(pool, day).await?;
        total = total.saturating_sub(size);
    }
    if state.since < first_id_at(kept_from.start()).into_bytes() {
        tables::set_since(&connection, first_id_at(kept_from.start()).into_bytes()).await?;
    }
    Ok(())
}

/// Removes the whole index.
pub(super) async fn drop_all(pool: &Pool) -> Result<(), Error> {
    let connection = connect(pool, OPERATION).await?;
    if tables::state(&connection).await?.is_none() {
        return Ok(());
    }
    tables::drop_progress(&connection).await?;
    for day in tables::days(&connection).await? {
        tables::drop_day(pool, day).await?;
    }
    Ok(())
}

/// Removes the words of an environment's messages before `before`.
pub(super) async fn forget(pool: &Pool, environment: EnvironmentId, before: MessageId) -> Result<(), Error> {
    let connection = connect(pool, OPERATION).await?;
    let mark = format!("'{}'", mark_of_environment(*environment.as_bytes()));
    let before = Uuid::from_bytes(*before.as_bytes());
    for day in tables::days(&connection).await?.into_iter().filter(|day| first_id_at(day.start()) < before) {
        let table = tables::table(day);
        let forget = format!(
            "delete from {table} where message_id in
                (select message_id from {table} where words @@ $1::text::tsquery and message_id < $2 limit $3)"
        );
        let values = [(&mark as _, Type::TEXT), (&before as _, Type::UUID), (&FORGET_SLICE as _, Type::INT8)];
        while connection.execute(&forget, &values).await? > 0 {}
    }
    Ok(())
}
