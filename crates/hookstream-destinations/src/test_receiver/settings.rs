//! Settings of a test receiver.

use std::ops::RangeInclusive;

use hookstream_model::InvalidField;

use crate::Settings;

/// Statuses that a receiver can respond with: final ones (RFC 9110 section 15).
const STATUSES: RangeInclusive<u16> = 200..=599;
/// Status without a setting.
const DEFAULT: u16 = 200;

/// Returns the status of the response.
pub(super) fn status(settings: &Settings<'_>) -> Result<u16, InvalidField> {
    if let Some(odd) = settings.config.and_then(|config| config.fields().find(|field| *field != "status")) {
        let name: String = odd.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(40).collect();
        return Err(InvalidField::new("config", format!("has the unknown field `{name}`; a test receiver has `status` only")));
    }
    let Some(text) = settings.config.and_then(|config| config.get("status")) else { return Ok(DEFAULT) };
    let problem = || format!("must be a status code from {} to {}, as text", STATUSES.start(), STATUSES.end());
    let status = text.parse().ok().filter(|status| STATUSES.contains(status));
    status.ok_or_else(|| InvalidField::new("config.status", problem()))
}
