//! Storing messages with all that becomes durable with them: what waits goes into one commit.
//!
//! One task publishes. While one commit is under way others wait, and they go into the next. Messages
//! without a key, which are most, take one statement a batch; those with an idempotency key or an
//! `event_id` first reserve it, in a transaction of their own.
//!
//! Where the connection breaks, nobody knows whether the commit came about. The batch is done again on
//! another connection, after a look at what is there: ids are made by the sender's node, so that a second
//! commit of the same message cannot happen.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    time::Duration,
};

use hookstream_model::{
    ids::MessageId,
    message::{ContentType, MessageStatus},
    time::Timestamp,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::{
    connection::{Connection, Pool, connect, is_without_day},
    days::{self, first_id_at, number},
};
use crate::{
    deliveries::{NewState, Publication, Published, Versions},
    error::Error,
};

const OPERATION: &str = "store messages";
/// The most messages, and about the most bytes of payload, in one commit.
const BATCH: usize = 1_000;
const BATCH_BYTES: usize = 16 * 1024 * 1024;
/// The most messages that wait; further senders wait to get in.
const QUEUE: usize = 8_192;
/// For how long a message is tried to be stored while the database is not available.
const PATIENCE: Duration = Duration::from_secs(15);
/// When to try again.
const AGAIN: Duration = Duration::from_millis(200);

/// Stores those whose application is as it was when their deliveries were decided, and returns which.
const STORE: &str = "with seen as (
        select s.number from unnest($1::int4[], $2::bytea[], $3::int8[], $4::int8[]) as s (number, application, version, event_types)
        join applications a on a.id = s.application and a.version = s.version
        join environments e on e.id = a.environment_id and e.version = s.event_types
    ), given as (
        select g.* from unnest($5::int4[], $6::uuid[], $7::uuid[], $8::uuid[], $9::text[], $10::text[], $11::int4[], $12::bool[], $13::bytea[])
            as g (seen, application_id, id, environment_id, event_type, event_id, deliveries, is_text, body)
        where g.seen in (select number from seen)
    ), stored as (
        insert into messages (application_id, id, environment_id, event_type, event_id, deliveries)
        select application_id, id, environment_id, event_type, event_id, deliveries from given
    ), kept as (
        insert into payloads (message_id, is_text, body) select id, is_text, body from given
    ), owed as (
        insert into pending (message_id, target_id, application_id, owner, due_at, attempts, failed, trigger_type)
        select p.message_id, p.target_id, p.application_id, p.owner, p.due_at, 0, 0, p.trigger_type
        from unnest($14::int4[], $15::uuid[], $16::uuid[], $17::uuid[], $18::int8[], $19::int8[], $20::text[])
            as p (seen, message_id, target_id, application_id, owner, due_at, trigger_type)
        where p.seen in (select number from seen)
    ), skipped as (
        insert into undelivered (message_id, target_id, state, reason, attempts, ended_at)
        select u.message_id, u.target_id, 'skipped', u.reason, 0, u.ended_at
        from unnest($21::int4[], $22::uuid[], $23::uuid[], $24::text[], $25::int8[]) as u (seen, message_id, target_id, reason, ended_at)
        where u.seen in (select number from seen)
    ), counted as (
        insert into message_counts (day, application_id, owner, messages)
        select c.day, c.application_id, $26, c.messages
        from unnest($27::int4[], $28::int8[], $29::uuid[], $30::int8[]) as c (seen, day, application_id, messages)
        where c.seen in (select number from seen)
        on conflict (application_id, day, owner) do update set messages = message_counts.messages + excluded.messages
    )
    select number from seen";
const FIND_STORED: &str = "select m.id from unnest($1::uuid[], $2::uuid[]) as g (application_id, id)
    join messages m on m.application_id = g.application_id and m.id = g.id";
