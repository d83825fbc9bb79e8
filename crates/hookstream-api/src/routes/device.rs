//! The device flow (RFC 8628): how `hookstream login` gets an API key without anybody typing one.

use std::{num::NonZeroU32, time::Duration};

use axum::{Json, extract::State};
use hookstream_model::{
    audit_log::Actor,
    device::{INTERVAL, Standing, UserCode, VALID_FOR, standing},
    person::check_name,
    scopes::Scopes,
    session::SessionText,
    sign_in::network,
    tenancy::{ApiKey, ApiKeyText, KeyHash, KeyLevel, KeyMode},
};
use hookstream_store::{
    device_codes::{self, DeviceCode},
    users,
};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::ToSchema;

use super::{Success, api_keys::NewApiKey};
use crate::{
    acting::Origin,
    body::RawBody,
    error::ApiError,
    limits::Subject,
    params::PathParams,
    seats::{self, Wanted},
    signed_in::Person,
    state::Api,
};

/// For how long the key of a device is valid: a laptop is lost sooner or later.
const KEY_FOR: Duration = Duration::from_secs(90 * 24 * 3600);
/// Codes that one address may ask for in a minute.
const CODES: NonZeroU32 = NonZeroU32::new(10).expect("not 0");
const MINUTE: Duration = Duration::from_secs(60);
/// How often another code is drawn where one is taken.
const DRAWS: usize = 5;

/// A program that asks for access.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StartDevice {
    /// What it calls itself, which the key is named.
    #[schema(example = "hookstream on laptop")]
    name: Option<String>,
}

/// What the program shows, and what it asks with.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeviceStarted {
    /// A secret of the program, to ask with.
    device_code: String,
    /// To be shown and typed; it has no O, 0, I, 1 or L.
    #[schema(example = "ABCD-EFGH")]
    user_code: String,
    /// Where it is typed.
    verification_uri: String,
    /// The same with the code.
    verification_uri_complete: String,
    /// Seconds until it is over.
    #[schema(example = 900)]
    expires_in: u64,
    /// Seconds between two questions.
    #[schema(example = 5)]
    interval: u64,
}

/// What a program asks with.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AskDevice {
    device_code: String,
}

/// What was allowed.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeviceAllowed {
    /// The key, once.
    api_key: NewApiKey,
    /// The organization it belongs to.
    org_id: String,
    /// The environment it belongs to.
    env_id: String,
}

/// A program that asks for access, for whoever decides.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeviceAnswer {
    device: Device,
}

/// A program that asks for access.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Device {
    #[schema(example = "ABCD-EFGH")]
    user_code: String,
    /// What it calls itself.
    name: String,
    /// From which address it asks.
    address: Option<String>,
    created_at: String,
    expires_at: String,
}

/// For where a program is allowed; where nothing is said, for where the session is turned to.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AllowDevice {
    org_id: Option<String>,
    env_id: Option<String>,
}

