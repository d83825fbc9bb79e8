//! Whether the server lives and is ready.

use axum::{Json, extract::State};
use hookstream_store::organizations;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{error::ApiError, state::Api};

/// How the server is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// `ok`.
    #[schema(example = "ok")]
    status: &'static str,
    /// The program's version.
    #[schema(example = "0.1.0")]
    version: &'static str,
}

const OK: Health = Health { status: "ok", version: env!("CARGO_PKG_VERSION") };

/// Whether the server lives
///
/// Answers as soon as it serves, whatever the store does.
#[utoipa::path(get, path = "/health", operation_id = "getHealth", tag = "Health", security(()), responses((status = 200, description = "It lives.", body = Health)))]
pub(crate) async fn live() -> Json<Health> {
    Json(OK)
}

/// Whether the server is ready for requests
///
/// Asks the store. 503 if it does not answer (`database_unavailable`), or if its disk is full and messages are refused
/// (`storage_full`).
#[utoipa::path(get, path = "/health/ready", operation_id = "getReadiness", tag = "Health", security(()), responses((status = 200, description = "It is ready.", body = Health)))]
pub(crate) async fn ready(State(api): State<Api>) -> Result<Json<Health>, ApiError> {
    organizations::first(&*api.store).await?;
    if api.store.is_full() {
        return Err(ApiError::storage_full());
    }
    Ok(Json(OK))
}
