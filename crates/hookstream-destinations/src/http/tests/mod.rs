//! HTTP destination against real servers on loopback that respond well, badly, or not at all.
//!
//! Every attempt uses [`send`], which checks that the outcome arrives within the time limit.

mod answers;
mod dns;
mod hostile;
mod http2;
mod literals;
mod name_server;
mod reuse;
mod slow;
mod timings;
mod tls;

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use hookstream_model::{
    base::{ids::TargetId, secret::Secret, time::Timestamp},
    delivery::outcome::{Failure, FailureKind, Outcome},
    outbound::{
        endpoint::EndpointUrl,
        message::ContentType,
        signature::{SigningKey, SigningKeys},
        target::TargetKind,
    },
};
use hookstream_testkit::{
    receiver::{RawReceiver, read_request},
    tls::Authority,
};
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

use super::{HttpDestination, classify::HttpResponse};
use crate::{
    AddressRefused, Destination, Envelope, Sent, Settings, Target,
    net::{
        ClientIdentity, Options, Trust,
        guard::AddressPolicy,
        network::Network,
        resolve::{DnsError, Resolve},
    },
};

/// Time limit for attempts that end long before.
const AMPLE: Duration = Duration::from_secs(20);
/// Time limit for attempts that must run into it.
const SHORT: Duration = Duration::from_millis(300);
/// Tolerance for an outcome on a busy machine.
const SLACK: Duration = Duration::from_secs(2);

/// Options that allow public addresses and loopback.
fn options() -> Options {
    let networks = ["127.0.0.0/8", "::1/128"].map(|network| network.parse().expect("a network"));
    Options::new(AddressPolicy::allowing(networks.to_vec()))
}

fn trusting(root: CertificateDer<'static>) -> Options {
    Options { trust: Trust { extra_roots: vec![root], ..Trust::default() }, ..options() }
}

/// Destination over a network of its own.
struct Http(Arc<Network>);

impl Http {
    fn with_resolver(options: Options, resolver: Box<dyn Resolve>) -> Self {
        Self(Arc::new(Network::with_resolver(options, resolver).expect("a network")))
    }

    fn target(&self, url: &str) -> Arc<dyn Target> {
        let url = EndpointUrl::parse(url).expect("a URL");
        let settings = Settings { kind: TargetKind::Http, url: &url, config: None, headers: None };
        HttpDestination(Arc::clone(&self.0)).check(&settings).expect("good settings")
    }

    async fn check(&self, url: &str) -> Result<(), AddressRefused> {
        self.target(url).check_address().await
    }

    fn trust(&self, trust: Trust) -> Result<(), crate::net::Error> {
        self.0.trust(trust)
    }
}

/// Builds a destination for which no name exists.
fn transport(options: Options) -> Http {
    with_names(options, Names::default())
}

fn with_names(options: Options, names: Names) -> Http {
    Http::with_resolver(options, Box::new(names))
}

fn keys() -> SigningKeys {
    let key = SigningKey::parse(&Secret::new("raw:a secret of the tests")).expect("a key");
    SigningKeys::new(key, Vec::new())
}

fn envelope(keys: &SigningKeys, body: impl Into<Bytes>) -> Envelope<'_> {
    Envelope {
        id: "msg_1".into(),
        target_id: TargetId::from_bytes([7; 16]),
        event_type: Some("invoice.paid"),
        body: body.into(),
        content_type: ContentType::Json,
        attempt: 3,
        hops: 2,
        batch_size: None,
        trace: None,
        keys,
        signed_at: Timestamp::from_millis(1_780_000_000_000),
    }
}

/// Makes one attempt with a small message.
async fn send(transport: &Http, url: &str, limit: Duration) -> Outcome {
    send_body(transport, url, limit, "{}").await
}

/// Makes one attempt and returns its outcome without the response's headers. Panics if it exceeds its limit, or
/// [`SLACK`] if the limit is ample.
async fn send_body(transport: &Http, url: &str, limit: Duration, body: impl Into<Bytes>) -> Outcome {
    let mut outcome = send_timed(transport, url, limit, body).await.outcome;
    if let Some(response) = outcome.response_mut() {
        response.headers.clear();
    }
    outcome
}

