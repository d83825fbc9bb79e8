//! Receiver of the benchmark.

use std::{
    io,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use hookstream_cli::clock::SystemClock;
use hookstream_model::{base::time::Clock, outbound::signature::VerificationKey};
use http::{Response, StatusCode, request::Parts};
use http_body_util::Empty;

use super::run::Run;
use crate::traffic::{
    listener::{Receive, fails_first, header, plain},
    payload,
};

/// Receiver for all endpoints of a run.
pub(super) struct Receiver {
    pub(super) run: Arc<Run>,
    /// Keys by endpoint; empty if signatures are not verified.
    pub(super) keys: Vec<VerificationKey>,
    pub(super) delay: Duration,
    pub(super) fail_share: f64,
}

impl Receive for Receiver {
    type Body = Empty<Bytes>;

    async fn receive(&self, head: Parts, body: Bytes) -> io::Result<Response<Self::Body>> {
        let endpoint: usize = head.uri.path().trim_start_matches('/').parse().unwrap_or(0);
        let Some(number) = payload::number(&body) else { return Ok(plain(StatusCode::BAD_REQUEST)) };
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        let header = |name: &str| header(&head.headers, name);
        if let Some(key) = self.keys.get(endpoint)
            && key.verify(header("webhook-id"), header("webhook-timestamp"), header("webhook-signature"), &body, SystemClock.now()).is_err()
        {
            self.run.unverified.fetch_add(1, Ordering::Relaxed);
        }
        if fails_first(number, self.fail_share) && header("x-hookstream-delivery-attempt") == "1" {
            return Ok(plain(StatusCode::INTERNAL_SERVER_ERROR));
        }
        self.run.arrived(number, endpoint);
        Ok(plain(StatusCode::NO_CONTENT))
    }
}