/// A key of a message before the window is free again. Sorted, so that two nodes never wait for each other.
const RESERVE_KEYS: &str = "insert into message_keys (environment_id, key, fingerprint, application_id, message_id, first_status)
    select * from unnest($1::uuid[], $2::text[], $3::bytea[], $4::uuid[], $5::uuid[], $6::text[])
        as g (environment_id, key, fingerprint, application_id, message_id, first_status) order by 1, 2
    on conflict (environment_id, key) do update set fingerprint = excluded.fingerprint, application_id = excluded.application_id,
        message_id = excluded.message_id, first_status = excluded.first_status
    where message_keys.message_id < $7";
const RESERVE_EVENT_IDS: &str = "insert into event_ids (application_id, event_id, message_id)
    select * from unnest($1::uuid[], $2::text[], $3::uuid[]) as g (application_id, event_id, message_id) order by 1, 2
    on conflict (application_id, event_id) do update set message_id = excluded.message_id where event_ids.message_id < $4";
const FIND_KEYS: &str = "select k.environment_id, k.key, k.fingerprint, k.message_id, k.first_status
    from unnest($1::uuid[], $2::text[]) as g (environment_id, key)
    join message_keys k on k.environment_id = g.environment_id and k.key = g.key";
const FIND_EVENT_IDS: &str =
    "select k.application_id, k.event_id, k.message_id from unnest($1::uuid[], $2::text[]) as g (application_id, event_id)
    join event_ids k on k.application_id = g.application_id and k.event_id = g.event_id";

/// A handle to the task.
#[derive(Debug, Clone)]
pub(super) struct Publisher(mpsc::Sender<Job>);

/// A message that waits for its commit.
struct Job {
    publication: Publication,
    reply: oneshot::Sender<Result<Published, Error>>,
    until: Instant,
    /// Whether an earlier try may have stored it.
    is_doubtful: bool,
}

impl Job {
    fn answer(self, answer: Result<Published, Error>) {
        // Whoever asked may have gone; what is stored is stored all the same.
        let _ = self.reply.send(answer);
    }
}

impl Publisher {
    /// A publisher and the task that works for it.
    pub(super) fn new(pool: Pool) -> (Self, impl Future<Output = ()>) {
        let (jobs, queue) = mpsc::channel(QUEUE);
        (Self(jobs), work(pool, queue))
    }

    /// Stores a message in the next commit.
    pub(super) async fn publish(&self, publication: Publication) -> Result<Published, Error> {
        let (reply, answer) = oneshot::channel();
        let job = Job { publication, reply, until: Instant::now() + PATIENCE, is_doubtful: false };
        self.0.send(job).await.map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)?
    }
}

/// Publishes until every handle is gone.
async fn work(pool: Pool, mut queue: mpsc::Receiver<Job>) {
    let mut waiting = Vec::new();
    loop {
        if waiting.is_empty() && queue.recv_many(&mut waiting, BATCH).await == 0 {
            return;
        }
        while waiting.len() < BATCH
            && let Ok(job) = queue.try_recv()
        {
            waiting.push(job);
        }
        let batch = take_batch(&mut waiting);
        let is_keyed = |job: &Job| job.publication.idempotency.is_some() || job.publication.event_id.is_some();
        let (keyed, plain): (Vec<_>, Vec<_>) = batch.into_iter().partition(is_keyed);
        let mut again = Vec::new();
        if !plain.is_empty() {
            again.extend(publish(&pool, plain, false).await);
        }
        if !keyed.is_empty() {
            again.extend(publish(&pool, keyed, true).await);
        }
        if !again.is_empty() {
            tokio::time::sleep(AGAIN).await;
            waiting.extend(again);
        }
    }
}

/// The first of what waits, up to the bytes of a batch. Of those with the same key only one: the next
/// finds what became of it.
fn take_batch(waiting: &mut Vec<Job>) -> Vec<Job> {
    let (mut batch, mut rest) = (Vec::with_capacity(waiting.len()), Vec::new());
    let mut bytes = 0;
    let mut keys = HashSet::new();
    for job in waiting.drain(..) {
        let Publication { tenant, message, event_id, idempotency, .. } = &job.publication;
        let is_first = idempotency.as_ref().is_none_or(|key| keys.insert((*tenant.environment.as_bytes(), key.key.clone())))
            && event_id.as_ref().is_none_or(|id| keys.insert((*message.application_id.as_bytes(), id.clone())));
        if bytes > BATCH_BYTES || !is_first {
            rest.push(job);
        } else {
            bytes += message.payload.body.len();
            batch.push(job);
        }
    }
    *waiting = rest;
    batch
}

