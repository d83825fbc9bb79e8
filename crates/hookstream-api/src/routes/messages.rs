//! Messages and what became of them.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use hookstream_engine::{Accepted, Again, ApplicationRoutes, Draft};
use hookstream_model::{
    attempt::Attempt as AttemptModel,
    audit_log::{Action, Change, fields::Fields},
    delivery::DeliveryState,
    hops::{self, Hops},
    ids::{EndpointId, MessageId, ResourceId, TargetId},
    message::{MessageStatus, Payload, check_event_type},
    scopes::{Resource, Scope},
    tenancy::Tenant,
    time::{InvalidTime, Timestamp},
    waterfall::{Timings, Waterfall as WaterfallModel},
};
use hookstream_store::{
    audit_log,
    deliveries::IdempotencyKey,
    finding::{Direction, IdBytes, MessageFilter, MessageSearch, Range},
    messages::{Delivery as StoredDelivery, Message as Stored, MessageDetail as StoredDetail},
};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use crate::{
    acting::Acting,
    auth::Caller,
    body::{OrText, RawBody, json_value},
    error::ApiError,
    idempotency, page,
    params::{OfMessage, PathParams, QueryParams, id},
    place::Place,
    several::{self, SeveralParams},
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
    /// JSON text of its channels; `null` where it has none.
    channels: Option<String>,
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
            channels: channels_text(&message.channels),
            created_at: message.id.timestamp().to_string(),
            updated_at: message.updated_at.to_string(),
        }
    }

    pub(super) fn from_accepted(tenant: Tenant, accepted: Accepted) -> Self {
        let Accepted { id, application_id, event_type, payload, event_id, channels, status, is_repeated: _ } = accepted;
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
            channels: channels_text(&channels),
            updated_at: created_at.clone(),
            created_at,
        }
    }
}

fn channels_text(channels: &[String]) -> Option<String> {
    (!channels.is_empty()).then(|| serde_json::to_string(channels).expect("texts are JSON"))
}

/// How long each phase of an attempt took, in milliseconds with three decimals; `null` for a phase that did not happen (a
/// reused connection has no `dns_ms`, `connect_ms`, `tls_ms`), and for the phase that did not come to its end.
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
    /// Where the next page begins in the same direction; `null` on the last.
    cursor: Option<String>,
    /// Where the page of newer messages begins, with `direction=prev`.
    prev_cursor: Option<String>,
    /// Whether there may be more. A page may be short, or empty, and more follow.
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
    /// Its channels, at most 20: endpoints with channels get it only where they share one. Without channels it goes only
    /// to endpoints without channels.
    #[serde(borrow)]
    #[schema(value_type = Option<OrText<Vec<String>>>, inline, example = json!(["project_42"]))]
    channels: Option<&'a RawValue>,
    /// The caller's own organization; defaults to it.
    org_id: Option<String>,
    /// The caller's own environment; defaults to it.
    env_id: Option<String>,
}

/// Which messages to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct MessageQuery {
    /// How many rows at the most: 1 to 100.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100, default = 50)]
    limit: Option<String>,
    /// The `cursor` or `prev_cursor` of another page.
    cursor: Option<String>,
    /// `next` (the default): to older messages; `prev`: to newer ones. A page is newest first either way.
    direction: Option<String>,
    /// Only messages that stand so: `pending`, `delivered`, `failed`, `skipped`; several are separated by commas, or the parameter is
    /// repeated.
    status: Option<String>,
    /// Only messages of these types; several are separated by commas, or the parameter is repeated.
    event_type: Option<String>,
    /// Only messages with a delivery to this endpoint.
    endpoint_id: Option<String>,
    /// Only messages with this `event_id`.
    event_id: Option<String>,
    /// Only messages with this channel.
    channel: Option<String>,
    /// Only messages accepted then or later: ISO 8601 with an offset.
    since: Option<String>,
    /// Only messages accepted before then.
    until: Option<String>,
    /// Only messages whose id or `event_id` contains this, upper and lower case alike.
    search: Option<String>,
    /// The caller's own organization; another's is not found.
    pub(super) org_id: Option<String>,
    /// The caller's own environment; another's is not found.
    pub(super) env_id: Option<String>,
}

