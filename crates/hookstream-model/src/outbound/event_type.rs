//! Event types: the catalogue of what messages can be about, with an optional JSON Schema each.

use crate::{
    InvalidField,
    base::{ids::EventTypeId, text::got, time::Timestamp},
    identity::tenancy::Tenant,
};

/// The longest `name`, in characters.
pub const NAME_MAX: usize = 128;

/// An entry of an environment's catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventType {
    /// Its id.
    pub id: EventTypeId,
    /// Whose it is.
    pub tenant: Tenant,
    /// Its name in dot notation, unique in the environment.
    pub name: String,
    /// A note for people.
    pub description: Option<String>,
    /// The text of the JSON Schema that payloads must keep.
    pub json_schema: Option<String>,
    /// Whether it is offered; an archived one checks nothing.
    pub status: EventTypeStatus,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// Whether an event type is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventTypeStatus {
    /// It is.
    Active,
    /// It is kept for what was sent; its schema is no longer enforced.
    Archived,
}

impl EventTypeStatus {
    /// Its word in the API and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Archived => "archived",
        }
    }

    /// Reads the word.
    ///
    /// # Errors
    /// For any other word.
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
/// Says which of these it breaks, about a field called `name`.
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
/// Says what the entry must be, to be read after it.
pub fn check_pattern(pattern: &str) -> Result<(), &'static str> {
    let name = pattern.strip_suffix(".*").unwrap_or(pattern);
    if pattern == "*" || check_name(name).is_ok() {
        Ok(())
    } else {
        Err("must be a name such as invoice.paid, a prefix such as invoice.*, or *")
    }
}

/// Whether a name is meant by an entry of a filter: itself, `prefix.*` for what begins with `prefix.`, or `*`.
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
