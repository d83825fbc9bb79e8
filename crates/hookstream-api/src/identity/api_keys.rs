//! API keys: creation, rotation and revocation.

use std::time::Duration;

use axum::{Extension, Json, extract::State, response::Response};
use hookstream_model::{
    base::{
        ids::{ApiKeyId, EnvironmentId},
        text::got,
        time::Timestamp,
    },
    identity::{
        member::Role,
        scopes::{Resource, Scope, Scopes},
        tenancy::{self, ApiKey as Model, ApiKeyText, KeyLevel, KeyMode, Tenant},
    },
};
use hookstream_store::identity::{
    api_keys::{self, Listed},
    environments,
};
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::{
    auth::{
        audited_caller::AuditedCaller,
        caller::{Caller, CallerIdentity},
        credentials::Credentials,
        refusal::organization_key_needed,
    },
    http::{
        body::{OrText, RawBody, Whole, json_value},
        error::{ApiError, ErrorCode},
        idempotency, page,
        params::{PathParams, QueryParams, id},
        shapes::{ListQuery, Success},
    },
    state::Api,
};

/// Default overlap of a rotated key and its replacement, in seconds: a day.
const OVERLAP_S: u32 = 24 * 3600;
/// Maximum overlap, in seconds: 30 days.
const OVERLAP_MAX_S: u32 = 30 * 24 * 3600;

/// API key, without its text.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ApiKey {
    #[schema(example = "019dc1e2a3b47c5d8e9f001122334455")]
    id: String,
    org_id: String,
    env_id: String,
    #[schema(example = "billing service")]
    name: String,
    /// First characters of the key.
    #[schema(example = "hs_live_a1b2")]
    key_prefix: String,
    /// Scopes, separated by commas: `*`, or words such as `messages:write` and `endpoints:*`.
    #[schema(example = "messages:write")]
    scopes: String,
    /// `environment`, or `organization`. A key of the level `organization` also reaches the organization's members, invitations,
    /// environments and settings.
    #[schema(example = "environment")]
    level: &'static str,
    /// JSON text of the networks from which the key is accepted; `null` means any.
    networks: Option<String>,
    /// Time at which the key expires; `null` means never.
    expires_at: Option<String>,
    /// Number of requests. The last few seconds may be missing.
    #[schema(example = 1200)]
    request_count: u64,
    /// 1 if the key is revoked, 0 otherwise.
    revoked: u8,
    created_at: String,
    /// Time of the last request, accurate to a few seconds; `null` if the key was never used.
    last_used_at: Option<String>,
}

impl From<Listed> for ApiKey {
    fn from(listed: Listed) -> Self {
        let Listed { key, prefix, created_at, revoked_at, last_used_at, request_count } = listed;
        Self {
            id: key.id.to_string(),
            org_id: key.tenant.organization.to_string(),
            env_id: key.tenant.environment.to_string(),
            key_prefix: prefix,
            scopes: key.scopes.to_string(),
            level: key.level.as_str(),
            networks: networks_text(&key),
            expires_at: key.expires_at.map(|at| at.to_string()),
            name: key.name,
            request_count,
            revoked: u8::from(revoked_at.is_some()),
            created_at: created_at.to_string(),
            last_used_at: last_used_at.map(|at| at.to_string()),
        }
    }
}

/// Answer with an API key.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ApiKeyAnswer {
    api_key: ApiKey,
}

/// Page of API keys.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ApiKeyList {
    api_keys: Vec<ApiKey>,
    /// Cursor of the next page; `null` on the last page.
    cursor: Option<String>,
    has_more: bool,
}

