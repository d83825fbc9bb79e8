//! Rules for one-line text: names of organizations, applications, keys, devices.

use crate::InvalidField;

/// Checks a line: 1 to `most` characters, not only white space. Line separators, control characters and characters
/// that change the text direction are not allowed.
///
/// # Errors
/// Names the rule that is broken.
pub fn check_line(field: &'static str, text: &str, most: usize) -> Result<(), InvalidField> {
    if text.trim().is_empty() || text.chars().count() > most {
        return Err(InvalidField::new(field, format!("must have 1 to {most} characters")));
    }
    match text.chars().find(|c| c.is_control() || is_format(*c)) {
        Some(odd) => {
            let code = u32::from(odd);
            Err(InvalidField::new(
                field,
                format!("contains the invisible character U+{code:04X}; control and formatting characters are not allowed"),
            ))
        }
        None => Ok(()),
    }
}

/// Returns the end of an error text that repeats a rejected value, such as `; got "monthly"`. Empty if the value may
/// be a secret in the wrong field: secrets and passwords have at least 12 characters, and of that length only times
/// are repeated.
pub fn got(value: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.:+TZ".contains(&byte);
    let is_time =
        value.len() <= 32 && value.as_bytes().get(..5).is_some_and(|year| year[..4].iter().all(u8::is_ascii_digit) && year[4] == b'-');
    if (value.len() < 12 || is_time) && value.bytes().all(is_plain) { format!("; got {value:?}") } else { String::new() }
}

/// Returns true if a character separates lines or changes the direction of text (Unicode Standard Annex 9).
pub const fn is_format(c: char) -> bool {
    matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Returns true if mail programs would turn part of a text into a link: a scheme, or words joined by a dot.
pub fn has_link(text: &str) -> bool {
    let is_domain = |word: &str| {
        let mut parts = word.trim_matches(|c: char| !c.is_alphanumeric()).split('.').rev();
        let top = parts.next().unwrap_or_default();
        top.chars().count() >= 2 && top.chars().all(char::is_alphabetic) && parts.next().is_some_and(|name| !name.is_empty())
    };
    text.contains("://") || text.split(|c: char| c.is_whitespace() || "/:@,;()".contains(c)).any(is_domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejected_value_is_repeated_unless_it_may_be_a_secret() {
        assert_eq!(got("monthly"), "; got \"monthly\"");
        assert_eq!(got(""), "; got \"\"");
        assert_eq!(got("2027-01-31T12:00:00"), "; got \"2027-01-31T12:00:00\"");
        for hidden in ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZI", "secret-in-the-wrong-place", "plum teapot", "zw\u{f6}lf"] {
            assert_eq!(got(hidden), "", "{hidden}");
        }
    }

    #[test]
    fn line_has_no_invisible_characters() {
        for text in ["Acme", "ÄRGER GmbH", "株式会社", "a\u{200d}b", "👩‍💻"] {
            assert_eq!(check_line("name", text, 20), Ok(()), "{text}");
        }
        for text in ["", "  ", "a\nb", "a\u{1b}[31m", "a\u{9b}31m", "a\u{202e}b", "a\u{2028}b", "a\u{2066}b", &"x".repeat(21)] {
            assert!(check_line("name", text, 20).is_err(), "{text:?}");
        }
    }

    #[test]
    fn links_are_detected_as_mail_programs_do() {
        for text in
            ["see http://evil.example", "evil.example/verify", "Acme (evil.example)", "www.evil.example", "a@evil.example", "Booking.com"]
        {
            assert!(has_link(text), "{text}");
        }
        for text in ["Acme Inc.", "Version 1.2", "St. Gallen", "A.B.", "Acme...", "e.g. this"] {
            assert!(!has_link(text), "{text}");
        }
    }
}
