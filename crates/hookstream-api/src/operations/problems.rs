//! Problems: facts from the engine and the store, decided by the model.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use axum::{Json, extract::State};
use hookstream_model::{
    base::{
        ids::{EndpointId, RouteId, TargetId},
        time::Timestamp,
    },
    identity::{
        environment::{Outlook, outlook},
        scopes::{Resource, Scope},
        tenancy::Tenant,
    },
    operations::{
        metrics::Stats,
        problems::{self, Cause, EndpointFacts, Problem as Found, Subject},
        quota::{Month, Quota},
    },
    outbound::endpoint::Endpoint,
};
use hookstream_store::{
    PageRequest,
    identity::environments,
    operations::quotas,
    outbound::{
        applications,
        endpoints::{self, EndpointFilter},
    },
};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::usage::payload_rate;
use crate::{
    auth::caller::Caller,
    http::{
        error::ApiError,
        params::{QueryParams, TenantQuery},
    },
    metrics::reading,
    state::Api,
};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Time within which the most frequent error is the cause.
const LATELY: Duration = Duration::from_secs(3600);
/// Maximum number of endpoints that are looked at more closely; each takes some reads.
const LOOKED_AT: usize = 200;
/// Pending deliveries from which an endpoint is looked at.
const PENDING_FROM: i64 = 100;

/// Subject of a problem.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProblemSubject {
    /// `endpoint`, `environment`, `organization`, `installation` or `node`.
    #[schema(example = "endpoint")]
    kind: &'static str,
    /// Id of the endpoint, number of the node; `null` for others.
    id: Option<String>,
    /// URL of the endpoint, name of the node; `null` for others.
    #[schema(example = "https://example.com/webhooks")]
    name: Option<String>,
    /// Id of the endpoint's application; `null` for others.
    application_id: Option<String>,
    /// Name of the endpoint's application; `null` for others.
    #[schema(example = "Acme Inc.")]
    application_name: Option<String>,
}

/// Cause of a problem: as a code with parameters, and as a sentence.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProblemCause {
    /// Error word of the attempts, or another code such as `rate_limit`.
    #[schema(example = "http_status")]
    code: String,
    /// Parameters of the code.
    #[schema(value_type = Object)]
    params: Map<String, Value>,
    /// Cause in words.
    #[schema(example = "The receiver answers 503.")]
    sentence: String,
}

/// Remedy of a problem.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProblemRemedy {
    /// `probe_now`, `notify_customer`, `raise_limit`, `recover`, `enable_and_recover`, `change_retention`, `raise_quota`, `free_disk` or
    /// `restart_node`.
    #[schema(example = "probe_now")]
    action: &'static str,
    /// `operationId` of the operation that does it; `null` if no operation does.
    #[schema(example = "resetCircuit")]
    operation: Option<&'static str>,
    /// Method and path of the operation; `null` if no operation does it.
    #[schema(example = "POST /v1/applications/019dc1e2a3b47c5d8e9f001122334455/endpoints/019dc1e2a3b47c5d8e9f001122334456/reset-circuit")]
    request: Option<String>,
}

/// Problem: something that is wrong now.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// Kind: `endpoint_disabled` (by Hookstream), `circuit_open`, `endpoint_failing`, `backlog_growing`, `deliveries_missed`,
    /// `storage_budget`, `disk_full`, `quota` or `node_lapsed`.
    #[schema(example = "circuit_open")]
    kind: &'static str,
    /// `critical` (nothing arrives), `warning` (late, or not delivered) or `notice` (soon).
    #[schema(example = "critical")]
    severity: &'static str,
    /// Subject.
    subject: ProblemSubject,
    /// Cause.
    cause: ProblemCause,
    /// Time since which it lasts; `null` if that is not known.
    since: Option<String>,
    /// Deliveries that wait, or that were missed.
    #[schema(example = 4135)]
    waiting: i64,
    /// Time at which the oldest of them fell due, rounded down to the half hour or the day; `null` if that is not known.
    oldest_at: Option<String>,
    /// Time at which Hookstream disables the endpoint if nothing changes; `null` if it does not.
    disables_at: Option<String>,
    /// Remedy.
    remedy: ProblemRemedy,
}

/// Problems of an environment.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProblemList {
    /// Problems, the worst first: by severity, then by what waits, then by duration.
    problems: Vec<Problem>,
    /// Time of the answer.
    as_of: String,
    /// Endpoints of the environment.
    #[schema(example = 1038)]
    endpoints: u64,
    /// Whether more endpoints have problems than are listed.
    is_partial: bool,
}