/// New API key, with its text.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NewApiKey {
    #[schema(example = "019dc1e2a3b47c5d8e9f001122334455")]
    id: String,
    #[schema(example = "billing service")]
    name: String,
    /// API key. It is returned only once.
    #[schema(example = "hs_live_00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff")]
    key: String,
    /// First characters of the key.
    #[schema(example = "hs_live_0011")]
    key_prefix: String,
    /// Scopes, separated by commas.
    #[schema(example = "messages:write")]
    scopes: String,
    /// `environment` or `organization`.
    #[schema(example = "environment")]
    level: &'static str,
    /// JSON text of the networks from which the key is accepted; `null` means any.
    networks: Option<String>,
    /// Time at which the key expires; `null` means never.
    expires_at: Option<String>,
    created_at: String,
    /// Time until which the previous key is accepted too. Present only in the answer to a rotation.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_key_expires_at: Option<String>,
}

impl NewApiKey {
    pub(crate) fn new(key: &Model, text: &ApiKeyText, now: Timestamp, old_until: Option<Timestamp>) -> Self {
        Self {
            id: key.id.to_string(),
            name: key.name.clone(),
            key: text.expose().to_owned(),
            key_prefix: text.prefix().to_owned(),
            scopes: key.scopes.to_string(),
            level: key.level.as_str(),
            networks: networks_text(key),
            expires_at: key.expires_at.map(|at| at.to_string()),
            created_at: now.to_string(),
            previous_key_expires_at: old_until.map(|at| at.to_string()),
        }
    }
}

/// New API key.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateApiKey<'a> {
    /// Name: 1 to 255 characters.
    #[schema(example = "billing service")]
    name: String,
    /// Id of the caller's organization. Another one is answered 404.
    org_id: Option<String>,
    /// Id of the caller's environment. Another one is answered 404.
    env_id: Option<String>,
    /// `environment` (the default): the key reaches its environment, and reads its organization. `organization`: the key also reaches members,
    /// invitations, environments and the organization's settings; only owners, admins and keys of this level create such keys.
    #[schema(example = "environment")]
    level: Option<String>,
    /// Scopes, at most those of the caller: text with commas, or an array of words. The default is the caller's scopes, except those that `*`
    /// does not include.
    #[serde(borrow)]
    #[schema(value_type = Option<OrText<Vec<String>>>, inline)]
    scopes: Option<&'a RawValue>,
    /// Time at which the key expires: ISO 8601 with an offset, in the future. The default is never.
    #[schema(example = "2027-12-31T23:59:59Z", format = DateTime)]
    expires_at: Option<String>,
    /// Networks from which the key is accepted, such as `10.0.0.0/8`; at most 100. The default is any.
    #[serde(borrow)]
    #[schema(value_type = Option<OrText<Vec<String>>>, inline)]
    networks: Option<&'a RawValue>,
    /// Prefix of the key: `live` (`hs_live_`, the default) or `test` (`hs_test_`).
    mode: Option<String>,
}

/// Options of a rotation. All fields are optional, and so is the body.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RotateApiKey {
    /// Seconds for which the previous key is accepted too: 0 to 2592000 (30 days).
    #[schema(value_type = Option<u32>, minimum = 0, maximum = 2592000, default = 86400, example = 3600)]
    overlap_seconds: Option<Whole<u32>>,
    /// Time at which the new key expires: ISO 8601 with an offset, in the future. The default is never. If the previous key expires, the
    /// default is its lifetime, counted from now.
    #[schema(example = "2027-12-31T23:59:59Z", format = DateTime)]
    expires_at: Option<String>,
}

/// List API keys
///
/// API keys of the caller's environment are listed, including revoked ones, without their texts.
#[utoipa::path(
    get, path = "/auth/api-keys", operation_id = "listApiKeys", tag = "API keys",
    params(ListQuery),
    responses((status = 200, description = "Page of API keys, newest first.", body = ApiKeyList))
)]
pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
    QueryParams(query): QueryParams<ListQuery>,
) -> Result<Json<ApiKeyList>, ApiError> {
    caller.check_tenant(query.org_id.as_deref(), query.env_id.as_deref())?;
    let request = page::request(query.limit.as_deref(), query.cursor.as_deref(), ApiKeyId::from_bytes)?;
    let page = api_keys::list(&*api.store, caller.tenant, request).await?;
    let cursor = page::cursor(&page, |listed| *listed.key.id.as_bytes());
    let has_more = page.has_more;
    Ok(Json(ApiKeyList { api_keys: page.items.into_iter().map(ApiKey::from).collect(), cursor, has_more }))
}

