//! Number of messages by status.

use std::time::Duration;

use axum::{Json, extract::State};
use hookstream_model::{base::ids::MessageId, outbound::message::MessageStatus};
use hookstream_store::delivery::finding::{MessageSearch, Payloads};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::{IntoParams, ToSchema};

use super::list::{MessageQuery, SearchReach, continued, page_of, search_of};
use crate::{
    auth::{application_scope::ApplicationScope, caller::Caller},
    http::{error::ApiError, several::SeveralParams},
    state::Api,
};

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

/// Filter of messages to count.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct CountQuery {
    /// Only messages with this status: `pending`, `delivered`, `failed` or `skipped`. Separate several values with commas, or repeat the
    /// parameter.
    status: Option<String>,
    /// Only messages of this event type. Separate several values with commas, or repeat the parameter.
    event_type: Option<String>,
    /// Only messages of this application: its id or `uid`.
    application_id: Option<String>,
    /// Only messages with a delivery to this endpoint, by its id, or with `application_id` by its `uid`.
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

impl CountQuery {
    /// Returns the application that is named, and the filter.
    fn split(self) -> (Option<String>, MessageQuery) {
        let Self { status, event_type, application_id, endpoint_id, event_id, channel, since, until, search, org_id, env_id } = self;
        let (limit, cursor, direction) = (None, None, None);
        let filter = MessageQuery {
            limit,
            cursor,
            direction,
            status,
            event_type,
            endpoint_id,
            event_id,
            channel,
            since,
            until,
            search,
            org_id,
            env_id,
        };
        (application_id, filter)
    }
}

/// Messages read at once for counting.
const COUNT_PAGE: usize = 1_000;
/// Time limit of counting, and maximum number of pages: each examines at most 5,000 messages.
const COUNT_WITHIN: Duration = Duration::from_millis(1_500);
const COUNT_PAGES: usize = 200;

/// Count messages
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
    let (application, query) = query.split();
    caller.check_tenant(query.org_id.as_deref(), query.env_id.as_deref())?;
    let routes = match application {
        Some(application) => Some(ApplicationScope::of_sender(caller.tenant, &application).routes(&api).await?),
        None => None,
    };
    let begun = Instant::now();
    let (mut search, text) = search_of(caller.tenant, routes.as_ref(), &query)?;
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
