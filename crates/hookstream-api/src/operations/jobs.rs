//! Jobs: recovering or replaying a set of an endpoint's deliveries in the background.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use hookstream_engine::Forecast;
use hookstream_model::{
    base::{ids::JobId, text::got, time::Timestamp},
    identity::tenancy::Tenant,
    operations::job::{Candidate, DeliveryStatus, Job as Model, JobKind, JobRequest, JobState, Status},
};
use hookstream_store::{operations::jobs, outbound::applications::Created};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{json, value::RawValue};
use utoipa::{IntoParams, ToSchema};

use crate::{
    auth::{application_scope::ApplicationScope, audited_caller::AuditedCaller, caller::Caller},
    http::{
        body::{OrText, RawBody, Whole, json_value},
        error::{ApiError, ErrorCode},
        idempotency, page,
        params::{OfId, PathParams, QueryParams, id},
        shapes::ListQuery,
    },
    state::Api,
};

/// Time after the creation of a job within which an identical request counts as a double click, in seconds. While the
/// job runs, an identical request always does.
pub(super) const DOUBLE_CLICK_S: u64 = 10;

/// Job that sends deliveries of an endpoint again.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Job {
    #[schema(example = "019dc1e2a3b47c5d8e9f001122334455")]
    id: String,
    org_id: String,
    env_id: String,
    application_id: String,
    endpoint_id: String,
    /// `recover` or `replay`. Its attempts have this `trigger_type`.
    #[schema(example = "recover")]
    kind: &'static str,
    /// `running` (or waiting to run), `completed`, `cancelled` or `failed`.
    #[schema(example = "running")]
    status: &'static str,
    /// Reason of the failure: a word, a colon and a sentence; `null` otherwise.
    error: Option<String>,
    /// Only messages accepted at this time or later.
    since: String,
    /// Only messages accepted before this time.
    until: String,
    /// JSON text of the statuses of the deliveries to send again.
    #[schema(example = "[\"exhausted\",\"skipped\"]")]
    statuses: String,
    /// JSON text of the event types of the messages to send again; `null` means all.
    event_types: Option<String>,
    /// Deliveries to requeue, at most; `null` means no limit.
    max_messages: Option<u32>,
    /// Deliveries requeued per second, at most.
    #[schema(example = 100)]
    rate_limit: u32,
    /// Number of selected deliveries when the job was created; `null` while it is not known.
    #[schema(example = 1200)]
    total: Option<u64>,
    /// Sum of `requeued` and `skipped`.
    processed: u64,
    /// Deliveries that the job made pending again. They stay pending, however the job ends.
    requeued: u64,
    /// Deliveries that the job passed over: already pending, attempted meanwhile, or without a payload. Deliveries without a payload are
    /// counted when the job ends.
    skipped: u64,
    created_at: String,
    /// Time at which the job began to run.
    started_at: Option<String>,
    updated_at: String,
    /// Time at which the job ended, with any result.
    completed_at: Option<String>,
}

impl From<Model> for Job {
    fn from(job: Model) -> Self {
        let statuses: Vec<_> = job.selection.statuses.iter().map(|status| status.as_str()).collect();
        let text = |value: Result<String, serde_json::Error>| value.expect("lists of text are JSON");
        Self {
            id: job.id.to_string(),
            org_id: job.tenant.organization.to_string(),
            env_id: job.tenant.environment.to_string(),
            application_id: job.application_id.to_string(),
            endpoint_id: job.endpoint_id.to_string(),
            kind: job.kind.as_str(),
            status: job.state.as_str(),
            error: match job.state {
                JobState::Failed { reason, .. } => Some(format!("{}: {}", reason.as_str(), reason.explained())),
                JobState::Running | JobState::Completed { .. } | JobState::Cancelled { .. } => None,
            },
            since: job.selection.since.to_string(),
            until: job.selection.until.to_string(),
            statuses: text(serde_json::to_string(&statuses)),
            event_types: job.selection.event_types.map(|types| text(serde_json::to_string(&types))),
            max_messages: job.selection.max_messages,
            rate_limit: job.rate_limit,
            total: job.progress.total,
            processed: job.progress.requeued + job.progress.skipped,
            requeued: job.progress.requeued,
            skipped: job.progress.skipped,
            created_at: job.selection.asked_at.to_string(),
            started_at: job.started_at.map(|at| at.to_string()),
            updated_at: job.updated_at.to_string(),
            completed_at: job.state.ended_at().map(|at| at.to_string()),
        }
    }
}

