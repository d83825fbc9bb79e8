//! Browsers that have signed in before, known by a signed cookie that names the account. The cookie grants no access.
//! Failures of a known browser are counted separately, so that strangers' failed attempts do not lock the owner out.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use hookstream_model::{
    base::{secret::Secret, time::Timestamp},
    identity::user::Email,
};
use sha2::Sha256;

/// Lifetime of the cookie: half a year after the last sign-in.
pub(crate) const DEVICE_FOR: Duration = Duration::from_secs(180 * 24 * 3600);

/// Browser that has signed in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Device {
    /// Random id under which failures are counted.
    pub(crate) id: String,
    until: i64,
}

impl Device {
    /// Creates the device of a browser that signs in now.
    pub(crate) fn remember(random: [u8; 32], now: Timestamp) -> Self {
        let id = random[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        Self { id, until: (now + DEVICE_FOR).as_millis() }
    }

    /// Returns the cookie's value for this account.
    pub(crate) fn seal(&self, email: &Email, key: &Secret) -> String {
        let signature = self.mac(email, key).finalize().into_bytes();
        let signature: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{}.{}.{signature}", self.id, self.until)
    }

    /// Returns the device of a cookie if the cookie is authentic, for this account and not expired.
    pub(crate) fn open(cookie: &str, email: &Email, key: &Secret, now: Timestamp) -> Option<Self> {
        let (signed, signature) = cookie.rsplit_once('.')?;
        let (id, until) = signed.split_once('.')?;
        let device = Self { id: id.to_owned(), until: until.parse().ok()? };
        let bytes: Option<Vec<u8>> =
            (0..signature.len()).step_by(2).map(|at| u8::from_str_radix(signature.get(at..at + 2)?, 16).ok()).collect();
        device.mac(email, key).verify_slice(&bytes?).ok()?;
        (device.until > now.as_millis()).then_some(device)
    }

    /// Computes the signature. The signed text begins with its purpose, so that the key can also sign other things.
    fn mac(&self, email: &Email, key: &Secret) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(key.expose().as_bytes()).expect("HMAC takes a key of any length");
        mac.update(format!("browser that has signed in\n{}\n{}\n{email}", self.id, self.until).as_bytes());
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_cookie_is_valid_for_its_account_only() {
        let email = |text: &str| Email::parse(text).expect("an address");
        let (ada, key, now) = (email("ada@example.com"), Secret::new("a key"), Timestamp::from_millis(1_000_000_000_000));
        let cookie = Device::remember([7; 32], now).seal(&ada, &key);
        let open = |cookie: &str, email: &Email, key: &str, now| Device::open(cookie, email, &Secret::new(key), now);
        assert_eq!(open(&cookie, &ada, "a key", now).map(|device| device.id), Some("07".repeat(16)));
        assert_eq!(open(&cookie, &email("grace@example.com"), "a key", now), None);
        assert_eq!(open(&cookie, &ada, "another", now), None);
        assert_eq!(open(&cookie, &ada, "a key", now + DEVICE_FOR), None);
        for forged in ["", ".", "..", "a.b.c", &cookie[1..], &cookie[..cookie.len() - 2], &format!("{cookie}00"), &cookie.replace('.', "")]
        {
            assert_eq!(open(forged, &ada, "a key", now), None, "{forged}");
        }
    }
}
