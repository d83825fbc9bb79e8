//! Jobs: their purpose, progress and deliveries.
//!
//! A job's row is authoritative and names the owner that works on the job. Each slice is requeued under that owner,
//! and only while the job runs: a cancelled job, or one that another node has taken over, requeues nothing more.

use std::sync::LazyLock;

use hookstream_model::{
    base::{
        ids::{ApplicationId, EndpointId, JobId, MessageId, OriginId, ResourceId, RouteId},
        time::Timestamp,
    },
    identity::tenancy::Tenant,
    operations::{
        audit_log::{Action, AuditContext, Change, fields::Fields},
        job::{Job, JobKind, JobState, Progress, Selection, Status},
        operational_event::{EndpointCause, OperationalEvent, OperationalType},
    },
};
use serde_json::json;

use crate::{
    db::{
        error::Error,
        page::{ABOVE_ALL, Page, PageRequest, sql_limit},
        resource::{
            fields::resource_fields,
            stored::Stored,
            table::{Column, ColumnKind, Description, ExtraColumn, Source, Table},
        },
        statement::{Columns, Database, Row, Statement, Value},
    },
    delivery::{deliveries::Owner, outbox},
    operations::audit_log::{self, AboutEndpoint},
    outbound::{
        applications::{Created, create_with_response, read_tenant},
        idempotency::NewResponse,
    },
};

resource_fields!(Job, |job, columns| {
    fixed id: JobId;
    fixed tenant = [
        "organization_id" Bytes = job.tenant.organization.as_bytes(),
        "environment_id" Bytes = job.tenant.environment.as_bytes(),
    ] read read_tenant(columns)?;
    fixed application_id: ApplicationId;
    fixed endpoint_id: EndpointId;
    fixed kind: JobKind;
    fixed selection = [
        "since" Integer = job.selection.since,
        "until" Integer = job.selection.until,
        "statuses" Text = job.selection.statuses.iter().map(|status| status.as_str()).collect::<Vec<_>>().join(","),
        "event_types" Text = job.selection.event_types.to_value(),
        "max_messages" Integer = job.selection.max_messages,
        "created_at" Integer = job.selection.asked_at,
    ] read read_selection(columns)?;
    fixed rate_limit: u32;
    fixed fingerprint: String;
    changing state = [
        "status" Text = job.state.as_str(),
        "error" Text = failure(job.state),
        "completed_at" Integer = job.state.ended_at(),
    ] read read_state(columns)?;
    changing progress = [
        "total" Integer = job.progress.total.to_value(),
        "requeued" Integer = job.progress.requeued.to_value(),
        "skipped" Integer = job.progress.skipped.to_value(),
        "position" Bytes = job.progress.position.as_bytes(),
    ] read read_progress(columns)?;
    changing started_at: Option<Timestamp>;
    changing updated_at: Timestamp;
});

const DESCRIPTION: Description<Job> = Description {
    name: "jobs",
    key: &["environment_id", "id"],
    fields: FIELDS,
    extra: &[ExtraColumn {
        column: Column { name: "owner", kind: ColumnKind::Integer },
        insert: Source::Sql("0"),
        update: Source::Omitted,
    }],
};
/// Columns of a transfer, which leaves the owner out.
pub(crate) const COLUMNS: &[Column] = &DESCRIPTION.columns::<{ FIELDS.len() }>();
static TABLE: Table<Job> = Table::new(DESCRIPTION);

static FIND: LazyLock<String> = LazyLock::new(|| TABLE.select("", "environment_id = $1 and id = $2"));
static FIND_SAME: LazyLock<String> = LazyLock::new(|| {
    TABLE.select(
        "",
        "environment_id = $1 and endpoint_id = $2 and fingerprint = $3
            and (status = 'running' or (status = 'completed' and created_at >= $4)) order by id desc limit 1",
    )
});
static LIST: LazyLock<String> = LazyLock::new(|| TABLE.select("", "environment_id = $1 and id < $2 order by id desc limit $3"));
static LIST_OF_STATUS: LazyLock<String> =
    LazyLock::new(|| TABLE.select("", "environment_id = $1 and id < $2 and status = $4 order by id desc limit $3"));
