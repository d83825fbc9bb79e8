//! Users: email addresses, names and password lengths.

use std::fmt;

use crate::{
    InvalidField,
    base::{ids::UserId, text::check_line, time::Timestamp},
};

/// Maximum length of an address (RFC 5321 section 4.5.3.1.3, without the brackets).
const EMAIL_MAX: usize = 254;
/// Maximum length of a name, in characters.
const NAME_MAX: usize = 255;
/// Minimum length of a password, in characters.
pub const PASSWORD_MIN: usize = 12;
/// Maximum length of a password, in bytes: long enough for any sentence, short enough to hash quickly.
const PASSWORD_MAX: usize = 512;

/// Email address in lower case; it identifies a user.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Email(String);

impl Email {
    /// Parses an address. Whether mail can be delivered to it is not checked.
    ///
    /// # Errors
    /// If the text is not an address: one `@` with a local part before it and a host name after it.
    pub fn parse(text: &str) -> Result<Self, InvalidField> {
        let text = text.trim();
        let is_host = |host: &str| {
            host.contains('.') && host.split('.').all(|label| !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-'))
        };
        let is_local = |local: &str| !local.is_empty() && local.len() <= 64;
        let is_plain = text.len() <= EMAIL_MAX && !text.chars().any(|c| c.is_whitespace() || c.is_control() || "<>(),;:\\\"[]".contains(c));
        match text.split_once('@') {
            Some((local, host)) if is_plain && is_local(local) && is_host(host) => Ok(Self(text.to_lowercase())),
            Some(_) | None => Err(InvalidField::new("email", "must be an email address such as ada@example.com")),
        }
    }

    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// User who can sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Unique id.
    pub id: UserId,
    /// Email address.
    pub email: Email,
    /// Display name.
    pub name: String,
    /// Time of creation.
    pub created_at: Timestamp,
}

/// Checks the name of a user, an organization or a device: one line of 1 to 255 characters.
///
/// # Errors
/// Names the rule that is broken.
pub fn check_name(name: &str) -> Result<(), InvalidField> {
    check_line("name", name, NAME_MAX)
}

/// Checks the length of a new password. Its strength is checked by
/// [`password::check`](crate::identity::password::check).
///
/// # Errors
/// Names the allowed length.
pub fn check_password_length(field: &'static str, password: &str) -> Result<(), InvalidField> {
    if password.chars().count() < PASSWORD_MIN {
        return Err(InvalidField::new(
            field,
            format!("is too short: at least {PASSWORD_MIN} characters are required. Try a short sentence"),
        ));
    }
    if password.len() > PASSWORD_MAX {
        return Err(InvalidField::new(field, format!("is too long: at most {PASSWORD_MAX} bytes are allowed")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_compared_case_insensitively() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(Email::parse(text).ok().as_ref().map(Email::as_str), expected, "{text}");
        };
        check("Ada@Example.COM", Some("ada@example.com"));
        check(" ada+hooks@mail.example.com ", Some("ada+hooks@mail.example.com"));
        check("ädä@exämple.com", Some("ädä@exämple.com"));
        for text in ["", "ada", "@example.com", "ada@", "ada@localhost", "ada@@example.com", "a b@example.com", "ada@example..com"] {
            check(text, None);
        }
        check("ada@example.com\r\nBcc: all@example.com", None);
        check(&format!("{}@example.com", "a".repeat(65)), None);
        check(&format!("a@{}.com", "b".repeat(250)), None);
    }

    #[test]
    fn password_length_is_limited() {
        let is_good = |password: &str| check_password_length("password", password).is_ok();
        assert!(!is_good("") && !is_good("elevenchars") && is_good("twelve chars") && is_good("zwölf Zeichn"));
        assert!(is_good(&"x".repeat(512)) && !is_good(&"x".repeat(513)));
    }
}
