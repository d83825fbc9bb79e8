//! Readiness of this server: whether a load balancer should send it requests.
//!
//! A probe costs at most one query in [`FRESH`], however many probes arrive, and is answered within [`CHECK_WITHIN`].

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use hookstream_store::{Store, identity::organizations};
use tokio::{sync::Mutex, time::Instant};

use crate::http::error::ApiError;

/// Time for which the answer of the database counts.
const FRESH: Duration = Duration::from_secs(1);
/// Time limit of a check. Load balancers and Kubernetes wait a few seconds for a probe.
const CHECK_WITHIN: Duration = Duration::from_secs(2);

/// State that readiness depends on.
#[derive(Default)]
pub(crate) struct Readiness {
    is_draining: AtomicBool,
    /// Last answer of the database. The lock is held during a check, so that concurrent probes share its result.
    last: Mutex<Option<(Instant, Result<(), ApiError>)>>,
}

impl Readiness {
    /// Makes readiness false from now on.
    pub(crate) fn begin_draining(&self) {
        self.is_draining.store(true, Ordering::Release);
    }

    /// Returns whether the server is about to stop.
    pub(crate) fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Acquire)
    }

    /// Checks the database, or returns its last answer if that is fresh, and the disk.
    ///
    /// # Errors
    /// Names the cause: the disk is full, or the database does not answer.
    pub(crate) async fn check(&self, store: &dyn Store) -> Result<(), ApiError> {
        let mut last = self.last.lock().await;
        let known = last.as_ref().filter(|(at, _)| at.elapsed() < FRESH).map(|(_, answer)| answer.clone());
        let answer = match known {
            Some(answer) => answer,
            None => {
                let answer = ask(store).await;
                *last = Some((Instant::now(), answer.clone()));
                answer
            }
        };
        drop(last);
        answer?;
        if store.is_full() { Err(ApiError::storage_full()) } else { Ok(()) }
    }
}

async fn ask(store: &dyn Store) -> Result<(), ApiError> {
    match tokio::time::timeout(CHECK_WITHIN, organizations::first(store)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(ApiError::from(error)),
        Err(_) => Err(ApiError::database_silent(CHECK_WITHIN)),
    }
}
