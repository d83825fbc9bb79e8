//! Caller of a live stream, and the check that its credentials are still valid.

use std::time::Duration;

use axum::extract::FromRequestParts;
use hookstream_model::{
    base::ids::{ApiKeyId, ApplicationId, SessionId, UserId},
    identity::{
        scopes::{Scope, Scopes},
        tenancy::{ApiKeyText, KeyHash, Tenant},
    },
};
use hookstream_store::identity::sessions;
use http::request::Parts;

use crate::{
    auth::{
        bearer::{keys, query_token},
        caller::{check_key, check_tenant},
        credentials::{Credentials, Principal, portal_principal},
        portal_token,
        refusal::{Refusal, forbidden, unauthorized},
        same_origin,
        tenant_context::{self, Wanted},
    },
    http::{error::ApiError, limits::Subject, params::TenantQuery},
    state::Api,
};

/// Interval between checks of a key, which usually cost a look into memory.
const CHECK_KEY: Duration = Duration::from_secs(1);
/// Interval between checks that ask the store.
const CHECK_STORED: Duration = Duration::from_secs(3);

/// Caller of a live stream.
#[derive(Debug, Clone)]
pub(crate) struct StreamCaller {
    /// Tenant of the stream.
    pub(crate) tenant: Tenant,
    pub(crate) reach: Reach,
    /// Subject of the caller's limits.
    pub(crate) subject: Subject,
    proof: Proof,
}

/// Part of an environment that a caller may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The environment, with these scopes.
    Environment(Scopes),
    /// One application, for its customer.
    Application(ApplicationId),
}

/// Proof of the caller's identity, which is checked again while the stream is open.
#[derive(Debug, Clone)]
enum Proof {
    Key { id: ApiKeyId, hash: KeyHash },
    Session { id: SessionId, user: UserId },
    Portal { token: String },
}

impl FromRequestParts<Api> for StreamCaller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let Some(credentials) = parts.extensions.get::<Credentials>().cloned() else { return Err(unauthorized(Refusal::Nothing)) };
        let token = query_token(&parts.uri);
        let given = |is_it: &dyn Fn(&str) -> bool| keys(&parts.headers).chain(token.as_deref()).find(|text| is_it(text)).map(str::to_owned);
        let caller = match credentials.principal() {
            Principal::Nothing => return Err(credentials.unauthorized()),
            Principal::Key(key) => {
                check_key(key, parts, api)?;
                api.note_use(key.id);
                let is_it =
                    |text: &str| ApiKeyText::is_shaped(text) && api.known_key(KeyHash::of(text)).is_none_or(|known| known.id == key.id);
                let hash = given(&is_it).map(|text| KeyHash::of(&text)).ok_or_else(|| credentials.unauthorized())?;
                let reach = Reach::Environment(key.scopes);
                Self { tenant: key.tenant, reach, subject: Subject::Key(key.id), proof: Proof::Key { id: key.id, hash } }
            }
            Principal::Session(signed_in) => {
                same_origin::check_always(parts, api)?;
                let (session, user) = (&signed_in.session, signed_in.user.id);
                let (tenant, role) = tenant_context::find(api, signed_in, Wanted::of(parts, api).await).await?;
                let reach = Reach::Environment(role.scopes());
                return Ok(Self { tenant, reach, subject: Subject::Person(user), proof: Proof::Session { id: session.id, user } });
            }
            Principal::Portal(claims) => {
                let token = given(&|text| portal_token::key_of(text).is_some()).ok_or_else(|| credentials.unauthorized())?;
                let reach = Reach::Application(claims.application);
                Self { tenant: claims.tenant, reach, subject: Subject::Portal(claims.application), proof: Proof::Portal { token } }
            }
        };
        let axum::extract::Query(query) =
            axum::extract::Query::<TenantQuery>::try_from_uri(&parts.uri).map_err(|_| ApiError::unknown_route())?;
        check_tenant(caller.tenant, query.org_id.as_deref(), query.env_id.as_deref())?;
        Ok(caller)
    }
}

impl StreamCaller {
    /// Checks that the caller has a scope. A customer has those of the portal's application.
    pub(crate) fn check_scope(&self, needed: Scope) -> Result<(), ApiError> {
        match self.reach {
            Reach::Application(_) => Ok(()),
            Reach::Environment(scopes) if scopes.allow(needed) => Ok(()),
            Reach::Environment(_) => Err(forbidden(needed, format!("The caller lacks the scope {needed}, which this channel requires."))),
        }
    }

    /// Returns the interval between checks of the credentials.
    pub(crate) const fn check_interval(&self) -> Duration {
        match self.proof {
            Proof::Key { .. } => CHECK_KEY,
            Proof::Session { .. } | Proof::Portal { .. } => CHECK_STORED,
        }
    }

    /// Checks the credentials again.
    ///
    /// # Errors
    /// The error for the client if they are no longer valid or allow something else; an error of the server if they
    /// cannot be checked now.
    pub(crate) async fn check_again(&self, api: &Api) -> Result<(), ApiError> {
        let reach = match &self.proof {
            Proof::Key { id, hash } => {
                let key = match api.known_key(*hash) {
                    Some(key) => Some(key),
                    None => api.find_key(*hash).await?,
                };
                let key = key.filter(|key| key.id == *id && !key.is_expired(api.now()));
                Reach::Environment(key.ok_or_else(|| unauthorized(Refusal::Invalid))?.scopes)
            }
            Proof::Session { id, user } => {
                // Not recorded as a use: an open page must not keep a session from expiring.
                let sessions = sessions::list(&*api.store, *user).await?;
                let is_valid = sessions.iter().any(|session| session.id == *id && session.is_valid(api.options.sessions, api.now()));
                if !is_valid {
                    return Err(unauthorized(Refusal::Invalid));
                }
                let (organization, environment) = (self.tenant.organization.to_string(), self.tenant.environment.to_string());
                let wanted = Wanted::named(Some(&organization), Some(&environment))?;
                let (_, role) = tenant_context::of_user(api, *user, None, wanted).await?;
                Reach::Environment(role.scopes())
            }
            Proof::Portal { token } => match portal_principal(token, api).await? {
                (Principal::Portal(claims), _) => Reach::Application(claims.application),
                (_, refusal) => return Err(unauthorized(refusal)),
            },
        };
        // Subscriptions were checked against the former scopes.
        if reach == self.reach { Ok(()) } else { Err(unauthorized(Refusal::Changed)) }
    }
}
