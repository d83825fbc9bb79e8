//! Event types: the catalogue of what messages can be about, with an optional JSON Schema each.

use serde_json::Value;

use crate::{InvalidField, ids::EventTypeId, message::Payload, tenancy::Tenant, time::Timestamp};

/// The longest `name`, in characters.
pub const NAME_MAX: usize = 128;
/// The longest `json_schema`, in bytes.
pub const SCHEMA_MAX: usize = 64 * 1024;
/// The most violations that are told of one payload.
pub const VIOLATIONS_MAX: usize = 16;

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
            _ => Err(InvalidField::new("status", "must be `active` or `archived`")),
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

/// A JSON Schema, compiled. References to other documents are not followed.
#[derive(Debug)]
pub struct PayloadSchema(jsonschema::Validator);

/// One place of a payload that breaks its schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// JSON Pointer (RFC 6901) into the payload; empty for the payload as a whole.
    pub path: String,
    /// JSON Pointer into the schema: the rule that was broken.
    pub rule: String,
    /// What is wrong, in a sentence.
    pub message: String,
}

impl PayloadSchema {
    /// Compiles the text of a schema. The draft is the one that `$schema` names, else 2020-12.
    ///
    /// # Errors
    /// Where the text is not JSON, not a schema, too long, or refers to another document.
    pub fn compile(text: &str) -> Result<Self, InvalidField> {
        let refuse = |problem: String| InvalidField::new("json_schema", problem);
        if text.len() > SCHEMA_MAX {
            return Err(refuse(format!("must have at most {SCHEMA_MAX} bytes")));
        }
        let schema: Value = serde_json::from_str(text).map_err(|error| refuse(format!("must be the text of a JSON Schema: {error}")))?;
        if !schema.is_object() && !schema.is_boolean() {
            return Err(refuse("must be the text of a JSON Schema: an object or a boolean".to_owned()));
        }
        jsonschema::validator_for(&schema).map(Self).map_err(|error| refuse(format!("is not a valid JSON Schema: {error}")))
    }

    /// The first violations of `payload`, at most 16; none where it keeps the schema. A string payload
    /// that is no JSON is checked as the string it is.
    pub fn violations(&self, payload: &Payload) -> Vec<Violation> {
        let text = payload.as_text();
        let value = serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()));
        self.0
            .iter_errors(&value)
            .take(VIOLATIONS_MAX)
            .map(|error| Violation {
                path: error.instance_path().to_string(),
                rule: error.schema_path().to_string(),
                message: shorten(&error.masked_with("the value").to_string()),
            })
            .collect()
    }
}

/// Messages quote the schema, and never the payload; a long quotation helps nobody.
fn shorten(message: &str) -> String {
    const MAX: usize = 300;
    match message.char_indices().nth(MAX) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::ContentType;

    fn payload(body: &'static str) -> Payload {
        Payload { body: body.into(), content_type: ContentType::Json }
    }

    #[test]
    fn names_are_words_joined_by_dots() {
        for name in ["invoice.paid", "user", "a.b-c_d.2"] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        for name in ["", ".", "a.", ".a", "a..b", "a b", "a/b", "ä", &"x".repeat(129)] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_violation_names_the_path_and_the_rule() {
        let schema =
            PayloadSchema::compile(r#"{"type":"object","properties":{"amount":{"type":"integer"}},"required":["id"]}"#).expect("a schema");
        assert_eq!(schema.violations(&payload(r#"{"id": 1, "amount": 2}"#)), []);
        let found = schema.violations(&payload(r#"{"amount": "much"}"#));
        let places: Vec<_> = found.iter().map(|v| (v.path.as_str(), v.rule.as_str())).collect();
        assert_eq!(places.len(), 2);
        assert!(places.contains(&("/amount", "/properties/amount/type")), "{found:?}");
        assert!(places.contains(&("", "/required")), "{found:?}");
        assert_eq!(schema.violations(&payload("plain text"))[0].rule, "/type");
    }

    #[test]
    fn a_violation_says_nothing_of_what_the_payload_holds() {
        let schema =
            r#"{"properties":{"a":{"type":"integer"},"b":{"pattern":"^x"},"c":{"enum":[1,2]},"d":{"maxLength":3},"e":{"const":5}}}"#;
        let schema = PayloadSchema::compile(schema).expect("a schema");
        let found = schema.violations(&payload(r#"{"a":"hunter2","b":"hunter2","c":"hunter2","d":"hunter2","e":{"f":"hunter2"}}"#));
        assert_eq!(found.len(), 5, "{found:?}");
        assert!(!format!("{found:?}").contains("hunter2"), "{found:?}");
        assert_eq!(found[0].message, r#"the value is not of type "integer""#);
    }

    #[test]
    fn what_is_no_schema_is_refused() {
        for text in ["", "[]", "5", "{", r#"{"type":"strin"}"#, r#"{"$ref":"https://example.com/schema.json"}"#] {
            assert!(PayloadSchema::compile(text).is_err(), "{text}");
        }
    }
}
