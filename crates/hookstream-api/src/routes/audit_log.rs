//! The audit log: who did what, from where, and how it was before and after. It is only read here.

use axum::{
    Json,
    body::{Body, Bytes},
    extract::State,
    response::{IntoResponse, Response},
};
use futures_util::{TryStreamExt, stream};
use hookstream_model::{
    audit_log::{Action, parse_resource_type},
    ids::{EntryId, ResourceId},
    time::Timestamp,
};
use hookstream_store::audit_log::{self, Entry, Filter, Reach};
use http::{HeaderValue, header};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::ListQuery;
use crate::{
    auth::{Caller, Who},
    error::ApiError,
    page,
    params::QueryParams,
    state::Api,
};

/// So many entries of an export are in memory at once; the next are read when the client has taken them.
const SLICE: usize = 100;

/// Something that was done.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditEntry {
    #[schema(example = "019dc1e2a3b47c5d8e9f001122334455")]
    id: String,
    org_id: String,
    /// `null` where it is about the organization as a whole.
    env_id: Option<String>,
    /// When it was done.
    #[schema(example = "2026-11-24T08:30:00.000Z")]
    created_at: String,
    actor: AuditActor,
    /// Where the request came from; `null` where there was none.
    #[schema(example = "203.0.113.7")]
    address: Option<String>,
    /// The request's id, as its answer and the log have it.
    #[schema(example = "req_3f9a0c5d7e21")]
    request_id: Option<String>,
    /// What was done.
    #[schema(example = "endpoint.update")]
    action: String,
    /// To what kind of resource.
    #[schema(example = "endpoint")]
    resource_type: String,
    /// To which.
    resource_id: Option<String>,
    /// How it was: of a change the fields that differ, of a deletion what there was. Secrets are not among them.
    #[schema(value_type = Option<Object>, example = json!({ "rate_limit_per_second": null }))]
    before: Option<Box<RawValue>>,
    /// How it is since: of a change the fields that differ, of a creation what was made.
    #[schema(value_type = Option<Object>, example = json!({ "rate_limit_per_second": 10 }))]
    after: Option<Box<RawValue>>,
}

/// Who did it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditActor {
    /// `api_key`, `person`, `portal` (a customer), `operator` (a command on the server) or `system` (Hookstream itself).
    #[schema(example = "api_key")]
    kind: String,
    /// The id of the key, the person or the portal's application.
    id: Option<String>,
    /// What they were called then.
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

/// A page of entries.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditLog {
    audit_log: Vec<AuditEntry>,
    /// For the next page; `null` on the last.
    cursor: Option<String>,
    has_more: bool,
}

/// Which entries.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditQuery {
    /// Only what was done so, such as `endpoint.update`.
    action: Option<String>,
    /// Only what was done by this key, person or application's portal.
    actor_id: Option<String>,
    /// Only what was done to this kind of resource, such as `endpoint`.
    resource_type: Option<String>,
    /// Only what was done to this resource.
    resource_id: Option<String>,
    /// Only what was done then or later: ISO 8601 with an offset.
    #[param(format = DateTime)]
    since: Option<String>,
    /// Only what was done before then.
    #[param(format = DateTime)]
    until: Option<String>,
}

/// Whose entries to export.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ExportQuery {
    /// One of the caller's organizations; another's is not found.
    org_id: Option<String>,
    /// One of the caller's environments, for what was done there only; another's is not found.
    env_id: Option<String>,
}

/// List the audit log
///
/// What was done, newest first: every change of what is configured, of members, keys and secrets, jobs, retries, tests
/// and access given to portals. Sending messages is not in it, nor is what was refused. A key sees what was done in its
/// environment; an owner or admin who is signed in all of the organization, or with `env_id` one of its environments.
#[utoipa::path(
    get, path = "/audit-log", operation_id = "listAuditLog", tag = "Audit log",
    params(ListQuery, AuditQuery),
    responses((status = 200, description = "A page.", body = AuditLog))
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
/// The same entries oldest first, an entry a line (NDJSON), up to when it was asked for. Any number of them: they are
/// read as the client takes them. An answer that breaks off is not complete; ask again with `since`.
#[utoipa::path(
    get, path = "/audit-log/export", operation_id = "exportAuditLog", tag = "Audit log",
    params(ExportQuery, AuditQuery),
    responses((status = 200, description = "An entry a line.", body = AuditEntry, content_type = "application/x-ndjson"))
)]
pub(crate) async fn export(
    State(api): State<Api>,
    caller: Caller,
    QueryParams(query): QueryParams<ExportQuery>,
    QueryParams(filter): QueryParams<AuditQuery>,
) -> Result<Response, ApiError> {
    caller.check_tenant(query.org_id.as_deref(), query.env_id.as_deref())?;
    // What is added while it is read is not part of it, so that it ends.
    let end = api.now() + std::time::Duration::from_millis(1);
    let mut filter = filter.read()?;
    filter.until = Some(filter.until.map_or(end, |until| until.min(end)));
    let reach = reach(caller, query.env_id.as_deref());
    // Read before the answer begins, so that what goes wrong at once is answered as what it is.
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

/// A key sees what was done in its environment; somebody who signed in all of their organization, or of the environment
/// that they name.
const fn reach(caller: Caller, env_id: Option<&str>) -> Reach {
    match (caller.who, env_id) {
        (Who::Person(..), None) => Reach::Organization(caller.tenant.organization),
        (Who::Key(..), _) | (Who::Person(..), Some(_)) => Reach::Environment(caller.tenant),
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
    text.parse().map_err(|error: hookstream_model::ids::InvalidId| ApiError::invalid(field, &error.to_string()))
}

fn time(field: &'static str, text: &str) -> Result<Timestamp, ApiError> {
    text.parse().map_err(|error: hookstream_model::time::InvalidTime| ApiError::invalid(field, &error.to_string()))
}