/// Answer with a job.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JobAnswer {
    job: Job,
}

impl JobAnswer {
    fn new(job: Model) -> Self {
        Self { job: job.into() }
    }
}

/// Page of jobs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JobList {
    jobs: Vec<Job>,
    /// Cursor of the next page; `null` on the last page.
    cursor: Option<String>,
    has_more: bool,
}

/// Forecast of a job.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DryRun {
    /// Deliveries that the job would requeue.
    #[schema(example = 1200)]
    count: u64,
    /// Further selected deliveries that would be passed over, because their payload has expired.
    #[schema(example = 0)]
    payload_expired: u64,
    /// Whether `count` is exact. `false` if counting took too long: then there are more deliveries.
    is_complete: bool,
    /// First of these deliveries, oldest first.
    sample: Vec<Sample>,
    /// Deliveries requeued per second, at most.
    rate_limit: u32,
    /// Seconds that requeuing takes at this rate.
    #[schema(example = 12)]
    duration_s: u64,
}

/// Message that a job would send again.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Sample {
    id: String,
    #[schema(example = "invoice.paid")]
    event_type: String,
    /// Status of the delivery to the endpoint: `delivered`, `exhausted`, `skipped` or `missing` (there is no delivery).
    status: Option<&'static str>,
    created_at: String,
}

impl From<Candidate> for Sample {
    fn from(candidate: Candidate) -> Self {
        let status = match candidate.status {
            DeliveryStatus::Delivered(_) => Some(Status::Delivered),
            DeliveryStatus::Exhausted(_) => Some(Status::Exhausted),
            DeliveryStatus::Skipped(_) => Some(Status::Skipped),
            DeliveryStatus::Missing => Some(Status::Missing),
            DeliveryStatus::Pending | DeliveryStatus::Cancelled | DeliveryStatus::TestOfAnother => None,
        };
        Self {
            id: candidate.message_id.to_string(),
            event_type: candidate.event_type,
            status: status.map(Status::as_str),
            created_at: candidate.message_id.timestamp().to_string(),
        }
    }
}

impl From<Forecast> for DryRun {
    fn from(forecast: Forecast) -> Self {
        let Forecast { count, expired, is_partial, sample, rate_limit, duration } = forecast;
        let sample = sample.into_iter().map(Sample::from).collect();
        Self { count, payload_expired: expired, is_complete: !is_partial, sample, rate_limit, duration_s: duration.as_secs() }
    }
}

/// Answer of a request that creates no job.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum NoNewJob {
    /// Job that an earlier identical request has created.
    Earlier { job: Box<Job> },
    /// Forecast of a job, for `dry_run`.
    Dry { dry_run: DryRun },
}

/// Deliveries to recover.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recover<'a> {
    /// Only messages accepted at this time or later: ISO 8601 with an offset.
    #[schema(example = "2026-11-24T00:00:00Z", format = DateTime)]
    since: String,
    /// Only messages accepted before this time: ISO 8601 with an offset. The default is now.
    #[schema(format = DateTime)]
    until: Option<String>,
    /// Statuses of the deliveries: `exhausted` (or `failed`) and `skipped`. The default is both.
    #[serde(borrow)]
    #[schema(value_type = Option<OrText<Vec<String>>>, inline)]
    statuses: Option<&'a RawValue>,
    /// Deliveries requeued per second, at most: 1 to 1000. The default is 100.
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 100, example = 100)]
    rate_limit: Option<Whole<u32>>,
}

