//! Organizations: the top-level tenants, with members and environments.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use hookstream_model::{
    base::ids::{EnvironmentId, OrganizationId, UserId},
    identity::{member::Role, organization::Organization as Model, tenancy::Tenant, user::check_name},
};
use hookstream_store::identity::{
    members::{self, Changed},
    organizations,
};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    auth::{
        audited_caller::AuditedCaller,
        caller::{Caller, CallerIdentity},
        person::Person,
    },
    http::{
        body::RawBody,
        error::{ApiError, ErrorCode},
        params::PathParams,
        shapes::Success,
    },
    identity::organization_access::own,
    state::{AllowOrganizations, Api},
};

/// Organization: members and environments that belong together.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Organization {
    #[schema(example = "019dc1e2a3b47c5d8e9f001122334455")]
    id: String,
    /// Name.
    #[schema(example = "Example Ltd")]
    name: String,
    created_at: String,
    /// Time of deletion; `null` if it is not deleted. A deleted organization can be restored until it is removed.
    deleted_at: Option<String>,
    /// Role of the caller: `owner`, `admin`, `developer` or `viewer`; `null` for an API key.
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

/// Answer with an organization.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OrganizationAnswer {
    organization: Organization,
}

/// Organizations of a user.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OrganizationList {
    /// Organizations, oldest first; at most 1,000.
    organizations: Vec<Organization>,
    /// Always `null`: the list has one page.
    cursor: Option<String>,
    has_more: bool,
}

/// Name of an organization.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NameOrganization {
    /// Name: 1 to 255 characters.
    #[schema(example = "Example Ltd")]
    name: String,
}

/// New owner of an organization.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TransferOwnership {
    /// User id of a member.
    #[schema(example = "019dc1e2a3b47c5d8e9f001122334455")]
    user_id: String,
}

/// List your organizations
///
/// The organizations of which the signed-in user is a member are listed, including deleted ones until they are removed.
#[utoipa::path(
    get, path = "/organizations", operation_id = "listOrganizations", tag = "Organizations", security(("session" = [])),
    responses((status = 200, description = "All organizations of the user.", body = OrganizationList))
)]
pub(crate) async fn list(State(api): State<Api>, Person(person): Person) -> Result<Json<OrganizationList>, ApiError> {
    let of_user = organizations::of_user(&*api.store, person.user.id).await?;
    let organizations = of_user.into_iter().map(|(organization, role)| Organization::new(organization, Some(role))).collect();
    Ok(Json(OrganizationList { organizations, cursor: None, has_more: false }))
}

/// Create an organization
///
/// It is created with an environment `production`. The signed-in user becomes its owner. The setting `allow_organizations` says who can
/// create organizations.
#[utoipa::path(
    post, path = "/organizations", operation_id = "createOrganization", tag = "Organizations", security(("session" = [])),
    request_body = NameOrganization,
    responses((status = 201, description = "Created.", body = OrganizationAnswer))
)]
pub(crate) async fn create(
    State(api): State<Api>,
    Person(person): Person,
    audited: AuditedCaller,
    body: RawBody,
) -> Result<Response, ApiError> {
    let NameOrganization { name } = body.parse()?;
    check_name(&name)?;
    check_may_create(&api, person.user.id).await?;
    let tenant = Tenant { organization: api.engine.new_id().into(), environment: EnvironmentId::from(api.engine.new_id()) };
    let made = organizations::create_owned(&*api.store, &audited.act(&api), tenant, &name, person.user.id).await?;
    let answer = OrganizationAnswer { organization: Organization::new(made, Some(Role::Owner)) };
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

/// Maximum number of organizations that one user may own.
const OWNED_MAX: usize = 100;

/// Checks that a user may create an organization. The operator decides, because each organization has its own quotas.
async fn check_may_create(api: &Api, person: UserId) -> Result<(), ApiError> {
    let refuse = |message: String| Err(ApiError::new(ErrorCode::OrganizationsNotAllowed, message));
    let of_person = organizations::of_user(&*api.store, person).await?;
    let first = organizations::first(&*api.store).await?;
    let is_operator = of_person.iter().any(|(organization, role)| {
        *role == Role::Owner && organization.deleted_at.is_none() && first.is_some_and(|first| first.organization == organization.id)
    });
    match api.options.allow_organizations {
        AllowOrganizations::Anyone => {}
        AllowOrganizations::Operator if is_operator => {}
        AllowOrganizations::Operator => {
            return refuse("Only owners of the first organization can create organizations (setting allow_organizations). Ask the operator of this installation.".to_owned());
        }
        AllowOrganizations::Nobody => {
            return refuse("Creating organizations is disabled on this installation (setting allow_organizations).".to_owned());
        }
    }
    let owned = of_person.iter().filter(|(_, role)| *role == Role::Owner).count();
    if owned >= OWNED_MAX {
        return refuse(format!(
            "You own {owned} organizations; at most {OWNED_MAX} are allowed. Delete one, or transfer the ownership of one."
        ));
    }
    Ok(())
}

/// Get an organization
#[utoipa::path(
    get, path = "/organizations/{orgId}", operation_id = "getOrganization", tag = "Organizations",
    params(("orgId" = String, Path, description = "Id of the organization.")),
    responses((status = 200, description = "Organization.", body = OrganizationAnswer))
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
    params(("orgId" = String, Path, description = "Id of the organization.")),
    request_body = NameOrganization,
    responses((status = 200, description = "Updated organization.", body = OrganizationAnswer))
)]
pub(crate) async fn update(
    State(api): State<Api>,
    caller: Caller,
    audited: AuditedCaller,
    PathParams(organization): PathParams<String>,
    body: RawBody,
) -> Result<Json<OrganizationAnswer>, ApiError> {
    let NameOrganization { name } = body.parse()?;
    check_name(&name)?;
    let id = own(caller, &organization)?;
    if !organizations::rename(&*api.store, &audited.act(&api), id, &name).await? {
        return Err(not_found());
    }
    answer(&api, caller, id).await
}

