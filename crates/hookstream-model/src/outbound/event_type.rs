//! Event types: an environment's catalogue of message types, each with an optional JSON Schema.

use crate::{
    InvalidField,
    base::{ids::EventTypeId, text::got, time::Timestamp},
    identity::tenancy::Tenant,
};

/// Maximum length of `name`, in characters.
pub const NAME_MAX: usize = 128;

/// Entry of an environment's event type catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventType {
    /// Unique id.
    pub id: EventTypeId,
    /// Tenant that owns it.
    pub tenant: Tenant,
    /// Name in dot notation, unique in the environment.
    pub name: String,
    /// Free text for people.
    pub description: Option<String>,
    /// JSON Schema text that payloads must conform to.
    pub json_schema: Option<String>,
    /// State; the schema of an archived type is not enforced.
    pub status: EventTypeStatus,
    /// Time of creation.
    pub created_at: Timestamp,
    /// Time of the last change.
    pub updated_at: Timestamp,
}

/// State of an event type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventTypeStatus {
    /// The type is in use.
    Active,
    /// The type is kept for the messages already sent; its schema is no longer enforced.
    Archived,
}

impl EventTypeStatus {
    /// Word in the API and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Archived => "archived",
        }
    }

    /// Parses the word.
    ///
    /// # Errors
    /// If the word is unknown.
    pub fn parse(word: &str) -> Result<Self, InvalidField> {
        match word {
            "active" => Ok(Self::Active),
            "archived" => Ok(Self::Archived),
            _ => Err(InvalidField::new("status", format!("must be `active` or `archived`{}", got(word)))),
        }
    }
}

/// Checks an event type's name: words of letters, digits, `_` and `-`, joined by dots, at most 128
/// characters.
///
/// # Errors
/// Names the rule that is broken, for a field called `name`.
pub fn check_name(name: &str) -> Result<(), InvalidField> {
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if name.len() > NAME_MAX || !name.split('.').all(is_word) {
        return Err(InvalidField::new(
            "name",
            format!("must be words of letters, digits, _ and - joined by dots, such as invoice.paid, at most {NAME_MAX} characters"),
        ));
    }
    Ok(())
}

/// Checks an entry of a filter: an event type's name, `prefix.*` or `*`.
///
/// # Errors
/// Returns a clause that says how an entry must be; the caller puts it after the entry.
pub fn check_pattern(pattern: &str) -> Result<(), &'static str> {
    let name = pattern.strip_suffix(".*").unwrap_or(pattern);
    if pattern == "*" || check_name(name).is_ok() {
        Ok(())
    } else {
        Err("must be a name such as invoice.paid, a prefix such as invoice.*, or *")
    }
}

/// Returns true if a filter entry matches a name: the same name, `prefix.*` for names that begin with `prefix.`, or
/// `*`.
pub fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        None => pattern == name,
        Some(prefix) => name.starts_with(prefix),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_words_joined_by_dots() {
        for name in ["invoice.paid", "user", "a.b-c_d.2"] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        for name in ["", ".", "a.", ".a", "a..b", "a b", "a/b", "ä", &"x".repeat(129)] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
