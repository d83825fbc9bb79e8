//! Invitations, with which users become members.

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use hookstream_model::{
    base::ids::{InvitationId, UserId},
    identity::{
        member::Role,
        session::{Method, SessionText},
        sign_in::counters_of_invitation_mail,
        tenancy::KeyHash,
        user::{Email, User, check_name},
    },
    operations::audit_log::Actor,
};
use hookstream_store::identity::{
    members::{self, Guest, Invitation as Model},
    organizations as store_organizations, users,
};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{sessions::SessionAnswer, sign_in};
use crate::{
    auth::{
        audited_caller::{AuditedCaller, ClientDetails},
        caller::{Caller, CallerIdentity},
        credentials::{Credentials, Principal},
        same_origin::SameOrigin,
    },
    background::{mail, mail_queue::MailQueue},
    http::{
        body::RawBody,
        error::{ApiError, ErrorCode},
        page,
        params::{PathParams, QueryParams, id},
        shapes::{ListQuery, Success},
    },
    identity::organization_access::own,
    state::Api,
};

/// Validity of an invitation.
const VALID_FOR: Duration = Duration::from_secs(7 * 24 * 3600);

/// Invitation to an organization.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Invitation {
    #[schema(example = "019dc1e2a3b47c5d8e9f001122334455")]
    id: String,
    org_id: String,
    /// Address of the invited person.
    #[schema(example = "ada@example.com")]
    email: String,
    /// `owner`, `admin`, `developer` or `viewer`.
    #[schema(example = "developer")]
    role: &'static str,
    /// Address of the user who invited, or `an API key`.
    #[schema(example = "grace@example.com")]
    invited_by: String,
    created_at: String,
    /// Time at which the link expires.
    expires_at: String,
    /// Time at which the link was sent by email; `null` if it was returned to the caller instead.
    sent_at: Option<String>,
}

impl From<Model> for Invitation {
    fn from(invitation: Model) -> Self {
        Self {
            id: invitation.id.to_string(),
            org_id: invitation.organization.to_string(),
            email: invitation.email.to_string(),
            role: invitation.role.as_str(),
            invited_by: invitation.invited_by,
            created_at: invitation.created_at.to_string(),
            expires_at: invitation.expires_at.to_string(),
            sent_at: invitation.sent_at.map(|at| at.to_string()),
        }
    }
}

/// New invitation.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NewInvitation {
    invitation: Invitation,
    /// 1 if the link was sent by email, 0 otherwise.
    sent: u8,
    /// Link of the invitation, returned only once: pass it on to the invited person. `null` if it was sent by email, so that using the link
    /// proves the ownership of the address.
    url: Option<String>,
}

/// Page of invitations.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InvitationList {
    invitations: Vec<Invitation>,
    /// Cursor of the next page; `null` on the last page.
    cursor: Option<String>,
    has_more: bool,
}

/// Person to invite.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateInvitation {
    /// Address of the person.
    #[schema(example = "ada@example.com")]
    email: String,
    /// Role in the organization: `owner`, `admin`, `developer` or `viewer`.
    #[schema(example = "developer")]
    role: String,
}

/// Token of an invitation.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LookAtInvitation {
    /// Token: the part of the link after `#token=`.
    #[schema(example = "b1946ac92492d2347c6235b4d2611184f8c1e2d0a7b35964e0d1c2b3a4958677")]
    token: String,
}

/// Invitation, as its recipient sees it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InvitationView {
    invitation: Invitation,
    /// Name of the organization.
    #[schema(example = "Example Ltd")]
    organization: String,
    /// 1 if an account with this address exists, which must sign in to accept; 0 if accepting creates one. `null` if the link was not sent by
    /// email, because its holder has not proved the ownership of the address.
    account_exists: Option<u8>,
}

/// Acceptance of an invitation.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AcceptInvitation {
    /// Token: the part of the link after `#token=`.
    #[schema(example = "b1946ac92492d2347c6235b4d2611184f8c1e2d0a7b35964e0d1c2b3a4958677")]
    token: String,
    /// Name of the new account: 1 to 255 characters. The default is the address.
    name: Option<String>,
    /// Password of the new account: at least 12 characters, and not a common or leaked password. Required if an account is created.
    #[schema(example = "plum teapot gravel seven")]
    password: Option<String>,
}

