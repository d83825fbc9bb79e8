//! Messages and what became of them.

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use hookstream_engine::{Accepted, ApplicationRoutes, Draft};
use hookstream_model::{
    attempt::Attempt as AttemptModel,
    audit_log::{Action, Change, fields::Fields},
    delivery::DeliveryState,
    hops::{self, Hops},
    ids::{EndpointId, MessageId, ResourceId},
    message::{Payload, check_event_type},
    scopes::{Resource, Scope},
    tenancy::Tenant,
    waterfall::{Timings, Waterfall as WaterfallModel},
};
use hookstream_store::{
    audit_log,
    messages::{Delivery as StoredDelivery, Message as Stored},
};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::ListQuery;
use crate::{
    acting::Acting,
    auth::Caller,
    body::RawBody,
    error::ApiError,
    idempotency, page,
    params::{OfMessage, PathParams, QueryParams, id},
    place::Place,
    state::Api,
};

/// Something that was accepted and is owed to every endpoint that wants it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Message {
    /// Also the `webhook-id` that receivers see.
    #[schema(example = "019dc1e2a3b47c5d8e9f001122334455")]
    id: String,
    org_id: String,
    env_id: String,
    application_id: String,
    #[schema(example = "invoice.paid")]
    event_type: String,
    /// The body that receivers get, byte for byte; `null` once it has expired.
    #[schema(example = "{\"invoice_id\":42}")]
    payload: Option<String>,
    /// Whether the payload's time is over and it was removed: then it is `null`, and the message cannot be sent again.
    payload_expired: bool,
    /// `pending`, `delivered`, `failed` or `skipped`.
    #[schema(example = "pending")]
    status: &'static str,
    /// The sender's own id for it.
    event_id: Option<String>,
    created_at: String,
    updated_at: String,
}

impl Message {
    fn from_stored(tenant: Tenant, message: Stored) -> Self {
        Self {
            id: message.id.to_string(),
            org_id: tenant.organization.to_string(),
            env_id: tenant.environment.to_string(),
            application_id: message.application_id.to_string(),
            payload_expired: message.payload.is_none(),
            payload: message.payload.map(|payload| payload.as_text().to_owned()),
            status: message.counts.status().as_str(),
            event_type: message.event_type,
            event_id: message.event_id,
            created_at: message.id.timestamp().to_string(),
            updated_at: message.updated_at.to_string(),
        }
    }

    pub(super) fn from_accepted(tenant: Tenant, accepted: Accepted) -> Self {
        let Accepted { id, application_id, event_type, payload, event_id, status, is_repeated: _ } = accepted;
        let created_at = id.timestamp().to_string();
        Self {
            id: id.to_string(),
            org_id: tenant.organization.to_string(),
            env_id: tenant.environment.to_string(),
            application_id: application_id.to_string(),
            payload_expired: payload.is_none(),
            payload: payload.map(|payload| payload.as_text().to_owned()),
            status: status.as_str(),
            event_type,
            event_id,
            updated_at: created_at.clone(),
            created_at,
        }
    }
}

/// How long each part of a try took, in milliseconds with microseconds behind the point; `null` for a
/// part that did not happen (a connection that was used again has no `dns_ms`, `connect_ms`, `tls_ms`),
/// and for the one in which the try broke off.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub(crate) struct Waterfall {
    /// From when it was due until it began.
    #[schema(example = 1.0)]
    queue_ms: f64,
    /// Resolving the host's name.
    #[schema(example = 2.518)]
    dns_ms: Option<f64>,
    /// Connecting.
    #[schema(example = 11.204)]
    connect_ms: Option<f64>,
    /// The TLS handshake.
    #[schema(example = 24.73)]
    tls_ms: Option<f64>,
    /// Sending the request.
    #[schema(example = 0.085)]
    write_ms: Option<f64>,
    /// Waiting for the answer's head.
    #[schema(example = 132.409)]
    first_byte_ms: Option<f64>,
    /// Reading the answer's body.
    #[schema(example = 0.031)]
    read_ms: Option<f64>,
}

