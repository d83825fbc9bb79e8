//! Lists of messages: filters, pages, and text search.

use axum::{Json, extract::State};
use hookstream_engine::ApplicationRoutes;
use hookstream_model::{
    base::{
        ids::{MessageId, RouteId},
        time::Timestamp,
    },
    identity::tenancy::Tenant,
    outbound::{
        message::{MessageStatus, check_event_type},
        text_search::TextQuery,
    },
};
use hookstream_store::delivery::{
    finding::{Direction, Found, IdBytes, MessageFilter, MessageSearch, Payloads, Range},
    messages::Message as Stored,
    text_index::IndexState,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::view::Message;
use crate::{
    auth::{
        application_scope::{ApplicationScope, endpoint_of},
        caller::Caller,
    },
    http::{
        error::ApiError,
        page,
        params::time,
        several::{self, SeveralParams},
    },
    state::Api,
};

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
    pub(super) fn of(state: IndexState, now: Timestamp) -> Self {
        let at = |id: IdBytes| MessageId::from_bytes(id).timestamp();
        let until = at(state.until);
        Self { complete_since: at(state.since).to_string(), indexed_until: until.to_string(), lag_s: now.since(until).as_secs() }
    }
}

/// Filter of messages.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct MessageQuery {
    /// Rows per page, at most: 1 to 100.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100, default = 50)]
    pub(super) limit: Option<String>,
    /// Cursor: the `cursor` or `prev_cursor` of another page.
    pub(super) cursor: Option<String>,
    /// Direction: `next` (the default) continues with older messages, `prev` with newer ones. Either page is ordered newest first.
    pub(super) direction: Option<String>,
    /// Only messages with this status: `pending`, `delivered`, `failed` or `skipped`. Separate several values with commas, or repeat the
    /// parameter.
    pub(super) status: Option<String>,
    /// Only messages of this event type. Separate several values with commas, or repeat the parameter.
    pub(super) event_type: Option<String>,
    /// Only messages with a delivery to this endpoint, by its id, or in an application by its id or `uid`.
    pub(super) endpoint_id: Option<String>,
    /// Only messages with this `event_id`.
    pub(super) event_id: Option<String>,
    /// Only messages with this channel.
    pub(super) channel: Option<String>,
    /// Only messages accepted at this time or later: ISO 8601 with an offset.
    pub(super) since: Option<String>,
    /// Only messages accepted before this time: ISO 8601 with an offset.
    pub(super) until: Option<String>,
    /// Only messages that contain all of these words in their id, `event_id`, event type or payload, ignoring case: at most 256 characters and
    /// 8 words. A word is a run of letters, digits and `_`; `inv*` matches words that begin with `inv`. `search` in the answer tells which
    /// messages are indexed. Others match if their id, `event_id` or event type contains the text.
    pub(super) search: Option<String>,
    /// Id of the caller's organization. Another one is answered 404.
    pub(crate) org_id: Option<String>,
    /// Id of the caller's environment. Another one is answered 404.
    pub(crate) env_id: Option<String>,
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
    if scope.is_unused(&api).await? {
        return Ok(Json(MessageList { messages: Vec::new(), cursor: None, prev_cursor: None, has_more: false, search: None }));
    }
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
pub(super) fn search_of(
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
pub(super) async fn page_of(
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
