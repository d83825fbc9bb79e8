//! Audit log: who changed what, from which address, with the values before and after. Read-only here.

use axum::{
    Json,
    body::{Body, Bytes},
    extract::State,
    response::{IntoResponse, Response},
};
use futures_util::{TryStreamExt, stream};
use hookstream_model::{
    base::{
        ids::{EntryId, ResourceId},
        time::Timestamp,
    },
    operations::audit_log::{Action, parse_resource_type},
};
use hookstream_store::operations::audit_log::{self, Entry, Filter, Reach};
use http::{HeaderValue, header};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use crate::{
    auth::caller::{Caller, CallerIdentity},
    http::{error::ApiError, page, params::QueryParams, shapes::ListQuery},
    state::Api,
};

/// Entries of an export in memory at once; the next are read after the client has taken them.
const SLICE: usize = 100;

/// Entry of the audit log.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditEntry {
    #[schema(example = "019dc1e2a3b47c5d8e9f001122334455")]
    id: String,
    org_id: String,
    /// Id of the environment; `null` if the entry concerns the whole organization.
    env_id: Option<String>,
    /// Time of the action.
    #[schema(example = "2026-11-24T08:30:00.000Z")]
    created_at: String,
    actor: AuditActor,
    /// Client address of the request; `null` if there was no request.
    #[schema(example = "203.0.113.7")]
    address: Option<String>,
    /// Id of the request, as in its answer and in the log.
    #[schema(example = "req_3f9a0c5d7e21")]
    request_id: Option<String>,
    /// Action.
    #[schema(example = "endpoint.update")]
    action: String,
    /// Type of the resource.
    #[schema(example = "endpoint")]
    resource_type: String,
    /// Id of the resource.
    resource_id: Option<String>,
    /// State before: the changed fields of an update, all fields of a deleted resource. Secrets are left out.
    #[schema(value_type = Option<Object>)]
    before: Option<Box<RawValue>>,
    /// State after: the changed fields of an update, all fields of a created resource. Secrets are left out.
    #[schema(value_type = Option<Object>)]
    after: Option<Box<RawValue>>,
}

/// Actor of an entry.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditActor {
    /// `api_key`, `person`, `portal` (a customer), `operator` (a command on the server) or `system` (Hookstream itself).
    #[schema(example = "api_key")]
    kind: String,
    /// Id of the API key, the user or the portal's application.
    id: Option<String>,
    /// Name of the actor at the time of the action.
    #[schema(example = "billing service")]
    name: Option<String>,
}

impl From<Entry> for AuditEntry {
    fn from(entry: Entry) -> Self {
        let json = |text: Option<String>| text.and_then(|text| RawValue::from_string(text).ok());
        Self {
            id: entry.id.to_string(),
            org_id: entry.organization.to_string(),
            env_id: entry.environment.map(|id| id.to_string()),
            created_at: entry.id.timestamp().to_string(),
            actor: AuditActor { kind: entry.actor_kind, id: entry.actor_id.map(|id| id.to_string()), name: entry.actor_name },
            address: entry.address,
            request_id: entry.request_id,
            action: entry.action,
            resource_type: entry.resource_type,
            resource_id: entry.resource_id.map(|id| id.to_string()),
            before: json(entry.before),
            after: json(entry.after),
        }
    }
}

/// Page of entries.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditLog {
    audit_log: Vec<AuditEntry>,
    /// Cursor of the next page; `null` on the last page.
    cursor: Option<String>,
    has_more: bool,
}

/// Filter of entries.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditQuery {
    /// Only entries with this action, such as `endpoint.update`.
    action: Option<String>,
    /// Only entries of this actor: the id of an API key, a user or a portal's application.
    actor_id: Option<String>,
    /// Only entries about this type of resource, such as `endpoint`.
    resource_type: Option<String>,
    /// Only entries about the resource with this id.
    resource_id: Option<String>,
    /// Only entries of this time or later: ISO 8601 with an offset.
    #[param(format = DateTime)]
    since: Option<String>,
    /// Only entries before this time: ISO 8601 with an offset.
    #[param(format = DateTime)]
    until: Option<String>,
}

/// Tenant of an export.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ExportQuery {
    /// Id of one of the caller's organizations. Another one is answered 404.
    org_id: Option<String>,
    /// Id of one of the caller's environments: only entries about it. Another one is answered 404.
    env_id: Option<String>,
}

