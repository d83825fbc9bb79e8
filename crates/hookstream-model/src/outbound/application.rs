//! Applications: one for each customer of the product that sends.

use crate::{
    InvalidField,
    base::{
        ids::ApplicationId,
        text::{check_line, got},
        time::Timestamp,
    },
    identity::tenancy::Tenant,
};

/// The longest `name`, in characters.
pub const NAME_MAX: usize = 255;
/// The longest `uid`, in characters.
pub const UID_MAX: usize = 255;
/// The longest `description`, in characters.
pub const DESCRIPTION_MAX: usize = 4096;
/// The longest `metadata`, in bytes of JSON.
pub const METADATA_MAX: usize = 16 * 1024;

/// One customer of the product that sends: it owns endpoints and receives messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Application {
    /// Its id.
    pub id: ApplicationId,
    /// Whose it is.
    pub tenant: Tenant,
    /// A name for people.
    pub name: String,
    /// The product's own id of the customer, unique in the environment.
    pub uid: Option<String>,
    /// A note for people.
    pub description: Option<String>,
    /// JSON text of an object, kept for the product and not read here.
    pub metadata: Option<String>,
    /// Whether messages are accepted.
    pub status: ApplicationStatus,
    /// Deliveries per second over all its endpoints; `None` and `0` mean no limit.
    pub rate_limit: Option<u32>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// Whether an application takes messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApplicationStatus {
    /// It does.
    Active,
    /// Messages to it are refused.
    Disabled,
}

impl ApplicationStatus {
    /// Its word in the API and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
        }
    }

    /// Reads the word.
    ///
    /// # Errors
    /// For any other word.
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
/// Says which of these it breaks.
pub fn check_name(name: &str) -> Result<(), InvalidField> {
    check_line("name", name, NAME_MAX)
}

/// Checks a `uid`: 1 to 255 ASCII letters, digits and `. _ - ~ : @ +`, so that it can stand in a path.
///
/// # Errors
/// Says which of these it breaks.
pub fn check_uid(uid: &str) -> Result<(), InvalidField> {
    if uid.is_empty() || uid.len() > UID_MAX {
        return Err(InvalidField::new("uid", format!("must have 1 to {UID_MAX} characters; got {}", uid.chars().count())));
    }
    match uid.chars().find(|c| !c.is_ascii_alphanumeric() && !"._-~:@+".contains(*c)) {
        Some(odd) => Err(InvalidField::new("uid", format!("contains {odd:?}; only letters, digits and . _ - ~ : @ + are allowed"))),
        None => Ok(()),
    }
}

/// Checks a `description`: at most 4,096 characters, control characters only for lines and tabs.
///
/// # Errors
/// Says which of these it breaks.
pub fn check_description(description: &str) -> Result<(), InvalidField> {
    if description.chars().count() > DESCRIPTION_MAX {
        return Err(InvalidField::new("description", format!("must have at most {DESCRIPTION_MAX} characters")));
    }
    // Not every database can keep a NUL in a text.
    if description.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        return Err(InvalidField::new("description", "must not contain control characters other than line breaks and tabs"));
    }
    Ok(())
}

/// Checks `metadata`: the JSON text of an object of at most 16 KiB.
///
/// # Errors
/// Says which of these it breaks.
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
    fn a_uid_can_stand_in_a_path() {
        for uid in ["my-saas-app", "customer:42", "a@b.example", "0"] {
            assert_eq!(check_uid(uid), Ok(()), "{uid}");
        }
        for uid in ["", "a/b", "a b", "ä", "a?b", "a#b", &"x".repeat(256)] {
            assert!(check_uid(uid).is_err(), "{uid}");
        }
    }

    #[test]
    fn metadata_is_an_object() {
        assert_eq!(check_metadata(r#"{"plan":"pro"}"#), Ok(()));
        for json in ["[]", "null", "{", "\"{}\"", &format!("{{\"a\":\"{}\"}}", "x".repeat(METADATA_MAX))] {
            assert!(check_metadata(json).is_err(), "{}", &json[..json.len().min(20)]);
        }
    }

    #[test]
    fn a_description_has_lines_and_no_other_control_characters() {
        assert_eq!(check_description("two\nlines,\tindented"), Ok(()));
        for description in ["a\0b", "\u{7f}", &"x".repeat(DESCRIPTION_MAX + 1)] {
            assert!(check_description(description).is_err(), "{description:?}");
        }
    }

    #[test]
    fn a_name_is_a_line_of_text() {
        assert_eq!(check_name("Acme GmbH & Söhne"), Ok(()));
        for name in ["", "   ", "a\nb", &"x".repeat(256)] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
