//! Lenient JSON parser for text that `serde_json` rejects and RFC 8259 allows: lone surrogates, and numbers beyond a
//! double.

use std::borrow::Cow;

use serde_json::Value;

/// Parses a payload. A lone surrogate becomes U+FFFD, a number beyond the range of a double becomes the largest one.
///
/// # Errors
/// If the text is nested more deeply than 128 levels.
pub(super) fn read(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).or_else(|_| serde_json::from_str(&replace_rejected_parts(text))).map_err(|error| error.to_string())
}

/// Replaces lone surrogates and oversized numbers, and nothing else.
fn replace_rejected_parts(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let mut output = String::new();
    let mut copied = 0;
    let mut position = 0;
    let mut replace = |from: usize, to: usize, with: &str| {
        output.push_str(&text[copied..from]);
        output.push_str(with);
        copied = to;
    };
    while position < bytes.len() {
        match bytes[position] {
            b'"' => {
                position += 1;
                while position < bytes.len() && bytes[position] != b'"' {
                    if bytes[position] != b'\\' {
                        position += 1;
                        continue;
                    }
                    match (unit(bytes, position), unit(bytes, position + 6)) {
                        (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => position += 12,
                        (Some(0xD800..=0xDFFF), _) => {
                            replace(position, position + 6, "\u{FFFD}");
                            position += 6;
                        }
                        (Some(_), _) => position += 6,
                        (None, _) => position += 2,
                    }
                }
                position += 1;
            }
            b'-' | b'0'..=b'9' => {
                let start = position;
                while position < bytes.len() && matches!(bytes[position], b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9') {
                    position += 1;
                }
                if text[start..position].parse::<f64>().is_ok_and(f64::is_infinite) {
                    replace(start, position, if bytes[start] == b'-' { "-1.7976931348623157e308" } else { "1.7976931348623157e308" });
                }
            }
            _ => position += 1,
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    output.push_str(&text[copied..]);
    Cow::Owned(output)
}

/// Returns the code unit of the escape `\uXXXX` at `position`, if there is one.
fn unit(bytes: &[u8], position: usize) -> Option<u16> {
    let escape = bytes.get(position..position + 6)?.strip_prefix(b"\\u")?;
    u16::from_str_radix(std::str::from_utf8(escape).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_rejected_by_serde_is_parsed() {
        let check = |text: &str, expected: Value| assert_eq!(read(text), Ok(expected), "{text}");
        check(r#"{"id":1,"name":"cut \ud83d"}"#, json!({ "id": 1, "name": "cut \u{FFFD}" }));
        check(
            r#"["\udc00\ud83d","\ud83d\ude00\ud83d","\\ud83d","\"\ud83d"]"#,
            json!(["\u{FFFD}\u{FFFD}", "😀\u{FFFD}", "\\ud83d", "\"\u{FFFD}"]),
        );
        check(r#"{"\udfff":1}"#, json!({ "\u{FFFD}": 1 }));
        check("[1e999,-1e999,1e308,12]", json!([f64::MAX, -f64::MAX, 1e308, 12]));
        check(r#"["1e999"]"#, json!(["1e999"]));
        check(r#"{"a": 1e400, "b": "\uD800x"}"#, json!({ "a": f64::MAX, "b": "\u{FFFD}x" }));
    }

    #[test]
    fn unbounded_nesting_is_rejected() {
        assert!(read(&"[".repeat(100_000)).is_err());
        assert!(read(&("[".repeat(129) + &"]".repeat(129))).is_err());
    }
}
