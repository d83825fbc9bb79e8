//! Backups of the data directory, once a day and on request. A failed one is repeated after a quarter of an hour.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hookstream_model::{base::time::Timestamp, operations::backup::next_due};
use hookstream_store::sqlite::backup::{
    BackupError, Prepared,
    create::{Made, Options, Pace, Target, create_beside},
    kept,
};
use tokio_util::sync::CancellationToken;

use super::backup_state::{BackupStatus, Backups};
use crate::state::Api;

/// Longest sleep, so that a clock that jumps delays a backup by no more.
const LOOK_AFTER: Duration = Duration::from_secs(60);

impl Api {
    /// Returns the state of the backups; `None` if this server makes none.
    pub fn backup_status(&self) -> Option<BackupStatus> {
        self.backups.as_ref().map(Backups::status)
    }

    /// Makes backups until `stop`.
    pub async fn run_backups(self, stop: CancellationToken) {
        let Some(backups) = &self.backups else { return };
        recall(backups).await;
        backups.status().last_success.iter().for_each(|at| self.instruments.backed_up(*at));
        loop {
            let status = backups.status();
            let failed_at = status.last_failure.as_ref().map(|(at, _)| *at);
            let now = self.now();
            let due = next_due(now, backups.settings.at, status.last_success, failed_at);
            let pause = if due <= now { Duration::ZERO } else { due.since(now).min(LOOK_AFTER) };
            let is_due = tokio::select! {
                () = stop.cancelled() => return,
                () = backups.asked.notified() => true,
                () = tokio::time::sleep(pause) => self.now() >= due,
            };
            if is_due {
                self.back_up(backups, &stop).await;
            }
        }
    }

    /// Makes one backup and notes the result.
    async fn back_up(&self, backups: &Backups, stop: &CancellationToken) {
        let begun = self.now();
        backups.note(|status| status.running_since = Some(begun));
        let made = self.make(backups, begun, stop).await;
        backups.note(|status| status.running_since = None);
        match made {
            Ok((made, removed)) => {
                let Made { path, manifest } = made;
                tracing::info!(
                    path = %path.display(),
                    bytes = manifest.bytes(),
                    new_bytes = manifest.added_bytes(),
                    took_ms = manifest.took_ms,
                    removed = removed.len(),
                    "backup made"
                );
                self.instruments.backed_up(begun);
                backups.note(|status| {
                    status.last_success = Some(begun);
                    status.last_bytes = manifest.bytes();
                    status.last_duration = Duration::from_millis(manifest.took_ms);
                });
            }
            Err(BackupError::Stopped) => {}
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "the backup failed; retrying in 15 minutes");
                let text = text_of(&error);
                self.instruments.backup_failures.inc();
                backups.note(|status| {
                    status.last_failure = Some((begun, text));
                    status.failures += 1;
                });
            }
        }
    }

    async fn make(&self, backups: &Backups, now: Timestamp, stop: &CancellationToken) -> Result<(Made, Vec<String>), BackupError> {
        let refused = |error: &dyn std::error::Error| BackupError::Refused(text_of(error));
        let directory =
            self.store.data_directory().ok_or_else(|| BackupError::Refused("the store is not in a data directory".to_owned()))?;
        let directory = directory.to_owned();
        let prepared = tokio::task::spawn_blocking(move || Prepared::open(&directory)).await.map_err(|error| refused(&error))??;
        let cut = Arc::new(Mutex::new(None));
        let taken = Arc::clone(&cut);
        let take = move || *taken.lock().unwrap_or_else(PoisonError::into_inner) = Some(prepared.cut());
        self.store.between_commits(Box::new(take)).await.map_err(|error| refused(&error))?;
        let cut = cut.lock().unwrap_or_else(PoisonError::into_inner).take().ok_or(BackupError::Stopped)??;
        let options = Options {
            target: Target::Directory(backups.settings.directory.clone()),
            include_key: false,
            verify: true,
            pace: Pace::Gentle,
            program: backups.settings.program.to_owned(),
            now,
        };
        let must_stop = Arc::new(AtomicBool::new(false));
        let making = create_beside(cut, options, Some(backups.settings.keep), Arc::clone(&must_stop));
        tokio::pin!(making);
        tokio::select! {
            made = making.as_mut() => made,
            () = stop.cancelled() => {
                must_stop.store(true, Ordering::Release);
                making.await
            }
        }
    }
}

/// Notes the newest backup of an earlier start.
async fn recall(backups: &Backups) {
    let directory = backups.settings.directory.clone();
    let listed = tokio::task::spawn_blocking(move || kept::list(&directory)).await;
    let newest = listed.ok().and_then(Result::ok).and_then(|all| all.into_iter().find(|kept| kept.manifest.is_ok()));
    let Some(newest) = newest else { return };
    backups.note(|status| {
        status.last_success = newest.created_at();
        if let Ok(manifest) = &newest.manifest {
            status.last_bytes = manifest.bytes();
            status.last_duration = Duration::from_millis(manifest.took_ms);
        }
    });
}

/// Returns the text of an error and its causes.
fn text_of(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
