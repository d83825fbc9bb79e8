//! Session of a signed-in user, found by the cookie of a request.

use hookstream_model::identity::{session::Session, tenancy::KeyHash, user::User};
use hookstream_store::identity::sessions;

use crate::state::Api;

/// A session that lasts, and whose it is.
#[derive(Debug, Clone)]
pub(crate) struct SignedIn {
    pub(crate) session: Session,
    pub(crate) user: User,
}

impl SignedIn {
    /// The session of a token, where it lasts; that it is used is noted.
    pub(crate) async fn find(api: &Api, token: &str) -> Result<Option<Self>, hookstream_store::Error> {
        let now = api.now();
        let Some((mut session, user)) = sessions::find(&*api.store, KeyHash::of(token), now).await? else { return Ok(None) };
        if !session.lasts(api.options.sessions, now) {
            return Ok(None);
        }
        if session.is_seen_anew(now) {
            sessions::record_use(&*api.store, session.id, now).await?;
            session.last_seen_at = now;
        }
        Ok(Some(Self { session, user }))
    }
}
