//! What a customer may do in the portal of their application: the operations of whoever runs the product, with an
//! application that stands in the token and nowhere else. What they do is done by those; here stands only which there are.

use axum::{Json, extract::State, response::Response};
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    ListQuery, Success,
    attempts::{self, AttemptList, AttemptQuery},
    endpoints::{
        self, CreateEndpoint, EndpointAnswer, EndpointList, RevealedSecrets, RotateQuery, RotateSecret, RotatedSecret, TestEndpoint,
        UpdateEndpoint,
    },
    event_types::{self, EventTypeList},
    jobs::{self, DryRunQuery, JobAnswer, NoNewJob, Recover},
    messages::{self, MessageAnswer, MessageDetail, MessageList, MessageQuery, Retried, RetryMessage, RetryQuery},
};
use crate::{
    acting::Acting,
    body::RawBody,
    error::ApiError,
    params::{OfId, OfMessage, PathParams, QueryParams},
    place::PortalPlace,
    several::SeveralParams,
    state::Api,
};

/// The application of a portal.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PortalApplication {
    pub(super) id: String,
    #[schema(example = "Acme Inc.")]
    pub(super) name: String,
}

/// The application of a portal, wrapped.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PortalApplicationAnswer {
    application: PortalApplication,
}

/// The query of a customer's list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PortalListQuery {
    /// How many rows at the most: 1 to 100.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100, default = 50)]
    limit: Option<String>,
    /// The `cursor` of the page before.
    cursor: Option<String>,
}

impl From<PortalListQuery> for ListQuery {
    fn from(PortalListQuery { limit, cursor }: PortalListQuery) -> Self {
        Self { limit, cursor, org_id: None, env_id: None }
    }
}

/// See whose portal it is
#[utoipa::path(
    get, path = "/portal/application", operation_id = "getPortalApplication", tag = "Portal", security(("portal" = [])),
    responses((status = 200, description = "The application that the token is for.", body = PortalApplicationAnswer))
)]
pub(crate) async fn application(
    State(api): State<Api>,
    PortalPlace(place): PortalPlace,
) -> Result<Json<PortalApplicationAnswer>, ApiError> {
    let routes = place.routes(&api).await?;
    let application = &routes.application;
    Ok(Json(PortalApplicationAnswer { application: PortalApplication { id: application.id.to_string(), name: application.name.clone() } }))
}

/// List endpoints in the portal
///
/// Of an endpoint's own `headers` the names are shown; the values are `***`.
#[utoipa::path(
    get, path = "/portal/endpoints", operation_id = "listPortalEndpoints", tag = "Portal", security(("portal" = [])),
    params(PortalListQuery),
    responses((status = 200, description = "A page, newest first.", body = EndpointList))
)]
pub(crate) async fn list_endpoints(
    api: State<Api>,
    PortalPlace(place): PortalPlace,
    QueryParams(query): QueryParams<PortalListQuery>,
) -> Result<Json<EndpointList>, ApiError> {
    endpoints::list(api, place, QueryParams(query.into())).await
}

/// Create an endpoint in the portal
///
/// The answer carries the secret to verify deliveries with, once. A customer says `url`, `description`, `filter_types`,
/// `headers`, `signing_algorithm` and `signing_secret`; how fast, for how long, in which order and how bundled is sent is
/// the sender's to say, and refused with 400 here.
#[utoipa::path(
    post, path = "/portal/endpoints", operation_id = "createPortalEndpoint", tag = "Portal", security(("portal" = [])),
    request_body = CreateEndpoint,
    responses(
        (status = 201, description = "It is made.", body = EndpointAnswer),
        (status = 403, description = "The application has as many endpoints as it may (`quota_reached`).", body = crate::error::ErrorBody)
    )
)]
pub(crate) async fn create_endpoint(
    api: State<Api>,
    PortalPlace(place): PortalPlace,
    acting: Acting,
    headers: HeaderMap,
    body: RawBody,
) -> Result<Response, ApiError> {
    endpoints::create(api, place, acting, headers, body).await
}

/// Get an endpoint in the portal
#[utoipa::path(
    get, path = "/portal/endpoints/{id}", operation_id = "getPortalEndpoint", tag = "Portal", security(("portal" = [])),
    params(("id" = String, Path, description = "The endpoint's id or `uid`.")),
    responses((status = 200, description = "It, without its secret.", body = EndpointAnswer))
)]
pub(crate) async fn get_endpoint(
    api: State<Api>,
    PortalPlace(place): PortalPlace,
    path: PathParams<OfId>,
) -> Result<Json<EndpointAnswer>, ApiError> {
    endpoints::get(api, place, path).await
}

