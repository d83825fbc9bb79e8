//! What the tests of several crates share: a clock that is moved by hand, receivers and their
//! certificates, servers of others, and waiting for a state.

pub mod clock;
pub mod postgres;
pub mod receiver;
pub mod services;
pub mod tls;

use std::{future::Future, time::Duration};

/// Waits until `state` gives something; panics after ten seconds, naming what was waited for.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut state: impl FnMut() -> F) -> T {
    let end = tokio::time::Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(found) = state().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < end, "{what} did not come about in time");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
