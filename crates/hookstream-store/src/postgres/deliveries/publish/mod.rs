//! Storing messages with all that becomes durable with them: what waits goes into one commit.
//!
//! One task publishes. While one commit is under way others wait, and they go into the next. Messages
//! without a key, which are most, take one statement a batch; those with an idempotency key or an
//! `event_id` first reserve it, in a transaction of their own.
//!
//! Where the connection breaks, nobody knows whether the commit came about. The batch is done again on
//! another connection, after a look at what is there: ids are made by the sender's node, so that a second
//! commit of the same message cannot happen.

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
    postgres::{
        db::connection::{Connection, Pool, connect, is_passing, is_without_day},
        retention::days,
    },
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

const FIND_STORED: &str = "select m.id from unnest($1::uuid[], $2::uuid[]) as g (application_id, id)
    join messages m on m.application_id = g.application_id and m.id = g.id";

/// A handle to the task.
#[derive(Debug, Clone)]
pub(crate) struct Publisher {
    jobs: mpsc::Sender<Job>,
    /// Under whose number messages are counted.
    owner: Arc<AtomicI64>,
}

/// A message that waits for its commit.
struct Job {
    publication: Sealed,
    owner: i64,
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
    pub(crate) fn new(pool: Pool) -> (Self, impl Future<Output = ()>) {
        let (jobs, queue) = mpsc::channel(QUEUE);
        (Self { jobs, owner: Arc::default() }, work(pool, queue))
    }

    /// Counts messages under this number from here on, so that no node waits for another to count.
    pub(crate) fn count_as(&self, owner: Owner) {
        self.owner.store(owner.number(), Ordering::Relaxed);
    }

    /// Stores a message in the next commit.
    pub(crate) async fn publish(&self, publication: Publication) -> Result<Published, Error> {
        let (reply, answer) = oneshot::channel();
        let owner = self.owner.load(Ordering::Relaxed);
        let publication = Sealed::of(publication).await?;
        let job = Job { publication, owner, reply, until: Instant::now() + PATIENCE, is_doubtful: false };
        self.jobs.send(job).await.map_err(|_| Error::Closed)?;
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
        let Publication { tenant, message, event_id, idempotency, .. } = &*job.publication;
        let is_first = idempotency.as_ref().is_none_or(|key| keys.insert((*tenant.environment.as_bytes(), key.key.clone())))
            && event_id.as_ref().is_none_or(|id| keys.insert((*message.application_id.as_bytes(), id.clone())));
        if bytes > BATCH_BYTES || !is_first {
            rest.push(job);
        } else {
            bytes += job.publication.payload().body.len();
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
            tracing::warn!(error = %cause, "could not {operation}; retrying");
            let now = Instant::now();
            let (again, given_up): (Vec<_>, Vec<_>) = batch.into_iter().partition(|job| job.until > now);
            for job in given_up {
                job.answer(Err(Error::Unavailable { operation, cause: "it was not available for too long".into() }));
            }
            again.into_iter().map(|job| Job { is_doubtful: true, ..job }).collect()
        }
        // It was undone because others were in its way, and may well succeed after them.
        Err(error) if is_passing(&error) && batch.iter().all(|job| job.until > Instant::now()) => batch,
        // A full disk has no room for any of them.
        Err(Error::Full { operation }) => {
            batch.into_iter().for_each(|job| job.answer(Err(Error::Full { operation })));
            Vec::new()
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
    let missing: Vec<&Sealed> =
        batch.iter().map(|job| &job.publication).filter(|publication| !stored.contains(&id_of(publication))).collect();
    let owner = batch.iter().map(|job| job.owner).max().unwrap_or(0);
    let mut published = if missing.is_empty() {
        HashMap::new()
    } else if keyed {
        keys::store(connection, &missing, owner).await?
    } else {
        columns::store(&connection, &missing, owner).await?
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
