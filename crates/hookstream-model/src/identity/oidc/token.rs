//! Verification of ID tokens (OpenID Connect Core 1.0, section 3.1.3.7; RFC 8725).

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;

use super::{
    Claims, RawClaims, SUBJECT_MAX,
    keys::{Algorithm, KeySet},
};
use crate::base::time::Timestamp;

/// Allowed difference between the provider's clock and ours, in seconds.
const LEEWAY_S: i64 = 60;
/// Maximum length of a token, in bytes.
const TOKEN_MAX: usize = 64 * 1024;

/// Expected properties of a token.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// Issuer of the token.
    pub issuer: &'a str,
    /// Client that it is for.
    pub client_id: &'a str,
    /// Nonce of the sign-in.
    pub nonce: &'a str,
    /// Current time by the machine's clock.
    pub wall: Timestamp,
}

/// Reason to reject a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The token cannot be parsed.
    #[error("the ID token cannot be read")]
    Malformed,
    /// The token is unsigned, or signed with an unsupported algorithm.
    #[error("the ID token is not signed with RS256, PS256, ES256, ES384 or EdDSA")]
    Algorithm,
    /// The signing key is not among the published keys. They may have changed since they were fetched.
    #[error("the ID token is signed with a key that the provider does not publish")]
    UnknownKey,
    /// The signature is invalid.
    #[error("the ID token's signature is invalid")]
    Signature,
    /// The token has another issuer.
    #[error("the ID token has another issuer")]
    Issuer,
    /// The token is for another client.
    #[error("the ID token is for another client")]
    Audience,
    /// The token has expired.
    #[error("the ID token has expired; check the clocks of this server and of the provider")]
    Expired,
    /// The token is not valid yet.
    #[error("the ID token is dated in the future; check the clocks of this server and of the provider")]
    NotYet,
    /// The token belongs to another sign-in.
    #[error("the ID token belongs to another sign-in")]
    Nonce,
    /// The token has no subject.
    #[error("the ID token has no subject")]
    Subject,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    /// Critical extensions; none is supported.
    crit: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Payload {
    iss: String,
    aud: Audience,
    azp: Option<String>,
    exp: f64,
    iat: f64,
    nbf: Option<f64>,
    nonce: Option<String>,
    #[serde(flatten)]
    claims: RawClaims,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// Verifies a token and returns its claims. No claim is used before the signature is verified.
///
/// # Errors
/// Names the failed check. [`TokenError::UnknownKey`] may disappear once the provider's keys are fetched again.
pub fn verify(token: &str, keys: &KeySet, expected: &Expected<'_>) -> Result<Claims, TokenError> {
    if token.len() > TOKEN_MAX {
        return Err(TokenError::Malformed);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
    let (header, payload) = signed.split_once('.').ok_or(TokenError::Malformed)?;
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed);
    let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| TokenError::Malformed)?;
    let algorithm = Algorithm::parse(&header.alg).ok_or(TokenError::Algorithm)?;
    if header.crit.is_some() {
        return Err(TokenError::Malformed);
    }
    let is_signed = keys.has_signed(header.kid.as_deref(), algorithm, signed.as_bytes(), &decode(signature)?);
    if !is_signed.ok_or(TokenError::UnknownKey)? {
        return Err(TokenError::Signature);
    }
    let payload: Payload = serde_json::from_slice(&decode(payload)?).map_err(|_| TokenError::Malformed)?;
    check(&payload, expected)?;
    Ok(payload.claims.into())
}

fn check(payload: &Payload, expected: &Expected<'_>) -> Result<(), TokenError> {
    if payload.iss != expected.issuer {
        return Err(TokenError::Issuer);
    }
    let (is_for_us, is_for_others) = match &payload.aud {
        Audience::One(audience) => (audience == expected.client_id, false),
        Audience::Several(all) => {
            (all.iter().any(|audience| audience == expected.client_id), all.iter().any(|audience| audience != expected.client_id))
        }
    };
    // A token with several audiences must name us as the authorized party.
    let is_authorized_party = match &payload.azp {
        Some(party) => party == expected.client_id,
        None => !is_for_others,
    };
    if !is_for_us || !is_authorized_party {
        return Err(TokenError::Audience);
    }
    let now = expected.wall.as_seconds();
    if seconds(payload.exp)? <= now - LEEWAY_S {
        return Err(TokenError::Expired);
    }
    for from in [Some(payload.iat), payload.nbf].into_iter().flatten() {
        if seconds(from)? > now + LEEWAY_S {
            return Err(TokenError::NotYet);
        }
    }
    if payload.nonce.as_deref() != Some(expected.nonce) {
        return Err(TokenError::Nonce);
    }
    let subject = &payload.claims.sub;
    if subject.is_empty() || subject.len() > SUBJECT_MAX || subject.chars().any(char::is_control) {
        return Err(TokenError::Subject);
    }
    Ok(())
}

