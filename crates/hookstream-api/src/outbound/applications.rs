//! Applications: one for each of the sender's customers.

use axum::{Json, extract::State, response::Response};
use hookstream_model::{
    base::ids::ApplicationId,
    identity::scopes::{Resource, Scope},
    outbound::application::{self as rules, Application as Model, ApplicationStatus},
};
use hookstream_store::outbound::applications::{self, Changed};
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use crate::{
    auth::{audited_caller::AuditedCaller, caller::Caller},
    http::{
        body::{Field, RawBody, Whole, json_text},
        error::{ApiError, ErrorCode},
        idempotency, page,
        params::{PathParams, QueryParams},
        portal_settings::{PortalThemeFields, json_of, portal_theme},
        shapes::{ListQuery, Success},
    },
    state::Api,
};

/// Application: one of your customers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Application {
    #[schema(example = "019dc1e2a3b47c5d8e9f001122334455")]
    id: String,
    org_id: String,
    env_id: String,
    /// Name.
    #[schema(example = "Acme Inc.")]
    name: String,
    /// Your own id of the customer, unique in the environment; `null` if none is set.
    #[schema(example = "my-saas-app")]
    uid: Option<String>,
    description: Option<String>,
    /// JSON text of an object.
    #[schema(example = "{\"plan\":\"pro\"}")]
    metadata: Option<String>,
    /// `active` or `disabled`.
    #[schema(example = "active")]
    status: &'static str,
    /// Deliveries per second over all endpoints; `null` and 0 mean no limit.
    rate_limit: Option<u32>,
    /// JSON text of an object: appearance of the portal; `null` if it is the environment's.
    portal_theme: Option<String>,
    #[schema(example = "2026-11-24T08:30:00.000Z")]
    created_at: String,
    updated_at: String,
    /// Number of endpoints. Present only on list and get.
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint_count: Option<u64>,
    /// Number of stored messages. Present only on list and get.
    #[serde(skip_serializing_if = "Option::is_none")]
    message_count: Option<u64>,
}

impl From<Model> for Application {
    fn from(application: Model) -> Self {
        Self {
            id: application.id.to_string(),
            org_id: application.tenant.organization.to_string(),
            env_id: application.tenant.environment.to_string(),
            name: application.name,
            uid: application.uid,
            description: application.description,
            metadata: application.metadata,
            status: application.status.as_str(),
            rate_limit: application.rate_limit,
            portal_theme: application.portal_theme.as_ref().map(json_of),
            created_at: application.created_at.to_string(),
            updated_at: application.updated_at.to_string(),
            endpoint_count: None,
            message_count: None,
        }
    }
}

/// Answer with an application.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ApplicationAnswer {
    application: Application,
}

/// Page of applications.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ApplicationList {
    applications: Vec<Application>,
    /// Cursor of the next page; `null` on the last page.
    cursor: Option<String>,
    has_more: bool,
}

/// New application.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateApplication<'a> {
    /// Name: 1 to 255 characters.
    #[schema(example = "Acme Inc.")]
    name: String,
    /// Your own id of the customer: 1 to 255 letters, digits and `. _ - ~ : @ +`, unique in the environment. Every path accepts it in place
    /// of the id.
    #[schema(example = "my-saas-app")]
    uid: Option<String>,
    /// Description: at most 4,096 characters.
    #[schema(example = "Customer since 2026")]
    description: Option<String>,
    /// Your own data: an object of at most 16 KiB, or its JSON text.
    #[serde(borrow)]
    #[schema(value_type = Option<Object>)]
    metadata: Option<&'a RawValue>,
    /// Deliveries per second over all endpoints; `null` and 0 mean no limit.
    #[schema(value_type = Option<u32>, example = 0)]
    rate_limit: Option<Whole<u32>>,
    /// Appearance of the portal: an object or its JSON text. Fields without a value are the environment's.
    #[serde(borrow)]
    #[schema(value_type = Option<PortalThemeFields>)]
    portal_theme: Option<&'a RawValue>,
    /// Id of the organization. The default is the caller's organization.
    org_id: Option<String>,
    /// Id of the environment. The default is the caller's environment.
    env_id: Option<String>,
}

/// Changes of an application. Fields that are left out keep their values.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateApplication<'a> {
    /// Name: 1 to 255 characters.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "Acme Inc.")]
    name: Field<String>,
    /// Your own id of the customer: 1 to 255 letters, digits and `. _ - ~ : @ +`, unique in the environment; `null` removes it.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    uid: Field<String>,
    /// Description: at most 4,096 characters; `null` removes it.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "Customer since 2026")]
    description: Field<String>,
    /// Your own data: an object of at most 16 KiB, or its JSON text; `null` removes it.
    #[serde(default, borrow)]
    #[schema(value_type = Option<Object>)]
    metadata: Field<&'a RawValue>,
    /// `active` or `disabled`. A disabled application accepts no messages.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "active")]
    status: Field<String>,
    /// Deliveries per second over all endpoints; `null` and 0 mean no limit.
    #[serde(default)]
    #[schema(value_type = Option<u32>, example = 0)]
    rate_limit: Field<Whole<u32>>,
    /// Appearance of the portal: an object or its JSON text. Fields without a value are the environment's; `null` removes it.
    #[serde(default, borrow)]
    #[schema(value_type = Option<PortalThemeFields>)]
    portal_theme: Field<&'a RawValue>,
}

