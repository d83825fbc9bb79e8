//! Exchange of an attempt: the request that was sent, and the response.

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use hookstream_engine::ApplicationRoutes;
use hookstream_model::{
    base::{
        ids::{AttemptId, EndpointId},
        secret::HIDDEN,
    },
    delivery::attempt::Attempt as AttemptModel,
    outbound::endpoint::Endpoint,
};
use hookstream_store::delivery::messages::{Message, MessageDetail};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::messages::{
    read::find_anywhere,
    view::{Attempt, show_attempt},
};
use crate::{
    auth::{application_scope::ApplicationScope, caller::Caller},
    http::{
        error::ApiError,
        params::{PathParams, id},
    },
    state::Api,
};

/// Attempt with its request and response.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExchangeAnswer {
    attempt: Attempt,
    /// Request, rendered from the message and the endpoint's current settings. `null` if the endpoint was deleted or collects batches.
    request: Option<SentRequest>,
    /// Response; `null` if there was none.
    response: Option<ReceivedResponse>,
}

/// Request of an attempt.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SentRequest {
    /// Method: `POST`, or `basic.publish` of AMQP.
    #[schema(example = "POST")]
    method: &'static str,
    /// Address, without credentials.
    #[schema(example = "https://example.com/webhooks")]
    url: String,
    /// Headers by name, without those of the connection (`host`, `content-length`). Values of the endpoint's own headers are `***`.
    headers: BTreeMap<String, String>,
    /// Body, as the sender wrote it; `null` if the payload has expired.
    body: Option<String>,
    /// Time of the endpoint's last change, if it was changed after the attempt: URL, header names and signing secret may have been others
    /// then. `null` otherwise.
    endpoint_changed_at: Option<String>,
}

/// Response of an attempt.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReceivedResponse {
    /// Status code; `null` if the protocol has none.
    #[schema(example = 503)]
    status: Option<u16>,
    /// Headers in their order: at most 64 names and 8 KiB. Cookies are hidden.
    headers: Vec<ResponseHeader>,
    /// First 16 KiB of the body.
    body: Option<String>,
}

/// Header of a response.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ResponseHeader {
    /// Name, in lower case.
    #[schema(example = "retry-after")]
    name: String,
    /// Value; bytes that are not text are replaced.
    #[schema(example = "120")]
    value: String,
}

/// Attempt of a path.
#[derive(Deserialize)]
pub(crate) struct OfAttempt {
    #[serde(rename = "msgId")]
    message: String,
    id: String,
}

/// Get an attempt
///
/// The answer contains the request and the response. The request is not stored: it is rendered from the stored message and the endpoint's
/// settings.
#[utoipa::path(
    get, path = "/applications/{appId}/messages/{msgId}/attempts/{id}", operation_id = "getAttempt", tag = "Messages",
    params(
        ("appId" = String, Path, description = "The application's id or `uid`."),
        ("msgId" = String, Path, description = "The message's id."),
        ("id" = String, Path, description = "The attempt's id.")
    ),
    responses((status = 200, description = "Attempt, with its request and response.", body = ExchangeAnswer))
)]
pub(crate) async fn get(
    State(api): State<Api>,
    scope: ApplicationScope,
    PathParams(OfAttempt { message, id: attempt }): PathParams<OfAttempt>,
) -> Result<Json<ExchangeAnswer>, ApiError> {
    let routes = scope.routes(&api).await?;
    let message = id(&message, "Message")?;
    let found = api.store.message(scope.tenant, routes.id().into(), message).await?.ok_or_else(|| ApiError::not_found("Message"))?;
    exchange(&routes, found, &attempt).map(Json)
}

/// Get an attempt by the id of its message
///
/// The application need not be known. The answer is that of getting an attempt of an application.
#[utoipa::path(
    get, path = "/messages/{msgId}/attempts/{id}", operation_id = "getAttemptByMessage", tag = "Messages",
    params(("msgId" = String, Path, description = "The message's id."), ("id" = String, Path, description = "The attempt's id.")),
    responses((status = 200, description = "Attempt, with its request and response.", body = ExchangeAnswer))
)]
pub(crate) async fn get_by_message(
    State(api): State<Api>,
    caller: Caller,
    PathParams(OfAttempt { message, id: attempt }): PathParams<OfAttempt>,
) -> Result<Json<ExchangeAnswer>, ApiError> {
    let (routes, found) = find_anywhere(&api, caller.tenant, &message).await?;
    exchange(&routes, found, &attempt).map(Json)
}

fn exchange(routes: &ApplicationRoutes, found: MessageDetail, attempt: &str) -> Result<ExchangeAnswer, ApiError> {
    let attempt: AttemptId = id(attempt, "Attempt")?;
    let MessageDetail { message, attempts, .. } = found;
    let attempt = attempts.into_iter().find(|known| known.id == attempt).ok_or_else(|| ApiError::not_found("Attempt"))?;
    let (request, response) = (request(routes, &message, &attempt), response(&attempt));
    Ok(ExchangeAnswer { request, response, attempt: show_attempt(routes.application().tenant, routes, attempt) })
}

fn request(routes: &ApplicationRoutes, message: &Message, attempt: &AttemptModel) -> Option<SentRequest> {
    let rendered = routes.rendered(message, attempt)?;
    let endpoint = routes.endpoint(EndpointId::from(attempt.route_id))?.endpoint;
    let hidden = |(name, value): (String, String)| if is_own(endpoint, &name) { (name, HIDDEN.to_owned()) } else { (name, value) };
    Some(SentRequest {
        method: rendered.method,
        url: rendered.url,
        headers: rendered.headers.into_iter().map(hidden).collect(),
        body: message.payload.as_ref().map(|payload| payload.as_text().to_owned()),
        endpoint_changed_at: (endpoint.updated_at > attempt.created_at).then(|| endpoint.updated_at.to_string()),
    })
}

/// Returns true if a header is one of the endpoint's own.
fn is_own(endpoint: &Endpoint, name: &str) -> bool {
    endpoint.headers.iter().flat_map(BTreeMap::keys).any(|own| own.eq_ignore_ascii_case(name))
}

fn response(attempt: &AttemptModel) -> Option<ReceivedResponse> {
    let headers = attempt.response_headers.as_deref();
    if attempt.response_status.is_none() && attempt.response_body.is_none() && headers.is_none() {
        return None;
    }
    let header = |line: &str| {
        let (name, value) = line.split_once(": ").unwrap_or((line, ""));
        ResponseHeader { name: name.to_owned(), value: value.to_owned() }
    };
    Some(ReceivedResponse {
        status: attempt.response_status,
        headers: headers.unwrap_or_default().lines().map(header).collect(),
        body: attempt.response_body.clone(),
    })
}

#[cfg(test)]
mod tests;