/// Converts a time to whole seconds; it may have a fraction (RFC 7519 section 2).
fn seconds(numeric_date: f64) -> Result<i64, TokenError> {
    // Exactly representable, and later than any token's expiry.
    const FARTHEST: f64 = 1e12;
    if !numeric_date.is_finite() || numeric_date.abs() > FARTHEST {
        return Err(TokenError::Malformed);
    }
    #[expect(clippy::cast_possible_truncation, reason = "the range was checked above")]
    Ok(numeric_date.floor() as i64)
}

#[cfg(test)]
mod tests {
    use hmac::{Hmac, KeyInit, Mac};
    use ring::{
        rand::SystemRandom,
        signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
    };
    use serde_json::{Value, json};
    use sha2::Sha256;

    use super::*;

    const NOW: i64 = 1_700_000_000;

    /// Provider key, generated for the test.
    struct Signer {
        id: &'static str,
        key: EcdsaKeyPair,
    }

    impl Signer {
        fn new(id: &'static str) -> Self {
            let random = SystemRandom::new();
            let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("a key");
            Self { id, key: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).expect("a key") }
        }

        fn public(&self) -> &[u8] {
            self.key.public_key().as_ref()
        }

        fn jwk(&self) -> Value {
            let encoded = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
            let point = self.public();
            json!({ "kty": "EC", "crv": "P-256", "kid": self.id, "use": "sig", "x": encoded(&point[1..33]), "y": encoded(&point[33..]) })
        }

