//! Logging, limits of the operating system, and the stop signal.

use std::time::Duration;

use hookstream_store::delivery::cluster::NodeReport;
use tracing_subscriber::EnvFilter;

use crate::{
    config::{Config, TelemetryConfig},
    telemetry::logs,
};

/// Number of open files below which a busy server may run out: each attempt has a connection, and idle ones are kept.
const OPEN_FILES: u64 = 8_192;

/// Raises the limit on open files as far as allowed; the usual default is 1,024.
pub(crate) fn allow_open_files() {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(allowed) if allowed >= OPEN_FILES => tracing::debug!(allowed, "limit on open files"),
        Ok(allowed) => {
            tracing::warn!(
                allowed,
                "the limit on open files is low; connections to many receivers at once will fail. Raise it (LimitNOFILE=, ulimit -n)"
            );
        }
        Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "could not raise the limit on open files"),
    }
}

/// Starts logging to standard error, and to the collector of OpenTelemetry if it takes logs.
///
/// # Errors
/// `filter` is neither a level nor a filter.
pub(crate) fn start_logging(telemetry: &TelemetryConfig) -> anyhow::Result<()> {
    let filter = log_filter(&telemetry.log).map_err(|problem| anyhow::anyhow!("log {problem}"))?;
    let exported = telemetry.opentelemetry.logs.as_ref().map(|logs| logs.batches);
    logs::start(filter, telemetry.log_format, exported);
    Ok(())
}

/// Replaces the filter of the log.
///
/// # Errors
/// `filter` is neither a level nor a filter.
pub(crate) fn change_log(filter: &str) -> anyhow::Result<()> {
    let filter = log_filter(filter).map_err(|problem| anyhow::anyhow!("log {problem}"))?;
    logs::change_filter(filter)
}

/// Commit that the program was built from, if the build names it.
const REVISION: Option<&str> = option_env!("HOOKSTREAM_REVISION");

/// Logs that the server has started.
pub(crate) fn log_start(config: &Config, url: &str, data: &str, took: Duration) {
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        revision = REVISION.unwrap_or("unknown"),
        url,
        data,
        role = config.engine.role.as_str(),
        node = config.engine.node_name,
        pid = std::process::id(),
        took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        "started"
    );
}

/// Logs that the server has stopped, and what it left for the next start.
pub(crate) fn log_stop(unfinished: &NodeReport, took: Duration) {
    let NodeReport { queued, in_flight, .. } = unfinished;
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    tracing::info!(
        attempts_unfinished = in_flight,
        deliveries_waiting = queued,
        took_ms,
        "stopped; unfinished attempts are repeated and waiting deliveries continue after the next start"
    );
}

/// Parses the setting `log`. A single word must be a level: the library would take any other word as the name of a
/// target, which turns off everything else.
pub(crate) fn log_filter(text: &str) -> Result<EnvFilter, String> {
    let problem = || {
        format!(
            "is {text:?}; it must be error, warn, info, debug, trace or off, or a comma-separated filter such as \
             warn,hookstream_engine=debug"
        )
    };
    let is_level = |word: &str| LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word.trim()));
    // Commas inside the brackets of `target[span{field=value}]=level` do not separate parts.
    let mut depth = 0_i32;
    let parts = text.split(|c: char| {
        depth += i32::from(matches!(c, '[' | '{')) - i32::from(matches!(c, ']' | '}'));
        c == ',' && depth == 0
    });
    let is_directive = |part: &str| match part.rsplit_once('=') {
        Some((target, level)) => !target.trim().is_empty() && is_level(level),
        None => is_level(part),
    };
    if text.trim().is_empty() || !parts.map(str::trim).all(is_directive) {
        return Err(problem());
    }
    let filter = EnvFilter::try_new(text.trim()).map_err(|_| problem())?;
    Ok(SILENT.iter().fold(filter, |filter, silent| filter.add_directive(silent.parse().expect("a directive"))))
}

/// Libraries that may log nothing: the AMQP client would log passwords and payloads at the level trace, and every failure of a
/// tenant's broker as an error.
const SILENT: [&str; 3] = ["lapin=off", "amq_protocol=off", "async_rs=off"];

/// Levels of the setting `log`.
const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_of_brokers_logs_nothing_at_any_level() {
        for text in ["trace", "lapin=trace", "trace,lapin=debug"] {
            let filter = log_filter(text).expect("a filter").to_string();
            assert!(filter.contains("lapin=off") && !filter.contains("lapin=trace") && !filter.contains("lapin=debug"), "{filter}");
        }
    }

    #[test]
    fn log_accepts_levels_and_filters_only() {
        for good in ["info", "WARN", " debug ", "off", "warn,hookstream_engine=debug", "hookstream=trace", "a::b[c{d=1}]=info"] {
            assert!(log_filter(good).is_ok(), "{good}");
        }
        for wrong in ["", " ", "warning", "verbose", "inf", "5", "hookstream_engine", "info,", "info,verbose", "a=loud", "=info", "a=b=c"] {
            let problem = log_filter(wrong).expect_err(wrong);
            assert!(problem.contains("must be error, warn, info"), "{wrong}: {problem}");
        }
    }
}