/// The longest `search`, in characters.
const SEARCH_MAX: usize = 256;

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
        channels: input.channels.map(|raw| json_value("channels", raw, "an array of channels")).transpose()?.unwrap_or_default(),
        idempotency: key_of_message(&api, &caller, &app, &headers, &body).await?,
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

/// The key of a request to send, which is the same whether the application is named by its id or its `uid`.
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
    let routes = api.engine.routes().resolve(caller.tenant, app).await?;
    let application = routes.map_or_else(|| app.to_owned(), |routes| routes.application.id.to_string());
    idempotency::key(headers, &application, &body.0)
}

/// How many deliveries led to a request; none to one that is no delivery.
fn hops(headers: &HeaderMap) -> Result<Hops, ApiError> {
    let Some(value) = headers.get(hops::HEADER) else { return Ok(Hops::default()) };
    Ok(Hops::parse(value.to_str().unwrap_or_default())?)
}

/// List messages of an application
///
/// Each page looks at a bounded number of messages: with a filter it may be short, or empty, while `has_more` is true.
#[utoipa::path(
    get, path = "/applications/{appId}/messages", operation_id = "listMessages", tag = "Messages",
    params(("appId" = String, Path, description = "The application's id or `uid`."), MessageQuery),
    responses((status = 200, description = "A page, newest first.", body = MessageList))
)]
pub(crate) async fn list(
    State(api): State<Api>,
    place: Place,
    SeveralParams(query): SeveralParams<MessageQuery>,
) -> Result<Json<MessageList>, ApiError> {
    place.check_tenant(query.org_id.as_deref(), query.env_id.as_deref())?;
    let routes = place.routes(&api).await?;
    find(&api, place.tenant, Some(&routes), &query).await
}

/// List messages of an environment
///
/// As for an application, over all applications.
#[utoipa::path(
    get, path = "/messages", operation_id = "listAllMessages", tag = "Messages",
    params(MessageQuery),
    responses((status = 200, description = "A page, newest first.", body = MessageList))
)]
pub(crate) async fn list_all(
    State(api): State<Api>,
    caller: Caller,
    SeveralParams(query): SeveralParams<MessageQuery>,
) -> Result<Json<MessageList>, ApiError> {
    caller.check_tenant(query.org_id.as_deref(), query.env_id.as_deref())?;
    find(&api, caller.tenant, None, &query).await
}

async fn find(api: &Api, tenant: Tenant, routes: Option<&ApplicationRoutes>, query: &MessageQuery) -> Result<Json<MessageList>, ApiError> {
    let limit = page::limit(query.limit.as_deref())?;
    let direction = page::direction(query.direction.as_deref())?;
    let place = page::place::<1>(query.cursor.as_deref())?.map(|[place]| place);
    let filter = MessageFilter {
        statuses: several::list(query.status.as_deref()).map(MessageStatus::parse).collect::<Result<_, _>>()?,
        event_types: event_types(query.event_type.as_deref())?,
        target: query.endpoint_id.as_deref().map(|reference| endpoint_of(routes, reference)).transpose()?.map(TargetId::from),
        event_id: query.event_id.clone(),
        channel: query.channel.clone(),
        search: query.search.as_ref().filter(|search| !search.is_empty()).map(|search| search.to_lowercase()),
    };
    if filter.search.as_ref().is_some_and(|search| search.chars().count() > SEARCH_MAX) {
        return Err(ApiError::invalid("search", &format!("must have at most {SEARCH_MAX} characters")));
    }
    let range = Range {
        tenant,
        application: routes.map(|routes| routes.application.id),
        lowest: bound("since", query.since.as_deref())?.unwrap_or([0; 16]),
        below: bound("until", query.until.as_deref())?.unwrap_or([0xff; 16]),
        direction,
    };
    let found = api.store.find_messages(MessageSearch { range: continued(range, place), filter, limit }).await?;
    let prev_cursor = found.items.first().map(|message| page::cursor_at([page::above(*message.id.as_bytes())]));
    Ok(Json(MessageList {
        has_more: found.next.is_some(),
        cursor: found.next.map(|place| page::cursor_at([place])),
        prev_cursor: prev_cursor.or_else(|| query.cursor.clone()),
        messages: found.items.into_iter().map(|message| Message::from_stored(tenant, message)).collect(),
    }))
}

