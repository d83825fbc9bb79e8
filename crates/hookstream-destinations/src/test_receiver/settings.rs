//! Settings of a test receiver.

use std::{ops::RangeInclusive, time::Duration};

use hookstream_model::InvalidField;

use crate::Settings;

/// Statuses that a receiver can respond with: final ones (RFC 9110 section 15).
pub const STATUSES: RangeInclusive<u16> = 200..=599;
/// Delays of a response, in milliseconds.
pub const DELAYS_MS: RangeInclusive<u32> = 0..=60_000;
/// Names of the settings.
const FIELDS: [&str; 2] = ["status", "delay_ms"];

/// Behaviour of a test receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Behaviour {
    /// Status of the response.
    pub(super) status: u16,
    /// Mean delay of the response.
    delay: Duration,
}

impl Behaviour {
    /// Reads the settings of an endpoint.
    pub(super) fn read(settings: &Settings<'_>) -> Result<Self, InvalidField> {
        let Some(config) = settings.config else { return Ok(Self { status: 200, delay: Duration::ZERO }) };
        if let Some(odd) = config.fields().find(|field| !FIELDS.contains(field)) {
            let name: String = odd.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(40).collect();
            return Err(InvalidField::new(
                "config",
                format!("has the unknown field `{name}`; a test receiver has `status` and `delay_ms`"),
            ));
        }
        let status = number(config.get("status"), 200, &STATUSES)
            .ok_or_else(|| InvalidField::new("config.status", "must be a status code from 200 to 599, as text"))?;
        let delay = number(config.get("delay_ms"), 0, &DELAYS_MS)
            .ok_or_else(|| InvalidField::new("config.delay_ms", "must be from 0 to 60000 milliseconds, as text"))?;
        Ok(Self { status, delay: Duration::from_millis(delay.into()) })
    }

    /// Returns the delay for a message: the mean, and up to half of it more or less, by the message's id.
    pub(super) fn delay_of(self, id: &str) -> Duration {
        let hash = id.bytes().fold(0_u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(u32::from(byte)));
        self.delay / 2 + self.delay * (hash % 1000) / 1000
    }
}

fn number<T: std::str::FromStr + PartialOrd>(text: Option<&str>, default: T, allowed: &RangeInclusive<T>) -> Option<T> {
    text.map_or(Some(default), |text| text.parse().ok().filter(|number| allowed.contains(number)))
}
