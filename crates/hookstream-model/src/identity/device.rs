//! Device flow (RFC 8628): a program without a browser shows a short code, and a signed-in user approves it.

use std::{fmt, time::Duration};

use crate::base::time::Timestamp;

/// Validity of a code.
pub const VALID_FOR: Duration = Duration::from_secs(15 * 60);
/// Minimum interval between two polls of a program.
pub const INTERVAL: Duration = Duration::from_secs(5);
/// Clock and network are not exact, so only polls well below the interval are too soon.
const TOLERANCE: Duration = Duration::from_millis(500);

/// Letters and digits that are hard to confuse: no O, 0, I, 1 or L.
const ALPHABET: &[u8; 31] = b"ABCDEFGHJKMNPQRSTUVWXYZ23456789";

/// Code that the program shows and the user types: eight characters, `ABCD-EFGH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserCode(String);

impl UserCode {
    /// Generates a code from random bytes; `None` if too few of them give an unbiased character.
    pub fn generate(random: &[u8; 32]) -> Option<Self> {
        // 248 is the largest multiple of 31 in a byte.
        let code: String = random
            .iter()
            .filter(|byte| **byte < 248)
            .take(8)
            .map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]))
            .collect();
        (code.len() == 8).then_some(Self(code))
    }

    /// Parses a code as a user typed it, with or without `-` and in either case.
    pub fn parse(text: &str) -> Option<Self> {
        let code: String = text.chars().filter(|c| !matches!(c, '-' | ' ')).map(|c| c.to_ascii_uppercase()).collect();
        (code.len() == 8 && code.bytes().all(|byte| ALPHABET.contains(&byte))).then_some(Self(code))
    }

    /// The eight characters without `-`, as the store keeps them.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", &self.0[..4], &self.0[4..])
    }
}

/// Status of a request for access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceStatus {
    /// No user has decided yet.
    Pending,
    /// No user has decided yet, and the program polls too often.
    TooSoon,
    /// The code has expired.
    Expired,
    /// A user denied the request.
    Denied,
    /// A user approved the request.
    Allowed,
}

/// Returns the status of a request for a program that polls now.
pub fn device_status(
    is_allowed: bool,
    is_denied: bool,
    last_asked_at: Option<Timestamp>,
    expires_at: Timestamp,
    now: Timestamp,
) -> DeviceStatus {
    if now >= expires_at {
        DeviceStatus::Expired
    } else if is_denied {
        DeviceStatus::Denied
    } else if is_allowed {
        DeviceStatus::Allowed
    } else if last_asked_at.is_some_and(|last| now.since(last) + TOLERANCE < INTERVAL) {
        DeviceStatus::TooSoon
    } else {
        DeviceStatus::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_code_has_no_ambiguous_characters() {
        let random: [u8; 32] = std::array::from_fn(|index| u8::try_from(index * 8).expect("below 256"));
        let code = UserCode::generate(&random).expect("a code");
        assert_eq!(UserCode::parse(&code.to_string()), Some(code.clone()));
        assert_eq!(UserCode::parse(&code.to_string().to_lowercase()), Some(code));
        assert!(ALPHABET.iter().all(|byte| !b"O0I1L".contains(byte)));
        assert_eq!(UserCode::generate(&[255; 32]), None);
        for text in ["", "ABCD", "ABCD-EFG0", "ABCD-EFGHJ", "ÄBCD-EFG"] {
            assert_eq!(UserCode::parse(text), None, "{text}");
        }
    }

    #[test]
    fn program_may_poll_every_five_seconds_until_expiry() {
        let start = Timestamp::from_millis(1_000_000_000_000);
        let end = start + VALID_FOR;
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(device_status(false, false, None, end, start), DeviceStatus::Pending);
        assert_eq!(device_status(false, false, Some(start), end, after(4)), DeviceStatus::TooSoon);
        assert_eq!(device_status(false, false, Some(start), end, after(5)), DeviceStatus::Pending);
        assert_eq!(device_status(true, false, Some(start), end, after(1)), DeviceStatus::Allowed);
        assert_eq!(device_status(false, true, Some(start), end, after(1)), DeviceStatus::Denied);
        assert_eq!(device_status(true, false, None, end, end), DeviceStatus::Expired);
    }
}
