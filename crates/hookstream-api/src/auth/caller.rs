//! Who is calling: an API key in `X-API-Key`, else one as a bearer token, else somebody's session in the cookie.

use std::sync::Arc;

use axum::extract::{FromRequestParts, MatchedPath};
use hookstream_model::{
    base::ids::{ApiKeyId, UserId},
    identity::{
        member::Role,
        scopes::{Scope, Scopes},
        tenancy::{ApiKey, ApiKeyText, KeyHash, KeyLevel, Tenant},
    },
    operations::audit_log::Actor,
};
use http::{HeaderMap, StatusCode, header, request::Parts};

use crate::{
    auth::{
        permissions::{self, Need},
        portal_token::{self, PortalClaims},
        same_origin,
        seats::{self, Wanted},
        signed_in::SignedIn,
    },
    http::{address::client_address, cookies, error::ApiError, request::RequestId},
    state::Api,
};

/// A caller that was principal, and what it may do where. Put it first among a handler's extractors: nothing else is
/// read of a request before but what it presents.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller {
    /// Whom it speaks for.
    pub(crate) tenant: Tenant,
    /// What it may do.
    pub(crate) scopes: Scopes,
    /// Who it is.
    pub(crate) who: Who,
}

/// Who a caller is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// A program with a key, and how far that reaches.
    Key(ApiKeyId, KeyLevel),
    /// Somebody who signed in, and what they are in the organization they speak for.
    Person(UserId, Role),
}

/// What a request presents, as far as it was principal: found once for each, before anything else.
#[derive(Clone)]
pub(crate) struct Credentials {
    principal: Principal,
    /// Why this is not enough, where it is not.
    refusal: Refusal,
    /// With which request.
    pub(crate) request: RequestId,
}

/// What was principal.
#[derive(Clone)]
pub(crate) enum Principal {
    Nothing,
    Key(Arc<ApiKey>),
    Session(Arc<SignedIn>),
    /// A customer with a portal token, for customers' operations only.
    Portal(PortalClaims),
}

/// Why credentials were not looked at.
#[derive(Debug)]
pub(crate) enum CredentialsError {
    /// The store would have to be asked, which is not this caller's turn.
    NotNow,
    /// The store failed.
    Store(hookstream_store::Error),
}

impl From<hookstream_store::Error> for CredentialsError {
    fn from(error: hookstream_store::Error) -> Self {
        Self::Store(error)
    }
}

/// Why what was presented is not enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No key and no session.
    Nothing,
    /// A key or a session that is not valid.
    Invalid,
    /// A key that is not written like one.
    MalformedKey,
    /// No portal token, where one is needed.
    NoToken,
    /// One that is not good.
    InvalidToken,
    /// One whose hour is over.
    ExpiredToken,
    /// One of an application that is not there any more, or off.
    PortalClosed,
}

impl Credentials {
    /// Looks for the first valid credentials that a request presents. Where the store may not be asked, only those in memory
    /// are.
    pub(crate) async fn of(
        path: &str,
        headers: &HeaderMap,
        request: RequestId,
        api: &Api,
        may_ask: impl Fn() -> bool,
    ) -> Result<Self, CredentialsError> {
        let ask = || if may_ask() { Ok(()) } else { Err(CredentialsError::NotNow) };
        if portal_token::is_for_customers(path) {
            if portal_token::is_presented(headers) {
                ask()?;
            }
            let (principal, refusal) = portal_token::recognise(headers, api).await?;
            return Ok(Self { principal, refusal, request });
        }
        let mut refusal = Refusal::Nothing;
        for presented in keys(headers) {
            if !ApiKeyText::is_shaped(presented) {
                refusal = Refusal::MalformedKey;
                continue;
            }
            refusal = Refusal::Invalid;
            let hash = KeyHash::of(presented);
            let key = match api.known_key(hash) {
                Some(key) => Some(key),
                None => {
                    ask()?;
                    api.find_key(hash).await?
                }
            };
            if let Some(key) = key {
                return Ok(Self { principal: Principal::Key(key), refusal, request });
            }
        }
        if let Some(token) = cookies::session(headers) {
            refusal = Refusal::Invalid;
            ask()?;
            if let Some(signed_in) = SignedIn::find(api, token).await? {
                return Ok(Self { principal: Principal::Session(Arc::new(signed_in)), refusal, request });
            }
        }
        Ok(Self { principal: Principal::Nothing, refusal, request })
    }