/// Filter of applications.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct SearchQuery {
    /// Only applications whose name or `uid` contains this text, ignoring case.
    search: Option<String>,
}

/// List applications
///
/// Applications are listed newest first, each with its number of endpoints and of stored messages.
#[utoipa::path(
    get, path = "/applications", operation_id = "listApplications", tag = "Applications",
    params(ListQuery, SearchQuery),
    responses((status = 200, description = "Page of applications.", body = ApplicationList))
)]
pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
    QueryParams(query): QueryParams<ListQuery>,
    QueryParams(SearchQuery { search }): QueryParams<SearchQuery>,
) -> Result<Json<ApplicationList>, ApiError> {
    caller.check_tenant(query.org_id.as_deref(), query.env_id.as_deref())?;
    let request = page::request(query.limit.as_deref(), query.cursor.as_deref(), ApplicationId::from_bytes)?;
    let search = search.as_deref().filter(|search| !search.is_empty());
    let page = applications::list(&*api.store, caller.tenant, search, request).await?;
    let cursor = page::cursor(&page, |application| *application.id.as_bytes());
    let has_more = page.has_more;
    Ok(Json(ApplicationList { applications: with_counts(&api, caller, page.items).await?, cursor, has_more }))
}

/// Create an application
///
/// Create one application for each of your customers. An application has endpoints, and messages are sent to it.
#[utoipa::path(
    post, path = "/applications", operation_id = "createApplication", tag = "Applications",
    request_body = CreateApplication,
    responses(
        (status = 201, description = "Created.", body = ApplicationAnswer),
        (status = 409, description = "Another application has this `uid` (`uid_taken`).", body = crate::http::error::ErrorBody)
    )
)]
pub(crate) async fn create(
    State(api): State<Api>,
    caller: Caller,
    audited: AuditedCaller,
    headers: HeaderMap,
    body: RawBody,
) -> Result<Response, ApiError> {
    let input: CreateApplication<'_> = body.parse()?;
    let caller = caller.within(&api, input.org_id.as_deref(), input.env_id.as_deref(), Scope::write(Resource::Applications)).await?;
    let key = idempotency::key(&headers, "POST /v1/applications", &body.0)?;
    rules::check_name(&input.name)?;
    if let Some(uid) = &input.uid {
        check_uid(&api, caller, uid, None).await?;
    }
    if let Some(description) = &input.description {
        rules::check_description(description)?;
    }
    let act = audited.act(&api);
    let now = act.at;
    let application = Model {
        id: api.engine.new_id().into(),
        tenant: caller.tenant,
        name: input.name,
        uid: input.uid,
        description: input.description,
        metadata: input.metadata.map(metadata).transpose()?,
        status: ApplicationStatus::Active,
        rate_limit: input.rate_limit.map(Whole::number),
        portal_theme: input.portal_theme.map(portal_theme).transpose()?,
        created_at: now,
        updated_at: now,
    };
    let answer = ApplicationAnswer { application: application.clone().into() };
    let taken = || uid_taken(application.uid.as_deref().unwrap_or_default());
    idempotency::create_once(&api, caller.tenant, key, &answer, taken, async |kept| {
        applications::create(&*api.store, &act, &application, kept).await
    })
    .await
}

/// Get an application
#[utoipa::path(
    get, path = "/applications/{appId}", operation_id = "getApplication", tag = "Applications",
    params(("appId" = String, Path, description = "The application's id or `uid`.")),
    responses((status = 200, description = "Application, with its counts.", body = ApplicationAnswer))
)]
pub(crate) async fn get(
    State(api): State<Api>,
    caller: Caller,
    PathParams(app): PathParams<String>,
) -> Result<Json<ApplicationAnswer>, ApiError> {
    let id = resolve(&api, caller, &app).await?;
    let found = applications::find(&*api.store, caller.tenant, id).await?.ok_or_else(not_found)?;
    let mut counted = with_counts(&api, caller, vec![found]).await?;
    let application = counted.pop().ok_or_else(not_found)?;
    Ok(Json(ApplicationAnswer { application }))
}

