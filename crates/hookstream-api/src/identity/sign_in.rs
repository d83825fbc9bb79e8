//! Signing in and out, and the first owner's account.

use axum::{
    Json,
    extract::State,
    response::{AppendHeaders, IntoResponse, Response},
};
use hookstream_model::{
    identity::{
        member::Role,
        second_factor::recovery_hash,
        session::Method,
        sign_in::{Counter, Familiarity, counters, network},
        tenancy::KeyHash,
        user::{Email, User, check_name},
    },
    operations::audit_log::Actor,
};
use hookstream_store::identity::{
    links, organizations, sessions,
    users::{self, Account},
};
use http::header;
use serde::Deserialize;
use utoipa::ToSchema;

use super::sessions::SessionAnswer;
use crate::{
    auth::{
        audited_caller::{AuditedCaller, ClientDetails},
        devices::{DEVICE_FOR, Device},
        person::{self, Person},
        same_origin::SameOrigin,
    },
    http::{
        body::RawBody,
        cookies,
        error::{ApiError, ErrorCode},
        shapes::Success,
    },
    state::Api,
};

/// Credentials.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignIn {
    /// Email address of the account.
    #[schema(example = "ada@example.com")]
    email: String,
    /// Password of the account.
    #[schema(example = "plum teapot gravel seven")]
    password: String,
    /// Code from the authenticator app, or a recovery code. Required if the account has a second factor.
    #[schema(example = "123456")]
    code: Option<String>,
}

/// First owner of the installation.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetUp {
    /// Token: the part after `#token=` of the link that the server printed at its start.
    #[schema(example = "b1946ac92492d2347c6235b4d2611184f8c1e2d0a7b35964e0d1c2b3a4958677")]
    token: String,
    /// Email address of the account.
    #[schema(example = "ada@example.com")]
    email: String,
    /// Name: 1 to 255 characters. The default is the address.
    #[schema(example = "Ada Lovelace")]
    name: Option<String>,
    /// Password: at least 12 characters, and not a common or leaked password.
    #[schema(example = "plum teapot gravel seven")]
    password: String,
}

/// Sign in
///
/// The answer sets the cookie `better-auth.session_token`. If the account has a second factor and `code` is missing, the answer is 401
/// `second_factor_required`. After five failures in a row from one network, further attempts must wait (429), twice as long each time,
/// whether or not the account exists.
#[utoipa::path(
    post, path = "/auth/sign-in", operation_id = "signIn", tag = "Sign-in", security(()),
    request_body = SignIn,
    responses((status = 200, description = "Session. Its cookie is set.", body = SessionAnswer))
)]
pub(crate) async fn sign_in(State(api): State<Api>, _: SameOrigin, origin: ClientDetails, body: RawBody) -> Result<Response, ApiError> {
    let SignIn { email, password, code } = body.parse()?;
    let email = Email::parse(&email)?;
    let counters = counters_of(&api, &email, &origin).await?;
    admit(&api, &counters).await?;
    let account = users::find_by_email(&*api.store, &email).await?;
    let hash = account.as_ref().and_then(|account| account.password.clone());
    let is_right = api.passwords.verify(hash, password).await?;
    let Some(account) = account.filter(|_| is_right) else {
        let message = "The email address or the password is wrong.";
        return Err(ApiError::new(ErrorCode::SignInWrongCredentials, message));
    };
    let method = match (account.is_confirmed, code) {
        (false, _) => Method::Password,
        (true, Some(code)) => {
            if !takes_code(&api, &account, &code).await? {
                let message = "The code is wrong, expired or already used. Send the current code of the authenticator app.";
                return Err(ApiError::new(ErrorCode::SignInWrongCode, message));
            }
            Method::SecondFactor
        }
        (true, None) => {
            // Neither a failure nor a success: earlier failures, including those with wrong codes, still count.
            users::uncount(&*api.store, &counters).await?;
            let message =
                "The account has a second factor. Send `code` as well: the current code of the authenticator app, or a recovery code.";
            return Err(ApiError::new(ErrorCode::SignInNeedsSecondFactor, message));
        }
    };
    users::reset_failures(&*api.store, &counters).await?;
    begin(&api, &account.user, method, &origin).await
}

/// Returns the failure counters of a sign-in attempt.
pub(crate) async fn counters_of(api: &Api, email: &Email, origin: &ClientDetails) -> Result<Vec<Counter>, ApiError> {
    let device = origin.device.as_deref().and_then(|cookie| Device::open(cookie, email, &api.sign_in_key, api.now()));
    let familiarity = match &device {
        Some(device) => Familiarity::Device(&device.id),
        None => {
            let known = sessions::addresses(&*api.store, email).await?;
            let is_known = origin.address.is_some_and(|address| known.iter().any(|one| network(*one) == network(address)));
            if is_known { Familiarity::Network } else { Familiarity::None }
        }
    };
    Ok(counters(email, origin.address, familiarity))
}