    /// What was principal.
    pub(crate) const fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The API key, where it is one.
    pub(crate) fn key(&self) -> Option<&ApiKey> {
        match &self.principal {
            Principal::Key(key) => Some(key),
            Principal::Nothing | Principal::Session(_) | Principal::Portal(_) => None,
        }
    }

    /// The refusal of a request for which this is not enough.
    pub(crate) fn unauthorized(&self) -> ApiError {
        unauthorized(self.refusal)
    }

    /// Who it is, for the audit log.
    pub(crate) fn actor(&self) -> Option<Actor> {
        match &self.principal {
            Principal::Nothing => None,
            Principal::Key(key) => Some(Actor::ApiKey { id: key.id, name: key.name.clone() }),
            Principal::Session(signed_in) => Some(Actor::of_person(&signed_in.user)),
            Principal::Portal(pass) => Some(Actor::Portal { application: pass.application }),
        }
    }
}

impl FromRequestParts<Api> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let Some(presented) = parts.extensions.get::<Credentials>().cloned() else { return Err(unauthorized(Refusal::Nothing)) };
        match presented.principal() {
            Principal::Key(key) => Self::with_key(key, parts, api),
            Principal::Session(signed_in) => {
                same_origin::check(parts, api)?;
                let wanted = Wanted::of(parts, api).await;
                Self::with_session(signed_in, wanted, needed(parts)?.0, api).await
            }
            Principal::Nothing | Principal::Portal(_) => Err(presented.unauthorized()),
        }
    }
}

impl Caller {
    /// A caller with this key, where it is good for what is asked and from where.
    fn with_key(key: &ApiKey, parts: &Parts, api: &Api) -> Result<Self, ApiError> {
        if key.is_expired(api.now()) {
            let message = "The API key has expired. Create a new API key, and rotate keys before they expire.";
            return Err(ApiError::new(StatusCode::UNAUTHORIZED, "unauthorized", message));
        }
        let trusted = &api.options.trusted_proxies;
        if !key.networks.is_empty() && !client_address(parts, trusted).is_some_and(|address| key.may_be_used_from(address)) {
            let message = "The API key is not accepted from this address, which is outside of its `networks`. If a proxy is in front of the \
                server, list the proxy in the setting trusted_proxies.";
            return Err(ApiError::new(StatusCode::FORBIDDEN, "address_not_allowed", message));
        }
        let (needed, level) = needed(parts)?;
        if !key.scopes.allow(needed) {
            let message = format!("The API key lacks the scope {needed}. Use an API key that has it.");
            return Err(forbidden(needed, message));
        }
        if key.level < level {
            return Err(organization_key_needed());
        }
        api.note_use(key.id);
        Ok(Self { tenant: key.tenant, scopes: key.scopes, who: Who::Key(key.id, key.level) })
    }

    /// Somebody who signed in, where what they are there is enough for what is asked.
    async fn with_session(signed_in: &SignedIn, wanted: Wanted, needed: Scope, api: &Api) -> Result<Self, ApiError> {
        let (tenant, role) = seats::find(api, signed_in, wanted).await?;
        let scopes = role.scopes();
        if !scopes.allow(needed) {
            let message = format!("Your role is {}, which lacks the scope {needed}. Ask an owner or admin.", role.as_str());
            return Err(forbidden(needed, message));
        }
        Ok(Self { tenant, scopes, who: Who::Person(signed_in.user.id, role) })
    }

    /// Checks an `org_id` and an `env_id` in a query: they must be the caller's own, which for somebody who signed in
    /// they have become ([`seats`]).
    pub(crate) fn check_tenant(self, org_id: Option<&str>, env_id: Option<&str>) -> Result<(), ApiError> {
        check_tenant(self.tenant, org_id, env_id)
    }

    /// The caller where a body says which organization and environment are meant. A key has its own; somebody who
    /// signed in may mean any of theirs, where they have to be enough for `needed` as well.
    pub(crate) async fn within(self, api: &Api, org_id: Option<&str>, env_id: Option<&str>, needed: Scope) -> Result<Self, ApiError> {
        let user = match self.who {
            Who::Key(..) => return self.check_tenant(org_id, env_id).map(|()| self),
            Who::Person(..) if org_id.is_none() && env_id.is_none() => return Ok(self),
            Who::Person(user, _) => user,
        };
        let (tenant, role) = seats::of_user(api, user, Some(self.tenant), Wanted::named(org_id, env_id)?).await?;
        let scopes = role.scopes();
        if !scopes.allow(needed) {
            let message =
                format!("Your role in that environment is {}, which lacks the scope {needed}. Ask an owner or admin.", role.as_str());
            return Err(forbidden(needed, message));
        }
        Ok(Self { tenant, scopes, who: Who::Person(user, role) })
    }
}

