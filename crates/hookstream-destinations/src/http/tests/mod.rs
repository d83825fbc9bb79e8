//! The HTTP transport against real servers on loopback that answer well, badly, or not at all.
//!
//! Every try goes through [`send`], which checks that the outcome comes within its limit.

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

/// A limit for tries that end by themselves, long before.
const AMPLE: Duration = Duration::from_secs(20);
/// A limit for tries that it has to end.
const SHORT: Duration = Duration::from_millis(300);
/// How much later than its limit, or than at once, an outcome may come on a busy machine.
const SLACK: Duration = Duration::from_secs(2);

/// The options that allow loopback, and nothing else that is not public.
fn options() -> Options {
    let networks = ["127.0.0.0/8", "::1/128"].map(|network| network.parse().expect("a network"));
    Options::new(AddressPolicy::allowing(networks.to_vec()))
}

fn trusting(root: CertificateDer<'static>) -> Options {
    Options { trust: Trust { extra_roots: vec![root], ..Trust::default() }, ..options() }
}

/// A transport for which no name exists.
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

/// One try of a small message.
async fn send(transport: &HttpTransport, url: &str, limit: Duration) -> Outcome {
    send_body(transport, url, limit, "{}").await
}

/// One try; panics where it takes more than its limit, or more than [`SLACK`] where the limit is ample.
async fn send_body(transport: &HttpTransport, url: &str, limit: Duration, body: impl Into<Bytes>) -> Outcome {
    send_timed(transport, url, limit, body).await.outcome
}

/// The same, with how long its parts took.
async fn send_timed(transport: &HttpTransport, url: &str, limit: Duration, body: impl Into<Bytes>) -> Sent {
    let target = target(url);
    let sending = transport.send(&target, request(body), limit);
    let deadline = if limit == AMPLE { SLACK } else { limit + SLACK };
    tokio::time::timeout(deadline, sending).await.expect("an outcome within the limit")
}

fn answered(status: u16) -> Outcome {
    Outcome::from_response(ReceiverResponse { status, ..ReceiverResponse::default() })
}

fn failed(kind: FailureKind, detail: &str) -> Outcome {
    Outcome::Failed(Failure::new(kind, detail))
}

fn timed_out(limit: Duration) -> Outcome {
    failed(FailureKind::Timeout, &format!("no response within {} ms", limit.as_millis()))
}

fn broken() -> Outcome {
    failed(FailureKind::ConnectionReset, "the receiver closed the connection before its response was complete")
}

fn broken_before_answer() -> Outcome {
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

/// What a response means whose head has this status, of whose body these bytes arrived.
fn answered_with(status: u16, body: impl Into<Bytes>) -> Outcome {
    Outcome::from_response(ReceiverResponse { status, body: body.into(), ..ReceiverResponse::default() })
}

/// A receiver that reads each request, answers with these bytes and waits for the other side to close.
async fn saying(bytes: impl Into<Bytes>) -> RawReceiver {
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

/// Answers for names as told, and keeps what it was asked.
#[derive(Default)]
struct Names {
    says: HashMap<&'static str, Mutex<Vec<Says>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

/// What is said of a name.
#[derive(Debug, Clone)]
enum Says {
    Addresses(Vec<IpAddr>),
    Fails(DnsError),
    Stalls,
}

impl Names {
    /// These addresses for a name.
    fn with(self, name: &'static str, addresses: &[&str]) -> Self {
        self.saying(name, vec![Says::addresses(addresses)])
    }

    /// These answers for a name, in turn; the last for ever.
    fn saying(mut self, name: &'static str, says: Vec<Says>) -> Self {
        self.says.insert(name, Mutex::new(says));
        self
    }
}

impl Says {
    fn addresses(addresses: &[&str]) -> Self {
        Self::Addresses(addresses.iter().map(|address| address.parse().expect("an address")).collect())
    }
}

#[async_trait]
impl Resolve for Names {
    async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, DnsError> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(name.to_owned());
        let says = self.says.get(name).map_or(Says::Fails(DnsError::NoSuchName), |says| {
            let mut says = says.lock().unwrap_or_else(PoisonError::into_inner);
            if says.len() > 1 { says.remove(0) } else { says[0].clone() }
        });
        match says {
            Says::Addresses(addresses) => Ok(addresses),
            Says::Fails(error) => Err(error),
            Says::Stalls => std::future::pending().await,
        }
    }
}
