//! Tenants, and the API keys that act for them.

use std::{fmt, net::IpAddr};

use ipnet::IpNet;
use sha2::{Digest, Sha256};

use crate::{
    InvalidField,
    base::{
        ids::{ApiKeyId, EnvironmentId, OrganizationId},
        text::{check_line, got},
        time::Timestamp,
    },
    identity::scopes::Scopes,
};

/// Organization and environment that own a row.
///
/// Every query on a tenant's rows names it; another tenant's resource is reported as absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tenant {
    /// The organization.
    pub organization: OrganizationId,
    /// The environment within it.
    pub environment: EnvironmentId,
}

/// Kind of data that a key is meant for; visible in the key's text only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyMode {
    /// `hs_live_…`
    Live,
    /// `hs_test_…`
    Test,
}

/// Text of an API key: `hs_live_` or `hs_test_` and 64 lower-case hex characters.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKeyText(String);

/// Error: the text is not an API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be `hs_live_` or `hs_test_` followed by 64 hexadecimal characters")]
pub struct InvalidApiKey;

impl ApiKeyText {
    /// Generates a key from 32 random bytes.
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

    /// Parses a key.
    ///
    /// # Errors
    /// If the text has another form.
    pub fn parse(text: &str) -> Result<Self, InvalidApiKey> {
        if Self::is_shaped(text) { Ok(Self(text.to_owned())) } else { Err(InvalidApiKey) }
    }

    /// Returns true if a text has the form of a key.
    pub fn is_shaped(text: &str) -> bool {
        let digits = text.strip_prefix("hs_live_").or_else(|| text.strip_prefix("hs_test_"));
        digits.is_some_and(|digits| digits.len() == 64 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
    }

    /// The key itself, for the one response that shows it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Hash that the store keeps in its place.
    pub fn hash(&self) -> KeyHash {
        KeyHash::of(&self.0)
    }

    /// First 12 characters, by which users tell their keys apart.
    pub fn prefix(&self) -> &str {
        &self.0[..12]
    }
}

impl fmt::Debug for ApiKeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKeyText({}…)", self.prefix())
    }
}

/// SHA-256 of an API key's text, by which keys are stored and looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash([u8; 32]);

impl KeyHash {
    /// Hashes the text that a caller presented, whether or not it is a key.
    pub fn of(presented: &str) -> Self {
        Self(Sha256::digest(presented.as_bytes()).into())
    }

    /// The 32 bytes, as the store keeps them.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Level of an API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyLevel {
    /// The key's environment, and reading its organization.
    Environment,
    /// The whole organization too: members, invitations, environments and settings.
    Organization,
}

impl KeyLevel {
    /// Word in the API and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Environment => "environment",
            Self::Organization => "organization",
        }
    }

    /// Parses the word.
    ///
    /// # Errors
    /// If the word is unknown.
    pub fn parse(word: &str) -> Result<Self, InvalidField> {
        match word {
            "environment" => Ok(Self::Environment),
            "organization" => Ok(Self::Organization),
            _ => Err(InvalidField::new("level", format!("must be `environment` or `organization`{}", got(word)))),
        }
    }
}

/// Properties of an authenticated API key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Unique id.
    pub id: ApiKeyId,
    /// Tenant that it acts for.
    pub tenant: Tenant,
    /// Name chosen by its owner.
    pub name: String,
    /// Level: environment or organization.
    pub level: KeyLevel,
    /// Permissions.
    pub scopes: Scopes,
    /// Time of expiry.
    pub expires_at: Option<Timestamp>,
    /// Networks from which it may be used; empty means any.
    pub networks: Vec<IpNet>,
}

impl ApiKey {
    /// Builds a key with all permissions of its organization and of the operator, from any network, without expiry.
    pub const fn unlimited(id: ApiKeyId, tenant: Tenant, name: String) -> Self {
        Self { id, tenant, name, level: KeyLevel::Organization, scopes: Scopes::OPERATOR, expires_at: None, networks: Vec::new() }
    }

    /// Checks that a key created or rotated with this one's authority has no restriction less than this one.
    ///
    /// # Errors
    /// Names the field that exceeds this key's authority.
    pub fn check_child(&self, child: &Self) -> Result<(), InvalidField> {
        if child.level > self.level {
            return Err(InvalidField::new(
                "level",
                "can't be `organization`, because the API key that creates it has the level `environment`",
            ));
        }
        if let Some(end) = self.expires_at
            && child.expires_at.is_none_or(|at| at > end)
        {
            return Err(InvalidField::new("expires_at", format!("must not be later than {end}, when the API key that creates it expires")));
        }
        let is_within = |network: &IpNet| self.networks.iter().any(|own| own.contains(network));
        if !self.networks.is_empty() && (child.networks.is_empty() || !child.networks.iter().all(is_within)) {
            let own: Vec<_> = self.networks.iter().map(ToString::to_string).collect();
            return Err(InvalidField::new(
                "networks",
                format!("must be within the networks of the API key that creates it: {}", own.join(", ")),
            ));
        }
        Ok(())
    }