/// Publishes a batch. Returns what is to be tried again.
async fn publish(pool: &Pool, mut batch: Vec<Job>, keyed: bool) -> Vec<Job> {
    let mut tried = try_publish(pool, &batch, keyed).await;
    if tried.as_ref().err().is_some_and(is_without_day) {
        tried = match prepare_days(pool, &batch).await {
            Ok(()) => try_publish(pool, &batch, keyed).await,
            Err(error) => Err(error),
        };
    }
    match tried {
        Ok(answers) => {
            batch.into_iter().zip(answers).for_each(|(job, answer)| job.answer(Ok(answer)));
            Vec::new()
        }
        Err(Error::Unavailable { operation, cause }) => {
            tracing::warn!(error = %cause, "could not {operation}; trying again");
            let now = Instant::now();
            let (again, given_up): (Vec<_>, Vec<_>) = batch.into_iter().partition(|job| job.until > now);
            for job in given_up {
                job.answer(Err(Error::Unavailable { operation, cause: "it was not available for too long".into() }));
            }
            again.into_iter().map(|job| Job { is_doubtful: true, ..job }).collect()
        }
        Err(error) => {
            let Some(last) = batch.pop() else { return Vec::new() };
            if batch.is_empty() && (last.is_doubtful || !matches!(error, Error::Conflict { .. })) {
                last.answer(Err(error));
                return Vec::new();
            }
            // One that is bad spoils no other; one that is there already was stored by an earlier try.
            let mut again = Vec::new();
            for job in batch.into_iter().chain([last]) {
                let doubtful = Job { is_doubtful: true, ..job };
                again.extend(Box::pin(publish(pool, vec![doubtful], keyed)).await);
            }
            again
        }
    }
}

/// Makes room for the days of a batch, which is there ahead of them, unless clocks are far apart.
async fn prepare_days(pool: &Pool, batch: &[Job]) -> Result<(), Error> {
    let days: BTreeSet<_> = batch.iter().map(|job| job.publication.message.id.timestamp().day()).collect();
    for day in days {
        days::prepare(pool, day).await?;
    }
    Ok(())
}

async fn try_publish(pool: &Pool, batch: &[Job], keyed: bool) -> Result<Vec<Published>, Error> {
    let connection = connect(pool, OPERATION).await?;
    let stored = if batch.iter().any(|job| job.is_doubtful) { find_stored(&connection, batch).await? } else { HashSet::new() };
    let missing: Vec<&Publication> =
        batch.iter().map(|job| &job.publication).filter(|publication| !stored.contains(&id_of(publication))).collect();
    let mut published = if missing.is_empty() {
        HashMap::new()
    } else if keyed {
        store_keyed(connection, &missing).await?
    } else {
        store(&connection, &missing).await?
    };
    let answer = |job: &Job| published.remove(&id_of(&job.publication)).unwrap_or(Published::Stored);
    Ok(batch.iter().map(answer).collect())
}

fn id_of(publication: &Publication) -> Uuid {
    Uuid::from_bytes(*publication.message.id.as_bytes())
}

fn application_of(publication: &Publication) -> Uuid {
    Uuid::from_bytes(*publication.message.application_id.as_bytes())
}

fn environment_of(publication: &Publication) -> Uuid {
    Uuid::from_bytes(*publication.tenant.environment.as_bytes())
}

