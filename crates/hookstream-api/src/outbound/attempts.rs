//! Attempts of an endpoint and of an environment.

use std::collections::HashMap;

use axum::{Json, extract::State};
use hookstream_engine::ApplicationRoutes;
use hookstream_model::{
    base::{
        ids::{ApplicationId, OriginId, RouteId},
        text::got,
    },
    identity::tenancy::Tenant,
};
use hookstream_store::delivery::finding::{AttemptFilter, AttemptPosition, AttemptSearch, Direction, FoundAttempt, Range, StatusClass};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::messages::{
    list::{bound, event_types},
    view::{Attempt, show_attempt},
};
use crate::{
    auth::{
        application_scope::{ApplicationScope, endpoint_of},
        caller::Caller,
    },
    http::{
        error::ApiError,
        page,
        params::{OfId, PathParams, time},
        several::{self, SeveralParams},
    },
    state::Api,
};

/// Filter of attempts.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct AttemptQuery {
    /// Rows per page, at most: 1 to 100.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100, default = 50)]
    limit: Option<String>,
    /// Cursor: the `cursor` or `prev_cursor` of another page.
    cursor: Option<String>,
    /// Direction: `next` (the default) continues with older attempts, `prev` with newer ones. Either page is ordered newest first.
    direction: Option<String>,
    /// Only attempts with this outcome: `success` or `failed`.
    status: Option<String>,
    /// Only attempts with a response of this class: `1xx`, `2xx`, `3xx`, `4xx`, `5xx`, or `none` for attempts without a response.
    status_code_class: Option<String>,
    /// Only attempts of messages of this event type. Separate several values with commas, or repeat the parameter.
    event_type: Option<String>,
    /// Only attempts that began at this time or later: ISO 8601 with an offset.
    since: Option<String>,
    /// Only attempts that began before this time: ISO 8601 with an offset.
    until: Option<String>,
    /// Id of the caller's organization. Another one is answered 404.
    org_id: Option<String>,
    /// Id of the caller's environment. Another one is answered 404.
    env_id: Option<String>,
}

/// Filter of attempts of an environment.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct AllAttemptsQuery {
    /// Rows per page, at most: 1 to 100.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100, default = 50)]
    limit: Option<String>,
    /// Cursor: the `cursor` or `prev_cursor` of another page.
    cursor: Option<String>,
    /// Direction: `next` (the default) continues with older attempts, `prev` with newer ones. Either page is ordered newest first.
    direction: Option<String>,
    /// Only attempts with this outcome: `success` or `failed`.
    status: Option<String>,
    /// Only attempts with a response of this class: `1xx`, `2xx`, `3xx`, `4xx`, `5xx`, or `none` for attempts without a response.
    status_code_class: Option<String>,
    /// Only attempts of messages of this event type. Separate several values with commas, or repeat the parameter.
    event_type: Option<String>,
    /// Only attempts of this application, by its id or `uid`.
    application_id: Option<String>,
    /// Only attempts to this endpoint, by its id, or together with `application_id` by its `uid`.
    endpoint_id: Option<String>,
    /// Only attempts that began at this time or later: ISO 8601 with an offset.
    since: Option<String>,
    /// Only attempts that began before this time: ISO 8601 with an offset.
    until: Option<String>,
    /// Id of the caller's organization. Another one is answered 404.
    org_id: Option<String>,
    /// Id of the caller's environment. Another one is answered 404.
    env_id: Option<String>,
}

/// Attempt, with the application and event type of its message.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ListedAttempt {
    #[serde(flatten)]
    attempt: Attempt,
    application_id: String,
    #[schema(example = "invoice.paid")]
    event_type: String,
}

/// Page of attempts.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AttemptList {
    attempts: Vec<ListedAttempt>,
    /// Cursor of the next page in the same direction; `null` on the last page.
    cursor: Option<String>,
    /// Cursor of newer attempts, to be used with `direction=prev`.
    prev_cursor: Option<String>,
    /// Whether another page may follow. A page may be short or empty although another follows.
    has_more: bool,
}

/// List attempts of an endpoint
///
/// Pages go by message, newest first. Within a page, attempts are ordered newest first. Each page reads a bounded number of messages: it
/// may be short or empty while `has_more` is true.
#[utoipa::path(
    get, path = "/applications/{appId}/endpoints/{id}/attempts", operation_id = "listEndpointAttempts", tag = "Attempts",
    params(("appId" = String, Path, description = "The application's id or `uid`."), ("id" = String, Path, description = "The endpoint's id or `uid`."), AttemptQuery),
    responses((status = 200, description = "Page of attempts, newest first.", body = AttemptList))
)]
pub(crate) async fn list(
    State(api): State<Api>,
    scope: ApplicationScope,
    PathParams(OfId { id: endpoint }): PathParams<OfId>,
    SeveralParams(query): SeveralParams<AttemptQuery>,
) -> Result<Json<AttemptList>, ApiError> {
    scope.check_tenant(query.org_id.as_deref(), query.env_id.as_deref())?;
    let (routes, endpoint) = scope.endpoint(&api, &endpoint).await?;
    let query = AllAttemptsQuery {
        application_id: None,
        endpoint_id: None,
        limit: query.limit,
        cursor: query.cursor,
        direction: query.direction,
        status: query.status,
        status_code_class: query.status_code_class,
        event_type: query.event_type,
        since: query.since,
        until: query.until,
        org_id: None,
        env_id: None,
    };
    find(&api, scope.tenant, Some(routes.id()), Some(endpoint.into()), &query).await
}

