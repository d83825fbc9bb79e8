//! Words of a message's text, and the query that asks for them.
//!
//! A word is a run of letters, digits and `_`, in lower case. Both databases index exactly these words, and a query is
//! made of them only: no syntax of a full-text engine can enter it.

use std::{borrow::Cow, collections::BTreeSet};

use crate::InvalidField;

/// Minimum length of an indexed word, in characters.
const WORD_MIN: usize = 2;
/// Maximum length of a word, in characters. Longer words count by their beginning: 64 hexadecimal characters are a hash.
const WORD_MAX: usize = 64;
/// Minimum length of the beginning of a word, in characters. Shorter ones would match too many words.
const PREFIX_MIN: usize = 3;
/// Maximum number of different words of a message; further ones are not found.
pub const WORDS_OF_MESSAGE: usize = 512;
/// Maximum size of the indexed beginning of a payload, in bytes.
pub const TEXT_INDEXED: usize = 64 * 1024;
/// Maximum number of words of a query.
pub const QUERY_WORDS: usize = 8;
/// Maximum length of a query, in characters.
pub const QUERY_MAX: usize = 256;

/// Collects the different words of a message's texts, up to [`WORDS_OF_MESSAGE`].
#[derive(Debug, Default)]
pub struct Words(BTreeSet<String>);

impl Words {
    /// Adds the words of a text as it is.
    pub fn add(&mut self, text: &str) {
        for word in split(text).map(normal).filter(|word| is_indexed(word)) {
            if self.0.len() >= WORDS_OF_MESSAGE {
                return;
            }
            self.0.insert(word);
        }
    }

    /// Adds the words of a payload: JSON, whose escapes are undone, or text.
    pub fn add_payload(&mut self, payload: &str) {
        let mut end = payload.len().min(TEXT_INDEXED);
        while !payload.is_char_boundary(end) {
            end -= 1;
        }
        self.add(&unescaped(&payload[..end]));
    }

    /// Returns the words, separated by spaces.
    pub fn joined(&self) -> String {
        self.0.iter().map(String::as_str).collect::<Vec<_>>().join(" ")
    }
}

/// Query for messages that contain all of some words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextQuery(Vec<QueryWord>);

/// Word of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryWord {
    text: String,
    is_prefix: bool,
}

impl QueryWord {
    /// Returns the word: letters, digits and `_` only.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns whether longer words that begin with it match too.
    pub const fn is_prefix(&self) -> bool {
        self.is_prefix
    }
}

impl TextQuery {
    /// Reads a query: words, of which one with `*` at its end is the beginning of a word. Returns `None` if the text has
    /// no word that is indexed.
    ///
    /// # Errors
    /// Fails if the text is too long, has too many words, or the beginning of a word is too short.
    pub fn parse(text: &str) -> Result<Option<Self>, InvalidField> {
        if text.chars().count() > QUERY_MAX {
            return Err(InvalidField::new("search", format!("must have at most {QUERY_MAX} characters")));
        }
        let mut words: Vec<QueryWord> = Vec::new();
        for word in split(text) {
            let end = word.as_ptr() as usize - text.as_ptr() as usize + word.len();
            let is_prefix = text[end..].starts_with('*');
            let length = word.chars().count();
            if is_prefix && length < PREFIX_MIN {
                let problem = format!("has `{word}*`; the beginning of a word needs at least {PREFIX_MIN} characters before the `*`");
                return Err(InvalidField::new("search", problem));
            }
            let word = QueryWord { text: normal(word), is_prefix };
            if is_indexed(&word.text) && !words.contains(&word) {
                words.push(word);
            }
        }
        if words.len() > QUERY_WORDS {
            return Err(InvalidField::new("search", format!("has {} words; at most {QUERY_WORDS} are allowed", words.len())));
        }
        Ok((!words.is_empty()).then_some(Self(words)))
    }

    /// Returns the words.
    pub fn words(&self) -> &[QueryWord] {
        &self.0
    }
}

/// Returns the runs of letters, digits and `_`.
fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// Returns whether a word is long enough for the index.
fn is_indexed(word: &str) -> bool {
    word.chars().nth(WORD_MIN - 1).is_some()
}

/// Returns the indexed form of a word. Lower case may consist of several characters, of which only letters, digits and
/// `_` are kept.
fn normal(word: &str) -> String {
    word.chars().flat_map(char::to_lowercase).filter(|c| c.is_alphanumeric() || *c == '_').take(WORD_MAX).collect()
}

