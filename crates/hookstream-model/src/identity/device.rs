//! The device flow (RFC 8628): a program without a browser shows a short code, and somebody who is signed in allows it.

use std::{fmt, time::Duration};

use crate::base::time::Timestamp;

/// For how long a code is good.
pub const VALID_FOR: Duration = Duration::from_secs(15 * 60);
/// How often a program may ask whether it was allowed.
pub const INTERVAL: Duration = Duration::from_secs(5);
/// A program's clock and the way to the server are not exact; only what is well below the interval is too soon.
const TOLERANCE: Duration = Duration::from_millis(500);

/// Letters and digits that are not taken for one another: no O, 0, I, 1 or L.
const ALPHABET: &[u8; 31] = b"ABCDEFGHJKMNPQRSTUVWXYZ23456789";

/// What is shown and typed: eight characters, `ABCD-EFGH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserCode(String);

impl UserCode {
    /// A code made of random bytes; `None` where too few of them give a character without a bias.
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

    /// Takes a code as somebody typed it, with or without `-` and in either case.
    pub fn parse(text: &str) -> Option<Self> {
        let code: String = text.chars().filter(|c| !matches!(c, '-' | ' ')).map(|c| c.to_ascii_uppercase()).collect();
        (code.len() == 8 && code.bytes().all(|byte| ALPHABET.contains(&byte))).then_some(Self(code))
    }

    /// The eight characters, as the store keeps them.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", &self.0[..4], &self.0[4..])
    }
}

/// Where a request for access stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceStatus {
    /// Nobody has decided yet.
    Pending,
    /// Nobody has, and the program asks too often.
    TooSoon,
    /// Its time is over.
    Expired,
    /// Somebody refused.
    Denied,
    /// Somebody allowed it.
    Allowed,
}

/// Where a request stands for a program that asks now.
pub fn standing(
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
    fn a_code_has_no_character_that_is_taken_for_another() {
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
    fn a_program_asks_every_five_seconds_until_the_end() {
        let start = Timestamp::from_millis(1_000_000_000_000);
        let end = start + VALID_FOR;
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(standing(false, false, None, end, start), DeviceStatus::Pending);
        assert_eq!(standing(false, false, Some(start), end, after(4)), DeviceStatus::TooSoon);
        assert_eq!(standing(false, false, Some(start), end, after(5)), DeviceStatus::Pending);
        assert_eq!(standing(true, false, Some(start), end, after(1)), DeviceStatus::Allowed);
        assert_eq!(standing(false, true, Some(start), end, after(1)), DeviceStatus::Denied);
        assert_eq!(standing(true, false, None, end, end), DeviceStatus::Expired);
    }
}
