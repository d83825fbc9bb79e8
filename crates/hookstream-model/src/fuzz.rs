//! What must hold for any bytes at all: the bodies of the fuzz targets `paths` and `signature` (`fuzz/`), and tests with
//! their seeds. In no build but those.

use serde_json::{Value, value::RawValue};

use crate::{
    base::{json, secret::Secret, time::Timestamp},
    delivery::ordering::{KEY_PATH_MAX, KeyPath, Ordering},
    outbound::{
        endpoint, event_type,
        signature::{SigningAlgorithm, SigningKey, SigningKeys, Unverified, VerificationKey},
    },
};

/// The most values of a payload that are looked for by a path of their own.
const LOOKED_FOR: usize = 200;

/// A path on the first line, a payload behind it. A path that is one is written as it was read and finds JSON that
/// stands in the payload, or nothing; every value of a payload is found by a path that leads to it. The first line is
/// taken for a filter as well: it is one where each of its words could be the type of a message.
pub fn paths(data: &[u8]) {
    let (path, payload) = split(data);
    let path = String::from_utf8_lossy(path);
    if let Ok(parsed) = KeyPath::parse(&path) {
        assert_eq!(parsed.to_string(), path);
        assert_eq!(Ordering::from_parts("key", Some(&path)), Ok(Ordering::ByKey(parsed.clone())));
        if let Some(found) = parsed.find(payload) {
            assert!(payload.as_ptr_range().contains(&found.as_ptr()) && found.len() <= payload.len(), "it stands elsewhere");
            assert!(json::is_json(found), "{found}");
        }
    }
    if let Ok(value) = serde_json::from_slice::<Value>(payload) {
        let mut left = LOOKED_FOR;
        each_is_found(payload, &value, "$", &mut left);
    }
    let words: Vec<_> = path.split(',').map(str::to_owned).collect();
    let are_types = words.len() <= endpoint::FILTER_TYPES_MAX && words.iter().all(|word| event_type::check_pattern(word).is_ok());
    assert_eq!(endpoint::check_filter_types(&words).is_ok(), are_types, "{words:?}");
    for word in words.iter().filter(|word| event_type::check_name(word).is_ok()) {
        assert!(word.is_ascii() && !word.is_empty() && word.len() <= event_type::NAME_MAX && !word.contains(char::is_whitespace));
    }
    if let Ok(raw) = serde_json::from_slice::<&RawValue>(payload)
        && let Ok(text) = json::text_of(raw)
    {
        // What is given as text means what the text means, and what is given as itself, itself.
        let native = if raw.get().starts_with('"') { serde_json::from_str(raw.get()).ok() } else { Some(raw.get().to_owned()) };
        assert_eq!(Some(text.into_owned()), native);
    }
}

/// Checks that the value at `path`, and each below it, is what its path finds.
fn each_is_found(payload: &[u8], value: &Value, path: &str, left: &mut usize) {
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
                // What no path can name is found by none.
                if !name.contains([quote, '\\']) && !name.contains(char::is_control) {
                    each_is_found(payload, value, &format!("{path}[{quote}{name}{quote}]"), left);
                }
            }
        }
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                each_is_found(payload, value, &format!("{path}[{index}]"), left);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A secret, an id, a timestamp and signatures, a line each, and a body behind them. A secret that is refused is not
/// shown. One that is none of these signs, what it signs verifies, and nothing else does: not with another body, and not
/// with other signatures.
pub fn signature(data: &[u8]) {
    let (secret, rest) = split(data);
    let (id, rest) = split(rest);
    let (timestamp, rest) = split(rest);
    let (signatures, body) = split(rest);
    let [secret, id, timestamp, signatures] = [secret, id, timestamp, signatures].map(String::from_utf8_lossy);
    let now = timestamp.parse::<i64>().map_or(Timestamp::EPOCH, |seconds| Timestamp::from_millis(seconds.saturating_mul(1_000)));
    let given = Secret::new(&*secret);
    // A secret may be made of the words of an error; what is said of another secret as well shows neither.
    let is_said_of_others = |problem: &str, prefix: &str| {
        let other = Secret::new(format!("{prefix}_?"));
        let problems = [VerificationKey::parse(&other).err(), SigningKey::parse(&other).err()];
        problems.into_iter().flatten().any(|error| error.problem == problem)
    };
    let is_shown = |problem: &str| {
        secret
            .split_once('_')
            .is_some_and(|(prefix, bare)| bare.len() >= 16 && problem.contains(bare) && !is_said_of_others(problem, prefix))
    };
    let verifying = VerificationKey::parse(&given).inspect_err(|error| assert!(!is_shown(&error.problem), "{}", error.problem));
    if let Ok(verifying) = &verifying {
        // At any moment, the odd ones included.
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
    let receiver = VerificationKey::parse(&public).expect("what signs has a counterpart");
    let algorithm = signing.algorithm();
    let made = SigningKeys::new(signing, vec![]).sign(&id, now, body);
    let seconds = now.as_seconds().to_string();
    assert_eq!(receiver.verify(&id, &seconds, &made, body, now), Ok(()));
    assert_eq!(receiver.verify(&id, &seconds, &made, &[body, b"x"].concat(), now), Err(Unverified::NoMatch));
    if *timestamp == seconds {
        let is_among = signatures.split(' ').any(|signature| signature == made);
        let verifies = receiver.verify(&id, &seconds, &signatures, body, now).is_ok();
        match algorithm {
            SigningAlgorithm::HmacSha256 => assert_eq!(verifies, is_among),
            // A key may make several signatures of one text that are all good.
            SigningAlgorithm::Ed25519 => assert!(verifies || !is_among),
        }
    }
}

/// The first line, and what is behind it.
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
    fn the_seeds_of_paths_hold() {
        seeds::each("paths", super::paths);
    }

    #[test]
    fn the_seeds_of_signature_hold() {
        seeds::each("signature", super::signature);
    }
}
