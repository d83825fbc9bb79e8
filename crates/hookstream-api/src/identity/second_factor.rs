//! Second factor of the signed-in user.

use axum::{Json, extract::State};
use hookstream_model::{
    identity::second_factor::{SharedSecret, recovery_codes, recovery_hash},
    operations::audit_log::Actor,
};
use hookstream_store::identity::users::{self, Account};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{passwords, sign_in};
use crate::{
    auth::{audited_caller::ClientDetails, person::Person, session::SignedIn},
    http::{
        body::RawBody,
        error::{ApiError, ErrorCode},
        shapes::Success,
    },
    state::Api,
};

/// Confirmation with the password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WithPassword {
    /// Current password. Leave it out if the account has none.
    #[serde(default)]
    #[schema(example = "plum teapot gravel seven")]
    password: String,
}

/// Confirmation with the password and a code.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WithPasswordAndCode {
    /// Current password. Leave it out if the account has none.
    #[serde(default)]
    #[schema(example = "plum teapot gravel seven")]
    password: String,
    /// Code from the authenticator app, or a recovery code. Required after the second factor is confirmed.
    #[schema(example = "123456")]
    code: Option<String>,
}

/// Code from the authenticator app.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WithCode {
    /// Code from the authenticator app: six digits.
    #[schema(example = "123456")]
    code: String,
}

/// Second factor to confirm.
#[derive(Serialize, ToSchema)]
pub(crate) struct NewSecondFactor {
    /// Secret in base32, to type into an authenticator app.
    secret: String,
    /// URI of the secret, to show as a QR code.
    #[schema(example = "otpauth://totp/Hookstream:ada%40example.com?secret=…")]
    uri: String,
}

/// Recovery codes, for a lost authenticator.
#[derive(Serialize, ToSchema)]
pub(crate) struct RecoveryCodes {
    /// Recovery codes. Each can be used once. They are returned only once.
    recovery_codes: Vec<String>,
}

/// Create a second factor
///
/// The answer contains the secret for an authenticator app (TOTP, RFC 6238). The second factor is required only after it is confirmed.
#[utoipa::path(
    post, path = "/auth/second-factor", operation_id = "beginSecondFactor", tag = "Sign-in", security(("session" = [])),
    request_body = WithPassword,
    responses(
        (status = 200, description = "Secret of the second factor. It is returned only once.", body = NewSecondFactor),
        (status = 409, description = "The account already has a second factor (`second_factor_exists`).", body = crate::http::error::ErrorBody)
    )
)]
pub(crate) async fn begin(
    State(api): State<Api>,
    Person(person): Person,
    origin: ClientDetails,
    body: RawBody,
) -> Result<Json<NewSecondFactor>, ApiError> {
    let WithPassword { password } = body.parse()?;
    passwords::verify(&api, &person, &origin, "password", password).await?;
    let secret = SharedSecret::generate(&api.engine.random_bytes());
    if !users::begin_second_factor(&*api.store, person.user.id, &secret, api.now()).await? {
        let message = "The account already has a second factor. Disable it first: POST /v1/auth/second-factor/disable.";
        return Err(ApiError::new(ErrorCode::SecondFactorExists, message));
    }
    Ok(Json(NewSecondFactor { uri: secret.uri("Hookstream", &person.user.email), secret: secret.expose().to_owned() }))
}

/// Confirm a second factor
///
/// Signing in requires a code from now on. All other sessions of the user end.
#[utoipa::path(
    post, path = "/auth/second-factor/confirm", operation_id = "confirmSecondFactor", tag = "Sign-in", security(("session" = [])),
    request_body = WithCode,
    responses(
        (status = 200, description = "Confirmed. The recovery codes are returned only once.", body = RecoveryCodes),
        (status = 409, description = "There is no second factor to confirm (`none_to_confirm`).", body = crate::http::error::ErrorBody)
    )
)]
pub(crate) async fn confirm(
    State(api): State<Api>,
    Person(person): Person,
    origin: ClientDetails,
    body: RawBody,
) -> Result<Json<RecoveryCodes>, ApiError> {
    let WithCode { code } = body.parse()?;
    let counters = sign_in::counters_of(&api, &person.user.email, &origin).await?;
    sign_in::admit(&api, &counters).await?;
    let account = users::find(&*api.store, person.user.id).await?.ok_or_else(|| ApiError::not_found("User"))?;
    let Some(secret) = account.secret.as_ref().filter(|_| !account.is_confirmed) else { return Err(none_to_confirm()) };
    let Some(step) = secret.check(&code, None, api.wall()) else {
        return Err(ApiError::invalid(
            "code",
            "is not the current code. Check the clock of the authenticator's device and of the server, then send the next code",
        ));
    };
    users::reset_failures(&*api.store, &counters).await?;
    let (codes, hashes) = new_codes(&api);
    let act = origin.act(&api, Actor::of_person(&account.user));
    if !users::confirm_second_factor(&*api.store, &act, &account, step, &hashes, person.session.id).await? {
        return Err(none_to_confirm());
    }
    tracing::info!(user.id = %person.user.id, "second factor added");
    Ok(Json(RecoveryCodes { recovery_codes: codes }))
}

