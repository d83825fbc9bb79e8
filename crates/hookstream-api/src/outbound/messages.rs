//! Messages, their deliveries and attempts.

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use hookstream_engine::{Accepted, ApplicationRoutes, Draft, RetrySelection};
use hookstream_model::{
    base::{
        ids::{EndpointId, MessageId, ResourceId, RouteId},
        time::Timestamp,
    },
    delivery::{
        attempt::Attempt as AttemptModel,
        state::DeliveryState,
        timings::{Timings, Waterfall as WaterfallModel},
    },
    identity::{
        scopes::{Resource, Scope},
        tenancy::Tenant,
    },
    operations::audit_log::{Action, Change, fields::Fields},
    outbound::{
        hops::{self, Hops},
        message::{MessageStatus, Payload, check_event_type},
        text_search::TextQuery,
    },
};
use hookstream_store::{
    delivery::{
        deliveries::IdempotencyKey,
        finding::{Direction, Found, IdBytes, MessageFilter, MessageSearch, Payloads, Range},
        messages::{Delivery as StoredDelivery, Message as Stored, MessageDetail as StoredDetail},
        text_index::IndexState,
    },
    operations::audit_log,
};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::time::Instant;
use utoipa::{IntoParams, ToSchema};

use crate::{
    auth::{
        application_scope::{ApplicationScope, endpoint_of},
        audited_caller::AuditedCaller,
        caller::Caller,
    },
    http::{
        body::{OrText, RawBody, json_value},
        error::ApiError,
        idempotency, page,
        params::{OfMessage, PathParams, QueryParams, id, time},
        several::{self, SeveralParams},
    },
    state::Api,
};

/// Message: an event that is delivered to every matching endpoint of an application.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Message {
    /// Id of the message. Receivers see it as `webhook-id`.
    #[schema(example = "019dc1e2a3b47c5d8e9f001122334455")]
    id: String,
    org_id: String,
    env_id: String,
    application_id: String,
    #[schema(example = "invoice.paid")]
    event_type: String,
    /// Body that receivers get, byte for byte; `null` if the payload has expired.
    #[schema(example = "{\"invoice_id\":42}")]
    payload: Option<String>,
    /// Whether the payload has expired and was removed. Then `payload` is `null`, and the message cannot be sent again.
    payload_expired: bool,
    /// `pending`, `delivered` (to every matched endpoint), `failed` (to at least one, and none is pending) or `skipped`.
    #[schema(example = "pending")]
    status: &'static str,
    /// Your own id of the message; `null` if none is set.
    event_id: Option<String>,
    /// JSON text of the channels; `null` if there are none.
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
            application_id: message.origin_id.to_string(),
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

    pub(crate) fn from_accepted(tenant: Tenant, accepted: Accepted) -> Self {
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

/// Duration of each phase of an attempt, in milliseconds with three decimals. A phase that did not take place or did not complete is
/// `null`. A reused connection has no `dns_ms`, `connect_ms` and `tls_ms`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub(crate) struct Waterfall {
    /// Time from when the attempt was due until it began.
    #[schema(example = 1.0)]
    queue_ms: f64,
    /// Resolving the host name.
    #[schema(example = 2.518)]
    dns_ms: Option<f64>,
    /// Establishing the connection.
    #[schema(example = 11.204)]
    connect_ms: Option<f64>,
    /// The TLS handshake.
    #[schema(example = 24.73)]
    tls_ms: Option<f64>,
    /// Sending the request.
    #[schema(example = 0.085)]
    write_ms: Option<f64>,
    /// Waiting for the head of the response.
    #[schema(example = 132.409)]
    first_byte_ms: Option<f64>,
    /// Reading the body of the response.
    #[schema(example = 0.031)]
    read_ms: Option<f64>,
}

