//! `Idempotency-Key`: a repeated request gets the first response again.
//!
//! Keys are scoped by caller: [`claim`] prefixes the key with the caller's name, so no caller sees another's
//! responses. An operation that creates a resource stores its response in the same commit ([`create_once`]); for all
//! other operations [`answer_once`] stores it afterwards.

pub(crate) mod keys_in_use;

use std::time::Duration;

use axum::{
    body::Body,
    extract::{FromRequest, FromRequestParts, MatchedPath, RawPathParams, Request},
    middleware::Next,
    response::{IntoResponse, Response},
};
use hookstream_model::{
    base::ids::{EnvironmentId, OrganizationId},
    identity::tenancy::Tenant,
};
use hookstream_store::{
    delivery::deliveries::IdempotencyKey,
    outbound::{
        applications::Created,
        idempotency::{self, NewResponse, StoredResponse},
    },
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts};
use http_body_util::BodyExt;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{
    auth::{
        credentials::{Credentials, Principal},
        permissions::{self, Need},
    },
    http::{
        body::RawBody,
        error::{ApiError, ErrorCode},
    },
    state::Api,
};

/// Maximum length of a key, in characters.
const KEY_MAX: usize = 255;
const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
/// Header of a repeated response.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Operations that store their response in their own commit.
const KEPT_BY_OPERATION: [&str; 17] = [
    "/v1/applications",
    "/v1/applications/{appId}/endpoints",
    "/v1/test-receivers",
    "/v1/applications/{appId}/endpoints/{id}/rotate-secret",
    "/v1/applications/{appId}/endpoints/{id}/test",
    "/v1/applications/{appId}/endpoints/{id}/recover",
    "/v1/applications/{appId}/endpoints/{id}/replay",
    "/v1/applications/{appId}/messages",
    "/v1/portal/endpoints",
    "/v1/portal/endpoints/{id}/rotate-secret",
    "/v1/portal/endpoints/{id}/test",
    "/v1/portal/endpoints/{id}/recover",
    "/v1/event-types",
    "/v1/environments",
    "/v1/views",
    "/v1/auth/api-keys",
    "/v1/auth/api-keys/{id}/rotate",
];

/// Returns true if an operation honours the header: every POST, except those of signing in, which have no caller yet
/// or whose response sets a cookie.
pub(crate) fn is_honoured(method: &Method, pattern: &str) -> bool {
    let is_of_sign_in = pattern.starts_with("/v1/auth/") && !pattern.starts_with("/v1/auth/api-keys");
    method == Method::POST && !is_of_sign_in && permissions::needed(method, pattern).is_some_and(|needed| needed != Need::Nothing)
}

/// Scopes a request's key to its caller.
pub(crate) fn claim(headers: &mut HeaderMap, principal: &Principal) -> Result<(), ApiError> {
    let Some(value) = headers.get(HEADER) else { return Ok(()) };
    let text = read(value)?;
    let owned = match principal {
        Principal::Key(key) => format!("key/{}/{text}", key.id),
        Principal::Session(signed_in) => format!("person/{}/{text}", signed_in.user.id),
        Principal::Portal(claims) => format!("portal/{}/{text}", claims.application),
        Principal::Nothing => return Ok(()),
    };
    headers.insert(HEADER, HeaderValue::from_str(&owned).expect("visible characters, as the key's own"));
    Ok(())
}

/// Reads the key of a header, with quotes (draft-ietf-httpapi-idempotency-key-header) or without.
fn read(value: &HeaderValue) -> Result<&str, ApiError> {
    let refuse = || ApiError::invalid("Idempotency-Key", "must have 1 to 255 visible ASCII characters");
    let text = value.to_str().map_err(|_| refuse())?.trim();
    let key = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    if key.is_empty() || key.len() > KEY_MAX { Err(refuse()) } else { Ok(key) }
}

/// Returns the key of a request, after [`claim`].
///
/// The key is bound to `operation` and `body`: the same key with others is an error.
pub(crate) fn key(headers: &HeaderMap, operation: &str, body: &[u8]) -> Result<Option<IdempotencyKey>, ApiError> {
    let Some(value) = headers.get(HEADER) else { return Ok(None) };
    let key = value.to_str().map_err(|_| ApiError::invalid("Idempotency-Key", "must have 1 to 255 visible ASCII characters"))?;
    let mut hash = Sha256::new();
    for part in [operation.as_bytes(), b"\n", body] {
        hash.update(part);
    }
    Ok(Some(IdempotencyKey { key: key.to_owned(), fingerprint: hash.finalize().into() }))
}