/// Deliveries to replay.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Replay<'a> {
    /// Only messages accepted at this time or later: ISO 8601 with an offset.
    #[schema(example = "2026-11-24T00:00:00Z", format = DateTime)]
    since: String,
    /// Only messages accepted before this time: ISO 8601 with an offset. The default is now.
    #[schema(format = DateTime)]
    until: Option<String>,
    /// Only messages of these event types. The default is all.
    #[serde(borrow)]
    #[schema(value_type = Option<OrText<Vec<String>>>, inline)]
    event_types: Option<&'a RawValue>,
    /// Statuses of the deliveries: `delivered`, `exhausted` (or `failed`), `skipped`, and `missing` for messages that had no delivery although
    /// they match the endpoint now. The default is the first three.
    #[serde(borrow)]
    #[schema(value_type = Option<OrText<Vec<String>>>, inline)]
    statuses: Option<&'a RawValue>,
    /// Deliveries requeued per second, at most: 1 to 1000. The default is 100.
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 100, example = 100)]
    rate_limit: Option<Whole<u32>>,
    /// Deliveries to requeue, at most, oldest first. The default is all.
    #[schema(value_type = Option<u32>, minimum = 1, example = 1000)]
    max_messages: Option<Whole<u32>>,
}

/// Fields of a body that select deliveries.
pub(super) struct JobFields<'a> {
    pub(super) since: &'a str,
    pub(super) until: Option<&'a str>,
    pub(super) statuses: Option<&'a RawValue>,
    pub(super) event_types: Option<&'a RawValue>,
    pub(super) rate_limit: Option<Whole<u32>>,
    pub(super) max_messages: Option<Whole<u32>>,
}

impl JobFields<'_> {
    /// Returns the request of a job.
    pub(super) fn request(self, kind: JobKind) -> Result<JobRequest, ApiError> {
        Ok(JobRequest {
            kind,
            since: time("since", self.since)?,
            until: self.until.map(|text| time("until", text)).transpose()?,
            statuses: words("statuses", self.statuses)?,
            event_types: words("event_types", self.event_types)?,
            rate_limit: self.rate_limit.map(Whole::number),
            max_messages: self.max_messages.map(Whole::number),
        })
    }
}

/// Query of a job.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct DryRunQuery {
    /// `1`: no job is created, and the answer forecasts the number of deliveries, a sample and the duration. The default is `0`.
    dry_run: Option<String>,
}

/// Filter of jobs.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct JobQuery {
    /// Only jobs with this status: `running`, `completed`, `cancelled` or `failed`.
    status: Option<String>,
}

/// Recover an endpoint
///
/// A job requeues deliveries that failed or were skipped, in the order of their messages. While the job runs, and for ten seconds after it
/// was created, an identical request is answered with this job and 200.
#[utoipa::path(
    post, path = "/applications/{appId}/endpoints/{id}/recover", operation_id = "recoverEndpoint", tag = "Jobs",
    params(("appId" = String, Path, description = "The application's id or `uid`."), ("id" = String, Path, description = "The endpoint's id or `uid`."), DryRunQuery),
    request_body = Recover,
    responses(
        (status = 201, description = "Job. Get it to see its progress.", body = JobAnswer),
        (status = 200, description = "Job that an earlier identical request has created, or with `dry_run` the forecast of a job.", body = NoNewJob),
        (status = 409, description = "Too many jobs are running (`too_many_jobs`).", body = crate::http::error::ErrorBody)
    )
)]
pub(crate) async fn recover(
    State(api): State<Api>,
    scope: ApplicationScope,
    audited: AuditedCaller,
    PathParams(OfId { id: endpoint }): PathParams<OfId>,
    QueryParams(query): QueryParams<DryRunQuery>,
    headers: HeaderMap,
    body: RawBody,
) -> Result<Response, ApiError> {
    let Recover { since, until, statuses, rate_limit } = body.parse()?;
    let fields = JobFields { since: &since, until: until.as_deref(), statuses, event_types: None, rate_limit, max_messages: None };
    let request = fields.request(JobKind::Recover)?;
    start(&api, &scope, audited, &endpoint, &query, (&headers, &body), &request).await
}