/// Create an API key
///
/// The answer contains the key, which is returned only once. A key's scopes, networks and expiry are at most those of the key that creates
/// it.
#[utoipa::path(
    post, path = "/auth/api-keys", operation_id = "createApiKey", tag = "API keys",
    request_body = CreateApiKey,
    responses((status = 201, description = "Created.", body = NewApiKey))
)]
pub(crate) async fn create(
    State(api): State<Api>,
    caller: Caller,
    audited: AuditedCaller,
    Extension(credentials): Extension<Credentials>,
    headers: HeaderMap,
    body: RawBody,
) -> Result<Response, ApiError> {
    let input: CreateApiKey<'_> = body.parse()?;
    let caller = match caller.identity {
        // A key of the level `organization` may create keys in each environment of the organization.
        CallerIdentity::Key(_, KeyLevel::Organization) => {
            in_environment(&api, caller, input.org_id.as_deref(), input.env_id.as_deref()).await?
        }
        CallerIdentity::Key(_, KeyLevel::Environment) | CallerIdentity::Person(..) => {
            caller.within(&api, input.org_id.as_deref(), input.env_id.as_deref(), Scope::write(Resource::ApiKeys)).await?
        }
    };
    let idempotency_key = idempotency::key(&headers, "POST /v1/auth/api-keys", &body.0)?;
    tenancy::check_key_name(&input.name)?;
    let act = audited.act(&api);
    let now = act.at;
    let key = Model {
        id: api.engine.new_id().into(),
        tenant: caller.tenant,
        name: input.name,
        level: input.level.as_deref().map_or(Ok(KeyLevel::Environment), KeyLevel::parse)?,
        scopes: input.scopes.map_or(Ok(caller.scopes.and(Scopes::ALL)), scopes)?,
        expires_at: input.expires_at.as_deref().map(|text| expiry(text, now)).transpose()?,
        networks: input.networks.map(networks).transpose()?.unwrap_or_default(),
    };
    check_grants(caller, key.scopes)?;
    check_level(caller, key.level)?;
    check_parent(&credentials, &key)?;
    let mode = match input.mode.as_deref() {
        None | Some("live") => KeyMode::Live,
        Some("test") => KeyMode::Test,
        Some(word) => return Err(ApiError::invalid("mode", &format!("must be `live` or `test`{}", got(word)))),
    };
    let text = ApiKeyText::generate(mode, &api.engine.random_bytes());
    let answer = NewApiKey::new(&key, &text, now, None);
    idempotency::create_once(&api, caller.tenant, idempotency_key, &answer, try_again, async |kept| {
        api_keys::create_idempotent(&*api.store, &act, &key, &text, kept).await
    })
    .await
}

/// Get an API key
#[utoipa::path(
    get, path = "/auth/api-keys/{id}", operation_id = "getApiKey", tag = "API keys",
    params(("id" = String, Path, description = "Id of the API key.")),
    responses((status = 200, description = "API key, without its text.", body = ApiKeyAnswer))
)]
pub(crate) async fn get(
    State(api): State<Api>,
    caller: Caller,
    PathParams(key): PathParams<String>,
) -> Result<Json<ApiKeyAnswer>, ApiError> {
    let found = api_keys::find_listed(&*api.store, caller.tenant, id(&key, "API key")?).await?.ok_or_else(not_found)?;
    Ok(Json(ApiKeyAnswer { api_key: found.into() }))
}

