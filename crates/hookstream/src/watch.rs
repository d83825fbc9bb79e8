//! Files that count again when they change, so that a certificate is renewed without a restart.

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use tokio_util::sync::CancellationToken;

/// How often it is looked whether a file has changed.
const PERIOD: Duration = Duration::from_secs(2);

/// Calls `read` whenever one of these files has changed, until it is stopped. What cannot be read is logged, and what
/// was before stays; `what` says what it is, for the log.
pub(crate) async fn again_when_changed(
    what: &'static str,
    files: Vec<PathBuf>,
    stop: CancellationToken,
    read: impl Fn() -> anyhow::Result<()>,
) {
    if files.is_empty() {
        return;
    }
    let mut seen = changed_at(&files);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PERIOD) => {}
        }
        let now = changed_at(&files);
        if now == seen {
            continue;
        }
        seen = now;
        match read() {
            Ok(()) => tracing::info!(what, "read again, since a file has changed"),
            Err(error) => {
                let error: &dyn std::error::Error = error.as_ref();
                tracing::error!(what, error, "a file has changed and cannot be used; going on with what was before");
            }
        }
    }
}

fn changed_at(files: &[PathBuf]) -> Vec<Option<SystemTime>> {
    let changed_at = |path: &Path| std::fs::metadata(path).and_then(|about| about.modified()).ok();
    files.iter().map(|path| changed_at(path)).collect()
}
