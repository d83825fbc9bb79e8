//! Invariants for arbitrary bytes: the body of the fuzz target `config` (`fuzz/`) and a test with its seeds. Compiled
//! for these only.

use crate::config::{Config, from_text};

/// Settings that are secrets or contain one.
const SECRET: [&str; 3] = ["bootstrap_api_key", "encryption_key", "database_url"];

/// Parses a configuration file. The file is refused with a reason, or produces settings within the documented bounds.
/// Neither the reason nor the settings show its secrets.
pub fn config(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let shown = match from_text(&text) {
        Ok(config) => {
            check(&config);
            format!("{config:?}")
        }
        Err(error) => {
            assert!(!format!("{error:#}").is_empty());
            format!("{error:#} {error:?}")
        }
    };
    for secret in secrets(&text) {
        assert!(!shown.contains(&secret), "{secret:?} is shown: {shown}");
    }
}

/// Checks the bounds of docs/reference/configuration.md.
fn check(config: &Config) {
    let engine = &config.engine;
    assert!((1..=3_650).contains(&engine.retention_days) && (1..=engine.retention_days).contains(&engine.payload_retention_days));
    assert!((1_000..=60_000).contains(&engine.timeout.as_millis()));
    assert!((1..=100_000).contains(&engine.max_in_flight) && (1..=engine.max_in_flight).contains(&engine.max_in_flight_per_target));
    assert!((1_024..=64 * 1_024 * 1_024).contains(&engine.payload_limit));
    assert!((3_600..=168 * 3_600).contains(&engine.idempotency_window.as_secs()));
    assert!(engine.max_payload_bytes.is_none_or(|bytes| (1..=1 << 50).contains(&bytes)));
    assert!(engine.retry_schedule.as_seconds().iter().all(|seconds| *seconds <= 604_800));
    assert!((1..=1_000_000).contains(&config.server.max_connections));
    assert!(config.limits.rate_limits.per_key.get() <= 1_000_000 && config.limits.rate_limits.per_address.get() <= 1_000_000);
    assert!(config.delivery.secret_grace.as_secs() <= 168 * 3_600 && config.server.shutdown_grace.as_secs() <= 600);
    if let Some(url) = &config.server.public_url {
        assert!(url.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http")), "{url:?}");
        assert!(!url.contains(|c: char| c.is_whitespace() || c.is_control()), "{url:?}");
        assert!(!url.ends_with('/'), "{url}");
    }
    if let Some(database) = &config.storage.database {
        assert!((1..=1_000).contains(&database.max_connections) && (1_000..=300_000).contains(&database.lease.as_millis()));
    }
}

/// Returns the secrets of a file, if it is TOML. A value that occurs elsewhere in the file as well is left out.
fn secrets(text: &str) -> Vec<String> {
    let Ok(table) = text.parse::<toml::Table>() else { return vec![] };
    let mut found = Vec::new();
    for name in SECRET {
        match table.get(name) {
            Some(toml::Value::String(text)) => found.push(text.clone()),
            Some(toml::Value::Array(values)) => found.extend(values.iter().filter_map(|value| value.as_str().map(str::to_owned))),
            _ => {}
        }
    }
    found.retain(|secret| secret.len() >= 16 && text.matches(secret.as_str()).count() == 1);
    found
}

#[cfg(test)]
#[path = "../../../fuzz/seeds.rs"]
mod seeds;

#[cfg(test)]
mod tests {
    use super::seeds;

    #[test]
    fn config_seeds_hold() {
        seeds::each("config", super::config);
    }
}
