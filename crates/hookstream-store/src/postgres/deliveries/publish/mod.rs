//! Storing messages with everything that becomes durable together with them: one commit for all waiting messages.
//!
//! One task publishes. Messages that arrive during a commit go into the next one. Messages without a key, which are
//! most, take one statement per batch. Messages with an idempotency key or an `event_id` reserve it first, in a
//! separate transaction.
//!
//! If the connection breaks, the result of the commit is unknown. The batch is repeated on another connection, after
//! a search for messages that are already stored. The sender's node makes the ids, so a second commit of the same
//! message is impossible.

mod columns;
mod keys;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use tokio_postgres::types::Type;
use uuid::Uuid;

pub(crate) use self::keys::find_earlier;
use crate::{
    db::error::Error,
    delivery::{
        deliveries::{Owner, Publication, Published},
        payloads::Sealed,
    },
    instruments::Commits,
    postgres::{
        db::connection::{Connection, Pool, connect, is_transient, lacks_partition},
        retention::days,
    },
};

const OPERATION: &str = "store messages";
/// Maximum number of messages and approximate maximum of payload bytes in one commit.
const BATCH: usize = 1_000;
const BATCH_BYTES: usize = 16 * 1024 * 1024;
/// Maximum number of waiting messages; further senders wait.
const QUEUE: usize = 8_192;
/// Time for which storing a message is retried while the database is unavailable.
const RETRY_FOR: Duration = Duration::from_secs(15);
/// Pause before a retry.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

const FIND_STORED: &str = "select m.id from unnest($1::uuid[], $2::uuid[]) as g (origin_id, id)
    join messages m on m.origin_id = g.origin_id and m.id = g.id";

/// Handle of the publishing task.
#[derive(Debug, Clone)]
pub(crate) struct Publisher {
    submissions: mpsc::Sender<Submission>,
    /// Owner number under which messages are counted.
    owner: Arc<AtomicI64>,
}

/// Message that waits for its commit.
struct Submission {
    publication: Sealed,
    owner: i64,
    reply: oneshot::Sender<Result<Published, Error>>,
    until: Instant,
    /// Whether an earlier attempt may have stored the message.
    may_be_stored: bool,
}

impl Submission {
    fn respond(self, response: Result<Published, Error>) {
        // The caller may be gone; the message is stored all the same.
        let _ = self.reply.send(response);
    }
}

impl Publisher {
    /// Creates a publisher and its task.
    pub(crate) fn new(pool: Pool, commits: Commits) -> (Self, impl Future<Output = ()>) {
        let (submissions, queue) = mpsc::channel(QUEUE);
        (Self { submissions, owner: Arc::default() }, work(pool, queue, commits))
    }

    /// Counts messages under this number from now on, so that no node waits for another one's counts.
    pub(crate) fn count_as(&self, owner: Owner) {
        self.owner.store(owner.number(), Ordering::Relaxed);
    }

    /// Stores a message in the next commit.
    pub(crate) async fn publish(&self, publication: Publication) -> Result<Published, Error> {
        let (reply, response) = oneshot::channel();
        let owner = self.owner.load(Ordering::Relaxed);
        let publication = Sealed::of(publication).await?;
        let submission = Submission { publication, owner, reply, until: Instant::now() + RETRY_FOR, may_be_stored: false };
        self.submissions.send(submission).await.map_err(|_| Error::Closed)?;
        response.await.map_err(|_| Error::Closed)?
    }
}

/// Publishes until every handle is dropped.
async fn work(pool: Pool, mut queue: mpsc::Receiver<Submission>, commits: Commits) {
    let mut waiting = Vec::new();
    loop {
        if waiting.is_empty() && queue.recv_many(&mut waiting, BATCH).await == 0 {
            return;
        }
        while waiting.len() < BATCH
            && let Ok(submission) = queue.try_recv()
        {
            waiting.push(submission);
        }
        let batch = take_batch(&mut waiting);
        let is_keyed = |submission: &Submission| submission.publication.idempotency.is_some() || submission.publication.event_id.is_some();
        let (keyed, plain): (Vec<_>, Vec<_>) = batch.into_iter().partition(is_keyed);
        let mut retries = Vec::new();
        for (batch, is_keyed) in [(plain, false), (keyed, true)] {
            if !batch.is_empty() {
                let (size, begun) = (batch.len(), Instant::now());
                retries.extend(publish(&pool, batch, is_keyed).await);
                commits.note(size, begun.elapsed());
            }
        }
        if !retries.is_empty() {
            tokio::time::sleep(RETRY_PAUSE).await;
            waiting.extend(retries);
        }
    }
}

