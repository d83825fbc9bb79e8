//! Standard Webhooks 1.0.0 signatures: signing deliveries, and verifying them in the development receiver.
//!
//! The signed content is `<webhook-id>.<webhook-timestamp>.<body>`. `v1` is HMAC-SHA256 with a `whsec_` secret; `v1a`
//! is ed25519 with a `whsk_` key, whose public half is a `whpk_` key.

use base64::{
    Engine,
    alphabet::STANDARD as ALPHABET,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};
use ed25519_dalek::{Signature, Signer, SigningKey as Ed25519Key, VerifyingKey};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::{
    InvalidField,
    base::{secret::Secret, text::got, time::Timestamp},
};

/// Signature algorithm of an endpoint's deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SigningAlgorithm {
    /// HMAC-SHA256 with one secret shared by both sides.
    HmacSha256,
    /// Ed25519 with a private key here and its public half at the receiver.
    Ed25519,
}

impl SigningAlgorithm {
    /// Word in the API and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HmacSha256 => "hmac-sha256",
            Self::Ed25519 => "ed25519",
        }
    }

    /// Parses the word, with `-` or `_`.
    ///
    /// # Errors
    /// If the word is unknown.
    pub fn parse(word: &str) -> Result<Self, InvalidField> {
        match word {
            "hmac-sha256" | "hmac_sha256" => Ok(Self::HmacSha256),
            "ed25519" => Ok(Self::Ed25519),
            _ => Err(InvalidField::new("signing_algorithm", format!("must be `hmac-sha256` or `ed25519`{}", got(word)))),
        }
    }
}

/// Signing key, ready for use.
#[derive(Clone)]
pub enum SigningKey {
    /// Keyed state of HMAC-SHA256.
    HmacSha256(Box<Hmac<Sha256>>),
    /// Ed25519 private key.
    Ed25519(Box<Ed25519Key>),
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::HmacSha256(_) => "SigningKey::HmacSha256(…)",
            Self::Ed25519(_) => "SigningKey::Ed25519(…)",
        })
    }
}

/// Allowed length of an HMAC secret, in bytes. Standard Webhooks specifies 24 to 64; other systems use secrets of 16
/// to 128 bytes.
pub const HMAC_SECRET_BYTES: std::ops::RangeInclusive<usize> = 16..=128;
/// Maximum number of rotated secrets of an endpoint that sign at the same time, besides the current one.
pub const SECRETS_IN_GRACE_MAX: usize = 10;

/// Lenient base64: padding is optional, and unused trailing bits are ignored.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent).with_decode_allow_trailing_bits(true),
);

/// Decodes base64 in any of its variants, the URL-safe alphabet included.
fn decode_base64(text: &str) -> Option<Vec<u8>> {
    LENIENT.decode(text.replace('-', "+").replace('_', "/")).ok()
}

impl SigningKey {
    /// Returns the text of a new key made of 32 random bytes: `whsec_…` or `whsk_…`.
    pub fn generate(algorithm: SigningAlgorithm, random: &[u8; 32]) -> Secret {
        match algorithm {
            SigningAlgorithm::HmacSha256 => Secret::new(format!("whsec_{}", STANDARD.encode(random))),
            SigningAlgorithm::Ed25519 => {
                Secret::new(format!("whsk_{}", STANDARD.encode(Ed25519Key::from_bytes(random).to_keypair_bytes())))
            }
        }
    }

