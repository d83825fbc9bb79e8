//! Credentials of a request: API key, session or portal token, looked up once per request.

use std::sync::Arc;

use hookstream_model::{
    identity::tenancy::{ApiKey, ApiKeyText, KeyHash},
    operations::audit_log::Actor,
};
use hookstream_store::{Error, identity::portal_keys, outbound::applications};
use http::HeaderMap;

use crate::{
    auth::{
        bearer::{bearer_of, keys},
        portal_token::{self, PortalClaims, TokenState},
        refusal::{Refusal, unauthorized},
        session::SignedIn,
    },
    http::{cookies, error::ApiError, request_id::RequestId},
    state::Api,
};

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
            let (principal, refusal) = recognise(headers, api).await?;
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

/// Looks at the token of a customer's request.
pub(crate) async fn recognise(headers: &HeaderMap, api: &Api) -> Result<(Principal, Refusal), Error> {
    let nothing = |refusal| Ok((Principal::Nothing, refusal));
    let Some(token) = bearer_of(headers) else { return nothing(Refusal::NoToken) };
    let Some(id) = portal_token::key_of(token) else { return nothing(Refusal::InvalidToken) };
    let now = api.now();
    let Some(key) = portal_keys::find(&*api.store, id, now).await? else { return nothing(Refusal::InvalidToken) };
    match portal_token::read(&key, token, now) {
        TokenState::Good(pass) if applications::is_open(&*api.store, pass.tenant, pass.application).await? => {
            Ok((Principal::Portal(pass), Refusal::InvalidToken))
        }
        TokenState::Good(_) => nothing(Refusal::PortalClosed),
        TokenState::Expired => nothing(Refusal::ExpiredToken),
        TokenState::Invalid => nothing(Refusal::InvalidToken),
    }
}
