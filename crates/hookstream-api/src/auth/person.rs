//! Signed-in user, for operations on their own account.

use std::sync::Arc;

use axum::extract::{FromRequestParts, MatchedPath};
use hookstream_model::{
    identity::{
        session::{Method, Session, SessionText},
        tenancy::Tenant,
        user::User,
    },
    operations::audit_log::Actor,
};
use hookstream_store::identity::sessions;
use http::{HeaderValue, request::Parts};

use crate::{
    auth::{
        audited_caller::ClientDetails,
        credentials::{Credentials, Principal},
        permissions::{self, Need},
        same_origin,
        session::SignedIn,
    },
    http::{
        cookies,
        error::{ApiError, ErrorCode},
    },
    state::Api,
};

/// Signed-in user, for operations on the own account. Handlers take it as the first extractor.
pub(crate) struct Person(pub(crate) Arc<SignedIn>);

impl FromRequestParts<Api> for Person {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let path = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
        if permissions::needed(&parts.method, path) != Some(Need::Person) {
            return Err(ApiError::unknown_route());
        }
        let credentials = parts.extensions.get::<Credentials>().ok_or_else(ApiError::unknown_route)?;
        match credentials.principal() {
            Principal::Session(signed_in) => {
                same_origin::check(parts, api)?;
                Ok(Self(Arc::clone(signed_in)))
            }
            Principal::Key(_) => {
                let message = "This operation requires a signed-in user. API keys can't call it.";
                Err(ApiError::new(ErrorCode::PersonNeeded, message))
            }
            Principal::Nothing | Principal::Portal(_) => Err(credentials.unauthorized()),
        }
    }
}

/// Begins a session for a user whose identity is proven. Returns the session and the `Set-Cookie` value.
pub(crate) async fn begin(
    api: &Api,
    user: &User,
    tenant: Option<Tenant>,
    method: Method,
    origin: &ClientDetails,
) -> Result<(Session, HeaderValue), ApiError> {
    let act = origin.act(api, Actor::of_person(user));
    let now = act.at;
    let text = SessionText::generate(&api.engine.random_bytes());
    let session = Session {
        id: api.engine.new_id().into(),
        user: user.id,
        tenant,
        method,
        address: origin.address.map(|address| address.to_string()),
        user_agent: origin.user_agent.clone(),
        created_at: now,
        renewed_at: now,
        last_seen_at: now,
        expires_at: now + api.options.sessions.absolute,
    };
    sessions::create(&*api.store, &act, &session, &text).await?;
    tracing::info!(user.id = %user.id, session.id = %session.id, method = session.method.word(), "user signed in");
    let cookie = cookies::set(&text, api.options.sessions.absolute, api.is_reached_by_https());
    Ok((session, cookie))
}

/// Replaces the token of a session if it is old. Returns the `Set-Cookie` value.
pub(crate) async fn renew(api: &Api, session: &Session) -> Result<Option<HeaderValue>, ApiError> {
    let now = api.now();
    if !session.needs_renewal(now) {
        return Ok(None);
    }
    let text = SessionText::generate(&api.engine.random_bytes());
    let is_renewed = sessions::renew(&*api.store, session, &text, now).await?;
    Ok(is_renewed.then(|| cookies::set(&text, session.expires_at.since(now), api.is_reached_by_https())))
}
