//! Event types: the catalog of kinds of messages.

use axum::{Json, extract::State, response::Response};
use hookstream_model::{
    base::ids::EventTypeId,
    identity::{
        scopes::{Resource, Scope},
        tenancy::Tenant,
    },
    outbound::{
        application,
        event_type::{self as rules, EventType as Model, EventTypeStatus},
    },
};
use hookstream_store::outbound::event_types;
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::{
    auth::{
        audited_caller::AuditedCaller,
        caller::{Caller, check_tenant},
    },
    http::{
        body::{Field, RawBody, json_text},
        error::{ApiError, ErrorCode},
        idempotency, page,
        params::{PathParams, QueryParams},
        shapes::{ListQuery, Success},
    },
    state::Api,
};

/// Event type of the catalog.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventType {
    #[schema(example = "019dc1e2a3b47c5d8e9f001122334455")]
    id: String,
    org_id: String,
    env_id: String,
    /// Name, unique in the environment.
    #[schema(example = "invoice.paid")]
    name: String,
    /// Description; `null` if none is set.
    description: Option<String>,
    /// Text of the JSON Schema of payloads; `null` if payloads are not checked.
    #[schema(example = "{\"type\":\"object\",\"required\":[\"invoice_id\"]}")]
    json_schema: Option<String>,
    /// `active` or `archived`. Payloads of an archived event type are not checked.
    #[schema(example = "active")]
    status: &'static str,
    created_at: String,
    updated_at: String,
}

impl From<Model> for EventType {
    fn from(event_type: Model) -> Self {
        Self {
            id: event_type.id.to_string(),
            org_id: event_type.tenant.organization.to_string(),
            env_id: event_type.tenant.environment.to_string(),
            name: event_type.name,
            description: event_type.description,
            json_schema: event_type.json_schema,
            status: event_type.status.as_str(),
            created_at: event_type.created_at.to_string(),
            updated_at: event_type.updated_at.to_string(),
        }
    }
}

/// Answer with an event type.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventTypeAnswer {
    event_type: EventType,
}

/// Page of event types.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventTypeList {
    event_types: Vec<EventType>,
    /// Cursor of the next page; `null` on the last page.
    cursor: Option<String>,
    has_more: bool,
}

/// New event type.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateEventType<'a> {
    /// Name: words of letters, digits, `_` and `-`, joined by dots; at most 128 characters. Unique in the environment.
    #[schema(example = "invoice.paid")]
    name: String,
    /// Description: at most 4,096 characters.
    #[schema(example = "An invoice was paid")]
    description: Option<String>,
    /// JSON Schema that payloads must match: the schema, or its text, at most 64 KiB.
    #[serde(borrow)]
    #[schema(value_type = Option<Value>)]
    json_schema: Option<&'a RawValue>,
    /// Id of the organization. The default is the caller's organization.
    org_id: Option<String>,
    /// Id of the environment. The default is the caller's environment.
    env_id: Option<String>,
}

/// Changes of an event type. Fields that are left out keep their values.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateEventType<'a> {
    /// Description: at most 4,096 characters; `null` removes it.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "An invoice was paid")]
    description: Field<String>,
    /// JSON Schema that payloads must match: the schema, or its text, at most 64 KiB; `null` removes it.
    #[serde(default, borrow)]
    #[schema(value_type = Option<Value>)]
    json_schema: Field<&'a RawValue>,
    /// `active` or `archived`. Payloads of an archived event type are not checked.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "active")]
    status: Field<String>,
}

/// List event types
#[utoipa::path(
    get, path = "/event-types", operation_id = "listEventTypes", tag = "Event types",
    params(ListQuery),
    responses((status = 200, description = "Page of event types, newest first.", body = EventTypeList))
)]
pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
    QueryParams(query): QueryParams<ListQuery>,
) -> Result<Json<EventTypeList>, ApiError> {
    list_of(&api, caller.tenant, &query).await
}

/// Same for any caller of the tenant.
pub(crate) async fn list_of(api: &Api, tenant: Tenant, query: &ListQuery) -> Result<Json<EventTypeList>, ApiError> {
    check_tenant(tenant, query.org_id.as_deref(), query.env_id.as_deref())?;
    let request = page::request(query.limit.as_deref(), query.cursor.as_deref(), EventTypeId::from_bytes)?;
    let page = event_types::list(&*api.store, tenant, request).await?;
    let cursor = page::cursor(&page, |event_type| *event_type.id.as_bytes());
    let has_more = page.has_more;
    Ok(Json(EventTypeList { event_types: page.items.into_iter().map(EventType::from).collect(), cursor, has_more }))
}

