//! Sessions of the signed-in user: the current one, its environment, and all others.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use hookstream_model::identity::{
    session::Session as Model,
    user::{User as UserModel, check_name},
};
use hookstream_store::identity::{organizations, sessions, users};
use http::header;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    auth::{
        audited_caller::AuditedCaller,
        person::{self, Person},
        tenant_context::{self, Wanted},
    },
    http::{
        body::RawBody,
        cookies,
        error::ApiError,
        params::{PathParams, id},
        shapes::Success,
    },
    state::Api,
};

/// User.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct User {
    #[schema(example = "019dc1e2a3b47c5d8e9f001122334455")]
    id: String,
    /// Email address.
    #[schema(example = "ada@example.com")]
    email: String,
    /// Name.
    #[schema(example = "Ada Lovelace")]
    name: String,
    created_at: String,
}

impl From<&UserModel> for User {
    fn from(user: &UserModel) -> Self {
        Self { id: user.id.to_string(), email: user.email.to_string(), name: user.name.clone(), created_at: user.created_at.to_string() }
    }
}

/// Session of a user.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Session {
    #[schema(example = "019dc1e2a3b47c5d8e9f001122334455")]
    id: String,
    /// Way of signing in: `password`, `second_factor`, `link`, or `oidc:` and the name of a provider.
    #[schema(example = "password")]
    method: String,
    /// Client address.
    #[schema(example = "203.0.113.7")]
    address: Option<String>,
    /// `User-Agent` of the browser.
    user_agent: Option<String>,
    /// 1 for the session of this request, 0 otherwise.
    current: u8,
    created_at: String,
    /// Time of the last request, accurate to a minute.
    last_seen_at: String,
    /// Time at which the session expires unless it is used before.
    expires_at: String,
}

impl Session {
    fn new(session: &Model, is_current: bool, api: &Api) -> Self {
        Self {
            id: session.id.to_string(),
            method: session.method.word(),
            address: session.address.clone(),
            user_agent: session.user_agent.clone(),
            current: u8::from(is_current),
            created_at: session.created_at.to_string(),
            last_seen_at: session.last_seen_at.to_string(),
            expires_at: session.ends_at(api.options.sessions).to_string(),
        }
    }
}

/// Membership of a user in an organization.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Membership {
    /// Id of the organization.
    org_id: String,
    /// Name of the organization.
    #[schema(example = "Example Ltd")]
    name: String,
    /// `owner`, `admin`, `developer` or `viewer`.
    #[schema(example = "owner")]
    role: &'static str,
}

/// Signed-in user, with their session and memberships.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SessionAnswer {
    session: Session,
    user: User,
    /// 1 if the user has a second factor, 0 otherwise.
    second_factor: u8,
    /// Number of unused recovery codes.
    recovery_codes: usize,
    /// Organizations of which the user is a member.
    memberships: Vec<Membership>,
    /// Id of the organization for requests without `org_id`; `null` if the user is a member of none.
    org_id: Option<String>,
    /// Id of the environment for requests without `env_id`; `null` if the user is a member of no organization.
    env_id: Option<String>,
}

impl SessionAnswer {
    pub(crate) async fn of(api: &Api, session: &Model, user: &UserModel) -> Result<Self, ApiError> {
        let account = users::find(&*api.store, user.id).await?.ok_or_else(|| ApiError::not_found("User"))?;
        let of_user = organizations::of_user(&*api.store, user.id).await?;
        let memberships = of_user
            .into_iter()
            .filter(|(organization, _)| organization.deleted_at.is_none())
            .map(|(organization, role)| Membership { org_id: organization.id.to_string(), name: organization.name, role: role.as_str() })
            .collect();
        let current = tenant_context::of_user(api, user.id, session.tenant, Wanted::default()).await.ok().map(|(tenant, _)| tenant);
        Ok(Self {
            session: Session::new(session, true, api),
            user: user.into(),
            second_factor: u8::from(account.is_confirmed),
            recovery_codes: account.recovery.len(),
            memberships,
            org_id: current.map(|tenant| tenant.organization.to_string()),
            env_id: current.map(|tenant| tenant.environment.to_string()),
        })
    }
}

/// Sessions of a user.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SessionList {
    /// Sessions, newest first.
    sessions: Vec<Session>,
}

/// Environment of a session.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TurnSession {
    /// Id of one of the user's organizations.
    org_id: Option<String>,
    /// Id of an environment. The default is the organization's oldest environment.
    env_id: Option<String>,
}

/// Profile of a user.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateProfile {
    /// Name: 1 to 255 characters.
    #[schema(example = "Ada Lovelace")]
    name: String,
}

/// Answer with a user.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UserAnswer {
    user: User,
}

