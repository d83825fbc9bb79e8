//! Single messages with their attempts and deliveries.

use axum::{Json, extract::State};
use hookstream_engine::ApplicationRoutes;
use hookstream_model::identity::tenancy::Tenant;
use hookstream_store::delivery::messages::MessageDetail as StoredDetail;
use serde::Serialize;
use utoipa::ToSchema;

use super::view::{Attempt, Delivery, Message, show_attempt, show_delivery};
use crate::{
    auth::{application_scope::ApplicationScope, caller::Caller},
    http::{
        error::ApiError,
        params::{OfMessage, PathParams, id},
    },
    state::Api,
};

/// Message with its attempts and deliveries.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MessageDetail {
    message: Message,
    /// Attempts, oldest first.
    attempts: Vec<Attempt>,
    /// Deliveries, one for each matched endpoint.
    deliveries: Vec<Delivery>,
}

/// Get a message
#[utoipa::path(
    get, path = "/applications/{appId}/messages/{msgId}", operation_id = "getMessage", tag = "Messages",
    params(("appId" = String, Path, description = "The application's id or `uid`."), ("msgId" = String, Path, description = "The message's id.")),
    responses((status = 200, description = "Message, its attempts and its deliveries.", body = MessageDetail))
)]
pub(crate) async fn get(
    State(api): State<Api>,
    scope: ApplicationScope,
    PathParams(OfMessage { message }): PathParams<OfMessage>,
) -> Result<Json<MessageDetail>, ApiError> {
    let routes = scope.routes(&api).await?;
    let message = id(&message, "Message")?;
    let found = api.store.message(scope.tenant, routes.id().into(), message).await?.ok_or_else(|| ApiError::not_found("Message"))?;
    Ok(Json(show_detail(scope.tenant, &routes, found)))
}

/// Get a message by its id
///
/// The application need not be known. The answer is that of getting a message of an application.
#[utoipa::path(
    get, path = "/messages/{msgId}", operation_id = "getMessageById", tag = "Messages",
    params(("msgId" = String, Path, description = "The message's id.")),
    responses((status = 200, description = "Message, its attempts and its deliveries.", body = MessageDetail))
)]
pub(crate) async fn get_by_id(
    State(api): State<Api>,
    caller: Caller,
    PathParams(OfMessage { message }): PathParams<OfMessage>,
) -> Result<Json<MessageDetail>, ApiError> {
    let (routes, found) = find_anywhere(&api, caller.tenant, &message).await?;
    Ok(Json(show_detail(caller.tenant, &routes, found)))
}

/// Returns a message of any application of a tenant.
pub(crate) async fn find_anywhere(api: &Api, tenant: Tenant, message: &str) -> Result<(ApplicationRoutes, StoredDetail), ApiError> {
    let not_found = || ApiError::not_found("Message");
    let message = id(message, "Message")?;
    let origin = api.store.origin_of(tenant, message).await?.ok_or_else(not_found)?;
    let routes = api.engine.applications().resolve_now(tenant, &origin.to_string()).await?.ok_or_else(not_found)?;
    let found = api.store.message(tenant, origin, message).await?.ok_or_else(not_found)?;
    Ok((routes, found))
}

fn show_detail(tenant: Tenant, routes: &ApplicationRoutes, found: StoredDetail) -> MessageDetail {
    MessageDetail {
        attempts: found.attempts.into_iter().map(|attempt| show_attempt(tenant, routes, attempt)).collect(),
        deliveries: found.deliveries.into_iter().map(|delivery| show_delivery(routes, &delivery)).collect(),
        message: Message::from_stored(tenant, found.message),
    }
}
