//! Retrying all messages of a filter: one job for each endpoint with selected deliveries.

use std::time::{Duration, Instant};

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use hookstream_engine::{Forecast, JobError};
use hookstream_model::{
    base::{ids::EndpointId, time::Timestamp},
    operations::job::{Candidate, Job as Model, JobKind, JobRequest, duration_at},
    outbound::endpoint::Endpoint,
};
use hookstream_store::{
    PageRequest,
    operations::jobs,
    outbound::{
        applications::Created,
        endpoints::{self, EndpointFilter},
    },
};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::jobs::{DOUBLE_CLICK_S, DryRunQuery, Job, JobFields, Sample, read_dry_run};
use crate::{
    auth::{application_scope::ApplicationScope, audited_caller::AuditedCaller, caller::Caller},
    http::{
        body::{OrText, RawBody, Whole},
        error::ApiError,
        params::QueryParams,
    },
    state::Api,
};

/// Maximum number of endpoints that a request examines.
const ENDPOINTS_MAX: usize = 1_000;
/// Time limit of the examination. Beyond it nothing is started, because the request would be half done.
const EXAMINE_LIMIT: Duration = Duration::from_secs(10);
/// Number of deliveries in a dry run's sample.
const SAMPLE: usize = 10;

/// Messages to retry.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetryMessages<'a> {
    /// Only messages accepted at this time or later: ISO 8601 with an offset.
    #[schema(example = "2026-11-24T00:00:00Z", format = DateTime)]
    since: String,
    /// Only messages accepted before this time: ISO 8601 with an offset. The default is now.
    #[schema(format = DateTime)]
    until: Option<String>,
    /// Only messages of this application: its id or `uid`. The default is all applications of the environment.
    application_id: Option<String>,
    /// Only deliveries to this endpoint: its id, or with `application_id` its `uid`.
    endpoint_id: Option<String>,
    /// Only messages of these event types. The default is all.
    #[serde(borrow)]
    #[schema(value_type = Option<OrText<Vec<String>>>, inline)]
    event_types: Option<&'a RawValue>,
    /// Statuses of the deliveries: `exhausted` (or `failed`) and `skipped`. The default is both.
    #[serde(borrow)]
    #[schema(value_type = Option<OrText<Vec<String>>>, inline)]
    statuses: Option<&'a RawValue>,
    /// Deliveries requeued per second to each endpoint, at most: 1 to 1000. The default is 100.
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 100, example = 100)]
    rate_limit: Option<Whole<u32>>,
}

/// Jobs of a retry of messages.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RetryJobs {
    /// Jobs, one for each endpoint; a job that already ran for the same request is among them.
    jobs: Vec<Job>,
    /// Deliveries that the jobs requeue.
    #[schema(example = 902)]
    count: u64,
}

/// Forecast of a retry of messages.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RetryForecast {
    /// Deliveries that would be requeued.
    #[schema(example = 902)]
    count: u64,
    /// Endpoints that they go to.
    #[schema(example = 14)]
    endpoint_count: usize,
    /// Further selected deliveries that would be passed over, because their payload has expired.
    #[schema(example = 0)]
    payload_expired: u64,
    /// Endpoints of the filter that are left out, because they are disabled or expired.
    #[schema(example = 1)]
    endpoints_left_out: usize,
    /// Whether `count` is exact. `false` if counting took too long: then there are more deliveries.
    is_complete: bool,
    /// First of these deliveries, oldest first.
    sample: Vec<SampleOfEndpoint>,
    /// Deliveries requeued per second to each endpoint, at most.
    rate_limit: u32,
    /// Seconds until the last endpoint's deliveries are requeued at this rate.
    #[schema(example = 9)]
    duration_s: u64,
}

/// Delivery that a job would requeue.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SampleOfEndpoint {
    application_id: String,
    endpoint_id: String,
    #[serde(flatten)]
    message: Sample,
}

/// Answer of a dry run.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RetryForecastAnswer {
    dry_run: RetryForecast,
}

/// Retry messages of a filter
///
/// Each endpoint with deliveries of the filter gets a job, which requeues them in the order of their messages, as recovering the endpoint
/// does. Endpoints that are disabled or expired are left out. A repeated request finds the jobs of the first one. At most 1,000 endpoints are
/// examined; a filter with more needs `application_id` or `endpoint_id`.
#[utoipa::path(
    post, path = "/messages/retry", operation_id = "retryMessages", tag = "Jobs",
    params(DryRunQuery),
    request_body = RetryMessages,
    responses(
        (status = 201, description = "Jobs. Get each to see its progress.", body = RetryJobs),
        (status = 200, description = "Forecast, with `dry_run`.", body = RetryForecastAnswer),
        (status = 409, description = "Too many jobs are running (`too_many_jobs`).", body = crate::http::error::ErrorBody)
    )
)]
pub(crate) async fn retry(
    State(api): State<Api>,
    caller: Caller,
    audited: AuditedCaller,
    QueryParams(query): QueryParams<DryRunQuery>,
    body: RawBody,
) -> Result<Response, ApiError> {
    let is_dry = read_dry_run(&query)?;
    let RetryMessages { since, until, application_id, endpoint_id, event_types, statuses, rate_limit } = body.parse()?;
    let fields = JobFields { since: &since, until: until.as_deref(), statuses, event_types, rate_limit, max_messages: None };
    let request = fields.request(JobKind::Recover)?;
    // Faults of the request are told even if there is no endpoint.
    let (_, rate_limit) = request.check(api.now())?;
    let endpoints = endpoints_of(&api, caller, application_id.as_deref(), endpoint_id.as_deref()).await?;
    let (planned, left_out) = plan(&api, caller, &endpoints, &request).await?;
    if is_dry {
        let dry_run = forecast(planned, left_out, rate_limit);
        return Ok(Json(RetryForecastAnswer { dry_run }).into_response());
    }
    let count = planned.iter().map(|(_, forecast)| forecast.count).sum();
    let mut created = Vec::with_capacity(planned.len());
    for (job, _) in planned {
        created.push(create(&api, &audited, job).await?.into());
    }
    api.engine.note_job();
    Ok((StatusCode::CREATED, Json(RetryJobs { jobs: created, count })).into_response())
}

