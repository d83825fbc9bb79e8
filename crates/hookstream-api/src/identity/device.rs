//! Device flow (RFC 8628): `hookstream login` gets an API key without the user typing one.

use std::{num::NonZeroU32, time::Duration};

use axum::{Json, extract::State};
use hookstream_model::{
    identity::{
        device::{DeviceStatus, INTERVAL, UserCode, VALID_FOR, device_status},
        scopes::Scopes,
        session::SessionText,
        sign_in::network,
        tenancy::{ApiKey, ApiKeyText, KeyHash, KeyLevel, KeyMode},
        user::check_name,
    },
    operations::audit_log::Actor,
};
use hookstream_store::identity::{
    device_codes::{self, DeviceCode},
    users,
};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::ToSchema;

use super::api_keys::NewApiKey;
use crate::{
    auth::{
        audited_caller::ClientDetails,
        person::Person,
        tenant_context::{self, Wanted},
    },
    http::{
        body::RawBody,
        error::{ApiError, ErrorCode},
        limits::Subject,
        params::PathParams,
        shapes::Success,
    },
    state::Api,
};

/// Lifetime of a device's key. The lifetime is limited because devices get lost.
const KEY_FOR: Duration = Duration::from_secs(90 * 24 * 3600);
/// Codes that one address may request per minute.
const CODES: NonZeroU32 = NonZeroU32::new(10).expect("not 0");
const MINUTE: Duration = Duration::from_secs(60);
/// Maximum number of draws if a code is already in use.
const DRAWS: usize = 5;

/// Request of a device for access.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StartDevice {
    /// Name of the device, which becomes the name of the API key: 1 to 255 characters.
    #[schema(example = "hookstream on laptop")]
    name: Option<String>,
}

/// Codes of a device.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeviceStarted {
    /// Secret with which the device polls for its token.
    #[schema(example = "b1946ac92492d2347c6235b4d2611184f8c1e2d0a7b35964e0d1c2b3a4958677")]
    device_code: String,
    /// Code that the device shows and the user types. It has no O, 0, I, 1 or L.
    #[schema(example = "ABCD-EFGH")]
    user_code: String,
    /// URL of the page where the user types the code.
    verification_uri: String,
    /// URL of that page with the code filled in.
    verification_uri_complete: String,
    /// Seconds until the codes expire.
    #[schema(example = 900)]
    expires_in: u64,
    /// Seconds to wait between two polls.
    #[schema(example = 5)]
    interval: u64,
}

/// Poll of a device.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AskDevice {
    /// Secret from the answer that started the flow.
    #[schema(example = "b1946ac92492d2347c6235b4d2611184f8c1e2d0a7b35964e0d1c2b3a4958677")]
    device_code: String,
}

/// Access that was granted to a device.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeviceAllowed {
    /// API key. It is returned only once.
    api_key: NewApiKey,
    /// Id of the key's organization.
    org_id: String,
    /// Id of the key's environment.
    env_id: String,
}

/// Answer with a device that requests access.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeviceAnswer {
    device: Device,
}

/// Device that requests access.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Device {
    /// Code that the device shows.
    #[schema(example = "ABCD-EFGH")]
    user_code: String,
    /// Name that the device gave.
    name: String,
    /// Address from which the device requests access.
    address: Option<String>,
    created_at: String,
    expires_at: String,
}

/// Environment of the granted access. All fields are optional, and so is the body.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AllowDevice {
    /// Id of the organization. The default is the session's organization.
    org_id: Option<String>,
    /// Id of the environment. The default is the session's environment.
    env_id: Option<String>,
}

