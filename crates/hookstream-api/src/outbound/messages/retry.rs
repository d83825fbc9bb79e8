//! Retrying one message.

use axum::{Json, extract::State};
use hookstream_engine::RetrySelection;
use hookstream_model::{
    base::ids::{MessageId, ResourceId},
    operations::audit_log::{Action, Change, fields::Fields},
};
use hookstream_store::operations::audit_log;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    auth::{application_scope::ApplicationScope, audited_caller::AuditedCaller},
    http::{
        body::RawBody,
        error::ApiError,
        params::{OfMessage, PathParams, QueryParams, id},
    },
    state::Api,
};

/// Result of a retry.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Retried {
    /// Whether the message is sent again. `false` if no active endpoint matches it.
    retried: bool,
}

/// Query of a retry.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct RetryQuery {
    /// Only this endpoint of the application, by its id or `uid`. The body takes the same field.
    endpoint_id: Option<String>,
    /// `failed`: only endpoints that the message has not reached. The body takes the same field.
    only: Option<String>,
}

/// Options of a retry. All fields are optional, and so is the body.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetryMessage {
    /// Only this endpoint of the application, by its id or `uid`. The default is all matching endpoints.
    endpoint_id: Option<String>,
    /// `failed`: only endpoints where the delivery failed, was skipped or cancelled, or waits for its next attempt after a failure.
    #[schema(example = "failed")]
    only: Option<String>,
}

/// Retry a message
///
/// The message is sent again at once to every matching active endpoint of the application, including those that it has reached.
/// `endpoint_id` and `only` restrict the endpoints. The `webhook-id` stays the same.
#[utoipa::path(
    post, path = "/applications/{appId}/messages/{msgId}/retry", operation_id = "retryMessage", tag = "Messages",
    params(("appId" = String, Path, description = "The application's id or `uid`."), ("msgId" = String, Path, description = "The message's id."), RetryQuery),
    request_body = Option<RetryMessage>,
    responses(
        (status = 200, description = "Result: whether the message is sent again.", body = Retried),
        (status = 410, description = "The payload has expired and was removed (`payload_expired`).", body = crate::http::error::ErrorBody)
    )
)]
pub(crate) async fn retry(
    State(api): State<Api>,
    scope: ApplicationScope,
    audited: AuditedCaller,
    PathParams(OfMessage { message }): PathParams<OfMessage>,
    QueryParams(query): QueryParams<RetryQuery>,
    body: RawBody,
) -> Result<Json<Retried>, ApiError> {
    let input: RetryMessage = body.parse_optional()?;
    let message: MessageId = id(&message, "Message")?;
    let endpoint_id = given_once("endpoint_id", query.endpoint_id, input.endpoint_id)?;
    let failed_only = match given_once("only", query.only, input.only)?.as_deref() {
        None => false,
        Some("failed") => true,
        Some(_) => return Err(ApiError::invalid("only", "must be `failed`. Leave it out to retry all matching endpoints")),
    };
    let routes = scope.routes(&api).await?;
    let application = routes.id();
    let endpoint = match &endpoint_id {
        None => None,
        Some(reference) => {
            let route = routes.endpoint_by_reference(reference).ok_or_else(|| ApiError::not_found("Endpoint"))?;
            Some(route.endpoint.id)
        }
    };
    let retried = api.engine.retry(scope.tenant, &application.to_string(), message, RetrySelection { endpoint, failed_only }).await?;
    if retried > 0 {
        let fields = Fields::default()
            .with("application_id", application.to_string())
            .with("endpoint_id", endpoint.map(|id| id.to_string()))
            .with("endpoints", retried);
        let resource = ResourceId::from_bytes(*message.as_bytes());
        let change = Change::done(&fields);
        audit_log::record(&*api.store, &audited.act(&api), scope.tenant, Action::MessageRetry, resource, &change).await?;
    }
    Ok(Json(Retried { retried: retried > 0 }))
}

/// Returns a value that may be given in the query or in the body.
fn given_once(field: &'static str, in_query: Option<String>, in_body: Option<String>) -> Result<Option<String>, ApiError> {
    match (in_query, in_body) {
        (Some(in_query), Some(in_body)) if in_query != in_body => {
            Err(ApiError::invalid(field, "has different values in the query and in the body. Send it once"))
        }
        (in_query, in_body) => Ok(in_query.or(in_body)),
    }
}
