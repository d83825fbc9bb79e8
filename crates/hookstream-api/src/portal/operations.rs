//! Operations of customers in the portal. Each calls the sender's operation with the application of the portal token.

use axum::{Json, extract::State, response::Response};
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    auth::{application_scope::CustomerScope, audited_caller::AuditedCaller},
    http::{
        body::RawBody,
        error::ApiError,
        params::{OfId, OfMessage, PathParams, QueryParams},
        several::SeveralParams,
        shapes::{ListQuery, Success},
    },
    operations::jobs::{self, DryRunQuery, JobAnswer, NoNewJob, Recover},
    outbound::{
        attempts::{self, AttemptList, AttemptQuery},
        endpoints::{
            create::{self, CreateEndpoint},
            delete, read,
            secrets::{self, RevealedSecrets, RotateQuery, RotateSecret, RotatedSecret},
            test::{self, TestEndpoint},
            update::{self, UpdateEndpoint},
            view::{EndpointAnswer, EndpointList},
        },
        event_types::{self, EventTypeList},
        messages::{self, MessageAnswer, MessageDetail, MessageList, MessageQuery, Retried, RetryMessage, RetryQuery},
    },
    state::Api,
};

/// Application of a portal.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PortalApplication {
    pub(crate) id: String,
    #[schema(example = "Acme Inc.")]
    pub(crate) name: String,
}

/// Answer with the application of a portal.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PortalApplicationAnswer {
    application: PortalApplication,
}

/// Query of a list in the portal.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PortalListQuery {
    /// Rows per page, at most: 1 to 100.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100, default = 50)]
    limit: Option<String>,
    /// Cursor: the `cursor` of the previous page.
    cursor: Option<String>,
}

impl From<PortalListQuery> for ListQuery {
    fn from(PortalListQuery { limit, cursor }: PortalListQuery) -> Self {
        Self { limit, cursor, org_id: None, env_id: None }
    }
}

/// Get the application in the portal
#[utoipa::path(
    get, path = "/portal/application", operation_id = "getPortalApplication", tag = "Portal", security(("portal" = [])),
    responses((status = 200, description = "Application of the portal token.", body = PortalApplicationAnswer))
)]
pub(crate) async fn application(
    State(api): State<Api>,
    CustomerScope(scope): CustomerScope,
) -> Result<Json<PortalApplicationAnswer>, ApiError> {
    let routes = scope.routes(&api).await?;
    let application = &routes.application;
    Ok(Json(PortalApplicationAnswer { application: PortalApplication { id: application.id.to_string(), name: application.name.clone() } }))
}

/// List endpoints in the portal
///
/// The values of custom `headers` are shown as `***`.
#[utoipa::path(
    get, path = "/portal/endpoints", operation_id = "listPortalEndpoints", tag = "Portal", security(("portal" = [])),
    params(PortalListQuery),
    responses((status = 200, description = "A page, newest first.", body = EndpointList))
)]
pub(crate) async fn list_endpoints(
    api: State<Api>,
    CustomerScope(scope): CustomerScope,
    QueryParams(query): QueryParams<PortalListQuery>,
) -> Result<Json<EndpointList>, ApiError> {
    read::list(api, scope, QueryParams(query.into())).await
}

/// Create an endpoint in the portal
///
/// The answer contains the signing secret. A customer can set `url`, `description`, `filter_types`, `headers`, `signing_algorithm` and
/// `signing_secret`. The sender sets all other fields.
#[utoipa::path(
    post, path = "/portal/endpoints", operation_id = "createPortalEndpoint", tag = "Portal", security(("portal" = [])),
    request_body = CreateEndpoint,
    responses(
        (status = 201, description = "Created.", body = EndpointAnswer),
        (status = 403, description = "The application's quota of endpoints is used up (`quota_reached`).", body = crate::http::error::ErrorBody)
    )
)]
pub(crate) async fn create_endpoint(
    api: State<Api>,
    CustomerScope(scope): CustomerScope,
    audited: AuditedCaller,
    headers: HeaderMap,
    body: RawBody,
) -> Result<Response, ApiError> {
    create::create(api, scope, audited, headers, body).await
}

/// Get an endpoint in the portal
#[utoipa::path(
    get, path = "/portal/endpoints/{id}", operation_id = "getPortalEndpoint", tag = "Portal", security(("portal" = [])),
    params(("id" = String, Path, description = "The endpoint's id or `uid`.")),
    responses((status = 200, description = "Endpoint, without its secret.", body = EndpointAnswer))
)]
pub(crate) async fn get_endpoint(
    api: State<Api>,
    CustomerScope(scope): CustomerScope,
    path: PathParams<OfId>,
) -> Result<Json<EndpointAnswer>, ApiError> {
    read::get(api, scope, path).await
}

