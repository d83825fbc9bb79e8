//! Organizations: the top containers, with members and environments.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use hookstream_model::{
    ids::{EnvironmentId, OrganizationId, UserId},
    member::Role,
    organization::Organization as Model,
    person::check_name,
    tenancy::Tenant,
};
use hookstream_store::{
    members::{self, Changed},
    organizations,
};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Success;
use crate::{
    acting::Acting,
    auth::{Caller, Who},
    body::RawBody,
    error::ApiError,
    params::{PathParams, id},
    signed_in::Person,
    state::{AllowOrganizations, Api},
};

/// What has members and environments.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Organization {
    #[schema(example = "019dc1e2a3b47c5d8e9f001122334455")]
    id: String,
    #[schema(example = "Example Ltd")]
    name: String,
    created_at: String,
    /// When it was deleted; until it is removed it can be restored.
    deleted_at: Option<String>,
    /// What the caller is in it; `null` for an API key.
    #[schema(example = "owner")]
    role: Option<&'static str>,
}

impl Organization {
    fn new(organization: Model, role: Option<Role>) -> Self {
        Self {
            id: organization.id.to_string(),
            name: organization.name,
            created_at: organization.created_at.to_string(),
            deleted_at: organization.deleted_at.map(|at| at.to_string()),
            role: role.map(Role::as_str),
        }
    }
}

/// An organization, wrapped.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OrganizationAnswer {
    organization: Organization,
}

/// Somebody's organizations.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OrganizationList {
    /// Oldest first; at most 1,000.
    organizations: Vec<Organization>,
    /// Always `null`: there are no further pages.
    cursor: Option<String>,
    has_more: bool,
}

/// An organization to make or to rename.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NameOrganization {
    /// 1 to 255 characters.
    #[schema(example = "Example Ltd")]
    name: String,
}

/// Whom an organization is to belong to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TransferOwnership {
    /// A member.
    user_id: String,
}

/// List one's organizations
///
/// Those that somebody is a member of, deleted ones included until they are removed.
#[utoipa::path(
    get, path = "/organizations", operation_id = "listOrganizations", tag = "Organizations", security(("session" = [])),
    responses((status = 200, description = "All of them.", body = OrganizationList))
)]
pub(crate) async fn list(State(api): State<Api>, Person(person): Person) -> Result<Json<OrganizationList>, ApiError> {
    let of_user = organizations::of_user(&*api.store, person.user.id).await?;
    let organizations = of_user.into_iter().map(|(organization, role)| Organization::new(organization, Some(role))).collect();
    Ok(Json(OrganizationList { organizations, cursor: None, has_more: false }))
}

/// Make an organization
///
/// With an environment `production`. Whoever makes it is its owner.
#[utoipa::path(
    post, path = "/organizations", operation_id = "createOrganization", tag = "Organizations", security(("session" = [])),
    request_body = NameOrganization,
    responses((status = 201, description = "It is made.", body = OrganizationAnswer))
)]
pub(crate) async fn create(State(api): State<Api>, Person(person): Person, acting: Acting, body: RawBody) -> Result<Response, ApiError> {
    let NameOrganization { name } = body.parse()?;
    check_name(&name)?;
    check_may_create(&api, person.user.id).await?;
    let tenant = Tenant { organization: api.engine.new_id().into(), environment: EnvironmentId::from(api.engine.new_id()) };
    let made = organizations::create_owned(&*api.store, &acting.act(&api), tenant, &name, person.user.id).await?;
    let answer = OrganizationAnswer { organization: Organization::new(made, Some(Role::Owner)) };
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

/// The most organizations that one person may own.
const OWNED_MAX: usize = 100;

/// Organizations have quotas of their own, so who may create them is the operator's to say.
async fn check_may_create(api: &Api, person: UserId) -> Result<(), ApiError> {
    let refuse = |message: String| Err(ApiError::new(StatusCode::FORBIDDEN, "organizations_not_allowed", message));
    let of_person = organizations::of_user(&*api.store, person).await?;
    let first = organizations::first(&*api.store).await?;
    let is_operator = of_person.iter().any(|(organization, role)| {
        *role == Role::Owner && organization.deleted_at.is_none() && first.is_some_and(|first| first.organization == organization.id)
    });
    match api.options.allow_organizations {
        AllowOrganizations::Anyone => {}
        AllowOrganizations::Operator if is_operator => {}
        AllowOrganizations::Operator => {
            return refuse("Only owners of the first organization create organizations here (setting allow_organizations).".to_owned());
        }
        AllowOrganizations::Nobody => {
            return refuse("Creating organizations is switched off on this installation (setting allow_organizations).".to_owned());
        }
    }
    let owned = of_person.iter().filter(|(_, role)| *role == Role::Owner).count();
    if owned >= OWNED_MAX {
        return refuse(format!("You own {owned} organizations; at most {OWNED_MAX} are allowed. Delete one, or hand one over."));
    }
    Ok(())
}

/// Get an organization
#[utoipa::path(
    get, path = "/organizations/{orgId}", operation_id = "getOrganization", tag = "Organizations",
    params(("orgId" = String, Path, description = "The organization's id.")),
    responses((status = 200, description = "It.", body = OrganizationAnswer))
)]
pub(crate) async fn get(
    State(api): State<Api>,
    caller: Caller,
    PathParams(organization): PathParams<String>,
) -> Result<Json<OrganizationAnswer>, ApiError> {
    let id = own(caller, &organization)?;
    answer(&api, caller, id).await
}

