//! Durations in arguments: `250ms`, `2s`, `1m`.

use std::time::Duration;

/// Parses a duration in the form `250ms`, `2s` or `1m`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        _ => return Err("write it as 250ms, 2s or 1m".to_owned()),
    };
    let number: u64 = digits.parse().map_err(|_| "write it as 250ms, 2s or 1m".to_owned())?;
    Ok(Duration::from_millis(number.saturating_mul(unit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_parsed_with_their_unit() {
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_duration("2s"), Ok(Duration::from_secs(2)));
        assert_eq!(parse_duration("1m"), Ok(Duration::from_secs(60)));
        for text in ["", "5", "s", "1h", "-1s", "1.5s"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
