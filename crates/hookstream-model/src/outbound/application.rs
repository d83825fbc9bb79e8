//! Applications: one for each customer of the sending product.

use crate::{
    InvalidField,
    base::{
        ids::ApplicationId,
        text::{check_line, got},
        time::Timestamp,
    },
    identity::{portal::PortalTheme, tenancy::Tenant},
};

/// Maximum length of `name`, in characters.
pub const NAME_MAX: usize = 255;
/// Maximum length of `uid`, in characters.
pub const UID_MAX: usize = 255;
/// Maximum length of `description`, in characters.
pub const DESCRIPTION_MAX: usize = 4096;
/// Maximum length of `metadata`, in bytes of JSON.
pub const METADATA_MAX: usize = 16 * 1024;

/// One customer of the sending product: it owns endpoints and receives messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Application {
    /// Unique id.
    pub id: ApplicationId,
    /// Tenant that owns it.
    pub tenant: Tenant,
    /// Display name.
    pub name: String,
    /// Customer id in the sending product, unique in the environment.
    pub uid: Option<String>,
    /// Free text for people.
    pub description: Option<String>,
    /// JSON text of an object; Hookstream stores it for the product and does not interpret it.
    pub metadata: Option<String>,
    /// State: whether messages are accepted.
    pub status: ApplicationStatus,
    /// Limit in deliveries per second over all its endpoints; `None` and `0` mean no limit.
    pub rate_limit: Option<u32>,
    /// Appearance of the portal; fields without a value are those of the environment.
    pub portal_theme: Option<PortalTheme>,
    /// Time of creation.
    pub created_at: Timestamp,
    /// Time of the last change.
    pub updated_at: Timestamp,
}

/// State of an application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApplicationStatus {
    /// Messages are accepted.
    Active,
    /// Messages are rejected.
    Disabled,
}

impl ApplicationStatus {
    /// Word in the API and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
        }
    }

    /// Parses the word.
    ///
    /// # Errors
    /// If the word is unknown.
    pub fn parse(word: &str) -> Result<Self, InvalidField> {
        match word {
            "active" => Ok(Self::Active),
            "disabled" => Ok(Self::Disabled),
            _ => Err(InvalidField::new("status", format!("must be `active` or `disabled`{}", got(word)))),
        }
    }
}

/// Checks a `name`: 1 to 255 characters, not only white space, no control characters.
///
/// # Errors
/// Names the rule that is broken.
pub fn check_name(name: &str) -> Result<(), InvalidField> {
    check_line("name", name, NAME_MAX)
}

/// Checks a `uid`: 1 to 255 ASCII letters, digits and `. _ - ~ : @ +`, so that it can be part of a URL path.
///
/// # Errors
/// Names the rule that is broken.
pub fn check_uid(uid: &str) -> Result<(), InvalidField> {
    if uid.is_empty() || uid.len() > UID_MAX {
        return Err(InvalidField::new("uid", format!("must have 1 to {UID_MAX} characters; got {}", uid.chars().count())));
    }
    match uid.chars().find(|c| !c.is_ascii_alphanumeric() && !"._-~:@+".contains(*c)) {
        Some(odd) => Err(InvalidField::new("uid", format!("contains {odd:?}; only letters, digits and . _ - ~ : @ + are allowed"))),
        None => Ok(()),
    }
}

/// Checks a `description`: at most 4,096 characters; the only control characters allowed are line breaks and tabs.
///
/// # Errors
/// Names the rule that is broken.
pub fn check_description(description: &str) -> Result<(), InvalidField> {
    if description.chars().count() > DESCRIPTION_MAX {
        return Err(InvalidField::new("description", format!("must have at most {DESCRIPTION_MAX} characters")));
    }
    // Not every database can store a NUL in a text.
    if description.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        return Err(InvalidField::new("description", "must not contain control characters other than line breaks and tabs"));
    }
    Ok(())
}

/// Checks `metadata`: the JSON text of an object of at most 16 KiB.
///
/// # Errors
/// Names the rule that is broken.
pub fn check_metadata(json: &str) -> Result<(), InvalidField> {
    if json.len() > METADATA_MAX {
        return Err(InvalidField::new("metadata", format!("must have at most {METADATA_MAX} bytes")));
    }
    match serde_json::from_str::<serde_json::Value>(json) {
        Ok(value) if value.is_object() => Ok(()),
        Ok(_) | Err(_) => Err(InvalidField::new("metadata", "must be a JSON object, or the JSON text of one")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uid_is_safe_in_a_url_path() {
        for uid in ["my-saas-app", "customer:42", "a@b.example", "0"] {
            assert_eq!(check_uid(uid), Ok(()), "{uid}");
        }
        for uid in ["", "a/b", "a b", "ä", "a?b", "a#b", &"x".repeat(256)] {
            assert!(check_uid(uid).is_err(), "{uid}");
        }
    }

    #[test]
    fn metadata_must_be_an_object() {
        assert_eq!(check_metadata(r#"{"plan":"pro"}"#), Ok(()));
        for json in ["[]", "null", "{", "\"{}\"", &format!("{{\"a\":\"{}\"}}", "x".repeat(METADATA_MAX))] {
            assert!(check_metadata(json).is_err(), "{}", &json[..json.len().min(20)]);
        }
    }

    #[test]
    fn description_allows_only_line_breaks_and_tabs() {
        assert_eq!(check_description("two\nlines,\tindented"), Ok(()));
        for description in ["a\0b", "\u{7f}", &"x".repeat(DESCRIPTION_MAX + 1)] {
            assert!(check_description(description).is_err(), "{description:?}");
        }
    }

    #[test]
    fn name_is_one_line_of_text() {
        assert_eq!(check_name("Acme GmbH & Söhne"), Ok(()));
        for name in ["", "   ", "a\nb", &"x".repeat(256)] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
