//! `Idempotency-Key`: the same request answers the same again.
//!
//! There is no lock: the answer is stored in the same commit as what it tells of, and of two twins at
//! once the one that comes second finds it.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use hookstream_model::tenancy::Tenant;
use hookstream_store::{
    applications::Created,
    deliveries::IdempotencyKey,
    idempotency::{self, Answer, KeptAnswer},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{error::ApiError, state::Api};

/// The longest key, in characters.
const KEY_MAX: usize = 255;

/// Reads the header, in quotes (draft-ietf-httpapi-idempotency-key-header) or without.
///
/// `operation` and `body` say what the key stands for: the same key with others is an error.
pub(crate) fn key(headers: &HeaderMap, operation: &str, body: &[u8]) -> Result<Option<IdempotencyKey>, ApiError> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let refuse = || ApiError::invalid("Idempotency-Key", "must have 1 to 255 visible ASCII characters");
    let text = value.to_str().map_err(|_| refuse())?.trim();
    let key = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    if key.is_empty() || key.len() > KEY_MAX {
        return Err(refuse());
    }
    let mut hash = Sha256::new();
    for part in [operation.as_bytes(), b"\n", body] {
        hash.update(part);
    }
    Ok(Some(IdempotencyKey { key: key.to_owned(), fingerprint: hash.finalize().into() }))
}

/// Creates something once: repeats the first answer where the key has one, else answers `201` with
/// `body` after `create` has stored it together with that answer.
pub(crate) async fn create_once<B: Serialize>(
    api: &Api,
    tenant: Tenant,
    key: Option<IdempotencyKey>,
    body: &B,
    taken: impl FnOnce() -> ApiError,
    create: impl AsyncFnOnce(Option<KeptAnswer>) -> Result<Created, hookstream_store::Error>,
) -> Result<Response, ApiError> {
    let body = serde_json::to_string(body).map_err(|error| ApiError::panicked(error.to_string()))?;
    let window: Duration = api.engine.options().idempotency_window;
    let now = api.now();
    let window_start = now - window;
    let Some(key) = key else {
        return match create(None).await? {
            Created::Stored | Created::KeyTaken => Ok(answer(StatusCode::CREATED, body)),
            Created::NameTaken => Err(taken()),
            Created::QuotaReached(reached) => Err(reached.into()),
        };
    };
    if let Some(earlier) = idempotency::find(&*api.store, tenant, &key.key, window_start).await? {
        return repeat(earlier, &key);
    }
    let status = StatusCode::CREATED;
    let kept = KeptAnswer { key: key.clone(), status: status.as_u16(), body: body.clone(), created_at: now, window_start };
    match create(Some(kept)).await? {
        Created::Stored => Ok(answer(status, body)),
        Created::QuotaReached(reached) => Err(reached.into()),
        Created::NameTaken => {
            // A twin may have been first with the same name; then its answer is this one's too.
            match idempotency::find(&*api.store, tenant, &key.key, window_start).await? {
                Some(earlier) => repeat(earlier, &key),
                None => Err(taken()),
            }
        }
        Created::KeyTaken => match idempotency::find(&*api.store, tenant, &key.key, window_start).await? {
            Some(earlier) => repeat(earlier, &key),
            None => Err(ApiError::new(
                StatusCode::CONFLICT,
                "idempotency_conflict",
                "A request with this Idempotency-Key is under way. Try again.",
            )),
        },
    }
}

/// Changes something once: repeats the first answer where the key has one, else answers `200` with `body` after `change`
/// has stored it together with that answer. `change` says whether it did; it did not where the key has an answer by now.
pub(crate) async fn change_once<B: Serialize>(
    api: &Api,
    tenant: Tenant,
    key: Option<IdempotencyKey>,
    body: &B,
    change: impl AsyncFnOnce(Option<KeptAnswer>) -> Result<bool, ApiError>,
) -> Result<Response, ApiError> {
    if let Some(repeated) = repeated(api, tenant, key.as_ref()).await? {
        return Ok(repeated);
    }
    let body = serde_json::to_string(body).map_err(|error| ApiError::panicked(error.to_string()))?;
    let now = api.now();
    let window_start = now - api.engine.options().idempotency_window;
    let status = StatusCode::OK;
    let kept = key.clone().map(|key| KeptAnswer { key, status: status.as_u16(), body: body.clone(), created_at: now, window_start });
    if change(kept).await? {
        return Ok(answer(status, body));
    }
    match repeated(api, tenant, key.as_ref()).await? {
        Some(repeated) => Ok(repeated),
        None => {
            Err(ApiError::new(StatusCode::CONFLICT, "idempotency_conflict", "A request with this Idempotency-Key is under way. Try again."))
        }
    }
}

/// The first answer of a key, where it has one.
pub(crate) async fn repeated(api: &Api, tenant: Tenant, key: Option<&IdempotencyKey>) -> Result<Option<Response>, ApiError> {
    let Some(key) = key else { return Ok(None) };
    let window_start = api.now() - api.engine.options().idempotency_window;
    let earlier = idempotency::find(&*api.store, tenant, &key.key, window_start).await?;
    earlier.map(|earlier| repeat(earlier, key)).transpose()
}

/// Answers with what is there already, and keeps that as the key's answer.
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
        let kept = KeptAnswer { key, status: status.as_u16(), body: body.clone(), created_at: now, window_start };
        idempotency::keep_alone(&*api.store, tenant, kept).await?;
    }
    Ok(answer(status, body))
}

fn repeat(earlier: Answer, key: &IdempotencyKey) -> Result<Response, ApiError> {
    if earlier.fingerprint != key.fingerprint {
        return Err(ApiError::key_reused());
    }
    let status = StatusCode::from_u16(earlier.status).unwrap_or(StatusCode::CREATED);
    Ok(answer(status, earlier.body))
}

fn answer(status: StatusCode, body: String) -> Response {
    let mut response = (status, body).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_may_be_quoted_and_stands_for_its_request() {
        let read = |value: &'static str, body: &[u8]| {
            let headers = HeaderMap::from_iter([(http::HeaderName::from_static("idempotency-key"), HeaderValue::from_static(value))]);
            key(&headers, "POST /v1/x", body).map(|key| key.map(|key| (key.key, key.fingerprint)))
        };
        let plain = read("abc", b"{}").expect("a key");
        assert_eq!(read("\"abc\"", b"{}").expect("a key"), plain);
        assert_ne!(read("abc", b"{ }").expect("a key"), plain);
        assert!(read("", b"").is_err());
        assert!(read("\"\"", b"").is_err());
    }
}