/// List the audit log
///
/// Entries are listed newest first. The audit log records changes of configuration, members, API keys and secrets, and jobs, retries, tests
/// and portal access. It does not record sent messages and refused requests. An API key reads the entries of its environment. A signed-in
/// owner or admin reads those of the organization, or with `env_id` those of one environment.
#[utoipa::path(
    get, path = "/audit-log", operation_id = "listAuditLog", tag = "Audit log",
    params(ListQuery, AuditQuery),
    responses((status = 200, description = "Page of entries, newest first.", body = AuditLog))
)]
pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
    QueryParams(query): QueryParams<ListQuery>,
    QueryParams(filter): QueryParams<AuditQuery>,
) -> Result<Json<AuditLog>, ApiError> {
    caller.check_tenant(query.org_id.as_deref(), query.env_id.as_deref())?;
    let request = page::request(query.limit.as_deref(), query.cursor.as_deref(), EntryId::from_bytes)?;
    let reach = reach(caller, query.env_id.as_deref());
    let page = audit_log::list(&*api.store, reach, &filter.read()?, request).await?;
    let cursor = page::cursor(&page, |entry| *entry.id.as_bytes());
    let has_more = page.has_more;
    Ok(Json(AuditLog { audit_log: page.items.into_iter().map(AuditEntry::from).collect(), cursor, has_more }))
}

/// Export the audit log
///
/// Entries up to the time of the request are exported oldest first, one per line (NDJSON). Their number is not limited. If the answer ends
/// early, it is incomplete: export the rest with `since`.
#[utoipa::path(
    get, path = "/audit-log/export", operation_id = "exportAuditLog", tag = "Audit log",
    params(ExportQuery, AuditQuery),
    responses((status = 200, description = "Entries, one per line.", body = AuditEntry, content_type = "application/x-ndjson"))
)]
pub(crate) async fn export(
    State(api): State<Api>,
    caller: Caller,
    QueryParams(query): QueryParams<ExportQuery>,
    QueryParams(filter): QueryParams<AuditQuery>,
) -> Result<Response, ApiError> {
    caller.check_tenant(query.org_id.as_deref(), query.env_id.as_deref())?;
    // Entries added during the export are left out, so that it ends.
    let end = api.now() + std::time::Duration::from_millis(1);
    let mut filter = filter.read()?;
    filter.until = Some(filter.until.map_or(end, |until| until.min(end)));
    let reach = reach(caller, query.env_id.as_deref());
    // The first slice is read before the response begins, so that early failures get their own status.
    let first = audit_log::following(&*api.store, reach, &filter, None, SLICE).await?;
    let slices = stream::try_unfold((Some(first), None), move |(ready, after)| {
        let api = api.clone();
        async move {
            let entries = match ready {
                Some(entries) => entries,
                None => audit_log::following(&*api.store, reach, &filter, after, SLICE).await?,
            };
            let Some(last) = entries.last().map(|entry| entry.id) else { return Ok::<_, hookstream_store::Error>(None) };
            Ok(Some((lines(entries), (None, Some(last)))))
        }
    });
    let slices = slices.inspect_err(|error| {
        tracing::error!(error = error as &dyn std::error::Error, "an export of the audit log failed");
    });
    let mut response = Body::from_stream(slices).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    Ok(response)
}

/// Returns the reach of a caller: a key's environment; for a signed-in user the organization, or the named
/// environment.
const fn reach(caller: Caller, env_id: Option<&str>) -> Reach {
    match (caller.identity, env_id) {
        (CallerIdentity::Person(..), None) => Reach::Organization(caller.tenant.organization),
        (CallerIdentity::Key(..), _) | (CallerIdentity::Person(..), Some(_)) => Reach::Environment(caller.tenant),
    }
}

fn lines(entries: Vec<Entry>) -> Bytes {
    let mut text = Vec::new();
    for entry in entries {
        serde_json::to_writer(&mut text, &AuditEntry::from(entry)).expect("texts and JSON are JSON");
        text.push(b'\n');
    }
    text.into()
}

impl AuditQuery {
    fn read(self) -> Result<Filter, ApiError> {
        let Self { action, actor_id, resource_type, resource_id, since, until } = self;
        Ok(Filter {
            action: action.as_deref().map(Action::parse).transpose()?,
            actor_id: actor_id.map(|text| some_id("actor_id", &text)).transpose()?,
            resource_type: resource_type.as_deref().map(parse_resource_type).transpose()?,
            resource_id: resource_id.map(|text| some_id("resource_id", &text)).transpose()?,
            since: since.map(|text| time("since", &text)).transpose()?,
            until: until.map(|text| time("until", &text)).transpose()?,
        })
    }
}

fn some_id(field: &'static str, text: &str) -> Result<ResourceId, ApiError> {
    text.parse().map_err(|error: hookstream_model::base::ids::InvalidId| ApiError::invalid(field, &error.to_string()))
}

fn time(field: &'static str, text: &str) -> Result<Timestamp, ApiError> {
    text.parse().map_err(|error: hookstream_model::base::time::InvalidTime| ApiError::invalid(field, &error.to_string()))
}
