//! Retention of the audit log. Only this task removes entries.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::state::Api;

/// Period of the task, which also runs at the start.
const PERIOD: Duration = Duration::from_secs(600);
/// Number of entries removed at once; a slice takes some milliseconds.
const SLICE: usize = 1_000;
/// Pause between two slices, so that other work reaches the store.
const PAUSE: Duration = Duration::from_millis(10);

impl Api {
    /// Removes expired audit log entries until `stop`.
    pub async fn run_audit_retention(self, stop: CancellationToken) {
        loop {
            let pause = match self.forget_old_entries().await {
                Ok(SLICE..) => PAUSE,
                Ok(_) => PERIOD,
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "could not delete old audit log entries; retrying");
                    PERIOD
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn forget_old_entries(&self) -> Result<usize, hookstream_store::Error> {
        let kept = Duration::from_secs(u64::from(self.options.audit_retention_days) * 24 * 3600);
        hookstream_store::operations::audit_log::forget_before(&*self.store, self.now() - kept, SLICE).await
    }
}
