//! Properties that must hold for arbitrary bytes: the bodies of the fuzz targets `paths` and `signature` (`fuzz/`),
//! and tests with their seeds. Compiled only for these.

use serde_json::{Value, value::RawValue};

use crate::{
    base::{json, secret::Secret, time::Timestamp},
    delivery::ordering::{KEY_PATH_MAX, KeyPath, Ordering},
    outbound::{
        endpoint, event_type,
        signature::{SigningAlgorithm, SigningKey, SigningKeys, Unverified, VerificationKey},
    },
};

/// Maximum number of values in a payload that are looked up by their own path.
const VALUES_MAX: usize = 200;

/// Input: a path on the first line, then a payload. A valid path displays as it was parsed and finds JSON inside the
/// payload, or nothing. Every value of a payload is found by its path. The first line is also treated as a filter,
/// which must be valid if each of its words is.
pub fn paths(data: &[u8]) {
    let (path, payload) = split(data);
    let path = String::from_utf8_lossy(path);
    if let Ok(parsed) = KeyPath::parse(&path) {
        assert_eq!(parsed.to_string(), path);
        assert_eq!(Ordering::from_parts("key", Some(&path)), Ok(Ordering::ByKey(parsed.clone())));
        if let Some(found) = parsed.find(payload) {
            assert!(
                payload.as_ptr_range().contains(&found.as_ptr()) && found.len() <= payload.len(),
                "the text is not part of the payload"
            );
            assert!(json::is_json(found), "{found}");
        }
    }
    if let Ok(value) = serde_json::from_slice::<Value>(payload) {
        let mut left = VALUES_MAX;
        check_each_is_found(payload, &value, "$", &mut left);
    }
    let words: Vec<_> = path.split(',').map(str::to_owned).collect();
    let are_patterns = words.len() <= endpoint::FILTER_TYPES_MAX && words.iter().all(|word| event_type::check_pattern(word).is_ok());
    assert_eq!(endpoint::check_filter_types(&words).is_ok(), are_patterns, "{words:?}");
    for word in words.iter().filter(|word| event_type::check_name(word).is_ok()) {
        assert!(word.is_ascii() && !word.is_empty() && word.len() <= event_type::NAME_MAX && !word.contains(char::is_whitespace));
    }
    if let Ok(raw) = serde_json::from_slice::<&RawValue>(payload)
        && let Ok(text) = json::text_of(raw)
    {
        // Native JSON stays as it is, and a string stands for its decoded text.
        let native = if raw.get().starts_with('"') { serde_json::from_str(raw.get()).ok() } else { Some(raw.get().to_owned()) };
        assert_eq!(Some(text.into_owned()), native);
    }
}

/// Checks that the path of the value at `path`, and of each value below it, finds that value.
fn check_each_is_found(payload: &[u8], value: &Value, path: &str, left: &mut usize) {
    let Some(fewer) = left.checked_sub(1) else { return };
    *left = fewer;
    if path.len() > KEY_PATH_MAX {
        return;
    }
    if path != "$" {
        let found = KeyPath::parse(path).unwrap_or_else(|_| panic!("{path} is a path")).find(payload);
        let found: Value = found.and_then(|found| serde_json::from_str(found).ok()).unwrap_or_else(|| panic!("{path} finds nothing"));
        assert_eq!(found, *value, "{path}");
    }
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let quote = if name.contains('\'') { '"' } else { '\'' };
                // Names that no path can express are skipped.
                if !name.contains([quote, '\\']) && !name.contains(char::is_control) {
                    check_each_is_found(payload, value, &format!("{path}[{quote}{name}{quote}]"), left);
                }
            }
        }
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                check_each_is_found(payload, value, &format!("{path}[{index}]"), left);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Input: a secret, an id, a timestamp and signatures on one line each, then a body. A rejected secret is not shown.
/// A valid secret signs, and its signature verifies; other bodies and other signatures do not verify.
pub fn signature(data: &[u8]) {
    let (secret, rest) = split(data);
    let (id, rest) = split(rest);
    let (timestamp, rest) = split(rest);
    let (signatures, body) = split(rest);
    let [secret, id, timestamp, signatures] = [secret, id, timestamp, signatures].map(String::from_utf8_lossy);
    let now = timestamp.parse::<i64>().map_or(Timestamp::EPOCH, |seconds| Timestamp::from_millis(seconds.saturating_mul(1_000)));
    let given = Secret::new(&*secret);
    // A secret may consist of words of the error text; a problem that is also reported for another secret shows
    // neither.
    let is_reported_for_others = |problem: &str, prefix: &str| {
        let other = Secret::new(format!("{prefix}_?"));
        let problems = [VerificationKey::parse(&other).err(), SigningKey::parse(&other).err()];
        problems.into_iter().flatten().any(|error| error.problem == problem)
    };
    let is_shown = |problem: &str| {
        secret
            .split_once('_')
            .is_some_and(|(prefix, bare)| bare.len() >= 16 && problem.contains(bare) && !is_reported_for_others(problem, prefix))
    };
    let verifying = VerificationKey::parse(&given).inspect_err(|error| assert!(!is_shown(&error.problem), "{}", error.problem));
    if let Ok(verifying) = &verifying {
        // At any time, extreme ones included.
        for now in [now, Timestamp::EPOCH, Timestamp::from_millis(-1), Timestamp::from_millis(i64::MAX), Timestamp::from_millis(i64::MIN)] {
            let _ = verifying.verify(&id, &timestamp, &signatures, body, now);
        }
    }
    let signing = match SigningKey::parse(&given) {
        Ok(signing) => signing,
        Err(error) => {
            assert!(!is_shown(&error.problem), "{}", error.problem);
            return;
        }
    };
    assert!(!is_shown(&format!("{signing:?}{given:?}")));
    let public = signing.public_key().map_or(given, Secret::new);
    let receiver = VerificationKey::parse(&public).expect("a signing key has a verification key");
    let algorithm = signing.algorithm();
    let signed = SigningKeys::new(signing, vec![]).sign(&id, now, body);
    let seconds = now.as_seconds().to_string();
    assert_eq!(receiver.verify(&id, &seconds, &signed, body, now), Ok(()));
    assert_eq!(receiver.verify(&id, &seconds, &signed, &[body, b"x"].concat(), now), Err(Unverified::NoMatch));
    if *timestamp == seconds {
        let is_among = signatures.split(' ').any(|signature| signature == signed);
        let verifies = receiver.verify(&id, &seconds, &signatures, body, now).is_ok();
        match algorithm {
            SigningAlgorithm::HmacSha256 => assert_eq!(verifies, is_among),
            // An ed25519 key may make several valid signatures of one text.
            SigningAlgorithm::Ed25519 => assert!(verifies || !is_among),
        }
    }
}

/// Splits off the first line.
fn split(data: &[u8]) -> (&[u8], &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    (&data[..end], data.get(end + 1..).unwrap_or_default())
}

#[cfg(test)]
#[path = "../../../fuzz/seeds.rs"]
mod seeds;

#[cfg(test)]
mod tests {
    use super::seeds;

    #[test]
    fn seeds_of_paths_hold() {
        seeds::each("paths", super::paths);
    }

    #[test]
    fn seeds_of_signature_hold() {
        seeds::each("signature", super::signature);
    }
}
