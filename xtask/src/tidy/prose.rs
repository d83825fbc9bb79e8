//! Prose rules: doc blocks start with a noun or a verb, and no text uses a retired term.

/// Words that a doc block may not start with, because a noun says more (STYLE: Language).
const OPENERS: [&str; 7] = ["What", "Who", "Whoever", "Whatever", "It", "That", "Those"];

/// Retired terms, each with the term that replaces it.
const RETIRED: [(&str, &str); 9] = [
    ("owed", "pending"),
    ("somebody", "a user"),
    ("anybody", "any caller"),
    ("whoever", "the caller"),
    ("whomever", "the caller"),
    ("hungry", "needs refill"),
    ("forgetful", "non-durable"),
    ("platter", "simulated disk"),
    ("tries", "attempts"),
];

/// Returns the faults of one file.
pub(crate) fn check(name: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let mut is_in_block = false;
    for (number, line) in (1..).zip(text.lines()) {
        let doc = doc_of(line);
        if let Some(doc) = doc.filter(|_| !is_in_block)
            && let Some(opener) = OPENERS.iter().find(|opener| starts_with_word(doc, opener))
        {
            faults.push(format!("{name}:{number}: a doc block starts with {opener:?}; start with the noun"));
        }
        is_in_block = doc.is_some();
        for (term, instead) in RETIRED.iter().filter(|(term, _)| has_word(line, term)) {
            faults.push(format!("{name}:{number}: retired term {term:?}; write {instead:?}"));
        }
    }
    faults
}

/// Text of a doc comment line.
fn doc_of(line: &str) -> Option<&str> {
    let line = line.trim_start();
    line.strip_prefix("///").or_else(|| line.strip_prefix("//!")).map(str::trim_start)
}

fn starts_with_word(text: &str, word: &str) -> bool {
    text.strip_prefix(word).is_some_and(|rest| !rest.starts_with(|next: char| next.is_alphanumeric()))
}

/// Whether a line has a word, alone or as a part of an identifier.
fn has_word(line: &str, word: &str) -> bool {
    line.split(|c: char| !c.is_ascii_alphanumeric()).any(|part| part.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openers_are_refused_at_the_start_of_a_block_only() {
        let count = |text: &str| check("a.rs", text).len();
        assert_eq!(count("/// What is sent."), 1);
        assert_eq!(count("//! It sends."), 1);
        assert_eq!(count("/// Items to send."), 0);
        assert_eq!(count("/// Message to send.\n/// It has a body."), 0);
        assert_eq!(count("/// Message.\nfn a() {}\n/// Those that wait."), 1);
        assert_eq!(count("// What is sent."), 0);
    }

    #[test]
    fn retired_terms_are_refused_in_comments_and_identifiers() {
        let count = |text: &str| check("a.rs", text).len();
        assert_eq!(count("// It is owed."), 1);
        assert_eq!(count("fn make_owed() {}"), 1);
        assert_eq!(count("fn followed() {}"), 0);
    }
}
