//! Environments: isolated sets of applications, messages and keys in an organization, with their limits.

use axum::{Json, extract::State, response::Response};
use hookstream_model::{
    base::ids::EnvironmentId,
    identity::{
        environment::Environment as Model,
        scopes::{Resource, Scope},
        tenancy::{KeyLevel, Tenant},
    },
    operations::quota::{Quota, Quotas},
};
use hookstream_store::{
    identity::environments::{self, Changed, Deleted, Restored},
    operations::quotas::Reached,
};
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::{
    auth::{
        audited_caller::AuditedCaller,
        caller::{Caller, CallerIdentity},
    },
    http::{
        body::{Field, Flag, OrText, RawBody, Whole},
        error::{ApiError, ErrorCode},
        idempotency,
        params::{PathParams, id},
        portal_settings::{PortalSettings, PortalThemeFields, json_of},
        shapes::Success,
    },
    state::Api,
};

/// Environment: applications, messages and API keys isolated from those of other environments.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Environment {
    #[schema(example = "019dc1e2a3b47c5d8e9f001122334455")]
    id: String,
    org_id: String,
    /// Name.
    #[schema(example = "Production")]
    name: String,
    /// Short name for URLs, unique in the organization.
    #[schema(example = "production")]
    slug: String,
    /// Days for which messages are kept; `null` means the installation's retention.
    #[schema(example = 14)]
    retention_days: Option<u32>,
    /// Days for which payloads are kept; `null` means the installation's payload retention.
    #[schema(example = 3)]
    payload_retention_days: Option<u32>,
    /// Storage budget: bytes that payloads may use in the store; `null` means the installation's limit.
    #[schema(example = 10_737_418_240_u64)]
    max_payload_bytes: Option<u64>,
    /// Share of delivery capacity relative to other environments: 1 to 100; `null` means 1.
    #[schema(example = 1)]
    weight: Option<u32>,
    /// 1 if the portal reveals signing secrets to customers, 0 otherwise.
    #[schema(example = 1)]
    portal_reveal_secrets: u8,
    /// 1 if the environment serves customers, 0 otherwise. The dashboard marks other environments.
    #[schema(example = 1)]
    is_production: u8,
    /// 1 if deliveries pass the trace context of the sender (`traceparent`, `tracestate`) on to receivers, 0 otherwise.
    #[schema(example = 0)]
    forward_trace_context: u8,
    /// JSON text of a list: origins whose pages may embed the portal in a frame.
    #[schema(example = "[\"https://app.example.com\"]")]
    portal_frame_origins: String,
    /// JSON text of an object: appearance of the portal, where an application has none of its own; `null` if none is set.
    #[schema(example = "{\"primary_color\":\"2f55e0\"}")]
    portal_theme: Option<String>,
    /// URL of the page of your product that shows the portal; `null` if none is set.
    #[schema(example = "https://app.example.com/webhooks?customer={application_uid}")]
    portal_url: Option<String>,
    #[schema(example = "2026-11-24T08:30:00.000Z")]
    created_at: String,
    /// Time of deletion; `null` if it is not deleted. A deleted environment can be restored until it is removed.
    deleted_at: Option<String>,
}

impl From<Model> for Environment {
    fn from(environment: Model) -> Self {
        Self {
            id: environment.id.to_string(),
            org_id: environment.organization_id.to_string(),
            name: environment.name,
            slug: environment.slug,
            retention_days: environment.retention_days,
            payload_retention_days: environment.payload_retention_days,
            max_payload_bytes: environment.max_payload_bytes,
            weight: environment.weight,
            portal_reveal_secrets: u8::from(environment.portal_reveal_secrets),
            is_production: u8::from(environment.is_production),
            forward_trace_context: u8::from(environment.forward_trace_context),
            portal_frame_origins: json_of(&environment.portal_frame_origins),
            portal_theme: environment.portal_theme.as_ref().map(json_of),
            portal_url: environment.portal_url,
            created_at: environment.created_at.to_string(),
            deleted_at: environment.deleted_at.map(|at| at.to_string()),
        }
    }
}

/// Answer with an environment.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EnvironmentAnswer {
    environment: Environment,
}

/// Environments of an organization.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EnvironmentList {
    /// Environments, oldest first.
    environments: Vec<Environment>,
}

/// New environment.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateEnvironment {
    /// Name: 1 to 255 characters.
    #[schema(example = "Staging")]
    name: String,
    /// Short name for URLs: 1 to 64 lower-case letters, digits and `-`, unique in the organization.
    #[schema(example = "staging")]
    slug: String,
    /// Whether the environment serves customers: 1 or 0 (the default), `true` or `false`.
    #[serde(default)]
    #[schema(value_type = Option<u8>, example = 0)]
    is_production: Option<Flag>,
    /// Id of the organization. The default is the caller's organization.
    org_id: Option<String>,
}