/// Start the device flow
///
/// The device flow (RFC 8628) gives a program without a browser an API key. The program shows the `user_code`, a signed-in user allows it,
/// and the program polls with the `device_code` meanwhile.
#[utoipa::path(
    post, path = "/auth/device", operation_id = "startDevice", tag = "Sign-in", security(()),
    request_body = Option<StartDevice>,
    responses((status = 200, description = "Codes of the device.", body = DeviceStarted))
)]
pub(crate) async fn start(State(api): State<Api>, origin: ClientDetails, body: RawBody) -> Result<Json<DeviceStarted>, ApiError> {
    let StartDevice { name } = body.parse_optional()?;
    let name = name.unwrap_or_else(|| "a device".to_owned());
    check_name(&name)?;
    if let Some(address) = origin.address.map(network) {
        let rate_limit = api.limiter.count_in(Subject::Devices(address), CODES, MINUTE, Instant::now());
        if let Some(wait) = rate_limit.wait {
            let message = format!(
                "Too many device codes were requested from this address: at most {CODES} a minute are allowed. Retry after the time in Retry-After."
            );
            return Err(ApiError::new(ErrorCode::RateLimited, message).with_retry_after(wait));
        }
    }
    let now = api.now();
    for _ in 0..DRAWS {
        let Some(user_code) = UserCode::generate(&api.engine.random_bytes()) else { continue };
        let secret = SessionText::generate(&api.engine.random_bytes());
        let code = DeviceCode {
            user_code,
            name: name.clone(),
            address: origin.address.map(|address| address.to_string()),
            allowed: None,
            is_denied: false,
            created_at: now,
            expires_at: now + VALID_FOR,
            last_asked_at: None,
        };
        if !device_codes::create(&*api.store, &code, secret.hash()).await? {
            continue;
        }
        let verification_uri = format!("{}/dashboard/cli-auth", api.options.public_url);
        return Ok(Json(DeviceStarted {
            device_code: secret.expose().to_owned(),
            verification_uri_complete: format!("{verification_uri}?code={}", code.user_code),
            verification_uri,
            user_code: code.user_code.to_string(),
            expires_in: VALID_FOR.as_secs(),
            interval: INTERVAL.as_secs(),
        }));
    }
    Err(ApiError::new(ErrorCode::Busy, "No device code is available at the moment. Retry in a few seconds."))
}

/// Poll for the device token
///
/// While the user has not decided, the answer is 400 `authorization_pending`, or 400 `slow_down` if the program polls more often than every
/// five seconds. After a refusal it is 400 `access_denied`, after the codes have expired 400 `expired_token` (RFC 8628, section 3.5). The API
/// key has the scopes of the user who allowed it.
#[utoipa::path(
    post, path = "/auth/device/token", operation_id = "askDevice", tag = "Sign-in", security(()),
    request_body = AskDevice,
    responses((status = 200, description = "API key, with its text.", body = DeviceAllowed))
)]
pub(crate) async fn ask(State(api): State<Api>, origin: ClientDetails, body: RawBody) -> Result<Json<DeviceAllowed>, ApiError> {
    let AskDevice { device_code } = body.parse()?;
    let (hash, now) = (KeyHash::of(&device_code), api.now());
    let refuse = |code: ErrorCode, message: &str| Err(ApiError::new(code, message));
    let Some(code) = device_codes::poll(&*api.store, hash, now).await? else {
        return refuse(ErrorCode::ExpiredToken, "The device code is unknown or has expired. Start the device flow again.");
    };
    match device_status(code.allowed.is_some(), code.is_denied, code.last_asked_at, code.expires_at, now) {
        DeviceStatus::Pending => {
            return refuse(ErrorCode::AuthorizationPending, "The device has not been allowed yet. Poll again in 5 seconds.");
        }
        DeviceStatus::TooSoon => return refuse(ErrorCode::SlowDown, "The device polls too often. Wait 5 seconds between two polls."),
        DeviceStatus::Expired => return refuse(ErrorCode::ExpiredToken, "The device code has expired. Start the device flow again."),
        DeviceStatus::Denied => {
            return refuse(ErrorCode::AccessDenied, "The user refused access. Start the device flow again if that was a mistake.");
        }
        DeviceStatus::Allowed => {}
    }
    let Some((user, tenant)) = code.allowed else {
        return refuse(ErrorCode::ExpiredToken, "The device code has expired. Start the device flow again.");
    };
    // The user's current role counts, not the role at the time of the approval.
    let wanted = Wanted::named(Some(&tenant.organization.to_string()), Some(&tenant.environment.to_string()))?;
    let (tenant, role) = tenant_context::of_user(&api, user, None, wanted).await?;
    let key = ApiKey {
        level: KeyLevel::Environment,
        scopes: role.scopes().and(Scopes::ALL),
        expires_at: Some(now + KEY_FOR),
        ..ApiKey::unlimited(api.engine.new_id().into(), tenant, code.name)
    };
    let text = ApiKeyText::generate(KeyMode::Live, &api.engine.random_bytes());
    let Some(account) = users::find(&*api.store, user).await? else {
        return refuse(ErrorCode::ExpiredToken, "The device code has expired. Start the device flow again.");
    };
    // The actor is the user who allowed the device; the address is the device's.
    let act = origin.act(&api, Actor::of_person(&account.user));
    if !device_codes::redeem(&*api.store, &act, hash, &key, &text).await? {
        return refuse(ErrorCode::ExpiredToken, "The device code was already used. Start the device flow again.");
    }
    tracing::info!(user.id = %user, key.id = %key.id, "created an API key for a device");
    Ok(Json(DeviceAllowed {
        api_key: NewApiKey::new(&key, &text, act.at, None),
        org_id: tenant.organization.to_string(),
        env_id: tenant.environment.to_string(),
    }))
}