/// Refuses an attempt that must wait. Otherwise counts it as failed until it succeeds.
pub(crate) async fn admit(api: &Api, counters: &[Counter]) -> Result<(), ApiError> {
    count(api, counters, "Too many failed attempts. Retry after the time in Retry-After.").await
}

/// Same for a requested email, which always counts.
pub(crate) async fn admit_mail(api: &Api, counters: &[Counter]) -> Result<(), ApiError> {
    count(api, counters, "Too many emails were requested. Retry after the time in Retry-After.").await
}

async fn count(api: &Api, counters: &[Counter], refusal: &'static str) -> Result<(), ApiError> {
    let _alone = api.sign_ins.lock().await;
    let now = api.now();
    let failures = users::failures(&*api.store, counters).await?;
    let waits = counters.iter().zip(failures).filter_map(|(counter, (failures, last_at))| counter.wait(failures, last_at, now));
    if let Some(wait) = waits.max() {
        return Err(ApiError::new(ErrorCode::TooManyAttempts, refusal).with_retry_after(wait));
    }
    Ok(users::count_failure(&*api.store, counters, now).await?)
}

/// Returns true if a code of the second factor or a recovery code is valid, and marks it as used.
pub(crate) async fn takes_code(api: &Api, account: &Account, code: &str) -> Result<bool, ApiError> {
    if let Some(secret) = &account.secret
        && let Some(step) = secret.check(code, account.last_step, api.wall())
    {
        return Ok(users::take_step(&*api.store, account.user.id, step).await?);
    }
    let hash = recovery_hash(code);
    let left: Vec<_> = account.recovery.iter().filter(|kept| **kept != hash).cloned().collect();
    if left.len() == account.recovery.len() {
        return Ok(false);
    }
    Ok(users::take_recovery(&*api.store, account, &left, api.now()).await?)
}

/// Begins a session and returns the response.
pub(crate) async fn begin(api: &Api, user: &User, method: Method, origin: &ClientDetails) -> Result<Response, ApiError> {
    let (session, cookie) = person::begin(api, user, None, method, origin).await?;
    let device = Device::remember(api.engine.random_bytes(), api.now()).seal(&user.email, &api.sign_in_key);
    let device = cookies::set_device(&device, DEVICE_FOR, api.is_reached_by_https());
    let answer = SessionAnswer::of(api, &session, user).await?;
    Ok((AppendHeaders([(header::SET_COOKIE, cookie), (header::SET_COOKIE, device)]), Json(answer)).into_response())
}

/// Sign out
///
/// The session ends, and its cookie is removed.
#[utoipa::path(
    post, path = "/auth/sign-out", operation_id = "signOut", tag = "Sign-in", security(("session" = [])),
    responses((status = 200, description = "Signed out.", body = Success))
)]
pub(crate) async fn sign_out(State(api): State<Api>, Person(person): Person, audited: AuditedCaller) -> Result<Response, ApiError> {
    sessions::end(&*api.store, &audited.act(&api), person.user.id, person.session.id).await?;
    Ok(([(header::SET_COOKIE, cookies::remove(api.is_reached_by_https()))], Json(Success::new())).into_response())
}

/// Create the first owner
///
/// The token comes from the link that the server prints at its start. It can be used once, and only while the installation has no user.
#[utoipa::path(
    post, path = "/auth/setup", operation_id = "setUp", tag = "Sign-in", security(()),
    request_body = SetUp,
    responses(
        (status = 200, description = "Created and signed in. The cookie of the session is set.", body = SessionAnswer),
        (status = 410, description = "The link is invalid or has expired (`link_over`).", body = crate::http::error::ErrorBody)
    )
)]
pub(crate) async fn set_up(State(api): State<Api>, _: SameOrigin, origin: ClientDetails, body: RawBody) -> Result<Response, ApiError> {
    let SetUp { token, email, name, password } = body.parse()?;
    let (hash, now) = (KeyHash::of(&token), api.now());
    let email = Email::parse(&email)?;
    let name = name.unwrap_or_else(|| email.to_string());
    check_name(&name)?;
    if !links::is_setup(&*api.store, hash, now).await? || users::is_any(&*api.store).await? {
        return Err(link_is_over());
    }
    let password = api.passwords.hash_new("password", password, email.clone(), name.clone(), api.engine.random_bytes()).await?;
    let user = User { id: api.engine.new_id().into(), email, name, created_at: now };
    let tenant = organizations::first(&*api.store).await?.ok_or_else(|| ApiError::not_found("Organization"))?;
    if !links::set_up(&*api.store, &origin.act(&api, Actor::of_person(&user)), hash, &user, &password, tenant).await? {
        return Err(link_is_over());
    }
    tracing::info!(user.id = %user.id, role = Role::Owner.as_str(), "first owner account created");
    begin(&api, &user, Method::Link, &origin).await
}

/// Returns the error for an invalid or expired link.
pub(crate) fn link_is_over() -> ApiError {
    let message = "This link is invalid or has expired. Request a new one.";
    ApiError::new(ErrorCode::LinkOver, message)
}
