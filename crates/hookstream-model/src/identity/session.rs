//! Sessions: the validity and renewal of a sign-in.

use std::{fmt, time::Duration};

use crate::{
    base::{
        ids::{SessionId, UserId},
        time::Timestamp,
    },
    identity::tenancy::{KeyHash, Tenant},
};

/// Time for which a renewed token's predecessor is still accepted, for requests already under way.
pub const OVERLAP: Duration = Duration::from_secs(60);
/// Age at which a token is renewed.
const RENEW_AFTER: Duration = Duration::from_secs(24 * 3600);
/// Precision of `last_seen_at`.
const SEEN_PRECISION: Duration = Duration::from_secs(60);

/// Session token in a browser's cookie: 64 hexadecimal characters of 32 random bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionText(String);

impl SessionText {
    /// Generates a token from 32 random bytes.
    pub fn generate(random: &[u8; 32]) -> Self {
        Self(random.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The token itself, for the cookie.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Hash that the store keeps in its place.
    pub fn hash(&self) -> KeyHash {
        KeyHash::of(&self.0)
    }
}

impl fmt::Debug for SessionText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionText(…)")
    }
}

/// Method of a sign-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Method {
    /// Password.
    Password,
    /// Password and second factor.
    SecondFactor,
    /// Link of the set-up, of an invitation or of a password reset.
    Link,
    /// OpenID Connect provider, with its name.
    Provider(String),
}

impl Method {
    /// Word in the store; a provider has the word `oidc:` and its name.
    pub fn word(&self) -> String {
        match self {
            Self::Password => "password".to_owned(),
            Self::SecondFactor => "second_factor".to_owned(),
            Self::Link => "link".to_owned(),
            Self::Provider(name) => format!("oidc:{name}"),
        }
    }

    /// Parses the word.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "password" => Some(Self::Password),
            "second_factor" => Some(Self::SecondFactor),
            "link" => Some(Self::Link),
            other => other.strip_prefix("oidc:").map(|name| Self::Provider(name.to_owned())),
        }
    }
}

/// Lifetime of sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Maximum time without use.
    pub idle: Duration,
    /// Maximum time in total.
    pub absolute: Duration,
}

/// Session of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Unique id.
    pub id: SessionId,
    /// User who signed in.
    pub user: UserId,
    /// Default tenant of its requests.
    pub tenant: Option<Tenant>,
    /// Method of the sign-in.
    pub method: Method,
    /// Client address at the sign-in.
    pub address: Option<String>,
    /// User agent at the sign-in.
    pub user_agent: Option<String>,
    /// Time of the sign-in.
    pub created_at: Timestamp,
    /// Time at which the current token was issued.
    pub renewed_at: Timestamp,
    /// Time of the last use, to the minute.
    pub last_seen_at: Timestamp,
    /// Time at which it ends in any case.
    pub expires_at: Timestamp,
}

impl Session {
    /// Returns true if the session is still valid.
    pub fn is_valid(&self, policy: Policy, now: Timestamp) -> bool {
        now < self.ends_at(policy)
    }

    /// Returns the time at which it ends unless it is used.
    pub fn ends_at(&self, policy: Policy) -> Timestamp {
        self.expires_at.min(self.last_seen_at + policy.idle)
    }

    /// Returns true if `last_seen_at` must be updated.
    pub fn needs_seen_update(&self, now: Timestamp) -> bool {
        now.since(self.last_seen_at) >= SEEN_PRECISION
    }

    /// Returns true if the token must be renewed.
    pub fn needs_renewal(&self, now: Timestamp) -> bool {
        now.since(self.renewed_at) >= RENEW_AFTER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_ends_when_it_is_idle_or_old() {
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
        assert!(session.is_valid(policy, start + hour) && !session.is_valid(policy, start + hour * 2));
        session.last_seen_at = start + hour * 4;
        assert!(session.is_valid(policy, start + hour * 4) && !session.is_valid(policy, start + hour * 5));
        assert!(!session.needs_seen_update(start + hour * 4) && session.needs_seen_update(start + hour * 5));
        assert!(!session.needs_renewal(start + hour * 23) && session.needs_renewal(start + hour * 24));
    }

    #[test]
    fn method_round_trips_through_its_word() {
        for method in [Method::Password, Method::SecondFactor, Method::Link, Method::Provider("google".to_owned())] {
            assert_eq!(Method::parse(&method.word()), Some(method));
        }
        assert_eq!(Method::parse("x"), None);
    }
}