impl From<WaterfallModel> for Waterfall {
    fn from(waterfall: WaterfallModel) -> Self {
        let WaterfallModel { queue, exchange } = waterfall;
        let Timings { dns, connect, tls, write, first_byte, read } = exchange;
        // A whole number divided once, so that what is printed has three digits behind the point at the most.
        let ms = |part: Duration| part.as_micros() as f64 / 1_000.0;
        Self {
            queue_ms: ms(queue),
            dns_ms: dns.map(ms),
            connect_ms: connect.map(ms),
            tls_ms: tls.map(ms),
            write_ms: write.map(ms),
            first_byte_ms: first_byte.map(ms),
            read_ms: read.map(ms),
        }
    }
}

/// One try of a delivery.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Attempt {
    id: String,
    org_id: String,
    env_id: String,
    message_id: String,
    endpoint_id: String,
    /// What was answered; `null` where nothing was.
    #[schema(example = 200)]
    response_status: Option<u16>,
    /// The first 16 KiB of what was answered.
    response_body: Option<String>,
    /// How long the whole exchange took.
    duration_ms: u64,
    /// How long each part of it took; `null` where that is not known.
    waterfall: Option<Waterfall>,
    /// `success` or `failed`.
    #[schema(example = "success")]
    status: &'static str,
    /// Why it failed: a word of a fixed vocabulary, a colon and a sentence.
    #[schema(example = "timeout: no answer within 20 s")]
    error: Option<String>,
    /// 1 for the first try.
    attempt_number: u32,
    /// `initial`, `automatic`, `manual`, `recover`, `replay` or `test`.
    #[schema(example = "initial")]
    trigger_type: &'static str,
    created_at: String,
    /// The endpoint's URL as it is now; `null` where the endpoint was deleted.
    endpoint_url: Option<String>,
}

/// Where one of a message's deliveries stands.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Delivery {
    endpoint_id: String,
    endpoint_url: Option<String>,
    /// `pending`, `succeeded`, `exhausted`, `skipped` or `cancelled`.
    #[schema(example = "pending")]
    status: &'static str,
    /// Why it ended without arriving, such as `endpoint_disabled`.
    reason: Option<&'static str>,
    /// How often it was tried.
    attempt_count: u32,
    /// When it is tried next, where it is pending.
    next_attempt_at: Option<String>,
    /// When it ended without arriving.
    ended_at: Option<String>,
}

/// A message that was accepted, wrapped.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MessageAnswer {
    pub(super) message: Message,
}

/// A message with all that happened to it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MessageDetail {
    message: Message,
    /// In the order they were made.
    attempts: Vec<Attempt>,
    /// One for each endpoint it was for.
    deliveries: Vec<Delivery>,
}

/// A page of messages.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MessageList {
    messages: Vec<Message>,
    /// For the next page; `null` on the last.
    cursor: Option<String>,
    has_more: bool,
}

/// Whether a message is sent again.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Retried {
    /// False where no endpoint is on and wants it.
    retried: bool,
}

/// A new message.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SendMessage<'a> {
    /// Words of letters, digits, `_` and `-`, joined by dots.
    #[schema(example = "invoice.paid")]
    event_type: String,
    /// What receivers get, byte for byte as it stands here; a string is sent as its text.
    #[serde(borrow)]
    #[schema(value_type = Value, example = json!({ "invoice_id": 42 }))]
    payload: &'a RawValue,
    /// Your own id for it: a second message with the same one is refused with 409.
    event_id: Option<String>,
    /// The caller's own organization; defaults to it.
    org_id: Option<String>,
    /// The caller's own environment; defaults to it.
    env_id: Option<String>,
}

/// Which messages to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct MessageQuery {
    /// Only messages of this type.
    event_type: Option<String>,
}