/// Update an endpoint in the portal
///
/// A customer can set `url`, `description`, `filter_types`, `headers` (which replace all current headers) and `status`. The sender sets all
/// other fields.
#[utoipa::path(
    patch, path = "/portal/endpoints/{id}", operation_id = "updatePortalEndpoint", tag = "Portal", security(("portal" = [])),
    params(("id" = String, Path, description = "The endpoint's id or `uid`.")),
    request_body = UpdateEndpoint,
    responses((status = 200, description = "Updated endpoint.", body = EndpointAnswer))
)]
pub(crate) async fn update_endpoint(
    api: State<Api>,
    CustomerScope(scope): CustomerScope,
    audited: AuditedCaller,
    path: PathParams<OfId>,
    body: RawBody,
) -> Result<Json<EndpointAnswer>, ApiError> {
    update::update(api, scope, audited, path, body).await
}

/// Delete an endpoint in the portal
///
/// Its pending deliveries are cancelled.
#[utoipa::path(
    delete, path = "/portal/endpoints/{id}", operation_id = "deletePortalEndpoint", tag = "Portal", security(("portal" = [])),
    params(("id" = String, Path, description = "The endpoint's id or `uid`.")),
    responses((status = 200, description = "Deleted.", body = Success))
)]
pub(crate) async fn delete_endpoint(
    api: State<Api>,
    CustomerScope(scope): CustomerScope,
    audited: AuditedCaller,
    path: PathParams<OfId>,
) -> Result<Json<Success>, ApiError> {
    delete::delete(api, scope, audited, path).await
}

/// Rotate an endpoint's signing secret in the portal
///
/// Each rotated secret continues to sign, besides the new one, until its own grace period ends. At most ten rotated secrets sign at
/// once.
#[utoipa::path(
    post, path = "/portal/endpoints/{id}/rotate-secret", operation_id = "rotatePortalSecret", tag = "Portal", security(("portal" = [])),
    params(("id" = String, Path, description = "The endpoint's id or `uid`."), RotateQuery),
    request_body = Option<RotateSecret>,
    responses(
        (status = 200, description = "New secret.", body = RotatedSecret),
        (status = 409, description = "Ten rotated secrets still sign (`too_many_secrets`).", body = crate::http::error::ErrorBody)
    )
)]
pub(crate) async fn rotate_secret(
    api: State<Api>,
    CustomerScope(scope): CustomerScope,
    audited: AuditedCaller,
    path: PathParams<OfId>,
    query: QueryParams<RotateQuery>,
    headers: HeaderMap,
    body: RawBody,
) -> Result<Response, ApiError> {
    secrets::rotate_secret(api, scope, audited, path, query, headers, body).await
}

/// Reveal an endpoint's signing secret in the portal
///
/// The audit log records each call.
#[utoipa::path(
    get, path = "/portal/endpoints/{id}/secret", operation_id = "revealPortalSecret", tag = "Portal", security(("portal" = [])),
    params(("id" = String, Path, description = "The endpoint's id or `uid`.")),
    responses(
        (status = 200, description = "Current secret, and rotated secrets that still sign.", body = RevealedSecrets),
        (status = 403, description = "The portal does not reveal secrets (`reveal_disabled`).", body = crate::http::error::ErrorBody)
    )
)]
pub(crate) async fn reveal_secret(
    api: State<Api>,
    CustomerScope(scope): CustomerScope,
    audited: AuditedCaller,
    path: PathParams<OfId>,
) -> Result<Response, ApiError> {
    secrets::reveal_secret(api, scope, audited, path).await
}

/// Send a test message in the portal
///
/// The message goes to this endpoint only, whatever its `filter_types` and `channels`. It is attempted once. Type and payload are fixed.
#[utoipa::path(
    post, path = "/portal/endpoints/{id}/test", operation_id = "testPortalEndpoint", tag = "Portal", security(("portal" = [])),
    params(("id" = String, Path, description = "The endpoint's id or `uid`.")),
    request_body = Option<TestEndpoint>,
    responses(
        (status = 201, description = "Test message. Get it to see its attempt.", body = MessageAnswer),
        (status = 429, description = "Too many requests (`rate_limited`), or the sender's monthly quota is used up (`quota_reached`).", body = crate::http::error::ErrorBody)
    )
)]
pub(crate) async fn test_endpoint(
    api: State<Api>,
    CustomerScope(scope): CustomerScope,
    audited: AuditedCaller,
    path: PathParams<OfId>,
    headers: HeaderMap,
    body: RawBody,
) -> Result<Response, ApiError> {
    test::test(api, scope, audited, path, headers, body).await
}