/// Replay messages to an endpoint
///
/// A job requeues deliveries, successful ones included, in the order of their messages. The `webhook-id` stays the same. While the job runs,
/// and for ten seconds after it was created, an identical request is answered with this job and 200.
#[utoipa::path(
    post, path = "/applications/{appId}/endpoints/{id}/replay", operation_id = "replayEndpoint", tag = "Jobs",
    params(("appId" = String, Path, description = "The application's id or `uid`."), ("id" = String, Path, description = "The endpoint's id or `uid`."), DryRunQuery),
    request_body = Replay,
    responses(
        (status = 201, description = "Job. Get it to see its progress.", body = JobAnswer),
        (status = 200, description = "Job that an earlier identical request has created, or with `dry_run` the forecast of a job.", body = NoNewJob),
        (status = 409, description = "Too many jobs are running (`too_many_jobs`).", body = crate::http::error::ErrorBody)
    )
)]
pub(crate) async fn replay(
    State(api): State<Api>,
    scope: ApplicationScope,
    audited: AuditedCaller,
    PathParams(OfId { id: endpoint }): PathParams<OfId>,
    QueryParams(query): QueryParams<DryRunQuery>,
    headers: HeaderMap,
    body: RawBody,
) -> Result<Response, ApiError> {
    let Replay { since, until, event_types, statuses, rate_limit, max_messages } = body.parse()?;
    let fields = JobFields { since: &since, until: until.as_deref(), statuses, event_types, rate_limit, max_messages };
    let request = fields.request(JobKind::Replay)?;
    start(&api, &scope, audited, &endpoint, &query, (&headers, &body), &request).await
}

/// List jobs
#[utoipa::path(
    get, path = "/jobs", operation_id = "listJobs", tag = "Jobs",
    params(ListQuery, JobQuery),
    responses((status = 200, description = "Page of jobs, newest first.", body = JobList))
)]
pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
    QueryParams(query): QueryParams<ListQuery>,
    QueryParams(JobQuery { status }): QueryParams<JobQuery>,
) -> Result<Json<JobList>, ApiError> {
    caller.check_tenant(query.org_id.as_deref(), query.env_id.as_deref())?;
    let request = page::request(query.limit.as_deref(), query.cursor.as_deref(), JobId::from_bytes)?;
    if let Some(word) = status.as_deref().filter(|word| !JobState::WORDS.contains(word)) {
        let problem = format!("must be `running`, `completed`, `cancelled` or `failed`{}", got(word));
        return Err(ApiError::invalid("status", &problem));
    }
    let page = jobs::list(&*api.store, caller.tenant, status.as_deref(), request).await?;
    let cursor = page::cursor(&page, |job| *job.id.as_bytes());
    let has_more = page.has_more;
    Ok(Json(JobList { jobs: page.items.into_iter().map(Job::from).collect(), cursor, has_more }))
}

/// Get a job
#[utoipa::path(
    get, path = "/jobs/{id}", operation_id = "getJob", tag = "Jobs",
    params(("id" = String, Path, description = "Id of the job.")),
    responses((status = 200, description = "Job, with its progress.", body = JobAnswer))
)]
pub(crate) async fn get(State(api): State<Api>, caller: Caller, PathParams(job): PathParams<String>) -> Result<Json<JobAnswer>, ApiError> {
    find(&api, caller.tenant, &job).await.map(|job| Json(JobAnswer::new(job)))
}

/// Returns the job if it is of this application.
pub(crate) async fn get_of(api: &Api, scope: &ApplicationScope, job: &str) -> Result<Json<JobAnswer>, ApiError> {
    let (job, application) = (find(api, scope.tenant, job).await?, scope.resolve(api).await?);
    if job.application_id == application { Ok(Json(JobAnswer::new(job))) } else { Err(not_found()) }
}

async fn find(api: &Api, tenant: Tenant, job: &str) -> Result<Model, ApiError> {
    jobs::find(&*api.store, tenant, id(job, "Job")?).await?.ok_or_else(not_found)
}