/// Send a message
///
/// When this answers 201, the message is stored durably and its deliveries to every active endpoint
/// that wants its type are scheduled.
#[utoipa::path(
    post, path = "/applications/{appId}/messages", operation_id = "sendMessage", tag = "Messages",
    params(("appId" = String, Path, description = "The application's id or `uid`.")),
    request_body = SendMessage,
    responses(
        (status = 201, description = "It is accepted.", body = MessageAnswer),
        (status = 409, description = "There is a message with this `event_id`.", body = crate::error::ErrorBody),
        (status = 508, description = "So many deliveries led to it, one after the other, that an endpoint must lead back here.", body = crate::error::ErrorBody),
        (status = 429, description = "The environment's payloads that are still owed take more than its budget (`storage_budget_reached`).", body = crate::error::ErrorBody),
        (status = 422, description = "The payload breaks the JSON Schema of its event type; `details.violations` names path and rule.", body = crate::error::ErrorBody)
    )
)]
pub(crate) async fn send(
    State(api): State<Api>,
    caller: Caller,
    PathParams(app): PathParams<String>,
    headers: HeaderMap,
    body: RawBody,
) -> Result<Response, ApiError> {
    let input: SendMessage<'_> = body.parse()?;
    let caller = caller.within(&api, input.org_id.as_deref(), input.env_id.as_deref(), Scope::write(Resource::Messages)).await?;
    let draft = Draft {
        payload: Payload::from_json(Some(input.payload))?,
        event_type: input.event_type,
        event_id: input.event_id,
        idempotency: idempotency::key(&headers, &app, &body.0)?,
        hops: hops(&headers)?,
        is_event: true,
    };
    let accepted = api.engine.send(caller.tenant, &app, draft).await?;
    Ok(accepted_answer(caller.tenant, accepted))
}

/// The answer to a message that was accepted, now or by an earlier request.
pub(super) fn accepted_answer(tenant: Tenant, accepted: Accepted) -> Response {
    let is_repeated = accepted.is_repeated;
    let answer = (StatusCode::CREATED, Json(MessageAnswer { message: Message::from_accepted(tenant, accepted) })).into_response();
    if is_repeated { idempotency::replayed(answer) } else { answer }
}

/// How many deliveries led to a request; none to one that is no delivery.
fn hops(headers: &HeaderMap) -> Result<Hops, ApiError> {
    let Some(value) = headers.get(hops::HEADER) else { return Ok(Hops::default()) };
    Ok(Hops::parse(value.to_str().unwrap_or_default())?)
}

/// List messages
#[utoipa::path(
    get, path = "/applications/{appId}/messages", operation_id = "listMessages", tag = "Messages",
    params(("appId" = String, Path, description = "The application's id or `uid`."), ListQuery, MessageQuery),
    responses((status = 200, description = "A page, newest first.", body = MessageList))
)]
pub(crate) async fn list(
    State(api): State<Api>,
    place: Place,
    QueryParams(query): QueryParams<ListQuery>,
    QueryParams(MessageQuery { event_type }): QueryParams<MessageQuery>,
) -> Result<Json<MessageList>, ApiError> {
    place.check_tenant(query.org_id.as_deref(), query.env_id.as_deref())?;
    let request = page::request(query.limit.as_deref(), query.cursor.as_deref(), MessageId::from_bytes)?;
    if let Some(event_type) = &event_type {
        check_event_type(event_type)?;
    }
    let application = place.resolve(&api).await?;
    let page = api.store.messages(place.tenant, application, event_type, request).await?;
    let cursor = page::cursor(&page, |message| *message.id.as_bytes());
    let has_more = page.has_more;
    let messages = page.items.into_iter().map(|message| Message::from_stored(place.tenant, message)).collect();
    Ok(Json(MessageList { messages, cursor, has_more }))
}

/// Get a message with its attempts
#[utoipa::path(
    get, path = "/applications/{appId}/messages/{msgId}", operation_id = "getMessage", tag = "Messages",
    params(("appId" = String, Path, description = "The application's id or `uid`."), ("msgId" = String, Path, description = "The message's id.")),
    responses((status = 200, description = "It, its attempts and its deliveries.", body = MessageDetail))
)]
pub(crate) async fn get(
    State(api): State<Api>,
    place: Place,
    PathParams(OfMessage { message }): PathParams<OfMessage>,
) -> Result<Json<MessageDetail>, ApiError> {
    let routes = place.routes(&api).await?;
    let message = id(&message, "Message")?;
    let found = api.store.message(place.tenant, routes.application.id, message).await?.ok_or_else(|| ApiError::not_found("Message"))?;
    Ok(Json(MessageDetail {
        attempts: found.attempts.into_iter().map(|attempt| show_attempt(place.tenant, &routes, attempt)).collect(),
        deliveries: found.deliveries.into_iter().map(|delivery| show_delivery(&routes, &delivery)).collect(),
        message: Message::from_stored(place.tenant, found.message),
    }))
}

