//! Reset of an endpoint's circuit breaker.

use axum::{Json, extract::State};
use hookstream_store::outbound::endpoints;

use super::{
    key, not_found,
    view::{Endpoint, EndpointAnswer},
};
use crate::{
    auth::{application_scope::ApplicationScope, audited_caller::AuditedCaller},
    http::{
        error::ApiError,
        params::{OfId, PathParams},
    },
    state::Api,
};

/// Reset an endpoint's circuit breaker
///
/// The circuit breaker closes, and a wait that the receiver requested with `Retry-After` ends. Pending deliveries are sent from now on, at
/// a rate that starts low.
#[utoipa::path(
    post, path = "/applications/{appId}/endpoints/{id}/reset-circuit", operation_id = "resetCircuit", tag = "Endpoints",
    params(("appId" = String, Path, description = "The application's id or `uid`."), ("id" = String, Path, description = "The endpoint's id or `uid`.")),
    responses((status = 200, description = "Endpoint, with its deliveries no longer held.", body = EndpointAnswer))
)]
pub(crate) async fn reset_circuit(
    State(api): State<Api>,
    scope: ApplicationScope,
    audited: AuditedCaller,
    PathParams(OfId { id: endpoint }): PathParams<OfId>,
) -> Result<Json<EndpointAnswer>, ApiError> {
    let key = key(&api, &scope, &endpoint).await?;
    let was_there = endpoints::reset_hold(&*api.store, &audited.act(&api), key).await?;
    if !was_there {
        return Err(not_found());
    }
    let (found, secret) = endpoints::find(&*api.store, key).await?.ok_or_else(not_found)?;
    Ok(Json(EndpointAnswer::new(Endpoint::shown(&scope, found, &secret, api.now()))))
}
