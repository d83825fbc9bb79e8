//! Caller of a request: an API key in `X-API-Key`, else an API key as a bearer token, else the session in the cookie.

use axum::extract::{FromRequestParts, MatchedPath};
use hookstream_model::{
    base::ids::{ApiKeyId, UserId},
    identity::{
        member::Role,
        scopes::{Scope, Scopes},
        tenancy::{ApiKey, KeyLevel, Tenant},
    },
};
use hookstream_store::identity::organizations;
use http::request::Parts;

use crate::{
    auth::{
        credentials::{Credentials, Principal},
        permissions::{self, Need},
        refusal::{Refusal, forbidden, organization_key_needed, unauthorized},
        same_origin,
        session::SignedIn,
        tenant_context::{self, Wanted},
    },
    http::{
        address::client_address,
        error::{ApiError, ErrorCode},
    },
    state::Api,
};

/// Authenticated caller, with its tenant and scopes. Handlers take it as the first extractor, so that a request
/// without valid credentials is refused before anything else is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller {
    /// Tenant of the caller.
    pub(crate) tenant: Tenant,
    /// Scopes of the caller.
    pub(crate) scopes: Scopes,
    /// Identity of the caller.
    pub(crate) identity: CallerIdentity,
}

/// Identity of a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallerIdentity {
    /// A program with a key, and the key's level.
    Key(ApiKeyId, KeyLevel),
    /// A signed-in user, and the user's role in the organization.
    Person(UserId, Role),
}

impl FromRequestParts<Api> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let Some(credentials) = parts.extensions.get::<Credentials>().cloned() else { return Err(unauthorized(Refusal::Nothing)) };
        match credentials.principal() {
            Principal::Key(key) => Self::with_key(key, parts, api),
            Principal::Session(signed_in) => {
                same_origin::check(parts, api)?;
                let wanted = Wanted::of(parts, api).await;
                Self::with_session(signed_in, wanted, needed(parts)?.0, api).await
            }
            Principal::Nothing | Principal::Portal(_) => Err(credentials.unauthorized()),
        }
    }
}

impl Caller {
    /// Returns the caller of this key, if the key is valid and allows the operation from this address.
    fn with_key(key: &ApiKey, parts: &Parts, api: &Api) -> Result<Self, ApiError> {
        check_key(key, parts, api)?;
        let (needed, level) = needed(parts)?;
        if !key.scopes.allow(needed) {
            let message = format!("The API key lacks the scope {needed}. Use an API key that has it.");
            return Err(forbidden(needed, message));
        }
        if key.level < level {
            return Err(organization_key_needed());
        }
        api.note_use(key.id);
        Ok(Self { tenant: key.tenant, scopes: key.scopes, identity: CallerIdentity::Key(key.id, key.level) })
    }

    /// Returns the caller of this session, if the user's role allows the operation.
    async fn with_session(signed_in: &SignedIn, wanted: Wanted, needed: Scope, api: &Api) -> Result<Self, ApiError> {
        let (tenant, role) = tenant_context::find(api, signed_in, wanted).await?;
        let scopes = role.scopes();
        if !scopes.allow(needed) && !is_for_operator(api, tenant, role, needed).await? {
            let message = format!("Your role is {}, which lacks the scope {needed}. Ask an owner or admin.", role.as_str());
            return Err(forbidden(needed, message));
        }
        Ok(Self { tenant, scopes, identity: CallerIdentity::Person(signed_in.user.id, role) })
    }

    /// Checks `org_id` and `env_id` of a query: they must be the caller's own. For a signed-in user they already are
    /// ([`tenant_context`]).
    pub(crate) fn check_tenant(self, org_id: Option<&str>, env_id: Option<&str>) -> Result<(), ApiError> {
        check_tenant(self.tenant, org_id, env_id)
    }

    /// Returns the caller for the organization and environment that a body names. A key has one of each; a signed-in
    /// user may name any of their own, if the role there allows `needed`.
    pub(crate) async fn within(self, api: &Api, org_id: Option<&str>, env_id: Option<&str>, needed: Scope) -> Result<Self, ApiError> {
        let user = match self.identity {
            CallerIdentity::Key(..) => return self.check_tenant(org_id, env_id).map(|()| self),
            CallerIdentity::Person(..) if org_id.is_none() && env_id.is_none() => return Ok(self),
            CallerIdentity::Person(user, _) => user,
        };
        let (tenant, role) = tenant_context::of_user(api, user, Some(self.tenant), Wanted::named(org_id, env_id)?).await?;
        let scopes = role.scopes();
        if !scopes.allow(needed) {
            let message =
                format!("Your role in that environment is {}, which lacks the scope {needed}. Ask an owner or admin.", role.as_str());
            return Err(forbidden(needed, message));
        }
        Ok(Self { tenant, scopes, identity: CallerIdentity::Person(user, role) })
    }
}

/// Returns true if the scope is that of listing nodes, of metrics or of backups and the user is an owner of the first organization, who
/// stands for the operator (setting `allow_organizations`). The scope is not the user's: no key can be created with it.
async fn is_for_operator(api: &Api, tenant: Tenant, role: Role, needed: Scope) -> Result<bool, ApiError> {
    if ![Scope::OPERATOR_NODES, Scope::OPERATOR_METRICS, Scope::OPERATOR_BACKUPS].contains(&needed) || role != Role::Owner {
        return Ok(false);
    }
    let first = organizations::first(&*api.store).await?;
    Ok(first.is_some_and(|first| first.organization == tenant.organization))
}

/// Checks that a key is valid and may be used from the address of the request.
pub(crate) fn check_key(key: &ApiKey, parts: &Parts, api: &Api) -> Result<(), ApiError> {
    if key.is_expired(api.now()) {
        let message = "The API key has expired. Create a new API key, and rotate keys before they expire.";
        return Err(ApiError::new(ErrorCode::Unauthorized, message));
    }
    let live = api.options.live.get();
    let trusted = &live.trusted_proxies;
    if !key.networks.is_empty() && !client_address(parts, trusted).is_some_and(|address| key.may_be_used_from(address)) {
        let message = "The API key is not accepted from this address, which is outside of its `networks`. If a proxy is in front of the \
            server, list the proxy in the setting trusted_proxies.";
        return Err(ApiError::new(ErrorCode::ClientAddressNotAllowed, message));
    }
    Ok(())
}

/// Checks that the given `org_id` and `env_id` are those of this tenant.
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

/// Returns the scope and the key level that an operation needs. Operations without a scope are not for callers of
/// this kind.
fn needed(parts: &Parts) -> Result<(Scope, KeyLevel), ApiError> {
    let path = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
    match permissions::needed(&parts.method, path) {
        Some(Need::Scope(scope)) => Ok((scope, KeyLevel::Environment)),
        Some(Need::Organization(scope)) => Ok((scope, KeyLevel::Organization)),
        // An operation without a scope is refused.
        Some(Need::Person | Need::Customer | Need::CustomerWrite | Need::Stream | Need::Nothing) | None => Err(ApiError::unknown_route()),
    }
}

#[cfg(test)]
mod tests;
