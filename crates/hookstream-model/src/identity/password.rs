//! Passwords: strength check and hashing.
//!
//! The hash is Argon2id (RFC 9106) with the minimum parameters of OWASP's cheat sheet: 19 MiB, two passes. A hash
//! takes about 20 ms of one core, so callers must use a blocking thread.

use argon2::{Algorithm, Argon2, Params, PasswordHash as Phc, PasswordHasher, PasswordVerifier, Version};
use zxcvbn::{Score, feedback::Warning, zxcvbn};

use crate::{
    InvalidField,
    identity::user::{Email, check_password_length},
};

/// Argon2 parameters: memory in KiB, passes, lanes.
const COST: (u32, u32, u32) = (19 * 1024, 2, 1);
/// Maximum number of characters whose strength is estimated. The estimate takes quadratic time, and a longer password
/// is not guessable.
const ESTIMATED_CHARACTERS_MAX: usize = 100;

/// Checks a new password: its length, and whether it is leaked or easy to guess.
///
/// # Errors
/// Names the reason for the rejection.
pub fn check(field: &'static str, password: &str, email: &Email, name: &str) -> Result<(), InvalidField> {
    check_password_length(field, password)?;
    let local = email.as_str().split('@').next().unwrap_or_default();
    let estimated: String = password.chars().take(ESTIMATED_CHARACTERS_MAX).collect();
    let entropy = zxcvbn(&estimated, &[email.as_str(), local, name, "hookstream"]);
    if entropy.score() >= Score::Three {
        return Ok(());
    }
    let why = match entropy.feedback().and_then(zxcvbn::feedback::Feedback::warning) {
        Some(Warning::ThisIsATop10Password | Warning::ThisIsATop100Password | Warning::ThisIsACommonPassword) => {
            "is in lists of leaked passwords"
        }
        Some(Warning::ThisIsSimilarToACommonlyUsedPassword) => "is similar to a leaked password",
        Some(Warning::RepeatsLikeAaaAreEasyToGuess | Warning::RepeatsLikeAbcAbcAreOnlySlightlyHarderToGuess) => "is too repetitive",
        Some(_) | None => "is too easy to guess",
    };
    Err(InvalidField::new(field, format!("{why}. Try four unrelated words")))
}

/// Hash of a password, as a PHC string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Hashes a password with a salt.
    pub fn of(password: &str, salt: &[u8; 16]) -> Self {
        let hash: Phc = argon2().hash_password_with_salt(password.as_bytes(), salt).expect("lengths and costs are within Argon2's limits");
        Self(hash.to_string())
    }

    /// Wraps a hash that was read from the store.
    pub const fn from_row(text: String) -> Self {
        Self(text)
    }

    /// The PHC string.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns true if it is the hash of this password; the comparison takes constant time.
    pub fn is_of(&self, password: &str) -> bool {
        Phc::new(&self.0).is_ok_and(|hash| argon2().verify_password(password.as_bytes(), &hash).is_ok())
    }
}

fn argon2() -> Argon2<'static> {
    let (memory, passes, lanes) = COST;
    Argon2::new(
        Algorithm::Argon2id,
        Version::V0x13,
        Params::new(memory, passes, lanes, None).expect("the costs are within Argon2's limits"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaked_or_guessable_password_is_rejected_with_the_reason() {
        let email = Email::parse("ada.lovelace@example.com").expect("an address");
        let check = |password: &str, reason: Option<&str>| {
            let refusal = check("password", password, &email, "Ada Lovelace").err().map(|error| error.to_string());
            assert_eq!(refusal.is_some(), reason.is_some(), "{password}: {refusal:?}");
            assert!(refusal.unwrap_or_default().contains(reason.unwrap_or_default()), "{password}");
        };
        check("correct", Some("too short"));
        check("passwordpassword", Some("too repetitive"));
        check("password1234", Some("leaked"));
        check("123456789012", Some(""));
        check("aaaaaaaaaaaaaaaa", Some("too repetitive"));
        check("ada.lovelace1", Some("too easy to guess"));
        check("qwertyuiopasdf", Some(""));
        check("plum teapot gravel seven", None);
        check("xK3#mPq9vLw2", None);
        check(&"plum teapot gravel seven ".repeat(20), None);
    }

    #[test]
    fn hash_matches_only_its_password() {
        let hash = PasswordHash::of("plum teapot", &[7; 16]);
        assert!(hash.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.as_str());
        assert!(hash.is_of("plum teapot") && !hash.is_of("plum teapots") && !hash.is_of(""));
        assert_ne!(hash, PasswordHash::of("plum teapot", &[8; 16]));
        assert!(!PasswordHash::from_row("damaged".to_owned()).is_of("plum teapot"));
    }
}