/// Recover an endpoint in the portal
///
/// A job requeues deliveries that failed or were skipped, in the order of their messages.
#[utoipa::path(
    post, path = "/portal/endpoints/{id}/recover", operation_id = "recoverPortalEndpoint", tag = "Portal", security(("portal" = [])),
    params(("id" = String, Path, description = "The endpoint's id or `uid`."), DryRunQuery),
    request_body = Recover,
    responses(
        (status = 201, description = "Job. Get it to see its progress.", body = JobAnswer),
        (status = 200, description = "Job that an earlier identical request has created, or with `dry_run` the forecast of a job.", body = NoNewJob),
        (status = 409, description = "Too many jobs are running (`too_many_jobs`).", body = crate::http::error::ErrorBody)
    )
)]
pub(crate) async fn recover(
    api: State<Api>,
    CustomerScope(scope): CustomerScope,
    audited: AuditedCaller,
    path: PathParams<OfId>,
    query: QueryParams<DryRunQuery>,
    headers: HeaderMap,
    body: RawBody,
) -> Result<Response, ApiError> {
    jobs::recover(api, scope, audited, path, query, headers, body).await
}

/// Get a job in the portal
#[utoipa::path(
    get, path = "/portal/jobs/{id}", operation_id = "getPortalJob", tag = "Portal", security(("portal" = [])),
    params(("id" = String, Path, description = "The job's id.")),
    responses((status = 200, description = "Job, with its progress.", body = JobAnswer))
)]
pub(crate) async fn get_job(
    State(api): State<Api>,
    CustomerScope(scope): CustomerScope,
    PathParams(OfId { id }): PathParams<OfId>,
) -> Result<Json<JobAnswer>, ApiError> {
    jobs::get_of(&api, &scope, &id).await
}

/// List event types in the portal
///
/// The catalog lists the event types that `filter_types` can name.
#[utoipa::path(
    get, path = "/portal/event-types", operation_id = "listPortalEventTypes", tag = "Portal", security(("portal" = [])),
    params(PortalListQuery),
    responses((status = 200, description = "A page, newest first.", body = EventTypeList))
)]
pub(crate) async fn list_event_types(
    State(api): State<Api>,
    CustomerScope(scope): CustomerScope,
    QueryParams(query): QueryParams<PortalListQuery>,
) -> Result<Json<EventTypeList>, ApiError> {
    event_types::list_of(&api, scope.tenant, &query.into()).await
}

/// List messages in the portal
#[utoipa::path(
    get, path = "/portal/messages", operation_id = "listPortalMessages", tag = "Portal", security(("portal" = [])),
    params(MessageQuery),
    responses((status = 200, description = "A page, newest first.", body = MessageList))
)]
pub(crate) async fn list_messages(
    api: State<Api>,
    CustomerScope(scope): CustomerScope,
    query: SeveralParams<MessageQuery>,
) -> Result<Json<MessageList>, ApiError> {
    messages::list(api, scope, query).await
}

/// List attempts of an endpoint in the portal
#[utoipa::path(
    get, path = "/portal/endpoints/{id}/attempts", operation_id = "listPortalAttempts", tag = "Portal", security(("portal" = [])),
    params(("id" = String, Path, description = "The endpoint's id or `uid`."), AttemptQuery),
    responses((status = 200, description = "A page, newest first.", body = AttemptList))
)]
pub(crate) async fn list_attempts(
    api: State<Api>,
    CustomerScope(scope): CustomerScope,
    path: PathParams<OfId>,
    query: SeveralParams<AttemptQuery>,
) -> Result<Json<AttemptList>, ApiError> {
    attempts::list(api, scope, path, query).await
}

/// Get a message in the portal
#[utoipa::path(
    get, path = "/portal/messages/{msgId}", operation_id = "getPortalMessage", tag = "Portal", security(("portal" = [])),
    params(("msgId" = String, Path, description = "The message's id.")),
    responses((status = 200, description = "Message, its attempts and its deliveries.", body = MessageDetail))
)]
pub(crate) async fn get_message(
    api: State<Api>,
    CustomerScope(scope): CustomerScope,
    path: PathParams<OfMessage>,
) -> Result<Json<MessageDetail>, ApiError> {
    messages::get(api, scope, path).await
}

/// Retry a message in the portal
///
/// The message is sent again at once to every matching active endpoint of the application. `endpoint_id` and `only` restrict the endpoints.
#[utoipa::path(
    post, path = "/portal/messages/{msgId}/retry", operation_id = "retryPortalMessage", tag = "Portal", security(("portal" = [])),
    params(("msgId" = String, Path, description = "The message's id."), RetryQuery),
    request_body = Option<RetryMessage>,
    responses(
        (status = 200, description = "Result: whether the message is sent again.", body = Retried),
        (status = 410, description = "The payload has expired and was removed (`payload_expired`).", body = crate::http::error::ErrorBody)
    )
)]
pub(crate) async fn retry_message(
    api: State<Api>,
    CustomerScope(scope): CustomerScope,
    audited: AuditedCaller,
    path: PathParams<OfMessage>,
    query: QueryParams<RetryQuery>,
    body: RawBody,
) -> Result<Json<Retried>, ApiError> {
    messages::retry(api, scope, audited, path, query, body).await
}
