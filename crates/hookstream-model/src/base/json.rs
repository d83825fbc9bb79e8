//! Helpers for values that the API stores as JSON text.

use std::borrow::Cow;

use serde_json::value::RawValue;

/// Returns the JSON text of a value that may be sent natively (`{"a":1}`) or as text (`"{\"a\":1}"`). Strings are
/// decoded; any other value is returned as written.
///
/// # Errors
/// If the escapes of a string are not valid text (a lone surrogate).
pub fn text_of(raw: &RawValue) -> Result<Cow<'_, str>, serde_json::Error> {
    if raw.get().starts_with('"') { serde_json::from_str::<String>(raw.get()).map(Cow::Owned) } else { Ok(Cow::Borrowed(raw.get())) }
}

/// Returns true if `text` is exactly one JSON value.
pub fn is_json(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text).is_ok()
}
