//! Signals that end a command.

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Signals that a server handles. Before it listens, they end the process.
pub struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl StopSignals {
    /// Starts to listen.
    pub fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("could not listen for SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("could not listen for SIGINT")?,
            hangup: signal(SignalKind::hangup()).context("could not listen for SIGHUP")?,
        })
    }
}

/// Waits for SIGTERM or SIGINT, as [`until_stop_signal_from`] does, and ignores SIGHUP.
pub async fn until_stop_signal() -> anyhow::Result<()> {
    until_stop_signal_from(StopSignals::listen()?, || ()).await;
    Ok(())
}

/// Waits for SIGTERM or SIGINT. After that, a second one ends the process at once. SIGHUP calls `reload` and does not end
/// the process.
pub async fn until_stop_signal_from(signals: StopSignals, reload: impl Fn()) {
    let StopSignals { mut terminate, mut interrupt, mut hangup } = signals;
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => reload(),
        }
    }
    tracing::info!("shutting down; press Ctrl-C or send the signal again to force");
    #[expect(clippy::disallowed_methods, reason = "it ends the process, so nothing waits for it")]
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::warn!("forced to stop; in-flight deliveries will be retried on the next start");
        std::process::exit(1);
    });
}
