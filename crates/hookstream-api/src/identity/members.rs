//! Members of an organization.

use axum::{Json, extract::State};
use hookstream_model::{base::ids::UserId, identity::member::Role};
use hookstream_store::identity::members::{self, Changed, Member as Model};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    auth::{
        audited_caller::AuditedCaller,
        caller::{Caller, CallerIdentity},
    },
    http::{
        body::RawBody,
        error::{ApiError, ErrorCode},
        page,
        params::{PathParams, QueryParams, id},
        shapes::{ListQuery, Success},
    },
    identity::organization_access::{moved, own},
    state::Api,
};

/// Member of an organization.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Member {
    /// Id of the user.
    user_id: String,
    /// Email address.
    #[schema(example = "ada@example.com")]
    email: String,
    #[schema(example = "Ada Lovelace")]
    name: String,
    /// `owner`, `admin`, `developer` or `viewer`.
    #[schema(example = "developer")]
    role: &'static str,
    /// 1 if the user has a second factor, 0 otherwise.
    second_factor: u8,
    /// Time at which the user became a member.
    created_at: String,
}

impl From<Model> for Member {
    fn from(member: Model) -> Self {
        Self {
            user_id: member.user.id.to_string(),
            email: member.user.email.to_string(),
            name: member.user.name,
            role: member.role.as_str(),
            second_factor: u8::from(member.has_second_factor),
            created_at: member.since.to_string(),
        }
    }
}

/// Answer with a member.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MemberAnswer {
    member: Member,
}

/// Page of members.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MemberList {
    members: Vec<Member>,
    /// Cursor of the next page; `null` on the last page.
    cursor: Option<String>,
    has_more: bool,
}

/// Change of a member.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateMember {
    /// New role: `owner`, `admin`, `developer` or `viewer`.
    #[schema(example = "admin")]
    role: String,
}

/// List members
#[utoipa::path(
    get, path = "/organizations/{orgId}/members", operation_id = "listMembers", tag = "Organizations",
    params(("orgId" = String, Path, description = "Id of the organization."), ListQuery),
    responses((status = 200, description = "Page of members, newest accounts first.", body = MemberList))
)]
pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
    PathParams(organization): PathParams<String>,
    QueryParams(query): QueryParams<ListQuery>,
) -> Result<Json<MemberList>, ApiError> {
    let organization = own(caller, &organization)?;
    caller.check_tenant(query.org_id.as_deref(), query.env_id.as_deref())?;
    let request = page::request(query.limit.as_deref(), query.cursor.as_deref(), UserId::from_bytes)?;
    let page = members::list(&*api.store, organization, request).await?;
    let cursor = page::cursor(&page, |member| *member.user.id.as_bytes());
    let has_more = page.has_more;
    Ok(Json(MemberList { members: page.items.into_iter().map(Member::from).collect(), cursor, has_more }))
}

/// Update a member's role
///
/// The new role applies from the member's next request. Only a signed-in owner can grant or revoke the role `owner`.
#[utoipa::path(
    patch, path = "/organizations/{orgId}/members/{userId}", operation_id = "updateMember", tag = "Organizations",
    params(("orgId" = String, Path, description = "Id of the organization."), ("userId" = String, Path, description = "User id of the member.")),
    request_body = UpdateMember,
    responses(
        (status = 200, description = "Updated member.", body = MemberAnswer),
        (status = 409, description = "The member is the last owner (`last_owner`), or another request changed the member meanwhile (`conflict`).", body = crate::http::error::ErrorBody)
    )
)]
pub(crate) async fn update(
    State(api): State<Api>,
    caller: Caller,
    audited: AuditedCaller,
    PathParams((organization, user)): PathParams<(String, String)>,
    body: RawBody,
) -> Result<Json<MemberAnswer>, ApiError> {
    let UpdateMember { role } = body.parse()?;
    let role = Role::read(&role)?;
    let organization = own(caller, &organization)?;
    let member = members::find(&*api.store, organization, id(&user, "Member")?).await?.ok_or_else(not_found)?;
    check_may(caller, Some(member.role), Some(role))?;
    if member.role != role {
        done(members::change_role(&*api.store, &audited.act(&api), organization, &member.user, member.role, role).await?)?;
    }
    Ok(Json(MemberAnswer { member: Model { role, ..member }.into() }))
}

/// Remove a member
///
/// Members can remove themselves. API keys that the member created remain, because they belong to the organization. The last owner cannot
/// be removed.
#[utoipa::path(
    delete, path = "/organizations/{orgId}/members/{userId}", operation_id = "removeMember", tag = "Organizations",
    params(("orgId" = String, Path, description = "Id of the organization."), ("userId" = String, Path, description = "User id of the member.")),
    responses(
        (status = 200, description = "Removed.", body = Success),
        (status = 409, description = "The member is the last owner (`last_owner`), or another request changed the member meanwhile (`conflict`).", body = crate::http::error::ErrorBody)
    )
)]
pub(crate) async fn remove(
    State(api): State<Api>,
    caller: Caller,
    audited: AuditedCaller,
    PathParams((organization, user)): PathParams<(String, String)>,
) -> Result<Json<Success>, ApiError> {
    let organization = own(caller, &organization)?;
    let member = members::find(&*api.store, organization, id(&user, "Member")?).await?.ok_or_else(not_found)?;
    let is_self = matches!(caller.identity, CallerIdentity::Person(user, _) if user == member.user.id);
    if !is_self {
        check_may(caller, Some(member.role), None)?;
    }
    done(members::remove(&*api.store, &audited.act(&api), organization, &member.user, member.role).await?)?;
    Ok(Json(Success::new()))
}

/// Checks that a caller may change a member's role from `now` to `to`. A key counts as an admin, so it cannot change
/// owners. A key can only grant or change roles that have no more scopes than the key itself.
pub(crate) fn check_may(caller: Caller, now: Option<Role>, to: Option<Role>) -> Result<(), ApiError> {
    use hookstream_model::identity::scopes::{Resource, Scope};
    let role = match caller.identity {
        CallerIdentity::Person(_, role) => role,
        CallerIdentity::Key(..) if caller.scopes.allow(Scope::write(Resource::Members)) => Role::Admin,
        CallerIdentity::Key(..) => Role::Viewer,
    };
    if let CallerIdentity::Key(..) = caller.identity
        && let Some((role, lacking)) =
            now.into_iter().chain(to).find_map(|role| caller.scopes.lack(role.scopes()).map(|lacking| (role, lacking)))
    {
        let message = format!(
            "The role {} includes the scope {lacking}, which this API key lacks. Use a key that has it, or sign in.",
            role.as_str()
        );
        return Err(ApiError::new(ErrorCode::Forbidden, message).with_details(serde_json::json!({ "scope": lacking })));
    }
    if role.may_change(now, to) {
        return Ok(());
    }
    let message = if role == Role::Admin {
        "Only a signed-in owner can grant the role owner, or change or remove an owner. Ask an owner."
    } else {
        "Only owners and admins can change members (members:write). Ask one of them."
    };
    Err(ApiError::new(ErrorCode::Forbidden, message).with_details(serde_json::json!({ "scope": "members:write" })))
}

fn done(changed: Changed) -> Result<(), ApiError> {
    match changed {
        Changed::Done => Ok(()),
        Changed::Moved => Err(moved()),
        Changed::LastOwner => {
            let message = "The member is the organization's last owner. Make another member an owner first.";
            Err(ApiError::new(ErrorCode::LastOwner, message))
        }
    }
}

fn not_found() -> ApiError {
    ApiError::not_found("Member")
}

#[cfg(test)]
mod tests;
