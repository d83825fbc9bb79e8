//! `hookstream sink`: a receiver for development.

mod show;

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, bail};
use axum::{Router, extract::State, response::IntoResponse};
use bytes::Bytes;
use clap::Args;
use hookstream_cli::{clock::SystemClock, duration::parse_duration, output, say};
use hookstream_model::{
    base::{
        secret::Secret,
        time::{Clock, Timestamp},
    },
    outbound::signature::VerificationKey,
};
use http::{HeaderMap, Method, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use tokio::net::TcpListener;

use crate::config::listen_address;

pub(crate) use self::show::{as_json, as_text};

/// Maximum size of a body, in bytes.
const BODY_MAX: usize = 16 * 1024 * 1024;

/// Listener and response.
#[derive(Debug, Args)]
#[command(after_help = "Example: hookstream sink --secret whsec_… --fail-first 2\n\n\
    A server on this machine delivers to it with --allow-targets 127.0.0.0/8.")]
pub(crate) struct SinkArgs {
    /// Address to listen on, such as 127.0.0.1:8485 or :8485
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8485", value_parser = listen_address)]
    listen: SocketAddr,

    /// The endpoint's signing_secret or public_key; a request with an invalid signature gets a 401 response
    #[arg(long, value_name = "SECRET", env = "HOOKSTREAM_SINK_SECRET", hide_env_values = true)]
    secret: Option<String>,

    /// Response status
    #[arg(long, value_name = "N", default_value_t = 204, value_parser = clap::value_parser!(u16).range(200..=599))]
    status: u16,

    /// Respond with 500 to the first N attempts of each message
    #[arg(long, value_name = "N", default_value_t = 0)]
    fail_first: u32,

    /// Delay of each response, such as 250ms or 2s
    #[arg(long, value_name = "D", default_value = "0ms", value_parser = parse_duration)]
    delay: Duration,

    /// Print one JSON object per request
    #[arg(long)]
    json: bool,
}

/// Response of a sink.
#[derive(Debug, Clone)]
pub(crate) struct SinkOptions {
    pub(crate) key: Option<VerificationKey>,
    pub(crate) status: StatusCode,
    pub(crate) fail_first: u32,
    pub(crate) delay: Duration,
}

impl Default for SinkOptions {
    fn default() -> Self {
        Self { key: None, status: StatusCode::NO_CONTENT, fail_first: 0, delay: Duration::ZERO }
    }
}

/// Received delivery.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) at: Timestamp,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) signature: Signature,
    pub(crate) answered: StatusCode,
}

/// Result of checking a delivery's signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Signature {
    /// No secret is given.
    Unchecked,
    /// The signature is valid.
    Verified,
    /// The signature is invalid, with the reason.
    Refused(String),
}

type OnDelivery = Arc<dyn Fn(&Delivery) + Send + Sync>;

struct Shared {
    options: SinkOptions,
    attempts: Mutex<HashMap<String, u32>>,
    on_delivery: OnDelivery,
}

/// Runs the command.
pub(crate) async fn run(arguments: SinkArgs) -> anyhow::Result<()> {
    let key = arguments.secret.map(|secret| VerificationKey::parse(&Secret::new(secret)));
    let key = key.transpose().map_err(|error| anyhow::anyhow!("--secret {}", error.problem))?;
    let status = StatusCode::from_u16(arguments.status)?;
    let options = SinkOptions { key, status, fail_first: arguments.fail_first, delay: arguments.delay };
    let listener =
        TcpListener::bind(arguments.listen).await.with_context(|| format!("could not listen on {} (--listen)", arguments.listen))?;
    say!("receiving at http://{}", listener.local_addr()?);
    let is_json = arguments.json;
    let print = move |delivery: &Delivery| say!("{}", if is_json { as_json(delivery) } else { as_text(delivery) });
    tokio::select! {
        served = serve(listener, options, Arc::new(print)) => served,
        stopped = hookstream_cli::signals::until_stop_signal() => stopped,
        () = output::closed() => Ok(()),
    }
}

/// Receives deliveries on a listener until it is dropped.
pub(crate) async fn serve(listener: TcpListener, options: SinkOptions, on_delivery: OnDelivery) -> anyhow::Result<()> {
    let shared = Arc::new(Shared { options, attempts: Mutex::default(), on_delivery });
    let router = Router::new().fallback(receive).with_state(shared);
    match axum::serve(listener, router).await {
        Ok(()) => Ok(()),
        Err(error) => bail!("the receiver ended: {error}"),
    }
}

async fn receive(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: axum::body::Body,
) -> impl IntoResponse {
    let body = match Limited::new(body, BODY_MAX).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return StatusCode::PAYLOAD_TOO_LARGE,
    };
    let at = SystemClock.now();
    let signature = check(shared.options.key.as_ref(), &headers, &body, at);
    let answered = match &signature {
        Signature::Refused(_) => StatusCode::UNAUTHORIZED,
        Signature::Unchecked | Signature::Verified if shared.is_to_fail(&headers) => StatusCode::INTERNAL_SERVER_ERROR,
        Signature::Unchecked | Signature::Verified => shared.options.status,
    };
    tokio::time::sleep(shared.options.delay).await;
    let path = uri.path_and_query().map_or_else(String::new, ToString::to_string);
    (shared.on_delivery)(&Delivery { at, method, path, headers, body, signature, answered });
    answered
}

impl Shared {
    fn is_to_fail(&self, headers: &HeaderMap) -> bool {
        let id = header(headers, "webhook-id").to_owned();
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        let attempts = attempts.entry(id).or_default();
        *attempts += 1;
        *attempts <= self.options.fail_first
    }
}

fn check(key: Option<&VerificationKey>, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Signature {
    let Some(key) = key else { return Signature::Unchecked };
    let [id, timestamp, signatures] = ["webhook-id", "webhook-timestamp", "webhook-signature"].map(|name| header(headers, name));
    match key.verify(id, timestamp, signatures, body, now) {
        Ok(()) => Signature::Verified,
        Err(problem) => Signature::Refused(problem.to_string()),
    }
}

/// Returns a header as text; empty if it is missing or not text.
fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {}