        fn token(&self, header: &Value, payload: &Value) -> String {
            let signed = format!("{}.{}", part(header), part(payload));
            let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).expect("signed");
            format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
        }
    }

    fn part(value: &Value) -> String {
        URL_SAFE_NO_PAD.encode(value.to_string())
    }

    fn set(signers: &[&Signer]) -> KeySet {
        let keys: Vec<_> = signers.iter().map(|signer| signer.jwk()).collect();
        KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).expect("a set")
    }

    fn payload() -> Value {
        json!({
            "iss": "https://provider.example", "aud": "hooks", "sub": "ada", "exp": NOW + 300, "iat": NOW, "nonce": "n",
            "email": "Ada@example.com", "email_verified": true, "name": "Ada", "picture": { "any": [1] },
        })
    }

    /// Payload with one field replaced, or removed if `value` is null.
    fn with(field: &str, value: Value) -> Value {
        let mut payload = payload();
        let fields = payload.as_object_mut().expect("an object");
        if value.is_null() {
            fields.remove(field);
        } else {
            fields.insert(field.to_owned(), value);
        }
        payload
    }

    fn verified(token: &str, keys: &KeySet) -> Result<Claims, TokenError> {
        let wall = Timestamp::from_millis(NOW * 1_000);
        verify(token, keys, &Expected { issuer: "https://provider.example", client_id: "hooks", nonce: "n", wall })
    }

    #[test]
    fn verified_token_returns_its_claims() {
        let signer = Signer::new("a");
        let keys = set(&[&signer]);
        let check = |payload: &Value, email: Option<&str>, is_email_verified: bool, name: Option<&str>| {
            let claims = verified(&signer.token(&json!({ "alg": "ES256", "kid": "a" }), payload), &keys).expect("the token is valid");
            let email = email.map(|email| crate::identity::user::Email::parse(email).expect("an address"));
            let name = name.map(str::to_owned);
            assert_eq!(claims, Claims { subject: "ada".to_owned(), email, is_email_verified, name }, "{payload}");
        };
        check(&payload(), Some("ada@example.com"), true, Some("Ada"));
        check(&with("email_verified", json!("true")), Some("ada@example.com"), true, Some("Ada"));
        for not in [json!(false), json!("false"), json!("yes"), Value::Null] {
            check(&with("email_verified", not), Some("ada@example.com"), false, Some("Ada"));
        }
        check(&with("email", json!("ada")), None, true, Some("Ada"));
        check(&with("name", json!("A\nda")), Some("ada@example.com"), true, None);
        check(&with("aud", json!(["hooks"])), Some("ada@example.com"), true, Some("Ada"));
        check(&with("exp", json!(1_700_000_300.5)), Some("ada@example.com"), true, Some("Ada"));
        check(&with("exp", json!(NOW - 59)), Some("ada@example.com"), true, Some("Ada"));
        check(&with("iat", json!(NOW + 60)), Some("ada@example.com"), true, Some("Ada"));
    }

    #[test]
    fn wrong_audience_time_or_nonce_is_rejected() {
        let signer = Signer::new("a");
        let keys = set(&[&signer]);
        let check = |payload: &Value, expected: TokenError| {
            let token = signer.token(&json!({ "alg": "ES256", "kid": "a" }), payload);
            assert_eq!(verified(&token, &keys), Err(expected), "{payload}");
        };
        check(&with("iss", json!("https://provider.example/")), TokenError::Issuer);
        check(&with("iss", json!("https://evil.example")), TokenError::Issuer);
        check(&with("aud", json!("others")), TokenError::Audience);
        check(&with("aud", json!([])), TokenError::Audience);
        check(&with("aud", json!(["hooks", "others"])), TokenError::Audience);
        check(&with("azp", json!("others")), TokenError::Audience);
        check(&with("exp", json!(NOW - 60)), TokenError::Expired);
        check(&with("iat", json!(NOW + 61)), TokenError::NotYet);
        check(&with("nbf", json!(NOW + 61)), TokenError::NotYet);
        check(&with("nonce", json!("m")), TokenError::Nonce);
        check(&with("nonce", Value::Null), TokenError::Nonce);
        check(&with("sub", json!("")), TokenError::Subject);
        check(&with("sub", json!("x".repeat(256))), TokenError::Subject);
        for field in ["iss", "aud", "exp", "iat", "sub"] {
            check(&with(field, Value::Null), TokenError::Malformed);
            check(&with(field, json!({})), TokenError::Malformed);
        }
        check(&with("exp", json!("1700000300")), TokenError::Malformed);
        check(&with("exp", json!(1e300)), TokenError::Malformed);
        // Several audiences are allowed if the authorized party is us.
        let mut several = with("aud", json!(["hooks", "others"]));
        several["azp"] = json!("hooks");
        assert!(verified(&signer.token(&json!({ "alg": "ES256", "kid": "a" }), &several), &keys).is_ok());
    }

    #[test]
    fn invalid_signature_is_rejected() {
        let (signer, other) = (Signer::new("a"), Signer::new("a"));
        let keys = set(&[&signer]);
        let header = json!({ "alg": "ES256", "kid": "a" });
        let good = signer.token(&header, &payload());
        assert_eq!(verified(&other.token(&header, &payload()), &keys), Err(TokenError::Signature));
        let (signed, signature) = good.rsplit_once('.').expect("three parts");
        let (head, _) = signed.split_once('.').expect("three parts");
        let forged = format!("{head}.{}.{signature}", part(&with("sub", json!("grace"))));
        assert_eq!(verified(&forged, &keys), Err(TokenError::Signature));

        // Unsigned tokens, and tokens signed with public data: the public key as an HMAC secret.
        for alg in ["none", "None", "NONE", "", "HS256", "HS384", "RS1", "ES256K"] {
            let head = part(&json!({ "alg": alg, "kid": "a" }));
            for signature in ["", signature] {
                let token = format!("{head}.{}.{signature}", part(&payload()));
                assert_eq!(verified(&token, &keys), Err(TokenError::Algorithm), "{alg}");
            }
        }
        let text = signer.jwk().to_string();
        for secret in [signer.public(), text.as_bytes()] {
            let signed = format!("{}.{}", part(&json!({ "alg": "HS256", "kid": "a" })), part(&payload()));
            let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("a key");
            mac.update(signed.as_bytes());
            let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()));
            assert_eq!(verified(&token, &keys), Err(TokenError::Algorithm));
        }
        // A key of one kind does not verify the algorithm of another.
        for alg in ["RS256", "ES384", "EdDSA"] {
            assert_eq!(
                verified(&signer.token(&json!({ "alg": alg, "kid": "a" }), &payload()), &keys),
                Err(TokenError::UnknownKey),
                "{alg}"
            );
        }
        let critical = json!({ "alg": "ES256", "kid": "a", "crit": ["b64"], "b64": false });
        assert_eq!(verified(&signer.token(&critical, &payload()), &keys), Err(TokenError::Malformed));
        for token in ["", ".", "..", "a.b.c", &good[1..], &format!("{good}=")] {
            assert_eq!(verified(token, &keys), Err(TokenError::Malformed), "{token}");
        }
        assert_eq!(verified(&"a".repeat(100_000), &keys), Err(TokenError::Malformed));
    }

    #[test]
    fn unknown_key_is_accepted_after_the_keys_are_refreshed() {
        let (old, new) = (Signer::new("old"), Signer::new("new"));
        let token = new.token(&json!({ "alg": "ES256", "kid": "new" }), &payload());
        assert_eq!(verified(&token, &set(&[&old])), Err(TokenError::UnknownKey));
        assert!(verified(&token, &set(&[&old, &new])).is_ok());
        assert!(verified(&token, &set(&[&new])).is_ok());
        // Without a key id, the only key is used.
        let without_id = new.token(&json!({ "alg": "ES256" }), &payload());
        assert!(verified(&without_id, &set(&[&new])).is_ok());
        assert_eq!(verified(&without_id, &set(&[&old, &new])), Err(TokenError::UnknownKey));
        assert_eq!(verified(&without_id, &set(&[])), Err(TokenError::UnknownKey));
    }
}