/// Returns the endpoints of the filter, oldest first.
async fn endpoints_of(api: &Api, caller: Caller, application: Option<&str>, endpoint: Option<&str>) -> Result<Vec<Endpoint>, ApiError> {
    let Some(application) = application else {
        if let Some(reference) = endpoint {
            let id = crate::http::params::id::<EndpointId>(reference, "Endpoint")?;
            let found = endpoints::find_in_environment(&*api.store, caller.tenant, id).await?;
            return found.map(|endpoint| vec![endpoint]).ok_or_else(|| ApiError::not_found("Endpoint"));
        }
        let request = PageRequest { after: None, limit: ENDPOINTS_MAX };
        let page = endpoints::list_all(&*api.store, caller.tenant, EndpointFilter::default(), api.now(), request).await?;
        if page.has_more {
            let problem = format!("must be given, because the environment has more than {ENDPOINTS_MAX} endpoints");
            return Err(ApiError::invalid("application_id", &problem));
        }
        return Ok(page.items.into_iter().rev().map(|(endpoint, _)| endpoint).collect());
    };
    let scope = ApplicationScope::of_sender(caller.tenant, application);
    let Some(reference) = endpoint else {
        let routes = scope.routes(api).await?;
        return Ok(routes.endpoints().map(|route| route.endpoint.clone()).take(ENDPOINTS_MAX).collect());
    };
    let (routes, id) = scope.endpoint(api, reference).await?;
    Ok(routes.endpoint(id).map(|route| route.endpoint.clone()).into_iter().collect())
}

/// Returns the jobs of endpoints with selected deliveries, and the number of endpoints that receive nothing.
async fn plan(
    api: &Api,
    caller: Caller,
    endpoints: &[Endpoint],
    request: &JobRequest,
) -> Result<(Vec<(Model, Forecast)>, usize), ApiError> {
    let begun = Instant::now();
    let (mut planned, mut left_out) = (Vec::new(), 0);
    for endpoint in endpoints {
        match api.engine.plan(caller.tenant, &endpoint.application_id.to_string(), endpoint.id, request).await {
            Ok((_, forecast)) if forecast.count + forecast.expired == 0 && !forecast.is_partial => {}
            Ok(found) => planned.push(found),
            Err(JobError::Skips(_)) => left_out += 1,
            // Deleted since.
            Err(JobError::NotFound) => {}
            Err(error) => return Err(error.into()),
        }
        if begun.elapsed() > EXAMINE_LIMIT {
            let problem = "covers more deliveries than can be counted at once. Give a later `since`, or `application_id` or `endpoint_id`";
            return Err(ApiError::invalid("since", problem));
        }
    }
    Ok((planned, left_out))
}

fn forecast(planned: Vec<(Model, Forecast)>, endpoints_left_out: usize, rate_limit: u32) -> RetryForecast {
    let longest = planned.iter().map(|(_, forecast)| forecast.count).max().unwrap_or_default();
    let count = planned.iter().map(|(_, forecast)| forecast.count).sum();
    let payload_expired = planned.iter().map(|(_, forecast)| forecast.expired).sum();
    let is_complete = planned.iter().all(|(_, forecast)| !forecast.is_partial);
    let endpoint_count = planned.iter().filter(|(_, forecast)| forecast.count > 0).count();
    let of_endpoint = |(job, forecast): (Model, Forecast)| {
        let (application, endpoint) = (job.application_id.to_string(), job.endpoint_id.to_string());
        forecast.sample.into_iter().map(move |candidate| (application.clone(), endpoint.clone(), candidate))
    };
    let mut sample: Vec<(String, String, Candidate)> = planned.into_iter().flat_map(of_endpoint).collect();
    sample.sort_by_key(|(_, _, candidate)| candidate.message_id);
    sample.truncate(SAMPLE);
    let shown = |(application_id, endpoint_id, candidate): (String, String, Candidate)| SampleOfEndpoint {
        application_id,
        endpoint_id,
        message: candidate.into(),
    };
    RetryForecast {
        count,
        endpoint_count,
        payload_expired,
        endpoints_left_out,
        is_complete,
        sample: sample.into_iter().map(shown).collect(),
        rate_limit,
        duration_s: duration_at(rate_limit, longest).as_secs(),
    }
}

/// Stores a job, or returns the one of an earlier identical request.
async fn create(api: &Api, audited: &AuditedCaller, job: Model) -> Result<Model, ApiError> {
    let double_click: Timestamp = job.selection.asked_at - Duration::from_secs(DOUBLE_CLICK_S);
    loop {
        if let Some(same) = jobs::find_same(&*api.store, &job, double_click).await? {
            return Ok(same);
        }
        match jobs::create(&*api.store, &audited.act(api), &job, None).await? {
            Created::Stored => return Ok(job),
            Created::NameTaken => {}
            Created::KeyTaken | Created::TooManyViews(_) | Created::TooManyAlertRules => {
                return Err(ApiError::panicked("a job without a key met a key or a limit of views".to_owned()));
            }
            Created::QuotaReached(reached) => return Err(reached.into()),
        }
    }
}

#[cfg(test)]
mod tests;