/// Get the session
///
/// Once a day the answer sets a cookie with a new token of the session.
#[utoipa::path(
    get, path = "/auth/session", operation_id = "getSession", tag = "Sign-in", security(("session" = [])),
    responses((status = 200, description = "Session, user and memberships.", body = SessionAnswer))
)]
pub(crate) async fn get(State(api): State<Api>, Person(person): Person) -> Result<Response, ApiError> {
    let cookie = person::renew(&api, &person.session).await?;
    let mut response = Json(SessionAnswer::of(&api, &person.session, &person.user).await?).into_response();
    response.headers_mut().extend(cookie.map(|cookie| (header::SET_COOKIE, cookie)));
    Ok(response)
}

/// Switch environment
///
/// Later requests of the session without `org_id` and `env_id` concern this environment.
#[utoipa::path(
    patch, path = "/auth/session", operation_id = "turnSession", tag = "Sign-in", security(("session" = [])),
    request_body = TurnSession,
    responses((status = 200, description = "Updated session.", body = SessionAnswer))
)]
pub(crate) async fn turn(State(api): State<Api>, Person(person): Person, body: RawBody) -> Result<Json<SessionAnswer>, ApiError> {
    let TurnSession { org_id, env_id } = body.parse()?;
    if org_id.is_none() && env_id.is_none() {
        return Err(ApiError::no_fields());
    }
    let wanted = Wanted::named(org_id.as_deref(), env_id.as_deref())?;
    let (tenant, _) = tenant_context::of_user(&api, person.user.id, person.session.tenant, wanted).await?;
    sessions::switch_to(&*api.store, person.session.id, tenant).await?;
    let session = Model { tenant: Some(tenant), ..person.session.clone() };
    Ok(Json(SessionAnswer::of(&api, &session, &person.user).await?))
}

/// List your sessions
#[utoipa::path(
    get, path = "/auth/sessions", operation_id = "listSessions", tag = "Sign-in", security(("session" = [])),
    responses((status = 200, description = "All sessions that have not ended.", body = SessionList))
)]
pub(crate) async fn list(State(api): State<Api>, Person(person): Person) -> Result<Json<SessionList>, ApiError> {
    let (now, policy) = (api.now(), api.options.sessions);
    let found = sessions::list(&*api.store, person.user.id).await?;
    let lasting = found.iter().filter(|session| session.is_valid(policy, now));
    Ok(Json(SessionList { sessions: lasting.map(|session| Session::new(session, session.id == person.session.id, &api)).collect() }))
}

/// End a session
#[utoipa::path(
    delete, path = "/auth/sessions/{id}", operation_id = "endSession", tag = "Sign-in", security(("session" = [])),
    params(("id" = String, Path, description = "Id of the session.")),
    responses((status = 200, description = "Ended.", body = Success))
)]
pub(crate) async fn end(
    State(api): State<Api>,
    Person(person): Person,
    audited: AuditedCaller,
    PathParams(session): PathParams<String>,
) -> Result<Json<Success>, ApiError> {
    if !sessions::end(&*api.store, &audited.act(&api), person.user.id, id(&session, "Session")?).await? {
        return Err(ApiError::not_found("Session"));
    }
    Ok(Json(Success::new()))
}

/// Sign out everywhere
///
/// All sessions of the user end, including this one.
#[utoipa::path(
    delete, path = "/auth/sessions", operation_id = "endAllSessions", tag = "Sign-in", security(("session" = [])),
    responses((status = 200, description = "Ended.", body = Success))
)]
pub(crate) async fn end_all(State(api): State<Api>, Person(person): Person, audited: AuditedCaller) -> Result<Response, ApiError> {
    sessions::end_all(&*api.store, &audited.act(&api), person.user.id).await?;
    Ok(([(header::SET_COOKIE, cookies::remove(api.is_reached_by_https()))], Json(Success::new())).into_response())
}

/// Update your name
#[utoipa::path(
    patch, path = "/auth/profile", operation_id = "updateProfile", tag = "Sign-in", security(("session" = [])),
    request_body = UpdateProfile,
    responses((status = 200, description = "Updated user.", body = UserAnswer))
)]
pub(crate) async fn rename(
    State(api): State<Api>,
    Person(person): Person,
    audited: AuditedCaller,
    body: RawBody,
) -> Result<Json<UserAnswer>, ApiError> {
    let UpdateProfile { name } = body.parse()?;
    check_name(&name)?;
    users::rename(&*api.store, &audited.act(&api), &person.user, &name).await?;
    let user = UserModel { name, ..person.user.clone() };
    Ok(Json(UserAnswer { user: (&user).into() }))
}

#[cfg(test)]
mod tests;
