//! Health of an endpoint: 48 half hours, latency, circuit breaker, backlog.

use axum::{Json, extract::State};
use hookstream_engine::LaneView;
use hookstream_model::{
    base::{
        ids::{RouteId, TargetId},
        time::Timestamp,
    },
    delivery::{
        hold::Circuit,
        queue::{Backlog, Shards},
        state::DisabledReason,
    },
    operations::metrics::{
        Stats,
        health::{Health, drained_in, first_half_hour},
    },
    outbound::endpoint::{Endpoint as Model, EndpointStatus},
};
use hookstream_store::{delivery::deliveries::BacklogHead, outbound::endpoints};
use serde::Serialize;
use utoipa::ToSchema;

use super::{key, not_found};
use crate::{
    auth::application_scope::ApplicationScope,
    http::{
        error::ApiError,
        params::{OfId, PathParams},
    },
    metrics::{
        figures::{ByError, ErrorCount, LatencyNumbers, breakdown},
        reading,
    },
    state::Api,
};

/// Maximum number of backlogs of a shard that are read.
const BACKLOGS: usize = 10_000;
/// Maximum count of the deliveries of a backlog.
const COUNTED: usize = 10_000;
/// Number of errors shown.
const ERRORS: usize = 5;
/// Deliveries of one half hour.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HalfHour {
    /// Start of the half hour.
    bucket: String,
    /// Deliveries that fell due in the half hour.
    #[schema(example = 7802)]
    due: i64,
    /// Of these, those that have arrived by now.
    #[schema(example = 3667)]
    arrived: i64,
}

/// Deliveries that wait.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BacklogView {
    /// Pending deliveries, wherever they wait.
    #[schema(example = 12)]
    pending: i64,
    /// Time at which the oldest pending delivery fell due, rounded down to the half hour or the day; `null` if none is pending.
    oldest_at: Option<String>,
    /// Deliveries queued in the memory of the answering node.
    #[schema(example = 2)]
    in_memory: usize,
    /// Deliveries queued in the store, because the memory's share is used up or the endpoint receives nothing at the moment. Counted up to
    /// 10,000.
    #[schema(example = 0)]
    in_store: usize,
}

/// Health of an endpoint.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EndpointHealth {
    endpoint_id: String,
    application_id: String,
    /// Time of the answer.
    as_of: String,
    /// `active`, `paused`, `disabled` or `expired`.
    #[schema(example = "active")]
    status: &'static str,
    /// The last 48 half hours, oldest first.
    half_hours: Vec<HalfHour>,
    /// Deliveries that fell due in these half hours.
    #[schema(example = 7802)]
    due: i64,
    /// Of these, those that have arrived by now.
    #[schema(example = 7790)]
    arrived: i64,
    /// Of these, those that ended without arriving: exhausted, skipped or cancelled. Recovering the endpoint sends them again.
    #[schema(example = 0)]
    ended: i64,
    /// Share of what fell due that has arrived, in percent with two decimals; `null` if nothing fell due.
    #[schema(example = 99.84)]
    success_rate: Option<f64>,
    /// Latency of the attempts in these half hours.
    latency: LatencyNumbers,
    /// Most frequent errors in these half hours.
    errors: Vec<ErrorCount>,
    /// State of the circuit breaker: `closed`, `open` or `half_open`.
    #[schema(example = "closed")]
    circuit_state: &'static str,
    /// Time since which the circuit breaker is not closed; `null` if it is closed.
    circuit_open_since: Option<String>,
    /// Probes that failed since then.
    #[schema(example = 0)]
    failed_probes: u32,
    /// Time until which nothing is sent; `null` if deliveries are not held.
    held_until: Option<String>,
    /// Reason for the hold: `failing` (circuit breaker) or `retry_after` (the receiver sent `Retry-After`).
    hold_reason: Option<&'static str>,
    /// Time of the first failed attempt since the last successful one; `null` if the last attempt succeeded.
    failing_since: Option<String>,
    /// Time at which Hookstream disables the endpoint if no attempt succeeds until then; `null` if it does not fail.
    disables_at: Option<String>,
    /// Time since which the endpoint is disabled; `null` unless it is.
    disabled_at: Option<String>,
    /// Reason why Hookstream disabled the endpoint: `gone`, `asked_to_stop` or `kept_failing`.
    disabled_reason: Option<&'static str>,
    /// Deliveries that wait.
    backlog: BacklogView,
    /// Time of the next attempt, as far as the queues show it; `null` if none is known.
    next_attempt_at: Option<String>,
    /// Attempts per second that the endpoint answered recently; `null` if there were too few.
    #[schema(example = 12.5)]
    per_second: Option<f64>,
    /// Deliveries per second that fell due in the last five minutes.
    #[schema(example = 9.8)]
    due_per_second: f64,
    /// Estimated seconds until nothing waits. While deliveries are held, the rate limit of the endpoint counts as its rate. `null` if it
    /// cannot be estimated, or if as much falls due as is sent.
    #[schema(example = 0.0)]
    drained_in_s: Option<f64>,
}

/// Answer with the health of an endpoint.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EndpointHealthAnswer {
    health: EndpointHealth,
}