/// Get a device that requests access
#[utoipa::path(
    get, path = "/auth/device/{userCode}", operation_id = "getDevice", tag = "Sign-in", security(("session" = [])),
    params(("userCode" = String, Path, description = "Code that the device shows.")),
    responses((status = 200, description = "Device.", body = DeviceAnswer))
)]
pub(crate) async fn get(State(api): State<Api>, _: Person, PathParams(code): PathParams<String>) -> Result<Json<DeviceAnswer>, ApiError> {
    let code = read(&code)?;
    let found = device_codes::find_open(&*api.store, &code, api.now()).await?.ok_or_else(not_found)?;
    Ok(Json(DeviceAnswer {
        device: Device {
            user_code: found.user_code.to_string(),
            name: found.name,
            address: found.address,
            created_at: found.created_at.to_string(),
            expires_at: found.expires_at.to_string(),
        },
    }))
}

/// Allow a device
///
/// The device gets an API key of the environment, with the scopes that the caller has there.
#[utoipa::path(
    post, path = "/auth/device/{userCode}/allow", operation_id = "allowDevice", tag = "Sign-in", security(("session" = [])),
    params(("userCode" = String, Path, description = "Code that the device shows.")),
    request_body = Option<AllowDevice>,
    responses((status = 200, description = "Allowed. The device gets its API key with its next poll.", body = Success))
)]
pub(crate) async fn allow(
    State(api): State<Api>,
    Person(person): Person,
    PathParams(code): PathParams<String>,
    body: RawBody,
) -> Result<Json<Success>, ApiError> {
    use hookstream_model::identity::scopes::{Resource, Scope};
    let AllowDevice { org_id, env_id } = body.parse_optional()?;
    let code = read(&code)?;
    let wanted = Wanted::named(org_id.as_deref(), env_id.as_deref())?;
    let (tenant, role) = tenant_context::of_user(&api, person.user.id, person.session.tenant, wanted).await?;
    if !role.scopes().allow(Scope::write(Resource::ApiKeys)) {
        let message = format!("Your role in this environment is {}, which cannot create API keys. Ask an owner or admin.", role.as_str());
        return Err(ApiError::new(ErrorCode::Forbidden, message));
    }
    if !device_codes::allow(&*api.store, &code, person.user.id, tenant, api.now()).await? {
        return Err(not_found());
    }
    Ok(Json(Success::new()))
}

/// Refuse a device
#[utoipa::path(
    post, path = "/auth/device/{userCode}/deny", operation_id = "denyDevice", tag = "Sign-in", security(("session" = [])),
    params(("userCode" = String, Path, description = "Code that the device shows.")),
    responses((status = 200, description = "Refused.", body = Success))
)]
pub(crate) async fn deny(State(api): State<Api>, _: Person, PathParams(code): PathParams<String>) -> Result<Json<Success>, ApiError> {
    if !device_codes::deny(&*api.store, &read(&code)?, api.now()).await? {
        return Err(not_found());
    }
    Ok(Json(Success::new()))
}

fn read(code: &str) -> Result<UserCode, ApiError> {
    UserCode::parse(code).ok_or_else(not_found)
}

fn not_found() -> ApiError {
    ApiError::new(ErrorCode::NotFound, "This code is unknown or has expired. Start again on the device.")
}
