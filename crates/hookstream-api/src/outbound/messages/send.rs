//! Sending messages.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use hookstream_engine::{Accepted, Draft};
use hookstream_model::{
    identity::{
        scopes::{Resource, Scope},
        tenancy::Tenant,
    },
    outbound::{
        hops::{self, Hops},
        message::Payload,
    },
};
use hookstream_store::delivery::deliveries::IdempotencyKey;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::view::Message;
use crate::{
    auth::caller::Caller,
    http::{
        body::{OrText, RawBody, json_value},
        error::ApiError,
        idempotency,
        params::PathParams,
    },
    request_trace::RequestTrace,
    state::Api,
};

/// Answer with an accepted message.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MessageAnswer {
    pub(crate) message: Message,
}

/// New message.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SendMessage<'a> {
    /// Event type: words of letters, digits, `_` and `-`, joined by dots; at most 128 characters.
    #[schema(example = "invoice.paid")]
    event_type: String,
    /// Payload: any JSON value. Receivers get it byte for byte; a string is sent as its text.
    #[serde(borrow)]
    #[schema(value_type = Value)]
    payload: &'a RawValue,
    /// Your own id of the message, unique in the application: 1 to 256 characters. A second message with the same id is refused with 409.
    #[schema(example = "invoice-42-paid")]
    event_id: Option<String>,
    /// Channels, at most 20. An endpoint that has channels receives the message only if it shares one of them. A message without channels
    /// goes only to endpoints without channels.
    #[serde(borrow)]
    #[schema(value_type = Option<OrText<Vec<String>>>, inline)]
    channels: Option<&'a RawValue>,
    /// Id of the organization. The default is the caller's organization.
    org_id: Option<String>,
    /// Id of the environment. The default is the caller's environment.
    env_id: Option<String>,
}

/// Send a message
///
/// After the answer 201 the message is stored durably, and its delivery to every matching active endpoint is scheduled.
#[utoipa::path(
    post, path = "/applications/{appId}/messages", operation_id = "sendMessage", tag = "Messages",
    params(("appId" = String, Path, description = "The application's id or `uid`.")),
    request_body = SendMessage,
    responses(
        (status = 201, description = "Accepted.", body = MessageAnswer),
        (status = 409, description = "Another message has this `event_id` (`duplicate_event_id`).", body = crate::http::error::ErrorBody),
        (status = 508, description = "Delivery loop: an endpoint sends its deliveries back to this installation (`loop_detected`).", body = crate::http::error::ErrorBody),
        (status = 429, description = "Payloads of pending deliveries exceed the environment's storage budget (`storage_budget_reached`), the organization's monthly quota is used up (`quota_reached`), or requests are too frequent (`rate_limited`).", body = crate::http::error::ErrorBody),
        (status = 422, description = "The payload does not match the JSON Schema of its event type (`details.violations` names path and rule), or the `Idempotency-Key` was used for another request.", body = crate::http::error::ErrorBody)
    )
)]
pub(crate) async fn send(
    State(api): State<Api>,
    caller: Caller,
    PathParams(app): PathParams<String>,
    RequestTrace(trace): RequestTrace,
    headers: HeaderMap,
    body: RawBody,
) -> Result<Response, ApiError> {
    let input: SendMessage<'_> = body.parse()?;
    let caller = caller.within(&api, input.org_id.as_deref(), input.env_id.as_deref(), Scope::write(Resource::Messages)).await?;
    let draft = Draft {
        payload: Payload::from_json(Some(input.payload))?,
        event_type: input.event_type,
        event_id: input.event_id,
        channels: input.channels.map(|raw| json_value("channels", raw, "an array of channels")).transpose()?.unwrap_or_default(),
        idempotency: key_of_message(&api, &caller, &app, &headers, &body).await?,
        hops: hops(&headers)?,
        trace,
        is_event: true,
    };
    let accepted = api.engine.send(caller.tenant, &app, draft).await?;
    Ok(accepted_answer(caller.tenant, accepted))
}

/// Returns the response to a message that was accepted by this or an earlier request.
pub(crate) fn accepted_answer(tenant: Tenant, accepted: Accepted) -> Response {
    let is_repeated = accepted.is_repeated;
    let answer = (StatusCode::CREATED, Json(MessageAnswer { message: Message::from_accepted(tenant, accepted) })).into_response();
    if is_repeated { idempotency::replayed(answer) } else { answer }
}

/// Returns the idempotency key of a request to send, the same whether the application is named by id or `uid`.
async fn key_of_message(
    api: &Api,
    caller: &Caller,
    app: &str,
    headers: &HeaderMap,
    body: &RawBody,
) -> Result<Option<IdempotencyKey>, ApiError> {
    if !headers.contains_key("idempotency-key") {
        return Ok(None);
    }
    let routes = api.engine.applications().resolve(caller.tenant, app).await?;
    let application = routes.map_or_else(|| app.to_owned(), |routes| routes.id().to_string());
    idempotency::key(headers, &application, &body.0)
}

/// Returns the number of chained deliveries that led to a request; 0 if the request is not a delivery.
fn hops(headers: &HeaderMap) -> Result<Hops, ApiError> {
    let Some(value) = headers.get(hops::HEADER) else { return Ok(Hops::default()) };
    Ok(Hops::parse(value.to_str().unwrap_or_default())?)
}
