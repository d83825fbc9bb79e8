//! Lists and single endpoints.

use axum::{Json, extract::State};
use hookstream_model::base::ids::EndpointId;
use hookstream_store::outbound::endpoints;

use super::{
    key, not_found,
    view::{Endpoint, EndpointAnswer, EndpointList},
};
use crate::{
    auth::application_scope::ApplicationScope,
    http::{
        error::ApiError,
        page,
        params::{OfId, PathParams, QueryParams},
        shapes::ListQuery,
    },
    state::Api,
};

/// List endpoints
#[utoipa::path(
    get, path = "/applications/{appId}/endpoints", operation_id = "listEndpoints", tag = "Endpoints",
    params(("appId" = String, Path, description = "The application's id or `uid`."), ListQuery),
    responses((status = 200, description = "Page of endpoints, newest first.", body = EndpointList))
)]
pub(crate) async fn list(
    State(api): State<Api>,
    scope: ApplicationScope,
    QueryParams(query): QueryParams<ListQuery>,
) -> Result<Json<EndpointList>, ApiError> {
    scope.check_tenant(query.org_id.as_deref(), query.env_id.as_deref())?;
    let request = page::request(query.limit.as_deref(), query.cursor.as_deref(), EndpointId::from_bytes)?;
    if scope.is_unused(&api).await? {
        return Ok(Json(EndpointList { endpoints: Vec::new(), cursor: None, has_more: false }));
    }
    let application = scope.resolve(&api).await?;
    let page = endpoints::list(&*api.store, scope.tenant, application, request).await?;
    let cursor = page::cursor(&page, |(endpoint, _)| *endpoint.id.as_bytes());
    let (has_more, now) = (page.has_more, api.now());
    let endpoints = page.items.into_iter().map(|(endpoint, secret)| Endpoint::shown(&scope, endpoint, &secret, now)).collect();
    Ok(Json(EndpointList { endpoints, cursor, has_more }))
}

/// Get an endpoint
#[utoipa::path(
    get, path = "/applications/{appId}/endpoints/{id}", operation_id = "getEndpoint", tag = "Endpoints",
    params(("appId" = String, Path, description = "The application's id or `uid`."), ("id" = String, Path, description = "The endpoint's id or `uid`.")),
    responses((status = 200, description = "Endpoint, without its secret.", body = EndpointAnswer))
)]
pub(crate) async fn get(
    State(api): State<Api>,
    scope: ApplicationScope,
    PathParams(OfId { id: endpoint }): PathParams<OfId>,
) -> Result<Json<EndpointAnswer>, ApiError> {
    let key = key(&api, &scope, &endpoint).await?;
    let (found, secret) = endpoints::find(&*api.store, key).await?.ok_or_else(not_found)?;
    Ok(Json(EndpointAnswer::new(Endpoint::shown(&scope, found, &secret, api.now()))))
}