/// Get the health of an endpoint
///
/// The success rate is the share of what fell due that has arrived by now. Numbers of other nodes are up to a minute old.
#[utoipa::path(
    get, path = "/applications/{appId}/endpoints/{id}/health", operation_id = "getEndpointHealth", tag = "Endpoints",
    params(("appId" = String, Path, description = "The application's id or `uid`."), ("id" = String, Path, description = "The endpoint's id or `uid`.")),
    responses((status = 200, description = "Health.", body = EndpointHealthAnswer))
)]
pub(crate) async fn get(
    State(api): State<Api>,
    scope: ApplicationScope,
    PathParams(OfId { id: endpoint }): PathParams<OfId>,
) -> Result<Json<EndpointHealthAnswer>, ApiError> {
    let key = key(&api, &scope, &endpoint).await?;
    let (endpoint, _) = endpoints::find(&*api.store, key).await?.ok_or_else(not_found)?;
    let now = api.now();
    let pending = reading::pending_of_all(&api, key.tenant).await?;
    let health = reading::health(&api, key.tenant, endpoint.id.into(), &pending, now).await?;
    let lanes = api.engine.lanes(key.tenant.environment);
    let lane = lanes.iter().find(|lane| lane.target == TargetId::from(endpoint.id));
    let (in_store, heads) = stored(&api, &endpoint).await?;
    let errors = reading::errors(&api, key.tenant, endpoint.id.into(), first_half_hour(now), now).await?;
    let arriving = reading::arriving(&api, key.tenant, endpoint.id.into(), now).await?;
    Ok(Json(EndpointHealthAnswer { health: show(&api, &endpoint, &Found { health, lane, in_store, heads, errors, arriving }, now) }))
}

/// Facts about an endpoint.
struct Found<'a> {
    health: Health,
    lane: Option<&'a LaneView>,
    in_store: usize,
    heads: Vec<BacklogHead>,
    errors: ByError,
    arriving: f64,
}

fn show(api: &Api, endpoint: &Model, found: &Found<'_>, now: Timestamp) -> EndpointHealth {
    let Found { health, lane, in_store, heads, errors, arriving } = found;
    let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
    let hold = endpoint.hold.filter(|hold| hold.holds(now));
    let circuit = Circuit::of(endpoint.hold, now);
    let breaker = endpoint.hold.filter(|_| circuit != Circuit::Closed);
    let per_second = lane.and_then(|lane| lane.per_second);
    let limit = endpoint.rate_limit_per_second.filter(|limit| *limit > 0).map(f64::from);
    let is_off = endpoint.skips(now).is_some();
    // The queues know less than the numbers after a crash, and more about the last seconds.
    let pending = health.pending.max(i64::try_from(*in_store).unwrap_or(i64::MAX));
    let leaving = if hold.is_some() { limit } else { per_second };
    let drained = drained_in(pending, leaving.filter(|_| !endpoint.is_paused() && !is_off), *arriving);
    let in_queues = lane.and_then(|lane| lane.oldest_due).into_iter().chain(heads.iter().map(|head| head.retry_at.unwrap_or(head.due_at)));
    let next =
        hold.map(|hold| hold.until).into_iter().chain(in_queues.min()).max().filter(|_| pending > 0 && !is_off && !endpoint.is_paused());
    EndpointHealth {
        endpoint_id: endpoint.id.to_string(),
        application_id: endpoint.application_id.to_string(),
        as_of: now.to_string(),
        status: endpoint.shown_status(now),
        half_hours: health.half_hours.iter().map(|(start, stats)| half_hour(*start, stats)).collect(),
        due: health.total.accepted,
        arrived: health.total.arrived,
        ended: health.total.ended,
        success_rate: health.total.success_rate(),
        latency: (&health.total.latencies).into(),
        errors: breakdown(errors.clone(), ERRORS),
        circuit_state: circuit.as_str(),
        circuit_open_since: text(breaker.map(|hold| hold.since)),
        failed_probes: breaker.map_or(0, |hold| hold.probes),
        held_until: text(hold.map(|hold| hold.until)),
        hold_reason: hold.map(|hold| hold.reason.as_str()),
        failing_since: text(endpoint.failing_since),
        disables_at: text(disables_at(api, endpoint)),
        disabled_at: text(endpoint.disabled_at),
        disabled_reason: endpoint.disabled_reason.map(DisabledReason::as_str),
        backlog: BacklogView {
            pending,
            oldest_at: text(health.oldest),
            in_memory: lane.map_or(0, |lane| lane.queued + lane.in_flight),
            in_store: *in_store,
        },
        next_attempt_at: text(next.map(|at| at.max(now))),
        per_second: per_second.map(tenths),
        due_per_second: tenths(*arriving),
        drained_in_s: drained.map(|drained| tenths(drained.as_secs_f64())),
    }
}

/// Returns the time at which an endpoint is disabled if it keeps failing.
fn disables_at(api: &Api, endpoint: &Model) -> Option<Timestamp> {
    let is_enabled = endpoint.status != EndpointStatus::Disabled;
    endpoint.failing_since.filter(|_| is_enabled).map(|since| since + api.engine.options().disable_after)
}

fn half_hour(start: Timestamp, stats: &Stats) -> HalfHour {
    HalfHour { bucket: start.to_string(), due: stats.accepted, arrived: stats.arrived }
}

fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

/// Returns the number of deliveries in the stored backlogs of an endpoint, and the first of each.
async fn stored(api: &Api, endpoint: &Model) -> Result<(usize, Vec<BacklogHead>), ApiError> {
    // All backlogs of an application are in one shard.
    let shard = Backlog::of_target(endpoint.application_id.into(), endpoint.id.into()).shard();
    let heads = api.store.backlogs([shard].into_iter().collect::<Shards>(), None, BACKLOGS).await?;
    let heads: Vec<_> = heads.into_iter().filter(|head| head.route_id == RouteId::from(endpoint.id)).collect();
    let lengths = api.store.backlog_lengths(heads.iter().map(|head| head.backlog).collect(), COUNTED).await?;
    Ok((lengths.into_iter().sum::<usize>().min(COUNTED), heads))
}

#[cfg(test)]
mod tests;