/// List invitations
///
/// Invitations that were not accepted are listed, including expired ones.
#[utoipa::path(
    get, path = "/organizations/{orgId}/invitations", operation_id = "listInvitations", tag = "Organizations",
    params(("orgId" = String, Path, description = "Id of the organization."), ListQuery),
    responses((status = 200, description = "Page of invitations, newest first.", body = InvitationList))
)]
pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
    PathParams(organization): PathParams<String>,
    QueryParams(query): QueryParams<ListQuery>,
) -> Result<Json<InvitationList>, ApiError> {
    let organization = own(caller, &organization)?;
    caller.check_tenant(query.org_id.as_deref(), query.env_id.as_deref())?;
    let request = page::request(query.limit.as_deref(), query.cursor.as_deref(), InvitationId::from_bytes)?;
    let page = members::invitations(&*api.store, organization, request).await?;
    let cursor = page::cursor(&page, |invitation| *invitation.id.as_bytes());
    let has_more = page.has_more;
    Ok(Json(InvitationList { invitations: page.items.into_iter().map(Invitation::from).collect(), cursor, has_more }))
}

/// Invite a member
///
/// The link is valid for seven days and can be used once. An earlier link for the same address becomes invalid. If the installation sends
/// email, the link is sent by email, and the invitation is created only after the mail server has accepted it.
#[utoipa::path(
    post, path = "/organizations/{orgId}/invitations", operation_id = "createInvitation", tag = "Organizations",
    params(("orgId" = String, Path, description = "Id of the organization.")),
    request_body = CreateInvitation,
    responses(
        (status = 201, description = "Invited.", body = NewInvitation),
        (status = 409, description = "The person is already a member (`is_member`).", body = crate::http::error::ErrorBody),
        (status = 502, description = "The email could not be sent, and no invitation was created (`mail_failed`).", body = crate::http::error::ErrorBody)
    )
)]
pub(crate) async fn create(
    State(api): State<Api>,
    caller: Caller,
    audited: AuditedCaller,
    PathParams(organization): PathParams<String>,
    body: RawBody,
) -> Result<Response, ApiError> {
    let CreateInvitation { email, role } = body.parse()?;
    let (email, role) = (Email::parse(&email)?, Role::read(&role)?);
    let organization = own(caller, &organization)?;
    super::members::check_may(caller, None, Some(role))?;
    if members::is_member(&*api.store, organization, &email).await? {
        return Err(ApiError::new(ErrorCode::IsMember, "A member with this address exists. Change the member's role instead."));
    }
    let act = audited.act(&api);
    let now = act.at;
    let invited_by = match caller.identity {
        CallerIdentity::Person(user, _) => {
            users::find(&*api.store, user).await?.map_or_else(String::new, |account| account.user.email.to_string())
        }
        CallerIdentity::Key(..) => "an API key".to_owned(),
    };
    let token = SessionText::generate(&api.engine.random_bytes());
    let id = api.engine.new_id().into();
    let mut invitation = Model { id, organization, email, role, invited_by, created_at: now, expires_at: now + VALID_FOR, sent_at: None };
    // The token is behind the `#`, so that no server and no log on the way sees it.
    let url = format!("{}/invitation#token={}", api.options.public_url, token.expose());
    // The email is sent first: if that fails, nothing was changed, and an earlier invitation stays valid.
    if let Some(mail_queue) = &api.mail_queue {
        let by = match caller.identity {
            CallerIdentity::Person(user, _) => Some(user),
            CallerIdentity::Key(..) => None,
        };
        send(&api, mail_queue, &invitation, by, &url).await?;
        invitation.sent_at = Some(now);
    }
    members::invite(&*api.store, &act, &invitation, token.hash()).await?;
    let is_sent = invitation.sent_at.is_some();
    let answer = NewInvitation { invitation: invitation.into(), sent: u8::from(is_sent), url: (!is_sent).then_some(url) };
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

/// Sends the link of an invitation, within the mail limits.
async fn send(api: &Api, mail_queue: &MailQueue, invitation: &Model, by: Option<UserId>, url: &str) -> Result<(), ApiError> {
    sign_in::admit_mail(api, &counters_of_invitation_mail(&invitation.email, invitation.organization, by)).await?;
    let organization = store_organizations::find(&*api.store, invitation.organization).await?;
    let name = organization.ok_or_else(|| ApiError::not_found("Organization"))?.name;
    let email = mail::invitation(invitation, &name, &api.options.public_url, url);
    mail::send(api, mail_queue, invitation.email.clone(), email).await
}

/// Delete an invitation
#[utoipa::path(
    delete, path = "/organizations/{orgId}/invitations/{id}", operation_id = "deleteInvitation", tag = "Organizations",
    params(("orgId" = String, Path, description = "Id of the organization."), ("id" = String, Path, description = "Id of the invitation.")),
    responses((status = 200, description = "Deleted. Its link is invalid.", body = Success))
)]
pub(crate) async fn delete(
    State(api): State<Api>,
    caller: Caller,
    audited: AuditedCaller,
    PathParams((organization, invitation)): PathParams<(String, String)>,
) -> Result<Json<Success>, ApiError> {
    let organization = own(caller, &organization)?;
    if !members::uninvite(&*api.store, &audited.act(&api), organization, id(&invitation, "Invitation")?).await? {
        return Err(ApiError::not_found("Invitation"));
    }
    Ok(Json(Success::new()))
}