/// Disable the second factor
#[utoipa::path(
    post, path = "/auth/second-factor/disable", operation_id = "disableSecondFactor", tag = "Sign-in", security(("session" = [])),
    request_body = WithPasswordAndCode,
    responses((status = 200, description = "Disabled. Signing in no longer requires a code.", body = Success))
)]
pub(crate) async fn disable(
    State(api): State<Api>,
    Person(person): Person,
    origin: ClientDetails,
    body: RawBody,
) -> Result<Json<Success>, ApiError> {
    let account = prove(&api, &person, &origin, body.parse()?).await?;
    users::remove_second_factor(&*api.store, &origin.act(&api, Actor::of_person(&account.user)), &account).await?;
    tracing::info!(user.id = %person.user.id, "second factor removed");
    Ok(Json(Success::new()))
}

/// Replace the recovery codes
///
/// The previous recovery codes become invalid.
#[utoipa::path(
    post, path = "/auth/recovery-codes", operation_id = "replaceRecoveryCodes", tag = "Sign-in", security(("session" = [])),
    request_body = WithPasswordAndCode,
    responses(
        (status = 200, description = "Recovery codes. They are returned only once.", body = RecoveryCodes),
        (status = 409, description = "The account has no second factor (`no_second_factor`).", body = crate::http::error::ErrorBody)
    )
)]
pub(crate) async fn replace_codes(
    State(api): State<Api>,
    Person(person): Person,
    origin: ClientDetails,
    body: RawBody,
) -> Result<Json<RecoveryCodes>, ApiError> {
    let account = prove(&api, &person, &origin, body.parse()?).await?;
    let (codes, hashes) = new_codes(&api);
    let act = origin.act(&api, Actor::of_person(&account.user));
    if !account.is_confirmed || !users::replace_recovery(&*api.store, &act, &account, &hashes).await? {
        let message = "The account has no confirmed second factor, or another request has just replaced its recovery codes.";
        return Err(ApiError::new(ErrorCode::NoSecondFactor, message));
    }
    Ok(Json(RecoveryCodes { recovery_codes: codes }))
}

/// Verifies the password and a code again: a session and a password alone must not remove a second factor.
async fn prove(api: &Api, person: &SignedIn, origin: &ClientDetails, with: WithPasswordAndCode) -> Result<Account, ApiError> {
    let WithPasswordAndCode { password, code } = with;
    let account = passwords::verify(api, person, origin, "password", password).await?;
    if !account.is_confirmed {
        return Ok(account);
    }
    let Some(code) = code else {
        let message =
            "The account has a second factor. Send `code` as well: the current code of the authenticator app, or a recovery code.";
        return Err(ApiError::new(ErrorCode::SecondFactorRequired, message));
    };
    let counters = sign_in::counters_of(api, &account.user.email, origin).await?;
    sign_in::admit(api, &counters).await?;
    if !sign_in::takes_code(api, &account, &code).await? {
        let message = "The code is wrong, expired or already used. Send the current code of the authenticator app.";
        return Err(ApiError::new(ErrorCode::WrongCode, message));
    }
    users::uncount(&*api.store, &counters).await?;
    users::find(&*api.store, account.user.id).await?.ok_or_else(|| ApiError::not_found("User"))
}

fn new_codes(api: &Api) -> (Vec<String>, Vec<String>) {
    let codes = recovery_codes(&[api.engine.random_bytes(), api.engine.random_bytes()]);
    let hashes = codes.iter().map(|code| recovery_hash(code)).collect();
    (codes, hashes)
}

fn none_to_confirm() -> ApiError {
    let message = "There is no second factor to confirm. Create one first: POST /v1/auth/second-factor.";
    ApiError::new(ErrorCode::NoneToConfirm, message)
}