/// Update an application
#[utoipa::path(
    patch, path = "/applications/{appId}", operation_id = "updateApplication", tag = "Applications",
    params(("appId" = String, Path, description = "The application's id or `uid`.")),
    request_body = UpdateApplication,
    responses(
        (status = 200, description = "Updated application.", body = ApplicationAnswer),
        (status = 409, description = "Another application has this `uid` (`uid_taken`).", body = crate::http::error::ErrorBody)
    )
)]
pub(crate) async fn update(
    State(api): State<Api>,
    caller: Caller,
    audited: AuditedCaller,
    PathParams(app): PathParams<String>,
    body: RawBody,
) -> Result<Json<ApplicationAnswer>, ApiError> {
    let input: UpdateApplication<'_> = body.parse()?;
    let UpdateApplication { name, uid, description, metadata: given, status, rate_limit, portal_theme: theme } = input;
    let names_absent = name.is_absent() && uid.is_absent();
    if names_absent && description.is_absent() && given.is_absent() && status.is_absent() && rate_limit.is_absent() && theme.is_absent() {
        return Err(ApiError::no_fields());
    }
    let name = name.required("name")?;
    let uid = uid.nullable();
    let description = description.nullable();
    let given = given.try_map(metadata)?.nullable();
    let status = status.required("status")?.map(|word| ApplicationStatus::parse(&word)).transpose()?;
    let rate_limit = rate_limit.number().nullable();
    let theme = theme.try_map(portal_theme)?.nullable();
    if let Some(name) = &name {
        rules::check_name(name)?;
    }
    if let Some(Some(description)) = &description {
        rules::check_description(description)?;
    }
    let id = resolve(&api, caller, &app).await?;
    if let Some(Some(uid)) = &uid {
        check_uid(&api, caller, uid, Some(id)).await?;
    }
    let act = audited.act(&api);
    let now = act.at;
    let changed = applications::update(&*api.store, &act, caller.tenant, id, |application: &mut Model| -> Result<(), ApiError> {
        if let Some(name) = &name {
            application.name.clone_from(name);
        }
        if let Some(uid) = &uid {
            application.uid.clone_from(uid);
        }
        if let Some(description) = &description {
            application.description.clone_from(description);
        }
        if let Some(given) = &given {
            application.metadata.clone_from(given);
        }
        application.status = status.unwrap_or(application.status);
        application.rate_limit = rate_limit.unwrap_or(application.rate_limit);
        if let Some(theme) = &theme {
            application.portal_theme.clone_from(theme);
        }
        application.updated_at = now;
        Ok(())
    })
    .await?;
    match changed {
        Changed::Done(application) => Ok(Json(ApplicationAnswer { application: (*application).into() })),
        Changed::NotFound => Err(not_found()),
        Changed::UidTaken => Err(uid_taken(uid.flatten().as_deref().unwrap_or_default())),
    }
}

/// Delete an application
///
/// Its endpoints are deleted too, and their pending deliveries are cancelled. Its messages are kept until their retention ends, but can no
/// longer be read. A deleted application cannot be restored.
#[utoipa::path(
    delete, path = "/applications/{appId}", operation_id = "deleteApplication", tag = "Applications",
    params(("appId" = String, Path, description = "The application's id or `uid`.")),
    responses((status = 200, description = "Deleted.", body = Success))
)]
pub(crate) async fn delete(
    State(api): State<Api>,
    caller: Caller,
    audited: AuditedCaller,
    PathParams(app): PathParams<String>,
) -> Result<Json<Success>, ApiError> {
    let id = resolve(&api, caller, &app).await?;
    let was_there = applications::delete(&*api.store, &audited.act(&api), caller.tenant, id).await?;
    if was_there { Ok(Json(Success::new())) } else { Err(not_found()) }
}

/// Returns the id of the application that a path names by id or `uid`.
pub(crate) async fn resolve(api: &Api, caller: Caller, reference: &str) -> Result<ApplicationId, ApiError> {
    let routes = api.engine.applications().resolve_now(caller.tenant, reference).await?.ok_or_else(not_found)?;
    Ok(routes.id())
}

async fn with_counts(api: &Api, caller: Caller, found: Vec<Model>) -> Result<Vec<Application>, ApiError> {
    let messages = api.store.message_counts(found.iter().map(|application| application.id.into()).collect()).await?;
    let mut counted = Vec::with_capacity(found.len());
    for (application, message_count) in found.into_iter().zip(messages) {
        let endpoint_count = applications::endpoint_count(&*api.store, caller.tenant, application.id).await?;
        let shown = Application::from(application);
        counted.push(Application { endpoint_count: Some(endpoint_count), message_count: Some(message_count), ..shown });
    }
    Ok(counted)
}

/// Checks a `uid`: its form, and that it is not the id of another application, because paths accept both.
async fn check_uid(api: &Api, caller: Caller, uid: &str, own: Option<ApplicationId>) -> Result<(), ApiError> {
    rules::check_uid(uid)?;
    if let Ok(id) = uid.parse::<ApplicationId>()
        && own != Some(id)
        && applications::find(&*api.store, caller.tenant, id).await?.is_some()
    {
        return Err(uid_taken(uid));
    }
    Ok(())
}

pub(crate) fn metadata(raw: &RawValue) -> Result<String, ApiError> {
    let text = json_text("metadata", raw)?;
    rules::check_metadata(&text)?;
    Ok(text)
}

fn not_found() -> ApiError {
    ApiError::not_found("Application")
}

fn uid_taken(uid: &str) -> ApiError {
    ApiError::new(
        ErrorCode::UidTaken,
        format!("Another application of this environment has the uid or id {uid:?}. Choose another uid, or update that application."),
    )
}

#[cfg(test)]
mod tests;
