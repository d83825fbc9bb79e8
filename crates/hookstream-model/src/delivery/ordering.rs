//! Order: whether an endpoint receives one message after the other, and how a failure affects the messages behind it.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use serde_json::value::RawValue;

use crate::{InvalidField, base::text::got};

/// Maximum length of a path to a key, in bytes.
pub const KEY_PATH_MAX: usize = 256;

/// Order in which an endpoint receives messages.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Ordering {
    /// No order: each message is sent as soon as possible.
    #[default]
    None,
    /// One message at a time, in the order of acceptance.
    Strict,
    /// Strict order among messages with the same key; different keys are sent in parallel.
    ByKey(KeyPath),
}

impl Ordering {
    /// Word in the API and in the store.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Strict => "strict",
            Self::ByKey(_) => "key",
        }
    }

    /// Returns the path of the key, if the order is by key.
    pub const fn key_path(&self) -> Option<&KeyPath> {
        match self {
            Self::ByKey(path) => Some(path),
            Self::None | Self::Strict => None,
        }
    }

    /// Builds an order from its word and, for `key`, the path.
    ///
    /// # Errors
    /// If the word is unknown, or the path is missing, superfluous or invalid.
    pub fn from_parts(word: &str, key_path: Option<&str>) -> Result<Self, InvalidField> {
        match (word, key_path) {
            ("none", None) => Ok(Self::None),
            ("strict", None) => Ok(Self::Strict),
            ("key", Some(path)) => KeyPath::parse(path).map(Self::ByKey),
            ("key", None) => {
                Err(InvalidField::new("ordering_key", "is required if `ordering` is `key`. Send a path such as $.customer.id"))
            }
            ("none" | "strict", Some(_)) => Err(InvalidField::new("ordering_key", "is allowed only if `ordering` is `key`. Leave it out")),
            _ => Err(InvalidField::new("ordering", format!("must be `none`, `strict` or `key`{}", got(word)))),
        }
    }
}

/// Effect of a failing message on the messages behind it in its backlog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnFailure {
    /// Messages behind it wait until it is delivered; when its schedule ends, it is retried at the schedule's last delay.
    #[default]
    Block,
    /// Messages behind it wait through its schedule; then it is exhausted and they proceed.
    Skip,
    /// The message leaves the backlog after its first failure and is retried separately; those behind it proceed.
    Park,
}

impl OnFailure {
    /// Word in the API and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Skip => "skip",
            Self::Park => "park",
        }
    }

    /// Parses the word.
    ///
    /// # Errors
    /// If the word is unknown.
    pub fn parse(word: &str) -> Result<Self, InvalidField> {
        match word {
            "block" => Ok(Self::Block),
            "skip" => Ok(Self::Skip),
            "park" => Ok(Self::Park),
            _ => Err(InvalidField::new("on_failure", format!("must be `block`, `skip` or `park`{}", got(word)))),
        }
    }
}

/// Path to a value in a JSON payload: `$`, then names after dots, or indexes and quoted names in brackets, as in
/// `$.order.lines[0]['sku']` (the singular queries of RFC 9535).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPath {
    text: String,
    steps: Vec<PathStep>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum PathStep {
    Name(String),
    Index(usize),
}