    /// Parses the text of a key; white space around it is ignored:
    ///
    /// - `whsec_` and base64 of an HMAC secret, in any variant of base64,
    /// - `raw:` and an HMAC secret that is used as text,
    /// - `whsk_` and base64 of an ed25519 key of 32 bytes (seed) or 64 (seed and public key).
    ///
    /// # Errors
    /// Names the problem, without quoting the text.
    pub fn parse(secret: &Secret) -> Result<Self, InvalidField> {
        let refuse = |problem: String| InvalidField::new("signing_secret", problem);
        let text = secret.expose().trim();
        if let Some(encoded) = text.strip_prefix("whsec_") {
            let bytes = decode_base64(encoded).ok_or_else(|| {
                refuse("is not base64 after `whsec_`. If the secret is used as text, send `raw:` followed by the text".to_owned())
            })?;
            return Self::hmac(&bytes).ok_or_else(|| refuse(wrong_length("has", bytes.len(), "after decoding")));
        }
        if let Some(raw) = text.strip_prefix("raw:") {
            if raw.chars().any(char::is_control) {
                return Err(refuse("contains a control character after `raw:`. Send a binary secret as `whsec_` and base64".to_owned()));
            }
            return Self::hmac(raw.as_bytes()).ok_or_else(|| refuse(wrong_length("has", raw.len(), "after `raw:`")));
        }
        if let Some(encoded) = text.strip_prefix("whsk_") {
            let bytes = decode_base64(encoded).ok_or_else(|| refuse("is not base64 after `whsk_`".to_owned()))?;
            let key = match bytes.len() {
                32 => Ed25519Key::from_bytes(bytes[..].try_into().expect("32 bytes")),
                64 => Ed25519Key::from_keypair_bytes(bytes[..].try_into().expect("64 bytes"))
                    .map_err(|_| refuse("contains a public key that does not match its private key".to_owned()))?,
                length => {
                    return Err(refuse(format!(
                        "has {length} bytes after decoding; an ed25519 key has 32 (the seed) or 64 (the seed and the public key)"
                    )));
                }
            };
            return Ok(Self::Ed25519(Box::new(key)));
        }
        Err(refuse(
            "must begin with `whsec_` (base64 of an HMAC secret), `raw:` (an HMAC secret that is used as text) or `whsk_` \
                (base64 of an ed25519 private key)"
                .to_owned(),
        ))
    }

    fn hmac(bytes: &[u8]) -> Option<Self> {
        let keyed = || Hmac::new_from_slice(bytes).expect("HMAC takes a key of any length");
        HMAC_SECRET_BYTES.contains(&bytes.len()).then(|| Self::HmacSha256(Box::new(keyed())))
    }

    /// Algorithm of the key.
    pub const fn algorithm(&self) -> SigningAlgorithm {
        match self {
            Self::HmacSha256(_) => SigningAlgorithm::HmacSha256,
            Self::Ed25519(_) => SigningAlgorithm::Ed25519,
        }
    }

    /// Public half, `whpk_…`, of an ed25519 key.
    pub fn public_key(&self) -> Option<String> {
        match self {
            Self::HmacSha256(_) => None,
            Self::Ed25519(key) => Some(format!("whpk_{}", STANDARD.encode(key.verifying_key().as_bytes()))),
        }
    }

    fn sign(&self, id: &str, seconds: &str, body: &[u8], header: &mut String) {
        match self {
            Self::HmacSha256(keyed) => {
                let mut mac = Hmac::clone(keyed);
                for part in [id.as_bytes(), b".", seconds.as_bytes(), b".", body] {
                    mac.update(part);
                }
                header.push_str("v1,");
                STANDARD.encode_string(mac.finalize().into_bytes(), header);
            }
            Self::Ed25519(key) => {
                header.push_str("v1a,");
                STANDARD.encode_string(key.sign(&signed_content(id, seconds, body)).to_bytes(), header);
            }
        }
    }
}

fn wrong_length(verb: &str, length: usize, after: &str) -> String {
    let (least, most) = (HMAC_SECRET_BYTES.start(), HMAC_SECRET_BYTES.end());
    format!("{verb} {length} bytes {after}; {least} to {most} are allowed")
}

/// Keys that sign an endpoint's deliveries: the current one, and each rotated one until its grace period ends.
#[derive(Debug, Clone)]
pub struct SigningKeys {
    current: SigningKey,
    rotated: Box<[(SigningKey, Timestamp)]>,
}

