//! Nodes of the installation.

use axum::{Json, extract::State};
use hookstream_model::base::time::Timestamp;
use hookstream_store::delivery::cluster::Node as Stored;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{auth::caller::Caller, http::error::ApiError, state::Api};

/// Node: a process of this installation.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Node {
    /// Number of the node, greater with each start.
    #[schema(example = 7)]
    number: i64,
    /// Name, from the setting `node_name`.
    #[schema(example = "hooks-1")]
    name: String,
    /// `all`, `api` (accepts requests, delivers nothing) or `worker` (delivers).
    #[schema(example = "all")]
    role: String,
    /// Version of the program.
    #[schema(example = "0.1.0")]
    version: String,
    /// `alive`, or `lost` if its lease expired.
    #[schema(example = "alive")]
    state: &'static str,
    /// Time of the start.
    started_at: String,
    /// Time of the last heartbeat.
    renewed_at: String,
    /// Time at which the node's lease expires and others take over its deliveries; `null` for SQLite.
    lapses_at: Option<String>,
    /// Deliveries queued in its memory.
    queued: usize,
    /// Attempts that are in progress or not yet recorded.
    in_flight: usize,
    /// Delay of the oldest due delivery that no node has claimed, in milliseconds.
    lag_ms: u64,
}

impl Node {
    fn shown(node: Stored, now: Timestamp) -> Self {
        let is_lost = node.lapses_at.is_some_and(|lapses| lapses < now);
        Self {
            number: node.owner.number(),
            name: node.name,
            role: node.role,
            version: node.version,
            state: if is_lost { "lost" } else { "alive" },
            started_at: node.started_at.to_string(),
            renewed_at: node.renewed_at.to_string(),
            lapses_at: node.lapses_at.map(|at| at.to_string()),
            queued: node.report.queued,
            in_flight: node.report.in_flight,
            lag_ms: node.report.lag_ms,
        }
    }
}

/// Nodes of this installation.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NodeList {
    nodes: Vec<Node>,
}

/// List nodes
///
/// The processes that share the installation's database are listed, oldest first. A node that was killed is listed as lost for 15
/// minutes, unless a node of the same name is started before.
#[utoipa::path(get, path = "/nodes", operation_id = "listNodes", tag = "Nodes", responses((status = 200, description = "All nodes.", body = NodeList)))]
pub(crate) async fn list(State(api): State<Api>, _: Caller) -> Result<Json<NodeList>, ApiError> {
    let now = api.now();
    Ok(Json(NodeList { nodes: api.store.nodes().await?.into_iter().map(|node| Node::shown(node, now)).collect() }))
}