impl From<WaterfallModel> for Waterfall {
    fn from(waterfall: WaterfallModel) -> Self {
        let WaterfallModel { queue, exchange } = waterfall;
        let Timings { dns, connect, tls, write, first_byte, read } = exchange;
        // An integer is divided once, so the result prints with at most three decimals.
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

/// Attempt of a delivery.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Attempt {
    id: String,
    org_id: String,
    env_id: String,
    message_id: String,
    endpoint_id: String,
    /// Status code of the response; `null` if there was no response.
    #[schema(example = 200)]
    response_status: Option<u16>,
    /// First 16 KiB of the response's body; `null` if there was no response.
    response_body: Option<String>,
    /// Duration of the attempt, in milliseconds.
    duration_ms: u64,
    /// Duration of each phase; `null` if it is not known.
    waterfall: Option<Waterfall>,
    /// Outcome: `success` or `failed`.
    #[schema(example = "success")]
    status: &'static str,
    /// Reason of the failure: a word of a fixed vocabulary, a colon and a sentence; `null` on success.
    #[schema(example = "timeout: no answer within 20 s")]
    error: Option<String>,
    /// Number of the attempt, counted from 1.
    attempt_number: u32,
    /// Cause of the attempt: `initial`, `automatic` (a retry by the schedule), `manual`, `recover`, `replay` or `test`.
    #[schema(example = "initial")]
    trigger_type: &'static str,
    created_at: String,
    /// Current URL of the endpoint; `null` if the endpoint was deleted.
    endpoint_url: Option<String>,
}

/// Delivery of a message to one endpoint.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Delivery {
    endpoint_id: String,
    /// Current URL of the endpoint; `null` if the endpoint was deleted.
    endpoint_url: Option<String>,
    /// `pending`, `succeeded`, `exhausted` (all attempts failed), `skipped` or `cancelled`.
    #[schema(example = "pending")]
    status: &'static str,
    /// Reason why the delivery ended without success, such as `endpoint_disabled`; `null` otherwise.
    reason: Option<&'static str>,
    /// Number of attempts.
    attempt_count: u32,
    /// Time of the next attempt; `null` unless the delivery is pending.
    next_attempt_at: Option<String>,
    /// Time at which the delivery ended without success; `null` otherwise.
    ended_at: Option<String>,
}

/// Answer with an accepted message.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MessageAnswer {
    pub(crate) message: Message,
}

/// Message with its attempts and deliveries.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MessageDetail {
    message: Message,
    /// Attempts, oldest first.
    attempts: Vec<Attempt>,
    /// Deliveries, one for each matched endpoint.
    deliveries: Vec<Delivery>,
}

/// Page of messages.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MessageList {
    messages: Vec<Message>,
    /// Cursor of the next page in the same direction; `null` on the last page.
    cursor: Option<String>,
    /// Cursor of newer messages, to be used with `direction=prev`.
    prev_cursor: Option<String>,
    /// Whether another page may follow. A page may be short or empty although another follows.
    has_more: bool,
    /// Reach of the text search. Only with `search`, if this installation has an index.
    #[serde(skip_serializing_if = "Option::is_none")]
    search: Option<SearchReach>,
}

/// Messages whose words the index has. Older and newer messages are searched by id, `event_id` and event type only.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SearchReach {
    /// Time from which messages are indexed.
    complete_since: String,
    /// Time up to which messages are indexed.
    indexed_until: String,
    /// Seconds from then until now.
    #[schema(example = 11)]
    lag_s: u64,
}

impl SearchReach {
    fn of(state: IndexState, now: Timestamp) -> Self {
        let at = |id: IdBytes| MessageId::from_bytes(id).timestamp();
        let until = at(state.until);
        Self { complete_since: at(state.since).to_string(), indexed_until: until.to_string(), lag_s: now.since(until).as_secs() }
    }
}

/// Number of messages by status.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct StatusCounts {
    /// Messages with a pending delivery.
    #[schema(example = 3)]
    pending: u64,
    /// Messages that arrived at every matched endpoint.
    #[schema(example = 1204)]
    delivered: u64,
    /// Messages that failed at an endpoint, without a pending delivery.
    #[schema(example = 17)]
    failed: u64,
    /// Messages that were sent to no endpoint.
    #[schema(example = 0)]
    skipped: u64,
}

