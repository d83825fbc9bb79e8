//! HTTP transport against real servers on loopback that respond well, badly, or not at all.
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

use ::http::HeaderMap;
use async_trait::async_trait;
use bytes::Bytes;
use hookstream_model::{
    delivery::outcome::{Failure, FailureKind, Outcome, ReceiverResponse},
    outbound::endpoint::EndpointUrl,
};
use hookstream_testkit::{
    receiver::{RawReceiver, read_request},
    tls::Authority,
};
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

use super::{ClientIdentity, HttpTransport, Options, Trust};
use crate::{
    AddressRefused, Request, Sent, Target, Transport,
    net::{
        guard::AddressPolicy,
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

/// Builds a transport for which no name exists.
fn transport(options: Options) -> HttpTransport {
    with_names(options, Names::default())
}

fn with_names(options: Options, names: Names) -> HttpTransport {
    HttpTransport::with_resolver(options, Box::new(names)).expect("a transport")
}

fn target(url: &str) -> Target {
    Target::http(&EndpointUrl::parse(url).expect("a URL"))
}

fn request(body: impl Into<Bytes>) -> Request {
    let mut headers = HeaderMap::new();
    headers.insert("webhook-id", "msg_1".parse().expect("a value"));
    Request { headers, body: body.into() }
}

/// Makes one attempt with a small message.
async fn send(transport: &HttpTransport, url: &str, limit: Duration) -> Outcome {
    send_body(transport, url, limit, "{}").await
}

/// Makes one attempt. Panics if it exceeds its limit, or [`SLACK`] if the limit is ample.
async fn send_body(transport: &HttpTransport, url: &str, limit: Duration, body: impl Into<Bytes>) -> Outcome {
    send_timed(transport, url, limit, body).await.outcome
}

/// Makes one attempt and returns the durations of its parts too.
async fn send_timed(transport: &HttpTransport, url: &str, limit: Duration, body: impl Into<Bytes>) -> Sent {
    let target = target(url);
    let sending = transport.send(&target, request(body), limit);
    let deadline = if limit == AMPLE { SLACK } else { limit + SLACK };
    tokio::time::timeout(deadline, sending).await.expect("an outcome within the limit")
}

fn responded(status: u16) -> Outcome {
    Outcome::from_response(ReceiverResponse { status, ..ReceiverResponse::default() })
}

fn failed(kind: FailureKind, detail: &str) -> Outcome {
    Outcome::Failed(Failure::new(kind, detail))
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
    Outcome::from_response(ReceiverResponse { status, body: body.into(), ..ReceiverResponse::default() })
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
