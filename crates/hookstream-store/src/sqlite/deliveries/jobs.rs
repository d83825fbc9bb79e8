//! Deliveries of a job: the readers find them, the writer requeues them one day's file at a time.
//!
//! The job's row is in `core.db`, its deliveries are in the files of their days. A slice covers one day, and the same
//! commit stores the job's new position in that day's file (`job_slices`); the job's row follows. If the process ends
//! in between, the next owner of the job finds the position there, so nothing is done or counted twice.

use hookstream_model::{
    base::{
        ids::{MessageId, OriginId},
        time::Timestamp,
    },
    operations::job::{Candidate, DeliveryStatus, Job},
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::redeliver;
use crate::{
    db::{error::Error, page::sql_limit},
    delivery::{counts::Counts, deliveries::Owner, messages::read_channels},
    operations::jobs::{JobSlice, Survey},
    sqlite::db::{connection::failed, files::Files, readers::Days},
};

/// Columns of a candidate, for the message `m` and the route `?1`.
macro_rules! candidate {
    () => {
        "select m.id, m.event_type,
            exists (select 1 from all_pending p where p.message_id = m.id and p.route_id = ?1),
            (select u.state from undelivered u where u.message_id = m.id and u.route_id = ?1),
            (select u.ended_at from undelivered u where u.message_id = m.id and u.route_id = ?1),
            (select max(a.created_at) from attempts a where a.message_id = m.id and a.route_id = ?1),
            exists (select 1 from attempts a where a.message_id = m.id and a.trigger_type = 'test'),
            exists (select 1 from payloads b where b.message_id = m.id), m.channels"
    };
}

const SURVEY: &str = concat!(
    candidate!(),
    " from messages m where m.origin_id = ?2 and m.id > ?4 and m.id < ?5 and m.environment_id = ?3 order by m.id limit ?6"
);
const SURVEY_UNDELIVERED: &str = "select u.message_id, m.event_type, 0, u.state, u.ended_at, null, 0,
        exists (select 1 from payloads b where b.message_id = u.message_id), m.channels
    from undelivered u cross join messages m on m.id = u.message_id and m.origin_id = ?2
    where u.route_id = ?1 and u.message_id > ?4 and u.message_id < ?5 and m.environment_id = ?3 order by u.message_id limit ?6";
const CANDIDATE: &str = concat!(candidate!(), " from messages m where m.origin_id = ?2 and m.id = ?4 and m.environment_id = ?3");
const TAKE: &str = "update jobs set owner = ?1, started_at = coalesce(started_at, ?2)
    where id in (select id from jobs where status = 'running' and owner <> ?1 order by id limit ?3) returning id, position";
const IS_AT: &str = "select exists (select 1 from jobs where id = ?1 and owner = ?2 and status = 'running' and position = ?3)";
const ADVANCE: &str = "update jobs set position = ?3, requeued = requeued + ?4, skipped = skipped + ?5, updated_at = ?6
    where id = ?1 and position = ?2";
const SLICE: &str = "select position, requeued from job_slices where job_id = ?1 and position > ?2";
const KEEP_SLICE: &str = "insert or replace into job_slices (job_id, position, requeued) values (?1, ?2, ?3)";

/// Number of requeued and skipped deliveries in a day, and the last examined message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Done {
    position: MessageId,
    pub(crate) requeued: usize,
    skipped: usize,
}

pub(crate) fn survey(days: &Days<'_>, survey: &Survey) -> Result<Vec<Candidate>, Error> {
    let (first, last) = (survey.after.timestamp().day(), survey.before.timestamp().day());
    let sql = if survey.only_undelivered { SURVEY_UNDELIVERED } else { SURVEY };
    let mut candidates = Vec::new();
    for day in days.newest_first().into_iter().rev().filter(|day| *day >= first && *day <= last) {
        let values = params![
            survey.route_id.as_bytes(),
            survey.origin_id.as_bytes(),
            survey.tenant.environment.as_bytes(),
            survey.after.as_bytes(),
            survey.before.as_bytes(),
            sql_limit(survey.limit - candidates.len()),
        ];
        let more = days.read(day, |connection| {
            let mut select = connection.prepare_cached(sql).map_err(failed("find deliveries of a job"))?;
            let rows = select.query_map(values, read).map_err(failed("find deliveries of a job"))?;
            rows.collect::<rusqlite::Result<Vec<_>>>().map_err(failed("find deliveries of a job"))
        })?;
        candidates.extend(more.into_iter().flatten());
        if candidates.len() >= survey.limit {
            break;
        }
    }
    Ok(candidates)
}