/// Get an invitation by its token
///
/// The token from the link is the only credential.
#[utoipa::path(
    post, path = "/auth/invitations/look", operation_id = "lookAtInvitation", tag = "Sign-in", security(()),
    request_body = LookAtInvitation,
    responses(
        (status = 200, description = "Invitation.", body = InvitationView),
        (status = 410, description = "The link is invalid or has expired (`link_over`).", body = crate::http::error::ErrorBody)
    )
)]
pub(crate) async fn look(State(api): State<Api>, body: RawBody) -> Result<Json<InvitationView>, ApiError> {
    let LookAtInvitation { token } = body.parse()?;
    let (invitation, organization) = find(&api, &token).await?;
    let account_exists = match invitation.sent_at {
        Some(_) => Some(u8::from(users::find_by_email(&*api.store, &invitation.email).await?.is_some())),
        None => None,
    };
    Ok(Json(InvitationView { organization, account_exists, invitation: invitation.into() }))
}

/// Accept an invitation
///
/// If an account with the invitation's address exists, it must be signed in. Otherwise an account is created with `password` and signed in.
#[utoipa::path(
    post, path = "/auth/invitations/accept", operation_id = "acceptInvitation", tag = "Sign-in", security(()),
    request_body = AcceptInvitation,
    responses(
        (status = 200, description = "Accepted and signed in. The cookie of the session is set.", body = SessionAnswer),
        (status = 410, description = "The link is invalid or has expired (`link_over`).", body = crate::http::error::ErrorBody),
        (status = 409, description = "An account with this address exists and must sign in first (`sign_in_first`).", body = crate::http::error::ErrorBody)
    )
)]
pub(crate) async fn accept(
    State(api): State<Api>,
    _: SameOrigin,
    origin: ClientDetails,
    axum::Extension(credentials): axum::Extension<Credentials>,
    body: RawBody,
) -> Result<Response, ApiError> {
    let AcceptInvitation { token, name, password } = body.parse()?;
    let (invitation, _) = find(&api, &token).await?;
    let hash = KeyHash::of(&token);
    if let Principal::Session(signed_in) = credentials.principal()
        && signed_in.user.email == invitation.email
    {
        let act = origin.act(&api, Actor::of_person(&signed_in.user));
        if !members::accept(&*api.store, &act, &invitation, hash, Guest::Known(signed_in.user.id)).await? {
            return Err(sign_in::link_is_over());
        }
        return Ok(Json(SessionAnswer::of(&api, &signed_in.session, &signed_in.user).await?).into_response());
    }
    if users::find_by_email(&*api.store, &invitation.email).await?.is_some() {
        return Err(sign_in_first());
    }
    let Some(password) = password else { return Err(ApiError::invalid("password", "is missing. Send a password for the new account")) };
    let name = name.unwrap_or_else(|| invitation.email.to_string());
    check_name(&name)?;
    let email = invitation.email.clone();
    let password = api.passwords.hash_new("password", password, email.clone(), name.clone(), api.engine.random_bytes()).await?;
    let user = User { id: api.engine.new_id().into(), email, name, created_at: api.now() };
    let act = origin.act(&api, Actor::of_person(&user));
    if !members::accept(&*api.store, &act, &invitation, hash, Guest::New(&user, &password)).await? {
        return Err(sign_in::link_is_over());
    }
    sign_in::begin(&api, &user, Method::Link, &origin).await
}

async fn find(api: &Api, token: &str) -> Result<(Model, String), ApiError> {
    members::invited(&*api.store, KeyHash::of(token), api.now()).await?.ok_or_else(sign_in::link_is_over)
}

fn sign_in_first() -> ApiError {
    let message = "An account with the invitation's address exists. Sign in to it, then accept the invitation.";
    ApiError::new(ErrorCode::SignInFirst, message)
}

#[cfg(test)]
mod tests;
