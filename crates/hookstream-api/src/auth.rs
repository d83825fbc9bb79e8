//! Who is calling: an API key in `X-API-Key`, else as a bearer token, else in the session's cookie.

use std::sync::Arc;

use axum::extract::{FromRequestParts, MatchedPath};
use hookstream_model::{
    audit_log::Actor,
    ids::ApiKeyId,
    scopes::{Scope, Scopes},
    tenancy::{ApiKey, KeyHash, Tenant},
};
use http::{HeaderMap, StatusCode, header, request::Parts};

use crate::{address::client_address, error::ApiError, permissions, request::RequestId, state::Api};

const COOKIE: &str = "better-auth.session_token";

/// A caller that was recognised. Put it first among a handler's extractors: nothing else is read of
/// a request before but what it presents.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller {
    /// Whom it speaks for.
    pub(crate) tenant: Tenant,
    /// What it may do.
    pub(crate) scopes: Scopes,
}

/// What a request presents, as far as it was recognised: found once for each, before anything else.
#[derive(Clone)]
pub(crate) struct Presented {
    /// The key, where it is one.
    key: Option<Arc<ApiKey>>,
    /// Whether anything was presented.
    given: bool,
    /// With which request.
    pub(crate) request: RequestId,
}

impl Presented {
    /// Looks for the first of what a request presents that is a key.
    pub(crate) async fn of(headers: &HeaderMap, request: RequestId, api: &Api) -> Result<Self, hookstream_store::Error> {
        let mut given = false;
        for presented in credentials(headers) {
            given = true;
            if let Some(key) = api.key(KeyHash::of(presented)).await? {
                return Ok(Self { key: Some(key), given, request });
            }
        }
        Ok(Self { key: None, given, request })
    }

    /// The key's id, where it is one.
    pub(crate) fn key_id(&self) -> Option<ApiKeyId> {
        self.key.as_ref().map(|key| key.id)
    }

    /// Who it is, for the audit log.
    pub(crate) fn actor(&self) -> Option<Actor> {
        self.key.as_ref().map(|key| Actor::ApiKey { id: key.id, name: key.name.clone() })
    }
}

impl FromRequestParts<Api> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        match parts.extensions.get::<Presented>() {
            Some(Presented { key: Some(key), .. }) => Self::with(key, parts, api),
            Some(Presented { given, .. }) => Err(unauthorized(*given)),
            None => Err(unauthorized(false)),
        }
    }
}

impl Caller {
    /// A caller with this key, where it is good for what is asked and from where.
    fn with(key: &ApiKey, parts: &Parts, api: &Api) -> Result<Self, ApiError> {
        if key.is_expired(api.now()) {
            let message = "The API key has expired. Make a new one, or rotate a key before its end.";
            return Err(ApiError::new(StatusCode::UNAUTHORIZED, "unauthorized", message));
        }
        let trusted = &api.options.trusted_proxies;
        if !key.networks.is_empty() && !client_address(parts, trusted).is_some_and(|address| key.may_be_used_from(address)) {
            let message = "The API key may not be used from this address: it has `networks` of its own. Behind a proxy, the setting \
                trusted_proxies has to name that.";
            return Err(ApiError::new(StatusCode::FORBIDDEN, "address_not_allowed", message));
        }
        let path = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
        // What no scope is named for is nobody's.
        let needed = permissions::needed(&parts.method, path).ok_or_else(ApiError::unknown_route)?;
        if !key.scopes.allow(needed) {
            return Err(forbidden(needed));
        }
        api.note_use(key.id);
        Ok(Self { tenant: key.tenant, scopes: key.scopes })
    }

    /// Checks an `org_id` and an `env_id` that a request names: they must be the caller's own.
    pub(crate) fn check_tenant(self, org_id: Option<&str>, env_id: Option<&str>) -> Result<(), ApiError> {
        let is_own = |given: Option<&str>, own: &[u8; 16]| match given {
            Some(given) => given.parse::<hookstream_model::ids::TargetId>().is_ok_and(|id| id.as_bytes() == own),
            None => true,
        };
        if !is_own(org_id, self.tenant.organization.as_bytes()) {
            return Err(ApiError::not_found("Organization"));
        }
        if !is_own(env_id, self.tenant.environment.as_bytes()) {
            return Err(ApiError::not_found("Environment"));
        }
        Ok(())
    }
}

/// What the request presents, in the order it counts.
fn credentials(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let key = headers.get("x-api-key").and_then(|value| value.to_str().ok());
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(bearer);
    let cookies = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let session = cookies.flat_map(|value| value.split(';')).find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == COOKIE).then_some(value)
    });
    [key, bearer, session].into_iter().flatten().map(str::trim).filter(|presented| !presented.is_empty())
}

/// The scheme is case-insensitive (RFC 9110 section 11.1).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

fn forbidden(needed: Scope) -> ApiError {
    let message = format!("The API key lacks the scope {needed}. Use one that has it, or make one with it.");
    ApiError::new(StatusCode::FORBIDDEN, "forbidden", message).with_details(serde_json::json!({ "scope": needed.to_string() }))
}

pub(crate) fn unauthorized(given: bool) -> ApiError {
    let message = if given {
        "Invalid API key. Check that it is complete, of this installation, and not revoked."
    } else {
        "No API key was given. Send one in the X-API-Key header or as Authorization: Bearer."
    };
    ApiError::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn credentials_count_in_their_order() {
        let mut headers = HeaderMap::new();
        let check = |headers: &HeaderMap, expected: &[&str]| assert_eq!(credentials(headers).collect::<Vec<_>>(), expected);
        check(&headers, &[]);
        headers.insert(header::COOKIE, HeaderValue::from_static("a=b; better-auth.session_token=three;c=d"));
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static("bEARER two"));
        check(&headers, &["two", "three"]);
        headers.insert("x-api-key", HeaderValue::from_static(" one "));
        check(&headers, &["one", "two", "three"]);
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Basic abc"));
        headers.insert("x-api-key", HeaderValue::from_static(""));
        check(&headers, &["three"]);
    }
}