/// List problems
///
/// The answer lists what is wrong now, with cause, since when, what waits and what helps. An endpoint is listed once, with its worst problem.
/// Storage and quotas are listed for callers with `usage:read`, nodes and the disk for callers with `operator:nodes`.
#[utoipa::path(
    get, path = "/problems", operation_id = "listProblems", tag = "Metrics", params(TenantQuery),
    responses((status = 200, description = "Problems, the worst first.", body = ProblemList))
)]
pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
    QueryParams(query): QueryParams<TenantQuery>,
) -> Result<Json<ProblemList>, ApiError> {
    caller.check_tenant(query.org_id.as_deref(), query.env_id.as_deref())?;
    let (tenant, now) = (caller.tenant, api.now());
    let with =
        Beyond { limits: caller.scopes.allow(Scope::read(Resource::Usage)), installation: caller.scopes.allow(Scope::OPERATOR_NODES) };
    let Current { mut problems, suspects, is_partial } = current(&api, tenant, with, now).await?;
    problems::sort(&mut problems);
    let mut shown = Vec::with_capacity(problems.len());
    for problem in problems {
        shown.push(show(&api, tenant, problem, &suspects).await?);
    }
    let endpoints = endpoints::count(&*api.store, tenant).await?;
    Ok(Json(ProblemList { problems: shown, as_of: now.to_string(), endpoints, is_partial }))
}

/// Subjects that are looked at besides the endpoints.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Beyond {
    /// Storage and quotas.
    pub(crate) limits: bool,
    /// Nodes and the disk.
    pub(crate) installation: bool,
}

/// Problems of now.
pub(crate) struct Current {
    pub(crate) problems: Vec<Found>,
    /// Endpoints that were looked at, which have the names of the subjects.
    pub(crate) suspects: Vec<Endpoint>,
    /// Whether more endpoints have problems.
    pub(crate) is_partial: bool,
}

/// Finds what is wrong now.
pub(crate) async fn current(api: &Api, tenant: Tenant, with: Beyond, now: Timestamp) -> Result<Current, ApiError> {
    let (suspects, is_partial) = suspects(api, tenant, now).await?;
    let pending = reading::pending_of_all(api, tenant).await?;
    let lanes: BTreeMap<TargetId, Option<f64>> =
        api.engine.lanes(tenant.environment).into_iter().map(|lane| (lane.target, lane.per_second)).collect();
    let mut found = Vec::new();
    for endpoint in &suspects {
        let route = RouteId::from(endpoint.id);
        let read = reading::health(api, tenant, route, &pending, now).await?;
        let errors = reading::errors(api, tenant, route, now - LATELY, now).await?;
        let facts = EndpointFacts {
            application_id: endpoint.application_id,
            endpoint_id: endpoint.id,
            status: endpoint.status,
            disabled_reason: endpoint.disabled_reason,
            disabled_at: endpoint.disabled_at,
            failing_since: endpoint.failing_since,
            hold: endpoint.hold,
            rate_limit: endpoint.rate_limit_per_second,
            pending: read.pending,
            oldest: read.oldest,
            day: read.total,
            arriving: reading::arriving(api, tenant, route, now).await?,
            leaving: lanes.get(&TargetId::from(endpoint.id)).copied().flatten(),
            error: errors.into_iter().max_by_key(|(_, (count, _))| *count).map(|(error, _)| error),
        };
        found.extend(problems::of_endpoint(&facts, api.engine.options().disable_after, now));
    }
    if with.limits {
        found.extend(of_limits(api, tenant, now).await?);
    }
    if with.installation {
        let nodes = api.store.nodes().await?;
        found.extend(nodes.iter().filter_map(|node| problems::of_node(node.owner.number(), &node.name, node.lapses_at, now)));
        found.extend(api.store.is_full().then(problems::of_full_disk));
    }
    Ok(Current { problems: found, suspects, is_partial })
}