/// The part of a range behind a cursor: what is older than its place, or newer.
pub(super) fn continued(range: Range, place: Option<IdBytes>) -> Range {
    match (place, range.direction) {
        (None, _) => range,
        (Some(place), Direction::Older) => Range { below: place.min(range.below), ..range },
        (Some(place), Direction::Newer) => Range { lowest: place.max(range.lowest), ..range },
    }
}

/// The lowest id of what was accepted at a time or later.
pub(super) fn bound(field: &'static str, text: Option<&str>) -> Result<Option<IdBytes>, ApiError> {
    let at = text.map(|text| time(field, text)).transpose()?;
    Ok(at.map(|at| *MessageId::before_all_at(at).as_bytes()))
}

pub(super) fn time(field: &'static str, text: &str) -> Result<Timestamp, ApiError> {
    text.parse().map_err(|error: InvalidTime| ApiError::invalid(field, &error.to_string()))
}

pub(super) fn event_types(text: Option<&str>) -> Result<Vec<String>, ApiError> {
    several::list(text)
        .map(|name| {
            check_event_type(name)?;
            Ok(name.to_owned())
        })
        .collect()
}

/// The endpoint that a filter means. One that was deleted may be meant by its id.
pub(super) fn endpoint_of(routes: Option<&ApplicationRoutes>, reference: &str) -> Result<EndpointId, ApiError> {
    let known = routes.and_then(|routes| routes.endpoint_by_reference(reference)).map(|route| route.endpoint.id);
    known.map_or_else(|| id(reference, "Endpoint"), Ok)
}

/// Get a message with its attempts
#[utoipa::path(
    get, path = "/applications/{appId}/messages/{msgId}", operation_id = "getMessage", tag = "Messages",
    params(("appId" = String, Path, description = "The application's id or `uid`."), ("msgId" = String, Path, description = "The message's id.")),
    responses((status = 200, description = "The message, its attempts and its deliveries.", body = MessageDetail))
)]
pub(crate) async fn get(
    State(api): State<Api>,
    place: Place,
    PathParams(OfMessage { message }): PathParams<OfMessage>,
) -> Result<Json<MessageDetail>, ApiError> {
    let routes = place.routes(&api).await?;
    let message = id(&message, "Message")?;
    let found = api.store.message(place.tenant, routes.application.id, message).await?.ok_or_else(|| ApiError::not_found("Message"))?;
    Ok(Json(show_detail(place.tenant, &routes, found)))
}

/// Get a message by its id alone
///
/// The same as for a message of an application, for whoever knows only the message.
#[utoipa::path(
    get, path = "/messages/{msgId}", operation_id = "getMessageById", tag = "Messages",
    params(("msgId" = String, Path, description = "The message's id.")),
    responses((status = 200, description = "The message, its attempts and its deliveries.", body = MessageDetail))
)]
pub(crate) async fn get_by_id(
    State(api): State<Api>,
    caller: Caller,
    PathParams(OfMessage { message }): PathParams<OfMessage>,
) -> Result<Json<MessageDetail>, ApiError> {
    let (routes, found) = find_anywhere(&api, caller.tenant, &message).await?;
    Ok(Json(show_detail(caller.tenant, &routes, found)))
}