/// Change an endpoint in the portal
///
/// A customer says `url`, `description`, `filter_types`, `headers` (all of them anew) and `status`.
#[utoipa::path(
    patch, path = "/portal/endpoints/{id}", operation_id = "updatePortalEndpoint", tag = "Portal", security(("portal" = [])),
    params(("id" = String, Path, description = "The endpoint's id or `uid`.")),
    request_body = UpdateEndpoint,
    responses((status = 200, description = "What it has become.", body = EndpointAnswer))
)]
pub(crate) async fn update_endpoint(
    api: State<Api>,
    PortalPlace(place): PortalPlace,
    acting: Acting,
    path: PathParams<OfId>,
    body: RawBody,
) -> Result<Json<EndpointAnswer>, ApiError> {
    endpoints::update(api, place, acting, path, body).await
}

/// Delete an endpoint in the portal
///
/// What is still owed to it is cancelled.
#[utoipa::path(
    delete, path = "/portal/endpoints/{id}", operation_id = "deletePortalEndpoint", tag = "Portal", security(("portal" = [])),
    params(("id" = String, Path, description = "The endpoint's id or `uid`.")),
    responses((status = 200, description = "It is gone.", body = Success))
)]
pub(crate) async fn delete_endpoint(
    api: State<Api>,
    PortalPlace(place): PortalPlace,
    acting: Acting,
    path: PathParams<OfId>,
) -> Result<Json<Success>, ApiError> {
    endpoints::delete(api, place, acting, path).await
}

/// Rotate an endpoint's signing secret in the portal
///
/// Each rotated secret signs beside the new one until its own grace period ends, at most ten of them at once.
#[utoipa::path(
    post, path = "/portal/endpoints/{id}/rotate-secret", operation_id = "rotatePortalSecret", tag = "Portal", security(("portal" = [])),
    params(("id" = String, Path, description = "The endpoint's id or `uid`."), RotateQuery),
    request_body = Option<RotateSecret>,
    responses(
        (status = 200, description = "The new secret.", body = RotatedSecret),
        (status = 409, description = "As many rotated secrets sign as may at once (`too_many_secrets`).", body = crate::error::ErrorBody)
    )
)]
pub(crate) async fn rotate_secret(
    api: State<Api>,
    PortalPlace(place): PortalPlace,
    acting: Acting,
    path: PathParams<OfId>,
    query: QueryParams<RotateQuery>,
    headers: HeaderMap,
    body: RawBody,
) -> Result<Response, ApiError> {
    endpoints::rotate_secret(api, place, acting, path, query, headers, body).await
}

/// Reveal an endpoint's signing secret in the portal
///
/// Each call is recorded in the audit log.
#[utoipa::path(
    get, path = "/portal/endpoints/{id}/secret", operation_id = "revealPortalSecret", tag = "Portal", security(("portal" = [])),
    params(("id" = String, Path, description = "The endpoint's id or `uid`.")),
    responses(
        (status = 200, description = "The current secret, and rotated ones that still sign.", body = RevealedSecrets),
        (status = 403, description = "Secrets are not shown in this portal (`reveal_disabled`).", body = crate::error::ErrorBody)
    )
)]
pub(crate) async fn reveal_secret(
    api: State<Api>,
    PortalPlace(place): PortalPlace,
    acting: Acting,
    path: PathParams<OfId>,
) -> Result<Response, ApiError> {
    endpoints::reveal_secret(api, place, acting, path).await
}

/// Send a test message from the portal
///
/// Only to this endpoint, whatever its filter, and with one try.
#[utoipa::path(
    post, path = "/portal/endpoints/{id}/test", operation_id = "testPortalEndpoint", tag = "Portal", security(("portal" = [])),
    params(("id" = String, Path, description = "The endpoint's id or `uid`.")),
    request_body = Option<TestEndpoint>,
    responses(
        (status = 201, description = "The message; get it to see its attempt.", body = MessageAnswer),
        (status = 429, description = "Too many requests, or the sender's organization may send no more in this month (`quota_reached`).", body = crate::error::ErrorBody)
    )
)]
pub(crate) async fn test_endpoint(
    api: State<Api>,
    PortalPlace(place): PortalPlace,
    acting: Acting,
    path: PathParams<OfId>,
    headers: HeaderMap,
    body: RawBody,
) -> Result<Response, ApiError> {
    endpoints::test(api, place, acting, path, headers, body).await
}

