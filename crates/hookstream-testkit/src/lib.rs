//! Test support shared by several crates: a manual clock, receivers with certificates, external servers, a RabbitMQ broker, databases,
//! and waiting for a state.

pub mod broker;
pub mod clock;
pub mod postgres;
pub mod receiver;
pub mod services;
pub mod tls;

use std::{future::Future, time::Duration};

/// Waits until `state` returns a value. Panics after ten seconds with `what`, the name of the state.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut state: impl FnMut() -> F) -> T {
    let end = tokio::time::Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(found) = state().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < end, "timed out waiting for {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