/// Claims running jobs. The process has the files to itself, so jobs of any other owner are free.
pub(crate) fn take(files: &mut Files, owner: Owner, limit: usize, now: Timestamp) -> Result<(), Error> {
    const OPERATION: &str = "claim jobs";
    let values = params![owner.number(), now.as_millis(), sql_limit(limit)];
    let taken = files
        .core()?
        .prepare_cached(TAKE)
        .and_then(|mut take| take.query_map(values, |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<Vec<_>>>())
        .map_err(failed(OPERATION))?;
    for (job, position) in taken {
        follow_slices(files, job, MessageId::from_bytes(position), now)?;
    }
    Ok(())
}

/// Advances a job to the position that the days' files hold.
fn follow_slices(files: &mut Files, job: [u8; 16], mut position: MessageId, now: Timestamp) -> Result<(), Error> {
    let first = position.timestamp().day();
    for day in files.days().into_iter().filter(|day| *day >= first) {
        let Some(file) = files.existing_day(day)? else { continue };
        if let Some(done) = slice(file.connection(), job, position)? {
            advance(files, job, position, done, now)?;
            position = done.position;
        }
    }
    Ok(())
}

/// Requeues the deliveries of the first message's day. Returns `None` if the job no longer exists or has another owner.
pub(crate) fn requeue(files: &mut Files, slice_of: &JobSlice) -> Result<Option<Done>, Error> {
    const OPERATION: &str = "requeue the deliveries of a job";
    let JobSlice { job, owner, messages, position, now } = slice_of;
    let at = params![job.id.as_bytes(), owner.number(), job.progress.position.as_bytes()];
    let is_at: bool = files.core()?.query_row(IS_AT, at, |row| row.get(0)).map_err(failed(OPERATION))?;
    if !is_at {
        return Ok(None);
    }
    let day = messages.first().map(|first| first.timestamp().day());
    let of_day: Vec<_> = messages.iter().copied().filter(|message| Some(message.timestamp().day()) == day).collect();
    let position = match of_day.last() {
        Some(last) if of_day.len() < messages.len() => *last,
        Some(_) | None => *position,
    };
    let nothing = Done { position, requeued: 0, skipped: of_day.len() };
    let Some(day) = day else { return Ok(Some(nothing)) };
    files.note_pending(day, true);
    let Some(file) = files.existing_day(day)? else { return Ok(Some(nothing)) };
    if let Some(done) = slice(file.connection(), *job.id.as_bytes(), job.progress.position)? {
        return Ok(Some(done));
    }
    let mut requeued = 0;
    for message in &of_day {
        if let Some(moved) = requeue_one(file.connection(), job, *message, *now).map_err(failed(OPERATION))? {
            file.count_deliveries(job.tenant.environment, moved);
            requeued += 1;
        }
    }
    let kept = params![job.id.as_bytes(), position.as_bytes(), sql_limit(requeued)];
    file.connection().prepare_cached(KEEP_SLICE).and_then(|mut keep| keep.execute(kept)).map_err(failed(OPERATION))?;
    Ok(Some(Done { position, requeued, skipped: of_day.len() - requeued }))
}

/// Advances the job's row to the position in the day's file.
pub(crate) fn follow(files: &mut Files, slice: &JobSlice, done: Done) -> Result<(), Error> {
    advance(files, *slice.job.id.as_bytes(), slice.job.progress.position, done, slice.now)
}

fn advance(files: &mut Files, job: [u8; 16], from: MessageId, done: Done, now: Timestamp) -> Result<(), Error> {
    let (requeued, skipped) = (sql_limit(done.requeued), sql_limit(done.skipped));
    let values = params![job, from.as_bytes(), done.position.as_bytes(), requeued, skipped, now.as_millis()];
    files.core()?.prepare_cached(ADVANCE).and_then(|mut update| update.execute(values)).map(|_| ()).map_err(failed("advance a job"))
}

/// Returns the last slice of a job in a day, if it is after `position`.
fn slice(connection: &Connection, job: [u8; 16], position: MessageId) -> Result<Option<Done>, Error> {
    let read = |row: &Row<'_>| Ok(Done { position: MessageId::from_bytes(row.get(0)?), requeued: row.get(1)?, skipped: 0 });
    let found = connection.prepare_cached(SLICE).and_then(|mut find| find.query_row(params![job, position.as_bytes()], read).optional());
    found.map_err(failed("read the progress of a job"))
}

/// Requeues one delivery and returns the change of the counts; `None` if the delivery no longer matches the job.
fn requeue_one(connection: &Connection, job: &Job, message: MessageId, now: Timestamp) -> rusqlite::Result<Option<Counts>> {
    let (route, origin): (_, OriginId) = (job.endpoint_id.into(), job.application_id.into());
    let environment = job.tenant.environment.as_bytes();
    let key = params![job.endpoint_id.as_bytes(), origin.as_bytes(), environment, message.as_bytes()];
    let candidate = connection.prepare_cached(CANDIDATE)?.query_row(key, read).optional()?;
    // Whether a message without a delivery is wanted was decided when it was found.
    if !candidate.is_some_and(|candidate| job.selection.takes(&candidate, true)) {
        return Ok(None);
    }
    redeliver::requeue(connection, message, route, origin, now.as_millis(), job.kind.trigger()).map(Some)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Candidate> {
    let ended_at: Option<i64> = row.get(4)?;
    let last_attempt: Option<i64> = row.get(5)?;
    let undelivered: Option<String> = row.get(3)?;
    let status = DeliveryStatus::read(row.get(2)?, undelivered.as_deref(), ended_at, last_attempt, row.get(6)?);
    let channels = read_channels(row.get::<_, Option<String>>(8)?.as_deref());
    let message_id = MessageId::from_bytes(row.get(0)?);
    Ok(Candidate { message_id, event_type: row.get(1)?, channels, status, has_payload: row.get(7)? })
}

#[cfg(test)]
mod tests {
    use hookstream_model::{
        base::{
            ids::{ApplicationId, EndpointId, EntryId, EnvironmentId, JobId, OrganizationId},
            vault::{Keys, VaultKey},
        },
        delivery::state::Trigger,
        identity::tenancy::Tenant,
        operations::{
            audit_log::AuditContext,
            job::{JobKind, JobRequest, JobState, Progress},
        },
    };
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;
    use crate::sqlite::SqliteStore;
    use crate::{Cluster, Deliveries, Store, db::vault_keys, delivery::cluster::NodeSelf, operations::jobs};

    const NOON: Timestamp = Timestamp::from_millis(1_795_521_600_000);
    const TENANT: Tenant = Tenant { organization: OrganizationId::from_bytes([1; 16]), environment: EnvironmentId::from_bytes([2; 16]) };
    const ENDPOINT: EndpointId = EndpointId::from_bytes([3; 16]);
    const APPLICATION: ApplicationId = ApplicationId::from_bytes([4; 16]);

    fn message(number: u64) -> MessageId {
        let mut id = *MessageId::before_all_at(NOON).as_bytes();
        id[8..].copy_from_slice(&number.to_be_bytes());
        MessageId::from_bytes(id)
    }

    /// Stores a message whose delivery succeeded.
    fn deliver(connection: &Connection, id: MessageId) -> rusqlite::Result<()> {
        connection.execute(
            "insert into messages (origin_id, id, environment_id, event_type, deliveries) values (?1, ?2, ?3, 'a.b', 1)",
            params![APPLICATION.as_bytes(), id.as_bytes(), TENANT.environment.as_bytes()],
        )?;
        let payload = "insert into payloads (message_id, environment_id, is_text, encoding, size, body) values (?1, ?2, 0, 0, 2, x'7b7d')";
        connection.execute(payload, params![id.as_bytes(), TENANT.environment.as_bytes()])?;
        let attempt = "insert into attempts (message_id, id, route_id, number, trigger_type, succeeded, duration_ms, created_at)
            values (?1, ?1, ?2, 1, 'initial', 1, 1, ?3)";
        connection.execute(attempt, params![id.as_bytes(), ENDPOINT.as_bytes(), NOON.as_millis()]).map(|_| ())
    }

    async fn enlist(store: &SqliteStore) -> Owner {
        store.enlist(&NodeSelf { name: "test".to_owned(), role: "all", version: "0", replaces: None }, NOON).await.expect("enlisted")
    }

    #[tokio::test]
    async fn restart_finds_slice_that_job_row_lacks() {
        let directory = tempfile::tempdir().expect("a scratch directory");
        let store = SqliteStore::open(directory.path()).expect("opened");
        let keys = Keys::new([VaultKey::from_bytes([1; 32])]).expect("a key");
        vault_keys::unlock(&store, keys, StdRng::seed_from_u64(1)).await.expect("unlocked");
        let fill = |files: &mut Files| {
            let connection = files.day(NOON.day())?.connection();
            (1..=3).try_for_each(|number| deliver(connection, message(number))).map_err(failed("fill"))
        };
        store.writer.run(fill).await.expect("filled");
        let request = JobRequest {
            kind: JobKind::Replay,
            since: NOON,
            until: None,
            statuses: None,
            event_types: None,
            rate_limit: None,
            max_messages: None,
        };
        let at = NOON + std::time::Duration::from_secs(60);
        let (selection, rate_limit) = request.check(at).expect("a request");
        let job = Job {
            id: JobId::from_bytes([9; 16]),
            tenant: TENANT,
            application_id: APPLICATION,
            endpoint_id: ENDPOINT,
            kind: request.kind,
            rate_limit,
            fingerprint: request.fingerprint(&selection),
            state: JobState::Running,
            progress: Progress { total: Some(3), requeued: 0, skipped: 0, position: selection.start() },
            selection,
            started_at: None,
            updated_at: at,
        };
        jobs::create(&store, &AuditContext::of_system(EntryId::from_bytes([9; 16]), at), &job, None).await.expect("stored");
        let owner = enlist(&store).await;
        let job = store.take_jobs(owner, vec![], 1, at).await.expect("taken").pop().expect("stored above");
        let slice = JobSlice { job: job.clone(), owner, messages: vec![message(1), message(2)], position: message(2), now: at };
        let repetition = slice.clone();
        let done = store.writer.run(move |files| requeue(files, &slice)).await.expect("done").expect("the job is owned");
        assert_eq!(done.requeued, 2);
        // A repetition, as the writer does if the other file's commit failed.
        let done = store.writer.run(move |files| requeue(files, &repetition)).await.expect("done").expect("the job is owned");
        assert_eq!((done.requeued, done.position), (2, message(2)));
        // The process ends before the job's row is advanced.
        store.close().await;
        drop(store);

        let store = SqliteStore::open(directory.path()).expect("opened");
        let owner = enlist(&store).await;
        let job = store.take_jobs(owner, vec![], 1, at).await.expect("taken").pop().expect("stored above");
        assert_eq!((job.progress.requeued, job.progress.position), (2, message(2)));
        let slice = JobSlice { job, owner, messages: vec![message(3)], position: message(3), now: at };
        assert_eq!(store.advance_job(slice).await.expect("done"), Some(1));
        let job = store.take_jobs(owner, vec![], 1, at).await.expect("taken").pop().expect("stored above");
        assert_eq!((job.progress.requeued, job.progress.position), (3, message(3)));
        let pending = |files: &mut Files| {
            let connection = files.day(NOON.day())?.connection();
            let count = "select count(*) from pending where trigger_type = ?1 and attempts = 1";
            connection.query_row(count, [Trigger::Replay.as_str()], |row| row.get::<_, i64>(0)).map_err(failed("count"))
        };
        assert_eq!(store.writer.run(pending).await.expect("counted"), 3);
    }
}