/// Send again what an endpoint missed, from the portal
///
/// Starts a job that makes deliveries owed which were given up or skipped, in the order of their messages.
#[utoipa::path(
    post, path = "/portal/endpoints/{id}/recover", operation_id = "recoverPortalEndpoint", tag = "Portal", security(("portal" = [])),
    params(("id" = String, Path, description = "The endpoint's id or `uid`."), DryRunQuery),
    request_body = Recover,
    responses(
        (status = 201, description = "The job; get it to see how far it is.", body = JobAnswer),
        (status = 200, description = "The job that the same request has made before, or with `dry_run` what a job would do.", body = NoNewJob),
        (status = 409, description = "Too many jobs run.", body = crate::error::ErrorBody)
    )
)]
pub(crate) async fn recover(
    api: State<Api>,
    PortalPlace(place): PortalPlace,
    acting: Acting,
    path: PathParams<OfId>,
    query: QueryParams<DryRunQuery>,
    headers: HeaderMap,
    body: RawBody,
) -> Result<Response, ApiError> {
    jobs::recover(api, place, acting, path, query, headers, body).await
}

/// Get a job in the portal
#[utoipa::path(
    get, path = "/portal/jobs/{id}", operation_id = "getPortalJob", tag = "Portal", security(("portal" = [])),
    params(("id" = String, Path, description = "The job's id.")),
    responses((status = 200, description = "It, and how far it is.", body = JobAnswer))
)]
pub(crate) async fn get_job(
    State(api): State<Api>,
    PortalPlace(place): PortalPlace,
    PathParams(OfId { id }): PathParams<OfId>,
) -> Result<Json<JobAnswer>, ApiError> {
    jobs::get_of(&api, &place, &id).await
}

/// List event types in the portal
///
/// What messages can be about, to choose `filter_types` from.
#[utoipa::path(
    get, path = "/portal/event-types", operation_id = "listPortalEventTypes", tag = "Portal", security(("portal" = [])),
    params(PortalListQuery),
    responses((status = 200, description = "A page, newest first.", body = EventTypeList))
)]
pub(crate) async fn list_event_types(
    State(api): State<Api>,
    PortalPlace(place): PortalPlace,
    QueryParams(query): QueryParams<PortalListQuery>,
) -> Result<Json<EventTypeList>, ApiError> {
    event_types::list_of(&api, place.tenant, &query.into()).await
}

/// List messages in the portal
#[utoipa::path(
    get, path = "/portal/messages", operation_id = "listPortalMessages", tag = "Portal", security(("portal" = [])),
    params(MessageQuery),
    responses((status = 200, description = "A page, newest first.", body = MessageList))
)]
pub(crate) async fn list_messages(
    api: State<Api>,
    PortalPlace(place): PortalPlace,
    query: SeveralParams<MessageQuery>,
) -> Result<Json<MessageList>, ApiError> {
    messages::list(api, place, query).await
}

/// List attempts of an endpoint in the portal
#[utoipa::path(
    get, path = "/portal/endpoints/{id}/attempts", operation_id = "listPortalAttempts", tag = "Portal", security(("portal" = [])),
    params(("id" = String, Path, description = "The endpoint's id or `uid`."), AttemptQuery),
    responses((status = 200, description = "A page, newest first.", body = AttemptList))
)]
pub(crate) async fn list_attempts(
    api: State<Api>,
    PortalPlace(place): PortalPlace,
    path: PathParams<OfId>,
    query: SeveralParams<AttemptQuery>,
) -> Result<Json<AttemptList>, ApiError> {
    attempts::list(api, place, path, query).await
}

/// Get a message with its attempts in the portal
#[utoipa::path(
    get, path = "/portal/messages/{msgId}", operation_id = "getPortalMessage", tag = "Portal", security(("portal" = [])),
    params(("msgId" = String, Path, description = "The message's id.")),
    responses((status = 200, description = "It, its attempts and its deliveries.", body = MessageDetail))
)]
pub(crate) async fn get_message(
    api: State<Api>,
    PortalPlace(place): PortalPlace,
    path: PathParams<OfMessage>,
) -> Result<Json<MessageDetail>, ApiError> {
    messages::get(api, place, path).await
}

/// Send a message again from the portal
///
/// At once, to every endpoint of the application that is active and wants its type, or to one of them.
#[utoipa::path(
    post, path = "/portal/messages/{msgId}/retry", operation_id = "retryPortalMessage", tag = "Portal", security(("portal" = [])),
    params(("msgId" = String, Path, description = "The message's id."), RetryQuery),
    request_body = Option<RetryMessage>,
    responses(
        (status = 200, description = "Whether there was an endpoint to send it to.", body = Retried),
        (status = 410, description = "Its payload has expired (`payload_expired`): there is nothing to send again.", body = crate::error::ErrorBody)
    )
)]
pub(crate) async fn retry_message(
    api: State<Api>,
    PortalPlace(place): PortalPlace,
    acting: Acting,
    path: PathParams<OfMessage>,
    query: QueryParams<RetryQuery>,
    body: RawBody,
) -> Result<Json<Retried>, ApiError> {
    messages::retry(api, place, acting, path, query, body).await
}