    /// Returns true if `expires_at` has passed.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// Returns true if it may be used from an address. An IPv4-mapped IPv6 address counts as the IPv4 address.
    pub fn may_be_used_from(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.is_empty() || self.networks.iter().any(|network| network.contains(&address))
    }
}

/// Maximum length of an API key's name, in characters.
const KEY_NAME_MAX: usize = 255;
/// Maximum number of networks of an API key.
pub const KEY_NETWORKS_MAX: usize = 100;

/// Checks the name of an API key: one line of 1 to 255 characters.
///
/// # Errors
/// Names the rule that is broken.
pub fn check_key_name(name: &str) -> Result<(), InvalidField> {
    check_line("name", name, KEY_NAME_MAX)
}

/// Parses networks such as `10.0.0.0/8`; a single address is a network of one.
///
/// # Errors
/// Names the first invalid entry.
pub fn parse_networks(field: &'static str, texts: &[String]) -> Result<Vec<IpNet>, InvalidField> {
    if texts.len() > KEY_NETWORKS_MAX {
        return Err(InvalidField::new(field, format!("must have at most {KEY_NETWORKS_MAX} entries")));
    }
    let parse = |text: &String| text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    let read = |text: &String| {
        parse(text)
            .ok_or_else(|| InvalidField::new(field, format!("contains {text:?}, which is not an address or a network such as 10.0.0.0/8")))
    };
    texts.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_key_parses_and_debug_shows_only_its_prefix() {
        let key = ApiKeyText::generate(KeyMode::Live, &[0xab; 32]);
        assert_eq!(ApiKeyText::parse(key.expose()), Ok(key.clone()));
        assert_eq!(format!("{key:?}"), "ApiKeyText(hs_live_abab…)");
    }

    #[test]
    fn key_is_valid_in_its_networks_until_it_expires() {
        let tenant = Tenant { organization: OrganizationId::from_bytes([1; 16]), environment: EnvironmentId::from_bytes([2; 16]) };
        let mut key = ApiKey::unlimited(ApiKeyId::from_bytes([3; 16]), tenant, "x".to_owned());
        let from = |key: &ApiKey, address: &str| key.may_be_used_from(address.parse().expect("an address"));
        assert!(from(&key, "8.8.8.8") && from(&key, "::1"));
        key.networks = parse_networks("networks", &["10.0.0.0/8".to_owned(), "2001:db8::1".to_owned()]).expect("networks");
        assert!(from(&key, "10.1.2.3") && from(&key, "::ffff:10.1.2.3") && from(&key, "2001:db8::1"));
        assert!(!from(&key, "11.1.2.3") && !from(&key, "2001:db8::2") && !from(&key, "::ffff:11.0.0.1"));
        let child = |networks: &[&str], expires_at: Option<i64>| {
            let networks: Vec<_> = networks.iter().map(|&network| network.to_owned()).collect();
            ApiKey {
                networks: parse_networks("networks", &networks).expect("networks"),
                expires_at: expires_at.map(Timestamp::from_millis),
                ..key.clone()
            }
        };
        let refused = |parent: &ApiKey, child: &ApiKey| parent.check_child(child).err().map(|refused| refused.field);
        assert_eq!(refused(&key, &child(&["10.1.0.0/16"], None)), None);
        assert_eq!(refused(&key, &child(&["10.1.0.0/16", "10.0.0.0/7"], None)), Some("networks"));
        assert_eq!(refused(&key, &child(&[], None)), Some("networks"));
        let bounded = child(&["10.0.0.0/8"], Some(1_000));
        assert_eq!(refused(&bounded, &child(&["10.0.0.0/8"], Some(1_000))), None);
        assert_eq!(refused(&bounded, &child(&["10.0.0.0/8"], Some(1_001))), Some("expires_at"));
        assert_eq!(refused(&bounded, &child(&["10.0.0.0/8"], None)), Some("expires_at"));
        let lower = ApiKey { level: KeyLevel::Environment, ..key.clone() };
        assert_eq!((refused(&lower, &key), refused(&key, &lower)), (Some("level"), None));
        let end = Timestamp::from_millis(1_000);
        key.expires_at = Some(end);
        assert!(!key.is_expired(Timestamp::from_millis(999)) && key.is_expired(end));
        for text in ["", "10.0.0.0/33", "x", "10.0.0"] {
            assert!(parse_networks("networks", &[text.to_owned()]).is_err(), "{text}");
        }
    }

    #[test]
    fn invalid_key_text_is_rejected() {
        let hex = "ab".repeat(32);
        for text in
            ["", "hs_live_", &hex, &format!("hs_prod_{hex}"), &format!("hs_live_{hex}0"), &format!("hs_live_{}", hex.to_uppercase())]
        {
            assert_eq!(ApiKeyText::parse(text), Err(InvalidApiKey), "{text}");
        }
    }
}
