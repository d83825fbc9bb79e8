//! Health probes: liveness and readiness.

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{http::error::ApiError, state::Api};

/// State of the server.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// Always `ok`.
    #[schema(example = "ok")]
    status: &'static str,
    /// Version of the program.
    #[schema(example = "0.1.0")]
    version: &'static str,
}

const OK: Health = Health { status: "ok", version: env!("CARGO_PKG_VERSION") };

/// Check liveness
///
/// The answer is 200 as soon as the server accepts requests. The database is not asked.
#[utoipa::path(get, path = "/health", operation_id = "getHealth", tag = "Health", security(()), responses((status = 200, description = "Alive.", body = Health)))]
pub(crate) async fn live() -> Json<Health> {
    Json(OK)
}

/// Check readiness
///
/// The answer is 503 if the database does not answer within two seconds (`database_unavailable`), if the disk is full and messages are
/// refused (`storage_full`), or if the server is about to stop (`draining`). The database is asked once a second at most.
#[utoipa::path(get, path = "/health/ready", operation_id = "getReadiness", tag = "Health", security(()), responses((status = 200, description = "Ready.", body = Health)))]
pub(crate) async fn ready(State(api): State<Api>) -> Result<Json<Health>, ApiError> {
    api.check_ready().await?;
    Ok(Json(OK))
}