/// To which endpoints a message is sent again.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct RetryQuery {
    /// Only to this endpoint of the application; the default is every one.
    endpoint_id: Option<String>,
}

/// Send a message again
///
/// At once, to every endpoint of the application that is active and wants its type, or to one of them, whether or not
/// it arrived there before. The `webhook-id` stays the same.
#[utoipa::path(
    post, path = "/applications/{appId}/messages/{msgId}/retry", operation_id = "retryMessage", tag = "Messages",
    params(("appId" = String, Path, description = "The application's id or `uid`."), ("msgId" = String, Path, description = "The message's id."), RetryQuery),
    responses(
        (status = 200, description = "Whether there was somebody to send it to.", body = Retried),
        (status = 410, description = "Its payload has expired (`payload_expired`): there is nothing to send again.", body = crate::error::ErrorBody)
    )
)]
pub(crate) async fn retry(
    State(api): State<Api>,
    place: Place,
    acting: Acting,
    PathParams(OfMessage { message }): PathParams<OfMessage>,
    QueryParams(RetryQuery { endpoint_id }): QueryParams<RetryQuery>,
) -> Result<Json<Retried>, ApiError> {
    let message: MessageId = id(&message, "Message")?;
    let only: Option<EndpointId> = endpoint_id.as_deref().map(|text| id(text, "Endpoint")).transpose()?;
    let retried = api.engine.retry(place.tenant, &place.application, message, only).await?;
    if retried > 0 {
        let application = place.resolve(&api).await.ok();
        let told = Fields::default()
            .with("application_id", application.map(|id| id.to_string()))
            .with("endpoint_id", only.map(|id| id.to_string()))
            .with("endpoints", retried);
        let resource = ResourceId::from_bytes(*message.as_bytes());
        let change = Change::done(&told);
        audit_log::record(&*api.store, &acting.act(&api), place.tenant, Action::MessageRetry, resource, &change).await?;
    }
    Ok(Json(Retried { retried: retried > 0 }))
}

fn endpoint_url(routes: &ApplicationRoutes, endpoint: EndpointId) -> Option<String> {
    routes.endpoint(endpoint).map(|route| route.endpoint.url.as_str().to_owned())
}

pub(super) fn show_attempt(tenant: Tenant, routes: &ApplicationRoutes, attempt: AttemptModel) -> Attempt {
    let endpoint = EndpointId::from(attempt.target_id);
    Attempt {
        id: attempt.id.to_string(),
        org_id: tenant.organization.to_string(),
        env_id: tenant.environment.to_string(),
        message_id: attempt.message_id.to_string(),
        endpoint_id: endpoint.to_string(),
        response_status: attempt.response_status,
        response_body: attempt.response_body,
        duration_ms: u64::try_from(attempt.duration.as_millis()).unwrap_or(u64::MAX),
        waterfall: attempt.waterfall.map(Waterfall::from),
        status: if attempt.succeeded { "success" } else { "failed" },
        error: attempt.error,
        attempt_number: attempt.number,
        trigger_type: attempt.trigger.as_str(),
        created_at: attempt.created_at.to_string(),
        endpoint_url: endpoint_url(routes, endpoint),
    }
}

fn show_delivery(routes: &ApplicationRoutes, delivery: &StoredDelivery) -> Delivery {
    let endpoint = EndpointId::from(delivery.target_id);
    Delivery {
        endpoint_id: endpoint.to_string(),
        endpoint_url: endpoint_url(routes, endpoint),
        status: delivery.state.as_str(),
        reason: delivery.state.reason(),
        attempt_count: delivery.attempts,
        next_attempt_at: match delivery.state {
            DeliveryState::Pending { due_at } => Some(due_at.to_string()),
            DeliveryState::Succeeded
            | DeliveryState::Exhausted { .. }
            | DeliveryState::Skipped { .. }
            | DeliveryState::Cancelled { .. } => None,
        },
        ended_at: delivery.ended_at.map(|at| at.to_string()),
    }
}