/// Answer with the number of messages.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MessageCounts {
    counts: StatusCounts,
    /// Sum of the counts.
    #[schema(example = 1224)]
    total: u64,
    /// Whether all matching messages were counted. Otherwise the newest were, and the counts are lower bounds.
    is_exact: bool,
    /// Time up to which older messages were not counted; `null` if `is_exact`.
    counted_since: Option<String>,
    /// Time that counting took, in milliseconds.
    #[schema(example = 12)]
    took_ms: u64,
    /// Reach of the text search. Only with `search`, if this installation has an index.
    #[serde(skip_serializing_if = "Option::is_none")]
    search: Option<SearchReach>,
}

/// Result of a retry.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Retried {
    /// Whether the message is sent again. `false` if no active endpoint matches it.
    retried: bool,
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

/// Filter of messages.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct MessageQuery {
    /// Rows per page, at most: 1 to 100.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100, default = 50)]
    limit: Option<String>,
    /// Cursor: the `cursor` or `prev_cursor` of another page.
    cursor: Option<String>,
    /// Direction: `next` (the default) continues with older messages, `prev` with newer ones. Either page is ordered newest first.
    direction: Option<String>,
    /// Only messages with this status: `pending`, `delivered`, `failed` or `skipped`. Separate several values with commas, or repeat the
    /// parameter.
    status: Option<String>,
    /// Only messages of this event type. Separate several values with commas, or repeat the parameter.
    event_type: Option<String>,
    /// Only messages with a delivery to this endpoint, by its id, or in an application by its id or `uid`.
    endpoint_id: Option<String>,
    /// Only messages with this `event_id`.
    event_id: Option<String>,
    /// Only messages with this channel.
    channel: Option<String>,
    /// Only messages accepted at this time or later: ISO 8601 with an offset.
    since: Option<String>,
    /// Only messages accepted before this time: ISO 8601 with an offset.
    until: Option<String>,
    /// Only messages that contain all of these words in their id, `event_id`, event type or payload, ignoring case: at most 256 characters and
    /// 8 words. A word is a run of letters, digits and `_`; `inv*` matches words that begin with `inv`. `search` in the answer tells which
    /// messages are indexed. Others match if their id, `event_id` or event type contains the text.
    search: Option<String>,
    /// Id of the caller's organization. Another one is answered 404.
    pub(crate) org_id: Option<String>,
    /// Id of the caller's environment. Another one is answered 404.
    pub(crate) env_id: Option<String>,
}

/// Filter of messages to count.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct CountQuery {
    /// Only messages with this status: `pending`, `delivered`, `failed` or `skipped`. Separate several values with commas, or repeat the
    /// parameter.
    status: Option<String>,
    /// Only messages of this event type. Separate several values with commas, or repeat the parameter.
    event_type: Option<String>,
    /// Only messages with a delivery to this endpoint, by its id.
    endpoint_id: Option<String>,
    /// Only messages with this `event_id`.
    event_id: Option<String>,
    /// Only messages with this channel.
    channel: Option<String>,
    /// Only messages accepted at this time or later: ISO 8601 with an offset.
    since: Option<String>,
    /// Only messages accepted before this time: ISO 8601 with an offset.
    until: Option<String>,
    /// Only messages that contain all of these words, as in the list of messages.
    search: Option<String>,
    /// Id of the caller's organization. Another one is answered 404.
    org_id: Option<String>,
    /// Id of the caller's environment. Another one is answered 404.
    env_id: Option<String>,
}

impl From<CountQuery> for MessageQuery {
    fn from(query: CountQuery) -> Self {
        let CountQuery { status, event_type, endpoint_id, event_id, channel, since, until, search, org_id, env_id } = query;
        let (limit, cursor, direction) = (None, None, None);
        Self { limit, cursor, direction, status, event_type, endpoint_id, event_id, channel, since, until, search, org_id, env_id }
    }
}