/// Ask for access
///
/// For a program without a browser: it shows the `user_code`, somebody who is signed in allows it, and the program
/// asks with the `device_code` until then.
#[utoipa::path(
    post, path = "/auth/device", operation_id = "startDevice", tag = "Sign-in", security(()),
    request_body = Option<StartDevice>,
    responses((status = 200, description = "The codes.", body = DeviceStarted))
)]
pub(crate) async fn start(State(api): State<Api>, origin: Origin, body: RawBody) -> Result<Json<DeviceStarted>, ApiError> {
    let StartDevice { name } = body.parse_optional()?;
    let name = name.unwrap_or_else(|| "a device".to_owned());
    check_name(&name)?;
    if let Some(address) = origin.address.map(network) {
        let standing = api.limiter.count_in(Subject::Devices(address), CODES, MINUTE, Instant::now());
        if let Some(wait) = standing.wait {
            let message = format!("This address has asked for {CODES} device codes within a minute. Retry later.");
            return Err(ApiError::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", message).with_retry_after(wait));
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
    Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "No code is free at the moment. Try again."))
}

/// Ask whether access is allowed
///
/// Until then 400 with the code `authorization_pending`, or `slow_down` where the program asks more often than every
/// five seconds; afterwards `access_denied` or `expired_token` (RFC 8628, section 3.5). The key may do what whoever
/// allowed it may.
#[utoipa::path(
    post, path = "/auth/device/token", operation_id = "askDevice", tag = "Sign-in", security(()),
    request_body = AskDevice,
    responses((status = 200, description = "A key, once.", body = DeviceAllowed))
)]
pub(crate) async fn ask(State(api): State<Api>, origin: Origin, body: RawBody) -> Result<Json<DeviceAllowed>, ApiError> {
    let AskDevice { device_code } = body.parse()?;
    let (hash, now) = (KeyHash::of(&device_code), api.now());
    let refuse = |code: &'static str, message: &str| Err(ApiError::new(StatusCode::BAD_REQUEST, code, message));
    let Some(code) = device_codes::ask(&*api.store, hash, now).await? else {
        return refuse("expired_token", "There is no such device code, or not any more. Begin anew.");
    };
    match standing(code.allowed.is_some(), code.is_denied, code.last_asked_at, code.expires_at, now) {
        Standing::Pending => return refuse("authorization_pending", "Nobody has allowed it yet. Ask again in five seconds."),
        Standing::TooSoon => return refuse("slow_down", "Asked too soon. Wait five seconds between two questions."),
        Standing::Expired => return refuse("expired_token", "The code is over. Begin anew."),
        Standing::Denied => return refuse("access_denied", "Somebody refused."),
        Standing::Allowed => {}
    }
    let Some((user, tenant)) = code.allowed else { return refuse("expired_token", "The code is over. Begin anew.") };
    // What they may do there now, not what they could when they allowed it.
    let wanted = Wanted::named(Some(&tenant.organization.to_string()), Some(&tenant.environment.to_string()))?;
    let (tenant, role) = seats::of_user(&api, user, None, wanted).await?;
    let key = ApiKey {
        level: KeyLevel::Environment,
        scopes: role.scopes().and(Scopes::ALL),
        expires_at: Some(now + KEY_FOR),
        ..ApiKey::unlimited(api.engine.new_id().into(), tenant, code.name)
    };
    let text = ApiKeyText::generate(KeyMode::Live, &api.engine.random_bytes());
    let Some(account) = users::find(&*api.store, user).await? else { return refuse("expired_token", "The code is over. Begin anew.") };
    // Whoever allowed it made the key, from where the device is.
    let act = origin.act(&api, Actor::of_person(&account.user));
    if !device_codes::redeem(&*api.store, &act, hash, &key, &text).await? {
        return refuse("expired_token", "The code was used. Begin anew.");
    }
    tracing::info!(user.id = %user, key.id = %key.id, "created an API key for a device");
    Ok(Json(DeviceAllowed {
        api_key: NewApiKey::new(&key, &text, act.at, None),
        org_id: tenant.organization.to_string(),
        env_id: tenant.environment.to_string(),
    }))
}

/// Look at a program that asks for access
#[utoipa::path(
    get, path = "/auth/device/{userCode}", operation_id = "getDevice", tag = "Sign-in", security(("session" = [])),
    params(("userCode" = String, Path, description = "What the program shows.")),
    responses((status = 200, description = "What it says of itself.", body = DeviceAnswer))
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

/// Allow a program access
///
/// It gets an API key of the environment, which may do what the caller may there.
#[utoipa::path(
    post, path = "/auth/device/{userCode}/allow", operation_id = "allowDevice", tag = "Sign-in", security(("session" = [])),
    params(("userCode" = String, Path, description = "What the program shows.")),
    request_body = Option<AllowDevice>,
    responses((status = 200, description = "It gets its key when it asks next.", body = Success))
)]
pub(crate) async fn allow(
    State(api): State<Api>,
    Person(person): Person,
    PathParams(code): PathParams<String>,
    body: RawBody,
) -> Result<Json<Success>, ApiError> {
    use hookstream_model::scopes::{Resource, Scope};
    let AllowDevice { org_id, env_id } = body.parse_optional()?;
    let code = read(&code)?;
    let wanted = Wanted::named(org_id.as_deref(), env_id.as_deref())?;
    let (tenant, role) = seats::of_user(&api, person.user.id, person.session.tenant, wanted).await?;
    if !role.scopes().allow(Scope::write(Resource::ApiKeys)) {
        let message = format!("Your role there is {}, which may not make API keys. Ask an owner or admin.", role.as_str());
        return Err(ApiError::new(StatusCode::FORBIDDEN, "forbidden", message));
    }
    if !device_codes::allow(&*api.store, &code, person.user.id, tenant, api.now()).await? {
        return Err(not_found());
    }
    Ok(Json(Success::new()))
}

/// Refuse a program access
#[utoipa::path(
    post, path = "/auth/device/{userCode}/deny", operation_id = "denyDevice", tag = "Sign-in", security(("session" = [])),
    params(("userCode" = String, Path, description = "What the program shows.")),
    responses((status = 200, description = "It is told.", body = Success))
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
    ApiError::new(StatusCode::NOT_FOUND, "not_found", "There is no such code, or not any more. Begin anew on the device.")
}
