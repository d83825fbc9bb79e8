//! Logging, what the system allows us, and waiting for the signal to stop.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Fewer open files than this are too few for a busy server: each attempt has a connection, and each receiver keeps
/// some for the next.
const OPEN_FILES: u64 = 8_192;

/// Has the system allow as many open files as it may; the usual limit for programs that say nothing is 1,024.
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

/// Logs to standard error.
///
/// # Errors
/// `filter` is no level and no filter.
pub(crate) fn start_logging(filter: &str) -> anyhow::Result<()> {
    let filter = log_filter(filter).map_err(|problem| anyhow::anyhow!("log {problem}"))?;
    // A second start in one process is one of tests only; the first stays.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // Its own report about a closed standard error would panic.
        .log_internal_errors(false)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .try_init();
    Ok(())
}

/// Reads the setting `log`. A lone word must be a level: the library takes any other word for the name of a target, which turns off
/// everything else.
pub(crate) fn log_filter(text: &str) -> Result<EnvFilter, String> {
    let problem = || {
        format!(
            "is {text:?}; it must be error, warn, info, debug, trace or off, or a comma-separated filter such as \
             warn,hookstream_engine=debug"
        )
    };
    let is_level = |word: &str| LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word.trim()));
    // Commas and brackets of `target[span{field=value}]=level` stay in one part.
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
    EnvFilter::try_new(text.trim()).map_err(|_| problem())
}

/// The words of the setting `log`.
const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_takes_levels_and_filters_and_refuses_other_words() {
        for good in ["info", "WARN", " debug ", "off", "warn,hookstream_engine=debug", "hookstream=trace", "a::b[c{d=1}]=info"] {
            assert!(log_filter(good).is_ok(), "{good}");
        }
        for wrong in ["", " ", "warning", "verbose", "inf", "5", "hookstream_engine", "info,", "info,verbose", "a=loud", "=info", "a=b=c"] {
            let problem = log_filter(wrong).expect_err(wrong);
            assert!(problem.contains("must be error, warn, info"), "{wrong}: {problem}");
        }
    }
}