async fn find_stored(connection: &Connection, batch: &[Job]) -> Result<HashSet<Uuid>, Error> {
    let ids: Vec<_> = batch.iter().map(|job| id_of(&job.publication)).collect();
    let applications: Vec<_> = batch.iter().map(|job| application_of(&job.publication)).collect();
    let rows = connection.query(FIND_STORED, &[(&applications, Type::UUID_ARRAY), (&ids, Type::UUID_ARRAY)]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Stores messages whose keys are theirs.
async fn store(connection: &Connection, publications: &[&Publication]) -> Result<HashMap<Uuid, Published>, Error> {
    let columns = Columns::of(publications);
    let Columns { seen, messages, owed, skipped, counts } = &columns;
    let owner = owed.owners.iter().copied().max().unwrap_or(0);
    let values = [
        (&seen.numbers as _, Type::INT4_ARRAY),
        (&seen.applications as _, Type::BYTEA_ARRAY),
        (&seen.versions as _, Type::INT8_ARRAY),
        (&seen.event_types as _, Type::INT8_ARRAY),
        (&messages.seen as _, Type::INT4_ARRAY),
        (&messages.applications as _, Type::UUID_ARRAY),
        (&messages.ids as _, Type::UUID_ARRAY),
        (&messages.environments as _, Type::UUID_ARRAY),
        (&messages.event_types as _, Type::TEXT_ARRAY),
        (&messages.event_ids as _, Type::TEXT_ARRAY),
        (&messages.deliveries as _, Type::INT4_ARRAY),
        (&messages.is_text as _, Type::BOOL_ARRAY),
        (&messages.bodies as _, Type::BYTEA_ARRAY),
        (&owed.seen as _, Type::INT4_ARRAY),
        (&owed.messages as _, Type::UUID_ARRAY),
        (&owed.targets as _, Type::UUID_ARRAY),
        (&owed.applications as _, Type::UUID_ARRAY),
        (&owed.owners as _, Type::INT8_ARRAY),
        (&owed.due_at as _, Type::INT8_ARRAY),
        (&owed.triggers as _, Type::TEXT_ARRAY),
        (&skipped.seen as _, Type::INT4_ARRAY),
        (&skipped.messages as _, Type::UUID_ARRAY),
        (&skipped.targets as _, Type::UUID_ARRAY),
        (&skipped.reasons as _, Type::TEXT_ARRAY),
        (&skipped.ended_at as _, Type::INT8_ARRAY),
        (&owner as _, Type::INT8),
        (&counts.seen as _, Type::INT4_ARRAY),
        (&counts.days as _, Type::INT8_ARRAY),
        (&counts.applications as _, Type::UUID_ARRAY),
        (&counts.messages as _, Type::INT8_ARRAY),
    ];
    let rows = connection.query(STORE, &values).await?;
    let current: HashSet<i32> = rows.iter().map(|row| row.get(0)).collect();
    let published = |(id, seen): (&Uuid, &i32)| (*id, if current.contains(seen) { Published::Stored } else { Published::Stale });
    Ok(messages.ids.iter().zip(&messages.seen).map(published).collect())
}

/// Reserves the keys, then stores those that got theirs, all in one transaction.
async fn store_keyed(connection: Connection, publications: &[&Publication]) -> Result<HashMap<Uuid, Published>, Error> {
    let all = async |connection: &Connection| {
        let mut published = HashMap::new();
        reserve(connection, publications, &mut published).await?;
        let winners: Vec<_> = publications.iter().copied().filter(|winner| !published.contains_key(&id_of(winner))).collect();
        if !winners.is_empty() {
            published.extend(store(connection, &winners).await?);
        }
        Ok(published)
    };
    // What is stale, or lost one of two keys, must not keep one: then nothing is kept, and each is done alone.
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

/// Tries to get the keys, and tells of those that somebody else has.
async fn reserve(connection: &Connection, publications: &[&Publication], published: &mut HashMap<Uuid, Published>) -> Result<(), Error> {
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
    keyed: &[&Publication],
    window: Uuid,
    published: &mut HashMap<Uuid, Published>,
) -> Result<(), Error> {
    let key_of = |publication: &Publication| publication.idempotency.clone().map(|key| (key.key, key.fingerprint)).unwrap_or_default();
    let environments: Vec<_> = keyed.iter().map(|publication| environment_of(publication)).collect();
    let keys: Vec<_> = keyed.iter().map(|publication| key_of(publication).0).collect();
    let fingerprints: Vec<_> = keyed.iter().map(|publication| key_of(publication).1.to_vec()).collect();
    let applications: Vec<_> = keyed.iter().map(|publication| application_of(publication)).collect();
    let ids: Vec<_> = keyed.iter().map(|publication| id_of(publication)).collect();
    let statuses: Vec<_> = keyed.iter().map(|publication| publication.first_status().as_str()).collect();
    let values = [
        (&environments as _, Type::UUID_ARRAY),
        (&keys as _, Type::TEXT_ARRAY),
        (&fingerprints as _, Type::BYTEA_ARRAY),
        (&applications as _, Type::UUID_ARRAY),
        (&ids as _, Type::UUID_ARRAY),
        (&statuses as _, Type::TEXT_ARRAY),
        (&window as _, Type::UUID),
    ];
    connection.execute(RESERVE_KEYS, &values).await?;
    let rows = connection.query(FIND_KEYS, &[(&environments, Type::UUID_ARRAY), (&keys, Type::TEXT_ARRAY)]).await?;
    for row in &rows {
        let (environment, key, fingerprint): (Uuid, &str, &[u8]) = (row.get(0), row.get(1), row.get(2));
        let (holder, first_status): (Uuid, &str) = (row.get(3), row.get(4));
        let asking = keyed.iter().find(|publication| environment_of(publication) == environment && key_of(publication).0 == key);
        let Some(asking) = asking.filter(|asking| id_of(asking) != holder) else { continue };
        let is_skipped = first_status == MessageStatus::Skipped.as_str();
        let answer = if fingerprint == key_of(asking).1 {
            Published::Repeated {
                message_id: MessageId::from_bytes(holder.into_bytes()),
                first_status: if is_skipped { MessageStatus::Skipped } else { MessageStatus::Pending },
            }
        } else {
            Published::KeyReused
        };
        published.insert(id_of(asking), answer);
    }
    Ok(())
}

async fn reserve_event_ids(
    connection: &Connection,
    named: &[&Publication],
    window: Uuid,
    published: &mut HashMap<Uuid, Published>,
) -> Result<(), Error> {
    // One that is a repetition asks for nothing.
    let named: Vec<_> = named.iter().copied().filter(|publication| !published.contains_key(&id_of(publication))).collect();
    let event_id_of = |publication: &Publication| publication.event_id.clone().unwrap_or_default();
    let applications: Vec<_> = named.iter().map(|publication| application_of(publication)).collect();
    let event_ids: Vec<_> = named.iter().map(|publication| event_id_of(publication)).collect();
    let ids: Vec<_> = named.iter().map(|publication| id_of(publication)).collect();
    let values = [
        (&applications as _, Type::UUID_ARRAY),
        (&event_ids as _, Type::TEXT_ARRAY),
        (&ids as _, Type::UUID_ARRAY),
        (&window as _, Type::UUID),
    ];
    connection.execute(RESERVE_EVENT_IDS, &values).await?;
    let rows = connection.query(FIND_EVENT_IDS, &[(&applications, Type::UUID_ARRAY), (&event_ids, Type::TEXT_ARRAY)]).await?;
    for row in &rows {
        let (application, event_id, holder): (Uuid, &str, Uuid) = (row.get(0), row.get(1), row.get(2));
        let asking = named.iter().find(|publication| application_of(publication) == application && event_id_of(publication) == event_id);
        if let Some(asking) = asking.filter(|asking| id_of(asking) != holder) {
            published.insert(id_of(asking), Published::DuplicateEventId { message_id: MessageId::from_bytes(holder.into_bytes()) });
        }
    }
    Ok(())
}

/// The columns of [`STORE`].
#[derive(Default)]
struct Columns<'a> {
    seen: Seen,
    messages: Messages<'a>,
    owed: Owed,
    skipped: Skipped,
    counts: Counts,
}

#[derive(Default)]
struct Seen {
    numbers: Vec<i32>,
    applications: Vec<Vec<u8>>,
    versions: Vec<i64>,
    event_types: Vec<i64>,
}

#[derive(Default)]
struct Messages<'a> {
    seen: Vec<i32>,
    applications: Vec<Uuid>,
    ids: Vec<Uuid>,
    environments: Vec<Uuid>,
    event_types: Vec<&'a str>,
    event_ids: Vec<Option<&'a str>>,
    deliveries: Vec<i32>,
    is_text: Vec<bool>,
    bodies: Vec<&'a [u8]>,
}

#[derive(Default)]
struct Owed {
    seen: Vec<i32>,
    messages: Vec<Uuid>,
    targets: Vec<Uuid>,
    applications: Vec<Uuid>,
    owners: Vec<i64>,
    due_at: Vec<i64>,
    triggers: Vec<&'static str>,
}

#[derive(Default)]
struct Skipped {
    seen: Vec<i32>,
    messages: Vec<Uuid>,
    targets: Vec<Uuid>,
    reasons: Vec<&'static str>,
    ended_at: Vec<i64>,
}

#[derive(Default)]
struct Counts {
    seen: Vec<i32>,
    days: Vec<i64>,
    applications: Vec<Uuid>,
    messages: Vec<i64>,
}

impl<'a> Columns<'a> {
    fn of(publications: &[&'a Publication]) -> Self {
        let mut columns = Self::default();
        let mut numbers: HashMap<(Uuid, i64, i64), i32> = HashMap::new();
        let mut counts: BTreeMap<(i32, i64, Uuid), i64> = BTreeMap::new();
        for publication in publications {
            let Versions { application: version, environment: event_types } = publication.seen;
            let next = i32::try_from(numbers.len()).unwrap_or(i32::MAX);
            let seen = *numbers.entry((application_of(publication), version, event_types)).or_insert_with(|| {
                columns.seen.numbers.push(next);
                columns.seen.applications.push(publication.message.application_id.as_bytes().to_vec());
                columns.seen.versions.push(version);
                columns.seen.event_types.push(event_types);
                next
            });
            columns.push(publication, seen);
            let day = number(publication.message.id.timestamp().day());
            *counts.entry((seen, day, application_of(publication))).or_default() += 1;
        }
        for ((seen, day, application), messages) in counts {
            columns.counts.seen.push(seen);
            columns.counts.days.push(day);
            columns.counts.applications.push(application);
            columns.counts.messages.push(messages);
        }
        columns
    }

    fn push(&mut self, publication: &'a Publication, seen: i32) {
        let message = &publication.message;
        let (id, application) = (id_of(publication), application_of(publication));
        let accepted_at = message.id.timestamp().as_millis();
        self.messages.seen.push(seen);
        self.messages.applications.push(application);
        self.messages.ids.push(id);
        self.messages.environments.push(environment_of(publication));
        self.messages.event_types.push(&message.event_type);
        self.messages.event_ids.push(publication.event_id.as_deref());
        self.messages.deliveries.push(i32::try_from(publication.deliveries.len()).unwrap_or(i32::MAX));
        self.messages.is_text.push(message.payload.content_type == ContentType::Text);
        self.messages.bodies.push(&message.payload.body);
        for delivery in &publication.deliveries {
            let target = Uuid::from_bytes(*delivery.target_id.as_bytes());
            match delivery.state {
                NewState::Owed { owner } => {
                    self.owed.seen.push(seen);
                    self.owed.messages.push(id);
                    self.owed.targets.push(target);
                    self.owed.applications.push(application);
                    self.owed.owners.push(owner.map_or(0, super::super::deliveries::Owner::number));
                    self.owed.due_at.push(accepted_at);
                    self.owed.triggers.push(publication.trigger.as_str());
                }
                NewState::Skipped(reason) => {
                    self.skipped.seen.push(seen);
                    self.skipped.messages.push(id);
                    self.skipped.targets.push(target);
                    self.skipped.reasons.push(reason.as_str());
                    self.skipped.ended_at.push(accepted_at);
                }
            }
        }
    }
}