/// A message of any application of a tenant.
pub(super) async fn find_anywhere(api: &Api, tenant: Tenant, message: &str) -> Result<(Arc<ApplicationRoutes>, StoredDetail), ApiError> {
    let not_found = || ApiError::not_found("Message");
    let message = id(message, "Message")?;
    let application = api.store.application_of(tenant, message).await?.ok_or_else(not_found)?;
    let routes = api.engine.routes().resolve_now(tenant, &application.to_string()).await?.ok_or_else(not_found)?;
    let found = api.store.message(tenant, application, message).await?.ok_or_else(not_found)?;
    Ok((routes, found))
}

fn show_detail(tenant: Tenant, routes: &ApplicationRoutes, found: StoredDetail) -> MessageDetail {
    MessageDetail {
        attempts: found.attempts.into_iter().map(|attempt| show_attempt(tenant, routes, attempt)).collect(),
        deliveries: found.deliveries.into_iter().map(|delivery| show_delivery(routes, &delivery)).collect(),
        message: Message::from_stored(tenant, found.message),
    }
}

/// To which endpoints a message is sent again.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct RetryQuery {
    /// As in the body.
    endpoint_id: Option<String>,
    /// As in the body.
    only: Option<String>,
}

/// To which endpoints a message is sent again; all of it may be left out.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetryMessage {
    /// Only to this endpoint of the application, by its id or `uid`; the default is every one.
    endpoint_id: Option<String>,
    /// `failed`: only to endpoints where the delivery failed, was skipped or cancelled, or waits for its next attempt
    /// after a failure.
    #[schema(example = "failed")]
    only: Option<String>,
}

/// Send a message again
///
/// At once, to every endpoint of the application that is active and wants it, whether or not it arrived there before, or to those that
/// `endpoint_id` and `only` leave. The `webhook-id` stays the same.
#[utoipa::path(
    post, path = "/applications/{appId}/messages/{msgId}/retry", operation_id = "retryMessage", tag = "Messages",
    params(("appId" = String, Path, description = "The application's id or `uid`."), ("msgId" = String, Path, description = "The message's id."), RetryQuery),
    request_body = Option<RetryMessage>,
    responses(
        (status = 200, description = "Whether there was an endpoint to send it to.", body = Retried),
        (status = 410, description = "Its payload has expired (`payload_expired`): there is nothing to send again.", body = crate::error::ErrorBody)
    )
)]
pub(crate) async fn retry(
    State(api): State<Api>,
    place: Place,
    acting: Acting,
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
        Some(_) => return Err(ApiError::invalid("only", "must be `failed`, or left out")),
    };
    let routes = place.routes(&api).await?;
    let application = routes.application.id;
    let endpoint = match &endpoint_id {
        None => None,
        Some(reference) => {
            let route = routes.endpoint_by_reference(reference).ok_or_else(|| ApiError::not_found("Endpoint"))?;
            Some(route.endpoint.id)
        }
    };
    let retried = api.engine.retry(place.tenant, &application.to_string(), message, Again { endpoint, failed_only }).await?;
    if retried > 0 {
        let told = Fields::default()
            .with("application_id", application.to_string())
            .with("endpoint_id", endpoint.map(|id| id.to_string()))
            .with("endpoints", retried);
        let resource = ResourceId::from_bytes(*message.as_bytes());
        let change = Change::done(&told);
        audit_log::record(&*api.store, &acting.act(&api), place.tenant, Action::MessageRetry, resource, &change).await?;
    }
    Ok(Json(Retried { retried: retried > 0 }))
}

/// A value that may be given in the query or in the body.
fn given_once(field: &'static str, in_query: Option<String>, in_body: Option<String>) -> Result<Option<String>, ApiError> {
    match (in_query, in_body) {
        (Some(in_query), Some(in_body)) if in_query != in_body => {
            Err(ApiError::invalid(field, "is given in the query and in the body, and differs; give it once"))
        }
        (in_query, in_body) => Ok(in_query.or(in_body)),
    }
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