/// Cancel a job
///
/// When the answer arrives, the job requeues no further deliveries. Those that it has requeued (`requeued`) stay pending.
#[utoipa::path(
    post, path = "/jobs/{id}/cancel", operation_id = "cancelJob", tag = "Jobs",
    params(("id" = String, Path, description = "Id of the job.")),
    responses(
        (status = 200, description = "Cancelled.", body = JobAnswer),
        (status = 409, description = "The job has already ended (`job_ended`); `details.status` is its status.", body = crate::http::error::ErrorBody)
    )
)]
pub(crate) async fn cancel(
    State(api): State<Api>,
    caller: Caller,
    audited: AuditedCaller,
    PathParams(job): PathParams<String>,
) -> Result<Json<JobAnswer>, ApiError> {
    let job = jobs::cancel(&*api.store, &audited.act(&api), caller.tenant, id(&job, "Job")?).await?.ok_or_else(not_found)?;
    match job.state {
        JobState::Running | JobState::Cancelled { .. } => {
            api.engine.announce_job(&job);
            Ok(Json(JobAnswer::new(job)))
        }
        JobState::Completed { .. } | JobState::Failed { .. } => {
            let message = format!("The job has already ended with the status {} and cannot be cancelled.", job.state.as_str());
            Err(ApiError::new(ErrorCode::JobEnded, message).with_details(json!({ "status": job.state.as_str() })))
        }
    }
}

/// Starts the requested job, or returns the forecast of a dry run.
async fn start(
    api: &Api,
    scope: &ApplicationScope,
    audited: AuditedCaller,
    endpoint: &str,
    query: &DryRunQuery,
    (headers, body): (&HeaderMap, &RawBody),
    request: &JobRequest,
) -> Result<Response, ApiError> {
    let is_dry = read_dry_run(query)?;
    let (routes, endpoint) = scope.endpoint(api, endpoint).await?;
    let application = routes.id();
    let operation = format!("POST /v1/applications/{application}/endpoints/{endpoint}/{}", request.kind.as_str());
    let key = idempotency::key(headers, &operation, &body.0)?.filter(|_| !is_dry);
    if let Some(answer) = idempotency::repeated(api, scope.tenant, key.as_ref()).await? {
        return Ok(answer);
    }
    let (job, forecast) = api.engine.plan(scope.tenant, &application.to_string(), endpoint, request).await?;
    if is_dry {
        return Ok(Json(NoNewJob::Dry { dry_run: forecast.into() }).into_response());
    }
    let act = audited.act(api);
    let double_click = job.selection.asked_at - std::time::Duration::from_secs(DOUBLE_CLICK_S);
    let mut is_there = false;
    let taken = || {
        is_there = true;
        ApiError::new(ErrorCode::Conflict, "An identical job has just started and ended. Retry the request.")
    };
    let answer = idempotency::create_once(api, scope.tenant, key.clone(), &JobAnswer::new(job.clone()), taken, async |kept| {
        if jobs::find_same(&*api.store, &job, double_click).await?.is_some() {
            return Ok(Created::NameTaken);
        }
        jobs::create(&*api.store, &act, &job, kept).await
    })
    .await;
    if answer.is_ok() && !is_there {
        api.engine.announce_job(&job);
    }
    api.engine.note_job();
    if is_there && let Some(same) = jobs::find_same(&*api.store, &job, double_click).await? {
        return idempotency::answer_with(api, scope.tenant, key, StatusCode::OK, &NoNewJob::Earlier { job: Box::new(same.into()) }).await;
    }
    answer
}

pub(super) fn read_dry_run(query: &DryRunQuery) -> Result<bool, ApiError> {
    match query.dry_run.as_deref() {
        None | Some("0" | "false") => Ok(false),
        Some("1" | "true") => Ok(true),
        Some(text) => Err(ApiError::invalid("dry_run", &format!("must be 1 or 0{}", got(text)))),
    }
}

fn words(field: &'static str, raw: Option<&RawValue>) -> Result<Option<Vec<String>>, ApiError> {
    raw.map(|raw| json_value(field, raw, "an array of strings")).transpose()
}

fn time(field: &'static str, text: &str) -> Result<Timestamp, ApiError> {
    text.parse().map_err(|error: hookstream_model::base::time::InvalidTime| ApiError::invalid(field, &error.to_string()))
}

fn not_found() -> ApiError {
    ApiError::not_found("Job")
}

#[cfg(test)]
mod tests;