/// Makes one attempt and returns the durations of its parts too.
async fn send_timed(transport: &Http, url: &str, limit: Duration, body: impl Into<Bytes>) -> Sent {
    let (target, keys) = (transport.target(url), keys());
    let envelope = envelope(&keys, body);
    let sending = target.send(&envelope, limit);
    let deadline = if limit == AMPLE { SLACK } else { limit + SLACK };
    tokio::time::timeout(deadline, sending).await.expect("an outcome within the limit")
}

fn responded(status: u16) -> Outcome {
    HttpResponse { status, ..HttpResponse::default() }.outcome()
}

fn failed(kind: FailureKind, detail: &str) -> Outcome {
    Outcome::Retryable(Failure::new(kind, detail))
}

fn timed_out(limit: Duration) -> Outcome {
    failed(FailureKind::Timeout, &format!("no response within {} ms", limit.as_millis()))
}

fn closed_during_response() -> Outcome {
    failed(FailureKind::ConnectionReset, "the receiver closed the connection before its response was complete")
}

fn closed_before_response() -> Outcome {
    failed(FailureKind::ConnectionReset, "the connection was closed before the response")
}

fn refused_connection() -> Outcome {
    failed(FailureKind::ConnectionRefused, "the receiver refused the connection")
}

fn not_http() -> Outcome {
    failed(FailureKind::ResponseInvalid, "the response is not valid HTTP")
}

fn head_too_large() -> Outcome {
    failed(FailureKind::ResponseInvalid, "the response's head is larger than 65536 bytes")
}

/// Outcome of a response whose head has this status and of whose body these bytes arrived.
fn responded_with(status: u16, body: impl Into<Bytes>) -> Outcome {
    HttpResponse { status, body: body.into(), ..HttpResponse::default() }.outcome()
}

/// Starts a receiver that reads each request, responds with these bytes and waits for the other side to close.
async fn responding_with(bytes: impl Into<Bytes>) -> RawReceiver {
    let bytes = bytes.into();
    RawReceiver::start(move |mut stream| {
        let bytes = bytes.clone();
        async move {
            while read_request(&mut stream).await.is_some() {
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
            }
        }
    })
    .await
}

/// Reads until the other side closes.
async fn until_closed(stream: &mut (impl AsyncRead + Unpin)) {
    let mut nothing = [0; 4096];
    while stream.read(&mut nothing).await.is_ok_and(|read| read > 0) {}
}

/// Scripted resolver that records its queries.
#[derive(Default)]
struct Names {
    results: HashMap<&'static str, Mutex<Vec<Resolution>>>,
    queries: Arc<Mutex<Vec<String>>>,
}

/// Result of resolving a name.
#[derive(Debug, Clone)]
enum Resolution {
    Addresses(Vec<IpAddr>),
    Fails(DnsError),
    Stalls,
}

impl Names {
    /// Adds these addresses for a name.
    fn with(self, name: &'static str, addresses: &[&str]) -> Self {
        self.with_results(name, vec![Resolution::addresses(addresses)])
    }

    /// Adds these results for a name, in turn; the last one repeats.
    fn with_results(mut self, name: &'static str, results: Vec<Resolution>) -> Self {
        self.results.insert(name, Mutex::new(results));
        self
    }
}

impl Resolution {
    fn addresses(addresses: &[&str]) -> Self {
        Self::Addresses(addresses.iter().map(|address| address.parse().expect("an address")).collect())
    }
}

#[async_trait]
impl Resolve for Names {
    async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, DnsError> {
        self.queries.lock().unwrap_or_else(PoisonError::into_inner).push(name.to_owned());
        let result = self.results.get(name).map_or(Resolution::Fails(DnsError::NoSuchName), |results| {
            let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
            if results.len() > 1 { results.remove(0) } else { results[0].clone() }
        });
        match result {
            Resolution::Addresses(addresses) => Ok(addresses),
            Resolution::Fails(error) => Err(error),
            Resolution::Stalls => std::future::pending().await,
        }
    }
}