/// Messages read at once for counting.
const COUNT_PAGE: usize = 1_000;
/// Time limit of counting, and maximum number of pages: each examines at most 5,000 messages.
const COUNT_WITHIN: Duration = Duration::from_millis(1_500);
const COUNT_PAGES: usize = 200;

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

/// List messages of an application
///
/// Messages are listed newest first. Each page reads a bounded number of messages: with a filter, a page may be short or empty while
/// `has_more` is true.
#[utoipa::path(
    get, path = "/applications/{appId}/messages", operation_id = "listMessages", tag = "Messages",
    params(("appId" = String, Path, description = "The application's id or `uid`."), MessageQuery),
    responses((status = 200, description = "Page of messages, newest first.", body = MessageList))
)]
pub(crate) async fn list(
    State(api): State<Api>,
    scope: ApplicationScope,
    SeveralParams(query): SeveralParams<MessageQuery>,
) -> Result<Json<MessageList>, ApiError> {
    scope.check_tenant(query.org_id.as_deref(), query.env_id.as_deref())?;
    let routes = scope.routes(&api).await?;
    find(&api, scope.tenant, Some(&routes), &query).await
}

/// List messages of an environment
///
/// Messages of all applications are listed newest first. With a filter, a page may be short or empty while `has_more` is true.
#[utoipa::path(
    get, path = "/messages", operation_id = "listAllMessages", tag = "Messages",
    params(MessageQuery),
    responses((status = 200, description = "Page of messages, newest first.", body = MessageList))
)]
pub(crate) async fn list_all(
    State(api): State<Api>,
    caller: Caller,
    SeveralParams(query): SeveralParams<MessageQuery>,
) -> Result<Json<MessageList>, ApiError> {
    caller.check_tenant(query.org_id.as_deref(), query.env_id.as_deref())?;
    find(&api, caller.tenant, None, &query).await
}

/// Count messages of an environment
///
/// The filters are those of listing messages. Counting stops after about a second and a half; then `is_exact` is false and the newest
/// messages are counted.
#[utoipa::path(
    get, path = "/messages/counts", operation_id = "countMessages", tag = "Messages",
    params(CountQuery),
    responses((status = 200, description = "Number of messages by status.", body = MessageCounts))
)]
pub(crate) async fn count_all(
    State(api): State<Api>,
    caller: Caller,
    SeveralParams(query): SeveralParams<CountQuery>,
) -> Result<Json<MessageCounts>, ApiError> {
    let query = MessageQuery::from(query);
    caller.check_tenant(query.org_id.as_deref(), query.env_id.as_deref())?;
    let begun = Instant::now();
    let (mut search, text) = search_of(caller.tenant, None, &query)?;
    (search.limit, search.payloads) = (COUNT_PAGE, Payloads::LeftOut);
    let (mut counts, mut next, mut state) = (StatusCounts::default(), None, None);
    for _ in 0..COUNT_PAGES {
        let range = continued(search.range.clone(), next);
        let (found, reach) = page_of(&api, MessageSearch { range, ..search.clone() }, text.clone()).await?;
        state = reach.or(state);
        for message in &found.items {
            *match message.counts.status() {
                MessageStatus::Pending => &mut counts.pending,
                MessageStatus::Delivered => &mut counts.delivered,
                MessageStatus::Failed => &mut counts.failed,
                MessageStatus::Skipped => &mut counts.skipped,
            } += 1;
        }
        next = found.next;
        if next.is_none() || begun.elapsed() >= COUNT_WITHIN {
            break;
        }
    }
    let StatusCounts { pending, delivered, failed, skipped } = counts;
    Ok(Json(MessageCounts {
        total: pending + delivered + failed + skipped,
        counts,
        is_exact: next.is_none(),
        counted_since: next.map(|position| MessageId::from_bytes(position).timestamp().to_string()),
        took_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        search: state.map(|state| SearchReach::of(state, api.now())),
    }))
}