static OWNED: LazyLock<String> = LazyLock::new(|| TABLE.select("", "status = 'running' and owner = $1 order by id limit $2"));
const WAITING: &str = "select id from jobs where status = 'running' and owner <> $1 limit 1";
const COUNT_RUNNING: &str = "select count(*) from jobs where environment_id = $1 and status = 'running'";
const COUNT_OPEN: &str = "select count(*) from jobs where status = 'running'";
const CANCEL: &str = "update jobs set status = 'cancelled', completed_at = $3, updated_at = $3
    where environment_id = $1 and id = $2 and status = 'running'";
const END: &str = "update jobs set status = $3, error = $4, completed_at = $5, updated_at = $5, total = $6, skipped = $7
    where id = $1 and owner = $2 and status = 'running'";
const FAIL_RUNNING: &str =
    "update jobs set status = 'failed', error = 'restored', completed_at = $1, updated_at = $1 where status = 'running'";
const DELETE_OLD: &str = "delete from jobs where completed_at < $1";

/// Search for candidates of one target, in the order of their messages.
#[derive(Debug, Clone)]
pub struct Survey {
    /// Organization and environment of the messages.
    pub tenant: Tenant,
    /// Origin of the messages.
    pub origin_id: OriginId,
    /// Route of the deliveries.
    pub route_id: RouteId,
    /// Whether to examine only undelivered messages, which are few, instead of all messages.
    pub only_undelivered: bool,
    /// Lower bound: only messages after this one.
    pub after: MessageId,
    /// Upper bound: only messages before this one.
    pub before: MessageId,
    /// Maximum number of candidates; fewer mean the end.
    pub limit: usize,
}

impl Survey {
    /// Builds the search for the next candidates of a job.
    pub fn of(job: &Job, limit: usize) -> Self {
        Self {
            tenant: job.tenant,
            origin_id: job.application_id.into(),
            route_id: job.endpoint_id.into(),
            only_undelivered: job.selection.is_of_undelivered(),
            after: job.progress.position,
            before: job.selection.end(),
            limit,
        }
    }
}

/// Deliveries that a job requeues, and its position afterwards.
#[derive(Debug, Clone)]
pub struct JobSlice {
    /// Job as it was read; if it has advanced since, nothing happens.
    pub job: Job,
    /// Owner that works on the job.
    pub owner: Owner,
    /// Messages whose deliveries are requeued, in order. Each is checked again.
    pub messages: Vec<MessageId>,
    /// Last examined message.
    pub position: MessageId,
    /// Due time.
    pub now: Timestamp,
}

/// Stores a job. Returns [`Created::NameTaken`] if the same job is already running.
///
/// # Errors
/// Fails if the store fails.
pub async fn create(db: &dyn Database, context: &AuditContext, job: &Job, response: Option<NewResponse>) -> Result<Created, Error> {
    let action = match job.kind {
        JobKind::Recover => Action::JobRecover,
        JobKind::Replay => Action::JobReplay,
    };
    let entry = audit_log::entry_of_endpoint(job.tenant, about(job), context, action, job.id.as_bytes(), &Change::created(job));
    create_with_response(db, "store a job", job.tenant, vec![TABLE.insert(job, []), entry], None, response).await
}

/// Returns the job with this id.
///
/// # Errors
/// Fails if the store fails.
pub async fn find(db: &dyn Database, tenant: Tenant, id: JobId) -> Result<Option<Job>, Error> {
    let rows = db.read(Statement::new(&FIND, vec![tenant.environment.as_bytes().into(), id.as_bytes().into()])).await?;
    rows.into_iter().next().map(read).transpose()
}

