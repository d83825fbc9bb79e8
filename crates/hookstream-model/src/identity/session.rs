//! Sessions: for how long somebody who signed in is taken for who they are.

use std::{fmt, time::Duration};

use crate::{
    base::{
        ids::{SessionId, UserId},
        time::Timestamp,
    },
    identity::tenancy::{KeyHash, Tenant},
};

/// For how long a renewed token's predecessor is still taken: what was under way has it.
pub const OVERLAP: Duration = Duration::from_secs(60);
/// How old a token becomes before it is renewed.
const RENEW_AFTER: Duration = Duration::from_secs(24 * 3600);
/// How exactly it is noted when a session was last seen.
const SEEN_EVERY: Duration = Duration::from_secs(60);

/// What a browser presents for a session: 64 hexadecimal characters of 32 random bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionText(String);

impl SessionText {
    /// A text made of 32 random bytes.
    pub fn generate(random: &[u8; 32]) -> Self {
        Self(random.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The text itself, for the cookie.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What the store keeps in its place.
    pub fn hash(&self) -> KeyHash {
        KeyHash::of(&self.0)
    }
}

impl fmt::Debug for SessionText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionText(…)")
    }
}

/// How somebody signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Method {
    /// With a password.
    Password,
    /// With a password and a second factor.
    SecondFactor,
    /// With the link of the set-up, of an invitation or of a forgotten password.
    Link,
    /// At a provider of OpenID Connect.
    Provider(String),
}

impl Method {
    /// Its word; a provider's is its name after `oidc:`.
    pub fn word(&self) -> String {
        match self {
            Self::Password => "password".to_owned(),
            Self::SecondFactor => "second_factor".to_owned(),
            Self::Link => "link".to_owned(),
            Self::Provider(name) => format!("oidc:{name}"),
        }
    }

    /// The method of this word.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "password" => Some(Self::Password),
            "second_factor" => Some(Self::SecondFactor),
            "link" => Some(Self::Link),
            other => other.strip_prefix("oidc:").map(|name| Self::Provider(name.to_owned())),
        }
    }
}

/// For how long sessions last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Without being used.
    pub idle: Duration,
    /// In all.
    pub absolute: Duration,
}

/// Somebody's session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// Whose it is.
    pub user: UserId,
    /// Where its requests go that do not say.
    pub tenant: Option<Tenant>,
    /// How it began.
    pub method: Method,
    /// From which address.
    pub address: Option<String>,
    /// With which program, as it calls itself.
    pub user_agent: Option<String>,
    /// When it began.
    pub created_at: Timestamp,
    /// Since when its token is what it is.
    pub renewed_at: Timestamp,
    /// When it was last used, to a minute.
    pub last_seen_at: Timestamp,
    /// When it ends in any case.
    pub expires_at: Timestamp,
}

impl Session {
    /// Whether it still lasts.
    pub fn lasts(&self, policy: Policy, now: Timestamp) -> bool {
        now < self.ends_at(policy)
    }

    /// When it ends unless it is used.
    pub fn ends_at(&self, policy: Policy) -> Timestamp {
        self.expires_at.min(self.last_seen_at + policy.idle)
    }

    /// Whether it is time to note that it was seen.
    pub fn is_seen_anew(&self, now: Timestamp) -> bool {
        now.since(self.last_seen_at) >= SEEN_EVERY
    }

    /// Whether its token has become old.
    pub fn wants_renewal(&self, now: Timestamp) -> bool {
        now.since(self.renewed_at) >= RENEW_AFTER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_when_it_is_idle_or_old() {
        let start = Timestamp::from_millis(1_000_000_000_000);
        let hour = Duration::from_secs(3600);
        let policy = Policy { idle: hour * 2, absolute: hour * 5 };
        let mut session = Session {
            id: SessionId::from_bytes([1; 16]),
            user: UserId::from_bytes([2; 16]),
            tenant: None,
            method: Method::Password,
            address: None,
            user_agent: None,
            created_at: start,
            renewed_at: start,
            last_seen_at: start,
            expires_at: start + policy.absolute,
        };
        assert!(session.lasts(policy, start + hour) && !session.lasts(policy, start + hour * 2));
        session.last_seen_at = start + hour * 4;
        assert!(session.lasts(policy, start + hour * 4) && !session.lasts(policy, start + hour * 5));
        assert!(!session.is_seen_anew(start + hour * 4) && session.is_seen_anew(start + hour * 5));
        assert!(!session.wants_renewal(start + hour * 23) && session.wants_renewal(start + hour * 24));
    }

    #[test]
    fn methods_are_written_as_they_are_read() {
        for method in [Method::Password, Method::SecondFactor, Method::Link, Method::Provider("google".to_owned())] {
            assert_eq!(Method::parse(&method.word()), Some(method));
        }
        assert_eq!(Method::parse("x"), None);
    }
}