/// Changes of an environment. Fields that are left out keep their values.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateEnvironment<'a> {
    /// Name: 1 to 255 characters.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "Staging")]
    name: Field<String>,
    /// Short name for URLs: 1 to 64 lower-case letters, digits and `-`, unique in the organization.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    slug: Field<String>,
    /// Days for which messages are kept: 1 to the installation's retention; `null` means the installation's retention.
    #[serde(default)]
    #[schema(value_type = Option<u32>, minimum = 1, example = 14)]
    retention_days: Field<Whole<u32>>,
    /// Days for which payloads are kept: 1 to `retention_days`; `null` means the installation's payload retention.
    #[serde(default)]
    #[schema(value_type = Option<u32>, minimum = 1, example = 3)]
    payload_retention_days: Field<Whole<u32>>,
    /// Storage budget: bytes that payloads may use in the store, at least 1; `null` means the installation's limit.
    #[serde(default)]
    #[schema(value_type = Option<u64>, minimum = 1, example = 10_737_418_240_u64)]
    max_payload_bytes: Field<Whole<u64>>,
    /// Share of delivery capacity relative to other environments: 1 to 100; `null` means 1.
    #[serde(default)]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 100, example = 1)]
    weight: Field<Whole<u32>>,
    /// Whether the portal reveals signing secrets to customers: 1 (the default) or 0, `true` or `false`.
    #[serde(default)]
    #[schema(value_type = Option<u8>, example = 1)]
    portal_reveal_secrets: Field<Flag>,
    /// Whether the environment serves customers: 1 or 0, `true` or `false`.
    #[serde(default)]
    #[schema(value_type = Option<u8>, example = 1)]
    is_production: Field<Flag>,
    /// Whether deliveries pass the trace context of the sender (`traceparent`, `tracestate`) on to receivers: 1 or 0 (the default), `true`
    /// or `false`.
    #[serde(default)]
    #[schema(value_type = Option<u8>, example = 0)]
    forward_trace_context: Field<Flag>,
    /// Origins whose pages may embed the portal in a frame, at most 20: a list or its JSON text.
    #[serde(default, borrow)]
    #[schema(value_type = Option<OrText<Vec<String>>>, inline)]
    portal_frame_origins: Field<&'a RawValue>,
    /// Appearance of the portal, where an application has none of its own: an object or its JSON text; `null` removes it.
    #[serde(default, borrow)]
    #[schema(value_type = Option<PortalThemeFields>)]
    portal_theme: Field<&'a RawValue>,
    /// URL of the page of your product that shows the portal, for links in mail to customers: `https` or `http`, at most 2,048 characters.
    /// `{application_id}`, `{application_uid}` and `{endpoint_id}` in it are replaced. `null` removes it.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "https://app.example.com/webhooks?customer={application_uid}")]
    portal_url: Field<String>,
}

/// List environments
///
/// Environments of the caller's organization are listed, including deleted ones until they are removed.
#[utoipa::path(
    get, path = "/environments", operation_id = "listEnvironments", tag = "Environments",
    responses((status = 200, description = "All environments of the organization.", body = EnvironmentList))
)]
pub(crate) async fn list(State(api): State<Api>, caller: Caller) -> Result<Json<EnvironmentList>, ApiError> {
    let found = environments::list(&*api.store, caller.tenant.organization).await?;
    Ok(Json(EnvironmentList { environments: found.into_iter().map(Environment::from).collect() }))
}