impl SigningKeys {
    /// Builds the set from the current key and the rotated keys with the end of their grace periods.
    pub fn new(current: SigningKey, rotated: Vec<(SigningKey, Timestamp)>) -> Self {
        Self { current, rotated: rotated.into() }
    }

    /// Returns the value of `webhook-signature` for one attempt at `now`: one signature per key, separated by spaces.
    pub fn sign(&self, id: &str, now: Timestamp, body: &[u8]) -> String {
        let seconds = now.as_seconds().to_string();
        let mut header = String::with_capacity(96);
        self.current.sign(id, &seconds, body, &mut header);
        for (rotated, until) in &self.rotated {
            if now < *until {
                header.push(' ');
                rotated.sign(id, &seconds, body, &mut header);
            }
        }
        header
    }
}

fn signed_content(id: &str, seconds: &str, body: &[u8]) -> Vec<u8> {
    [id.as_bytes(), b".", seconds.as_bytes(), b".", body].concat()
}

/// Maximum difference between a delivery's timestamp and the receiver's clock, in seconds (Standard Webhooks).
pub const TOLERANCE_S: u64 = 5 * 60;

/// Key with which a receiver verifies signatures.
#[derive(Debug, Clone)]
pub enum VerificationKey {
    /// Shared secret.
    Shared(SigningKey),
    /// Public key.
    Public(VerifyingKey),
}

/// Reason why a delivery fails verification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    /// `webhook-timestamp` is not a number.
    #[error("webhook-timestamp is not a number of seconds")]
    TimestampUnreadable,
    /// `webhook-timestamp` is too far from now.
    #[error("webhook-timestamp is more than five minutes from now")]
    TimestampOutsideTolerance,
    /// No signature in the header was made with the key.
    #[error("no signature in webhook-signature matches the secret")]
    NoMatch,
}

