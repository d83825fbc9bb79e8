//! Deletion of endpoints.

use axum::{Json, extract::State};
use hookstream_store::outbound::endpoints;

use super::{key, not_found};
use crate::{
    auth::{application_scope::ApplicationScope, audited_caller::AuditedCaller},
    http::{
        error::ApiError,
        params::{OfId, PathParams},
        shapes::Success,
    },
    state::Api,
};

/// Delete an endpoint
///
/// Its pending deliveries are cancelled.
#[utoipa::path(
    delete, path = "/applications/{appId}/endpoints/{id}", operation_id = "deleteEndpoint", tag = "Endpoints",
    params(("appId" = String, Path, description = "The application's id or `uid`."), ("id" = String, Path, description = "The endpoint's id or `uid`.")),
    responses((status = 200, description = "Deleted.", body = Success))
)]
pub(crate) async fn delete(
    State(api): State<Api>,
    scope: ApplicationScope,
    audited: AuditedCaller,
    PathParams(OfId { id: endpoint }): PathParams<OfId>,
) -> Result<Json<Success>, ApiError> {
    let key = key(&api, &scope, &endpoint).await?;
    let was_there = endpoints::delete(&*api.store, &audited.act(&api), key).await?;
    if was_there { Ok(Json(Success::new())) } else { Err(not_found()) }
}
