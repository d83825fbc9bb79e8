//! Helpers for values that the API keeps as JSON text.

use std::borrow::Cow;

use serde_json::value::RawValue;

/// The text that a JSON value stands for where both forms are accepted on input: the native form
/// (`{"a":1}`) and the text form (`"{\"a\":1}"`). Strings are decoded, anything else is as written.
///
/// # Errors
/// Where a string's escapes do not stand for text (a lone surrogate).
pub fn text_of(raw: &RawValue) -> Result<Cow<'_, str>, serde_json::Error> {
    if raw.get().starts_with('"') { serde_json::from_str::<String>(raw.get()).map(Cow::Owned) } else { Ok(Cow::Borrowed(raw.get())) }
}

/// Whether `text` is JSON from its first to its last character.
pub fn is_json(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text).is_ok()
}