impl VerificationKey {
    /// Parses `whsec_…`, `whpk_…` or `whsk_…`.
    ///
    /// # Errors
    /// Names the problem, without quoting the text.
    pub fn parse(secret: &Secret) -> Result<Self, InvalidField> {
        if let Some(encoded) = secret.expose().strip_prefix("whpk_") {
            let bytes = STANDARD.decode(encoded).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
            let key = bytes.and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok());
            return key
                .map(Self::Public)
                .ok_or_else(|| InvalidField::new("signing_secret", "must be base64 of an ed25519 public key after `whpk_`"));
        }
        Ok(match SigningKey::parse(secret)? {
            SigningKey::Ed25519(key) => Self::Public(key.verifying_key()),
            shared @ SigningKey::HmacSha256(_) => Self::Shared(shared),
        })
    }

    /// Verifies the three headers and the body of a delivery that arrived at `now`.
    ///
    /// # Errors
    /// Names the check that failed.
    pub fn verify(&self, id: &str, timestamp: &str, signatures: &str, body: &[u8], now: Timestamp) -> Result<(), Unverified> {
        let seconds: i64 = timestamp.parse().map_err(|_| Unverified::TimestampUnreadable)?;
        if now.as_seconds().abs_diff(seconds) > TOLERANCE_S {
            return Err(Unverified::TimestampOutsideTolerance);
        }
        let matches = signatures.split(' ').any(|signature| self.matches(signature, id, timestamp, body));
        if matches { Ok(()) } else { Err(Unverified::NoMatch) }
    }

    fn matches(&self, signature: &str, id: &str, timestamp: &str, body: &[u8]) -> bool {
        match self {
            Self::Shared(SigningKey::HmacSha256(keyed)) => {
                let Some(Ok(given)) = signature.strip_prefix("v1,").map(|encoded| STANDARD.decode(encoded)) else { return false };
                let mut mac = Hmac::clone(keyed);
                mac.update(&signed_content(id, timestamp, body));
                mac.verify_slice(&given).is_ok()
            }
            Self::Public(key) => {
                let Some(Ok(given)) = signature.strip_prefix("v1a,").map(|encoded| STANDARD.decode(encoded)) else { return false };
                Signature::from_slice(&given).is_ok_and(|given| key.verify_strict(&signed_content(id, timestamp, body), &given).is_ok())
            }
            Self::Shared(SigningKey::Ed25519(_)) => unreachable!("the constructor keeps the public half of an ed25519 key"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_614_265_330_000);

    fn key(text: &str) -> SigningKey {
        SigningKey::parse(&Secret::new(text)).expect("a key")
    }

    #[test]
    fn specification_test_vector_matches() {
        // From the Standard Webhooks reference implementations.
        let keys = SigningKeys::new(key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), vec![]);
        let header = keys.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", NOW, br#"{"test": 2432232314}"#);
        assert_eq!(header, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn both_algorithms_verify_only_their_own_content() {
        for algorithm in [SigningAlgorithm::HmacSha256, SigningAlgorithm::Ed25519] {
            let secret = SigningKey::generate(algorithm, &[9; 32]);
            let signing = SigningKey::parse(&secret).expect("a generated key");
            assert_eq!(signing.algorithm(), algorithm);
            let receiver = signing.public_key().map_or(secret, Secret::new);
            let header = SigningKeys::new(signing, vec![]).sign("id", NOW, b"body");
            let check = VerificationKey::parse(&receiver).expect("a key");
            let seconds = NOW.as_seconds().to_string();
            assert_eq!(check.verify("id", &seconds, &header, b"body", NOW), Ok(()));
            assert_eq!(check.verify("id", &seconds, &format!("v1,AAAA v2,x {header}"), b"body", NOW), Ok(()));
            assert_eq!(check.verify("id", &seconds, &header, b"bodY", NOW), Err(Unverified::NoMatch));
            assert_eq!(check.verify("ie", &seconds, &header, b"body", NOW), Err(Unverified::NoMatch));
            assert_eq!(check.verify("id", "x", &header, b"body", NOW), Err(Unverified::TimestampUnreadable));
        }
    }

    #[test]
    fn timestamp_tolerance_is_five_minutes_either_way() {
        let secret = SigningKey::generate(SigningAlgorithm::HmacSha256, &[9; 32]);
        let header = SigningKeys::new(SigningKey::parse(&secret).expect("a key"), vec![]).sign("id", NOW, b"");
        let check = VerificationKey::parse(&secret).expect("a key");
        let at = |offset: i64| {
            let then = Timestamp::from_millis(NOW.as_millis() + offset * 1000);
            check.verify("id", &NOW.as_seconds().to_string(), &header, b"", then)
        };
        assert_eq!(at(300), Ok(()));
        assert_eq!(at(-300), Ok(()));
        assert_eq!(at(301), Err(Unverified::TimestampOutsideTolerance));
        assert_eq!(at(-301), Err(Unverified::TimestampOutsideTolerance));
        // The largest possible distance, on a machine whose clock is before 1970.
        let before = Timestamp::from_millis(-1);
        for seconds in [i64::MIN, i64::MAX] {
            let refused = check.verify("id", &seconds.to_string(), &header, b"", before);
            assert_eq!(refused, Err(Unverified::TimestampOutsideTolerance));
        }
    }

    #[test]
    fn rotated_key_signs_until_its_grace_period_ends() {
        let secrets: Vec<_> = (0..=SECRETS_IN_GRACE_MAX)
            .map(|number| {
                let algorithm = if number % 2 == 0 { SigningAlgorithm::HmacSha256 } else { SigningAlgorithm::Ed25519 };
                SigningKey::generate(algorithm, &[u8::try_from(number).expect("few"); 32])
            })
            .collect();
        let ends = |number: usize| NOW + Duration::from_secs(60 * number as u64);
        let parse = |secret: &Secret| SigningKey::parse(secret).expect("a key");
        let rotated = secrets.iter().enumerate().skip(1).map(|(number, secret)| (parse(secret), ends(number)));
        let keys = SigningKeys::new(parse(&secrets[0]), rotated.collect());
        let verifies = |number: usize, at: Timestamp| {
            let receiver = parse(&secrets[number]).public_key().map_or(secrets[number].clone(), Secret::new);
            let key = VerificationKey::parse(&receiver).expect("a key");
            key.verify("id", &at.as_seconds().to_string(), &keys.sign("id", at, b""), b"", at).is_ok()
        };
        for number in 1..secrets.len() {
            assert!(verifies(number, ends(number) - Duration::from_millis(1)), "{number}");
            assert!(!verifies(number, ends(number)), "{number}");
            assert!(verifies(0, ends(number)));
        }
    }

    #[test]
    fn foreign_secrets_parse_in_every_base64_variant() {
        // 26 bytes, of which the base64 has `+`, `/` and padding.
        let bytes = [0xfb, 0xff].repeat(13);
        let standard = STANDARD.encode(&bytes);
        assert!(standard.contains('+') && standard.contains('/') && standard.ends_with('='), "{standard}");
        let url_safe = standard.replace('+', "-").replace('/', "_");
        let signed = |text: &str| SigningKeys::new(key(text), vec![]).sign("id", NOW, b"body");
        let expected = signed(&format!("whsec_{standard}"));
        for form in [&*standard, standard.trim_end_matches('='), &url_safe, url_safe.trim_end_matches('=')] {
            for text in [format!("whsec_{form}"), format!(" \twhsec_{form}\r\n")] {
                assert_eq!(signed(&text), expected, "{text:?}");
            }
        }
        for length in [16, 17, 24, 64, 128] {
            let text = "x".repeat(length);
            assert_eq!(signed(&format!("raw:{text}")), signed(&format!("whsec_{}", STANDARD.encode(&text))), "{length}");
            assert_eq!(signed(&format!("raw:{text}\n")), signed(&format!("raw:{text}")), "{length}");
        }
        // Two bytes per letter, and a space inside.
        let umlauts = "raw:\u{e4}\u{f6}\u{fc} \u{e4}\u{f6}\u{fc} abc";
        assert!(SigningKey::parse(&Secret::new(umlauts)).is_ok());
        let url_safe_seed = STANDARD.encode([0xfb; 32]).replace('+', "-").replace('/', "_");
        assert_eq!(key(&format!("whsk_{}", url_safe_seed.trim_end_matches('='))).algorithm(), SigningAlgorithm::Ed25519);
    }

    #[test]
    fn rejected_secret_is_reported_by_length_only() {
        let check = |text: &str, expected: &str| {
            let error = SigningKey::parse(&Secret::new(text)).expect_err(text);
            assert_eq!(error.field, "signing_secret");
            assert!(error.problem.contains(expected), "{text:?}: {}", error.problem);
        };
        check("", "must begin with `whsec_`");
        check("secret", "`raw:`");
        check("whsec_", "has 0 bytes after decoding; 16 to 128 are allowed");
        check("whsec_!!!!", "`raw:`");
        check("whsec_AAAA", "has 3 bytes");
        check(&format!("whsec_{}", STANDARD.encode([1; 129])), "has 129 bytes");
        check("raw:fifteen letters", "has 15 bytes after `raw:`");
        check(&format!("raw:{}", "x".repeat(129)), "has 129 bytes");
        check("raw:0123456789abcdef\0", "control character");
        check("whsk_AAAA", "has 3 bytes after decoding; an ed25519 key has 32");
        check("whpk_AAAA", "must begin with `whsec_`");
        check("Whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "must begin with `whsec_`");
    }

    #[test]
    fn official_library_verifies_signatures() {
        let secret = SigningKey::generate(SigningAlgorithm::HmacSha256, &[5; 32]);
        let keys = SigningKeys::new(SigningKey::parse(&secret).expect("a key"), vec![]);
        let header = keys.sign("msg_1", NOW, b"{}");
        let official = standardwebhooks::Webhook::new(secret.expose()).expect("a secret");
        assert_eq!(official.sign("msg_1", NOW.as_seconds(), b"{}").ok(), Some(header));
    }
}
