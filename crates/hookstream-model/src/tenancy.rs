//! Who owns what: organizations, environments, and the API keys that speak for them.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::ids::{ApiKeyId, EnvironmentId, OrganizationId};

/// The organization and environment that everything a caller touches belongs to.
///
/// Every query on a tenant's rows names it; another tenant's resource is simply not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tenant {
    /// The organization.
    pub organization: OrganizationId,
    /// The environment within it.
    pub environment: EnvironmentId,
}

/// Which kind of data a key is meant for; it shows in the key's text only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyMode {
    /// `hs_live_…`
    Live,
    /// `hs_test_…`
    Test,
}

/// The text of an API key: `hs_live_` or `hs_test_` and 64 lower-case hex characters.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKeyText(String);

/// Why a text is not an API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be `hs_live_` or `hs_test_` followed by 64 hexadecimal characters")]
pub struct InvalidApiKey;

impl ApiKeyText {
    /// A key made of 32 random bytes.
    pub fn generate(mode: KeyMode, random: &[u8; 32]) -> Self {
        let prefix = match mode {
            KeyMode::Live => "hs_live_",
            KeyMode::Test => "hs_test_",
        };
        let mut text = String::with_capacity(72);
        text.push_str(prefix);
        for byte in random {
            text.push_str(&format!("{byte:02x}"));
        }
        Self(text)
    }

    /// Takes a key that somebody wrote.
    ///
    /// # Errors
    /// Where the text has another form.
    pub fn parse(text: &str) -> Result<Self, InvalidApiKey> {
        let digits = text.strip_prefix("hs_live_").or_else(|| text.strip_prefix("hs_test_")).ok_or(InvalidApiKey)?;
        if digits.len() != 64 || !digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(InvalidApiKey);
        }
        Ok(Self(text.to_owned()))
    }

    /// The key itself, for the one answer that shows it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What the store keeps in its place.
    pub fn hash(&self) -> KeyHash {
        KeyHash::of(&self.0)
    }

    /// The first 12 characters, by which people tell their keys apart.
    pub fn prefix(&self) -> &str {
        &self.0[..12]
    }
}

impl fmt::Debug for ApiKeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKeyText({}…)", self.prefix())
    }
}

/// The SHA-256 of an API key's text; keys are stored and looked up as this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash([u8; 32]);

impl KeyHash {
    /// The hash of whatever a caller presented, key or not.
    pub fn of(presented: &str) -> Self {
        Self(Sha256::digest(presented.as_bytes()).into())
    }

    /// The 32 bytes, as the store keeps them.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// What is known of an API key once it was recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id.
    pub id: ApiKeyId,
    /// Whom it speaks for.
    pub tenant: Tenant,
    /// The name its owner gave it.
    pub name: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_key_is_a_key_and_shows_only_its_prefix() {
        let key = ApiKeyText::generate(KeyMode::Live, &[0xab; 32]);
        assert_eq!(ApiKeyText::parse(key.expose()), Ok(key.clone()));
        assert_eq!(format!("{key:?}"), "ApiKeyText(hs_live_abab…)");
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let hex = "ab".repeat(32);
        for text in
            ["", "hs_live_", &hex, &format!("hs_prod_{hex}"), &format!("hs_live_{hex}0"), &format!("hs_live_{}", hex.to_uppercase())]
        {
            assert_eq!(ApiKeyText::parse(text), Err(InvalidApiKey), "{text}");
        }
    }
}
