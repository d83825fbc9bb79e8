//! Removing entries of the audit log whose time is over. Nothing else removes any.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::state::Api;

/// How often; also at the start.
const PERIOD: Duration = Duration::from_secs(600);
/// So many entries are removed at once, which takes some milliseconds.
const SLICE: usize = 1_000;
/// Between two slices, so that others get at the store.
const PAUSE: Duration = Duration::from_millis(10);

impl Api {
    /// Removes old entries of the audit log until `stop`.
    pub async fn keep_audit_log(self, stop: CancellationToken) {
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