/// Create an environment
///
/// It is isolated from the other environments. Retention and limits are the installation's until they are changed.
#[utoipa::path(
    post, path = "/environments", operation_id = "createEnvironment", tag = "Environments",
    request_body = CreateEnvironment,
    responses(
        (status = 201, description = "Created.", body = EnvironmentAnswer),
        (status = 409, description = "Another environment of the organization has this `slug` (`slug_taken`).", body = crate::http::error::ErrorBody)
    )
)]
pub(crate) async fn create(
    State(api): State<Api>,
    caller: Caller,
    audited: AuditedCaller,
    headers: HeaderMap,
    body: RawBody,
) -> Result<Response, ApiError> {
    let input: CreateEnvironment = body.parse()?;
    let caller = caller.within(&api, input.org_id.as_deref(), None, Scope::write(Resource::Environments)).await?;
    let idempotency_key = idempotency::key(&headers, "POST /v1/environments", &body.0)?;
    let act = audited.act(&api);
    let environment = Model {
        id: api.engine.new_id().into(),
        organization_id: caller.tenant.organization,
        name: input.name,
        slug: input.slug,
        retention_days: None,
        payload_retention_days: None,
        max_payload_bytes: None,
        weight: None,
        portal_reveal_secrets: true,
        is_production: input.is_production.is_some_and(Flag::is_set),
        forward_trace_context: false,
        portal_frame_origins: vec![],
        portal_theme: None,
        portal_url: None,
        quotas: Quotas::default(),
        created_at: act.at,
        deleted_at: None,
    };
    environment.check(api.installation_limits())?;
    let answer = EnvironmentAnswer { environment: environment.clone().into() };
    idempotency::create_once(&api, caller.tenant, idempotency_key, &answer, slug_taken, async |kept| {
        environments::create(&*api.store, &act, &environment, caller.tenant, kept).await
    })
    .await
}

/// Get an environment
#[utoipa::path(
    get, path = "/environments/{envId}", operation_id = "getEnvironment", tag = "Environments",
    params(("envId" = String, Path, description = "The environment's id.")),
    responses((status = 200, description = "Environment.", body = EnvironmentAnswer))
)]
pub(crate) async fn get(
    State(api): State<Api>,
    caller: Caller,
    PathParams(environment): PathParams<String>,
) -> Result<Json<EnvironmentAnswer>, ApiError> {
    let found = find(&api, caller, &environment).await?;
    Ok(Json(EnvironmentAnswer { environment: found.into() }))
}

/// Update an environment
///
/// Payloads over the storage budget are removed within seconds, oldest first. Messages and payloads older than their retention are removed
/// within minutes, one day (UTC) at a time. Payloads of pending deliveries are never removed. A key of the level `environment` can update
/// only its own environment.
#[utoipa::path(
    patch, path = "/environments/{envId}", operation_id = "updateEnvironment", tag = "Environments",
    params(("envId" = String, Path, description = "The environment's id.")),
    request_body = UpdateEnvironment,
    responses(
        (status = 200, description = "Updated environment.", body = EnvironmentAnswer),
        (status = 403, description = "The environment is not the key's own (`other_environment`), or `retention_days` exceeds the organization's quota (`quota_reached`).", body = crate::http::error::ErrorBody),
        (status = 409, description = "Another environment of the organization has this `slug` (`slug_taken`).", body = crate::http::error::ErrorBody)
    )
)]
pub(crate) async fn update(
    State(api): State<Api>,
    caller: Caller,
    audited: AuditedCaller,
    PathParams(environment): PathParams<String>,
    body: RawBody,
) -> Result<Json<EnvironmentAnswer>, ApiError> {
    let input: UpdateEnvironment<'_> = body.parse()?;
    let portal = PortalSettings::read(input.portal_reveal_secrets, input.portal_frame_origins, input.portal_theme, input.portal_url)?;
    let UpdateEnvironment {
        name,
        slug,
        retention_days,
        payload_retention_days,
        max_payload_bytes,
        weight,
        is_production,
        forward_trace_context,
        ..
    } = input;
    let ages_absent = retention_days.is_absent() && payload_retention_days.is_absent();
    let flags_absent = is_production.is_absent() && forward_trace_context.is_absent();
    let rest_absent = max_payload_bytes.is_absent() && weight.is_absent() && flags_absent && portal.is_absent();
    if name.is_absent() && slug.is_absent() && ages_absent && rest_absent {
        return Err(ApiError::no_fields());
    }
    let (name, slug) = (name.required("name")?, slug.required("slug")?);
    let (retention_days, payload_retention_days) = (retention_days.number().nullable(), payload_retention_days.number().nullable());
    let (max_payload_bytes, weight) = (max_payload_bytes.number().nullable(), weight.number().nullable());
    let is_production = is_production.required("is_production")?.map(Flag::is_set);
    let forward_trace_context = forward_trace_context.required("forward_trace_context")?.map(Flag::is_set);
    let found = find(&api, caller, &environment).await?;
    let is_of_organization = matches!(caller.identity, CallerIdentity::Key(_, KeyLevel::Organization) | CallerIdentity::Person(..));
    if found.id != caller.tenant.environment && !is_of_organization {
        let message = "The API key belongs to another environment. Use a key of this environment, or a key with the level `organization`.";
        return Err(ApiError::new(ErrorCode::OtherEnvironment, message));
    }
    let limits = api.installation_limits();
    if let (Some(Some(days)), Some(most)) = (retention_days, found.quotas.get(Quota::RetentionDays))
        && u64::from(days) > most
    {
        return Err(Reached { quota: Quota::RetentionDays, most }.into());
    }
    let tenant = Tenant { environment: found.id, ..caller.tenant };
    let changed = environments::update(&*api.store, &audited.act(&api), tenant, |environment: &mut Model| -> Result<(), ApiError> {
        if let Some(name) = &name {
            environment.name.clone_from(name);
        }
        if let Some(slug) = &slug {
            environment.slug.clone_from(slug);
        }
        environment.retention_days = retention_days.unwrap_or(environment.retention_days);
        environment.payload_retention_days = payload_retention_days.unwrap_or(environment.payload_retention_days);
        environment.max_payload_bytes = max_payload_bytes.unwrap_or(environment.max_payload_bytes);
        environment.weight = weight.unwrap_or(environment.weight);
        environment.is_production = is_production.unwrap_or(environment.is_production);
        environment.forward_trace_context = forward_trace_context.unwrap_or(environment.forward_trace_context);
        portal.apply(environment);
        Ok(environment.check(limits)?)
    })
    .await?;
    match changed {
        Changed::Done(environment) => Ok(Json(EnvironmentAnswer { environment: (*environment).into() })),
        Changed::NotFound => Err(not_found()),
        Changed::SlugTaken => Err(slug_taken()),
    }
}

