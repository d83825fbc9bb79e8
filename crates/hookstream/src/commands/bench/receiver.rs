//! Receiving: as little as it takes to know which message arrived at which endpoint.

use std::{
    convert::Infallible,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use hookstream_model::{signature::VerificationKey, time::Clock};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use super::{
    load::{DIGITS, NUMBER_AFTER},
    run::Run,
};
use crate::clock::SystemClock;

/// A receiver for all endpoints of a run.
pub(super) struct Receiver {
    pub(super) run: Arc<Run>,
    /// By endpoint; empty where signatures are not verified.
    pub(super) keys: Vec<VerificationKey>,
    pub(super) delay: Duration,
    pub(super) fail_share: f64,
}

impl Receiver {
    /// Receives until it is dropped.
    pub(super) async fn serve(self, listener: TcpListener, tasks: TaskTracker) {
        let receiver = Arc::new(self);
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            let _ = stream.set_nodelay(true);
            let receiver = Arc::clone(&receiver);
            let service = service_fn(move |request| Arc::clone(&receiver).receive(request));
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            // How a connection ends is the server's affair.
            tasks.spawn(async move { connection.await.is_ok() });
        }
    }

    async fn receive(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, Infallible> {
        let (head, body) = request.into_parts();
        let Ok(body) = body.collect().await else { return Ok(answer(StatusCode::BAD_REQUEST)) };
        let body = body.to_bytes();
        let endpoint: usize = head.uri.path().trim_start_matches('/').parse().unwrap_or(0);
        let Some(number) = number(&body) else { return Ok(answer(StatusCode::BAD_REQUEST)) };
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if let Some(key) = self.keys.get(endpoint)
            && key.verify(header("webhook-id"), header("webhook-timestamp"), header("webhook-signature"), &body, SystemClock.now()).is_err()
        {
            self.run.unverified.fetch_add(1, Ordering::Relaxed);
        }
        if self.fails(number) && header("x-hookstream-delivery-attempt") == "1" {
            return Ok(answer(StatusCode::INTERNAL_SERVER_ERROR));
        }
        self.run.arrived(number, endpoint);
        Ok(answer(StatusCode::NO_CONTENT))
    }

    /// Whether a message is one of those that fail first: by its number, so that a run can be repeated.
    fn fails(&self, number: usize) -> bool {
        if self.fail_share <= 0.0 {
            return false;
        }
        let mut hasher = DefaultHasher::new();
        number.hash(&mut hasher);
        (hasher.finish() % 10_000) as f64 / 10_000.0 < self.fail_share
    }
}

fn answer(status: StatusCode) -> Response<Empty<Bytes>> {
    let mut response = Response::new(Empty::new());
    *response.status_mut() = status;
    response
}

/// The number in a payload that [`super::load`] made.
fn number(body: &[u8]) -> Option<usize> {
    let digits = body.strip_prefix(NUMBER_AFTER)?.get(..DIGITS)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}
