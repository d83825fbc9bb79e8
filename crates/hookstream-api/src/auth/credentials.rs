//! Credentials of a request: API key, session or portal token, looked up once per request.

use std::sync::Arc;

use hookstream_model::{
    identity::tenancy::{ApiKey, ApiKeyText, KeyHash},
    operations::audit_log::Actor,
};
use hookstream_store::{Error, identity::portal_keys, outbound::applications};
use http::{HeaderMap, Uri};

use crate::{
    auth::{
        bearer::{bearer_of, is_of_stream, keys, query_token},
        portal_token::{self, PortalClaims, TokenState},
        refusal::{Refusal, unauthorized},
        session::SignedIn,
    },
    http::{cookies, error::ApiError, request_id::RequestId},
    state::Api,
};

/// Credentials of a request, looked up once, before anything else.
#[derive(Clone)]
pub(crate) struct Credentials {
    principal: Principal,
    /// Reason to refuse the request if these credentials do not suffice.
    refusal: Refusal,
    /// Id of the request.
    pub(crate) request: RequestId,
}

/// Principal that the credentials belong to.
#[derive(Clone)]
pub(crate) enum Principal {
    Nothing,
    Key(Arc<ApiKey>),
    Session(Arc<SignedIn>),
    /// A customer with a portal token, for operations of customers only.
    Portal(PortalClaims),
}

/// Reason why credentials were not looked up.
#[derive(Debug)]
pub(crate) enum CredentialsError {
    /// A lookup in the store would be needed, and this client may not cause one now.
    NotNow,
    /// The store failed.
    Store(hookstream_store::Error),
}

impl From<hookstream_store::Error> for CredentialsError {
    fn from(error: hookstream_store::Error) -> Self {
        Self::Store(error)
    }
}

/// Returns whether a path is a health probe, which needs no credentials.
fn is_probe(path: &str) -> bool {
    matches!(path, "/v1/health" | "/v1/health/ready")
}

impl Credentials {
    /// Returns the first valid credentials of a request. Without permission to ask the store, only cached keys are
    /// accepted; other credentials result in [`CredentialsError::NotNow`].
    pub(crate) async fn of(
        uri: &Uri,
        headers: &HeaderMap,
        request: RequestId,
        api: &Api,
        may_ask: impl Fn() -> bool,
    ) -> Result<Self, CredentialsError> {
        if is_probe(uri.path()) {
            // A probe is answered while the database is away, whatever the prober sends.
            return Ok(Self { principal: Principal::Nothing, refusal: Refusal::Nothing, request });
        }
        let ask = || if may_ask() { Ok(()) } else { Err(CredentialsError::NotNow) };
        if portal_token::is_for_customers(uri.path()) {
            if portal_token::is_presented(headers) {
                ask()?;
            }
            let (principal, refusal) = match bearer_of(headers) {
                Some(token) => portal_principal(token, api).await?,
                None => (Principal::Nothing, Refusal::NoToken),
            };
            return Ok(Self { principal, refusal, request });
        }
        let mut refusal = Refusal::Nothing;
        let is_of_stream = is_of_stream(uri.path());
        let token = if is_of_stream { query_token(uri) } else { None };
        for text in keys(headers).chain(token.as_deref()) {
            if is_of_stream && portal_token::key_of(text).is_some() {
                ask()?;
                let (principal, reason) = portal_principal(text, api).await?;
                refusal = reason;
                if let Principal::Portal(_) = principal {
                    return Ok(Self { principal, refusal, request });
                }
                continue;
            }
            if !ApiKeyText::is_shaped(text) {
                refusal = Refusal::MalformedKey;
                continue;
            }
            refusal = Refusal::Invalid;
            let hash = KeyHash::of(text);
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

    /// Returns the principal.
    pub(crate) const fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Returns the API key, if the principal is one.
    pub(crate) fn key(&self) -> Option<&ApiKey> {
        match &self.principal {
            Principal::Key(key) => Some(key),
            Principal::Nothing | Principal::Session(_) | Principal::Portal(_) => None,
        }
    }

    /// Returns the error for a request that needs other credentials.
    pub(crate) fn unauthorized(&self) -> ApiError {
        unauthorized(self.refusal)
    }

    /// Returns the actor for the audit log.
    pub(crate) fn actor(&self) -> Option<Actor> {
        match &self.principal {
            Principal::Nothing => None,
            Principal::Key(key) => Some(Actor::ApiKey { id: key.id, name: key.name.clone() }),
            Principal::Session(signed_in) => Some(Actor::of_person(&signed_in.user)),
            Principal::Portal(claims) => Some(Actor::Portal { application: claims.application }),
        }
    }
}

/// Looks up a portal token.
pub(crate) async fn portal_principal(token: &str, api: &Api) -> Result<(Principal, Refusal), Error> {
    let nothing = |refusal| Ok((Principal::Nothing, refusal));
    let Some(id) = portal_token::key_of(token) else { return nothing(Refusal::InvalidToken) };
    let now = api.now();
    let Some(key) = portal_keys::find(&*api.store, id, now).await? else { return nothing(Refusal::InvalidToken) };
    match portal_token::read(&key, token, now) {
        TokenState::Good(claims) if applications::is_open(&*api.store, claims.tenant, claims.application).await? => {
            Ok((Principal::Portal(claims), Refusal::InvalidToken))
        }
        TokenState::Good(_) => nothing(Refusal::PortalClosed),
        TokenState::Expired => nothing(Refusal::ExpiredToken),
        TokenState::Invalid => nothing(Refusal::InvalidToken),
    }
}