/// Returns the job of the same request that still runs, or was requested at `since` or later and is complete.
///
/// # Errors
/// Fails if the store fails.
pub async fn find_same(db: &dyn Database, job: &Job, since: Timestamp) -> Result<Option<Job>, Error> {
    let values =
        vec![job.tenant.environment.as_bytes().into(), job.endpoint_id.as_bytes().into(), job.fingerprint.as_str().into(), since.into()];
    db.read(Statement::new(&FIND_SAME, values)).await?.into_iter().next().map(read).transpose()
}

/// Returns a page of an environment's jobs, newest first; with `status`, only jobs in that status.
///
/// # Errors
/// Fails if the store fails.
pub async fn list(db: &dyn Database, tenant: Tenant, status: Option<&str>, page: PageRequest<JobId>) -> Result<Page<Job>, Error> {
    let after = page.after.map_or(ABOVE_ALL, |id| *id.as_bytes());
    let mut values: Vec<Value> = vec![tenant.environment.as_bytes().into(), (&after).into(), sql_limit(page.limit + 1).into()];
    let statement = match status {
        Some(status) => {
            values.push(status.into());
            Statement::new(&LIST_OF_STATUS, values)
        }
        None => Statement::new(&LIST, values),
    };
    let jobs = db.read(statement).await?.into_iter().map(read).collect::<Result<_, _>>()?;
    Ok(Page::from_overlong(jobs, page.limit))
}

/// Returns the number of an environment's running jobs.
///
/// # Errors
/// Fails if the store fails.
pub async fn count_running(db: &dyn Database, tenant: Tenant) -> Result<u64, Error> {
    let rows = db.read(Statement::new(COUNT_RUNNING, vec![tenant.environment.as_bytes().into()])).await?;
    let row = rows.into_iter().next().ok_or(Error::Unreadable { what: "count" })?;
    row.columns().stored("count")
}

/// Returns the numbers of jobs of the installation that have not ended, by status.
///
/// # Errors
/// Fails if the store fails.
pub async fn count_open(db: &dyn Database) -> Result<Vec<(&'static str, i64)>, Error> {
    let rows = db.read(Statement::new(COUNT_OPEN, Vec::new())).await?;
    let row = rows.into_iter().next().ok_or(Error::Unreadable { what: "count" })?;
    Ok(vec![("running", row.columns().integer("count")?)])
}

/// Cancels a job, if it runs: after that it requeues nothing more. Returns the job.
///
/// # Errors
/// Fails if the store fails.
pub async fn cancel(db: &dyn Database, context: &AuditContext, tenant: Tenant, id: JobId) -> Result<Option<Job>, Error> {
    let Some(job) = find(db, tenant, id).await? else { return Ok(None) };
    let values = vec![tenant.environment.as_bytes().into(), id.as_bytes().into(), context.at.into()];
    let status = |word: &str| Fields::default().with("status", word);
    let change = Change::of(&status("running"), &status("cancelled")).unwrap_or_default();
    let entry = audit_log::entry_of_endpoint(tenant, about(&job), context, Action::JobCancel, id.as_bytes(), &change);
    let event = finished(&Job { state: JobState::Cancelled { at: context.at }, ..job.clone() }, context.at);
    db.write("cancel a job", vec![Statement::new(CANCEL, values).required(), entry, outbox::event(&event)]).await?;
    find(db, tenant, id).await
}

/// Returns the event of a job that has ended.
fn finished(job: &Job, at: Timestamp) -> OperationalEvent {
    let Job { id, tenant, application_id, endpoint_id, kind, state, progress, .. } = job;
    let cause = EndpointCause {
        id: ResourceId::from_bytes(*id.as_bytes()),
        tenant: *tenant,
        application: *application_id,
        endpoint: *endpoint_id,
        at,
    };
    let fields = json!({
        "job_id": id.to_string(),
        "kind": kind.as_str(),
        "status": state.as_str(),
        "error": failure(*state),
        "total": progress.total,
        "requeued": progress.requeued,
        "skipped": progress.skipped,
    });
    cause.event(OperationalType::JobFinished, fields.as_object().cloned().unwrap_or_default())
}