async fn find(api: &Api, tenant: Tenant, routes: Option<&ApplicationRoutes>, query: &MessageQuery) -> Result<Json<MessageList>, ApiError> {
    let position = page::position::<1>(query.cursor.as_deref())?.map(|[position]| position);
    let (search, text) = search_of(tenant, routes, query)?;
    let search = MessageSearch { range: continued(search.range.clone(), position), ..search };
    let (found, state) = page_of(api, search, text).await?;
    let prev_cursor = found.items.first().map(|message| page::cursor_at([page::above(*message.id.as_bytes())]));
    Ok(Json(MessageList {
        has_more: found.next.is_some(),
        cursor: found.next.map(|position| page::cursor_at([position])),
        prev_cursor: prev_cursor.or_else(|| query.cursor.clone()),
        messages: found.items.into_iter().map(|message| Message::from_stored(tenant, message)).collect(),
        search: state.map(|state| SearchReach::of(state, api.now())),
    }))
}

/// Reads the filter of a query, and the words that it asks for.
fn search_of(
    tenant: Tenant,
    routes: Option<&ApplicationRoutes>,
    query: &MessageQuery,
) -> Result<(MessageSearch, Option<TextQuery>), ApiError> {
    let filter = MessageFilter {
        statuses: several::list(query.status.as_deref()).map(MessageStatus::parse).collect::<Result<_, _>>()?,
        event_types: event_types(query.event_type.as_deref())?,
        route: query.endpoint_id.as_deref().map(|reference| endpoint_of(routes, reference)).transpose()?.map(RouteId::from),
        event_id: query.event_id.clone(),
        channel: query.channel.clone(),
        search: query.search.as_deref().filter(|search| !search.is_empty()).map(|search| search.trim_end_matches('*').to_lowercase()),
    };
    let text = query.search.as_deref().map(TextQuery::parse).transpose()?.flatten();
    let range = Range {
        tenant,
        origin: routes.map(|routes| routes.id().into()),
        lowest: bound("since", query.since.as_deref())?.unwrap_or([0; 16]),
        below: bound("until", query.until.as_deref())?.unwrap_or([0xff; 16]),
        direction: page::direction(query.direction.as_deref())?,
    };
    let limit = page::limit(query.limit.as_deref())?;
    Ok((MessageSearch { range, filter, limit, payloads: Payloads::Included }, text))
}

/// Returns a page of messages, and the state of the index if it was asked.
async fn page_of(
    api: &Api,
    search: MessageSearch,
    text: Option<TextQuery>,
) -> Result<(Found<Stored, IdBytes>, Option<IndexState>), ApiError> {
    if search.filter.search.is_none() {
        return Ok((api.store.find_messages(search).await?, None));
    }
    Ok(api.store.find_text(search, text).await?)
}

/// Returns the part of a range behind a cursor: messages older than its position, or newer.
pub(crate) fn continued(range: Range, position: Option<IdBytes>) -> Range {
    match (position, range.direction) {
        (None, _) => range,
        (Some(position), Direction::Older) => Range { below: position.min(range.below), ..range },
        (Some(position), Direction::Newer) => Range { lowest: position.max(range.lowest), ..range },
    }
}

/// Returns the lowest id of messages accepted at this time or later.
pub(crate) fn bound(field: &'static str, text: Option<&str>) -> Result<Option<IdBytes>, ApiError> {
    let at = text.map(|text| time(field, text)).transpose()?;
    Ok(at.map(|at| *MessageId::before_all_at(at).as_bytes()))
}

pub(crate) fn event_types(text: Option<&str>) -> Result<Vec<String>, ApiError> {
    several::list(text)
        .map(|name| {
            check_event_type(name)?;
            Ok(name.to_owned())
        })
        .collect()
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

fn endpoint_url(routes: &ApplicationRoutes, endpoint: EndpointId) -> Option<String> {
    routes.endpoint(endpoint).map(|route| route.endpoint.url.as_str().to_owned())
}

pub(crate) fn show_attempt(tenant: Tenant, routes: &ApplicationRoutes, attempt: AttemptModel) -> Attempt {
    let endpoint = EndpointId::from(attempt.route_id);
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
    let endpoint = EndpointId::from(delivery.route_id);
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

#[cfg(test)]
mod tests;