/// Takes the first waiting messages, up to the bytes of a batch. Takes only one message per key: the next one finds
/// the result of the first.
fn take_batch(waiting: &mut Vec<Submission>) -> Vec<Submission> {
    let (mut batch, mut rest) = (Vec::with_capacity(waiting.len()), Vec::new());
    let mut bytes = 0;
    let mut keys = HashSet::new();
    for submission in waiting.drain(..) {
        let Publication { tenant, message, event_id, idempotency, .. } = &*submission.publication;
        let is_first = idempotency.as_ref().is_none_or(|key| keys.insert((*tenant.environment.as_bytes(), key.key.clone())))
            && event_id.as_ref().is_none_or(|id| keys.insert((*message.origin_id.as_bytes(), id.clone())));
        if bytes > BATCH_BYTES || !is_first {
            rest.push(submission);
        } else {
            bytes += submission.publication.payload().body.len();
            batch.push(submission);
        }
    }
    *waiting = rest;
    batch
}

/// Publishes a batch. Returns the messages to retry.
async fn publish(pool: &Pool, mut batch: Vec<Submission>, keyed: bool) -> Vec<Submission> {
    let mut published = try_publish(pool, &batch, keyed).await;
    if published.as_ref().err().is_some_and(lacks_partition) {
        published = match prepare_days(pool, &batch).await {
            Ok(()) => try_publish(pool, &batch, keyed).await,
            Err(error) => Err(error),
        };
    }
    match published {
        Ok(results) => {
            batch.into_iter().zip(results).for_each(|(submission, response)| submission.respond(Ok(response)));
            Vec::new()
        }
        Err(Error::Unavailable { operation, cause }) => {
            tracing::warn!(error = %cause, "could not {operation}; retrying");
            let now = Instant::now();
            let (retries, given_up): (Vec<_>, Vec<_>) = batch.into_iter().partition(|submission| submission.until > now);
            for submission in given_up {
                submission.respond(Err(Error::Unavailable { operation, cause: "it was unavailable for too long".into() }));
            }
            retries.into_iter().map(|submission| Submission { may_be_stored: true, ..submission }).collect()
        }
        // Rolled back because of a conflict with other transactions; likely to succeed on a retry.
        Err(error) if is_transient(&error) && batch.iter().all(|submission| submission.until > Instant::now()) => batch,
        // A full disk has room for none of the messages.
        Err(Error::Full { operation }) => {
            batch.into_iter().for_each(|submission| submission.respond(Err(Error::Full { operation })));
            Vec::new()
        }
        Err(error) => {
            let Some(last) = batch.pop() else { return Vec::new() };
            if batch.is_empty() && (last.may_be_stored || !matches!(error, Error::Conflict { .. })) {
                last.respond(Err(error));
                return Vec::new();
            }
            // Repeat each message separately: an invalid one must not fail the others, and an existing one was stored by an
            // earlier attempt.
            let mut retries = Vec::new();
            for submission in batch.into_iter().chain([last]) {
                let uncertain = Submission { may_be_stored: true, ..submission };
                retries.extend(Box::pin(publish(pool, vec![uncertain], keyed)).await);
            }
            retries
        }
    }
}

/// Creates the partitions for the days of a batch. They exist in advance unless clocks differ widely.
async fn prepare_days(pool: &Pool, batch: &[Submission]) -> Result<(), Error> {
    let days: BTreeSet<_> = batch.iter().map(|submission| submission.publication.message.id.timestamp().day()).collect();
    for day in days {
        days::prepare(pool, day).await?;
    }
    Ok(())
}

async fn try_publish(pool: &Pool, batch: &[Submission], keyed: bool) -> Result<Vec<Published>, Error> {
    let connection = connect(pool, OPERATION).await?;
    let stored =
        if batch.iter().any(|submission| submission.may_be_stored) { find_stored(&connection, batch).await? } else { HashSet::new() };
    let missing: Vec<&Sealed> =
        batch.iter().map(|submission| &submission.publication).filter(|publication| !stored.contains(&id_of(publication))).collect();
    let owner = batch.iter().map(|submission| submission.owner).max().unwrap_or(0);
    let mut published = if missing.is_empty() {
        HashMap::new()
    } else if keyed {
        keys::store(connection, &missing, owner).await?
    } else {
        columns::store(&connection, &missing, owner).await?
    };
    let response = |submission: &Submission| published.remove(&id_of(&submission.publication)).unwrap_or(Published::Stored);
    Ok(batch.iter().map(response).collect())
}

fn id_of(publication: &Publication) -> Uuid {
    Uuid::from_bytes(*publication.message.id.as_bytes())
}

fn origin_of(publication: &Publication) -> Uuid {
    Uuid::from_bytes(*publication.message.origin_id.as_bytes())
}

fn environment_of(publication: &Publication) -> Uuid {
    Uuid::from_bytes(*publication.tenant.environment.as_bytes())
}

async fn find_stored(connection: &Connection, batch: &[Submission]) -> Result<HashSet<Uuid>, Error> {
    let ids: Vec<_> = batch.iter().map(|submission| id_of(&submission.publication)).collect();
    let origins: Vec<_> = batch.iter().map(|submission| origin_of(&submission.publication)).collect();
    let rows = connection.query(FIND_STORED, &[(&origins, Type::UUID_ARRAY), (&ids, Type::UUID_ARRAY)]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}
