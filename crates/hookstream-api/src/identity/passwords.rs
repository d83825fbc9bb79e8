//! Passwords: changing, requesting a link, and setting one with a link.

use axum::{Json, extract::State, response::Response};
use hookstream_model::{
    identity::{session::Method, sign_in::counters_of_reset_mail, tenancy::KeyHash, user::Email},
    operations::audit_log::Actor,
};
use hookstream_store::identity::{links, users};
use serde::Deserialize;
use utoipa::ToSchema;

use super::sign_in;
use crate::{
    auth::{audited_caller::ClientDetails, person::Person, same_origin::SameOrigin},
    http::{
        body::RawBody,
        error::{ApiError, ErrorCode},
        shapes::Success,
    },
    state::Api,
};

/// Change of a password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangePassword {
    /// Current password.
    #[schema(example = "violet anchor maple nine")]
    current_password: String,
    /// New password: at least 12 characters, and not a common or leaked password.
    #[schema(example = "plum teapot gravel seven")]
    new_password: String,
}

/// Request for a link that sets a new password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ForgotPassword {
    /// Address of the account.
    #[schema(example = "ada@example.com")]
    email: String,
}

/// New password, with the token of a link.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResetPassword {
    /// Token: the part of the link after `#token=`.
    #[schema(example = "b1946ac92492d2347c6235b4d2611184f8c1e2d0a7b35964e0d1c2b3a4958677")]
    token: String,
    /// New password: at least 12 characters, and not a common or leaked password.
    #[schema(example = "plum teapot gravel seven")]
    password: String,
}

/// Change your password
///
/// All other sessions of the user end.
#[utoipa::path(
    post, path = "/auth/password", operation_id = "changePassword", tag = "Sign-in", security(("session" = [])),
    request_body = ChangePassword,
    responses((status = 200, description = "Changed.", body = Success))
)]
pub(crate) async fn change(
    State(api): State<Api>,
    Person(person): Person,
    origin: ClientDetails,
    body: RawBody,
) -> Result<Json<Success>, ApiError> {
    let ChangePassword { current_password, new_password } = body.parse()?;
    verify(&api, &person, &origin, "current_password", current_password).await?;
    let user = &person.user;
    let hash =
        api.passwords.hash_new("new_password", new_password, user.email.clone(), user.name.clone(), api.engine.random_bytes()).await?;
    let act = origin.act(&api, Actor::of_person(user));
    users::set_password(&*api.store, &act, user.id, &hash, Some(person.session.id)).await?;
    tracing::info!(user.id = %user.id, "password changed");
    Ok(Json(Success::new()))
}

/// Verifies the password of a signed-in user again, under the limits of signing in.
pub(crate) async fn verify(
    api: &Api,
    person: &crate::auth::session::SignedIn,
    origin: &ClientDetails,
    field: &'static str,
    password: String,
) -> Result<users::Account, ApiError> {
    let counters = sign_in::counters_of(api, &person.user.email, origin).await?;
    sign_in::admit(api, &counters).await?;
    let account = users::find(&*api.store, person.user.id).await?.ok_or_else(|| ApiError::not_found("User"))?;
    if account.password.is_some() && !api.passwords.verify(account.password.clone(), password).await? {
        let message = format!("`{field}` is not your current password.");
        return Err(ApiError::new(ErrorCode::WrongCredentials, message));
    }
    users::reset_failures(&*api.store, &counters).await?;
    Ok(account)
}

/// Request a password link
///
/// If an account with this address exists, a link that sets a new password is sent to it by email. The link is valid for an hour and can be
/// used once. The answer is the same if there is no such account. After four emails to an address, further requests must wait (429).
#[utoipa::path(
    post, path = "/auth/password/forgot", operation_id = "forgotPassword", tag = "Sign-in", security(()),
    request_body = ForgotPassword,
    responses(
        (status = 200, description = "Accepted. If the account exists, an email is sent.", body = Success),
        (status = 409, description = "The installation does not send email (`no_mail`).", body = crate::http::error::ErrorBody)
    )
)]
pub(crate) async fn forgot(State(api): State<Api>, _: SameOrigin, origin: ClientDetails, body: RawBody) -> Result<Json<Success>, ApiError> {
    let ForgotPassword { email } = body.parse()?;
    let email = Email::parse(&email)?;
    let Some(mail_queue) = &api.mail_queue else { return Err(no_mail()) };
    sign_in::admit_mail(&api, &counters_of_reset_mail(&email, origin.address)).await?;
    // The account is looked up later, so that the time of the response does not depend on its existence.
    mail_queue.take(email)?;
    Ok(Json(Success::new()))
}

fn no_mail() -> ApiError {
    let message = "This installation does not send email. Ask its operator for a password link (hookstream admin password-link), or to set up email (setting smtp_url).";
    ApiError::new(ErrorCode::NoMail, message)
}

/// Set a password with a link
///
/// The link comes from an email, `hookstream admin create-owner` or `hookstream admin password-link`. All sessions of the user end. A new
/// session begins, unless the account has a second factor.
#[utoipa::path(
    post, path = "/auth/password/reset", operation_id = "resetPassword", tag = "Sign-in", security(()),
    request_body = ResetPassword,
    responses(
        (status = 200, description = "Password set.", body = Success),
        (status = 410, description = "The link is invalid or has expired (`link_over`).", body = crate::http::error::ErrorBody)
    )
)]
pub(crate) async fn reset(State(api): State<Api>, _: SameOrigin, origin: ClientDetails, body: RawBody) -> Result<Response, ApiError> {
    use axum::response::IntoResponse;
    let ResetPassword { token, password } = body.parse()?;
    let (hash, now) = (KeyHash::of(&token), api.now());
    let user = links::password_owner(&*api.store, hash, now).await?.ok_or_else(sign_in::link_is_over)?;
    let account = users::find(&*api.store, user).await?.ok_or_else(sign_in::link_is_over)?;
    let (email, name) = (account.user.email.clone(), account.user.name.clone());
    let password = api.passwords.hash_new("password", password, email, name, api.engine.random_bytes()).await?;
    let act = origin.act(&api, Actor::of_person(&account.user));
    if !links::set_password(&*api.store, &act, hash, user, &password).await? {
        return Err(sign_in::link_is_over());
    }
    tracing::info!(user.id = %user, "password set with a link");
    if account.is_confirmed {
        return Ok(Json(Success::new()).into_response());
    }
    let (_, cookie) = crate::auth::person::begin(&api, &account.user, None, Method::Link, &origin).await?;
    Ok(([(http::header::SET_COOKIE, cookie)], Json(Success::new())).into_response())
}