/// Rotate an API key
///
/// A new key with the same name, scopes and networks is created. The previous key is accepted until the overlap ends. With an overlap of 0
/// every node refuses it when the answer arrives.
#[utoipa::path(
    post, path = "/auth/api-keys/{id}/rotate", operation_id = "rotateApiKey", tag = "API keys",
    params(("id" = String, Path, description = "Id of the API key.")),
    request_body = Option<RotateApiKey>,
    responses((status = 201, description = "New API key, with its text.", body = NewApiKey))
)]
pub(crate) async fn rotate(
    State(api): State<Api>,
    caller: Caller,
    audited: AuditedCaller,
    Extension(credentials): Extension<Credentials>,
    PathParams(old): PathParams<String>,
    headers: HeaderMap,
    body: RawBody,
) -> Result<Response, ApiError> {
    let input: RotateApiKey = body.parse_optional()?;
    let overlap = input.overlap_seconds.map_or(OVERLAP_S, Whole::number);
    if overlap > OVERLAP_MAX_S {
        return Err(ApiError::invalid("overlap_seconds", "must be a whole number of seconds from 0 to 2592000 (30 days)"));
    }
    let idempotency_key = idempotency::key(&headers, &format!("POST /v1/auth/api-keys/{old}/rotate"), &body.0)?;
    // Idempotency keys are scoped by caller, so a repetition reveals no other caller's key.
    if let Some(answer) = idempotency::repeated(&api, caller.tenant, idempotency_key.as_ref()).await? {
        return Ok(answer);
    }
    let act = audited.act(&api);
    let now = act.at;
    let found = api_keys::find_listed(&*api.store, caller.tenant, id(&old, "API key")?).await?;
    let Listed { key: old, prefix, created_at, .. } =
        found.filter(|found| found.revoked_at.is_none() && !found.key.is_expired(now)).ok_or_else(not_found)?;
    check_grants(caller, old.scopes)?;
    check_level(caller, old.level)?;
    let expires_at = match input.expires_at {
        Some(text) => Some(expiry(&text, now)?),
        // The same lifetime as the old key, and at most that of the calling key.
        None => {
            let as_long = old.expires_at.map(|end| now + end.since(created_at));
            let own_end = credentials.key().and_then(|key| key.expires_at);
            as_long.into_iter().chain(own_end).min()
        }
    };
    let key = Model { id: api.engine.new_id().into(), expires_at, ..old.clone() };
    check_parent(&credentials, &key)?;
    let mode = if prefix.starts_with("hs_test_") { KeyMode::Test } else { KeyMode::Live };
    let text = ApiKeyText::generate(mode, &api.engine.random_bytes());
    let until = now + Duration::from_secs(u64::from(overlap));
    let until = old.expires_at.map_or(until, |end| end.min(until));
    let answer = NewApiKey::new(&key, &text, now, Some(until));
    let answer = idempotency::create_once(&api, caller.tenant, idempotency_key, &answer, try_again, async |kept| {
        api_keys::replace(&*api.store, &act, &old, until, &key, &text, kept).await
    })
    .await?;
    if overlap == 0 {
        api.engine.wait_for_every_node().await;
    }
    Ok(answer)
}

/// Revoke an API key
///
/// When the answer arrives, every node refuses the key. A revoked key cannot be restored.
#[utoipa::path(
    delete, path = "/auth/api-keys/{id}", operation_id = "revokeApiKey", tag = "API keys",
    params(("id" = String, Path, description = "Id of the API key.")),
    responses((status = 200, description = "Revoked.", body = Success))
)]
pub(crate) async fn revoke(
    State(api): State<Api>,
    caller: Caller,
    audited: AuditedCaller,
    PathParams(key): PathParams<String>,
) -> Result<Json<Success>, ApiError> {
    let key: ApiKeyId = id(&key, "API key")?;
    let found = api_keys::find_listed(&*api.store, caller.tenant, key).await?.ok_or_else(not_found)?;
    check_grants(caller, found.key.scopes)?;
    check_level(caller, found.key.level)?;
    let was_valid = api_keys::revoke(&*api.store, &audited.act(&api), caller.tenant, key).await?;
    api.engine.wait_for_every_node().await;
    if was_valid { Ok(Json(Success::new())) } else { Err(not_found()) }
}