/// Returns the endpoint of a job, for its audit entries.
const fn about(job: &Job) -> AboutEndpoint {
    AboutEndpoint { application: job.application_id, endpoint: job.endpoint_id }
}

/// Ends a job of `owner` with its final progress. Does nothing if the job no longer runs.
///
/// # Errors
/// Fails if the store fails.
pub async fn end(db: &dyn Database, job: &Job, owner: Owner, state: JobState, progress: Progress) -> Result<(), Error> {
    let values = vec![
        job.id.as_bytes().into(),
        owner.number().into(),
        state.as_str().into(),
        failure(state).into(),
        state.ended_at().into(),
        progress.total.to_value(),
        progress.skipped.to_value(),
    ];
    let ended = Job { state, progress, ..job.clone() };
    let event = finished(&ended, state.ended_at().unwrap_or(job.updated_at));
    db.write("end a job", vec![Statement::new(END, values).required(), outbox::event(&event)]).await?;
    Ok(())
}

/// Fails all running jobs of any owner after a restore, because their progress is unknown.
///
/// # Errors
/// Fails if the store fails.
pub async fn fail_restored(db: &dyn Database, now: Timestamp) -> Result<(), Error> {
    db.write("end jobs of a restored backup", vec![Statement::new(FAIL_RUNNING, vec![now.into()])]).await?;
    Ok(())
}

/// Deletes the jobs that ended before this time.
///
/// # Errors
/// Fails if the store fails.
pub async fn forget_ended_before(db: &dyn Database, before: Timestamp) -> Result<(), Error> {
    db.write("delete old jobs", vec![Statement::new(DELETE_OLD, vec![before.into()])]).await?;
    Ok(())
}

/// Returns whether a job runs that `owner` does not work on.
pub(crate) async fn waiting(db: &dyn Database, owner: Owner) -> Result<bool, Error> {
    Ok(!db.read(Statement::new(WAITING, vec![owner.number().into()])).await?.is_empty())
}

/// Returns the jobs of `owner`, oldest first.
pub(crate) async fn owned(db: &dyn Database, owner: Owner, limit: usize) -> Result<Vec<Job>, Error> {
    let rows = db.read(Statement::new(&OWNED, vec![owner.number().into(), sql_limit(limit).into()])).await?;
    rows.into_iter().map(read).collect()
}

/// Returns the reason of a failed job.
fn failure(state: JobState) -> Option<&'static str> {
    match state {
        JobState::Failed { reason, .. } => Some(reason.as_str()),
        JobState::Running | JobState::Completed { .. } | JobState::Cancelled { .. } => None,
    }
}

fn read_selection(columns: &mut Columns) -> Result<Selection, Error> {
    let read_statuses = |words: &str| words.split(',').map(Status::parse).collect::<Option<Vec<_>>>();
    Ok(Selection {
        since: columns.time("since")?,
        until: columns.time("until")?,
        statuses: columns.word("statuses", read_statuses)?,
        event_types: columns.stored("event_types")?,
        max_messages: columns.stored("max_messages")?,
        asked_at: columns.time("created_at")?,
    })
}

fn read_state(columns: &mut Columns) -> Result<JobState, Error> {
    let (status, error) = (columns.text("status")?, columns.optional_text("error")?);
    let ended_at = columns.optional_time("completed_at")?;
    JobState::parse(&status, ended_at, error.as_deref()).ok_or(Error::Unreadable { what: "job status" })
}

fn read_progress(columns: &mut Columns) -> Result<Progress, Error> {
    Ok(Progress {
        total: columns.stored("total")?,
        requeued: columns.stored("requeued")?,
        skipped: columns.stored("skipped")?,
        position: columns.stored("position")?,
    })
}

fn read(row: Row) -> Result<Job, Error> {
    read_fields(&mut row.columns())
}
