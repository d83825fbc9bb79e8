//! Activity of a portal: what changed on the application's endpoints, from the audit log.
//!
//! A customer learns what changed and whether it was the portal, the sender or Hookstream, but neither who of the
//! sender's users acted nor from where. Values are left out, except for the status, which the endpoint shows anyway.

use axum::{Json, extract::State};
use hookstream_engine::ApplicationRoutes;
use hookstream_model::base::ids::EntryId;
use hookstream_store::operations::audit_log::{self, Activity as Entry};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::operations::PortalListQuery;
use crate::{
    auth::application_scope::ApplicationScope,
    http::{error::ApiError, page, params::QueryParams, shapes::ListQuery},
    state::Api,
};

/// Fields of an endpoint that a customer sees. Changes of others are not named.
const VISIBLE: [&str; 16] = [
    "batch",
    "channels",
    "description",
    "expires_at",
    "filter_types",
    "headers",
    "on_failure",
    "ordering",
    "ordering_key",
    "rate_limit_per_second",
    "retry_schedule",
    "signing_algorithm",
    "status",
    "timeout_ms",
    "uid",
    "url",
];

/// Entry of the activity.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Activity {
    #[schema(example = "019dc1e2a3b47c5d8e9f001122334455")]
    id: String,
    /// Time of the action.
    #[schema(example = "2026-11-24T08:30:00.000Z")]
    created_at: String,
    /// Action, as in the audit log: `endpoint.create`, `endpoint.update`, `endpoint.disable`, `job.recover`, …
    #[schema(example = "endpoint.update")]
    action: String,
    endpoint: ActivityEndpoint,
    /// Names of the changed fields, if `action` is `endpoint.update`. Fields that the portal does not show are left out.
    #[schema(value_type = Vec<String>, example = json!(["url", "filter_types"]))]
    fields: Vec<&'static str>,
    /// New `status` of the endpoint; `null` if it did not change.
    status: Option<String>,
    /// Reason why Hookstream disabled the endpoint.
    #[schema(example = "kept_failing")]
    disabled_reason: Option<String>,
    /// Author: `portal` (a user of this portal), `sender` (the sender's user, API key or operator) or `system` (Hookstream).
    #[schema(example = "portal")]
    by: &'static str,
}

/// Endpoint of an entry.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ActivityEndpoint {
    id: String,
    /// Description of the endpoint, or its URL without one: the current one, or the last one of a deleted endpoint.
    #[schema(example = "Order sync")]
    name: Option<String>,
    /// Whether the endpoint is deleted.
    is_deleted: bool,
}

/// Page of the activity.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ActivityList {
    activity: Vec<Activity>,
    /// Cursor of the next page; `null` on the last page.
    cursor: Option<String>,
    has_more: bool,
}

/// List the activity in the portal
///
/// Changes of the application's endpoints, and recoveries and replays of them, newest first. Entries name neither the sender's users nor
/// addresses, and contain no values except `status`. They are kept as long as the audit log.
#[utoipa::path(
    get, path = "/portal/activity", operation_id = "listPortalActivity", tag = "Portal", security(("portal" = [])),
    params(PortalListQuery),
    responses((status = 200, description = "A page, newest first.", body = ActivityList))
)]
pub(crate) async fn list(
    State(api): State<Api>,
    scope: ApplicationScope,
    QueryParams(query): QueryParams<PortalListQuery>,
) -> Result<Json<ActivityList>, ApiError> {
    let query = ListQuery::from(query);
    let request = page::request(query.limit.as_deref(), query.cursor.as_deref(), EntryId::from_bytes)?;
    let routes = scope.routes(&api).await?;
    let page = audit_log::activity(&*api.store, scope.tenant, routes.id(), request).await?;
    let cursor = page::cursor(&page, |entry| *entry.id.as_bytes());
    let has_more = page.has_more;
    Ok(Json(ActivityList { activity: page.items.into_iter().map(|entry| Activity::of(entry, &routes)).collect(), cursor, has_more }))
}

impl Activity {
    fn of(entry: Entry, routes: &ApplicationRoutes) -> Self {
        let after = object(entry.after.as_deref());
        // A created endpoint has all fields; only a change of existing ones is named.
        let changed = if matches!(entry.action.as_str(), "endpoint.update" | "endpoint.disable") { after } else { Map::new() };
        let text = |name: &str| changed.get(name).and_then(Value::as_str).map(str::to_owned);
        Self {
            id: entry.id.to_string(),
            created_at: entry.id.timestamp().to_string(),
            endpoint: ActivityEndpoint::of(&entry, routes),
            fields: VISIBLE.into_iter().filter(|name| changed.contains_key(*name)).collect(),
            status: text("status"),
            disabled_reason: text("disabled_reason"),
            by: author(&entry.actor_kind),
            action: entry.action,
        }
    }
}

impl ActivityEndpoint {
    fn of(entry: &Entry, routes: &ApplicationRoutes) -> Self {
        let name = match routes.endpoint(entry.endpoint) {
            Some(route) => name(route.endpoint.description.as_deref(), Some(route.endpoint.url.as_str())),
            None => {
                let last = object(entry.deleted.as_deref());
                let text = |name: &str| last.get(name).and_then(Value::as_str);
                name(text("description"), text("url"))
            }
        };
        Self { id: entry.endpoint.to_string(), name, is_deleted: entry.deleted.is_some() }
    }
}

fn name(description: Option<&str>, url: Option<&str>) -> Option<String> {
    description.filter(|text| !text.is_empty()).or(url).map(str::to_owned)
}

/// Reads the state of an entry; one that cannot be read has no fields.
fn object(text: Option<&str>) -> Map<String, Value> {
    text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// Returns the author in the customer's words, by the kind of the actor.
fn author(kind: &str) -> &'static str {
    match kind {
        "portal" => "portal",
        "system" => "system",
        // A key, a user or the operator: the customer learns no more. So do kinds of a newer version.
        _ => "sender",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use hookstream_model::{
        base::{
            ids::{ApplicationId, EndpointId, EnvironmentId, OrganizationId},
            time::Timestamp,
        },
        identity::tenancy::Tenant,
        operations::audit_log::fields::Audited,
        outbound::{
            endpoint::{Endpoint, EndpointUrl},
            target::TargetKind,
        },
    };

    use super::*;

    /// Fields of audit log entries that a customer does not see, or not as a field.
    const INVISIBLE: [&str; 5] = ["application_id", "config", "disabled_reason", "metadata", "type"];

    #[test]
    fn every_audited_field_of_an_endpoint_is_visible_or_not() {
        let tenant = Tenant { organization: OrganizationId::from_bytes([1; 16]), environment: EnvironmentId::from_bytes([2; 16]) };
        let url = EndpointUrl::parse("https://example.com/").expect("a URL");
        let (id, application) = (EndpointId::from_bytes([4; 16]), ApplicationId::from_bytes([3; 16]));
        let endpoint = Endpoint::new(id, tenant, application, TargetKind::Http, url, Timestamp::EPOCH);
        let audited: BTreeSet<_> = endpoint.fields().names().collect();
        assert_eq!(audited, VISIBLE.into_iter().chain(INVISIBLE).collect());
    }
}