/// Returns a text with the escapes of JSON strings undone. A text that is not JSON changes only where it has backslashes.
fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(place) = rest.find('\\') {
        result.push_str(&rest[..place]);
        let after = &rest[place + 1..];
        rest = match after.strip_prefix('u').and_then(code_point) {
            Some((c, rest)) => {
                result.push(c);
                rest
            }
            None => {
                // Escaped control characters, quotes and slashes separate words.
                result.push(' ');
                let mut skipped = after.chars();
                skipped.next();
                skipped.as_str()
            }
        };
    }
    result.push_str(rest);
    Cow::Owned(result)
}

/// Reads the character of `XXXX` or of `XXXX\uXXXX`, a pair of surrogates (RFC 8259 section 7), and the text behind it.
fn code_point(text: &str) -> Option<(char, &str)> {
    let unit =
        |text: &str| Some((u16::from_str_radix(text.get(..4)?, 16).ok()?, text.get(4..)?)).map(|(unit, rest): (u16, _)| (unit, rest.len()));
    let (first, left) = unit(text)?;
    let rest = &text[text.len() - left..];
    if let Some(c) = char::from_u32(u32::from(first)) {
        return Some((c, rest));
    }
    let tail = rest.strip_prefix("\\u")?;
    let (second, left) = unit(tail)?;
    let c = char::decode_utf16([first, second]).next()?.ok()?;
    Some((c, &tail[tail.len() - left..]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words_of(payload: &str) -> String {
        let mut words = Words::default();
        words.add_payload(payload);
        words.joined()
    }

    #[test]
    fn words_of_json_are_runs_of_letters_and_digits() {
        let check = |payload: &str, expected: &str| assert_eq!(words_of(payload), expected, "{payload}");
        check(r#"{"invoice_id":42,"to":"Ada.Lovelace@example.com"}"#, "42 ada com example invoice_id lovelace to");
        check(r#"{"a":"x","note":"caf\u00e9\nÉTÉ \"big\" 3.50"}"#, "50 big café note été");
        check(r#"["\ud83d\ude00go","\ud83d","a\\nb_c"]"#, "d83d go nb_c");
        check("plain text, not JSON: C:\\temp", "emp json not plain text");
        check("", "");
    }

    #[test]
    fn words_are_bounded_in_length_and_number() {
        let long = "x".repeat(1_000);
        assert_eq!(words_of(&long).len(), WORD_MAX);
        let many = (0..10_000).map(|number| format!("w{number} ")).collect::<String>();
        assert_eq!(words_of(&many).split(' ').count(), WORDS_OF_MESSAGE);
        let far = format!("{} needle", "ä ".repeat(TEXT_INDEXED));
        assert_eq!(words_of(&far), "");
    }

    #[test]
    fn query_consists_of_words() {
        let check = |text: &str, expected: &[(&str, bool)]| {
            let query = TextQuery::parse(text).expect("a query");
            let words: Vec<_> = query.iter().flat_map(TextQuery::words).map(|word| (word.as_str(), word.is_prefix())).collect();
            assert_eq!(words, expected, "{text}");
        };
        check("Ada@Example.com", &[("ada", false), ("example", false), ("com", false)]);
        check("inv* 42 42", &[("inv", true), ("42", false)]);
        check("a \" ' b", &[]);
        check("\"x\" OR id:* NEAR(a,b) -- ;", &[("or", false), ("id", false), ("near", false)]);
        check("", &[]);
        let longest = "x".repeat(QUERY_MAX);
        check(&longest, &[(&longest[..WORD_MAX], false)]);
    }

    #[test]
    fn query_with_too_much_is_refused() {
        for text in ["x".repeat(QUERY_MAX + 1), "w1 w2 w3 w4 w5 w6 w7 w8 w9".to_owned(), "in*".to_owned(), "a*".to_owned()] {
            let problem = TextQuery::parse(&text).expect_err(&text).to_string();
            assert!(problem.starts_with("`search` "), "{problem}");
        }
        assert!(TextQuery::parse("w1 w2 w3 w4 w5 w6 w7 w8").is_ok());
    }

    proptest! {
        #[test]
        fn every_word_of_a_text_is_found_by_its_query(text in "\\PC{0,80}") {
            let mut words = Words::default();
            words.add(&text);
            let indexed = words.joined();
            for query in text.split_whitespace().filter_map(|part| TextQuery::parse(&part.replace('*', " ")).ok().flatten()) {
                for word in query.words() {
                    prop_assert!(indexed.split(' ').any(|known| known == word.as_str()), "{word:?} in {indexed:?}");
                    prop_assert!(word.as_str().chars().all(|c| c.is_alphanumeric() || c == '_'));
                }
            }
        }

        #[test]
        fn no_payload_panics(payload in "(\\\\u[0-9a-fD]{0,5}|\\\\|\\PC){0,30}") {
            words_of(&payload);
        }
    }
}
