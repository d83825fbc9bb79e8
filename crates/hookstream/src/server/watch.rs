//! Files that are read again when they change, so that a certificate is renewed without a restart.

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Period of the check for changes.
const PERIOD: Duration = Duration::from_secs(2);

/// Calls `read` when one of these files has changed and on SIGHUP, until `stop`. An invalid file is logged, and the
/// previous content stays in use; `what` names the files in the log.
pub(crate) async fn reload_on_change(
    what: &'static str,
    files: Vec<PathBuf>,
    stop: CancellationToken,
    read: impl Fn() -> anyhow::Result<()>,
) {
    if files.is_empty() {
        return;
    }
    let mut seen = changed_at(&files);
    let mut hangup = signal(SignalKind::hangup()).ok();
    loop {
        let is_asked = tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PERIOD) => false,
            _ = async { hangup.as_mut().expect("checked in the condition").recv().await }, if hangup.is_some() => true,
        };
        let now = changed_at(&files);
        if now == seen && !is_asked {
            continue;
        }
        seen = now;
        match read() {
            Ok(()) => tracing::info!(what, "changed file reloaded"),
            Err(error) => {
                let error: &dyn std::error::Error = error.as_ref();
                tracing::error!(what, error, "a changed file is invalid; the previous content stays in use");
            }
        }
    }
}

fn changed_at(files: &[PathBuf]) -> Vec<Option<SystemTime>> {
    let changed_at = |path: &Path| std::fs::metadata(path).and_then(|about| about.modified()).ok();
    files.iter().map(|path| changed_at(path)).collect()
}