/// Rename an organization
#[utoipa::path(
    patch, path = "/organizations/{orgId}", operation_id = "updateOrganization", tag = "Organizations",
    params(("orgId" = String, Path, description = "The organization's id.")),
    request_body = NameOrganization,
    responses((status = 200, description = "What it has become.", body = OrganizationAnswer))
)]
pub(crate) async fn update(
    State(api): State<Api>,
    caller: Caller,
    acting: Acting,
    PathParams(organization): PathParams<String>,
    body: RawBody,
) -> Result<Json<OrganizationAnswer>, ApiError> {
    let NameOrganization { name } = body.parse()?;
    check_name(&name)?;
    let id = own(caller, &organization)?;
    if !organizations::rename(&*api.store, &acting.act(&api), id, &name).await? {
        return Err(not_found());
    }
    answer(&api, caller, id).await
}

/// Delete an organization
///
/// For an owner who is signed in. From then on nobody gets into it: its API keys are refused on every node when this
/// answers. What was accepted goes on being delivered. For some days (setting `deletion_grace_days`) an owner can restore
/// it; then it is removed with all that it has.
#[utoipa::path(
    delete, path = "/organizations/{orgId}", operation_id = "deleteOrganization", tag = "Organizations",
    params(("orgId" = String, Path, description = "The organization's id.")),
    responses((status = 200, description = "It is deleted.", body = Success))
)]
pub(crate) async fn delete(
    State(api): State<Api>,
    caller: Caller,
    acting: Acting,
    PathParams(organization): PathParams<String>,
) -> Result<Json<Success>, ApiError> {
    let id = own(caller, &organization)?;
    let owner = owner(caller)?;
    if !organizations::delete(&*api.store, &acting.act(&api), id).await? {
        return Err(not_found());
    }
    tracing::info!(organization.id = %id, user.id = %owner, "organization deleted");
    api.engine.environment_changed(caller.tenant.environment);
    api.engine.until_heard_everywhere().await;
    Ok(Json(Success::new()))
}

/// Restore an organization
///
/// For an owner who is signed in. Its API keys are good again.
#[utoipa::path(
    post, path = "/organizations/{orgId}/restore", operation_id = "restoreOrganization", tag = "Organizations",
    params(("orgId" = String, Path, description = "The organization's id.")),
    responses(
        (status = 200, description = "It is as it was.", body = OrganizationAnswer),
        (status = 409, description = "It is not deleted.", body = crate::error::ErrorBody)
    )
)]
pub(crate) async fn restore(
    State(api): State<Api>,
    caller: Caller,
    acting: Acting,
    PathParams(organization): PathParams<String>,
) -> Result<Json<OrganizationAnswer>, ApiError> {
    let id = own(caller, &organization)?;
    owner(caller)?;
    if !organizations::restore(&*api.store, &acting.act(&api), id).await? {
        return Err(ApiError::new(StatusCode::CONFLICT, "not_deleted", "The organization is not deleted, or removed by now."));
    }
    api.engine.environment_changed(caller.tenant.environment);
    answer(&api, caller, id).await
}

/// Transfer an organization
///
/// For an owner who is signed in: a member becomes an owner in their place, and they stay as an admin.
#[utoipa::path(
    post, path = "/organizations/{orgId}/transfer-ownership", operation_id = "transferOwnership", tag = "Organizations",
    params(("orgId" = String, Path, description = "The organization's id.")),
    request_body = TransferOwnership,
    responses(
        (status = 200, description = "It is theirs.", body = Success),
        (status = 409, description = "Somebody changed the members meanwhile.", body = crate::error::ErrorBody)
    )
)]
pub(crate) async fn transfer(
    State(api): State<Api>,
    caller: Caller,
    acting: Acting,
    PathParams(organization): PathParams<String>,
    body: RawBody,
) -> Result<Json<Success>, ApiError> {
    let TransferOwnership { user_id } = body.parse()?;
    let id = own(caller, &organization)?;
    let owner = owner(caller)?;
    let to: UserId = user_id.parse().map_err(|_| ApiError::not_found("Member"))?;
    let member = members::find(&*api.store, id, to).await?.ok_or_else(|| ApiError::not_found("Member"))?;
    if to == owner {
        return Err(ApiError::invalid("user_id", "is the caller, who is an owner already"));
    }
    match members::transfer_ownership(&*api.store, &acting.act(&api), id, owner, to, member.role).await? {
        Changed::Done => Ok(Json(Success::new())),
        Changed::Moved | Changed::LastOwner => Err(super::members::moved()),
    }
}

async fn answer(api: &Api, caller: Caller, id: OrganizationId) -> Result<Json<OrganizationAnswer>, ApiError> {
    let found = organizations::find(&*api.store, id).await?.ok_or_else(not_found)?;
    let role = match caller.who {
        Who::Person(_, role) => Some(role),
        Who::Key(..) => None,
    };
    Ok(Json(OrganizationAnswer { organization: Organization::new(found, role) }))
}

/// The organization of the path, which has to be the caller's.
pub(super) fn own(caller: Caller, organization: &str) -> Result<OrganizationId, ApiError> {
    let id: OrganizationId = id(organization, "Organization")?;
    if id == caller.tenant.organization { Ok(id) } else { Err(not_found()) }
}

/// An owner who is signed in: no key ends or gives away an organization.
fn owner(caller: Caller) -> Result<UserId, ApiError> {
    match caller.who {
        Who::Person(user, Role::Owner) => Ok(user),
        Who::Person(..) | Who::Key(..) => {
            let message = "Only an owner who is signed in may do this.";
            Err(ApiError::new(StatusCode::FORBIDDEN, "owner_needed", message))
        }
    }
}

fn not_found() -> ApiError {
    ApiError::not_found("Organization")
}
