//! Second factor: time-based six-digit codes (RFC 6238), and recovery codes for a lost device.

use sha2::{Digest, Sha256};
use totp_rs::{Builder, Secret as TotpKey, Totp};

use crate::{
    base::{secret::Secret, time::Timestamp},
    identity::user::Email,
};

/// Length of a time step, in seconds; codes of the adjacent steps are accepted too.
const STEP_S: u64 = 30;
/// Number of recovery codes.
pub const RECOVERY_CODES: usize = 10;

/// Secret shared by the authenticator and the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedSecret(Secret);

impl SharedSecret {
    /// Generates a secret of 20 random bytes, the length that RFC 4226 recommends.
    pub fn generate(random: &[u8; 32]) -> Self {
        Self(Secret::new(TotpKey::from(random[..20].to_vec()).to_base32()))
    }

    /// Parses a secret that was read from the store.
    pub fn from_row(base32: String) -> Option<Self> {
        TotpKey::try_from_base32(&base32).is_ok().then(|| Self(Secret::new(base32)))
    }

    /// Secret in base32, for manual entry and for the store.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// URI for the authenticator's QR code.
    pub fn uri(&self, issuer: &str, email: &Email) -> String {
        let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20");
        let (issuer, email) = (encoded(issuer), encoded(email.as_str()));
        format!("otpauth://totp/{issuer}:{email}?secret={}&issuer={issuer}&algorithm=SHA1&digits=6&period={STEP_S}", self.expose())
    }

    /// Returns the time step of a code that is valid now and was not used before; white space in the code is ignored.
    pub fn check(&self, code: &str, last_step: Option<i64>, wall: Timestamp) -> Option<i64> {
        let code: String = code.chars().filter(|c| !c.is_whitespace()).collect();
        let seconds = u64::try_from(wall.as_seconds()).ok()?;
        let step = self.totp()?.check(&code, seconds)?;
        let step = i64::try_from(step).ok()?;
        last_step.is_none_or(|last| step > last).then_some(step)
    }

    fn totp(&self) -> Option<Totp> {
        let key = TotpKey::try_from_base32(self.expose()).ok()?;
        Builder::new().with_secret(key).with_skew(1).with_step_duration(STEP_S).build().ok()
    }
}

/// Generates the recovery codes, each valid once: ten hexadecimal characters in two groups.
pub fn recovery_codes(random: &[[u8; 32]; 2]) -> Vec<String> {
    let bytes: Vec<u8> = random.concat();
    bytes
        .chunks_exact(5)
        .take(RECOVERY_CODES)
        .map(|chunk| {
            let mut code: String = chunk.iter().map(|byte| format!("{byte:02x}")).collect();
            code.insert(5, '-');
            code
        })
        .collect()
}

/// Returns the hash of a recovery code for the store; case and punctuation are ignored.
pub fn recovery_hash(code: &str) -> String {
    let plain: String = code.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    Sha256::digest(plain.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    /// RFC 6238, appendix B: the SHA-1 codes, last six digits.
    #[test]
    fn codes_match_the_standard_test_vectors() {
        let secret = SharedSecret(Secret::new(TotpKey::from(b"12345678901234567890".to_vec()).to_base32()));
        for (seconds, code) in
            [(59, "287082"), (1_111_111_109, "081804"), (1_111_111_111, "050471"), (1_234_567_890, "005924"), (2_000_000_000, "279037")]
        {
            assert_eq!(secret.check(code, None, at(seconds)), Some(seconds / 30), "{code}");
        }
        assert_eq!(secret.check("287 082", None, at(59)), Some(1));
        assert_eq!(secret.check("287082", Some(1), at(59)), None, "used before");
        assert_eq!(secret.check("287082", None, at(59 + 30)), Some(1), "a step late");
        assert_eq!(secret.check("287082", None, at(59 + 61)), None, "two steps late");
        for code in ["", "287083", "28708", "2870822", "абвгде"] {
            assert_eq!(secret.check(code, None, at(59)), None, "{code}");
        }
    }

    #[test]
    fn secret_round_trips_through_the_store_and_has_a_uri() {
        let secret = SharedSecret::generate(&[7; 32]);
        assert_eq!(SharedSecret::from_row(secret.expose().to_owned()), Some(secret.clone()));
        assert_eq!(secret.expose().len(), 32);
        let email = Email::parse("ada+1@example.com").expect("an address");
        let expected = format!("otpauth://totp/Hook%20stream:ada%2B1%40example.com?secret={}&issuer=Hook%20stream", secret.expose());
        assert!(secret.uri("Hook stream", &email).starts_with(&expected));
    }

    #[test]
    fn recovery_codes_differ_and_compare_without_case_and_punctuation() {
        let bytes = |from: u8| std::array::from_fn(|index| from + u8::try_from(index).expect("below 32"));
        let random = [bytes(0), bytes(100)];
        let codes = recovery_codes(&random);
        assert_eq!(codes.len(), RECOVERY_CODES);
        assert!(codes.iter().all(|code| code.len() == 11 && code.as_bytes()[5] == b'-'), "{codes:?}");
        assert_eq!(codes.iter().collect::<std::collections::BTreeSet<_>>().len(), RECOVERY_CODES);
        assert_eq!(recovery_hash(&codes[0]), recovery_hash(&codes[0].to_uppercase().replace('-', " ")));
        assert_ne!(recovery_hash(&codes[0]), recovery_hash(&codes[1]));
    }
}