/// Runs a request. A request with a key runs once, unless its operation handles the key itself. Responses other than
/// success are not stored, so the request can be repeated.
pub(crate) async fn answer_once(api: &Api, request: Request, next: Next) -> Response {
    let pattern = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let is_for_us = request.headers().contains_key(HEADER)
        && is_honoured(request.method(), pattern)
        && !KEPT_BY_OPERATION.contains(&pattern)
        && request.extensions().get::<Credentials>().is_some_and(|credentials| !matches!(credentials.principal(), Principal::Nothing));
    if !is_for_us {
        return next.run(request).await;
    }
    run_once(api, request, next).await.unwrap_or_else(IntoResponse::into_response)
}

async fn run_once(api: &Api, request: Request, next: Next) -> Result<Response, ApiError> {
    let (mut parts, body) = request.into_parts();
    let operation = operation(&mut parts, api).await?;
    let copy = Request::from_parts(parts.clone(), body);
    let RawBody(body, _held) = RawBody::from_request(copy, api).await?;
    // The key already names the caller. Signed-in users may have several tenants, but their keys share one namespace.
    let tenant = Tenant { organization: OrganizationId::from_bytes([0; 16]), environment: EnvironmentId::from_bytes([0; 16]) };
    let Some(key) = key(&parts.headers, &operation, &body)? else {
        return Ok(next.run(Request::from_parts(parts, Body::from(body))).await);
    };
    let Some(_guard) = api.under_way.begin(&key.key) else { return Err(conflict()) };
    if let Some(answer) = repeated(api, tenant, Some(&key)).await? {
        return Ok(answer);
    }
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    if !response.status().is_success() {
        return Ok(response);
    }
    let (head, body) = response.into_parts();
    let body = body.collect().await.map_err(|error| ApiError::panicked(error.to_string()))?.to_bytes();
    let text = String::from_utf8(body.to_vec()).map_err(|error| ApiError::panicked(error.to_string()))?;
    let now = api.now();
    let window_start = now - api.engine.options().idempotency_window;
    let kept = NewResponse { key, status: head.status.as_u16(), body: text, created_at: now, window_start };
    idempotency::store(&*api.store, tenant, kept).await?;
    Ok(Response::from_parts(head, Body::from(body)))
}

/// Returns the operation of a request, the same whether the path names an application and an endpoint by id or `uid`.
async fn operation(parts: &mut Parts, api: &Api) -> Result<String, ApiError> {
    let pattern = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str).to_owned();
    let tenant = match parts.extensions.get::<Credentials>().map(Credentials::principal) {
        Some(Principal::Key(key)) => Some(key.tenant),
        Some(Principal::Session(signed_in)) => signed_in.session.tenant,
        Some(Principal::Portal(_) | Principal::Nothing) | None => None,
    };
    let mut operation = format!("{} {pattern}?{}", parts.method, parts.uri.query().unwrap_or_default());
    let params = RawPathParams::from_request_parts(parts, api).await.map_err(|_| ApiError::unknown_route())?;
    let params: Vec<_> = params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let application = params.iter().find(|(name, _)| name == "appId").map(|(_, value)| value);
    let routes = match (tenant, application) {
        (Some(tenant), Some(application)) => api.engine.applications().resolve(tenant, application).await?,
        _ => None,
    };
    for (name, value) in &params {
        let id = match (&routes, name.as_str()) {
            (Some(routes), "appId") => Some(routes.id().to_string()),
            (Some(routes), "id") => routes.endpoint_by_reference(value).map(|route| route.endpoint.id.to_string()),
            _ => None,
        };
        operation.push('\n');
        operation.push_str(id.as_ref().unwrap_or(value));
    }
    Ok(operation)
}

fn conflict() -> ApiError {
    let message = "A request with this Idempotency-Key is in progress. Retry when it has ended.";
    ApiError::new(ErrorCode::IdempotencyConflict, message)
}

