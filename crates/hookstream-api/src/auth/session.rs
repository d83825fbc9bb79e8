//! Session of a signed-in user, found by the cookie of a request.

use hookstream_model::identity::{session::Session, tenancy::KeyHash, user::User};
use hookstream_store::identity::sessions;

use crate::state::Api;

/// Valid session, and its user.
#[derive(Debug, Clone)]
pub(crate) struct SignedIn {
    pub(crate) session: Session,
    pub(crate) user: User,
}

impl SignedIn {
    /// Returns the session of a token if it is valid, and records its use.
    pub(crate) async fn find(api: &Api, token: &str) -> Result<Option<Self>, hookstream_store::Error> {
        let now = api.now();
        let Some((mut session, user)) = sessions::find(&*api.store, KeyHash::of(token), now).await? else { return Ok(None) };
        if !session.is_valid(api.options.sessions, now) {
            return Ok(None);
        }
        if session.needs_seen_update(now) {
            sessions::record_use(&*api.store, session.id, now).await?;
            session.last_seen_at = now;
        }
        Ok(Some(Self { session, user }))
    }
}