/// Returns the endpoints that may have a problem: those that fail, and those with deliveries that wait or were missed.
async fn suspects(api: &Api, tenant: Tenant, now: Timestamp) -> Result<(Vec<Endpoint>, bool), ApiError> {
    let filter = EndpointFilter { status: None, is_failing: true };
    let request = PageRequest { after: None, limit: LOOKED_AT };
    let page = endpoints::list_all(&*api.store, tenant, filter, now, request).await?;
    let mut is_partial = page.has_more;
    let mut suspects: Vec<_> = page.items.into_iter().map(|(endpoint, _)| endpoint).collect();
    let known: HashSet<_> = suspects.iter().map(|endpoint| endpoint.id).collect();
    let since = (now - DAY).day().start();
    let routes = api.engine.metrics_by_route(tenant.environment, since).await?;
    let needs_a_look = |stats: &Stats| stats.ended > 0 || stats.pending() >= PENDING_FROM;
    let mut others: Vec<_> = routes.into_iter().filter(|(_, stats)| needs_a_look(stats)).collect();
    others.sort_by_key(|(_, stats)| std::cmp::Reverse(stats.ended + stats.pending()));
    let others: Vec<_> = others.into_iter().map(|(route, _)| EndpointId::from(route)).filter(|id| !known.contains(id)).collect();
    is_partial |= others.len() > LOOKED_AT;
    for id in others.into_iter().take(LOOKED_AT) {
        // Deleted endpoints have numbers as well.
        suspects.extend(endpoints::find_in_environment(&*api.store, tenant, id).await?);
    }
    Ok((suspects, is_partial))
}

/// Returns the problems of storage and quotas.
async fn of_limits(api: &Api, tenant: Tenant, now: Timestamp) -> Result<Vec<Found>, ApiError> {
    let in_days = budget_reached_in(api, tenant, now).await?;
    let own = quotas::find(&*api.store, tenant.organization).await?.unwrap_or_default();
    let limit = own.or(&api.store.installation_quotas().get()).get(Quota::EventsPerMonth);
    let used = match limit {
        Some(_) => quotas::events(&*api.store, Month::of(now), Some(tenant.organization)).await?.remove(&tenant.organization).unwrap_or(0),
        None => 0,
    };
    Ok(problems::of_storage(in_days).into_iter().chain(problems::of_quota(used, limit)).collect())
}

/// Returns the days until the payloads reach the storage budget of the environment, if they do; 0 is now.
pub(crate) async fn budget_reached_in(api: &Api, tenant: Tenant, now: Timestamp) -> Result<Option<u32>, ApiError> {
    let counted = api.store.delivery_counts(tenant).await?;
    let bytes: Vec<_> = counted.iter().map(|of_day| (of_day.day, u64::try_from(of_day.counts.payload_bytes).unwrap_or(0))).collect();
    let environment = environments::find(&*api.store, tenant.organization, tenant.environment).await?;
    let limits = environment.ok_or_else(|| ApiError::not_found("Environment"))?.limits(api.installation_limits());
    let (per_day, age) = payload_rate(&bytes, now.day());
    let total = bytes.iter().map(|(_, bytes)| bytes).sum();
    Ok(match outlook(limits, total, per_day, age) {
        Outlook::BudgetReached { in_days } => Some(in_days),
        Outlook::Level { .. } | Outlook::Unknown => None,
    })
}

async fn show(api: &Api, tenant: Tenant, problem: Found, suspects: &[Endpoint]) -> Result<Problem, ApiError> {
    let Found { kind, severity, subject, cause, since, waiting, oldest, disables_at, remedy } = problem;
    let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
    let request = remedy.operation().map(|operation| request_of(operation, &subject, tenant));
    Ok(Problem {
        kind: kind.as_str(),
        severity: severity.as_str(),
        subject: show_subject(api, tenant, &subject, suspects).await?,
        cause: ProblemCause { code: cause.code(), params: params(&cause), sentence: sentence(&cause) },
        since: text(since),
        waiting,
        oldest_at: text(oldest),
        disables_at: text(disables_at),
        remedy: ProblemRemedy { action: remedy.as_str(), operation: remedy.operation(), request },
    })
}

/// Returns the method and path of a remedy.
fn request_of(operation: &str, subject: &Subject, tenant: Tenant) -> String {
    let Subject::Endpoint(application, endpoint) = subject else { return format!("PATCH /v1/environments/{}", tenant.environment) };
    let path = format!("/v1/applications/{application}/endpoints/{endpoint}");
    match operation {
        "resetCircuit" => format!("POST {path}/reset-circuit"),
        "recoverEndpoint" => format!("POST {path}/recover"),
        _ => format!("PATCH {path}"),
    }
}