/// Creates a resource once: repeats the key's first response if there is one, otherwise responds `201` with `body`
/// after `create` has stored the resource together with that response.
pub(crate) async fn create_once<B: Serialize>(
    api: &Api,
    tenant: Tenant,
    key: Option<IdempotencyKey>,
    body: &B,
    taken: impl FnOnce() -> ApiError,
    create: impl AsyncFnOnce(Option<NewResponse>) -> Result<Created, hookstream_store::Error>,
) -> Result<Response, ApiError> {
    let body = serde_json::to_string(body).map_err(|error| ApiError::panicked(error.to_string()))?;
    let window: Duration = api.engine.options().idempotency_window;
    let now = api.now();
    let window_start = now - window;
    let Some(key) = key else {
        return match create(None).await? {
            Created::Stored | Created::KeyTaken => Ok(answer(StatusCode::CREATED, body)),
            Created::NameTaken | Created::TooManyAlertRules => Err(taken()),
            Created::QuotaReached(reached) => Err(reached.into()),
            Created::TooManyViews(too_many) => Err(too_many.into()),
        };
    };
    if let Some(earlier) = idempotency::find(&*api.store, tenant, &key.key, window_start).await? {
        return repeat(earlier, &key);
    }
    let status = StatusCode::CREATED;
    let kept = NewResponse { key: key.clone(), status: status.as_u16(), body: body.clone(), created_at: now, window_start };
    match create(Some(kept)).await? {
        Created::Stored => Ok(answer(status, body)),
        Created::QuotaReached(reached) => Err(reached.into()),
        Created::TooManyViews(too_many) => Err(too_many.into()),
        Created::NameTaken | Created::TooManyAlertRules => {
            // A concurrent request with the same key may have created the name; then its response is repeated.
            match idempotency::find(&*api.store, tenant, &key.key, window_start).await? {
                Some(earlier) => repeat(earlier, &key),
                None => Err(taken()),
            }
        }
        Created::KeyTaken => match idempotency::find(&*api.store, tenant, &key.key, window_start).await? {
            Some(earlier) => repeat(earlier, &key),
            None => Err(conflict()),
        },
    }
}

/// Changes a resource once: repeats the key's first response if there is one, otherwise responds `200` with `body`
/// after `change` has stored the change together with that response. `change` returns false if the key has a response
/// by now.
pub(crate) async fn change_once<B: Serialize>(
    api: &Api,
    tenant: Tenant,
    key: Option<IdempotencyKey>,
    body: &B,
    change: impl AsyncFnOnce(Option<NewResponse>) -> Result<bool, ApiError>,
) -> Result<Response, ApiError> {
    if let Some(repeated) = repeated(api, tenant, key.as_ref()).await? {
        return Ok(repeated);
    }
    let body = serde_json::to_string(body).map_err(|error| ApiError::panicked(error.to_string()))?;
    let now = api.now();
    let window_start = now - api.engine.options().idempotency_window;
    let status = StatusCode::OK;
    let kept = key.clone().map(|key| NewResponse { key, status: status.as_u16(), body: body.clone(), created_at: now, window_start });
    if change(kept).await? {
        return Ok(answer(status, body));
    }
    match repeated(api, tenant, key.as_ref()).await? {
        Some(repeated) => Ok(repeated),
        None => Err(conflict()),
    }
}

/// Returns the first response of a key, if there is one.
pub(crate) async fn repeated(api: &Api, tenant: Tenant, key: Option<&IdempotencyKey>) -> Result<Option<Response>, ApiError> {
    let Some(key) = key else { return Ok(None) };
    let window_start = api.now() - api.engine.options().idempotency_window;
    let earlier = idempotency::find(&*api.store, tenant, &key.key, window_start).await?;
    earlier.map(|earlier| repeat(earlier, key)).transpose()
}

/// Responds with an existing resource, and stores that as the key's response.
pub(crate) async fn answer_with<B: Serialize>(
    api: &Api,
    tenant: Tenant,
    key: Option<IdempotencyKey>,
    status: StatusCode,
    body: &B,
) -> Result<Response, ApiError> {
    let body = serde_json::to_string(body).map_err(|error| ApiError::panicked(error.to_string()))?;
    if let Some(key) = key {
        let now = api.now();
        let window_start = now - api.engine.options().idempotency_window;
        let kept = NewResponse { key, status: status.as_u16(), body: body.clone(), created_at: now, window_start };
        idempotency::store(&*api.store, tenant, kept).await?;
    }
    Ok(answer(status, body))
}

fn repeat(earlier: StoredResponse, key: &IdempotencyKey) -> Result<Response, ApiError> {
    if earlier.fingerprint != key.fingerprint {
        return Err(ApiError::key_reused());
    }
    let status = StatusCode::from_u16(earlier.status).unwrap_or(StatusCode::CREATED);
    Ok(replayed(answer(status, earlier.body)))
}

/// Marks a response as repeated.
pub(crate) fn replayed(mut response: Response) -> Response {
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    response
}

fn answer(status: StatusCode, body: String) -> Response {
    let mut response = (status, body).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests;