/// Returns the caller for one of the environments of its organization.
async fn in_environment(api: &Api, caller: Caller, org_id: Option<&str>, env_id: Option<&str>) -> Result<Caller, ApiError> {
    caller.check_tenant(org_id, None)?;
    let Some(text) = env_id else { return Ok(caller) };
    let environment: EnvironmentId = id(text, "Environment")?;
    let found = environments::find(&*api.store, caller.tenant.organization, environment).await?;
    let found = found.filter(|found| found.deleted_at.is_none()).ok_or_else(|| ApiError::not_found("Environment"))?;
    Ok(Caller { tenant: Tenant { environment: found.id, ..caller.tenant }, ..caller })
}

/// Refuses callers of a lower level than the key's.
fn check_level(caller: Caller, level: KeyLevel) -> Result<(), ApiError> {
    let reaches = match caller.identity {
        CallerIdentity::Key(_, own) => own >= level,
        CallerIdentity::Person(_, role) => level == KeyLevel::Environment || role >= Role::Admin,
    };
    if reaches { Ok(()) } else { Err(organization_key_needed()) }
}

/// Refuses a key that has wider networks or a later expiry than the key that creates or rotates it.
fn check_parent(credentials: &Credentials, child: &Model) -> Result<(), ApiError> {
    Ok(credentials.key().map_or(Ok(()), |key| key.check_child(child))?)
}

/// Refuses to create, rotate or revoke a key with more scopes than the caller's.
fn check_grants(caller: Caller, scopes: Scopes) -> Result<(), ApiError> {
    match caller.scopes.lack(scopes) {
        None => Ok(()),
        Some(lacking) => {
            let message = format!(
                "The API key has the scope {lacking}, which the caller lacks. Leave the scope out, or use a key or role that has it."
            );
            Err(ApiError::new(ErrorCode::Forbidden, message).with_details(serde_json::json!({ "scope": lacking })))
        }
    }
}

/// Parses scopes given as text, or as an array of words.
fn scopes(raw: &RawValue) -> Result<Scopes, ApiError> {
    let text = if raw.get().starts_with('[') {
        json_value::<Vec<String>>("scopes", raw, "scopes as text, or an array of scopes")?.join(",")
    } else {
        serde_json::from_str::<String>(raw.get())
            .map_err(|_| ApiError::invalid("scopes", "must be scopes as text, such as \"messages:write\", or an array of scopes"))?
    };
    Ok(Scopes::parse(&text)?)
}

fn networks(raw: &RawValue) -> Result<Vec<ipnet::IpNet>, ApiError> {
    let texts: Vec<String> = json_value("networks", raw, "an array of networks such as 10.0.0.0/8")?;
    Ok(tenancy::parse_networks("networks", &texts)?)
}

fn networks_text(key: &Model) -> Option<String> {
    let networks: Vec<_> = key.networks.iter().map(ToString::to_string).collect();
    (!networks.is_empty()).then(|| serde_json::to_string(&networks).expect("a list of text is JSON"))
}

fn expiry(text: &str, now: Timestamp) -> Result<Timestamp, ApiError> {
    let at: Timestamp =
        text.parse().map_err(|error: hookstream_model::base::time::InvalidTime| ApiError::invalid("expires_at", &error.to_string()))?;
    let problem = || format!("must be in the future; got {at}, and the current time is {now}");
    if at <= now { Err(ApiError::invalid("expires_at", &problem())) } else { Ok(at) }
}

fn try_again() -> ApiError {
    ApiError::new(ErrorCode::Conflict, "The API key could not be stored because another request changed the keys. Retry the request.")
}

fn not_found() -> ApiError {
    ApiError::not_found("API key")
}

#[cfg(test)]
mod tests;