/// Create an event type
///
/// If it has a JSON Schema, a message of this type whose payload does not match is refused with 422.
#[utoipa::path(
    post, path = "/event-types", operation_id = "createEventType", tag = "Event types",
    request_body = CreateEventType,
    responses(
        (status = 201, description = "Created.", body = EventTypeAnswer),
        (status = 409, description = "Another event type has this name (`name_taken`).", body = crate::http::error::ErrorBody)
    )
)]
pub(crate) async fn create(
    State(api): State<Api>,
    caller: Caller,
    audited: AuditedCaller,
    headers: HeaderMap,
    body: RawBody,
) -> Result<Response, ApiError> {
    let input: CreateEventType<'_> = body.parse()?;
    let caller = caller.within(&api, input.org_id.as_deref(), input.env_id.as_deref(), Scope::write(Resource::EventTypes)).await?;
    let key = idempotency::key(&headers, "POST /v1/event-types", &body.0)?;
    rules::check_name(&input.name)?;
    if let Some(description) = &input.description {
        application::check_description(description)?;
    }
    let json_schema = match input.json_schema {
        Some(raw) => Some(schema(&api, caller.tenant, raw).await?),
        None => None,
    };
    let act = audited.act(&api);
    let now = act.at;
    let event_type = Model {
        id: api.engine.new_id().into(),
        tenant: caller.tenant,
        name: input.name,
        description: input.description,
        json_schema,
        status: EventTypeStatus::Active,
        created_at: now,
        updated_at: now,
    };
    let answer = EventTypeAnswer { event_type: event_type.clone().into() };
    let taken = || name_taken(&event_type.name);

    idempotency::create_once(&api, caller.tenant, key, &answer, taken, async |kept| {
        event_types::create(&*api.store, &act, &event_type, kept).await
    })
    .await
}

/// Get an event type
#[utoipa::path(
    get, path = "/event-types/{id}", operation_id = "getEventType", tag = "Event types",
    params(("id" = String, Path, description = "The event type's id or name.")),
    responses((status = 200, description = "Event type.", body = EventTypeAnswer))
)]
pub(crate) async fn get(
    State(api): State<Api>,
    caller: Caller,
    PathParams(given): PathParams<String>,
) -> Result<Json<EventTypeAnswer>, ApiError> {
    let found = find(&api, caller, &given).await?;
    Ok(Json(EventTypeAnswer { event_type: found.into() }))
}

/// Update an event type
#[utoipa::path(
    patch, path = "/event-types/{id}", operation_id = "updateEventType", tag = "Event types",
    params(("id" = String, Path, description = "The event type's id or name.")),
    request_body = UpdateEventType,
    responses((status = 200, description = "Updated event type.", body = EventTypeAnswer))
)]
pub(crate) async fn update(
    State(api): State<Api>,
    caller: Caller,
    audited: AuditedCaller,
    PathParams(given): PathParams<String>,
    body: RawBody,
) -> Result<Json<EventTypeAnswer>, ApiError> {
    let UpdateEventType { description, json_schema, status } = body.parse()?;
    if description.is_absent() && json_schema.is_absent() && status.is_absent() {
        return Err(ApiError::no_fields());
    }
    let description = description.nullable();
    if let Some(Some(description)) = &description {
        application::check_description(description)?;
    }
    let json_schema = match json_schema.nullable() {
        Some(Some(raw)) => Some(Some(schema(&api, caller.tenant, raw).await?)),
        Some(None) => Some(None),
        None => None,
    };
    let status = status.required("status")?.map(|word| EventTypeStatus::parse(&word)).transpose()?;
    let id = find(&api, caller, &given).await?.id;
    let act = audited.act(&api);
    let now = act.at;
    let changed = event_types::update(&*api.store, &act, caller.tenant, id, |event_type: &mut Model| -> Result<(), ApiError> {
        if let Some(description) = &description {
            event_type.description.clone_from(description);
        }
        if let Some(json_schema) = &json_schema {
            event_type.json_schema.clone_from(json_schema);
        }
        event_type.status = status.unwrap_or(event_type.status);
        event_type.updated_at = now;
        Ok(())
    })
    .await?
    .ok_or_else(not_found)?;
    Ok(Json(EventTypeAnswer { event_type: changed.into() }))
}

/// Delete an event type
///
/// Messages of this type are still accepted. Their payloads are no longer checked.
#[utoipa::path(
    delete, path = "/event-types/{id}", operation_id = "deleteEventType", tag = "Event types",
    params(("id" = String, Path, description = "The event type's id or name.")),
    responses((status = 200, description = "Deleted.", body = Success))
)]
pub(crate) async fn delete(
    State(api): State<Api>,
    caller: Caller,
    audited: AuditedCaller,
    PathParams(given): PathParams<String>,
) -> Result<Json<Success>, ApiError> {
    let id = find(&api, caller, &given).await?.id;
    let was_there = event_types::delete(&*api.store, &audited.act(&api), caller.tenant, id).await?;
    if was_there { Ok(Json(Success::new())) } else { Err(not_found()) }
}

/// Returns the event type that a path names by id or name. A name that looks like an id is found if no such id
/// exists.
async fn find(api: &Api, caller: Caller, given: &str) -> Result<Model, ApiError> {
    if let Ok(id) = given.parse()
        && let Some(found) = event_types::find(&*api.store, caller.tenant, id).await?
    {
        return Ok(found);
    }
    event_types::find_by_name(&*api.store, caller.tenant, given).await?.ok_or_else(not_found)
}

/// Returns the text of a schema after checking it.
async fn schema(api: &Api, tenant: Tenant, raw: &RawValue) -> Result<String, ApiError> {
    let text = json_text("json_schema", raw)?;
    api.engine.compile_schema(tenant, text.clone()).await??;
    Ok(text)
}

fn not_found() -> ApiError {
    ApiError::not_found("Event type")
}

fn name_taken(name: &str) -> ApiError {
    ApiError::new(
        ErrorCode::NameTaken,
        format!("Another event type of this environment has the name {name:?}. Update that event type, or choose another name."),
    )
}

#[cfg(test)]
mod tests;