async fn show_subject(api: &Api, tenant: Tenant, subject: &Subject, suspects: &[Endpoint]) -> Result<ProblemSubject, ApiError> {
    let of = |kind| ProblemSubject { kind, id: None, name: None, application_id: None, application_name: None };
    Ok(match subject {
        Subject::Endpoint(application, endpoint) => {
            let known = suspects.iter().find(|known| known.id == *endpoint);
            let described = known.and_then(|known| known.description.clone()).filter(|text| !text.is_empty());
            let name = described.or_else(|| known.map(|known| known.url.as_str().to_owned()));
            let found = applications::find(&*api.store, tenant, *application).await?;
            ProblemSubject {
                id: Some(endpoint.to_string()),
                name,
                application_id: Some(application.to_string()),
                application_name: found.map(|application| application.name),
                ..of("endpoint")
            }
        }
        Subject::Environment => ProblemSubject { id: Some(tenant.environment.to_string()), ..of("environment") },
        Subject::Organization => ProblemSubject { id: Some(tenant.organization.to_string()), ..of("organization") },
        Subject::Installation => of("installation"),
        Subject::Node(number, name) => ProblemSubject { id: Some(number.to_string()), name: Some(name.clone()), ..of("node") },
    })
}

fn params(cause: &Cause) -> Map<String, Value> {
    let params = match cause {
        Cause::Attempts(Some(error)) if error.status != 0 => json!({ "response_status": error.status }),
        Cause::Disabled(reason) => json!({ "reason": reason.as_str() }),
        Cause::RateLimit { limit } => json!({ "rate_limit_per_second": limit }),
        Cause::BudgetReached { in_days } => json!({ "in_days": in_days }),
        Cause::EventsUsed { used, limit } => json!({ "used": used, "limit": limit }),
        Cause::LeaseExpired(at) => json!({ "lapsed_at": at.to_string() }),
        Cause::Attempts(_) | Cause::Slow | Cause::Missed | Cause::DiskFull => json!({}),
    };
    params.as_object().cloned().unwrap_or_default()
}

pub(crate) fn sentence(cause: &Cause) -> String {
    match cause {
        Cause::Attempts(Some(error)) => of_error(&error.word, error.status),
        Cause::Attempts(None) => "No attempt was made in the last hour; the attempts before failed.".to_owned(),
        Cause::Disabled(reason) => of_disabling(reason.as_str()),
        Cause::RateLimit { limit } => format!("More falls due than its rate limit of {limit} a second lets through."),
        Cause::Slow => "More falls due than the receiver answers.".to_owned(),
        Cause::Missed => "The endpoint works, and deliveries of the last 24 hours ended without arriving.".to_owned(),
        Cause::BudgetReached { in_days: 0 } => "The payloads have reached the storage budget; the oldest are removed early.".to_owned(),
        Cause::BudgetReached { in_days: 1 } => "The payloads reach the storage budget within a day.".to_owned(),
        Cause::BudgetReached { in_days } => format!("The payloads reach the storage budget in {in_days} days."),
        Cause::DiskFull => "The disk is full; new messages are refused.".to_owned(),
        Cause::EventsUsed { used, limit } => format!("{used} of {limit} events of this month are used."),
        Cause::LeaseExpired(at) => format!("The lease of the node expired at {at}; other nodes deliver for it."),
    }
}

fn of_disabling(reason: &str) -> String {
    match reason {
        "gone" => "The receiver answered 410, so the endpoint was disabled.",
        "asked_to_stop" => "The receiver answered `webhook-delivery: disable`, so the endpoint was disabled.",
        _ => "Every attempt failed for days, so the endpoint was disabled.",
    }
    .to_owned()
}

/// Returns an error of the fixed vocabulary in words.
fn of_error(word: &str, status: u16) -> String {
    match word {
        "http_status" => return format!("The receiver answers {status}."),
        "timeout" => "The receiver does not answer within the timeout.",
        "dns_failed" => "The host name of the receiver does not resolve.",
        "connection_refused" => "The receiver refuses the connection.",
        "connection_reset" => "The receiver breaks off the connection.",
        "connection_failed" => "The receiver cannot be reached.",
        "tls_expired" => "The certificate of the receiver has expired or is not valid yet.",
        "tls_untrusted" => "The authority of the receiver's certificate is not trusted.",
        "tls_wrong_host" => "The certificate of the receiver is for another host.",
        "tls_revoked" => "The certificate of the receiver was revoked.",
        "tls_failed" => "The receiver does not agree on TLS.",
        "address_not_allowed" => "The installation's policy does not allow the address of the receiver.",
        "redirect_refused" => "The receiver answers with a redirect, which is not followed.",
        "response_invalid" => "The response of the receiver does not follow the protocol.",
        "access_refused" => "The target refuses the credentials.",
        "target_not_found" => "The exchange or another part of the target does not exist.",
        "unroutable" => "The broker found no queue for the messages.",
        "message_refused" => "The broker refuses the messages.",
        "settings_invalid" => "The settings of the endpoint cannot be used by this installation.",
        _ => return format!("Attempts fail ({word})."),
    }
    .to_owned()
}

#[cfg(test)]
mod tests;
