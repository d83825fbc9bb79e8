//! Text in the limits and the notation of services.

/// Returns the first characters of a text, at most `most`, with an ellipsis if some are left out.
pub(super) fn short(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// Escapes the characters that HTML, and the notations of Slack and Telegram, give a meaning.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            _ => escaped.push(c),
        }
    }
    escaped
}

/// Escapes a text for a double-quoted attribute of HTML.
pub(super) fn attribute(text: &str) -> String {
    escaped(text).replace('"', "&quot;")
}

/// Escapes the characters of Markdown, as Discord and Teams read it.
pub(super) fn plain_markdown(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        // `@` begins a mention, which an ordinary text must not cause.
        if "\\`*_{}[]<>|~#@".contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}
