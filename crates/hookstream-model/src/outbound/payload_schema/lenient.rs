//! Reading JSON that `serde_json` refuses and RFC 8259 allows: lone surrogates, and numbers beyond a double.

use std::borrow::Cow;

use serde_json::Value;

/// Reads a payload. A lone surrogate is read as U+FFFD, a number beyond the range of a double as the largest one.
///
/// # Errors
/// Says why the text cannot be read: it is nested more deeply than 128 levels.
pub(super) fn read(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).or_else(|_| serde_json::from_str(&mend(text))).map_err(|error| error.to_string())
}

/// Replaces what is refused, and nothing else.
fn mend(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let mut mended = String::new();
    let mut copied = 0;
    let mut at = 0;
    let mut replace = |from: usize, to: usize, with: &str| {
        mended.push_str(&text[copied..from]);
        mended.push_str(with);
        copied = to;
    };
    while at < bytes.len() {
        match bytes[at] {
            b'"' => {
                at += 1;
                while at < bytes.len() && bytes[at] != b'"' {
                    if bytes[at] != b'\\' {
                        at += 1;
                        continue;
                    }
                    match (unit(bytes, at), unit(bytes, at + 6)) {
                        (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => at += 12,
                        (Some(0xD800..=0xDFFF), _) => {
                            replace(at, at + 6, "\u{FFFD}");
                            at += 6;
                        }
                        (Some(_), _) => at += 6,
                        (None, _) => at += 2,
                    }
                }
                at += 1;
            }
            b'-' | b'0'..=b'9' => {
                let start = at;
                while at < bytes.len() && matches!(bytes[at], b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9') {
                    at += 1;
                }
                if text[start..at].parse::<f64>().is_ok_and(f64::is_infinite) {
                    replace(start, at, if bytes[start] == b'-' { "-1.7976931348623157e308" } else { "1.7976931348623157e308" });
                }
            }
            _ => at += 1,
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    mended.push_str(&text[copied..]);
    Cow::Owned(mended)
}

/// The code unit of an escape `\uXXXX` that begins here.
fn unit(bytes: &[u8], at: usize) -> Option<u16> {
    let escape = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
    u16::from_str_radix(std::str::from_utf8(escape).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_that_serde_refuses_is_read() {
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
    fn nesting_without_bound_is_refused() {
        assert!(read(&"[".repeat(100_000)).is_err());
        assert!(read(&("[".repeat(129) + &"]".repeat(129))).is_err());
    }
}
