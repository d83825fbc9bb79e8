//! The nodes that work together.

use axum::{Json, extract::State};
use hookstream_store::nodes::Node as Stored;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{auth::Caller, error::ApiError, state::Api};

/// A process of this installation.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Node {
    /// Grows with each start; what a node has claimed stands under its number.
    #[schema(example = 7)]
    number: i64,
    #[schema(example = "hooks-1")]
    name: String,
    /// `all`, `api` (accepts, delivers nothing) or `worker` (delivers).
    #[schema(example = "all")]
    role: String,
    /// The program's version.
    #[schema(example = "0.1.0")]
    version: String,
    started_at: String,
    /// When it last said that it lives.
    renewed_at: String,
    /// When others take over what it has, unless it says so again; `null` for the embedded store.
    lapses_at: Option<String>,
    /// Deliveries in its memory that wait for their turn.
    queued: usize,
    /// Its tries under way or not yet recorded.
    in_flight: usize,
    /// For how long the oldest delivery waits that it knows to be due and nobody's, in milliseconds.
    lag_ms: u64,
}

impl From<Stored> for Node {
    fn from(node: Stored) -> Self {
        Self {
            number: node.owner.number(),
            name: node.name,
            role: node.role,
            version: node.version,
            started_at: node.started_at.to_string(),
            renewed_at: node.renewed_at.to_string(),
            lapses_at: node.lapses_at.map(|at| at.to_string()),
            queued: node.report.queued,
            in_flight: node.report.in_flight,
            lag_ms: node.report.lag_ms,
        }
    }
}

/// The nodes there are.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NodeList {
    nodes: Vec<Node>,
}

/// List the nodes
///
/// The processes that share this installation's database, oldest first. One that was ended hard is
/// listed until its lease has lapsed.
#[utoipa::path(get, path = "/nodes", operation_id = "listNodes", tag = "Nodes", responses((status = 200, description = "All of them.", body = NodeList)))]
pub(crate) async fn list(State(api): State<Api>, _: Caller) -> Result<Json<NodeList>, ApiError> {
    Ok(Json(NodeList { nodes: api.store.nodes().await?.into_iter().map(Node::from).collect() }))
}