impl KeyPath {
    /// Parses a path.
    ///
    /// # Errors
    /// If the text is not a path, or longer than 256 bytes.
    pub fn parse(text: &str) -> Result<Self, InvalidField> {
        let refuse =
            || InvalidField::new("ordering_key", "must be a path such as $.customer.id or $.lines[0]['sku'], of at most 256 bytes");
        let mut rest = text.strip_prefix('$').filter(|_| text.len() <= KEY_PATH_MAX).ok_or_else(refuse)?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            let (step, remaining) = next_step(rest).ok_or_else(refuse)?;
            steps.push(step);
            rest = remaining;
        }
        if steps.is_empty() { Err(refuse()) } else { Ok(Self { text: text.to_owned(), steps }) }
    }

    /// Returns the JSON text of the value in a payload, or `None` if the payload has no such value.
    pub fn find<'a>(&self, payload: &'a [u8]) -> Option<&'a str> {
        let mut value: &RawValue = serde_json::from_slice(payload).ok()?;
        for step in &self.steps {
            value = match step {
                PathStep::Name(name) => {
                    let object: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(value.get()).ok()?;
                    *object.get(name.as_str())?
                }
                PathStep::Index(index) => {
                    let array: Vec<&RawValue> = serde_json::from_str(value.get()).ok()?;
                    array.get(*index)?
                }
            };
        }
        Some(value.get())
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn next_step(text: &str) -> Option<(PathStep, &str)> {
    if let Some(text) = text.strip_prefix('.') {
        let end = text.find(['.', '[']).unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        let is_plain = !name.is_empty() && !name.chars().any(|c| c.is_control() || c.is_whitespace() || "]'\"*?@$".contains(c));
        return is_plain.then(|| (PathStep::Name(name.to_owned()), rest));
    }
    let text = text.strip_prefix('[')?;
    if let Some(quote) = text.chars().next().filter(|c| matches!(c, '\'' | '"')) {
        let (name, rest) = text[1..].split_once(quote)?;
        let is_plain = !name.contains('\\') && !name.chars().any(char::is_control);
        return is_plain.then_some((PathStep::Name(name.to_owned()), rest.strip_prefix(']')?));
    }
    let (index, rest) = text.split_once(']')?;
    let is_number = !index.is_empty() && index.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| index.parse().ok()).flatten().map(|index| (PathStep::Index(index), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_finds_the_text_of_its_value() {
        let payload = r#"{"a": {"b": [ {"c": 1.0}, "x", null ], "d e": {"f":true} }, "g.h": 2, "dup": 1, "dup": 2}"#;
        let check = |path: &str, expected: Option<&str>| {
            assert_eq!(KeyPath::parse(path).expect(path).find(payload.as_bytes()), expected, "{path}");
        };
        check("$.a.b[0].c", Some("1.0"));
        check("$.a.b[1]", Some("\"x\""));
        check("$.a['b'][2]", Some("null"));
        check("$.a[\"d e\"].f", Some("true"));
        check("$['g.h']", Some("2"));
        check("$.dup", Some("2"));
        check("$.a.b[3]", None);
        check("$.a.b.c", None);
        check("$.a.b[0].c.d", None);
        check("$.nothing", None);
        assert_eq!(KeyPath::parse("$.a").expect("a path").find(b"not json"), None);
        assert_eq!(KeyPath::parse("$.a").expect("a path").find(b""), None);
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(KeyPath::parse("$[0]").expect("a path").find(deep.as_bytes()), Some(&deep[1..deep.len() - 1]), "however deep");
    }

    #[test]
    fn invalid_path_is_rejected() {
        let long = format!("$.{}", "a".repeat(KEY_PATH_MAX));
        for text in [
            "",
            "$",
            "a",
            "$a",
            "$.",
            "$..a",
            "$.a.",
            "$[",
            "$[]",
            "$[-1]",
            "$[a]",
            "$['a]",
            "$['a'",
            "$.*",
            "$[*]",
            "$[?(@.a)]",
            "$.a b",
            "$[99999999999999999999999]",
            "$['a\\u0041']",
            &long,
        ] {
            assert!(KeyPath::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn order_round_trips_through_its_parts() {
        for (word, path) in [("none", None), ("strict", None), ("key", Some("$.customer.id"))] {
            let order = Ordering::from_parts(word, path).expect("an order");
            assert_eq!((order.as_str(), order.key_path().map(ToString::to_string).as_deref()), (word, path));
        }
        for (word, path) in [("key", None), ("none", Some("$.a")), ("strict", Some("$.a")), ("fifo", None), ("key", Some("a"))] {
            assert!(Ordering::from_parts(word, path).is_err(), "{word} {path:?}");
        }
        for choice in [OnFailure::Block, OnFailure::Skip, OnFailure::Park] {
            assert_eq!(OnFailure::parse(choice.as_str()), Ok(choice));
        }
    }
}
