//! Logging, what the system allows us, and waiting for the signal to stop.

use std::io::IsTerminal;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// SIGTERM and SIGINT, from the moment that they are listened for: before that they end the process as it is.
pub(crate) struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// Listens from here on.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("could not listen for SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("could not listen for SIGINT")?,
        })
    }
}

/// Waits for SIGTERM or SIGINT, as [`until_told`] does.
pub(crate) async fn until_told_to_stop() -> anyhow::Result<()> {
    until_told(StopSignals::listen()?).await;
    Ok(())
}

/// Waits for one of them. From then on a second one ends the process at once.
pub(crate) async fn until_told(signals: StopSignals) {
    let StopSignals { mut terminate, mut interrupt } = signals;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping; a second signal stops at once");
    #[expect(clippy::disallowed_methods, reason = "it ends the process, so nothing waits for it")]
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::warn!("stopped at once; what was under way falls due again with the next start");
        std::process::exit(1);
    });
}

/// Fewer open files than this are too few for a busy server: each try has a connection, and each receiver keeps
/// some for the next.
const OPEN_FILES: u64 = 8_192;

/// Has the system allow as many open files as it may; the usual limit for programs that say nothing is 1,024.
pub(crate) fn allow_open_files() {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(allowed) if allowed >= OPEN_FILES => tracing::debug!(allowed, "open files"),
        Ok(allowed) => {
            tracing::warn!(
                allowed,
                "the system allows few open files; with many receivers at once connections will fail (LimitNOFILE=, ulimit -n)"
            );
        }
        Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "could not ask the system for more open files"),
    }
}

/// Logs to standard error.
pub(crate) fn start_logging(filter: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter)
        .with_context(|| format!("log is {filter:?}; allowed is a level or a filter such as hookstream_engine=debug"))?;
    // Started twice in one process only by tests, where the first stays.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .try_init();
    Ok(())
}