/// Checks an `org_id` and an `env_id` that were given: they must be this tenant's.
pub(crate) fn check_tenant(tenant: Tenant, org_id: Option<&str>, env_id: Option<&str>) -> Result<(), ApiError> {
    let is_own = |given: Option<&str>, own: &[u8; 16]| match given {
        Some(given) => given.parse::<hookstream_model::base::ids::TargetId>().is_ok_and(|id| id.as_bytes() == own),
        None => true,
    };
    if !is_own(org_id, tenant.organization.as_bytes()) {
        return Err(ApiError::not_found("Organization"));
    }
    if !is_own(env_id, tenant.environment.as_bytes()) {
        return Err(ApiError::not_found("Environment"));
    }
    Ok(())
}

/// The scope that an operation needs, and how far a key must reach; what has none is not for callers like these.
fn needed(parts: &Parts) -> Result<(Scope, KeyLevel), ApiError> {
    let path = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
    match permissions::needed(&parts.method, path) {
        Some(Need::Scope(scope)) => Ok((scope, KeyLevel::Environment)),
        Some(Need::Organization(scope)) => Ok((scope, KeyLevel::Organization)),
        // What no scope is named for is nobody's.
        Some(Need::Person | Need::Customer | Need::Nothing) | None => Err(ApiError::unknown_route()),
    }
}

/// The API keys that a request presents, in the order they count.
fn keys(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let key = headers.get("x-api-key").and_then(|value| value.to_str().ok());
    [key, bearer_of(headers)].into_iter().flatten().map(str::trim).filter(|presented| !presented.is_empty())
}

/// The scheme is case-insensitive (RFC 9110 section 11.1).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

fn forbidden(needed: Scope, message: String) -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, "forbidden", message).with_details(serde_json::json!({ "scope": needed.to_string() }))
}

/// The refusal of a key that is of one environment, where the organization is concerned.
pub(crate) fn organization_key_needed() -> ApiError {
    let message = "This operation concerns the organization, and the API key has the level `environment`. Use an API key with the level \
        `organization`, or sign in.";
    ApiError::new(StatusCode::FORBIDDEN, "organization_key_needed", message)
}

pub(crate) fn unauthorized(refusal: Refusal) -> ApiError {
    let (code, message) = match refusal {
        Refusal::Invalid => (
            "unauthorized",
            "Invalid API key or session. Check that the API key is complete, belongs to this installation and is not revoked, or sign in again.",
        ),
        Refusal::MalformedKey => (
            "unauthorized",
            "Malformed API key: `hs_live_` or `hs_test_` and 64 hexadecimal characters are expected. Check that the key was copied completely.",
        ),
        Refusal::Nothing => {
            ("unauthorized", "The request has no API key. Send one in the header X-API-Key or as Authorization: Bearer, or sign in.")
        }
        Refusal::NoToken => (
            "unauthorized",
            "The request has no portal token. Send one as Authorization: Bearer; API keys and sessions are not accepted here.",
        ),
        Refusal::InvalidToken => ("unauthorized", "Invalid portal token. Request a new one from the sender."),
        Refusal::ExpiredToken => {
            ("token_expired", "The portal token has expired; it is valid for an hour. Request a new one from the sender.")
        }
        Refusal::PortalClosed => ("portal_closed", "The portal is closed: its application is disabled or was deleted. Contact the sender."),
    };
    ApiError::new(StatusCode::UNAUTHORIZED, code, message)
}

/// What is presented as a bearer token.
pub(crate) fn bearer_of(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(bearer).map(str::trim)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn keys_count_in_their_order() {
        let mut headers = HeaderMap::new();
        let check = |headers: &HeaderMap, expected: &[&str]| assert_eq!(keys(headers).collect::<Vec<_>>(), expected);
        check(&headers, &[]);
        headers.insert(header::COOKIE, HeaderValue::from_static("better-auth.session_token=three"));
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static("bEARER two"));
        check(&headers, &["two"]);
        headers.insert("x-api-key", HeaderValue::from_static(" one "));
        check(&headers, &["one", "two"]);
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Basic abc"));
        headers.insert("x-api-key", HeaderValue::from_static(""));
        check(&headers, &[]);
    }
}
