//! Lanes: queues of endpoints and their share of the capacity.

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use hookstream_engine::LaneView;
use hookstream_model::{
    base::{
        ids::{ApplicationId, EndpointId, TargetId},
        time::Timestamp,
    },
    delivery::{
        hold::Circuit,
        queue::{Backlog, Shards},
    },
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{auth::caller::Caller, http::error::ApiError, state::Api};

/// Maximum number of lanes in a response: the longest.
const SHOWN: usize = 100;
/// Maximum number of backlogs read from the store, of all tenants.
const BACKLOGS: usize = 10_000;
/// Maximum count of the deliveries of a backlog.
const COUNTED: usize = 10_000;

/// Delivery queue of one endpoint.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Lane {
    endpoint_id: String,
    application_id: String,
    /// Deliveries queued in this node's memory.
    queued: usize,
    /// Deliveries queued in the store, because the memory's share is used up or the endpoint receives nothing at the moment. Counted up to
    /// 10,000.
    in_store: usize,
    /// Attempts of this node that are in progress or not yet recorded.
    in_flight: usize,
    /// Limit of concurrent attempts, which follows how well the endpoint responds; `null` if this node has none queued.
    at_once: Option<usize>,
    /// Due time of the oldest delivery in memory; `null` if there is none.
    oldest_due_at: Option<String>,
    /// Attempts per second that the endpoint answered recently; `null` if there were too few.
    per_second: Option<f64>,
    /// State of the circuit breaker: `closed`, `open` or `half_open`.
    #[schema(example = "closed")]
    circuit_state: &'static str,
    /// Time until which nothing is sent; `null` if deliveries are not held.
    held_until: Option<String>,
    /// Reason for the hold: `failing` (circuit breaker) or `retry_after` (the receiver sent `Retry-After`).
    hold_reason: Option<&'static str>,
    /// Estimated seconds until the queue is empty at that rate; `null` if it cannot be estimated.
    drained_in_s: Option<f64>,
}

/// Longest delivery queues.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LaneList {
    lanes: Vec<Lane>,
    /// Number of queues that are not listed.
    left_out: usize,
}

/// Data of a lane: in memory, and in the store.
#[derive(Default)]
struct Known {
    view: Option<LaneView>,
    application: Option<ApplicationId>,
    backlogs: Vec<Backlog>,
    in_store: usize,
}

/// List delivery queues
///
/// The queues of the environment's endpoints are listed, longest first. Counts in memory are those of the node that answers. Counts in the
/// store are those of all nodes.
#[utoipa::path(
    get, path = "/engine/lanes", operation_id = "listLanes", tag = "Nodes",
    responses((status = 200, description = "At most 100 queues.", body = LaneList))
)]
pub(crate) async fn list(State(api): State<Api>, caller: Caller) -> Result<Json<LaneList>, ApiError> {
    let mut lanes: BTreeMap<TargetId, Known> = BTreeMap::new();
    for view in api.engine.lanes(caller.tenant.environment) {
        let known = lanes.entry(view.target).or_default();
        known.application = Some(view.scope.into());
        known.view = Some(view);
    }
    for head in api.store.backlogs(Shards::ALL, None, BACKLOGS).await? {
        // A backlog has no tenant; its application has.
        let application = ApplicationId::from(head.origin_id);
        if api.engine.is_of(caller.tenant, application).await? {
            let known = lanes.entry(EndpointId::from(head.route_id).into()).or_default();
            known.application = Some(application);
            known.backlogs.push(head.backlog);
        }
    }
    count(&api, &mut lanes).await?;
    let mut lanes: Vec<_> = lanes.into_iter().collect();
    lanes.sort_by_key(|(_, known)| std::cmp::Reverse(known.in_store + known.view.as_ref().map_or(0, |view| view.queued + view.in_flight)));
    let left_out = lanes.len().saturating_sub(SHOWN);
    let now = api.now();
    let lanes = lanes.into_iter().take(SHOWN).map(|(target, known)| show(target, &known, now)).collect();
    Ok(Json(LaneList { lanes, left_out }))
}

async fn count(api: &Api, lanes: &mut BTreeMap<TargetId, Known>) -> Result<(), ApiError> {
    let backlogs: Vec<_> = lanes.values().flat_map(|known| known.backlogs.iter().copied()).collect();
    let mut lengths = api.store.backlog_lengths(backlogs, COUNTED).await?.into_iter();
    for known in lanes.values_mut() {
        known.in_store = lengths.by_ref().take(known.backlogs.len()).sum::<usize>().min(COUNTED);
    }
    Ok(())
}

fn show(target: TargetId, known: &Known, now: Timestamp) -> Lane {
    let view = known.view.as_ref();
    let (queued, in_flight) = view.map_or((0, 0), |view| (view.queued, view.in_flight));
    let hold = view.and_then(|view| view.hold);
    let per_second = view.and_then(|view| view.per_second);
    let left = queued + in_flight + known.in_store;
    let oldest = view.and_then(|view| view.oldest_due);
    let rounded = |number: f64| (number * 10.0).round() / 10.0;
    Lane {
        endpoint_id: EndpointId::from(target).to_string(),
        application_id: known.application.map(|id| id.to_string()).unwrap_or_default(),
        queued,
        in_store: known.in_store,
        in_flight,
        at_once: view.map(|view| view.at_once),
        oldest_due_at: oldest.map(|at| at.to_string()),
        per_second: per_second.map(rounded),
        circuit_state: Circuit::of(hold, now).as_str(),
        held_until: hold.map(|hold| hold.until.to_string()),
        hold_reason: hold.map(|hold| hold.reason.as_str()),
        drained_in_s: per_second.filter(|rate| *rate > 0.0 && hold.is_none()).map(|rate| rounded(left as f64 / rate)),
    }
}
