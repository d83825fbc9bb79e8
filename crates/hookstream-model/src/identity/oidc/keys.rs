//! Signing keys of a provider (RFC 7517), and signature verification with them.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256,
    RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::Deserialize;

/// Maximum number of a provider's keys that are considered.
const KEYS_MAX: usize = 100;

/// Signature algorithm of a token. Only asymmetric algorithms are supported. `none` is insecure, and so is HMAC here:
/// its key would be public.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// RSA, PKCS #1 v1.5, SHA-256.
    Rs256,
    /// RSA, PSS, SHA-256.
    Ps256,
    /// ECDSA, P-256, SHA-256.
    Es256,
    /// ECDSA, P-384, SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// Parses the name of an algorithm (RFC 7518 section 3.1, RFC 8037).
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "RS256" => Self::Rs256,
            "PS256" => Self::Ps256,
            "ES256" => Self::Es256,
            "ES384" => Self::Es384,
            "EdDSA" | "Ed25519" => Self::EdDsa,
            _ => return None,
        })
    }
}

/// Public keys of a provider, as published.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeySet(Vec<Key>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    id: Option<String>,
    /// Only algorithm that the key may be used with, if it names one.
    algorithm: Option<Algorithm>,
    material: Material,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Material {
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

#[derive(Deserialize)]
struct Published {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    /// Parses a published key set. Keys that are not for signing, or of an unsupported kind, are skipped. Returns
    /// `None` if the JSON is not a key set.
    pub fn parse(json: &[u8]) -> Option<Self> {
        let published: Published = serde_json::from_slice(json).ok()?;
        let keys = published.keys.into_iter().take(KEYS_MAX).filter_map(|key| Key::read(serde_json::from_value(key).ok()?));
        Some(Self(keys.collect()))
    }

    /// Returns whether the key with this id has signed `signed`. Without an id, the only suitable key is used.
    /// Returns `None` if there is no such key, or more than one.
    pub fn has_signed(&self, id: Option<&str>, algorithm: Algorithm, signed: &[u8], signature: &[u8]) -> Option<bool> {
        let mut suitable = self.0.iter().filter(|key| key.fits(algorithm) && (id.is_none() || key.id.as_deref() == id));
        let key = suitable.next()?;
        // If several keys are suitable, the token must name one (OpenID Connect Core 1.0, section 10.1).
        if suitable.next().is_some() {
            return None;
        }
        Some(key.has_signed(algorithm, signed, signature))
    }
}

impl Key {
    fn read(jwk: Jwk) -> Option<Self> {
        if jwk.purpose.is_some_and(|purpose| purpose != "sig") {
            return None;
        }
        let bytes = |text: Option<String>| URL_SAFE_NO_PAD.decode(text?).ok();
        // An uncompressed point (SEC 1, section 2.3.3).
        let point = |x, y, size: usize| {
            let (x, y) = (bytes(x)?, bytes(y)?);
            (x.len() == size && y.len() == size).then(|| [&[4][..], &x, &y].concat())
        };
        let material = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", _) => {
                let modulus = bytes(jwk.n)?;
                // A leading zero is not allowed, but some providers write one.
                let start = modulus.iter().position(|byte| *byte != 0)?;
                Material::Rsa { modulus: modulus[start..].to_vec(), exponent: bytes(jwk.e)? }
            }
            ("EC", Some("P-256")) => Material::P256(point(jwk.x, jwk.y, 32)?),
            ("EC", Some("P-384")) => Material::P384(point(jwk.x, jwk.y, 48)?),
            ("OKP", Some("Ed25519")) => Material::Ed25519(bytes(jwk.x).filter(|bytes| bytes.len() == 32)?),
            (_, _) => return None,
        };
        let algorithm = match jwk.alg {
            Some(name) => Some(Algorithm::parse(&name)?),
            None => None,
        };
        Some(Self { id: jwk.kid, algorithm, material })
    }

    /// Returns true if the key supports the algorithm, and is not restricted to another one.
    fn fits(&self, algorithm: Algorithm) -> bool {
        let supports_algorithm = match algorithm {
            Algorithm::Rs256 | Algorithm::Ps256 => matches!(self.material, Material::Rsa { .. }),
            Algorithm::Es256 => matches!(self.material, Material::P256(_)),
            Algorithm::Es384 => matches!(self.material, Material::P384(_)),
            Algorithm::EdDsa => matches!(self.material, Material::Ed25519(_)),
        };
        supports_algorithm && self.algorithm.is_none_or(|only| only == algorithm)
    }

    fn has_signed(&self, algorithm: Algorithm, signed: &[u8], signature: &[u8]) -> bool {
        let verified = match &self.material {
            Material::Rsa { modulus, exponent } => {
                let scheme = if algorithm == Algorithm::Ps256 { &RSA_PSS_2048_8192_SHA256 } else { &RSA_PKCS1_2048_8192_SHA256 };
                RsaPublicKeyComponents { n: modulus, e: exponent }.verify(scheme, signed, signature)
            }
            Material::P256(point) => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(signed, signature),
            Material::P384(point) => UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point).verify(signed, signature),
            Material::Ed25519(key) => UnparsedPublicKey::new(&ED25519, key).verify(signed, signature),
        };
        verified.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(text: &str) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(text).expect("base64url")
    }

    /// Verifies a key's signature; a changed text, a changed signature and other algorithms must fail.
    fn check(jwk: &str, algorithm: Algorithm, signed: &str, signature: &str) {
        let keys = |jwk: &str| KeySet::parse(format!("{{\"keys\":[{jwk}]}}").as_bytes()).expect("a set");
        let signature = decoded(signature);
        assert_eq!(keys(jwk).has_signed(None, algorithm, signed.as_bytes(), &signature), Some(true), "{jwk}");
        assert_eq!(keys(jwk).has_signed(None, algorithm, format!("{signed}x").as_bytes(), &signature), Some(false), "{jwk}");
        assert_eq!(keys(jwk).has_signed(None, algorithm, signed.as_bytes(), &signature[1..]), Some(false), "{jwk}");
        let mut other = signature.clone();
        other[20] ^= 1;
        assert_eq!(keys(jwk).has_signed(None, algorithm, signed.as_bytes(), &other), Some(false), "{jwk}");
        for other in [Algorithm::Rs256, Algorithm::Es256, Algorithm::Es384, Algorithm::EdDsa] {
            if other != algorithm {
                assert_eq!(keys(jwk).has_signed(None, other, signed.as_bytes(), &signature), None, "{jwk} {other:?}");
            }
        }
        let for_encryption = jwk.replacen('{', r#"{"use":"enc","#, 1);
        assert_eq!(keys(&for_encryption).has_signed(None, algorithm, signed.as_bytes(), &signature), None);
    }

    #[test]
    fn signatures_match_the_standard_test_vectors() {
        // RFC 7515, appendix A.2.
        let jwk = r#"{"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB"}"#;
        let signed = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let signature = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
        check(jwk, Algorithm::Rs256, signed, signature);
        // RFC 7515, appendix A.3.
        let jwk = r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;
        let signed = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let signature = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
        check(jwk, Algorithm::Es256, signed, signature);
        // RFC 8037, appendix A.4.
        let jwk = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
        let signed = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
        let signature = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
        check(jwk, Algorithm::EdDsa, signed, signature);
    }

    #[test]
    fn unusable_keys_are_skipped() {
        let ed25519 = r#"{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
        let count = |keys: &str| KeySet::parse(format!("{{\"keys\":[{keys}], \"more\": 1}}").as_bytes()).map(|set| set.0.len());
        assert_eq!(count(ed25519), Some(1));
        for useless in [
            r#"{"kty":"oct","k":"AAAA"}"#,
            r#"{"kty":"RSA","n":"AAAA","e":"AQAB"}"#,
            r#"{"kty":"RSA","e":"AQAB"}"#,
            r#"{"kty":"EC","crv":"P-256","x":"AAAA","y":"AAAA"}"#,
            r#"{"kty":"EC","crv":"secp256k1","x":"AAAA","y":"AAAA"}"#,
            r#"{"kty":"OKP","crv":"Ed25519","alg":"HS256","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
            r#"{"kid":"a"}"#,
            "7",
        ] {
            assert_eq!(count(useless), Some(0), "{useless}");
            assert_eq!(count(&format!("{useless},{ed25519}")), Some(1), "{useless}");
        }
        assert_eq!(KeySet::parse(b"[]"), None);
        assert_eq!(KeySet::parse(br#"{"keys":{}}"#), None);
        // If two keys are suitable, the token must name one.
        let two = KeySet::parse(format!("{{\"keys\":[{ed25519},{}]}}", ed25519.replace("\"a\"", "\"b\"")).as_bytes()).expect("a set");
        assert_eq!(two.has_signed(None, Algorithm::EdDsa, b"", b""), None);
        assert_eq!(two.has_signed(Some("b"), Algorithm::EdDsa, b"", b""), Some(false));
        assert_eq!(two.has_signed(Some("c"), Algorithm::EdDsa, b"", b""), None);
    }
}