/// Delete an organization
///
/// Only a signed-in owner can delete an organization. When the answer arrives, every node refuses its API keys. Accepted messages are still
/// delivered. An owner can restore the organization for some days (setting `deletion_grace_days`), then it is removed with all its data.
#[utoipa::path(
    delete, path = "/organizations/{orgId}", operation_id = "deleteOrganization", tag = "Organizations",
    params(("orgId" = String, Path, description = "Id of the organization.")),
    responses((status = 200, description = "Deleted.", body = Success))
)]
pub(crate) async fn delete(
    State(api): State<Api>,
    caller: Caller,
    audited: AuditedCaller,
    PathParams(organization): PathParams<String>,
) -> Result<Json<Success>, ApiError> {
    let id = own(caller, &organization)?;
    let owner = owner(caller)?;
    if !organizations::delete(&*api.store, &audited.act(&api), id).await? {
        return Err(not_found());
    }
    tracing::info!(organization.id = %id, user.id = %owner, "organization deleted");
    api.engine.wait_for_every_node().await;
    Ok(Json(Success::new()))
}

/// Restore an organization
///
/// Only a signed-in owner can restore an organization. Its API keys are accepted again.
#[utoipa::path(
    post, path = "/organizations/{orgId}/restore", operation_id = "restoreOrganization", tag = "Organizations",
    params(("orgId" = String, Path, description = "Id of the organization.")),
    responses(
        (status = 200, description = "Restored organization.", body = OrganizationAnswer),
        (status = 409, description = "The organization is not deleted (`not_deleted`).", body = crate::http::error::ErrorBody)
    )
)]
pub(crate) async fn restore(
    State(api): State<Api>,
    caller: Caller,
    audited: AuditedCaller,
    PathParams(organization): PathParams<String>,
) -> Result<Json<OrganizationAnswer>, ApiError> {
    let id = own(caller, &organization)?;
    owner(caller)?;
    if !organizations::restore(&*api.store, &audited.act(&api), id).await? {
        return Err(ApiError::new(ErrorCode::NotDeleted, "The organization is not deleted, or has already been removed."));
    }
    answer(&api, caller, id).await
}

/// Transfer the ownership of an organization
///
/// Only a signed-in owner can transfer the ownership. The member becomes an owner, and the previous owner becomes an admin.
#[utoipa::path(
    post, path = "/organizations/{orgId}/transfer-ownership", operation_id = "transferOwnership", tag = "Organizations",
    params(("orgId" = String, Path, description = "Id of the organization.")),
    request_body = TransferOwnership,
    responses(
        (status = 200, description = "Transferred.", body = Success),
        (status = 409, description = "Another request changed the members meanwhile (`conflict`).", body = crate::http::error::ErrorBody)
    )
)]
pub(crate) async fn transfer(
    State(api): State<Api>,
    caller: Caller,
    audited: AuditedCaller,
    PathParams(organization): PathParams<String>,
    body: RawBody,
) -> Result<Json<Success>, ApiError> {
    let TransferOwnership { user_id } = body.parse()?;
    let id = own(caller, &organization)?;
    let owner = owner(caller)?;
    let new_owner: UserId = user_id.parse().map_err(|_| ApiError::not_found("Member"))?;
    let member = members::find(&*api.store, id, new_owner).await?.ok_or_else(|| ApiError::not_found("Member"))?;
    if new_owner == owner {
        return Err(ApiError::invalid("user_id", "is your own id, and you are already an owner. Send the id of another member"));
    }
    match members::transfer_ownership(&*api.store, &audited.act(&api), id, owner, new_owner, member.role).await? {
        Changed::Done => Ok(Json(Success::new())),
        Changed::Moved | Changed::LastOwner => Err(crate::identity::organization_access::moved()),
    }
}

async fn answer(api: &Api, caller: Caller, id: OrganizationId) -> Result<Json<OrganizationAnswer>, ApiError> {
    let found = organizations::find(&*api.store, id).await?.ok_or_else(not_found)?;
    let role = match caller.identity {
        CallerIdentity::Person(_, role) => Some(role),
        CallerIdentity::Key(..) => None,
    };
    Ok(Json(OrganizationAnswer { organization: Organization::new(found, role) }))
}

/// Returns the signed-in owner. Keys cannot delete or transfer an organization.
fn owner(caller: Caller) -> Result<UserId, ApiError> {
    match caller.identity {
        CallerIdentity::Person(user, Role::Owner) => Ok(user),
        CallerIdentity::Person(..) | CallerIdentity::Key(..) => {
            let message = "Only a signed-in owner can do this. API keys cannot.";
            Err(ApiError::new(ErrorCode::OwnerNeeded, message))
        }
    }
}

fn not_found() -> ApiError {
    ApiError::not_found("Organization")
}

#[cfg(test)]
mod tests;