/// Delete an environment
///
/// When the answer arrives, every node refuses the environment's API keys. Accepted messages are still delivered. The environment can be
/// restored for some days (setting `deletion_grace_days`), then it is removed with all its data. The last environment of an organization
/// cannot be deleted.
#[utoipa::path(
    delete, path = "/environments/{envId}", operation_id = "deleteEnvironment", tag = "Environments",
    params(("envId" = String, Path, description = "The environment's id.")),
    responses(
        (status = 200, description = "Deleted.", body = Success),
        (status = 409, description = "The environment is the organization's last one (`last_environment`).", body = crate::http::error::ErrorBody)
    )
)]
pub(crate) async fn delete(
    State(api): State<Api>,
    caller: Caller,
    audited: AuditedCaller,
    PathParams(environment): PathParams<String>,
) -> Result<Json<Success>, ApiError> {
    let found = find(&api, caller, &environment).await?;
    let tenant = Tenant { organization: found.organization_id, environment: found.id };
    match environments::delete(&*api.store, &audited.act(&api), tenant).await? {
        Deleted::Done => {}
        Deleted::NotFound => return Err(not_found()),
        Deleted::Last => {
            let message =
                "The organization's last environment cannot be deleted. Create another environment first, or delete the organization.";
            return Err(ApiError::new(ErrorCode::LastEnvironment, message));
        }
    }
    api.engine.wait_for_every_node().await;
    Ok(Json(Success::new()))
}

/// Restore an environment
///
/// Its API keys are accepted again.
#[utoipa::path(
    post, path = "/environments/{envId}/restore", operation_id = "restoreEnvironment", tag = "Environments",
    params(("envId" = String, Path, description = "The environment's id.")),
    responses(
        (status = 200, description = "Restored environment.", body = EnvironmentAnswer),
        (status = 409, description = "The environment is not deleted (`not_deleted`).", body = crate::http::error::ErrorBody)
    )
)]
pub(crate) async fn restore(
    State(api): State<Api>,
    caller: Caller,
    audited: AuditedCaller,
    PathParams(environment): PathParams<String>,
) -> Result<Json<EnvironmentAnswer>, ApiError> {
    let found = find(&api, caller, &environment).await?;
    let tenant = Tenant { organization: found.organization_id, environment: found.id };
    match environments::restore(&*api.store, &audited.act(&api), tenant).await? {
        Restored::Done => {}
        Restored::NotFound => {
            return Err(ApiError::new(ErrorCode::NotDeleted, "The environment is not deleted, or has already been removed."));
        }
        Restored::QuotaReached(reached) => return Err(reached.into()),
    }
    Ok(Json(EnvironmentAnswer { environment: Model { deleted_at: None, ..found }.into() }))
}

fn slug_taken() -> ApiError {
    let message = "Another environment of the organization has this `slug`. Choose another.";
    ApiError::new(ErrorCode::SlugTaken, message)
}

async fn find(api: &Api, caller: Caller, environment: &str) -> Result<Model, ApiError> {
    let environment: EnvironmentId = id(environment, "Environment")?;
    environments::find(&*api.store, caller.tenant.organization, environment).await?.ok_or_else(not_found)
}

fn not_found() -> ApiError {
    ApiError::not_found("Environment")
}

#[cfg(test)]
mod tests;