/// List attempts of an environment
///
/// Attempts of all endpoints are listed. Pages go by message, newest first. A page may be short or empty while `has_more` is true.
#[utoipa::path(
    get, path = "/attempts", operation_id = "listAttempts", tag = "Attempts",
    params(AllAttemptsQuery),
    responses((status = 200, description = "Page of attempts, newest first.", body = AttemptList))
)]
pub(crate) async fn list_all(
    State(api): State<Api>,
    caller: Caller,
    SeveralParams(query): SeveralParams<AllAttemptsQuery>,
) -> Result<Json<AttemptList>, ApiError> {
    caller.check_tenant(query.org_id.as_deref(), query.env_id.as_deref())?;
    let routes = match &query.application_id {
        None => None,
        Some(reference) => {
            let found = api.engine.applications().resolve_now(caller.tenant, reference).await?;
            Some(found.ok_or_else(|| ApiError::not_found("Application"))?)
        }
    };
    let endpoint = query.endpoint_id.as_deref().map(|reference| endpoint_of(routes.as_ref(), reference)).transpose()?;
    find(&api, caller.tenant, routes.map(|routes| routes.id()), endpoint.map(RouteId::from), &query).await
}

async fn find(
    api: &Api,
    tenant: Tenant,
    application: Option<ApplicationId>,
    route: Option<RouteId>,
    query: &AllAttemptsQuery,
) -> Result<Json<AttemptList>, ApiError> {
    let limit = page::limit(query.limit.as_deref())?;
    let direction = page::direction(query.direction.as_deref())?;
    let position = page::position::<2>(query.cursor.as_deref())?;
    let from = position.map(|[message, attempt]| AttemptPosition { message, attempt });
    let filter = AttemptFilter {
        route,
        succeeded: succeeded(query.status.as_deref())?,
        class: query.status_code_class.as_deref().map(class).transpose()?,
        event_types: event_types(query.event_type.as_deref())?,
        since: query.since.as_deref().map(|text| time("since", text)).transpose()?,
        until: query.until.as_deref().map(|text| time("until", text)).transpose()?,
    };
    // A message is accepted before any attempt to deliver it.
    let below = bound("until", query.until.as_deref())?.unwrap_or([0xff; 16]);
    let range = Range { tenant, origin: application.map(OriginId::from), lowest: [0; 16], below, direction };
    let range = match (from, direction) {
        (None, _) => range,
        (Some(from), Direction::Older) => Range { below: page::above(from.message).min(range.below), ..range },
        (Some(from), Direction::Newer) => Range { lowest: from.message, ..range },
    };
    let found = api.store.find_attempts(AttemptSearch { range, from, filter, limit }).await?;
    let newest = found.items.first().map(|found| [*found.attempt.message_id.as_bytes(), page::above(*found.attempt.id.as_bytes())]);
    let mut attempts = found.items;
    // Pages go by message, but attempts within a page are ordered by attempt.
    attempts.sort_by_key(|found| std::cmp::Reverse(found.attempt.id));
    Ok(Json(AttemptList {
        attempts: shown(api, tenant, attempts).await?,
        has_more: found.next.is_some(),
        cursor: found.next.map(|next| page::cursor_at([next.message, next.attempt])),
        prev_cursor: newest.map(page::cursor_at).or_else(|| query.cursor.clone()),
    }))
}

async fn shown(api: &Api, tenant: Tenant, found: Vec<FoundAttempt>) -> Result<Vec<ListedAttempt>, ApiError> {
    let mut known: HashMap<ApplicationId, Option<ApplicationRoutes>> = HashMap::new();
    let mut attempts = Vec::with_capacity(found.len());
    for FoundAttempt { attempt, origin_id, event_type } in found {
        let application_id = ApplicationId::from(origin_id);
        if let std::collections::hash_map::Entry::Vacant(entry) = known.entry(application_id) {
            entry.insert(api.engine.applications().resolve(tenant, &application_id.to_string()).await?);
        }
        // The application was deleted after its messages were looked up; its attempts are left out.
        let Some(Some(routes)) = known.get(&application_id) else { continue };
        let attempt = show_attempt(tenant, routes, attempt);
        attempts.push(ListedAttempt { attempt, application_id: application_id.to_string(), event_type });
    }
    Ok(attempts)
}

fn succeeded(text: Option<&str>) -> Result<Option<bool>, ApiError> {
    let words: Vec<_> = several::list(text).collect();
    let refuse = |word| ApiError::invalid("status", &format!("must be `success` or `failed`{}", got(word)));
    let mut outcomes = words.iter().map(|word| match *word {
        "success" => Ok(true),
        "failed" => Ok(false),
        word => Err(refuse(word)),
    });
    let first = outcomes.next().transpose()?;
    // Both outcomes together are no filter.
    let is_same = outcomes.try_fold(true, |is_same, outcome| outcome.map(|outcome| is_same && Some(outcome) == first))?;
    Ok(first.filter(|_| is_same))
}

fn class(text: &str) -> Result<StatusClass, ApiError> {
    match text {
        "none" => Ok(StatusClass::None),
        "1xx" => Ok(StatusClass::Hundred(1)),
        "2xx" => Ok(StatusClass::Hundred(2)),
        "3xx" => Ok(StatusClass::Hundred(3)),
        "4xx" => Ok(StatusClass::Hundred(4)),
        "5xx" => Ok(StatusClass::Hundred(5)),
        _ => {
            let problem = format!("must be `1xx`, `2xx`, `3xx`, `4xx`, `5xx` or `none`{}", got(text));
            Err(ApiError::invalid("status_code_class", &problem))
        }
    }
}

#[cfg(test)]
mod tests;
